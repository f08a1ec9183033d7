"""Sizes that an encoder cannot code: padded on the right and bottom before it, cropped after decoding.

All pixels of the sequence are scored and all bits are counted; nothing is cut to a convenient size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Frame, Plane, Sequence, VideoFormat


def write_padded(frames: Iterable[Frame], coded: VideoFormat, sequence: Sequence, path: Path) -> None:
    """Write frames as a Y4M of the coded size, their last columns and rows repeated.

    Args:
        frames: of the coded size or smaller.
        coded: the size to be written.
        sequence: gives frame rate and colour.
        path: the file.

    Raises:
        MediaError: the frames' file is damaged.
        OSError: `path` cannot be written.
    """

    def padded() -> Iterator[Frame]:
        for luma, blue, red in frames:
            yield (
                _extend(luma, coded.height, coded.width),
                _extend(blue, coded.chroma_height, coded.chroma_width),
                _extend(red, coded.chroma_height, coded.chroma_width),
            )

    write_y4m(path, coded, sequence.frame_rate, padded(), sequence.colour)


def crop(frame: Frame, format: VideoFormat) -> Frame:
    """The part of a decoded frame that is no padding, in planes of their own."""
    luma, blue, red = frame
    height, width = format.chroma_height, format.chroma_width
    return (
        np.ascontiguousarray(luma[: format.height, : format.width]),
        np.ascontiguousarray(blue[:height, :width]),
        np.ascontiguousarray(red[:height, :width]),
    )


def _extend(plane: Plane, height: int, width: int) -> Plane:
    rows, columns = plane.shape
    # Repeated samples cost an encoder the fewest bits of all fillings that need no look at the content.
    return np.pad(plane, ((0, height - rows), (0, width - columns)), mode="edge")
