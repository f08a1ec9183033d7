"""How a picture is turned before it is shown: what a phone that is held upright writes beside its frames.

Players and FFmpeg's own conversions do it, so a source is what they show. Quarter turns and mirrors move samples and
change none.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from evalsuite.errors import MediaError
from evalsuite.types import Frame, VideoFormat

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.video.frame import VideoFrame


_MATRIX = struct.Struct("=9i")
_SMALL = 0.01
"""What counts as 0 beside the larger numbers of a matrix."""


class Turn(NamedTuple):
    """Columns become rows first, then the picture is mirrored."""

    transposed: bool = False
    left_right: bool = False
    upside_down: bool = False

    def format(self, stored: VideoFormat) -> VideoFormat:
        """The format of what is shown."""
        return replace(stored, width=stored.height, height=stored.width) if self.transposed else stored

    def frame(self, planes: Frame) -> Frame:
        """What is shown of the planes of a picture."""
        if self == Turn():
            return planes
        across, down = (slice(None, None, -1 if flipped else 1) for flipped in (self.left_right, self.upside_down))
        turned = (plane.T if self.transposed else plane for plane in planes)
        return tuple(np.ascontiguousarray(plane[down, across]) for plane in turned)


def turn_of(frame: VideoFrame, stored: VideoFormat, where: Path) -> Turn:
    """How a decoded picture is to be turned; by FFmpeg's display matrix, which maps its samples to the screen.

    Raises:
        MediaError: by another angle than quarter turns, or one that its chroma format does not have.
    """
    # A mapping to buffers, whatever its annotation says.
    data = cast("Mapping[str, Buffer]", frame.side_data).get("DISPLAYMATRIX")
    if data is None:
        return Turn()
    # x is shown at a x + c y, y at b x + d y.
    a, b, _, c, d, *_ = _MATRIX.unpack_from(bytes(data))
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if crossed <= _SMALL * straight:
        return Turn(False, a < 0, d < 0)
    if straight > _SMALL * crossed:
        raise MediaError(
            "the video is shown turned by an angle",
            where=where,
            expected="quarter turns",
            got=f"{math.degrees(math.atan2(-b, a)):.1f} degrees",
            fix="turn it first",
        )
    if stored.chroma == "422":
        raise MediaError(
            "the video is shown turned on its side, which 4:2:2 cannot be",
            where=where,
            fix="turn it first, as 4:4:4 or 4:2:0; if that changes samples, say so where you publish",
        )
    return Turn(True, c < 0, b < 0)
