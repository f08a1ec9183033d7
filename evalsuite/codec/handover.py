"""Frames as the encoder wants them, and back: bit depth, scaling, padding to sizes that it can code, and file format.

All pixels of the sequence are scored and all bits are counted; nothing is cut to a convenient size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from evalsuite.codec.recipe import Recipe
from evalsuite.codec.scaling import scale_down
from evalsuite.sources.y4m import Y4MReader, join_planes, read_raw_frames, write_y4m
from evalsuite.types import Frame, Plane, Sequence, Usage, VideoFormat


def prepare(recipe: Recipe, sequence: Sequence, scratch: Path, timeout: float | None) -> tuple[Path, list[Usage]]:
    """The file that the encoder is given, and what scaling cost: the sequence's own where that is as it should be.

    Args:
        recipe: says how it should be.
        sequence: the source.
        scratch: folder for what has to be written.
        timeout: seconds for scaling.

    Raises:
        ProcessError: FFmpeg fails or runs too long.
        ShapeError: the source to be scaled has another number of frames than the sequence.
        MediaError: the source is damaged.
        OSError: `scratch` cannot be written.
    """
    coded, source, costs = recipe.coded_format(sequence.format), scratch / f"source.{recipe.source}", []
    if recipe.scale is not None:
        scaled = scratch / "scaled.yuv"
        costs.append(scale_down(sequence, recipe.scale, scaled, timeout=timeout))
        with scaled.open("rb") as stream:
            frames = read_raw_frames(stream, recipe.scale.format(sequence.format), scaled)
            _write(recipe, (fit(frame, sequence.format.bit_depth, coded) for frame in frames), sequence, source)
        scaled.unlink()
    elif coded != sequence.format or recipe.source == "raw":
        frames = iter(Y4MReader(sequence.path))
        _write(recipe, (fit(frame, sequence.format.bit_depth, coded) for frame in frames), sequence, source)
    else:
        return sequence.path, costs
    return source, costs


def _write(recipe: Recipe, frames: Iterable[Frame], sequence: Sequence, path: Path) -> None:
    if recipe.source == "y4m":
        write_y4m(path, recipe.coded_format(sequence.format), sequence.frame_rate, frames, sequence.colour)
        return
    with path.open("wb") as stream:
        for frame in frames:
            stream.write(join_planes(frame))


def fit(frame: Frame, bit_depth: int, coded: VideoFormat) -> Frame:
    """A frame in the format that is coded: code values times a power of two, last columns and rows repeated.

    Args:
        frame: of the coded size or smaller.
        bit_depth: of its samples; the coded depth or less.
        coded: the format wanted.
    """
    shift = coded.bit_depth - bit_depth

    def fitted(plane: Plane, height: int, width: int) -> Plane:
        rows, columns = plane.shape
        wide: Plane = plane.astype(np.uint16) << np.uint16(shift) if shift else plane
        # Repeated samples cost an encoder the fewest bits of all fillings that need no look at the content.
        return np.pad(wide, ((0, height - rows), (0, width - columns)), mode="edge")

    return tuple(fitted(plane, *shape) for plane, shape in zip(frame, coded.plane_shapes, strict=True))


def crop(frame: Frame, format: VideoFormat) -> Frame:
    """The part of a decoded frame that is no padding, in planes of their own."""
    return tuple(
        np.ascontiguousarray(plane[:height, :width])
        for plane, (height, width) in zip(frame, format.plane_shapes, strict=True)
    )


def rounded(frames: Iterable[Frame], coded_depth: int, bit_depth: int) -> Iterator[Frame]:
    """Frames in the sequence's bit depth: halves are rounded up, and what exceeds the largest code value is that value.

    Args:
        frames: of `coded_depth`.
        coded_depth: bits of a sample, at least `bit_depth`.
        bit_depth: bits wanted.
    """
    shift = coded_depth - bit_depth
    if not shift:
        yield from frames
        return
    kind = np.uint8 if bit_depth == 8 else np.uint16

    def narrow(plane: Plane) -> Plane:
        wide = (plane.astype(np.uint32) + (1 << (shift - 1))) >> shift
        narrowed: Plane = np.minimum(wide, (1 << bit_depth) - 1).astype(kind)
        return narrowed

    for frame in frames:
        yield tuple(narrow(plane) for plane in frame)
