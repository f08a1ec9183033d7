"""What tests of metrics share: frames, scores of named metrics, and another implementation to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from conftest import moving_frames, run_ffmpeg

from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import Setting
from evalsuite.metrics.registry import select
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Colour, Frame, Series, VideoFormat


def setting_of(format: VideoFormat, fps: int = 25, colour: Colour | None = None) -> Setting:
    return Setting(format, colour or Colour("bt709"), Fraction(fps))


def noisy_pair(format: VideoFormat, count: int, amount: float = 0.02) -> tuple[list[Frame], list[Frame]]:
    """Moving frames, and the same with noise of a share of the peak."""
    source = list(moving_frames(format, count))
    rng, peak = np.random.default_rng(7), (1 << format.bit_depth) - 1
    decoded = [
        tuple(
            np.clip(plane + np.rint(rng.normal(0, amount * peak, plane.shape)), 0, peak).astype(plane.dtype)
            for plane in frame
        )
        for frame in source
    ]
    return source, decoded


def scores(names: str, source: Iterable[Frame], decoded: Iterable[Frame], setting: Setting) -> dict[str, Series]:
    """Every named metric of one decoded sequence."""
    result = measure(source, setting, {"it": iter(decoded)}, select(names))["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def by_ffmpeg(
    graph: str, format: VideoFormat, first: Sequence[Frame], second: Sequence[Frame], folder: Path, fps: int = 25
) -> bytes:
    """Standard output of an FFmpeg graph over two raw videos, each in a file of its own."""
    pixel_format = format.pixel_format
    inputs: list[str] = []
    for name, frames in (("first", first), ("second", second)):
        path = folder / f"{name}.yuv"
        with path.open("wb") as stream:
            stream.writelines(join_planes(frame) for frame in frames)
        size = f"{format.width}x{format.height}"
        inputs += ["-f", "rawvideo", "-pix_fmt", pixel_format, "-s", size, "-r", str(fps), "-i", str(path)]
    return run_ffmpeg(*inputs, "-filter_complex", graph, "-f", "null", "-")
