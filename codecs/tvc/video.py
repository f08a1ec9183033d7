"""8-bit 4:2:0 video in and out: YUV4MPEG2 and raw planar files, one frame at a time, read strictly.

Format: https://wiki.multimedia.cx/index.php/YUV4MPEG2
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tvc.errors import VideoError

Plane = NDArray[np.uint8]
Frame = tuple[Plane, Plane, Plane]
"""Y (height, width), Cb and Cr (half of both, rounded up)."""

LARGEST_SIDE = 16384

CHROMA = ("420", "420jpeg", "420mpeg2", "420paldv")
"""Names of 8-bit 4:2:0 in YUV4MPEG2, which differ in where the chroma samples lie."""

RANGES = (None, False, True)
"""Not said, limited, full."""

_MAGIC = b"YUV4MPEG2"
_LINE_LIMIT = 1024
_LARGEST_RATE = 1 << 31


@dataclass(frozen=True, slots=True)
class Format:
    """Geometry, frame rate and colour of a video.

    Attributes:
        width: luma samples.
        height: luma samples.
        rate: frames a second.
        chroma: one of `CHROMA`.
        full_range: of the samples; None: not said.
    """

    width: int
    height: int
    rate: Fraction
    chroma: str = "420jpeg"
    full_range: bool | None = None

    @property
    def shapes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Height and width of Y, Cb and Cr."""
        chroma = ((self.height + 1) // 2, (self.width + 1) // 2)
        return (self.height, self.width), chroma, chroma

    @property
    def frame_bytes(self) -> int:
        """Size of one raw frame."""
        return sum(height * width for height, width in self.shapes)

    def check(self, where: object = None) -> None:
        """Refuse a geometry that cannot be coded.

        Raises:
            VideoError: a side or a rate out of range, an unknown chroma format.
        """
        if not (1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE):
            raise VideoError(
                "the frame size is out of range",
                where=where,
                expected=f"1 to {LARGEST_SIDE} samples a side",
                got=f"{self.width}x{self.height}",
            )
        if not (0 < self.rate.numerator < _LARGEST_RATE and self.rate.denominator < _LARGEST_RATE):
            raise VideoError("the frame rate is out of range", where=where, expected="more than 0", got=self.rate)
        if self.chroma not in CHROMA:
            raise VideoError(
                "the sample format is not one that tvc codes",
                where=where,
                expected=f"8-bit 4:2:0: {', '.join(CHROMA)}",
                got=self.chroma,
                fix="convert the video to yuv420p first",
            )


def read_y4m(stream: BinaryIO, where: object = None) -> tuple[Format, Iterator[Frame]]:
    """The format of a YUV4MPEG2 stream, and its frames.

    Raises:
        VideoError: not such a stream, or one of a kind that tvc does not code; while iterating: a damaged frame.
    """
    line = stream.readline(_LINE_LIMIT)
    format = _parse_header(line, where)
    return format, _y4m_frames(stream, format, where)


def read_raw(stream: BinaryIO, format: Format, where: object = None) -> Iterator[Frame]:
    """Frames of headerless planar video until the stream ends.

    Raises:
        VideoError: the stream ends inside a frame.
    """
    format.check(where)
    index = 0
    while data := _read(stream, format.frame_bytes):
        yield _split(data, format, index, where)
        index += 1


def write_y4m(stream: BinaryIO, format: Format, frames: Iterable[Frame]) -> int:
    """Write a YUV4MPEG2 stream; returns how many frames it has."""
    return write_marked_y4m(stream, format, ((frame, False) for frame in frames))


def write_marked_y4m(stream: BinaryIO, format: Format, frames: Iterable[tuple[Frame, bool]]) -> int:
    """Write a YUV4MPEG2 stream in which concealed frames begin with `FRAME Xconcealed`.

    Args:
        stream: written to.
        format: of the frames.
        frames: each with whether it is concealed.

    Returns:
        How many there are.
    """
    rate = format.rate
    header = f"YUV4MPEG2 W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip A0:0 C{format.chroma}"
    if format.full_range is not None:
        header += f" XCOLORRANGE={'FULL' if format.full_range else 'LIMITED'}"
    stream.write(header.encode() + b"\n")
    count = 0
    for frame, concealed in frames:
        stream.write(b"FRAME Xconcealed\n" if concealed else b"FRAME\n")
        write_raw(stream, frame)
        count += 1
    return count


def write_raw(stream: BinaryIO, frame: Frame) -> None:
    """Write the samples of one frame, plane after plane."""
    for plane in frame:
        stream.write(np.ascontiguousarray(plane).tobytes())


def check_frame(frame: Frame, format: Format, index: int) -> None:
    """Refuse arrays that are not a frame of `format`.

    Raises:
        VideoError: another number of planes, another shape or type.
    """
    got = [(np.shape(plane), str(np.asarray(plane).dtype)) for plane in frame]
    if got != [(shape, "uint8") for shape in format.shapes]:
        raise VideoError(
            "a frame is not of the video's format",
            where=f"frame {index}",
            expected=f"Y, Cb and Cr, uint8, of shapes {format.shapes}",
            got=got,
        )


def geometry(frames: Iterable[Frame], rate: Fraction) -> tuple[Format, Iterator[Frame]]:
    """The format of frames in memory, from the first of them; and all of them.

    Raises:
        VideoError: there are no frames, or the first is not 8-bit 4:2:0.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise VideoError("the video has no frames", expected="at least 1")
    shape = np.shape(first[0])
    if len(shape) != 2:
        raise VideoError("a frame's luma is not a plane", where="frame 0", expected="(height, width)", got=shape)
    format = Format(shape[1], shape[0], rate)
    format.check()
    check_frame(first, format, 0)
    return format, itertools.chain([first], rest)


def _y4m_frames(stream: BinaryIO, format: Format, where: object) -> Iterator[Frame]:
    index = 0
    while line := stream.readline(_LINE_LIMIT):
        if not re.fullmatch(rb"FRAME( [^\n]*)?\n", line):
            raise VideoError(
                f"frame {index} does not begin where it should",
                where=where,
                expected="a FRAME line",
                got=repr(line[:16]),
                fix="the file is damaged: make it again",
            )
        yield _split(_read(stream, format.frame_bytes), format, index, where)
        index += 1


def _split(data: bytes, format: Format, index: int, where: object) -> Frame:
    if len(data) < format.frame_bytes:
        raise VideoError(
            f"the video ends inside frame {index}",
            where=where,
            expected=f"{format.frame_bytes} bytes a frame ({format.width}x{format.height}, 8-bit 4:2:0)",
            got=f"{len(data)} bytes",
            fix="the file is truncated, or the geometry is not its own",
        )
    planes, position = [], 0
    for height, width in format.shapes:
        planes.append(np.frombuffer(data, np.uint8, height * width, position).reshape(height, width))
        position += height * width
    return planes[0], planes[1], planes[2]


def _read(stream: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes: a pipe gives them in parts."""
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _parse_header(line: bytes, where: object) -> Format:
    if not line.startswith(_MAGIC + b" ") or not line.endswith(b"\n"):
        raise VideoError(
            "not a YUV4MPEG2 file",
            where=where,
            expected="a YUV4MPEG2 header line",
            got=repr(line[:32]),
            fix="give --size and --rate if the file is raw",
        )
    tags = {word[:1]: word[1:] for word in line.decode("ascii", "replace").split()[1:] if word[0] != "X"}
    extra = line.decode("ascii", "replace").split()
    rate = re.fullmatch(r"(\d{1,10}):(\d{1,10})", tags.get("F", ""))
    width, height = (re.fullmatch(r"\d{1,5}", tags.get(tag, "")) for tag in "WH")
    if rate is None or int(rate[2]) == 0 or width is None or height is None:
        raise VideoError("the YUV4MPEG2 header has no size or frame rate", where=where, got=repr(line[:80]))
    if tags.get("I", "?") not in ("p", "?"):
        raise VideoError("the video is interlaced", where=where, expected="progressive frames", got=f"I{tags['I']}")
    full_range = {"XCOLORRANGE=FULL": True, "XCOLORRANGE=LIMITED": False}
    format = Format(
        int(width[0]),
        int(height[0]),
        Fraction(int(rate[1]), int(rate[2])),
        tags.get("C", "420jpeg"),
        next((full_range[word] for word in extra if word in full_range), None),
    )
    format.check(where)
    return format
