"""Whether a codec that says it may be split really gives the same stream: tried on made-up frames, to check a recipe.

No number of frames proves it. These are enough for what encoders were seen to carry over a random-access point: rate
control, temporal filters, parameter sets, counts of pictures; SVT-AV1's low delay is the same for 128 frames or 136.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsuite.codec.gops import verify_split
from evalsuite.codec.recipe import Recipe
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, Plane, Sequence, VideoFormat

FRAMES = 149
"""The last intra period is a part of one."""

FORMAT = VideoFormat(64, 64)

_LEAST_PERIOD = 16
_CUT = 60
"""The frame where another scene begins, which is no random-access point."""

_MARGIN = 2 * FRAMES
"""Samples that the picture moves by."""


def check_split(recipe: Recipe, folder: Path, timeout: float) -> None:
    """Encode the made-up frames at once and by intra periods, at the middle of the ladder.

    Args:
        recipe: a codec; where it does not say that it may be split, nothing is done.
        folder: takes the frames and streams.
        timeout: seconds for each encode.

    Raises:
        EvalError: an encode fails, or the streams are not the same: says where they part.
    """
    if recipe.split is None:
        return
    intra = recipe.intra_periods
    period = -(-max(intra.min, _LEAST_PERIOD) // intra.multiple) * intra.multiple
    ladder = recipe.knob.ladder
    point = OperatingPoint(ladder[len(ladder) // 2], period, threads=1)
    verify_split(recipe, made_up(folder / "split.y4m"), point, folder, timeout)


def made_up(path: Path, frames: int = FRAMES) -> Sequence:
    """Write the first of the made-up frames to `path`."""
    write_y4m(path, FORMAT, Fraction(25), _frames(frames), Colour("bt709"))
    return Sequence(
        name="made-up",
        dataset="check",
        path=path,
        sha256="",
        format=FORMAT,
        frame_rate=Fraction(25),
        frames=frames,
        colour=Colour("bt709"),
    )


def _frames(count: int) -> Iterator[Frame]:
    """Two scenes of coarse noise that moves, with fine noise that is new in each."""
    rng = np.random.default_rng(0)
    side = (FORMAT.height + _MARGIN) // 8 + 1
    scenes = [rng.integers(40, 200, (side, side)).repeat(8, axis=0).repeat(8, axis=1) for _ in range(2)]
    for index in range(count):
        scene = scenes[index >= _CUT][index:, 2 * index :]
        yield tuple(_plane(scene[:height, :width], rng) for height, width in FORMAT.plane_shapes)


def _plane(coarse: NDArray[np.int64], rng: np.random.Generator) -> Plane:
    samples: Plane = (coarse + rng.normal(0, 3, coarse.shape)).clip(0, 255).astype(np.uint8)
    return samples
