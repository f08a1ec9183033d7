"""YUV4MPEG2 and raw planar files: read strictly, one frame at a time.

A damaged file is an error that names the frame, never a shorter sequence.
Format: https://wiki.multimedia.cx/index.php/YUV4MPEG2
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from evalsuite.errors import MediaError
from evalsuite.sources.framerate import FRAME_RATES, read_frame_rate
from evalsuite.sources.tags import Told
from evalsuite.types import Chroma, Colour, Frame, Plane, VideoFormat

_FRAME = re.compile(rb"FRAME( [^\n]*)?\n")
_FIELDS = re.compile(rb" I(?![123]p[p?])")
"""Of a FRAME line: a presentation, temporal or spatial sampling that is not that of whole frames."""

_MAGIC = b"YUV4MPEG2"
_HEADER_LIMIT = 1024
"""Longest header or FRAME line accepted: a foreign file has no newline to stop at."""

DEPTHS = (8, 9, 10, 12, 14, 16)
CHROMAS: tuple[Chroma, ...] = ("420", "422", "444", "400")

PIXEL_FORMATS: dict[str, tuple[int, Chroma]] = {
    VideoFormat(1, 1, depth, chroma).pixel_format: (depth, chroma) for chroma in CHROMAS for depth in DEPTHS
}
"""Bit depth and chroma by FFmpeg's name, of every planar format that is read."""


def _tag(bit_depth: int, chroma: Chroma) -> str:
    """What the C field of a YUV4MPEG2 header calls a format."""
    if chroma == "400":
        return "mono" if bit_depth == 8 else f"mono{bit_depth}"
    return chroma if bit_depth == 8 else f"{chroma}p{bit_depth}"


_TAGS = {
    **{_tag(*sample): sample for sample in PIXEL_FORMATS.values()},
    **dict.fromkeys(("420jpeg", "420mpeg2", "420paldv"), PIXEL_FORMATS["yuv420p"]),
}
_LARGEST_SIDE = 16384


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a raw file does not say about itself."""

    width: int
    height: int
    frame_rate: Fraction
    pixel_format: str = "yuv420p"

    def format(self) -> VideoFormat:
        """The sample format that `pixel_format` names.

        Raises:
            MediaError: a pixel format that is not planar YCbCr or grey, or sides out of range.
        """
        if self.pixel_format not in PIXEL_FORMATS:
            raise MediaError(
                "the pixel format is not supported",
                expected="one of " + ", ".join(PIXEL_FORMATS),
                got=self.pixel_format,
                fix="convert the video to a planar format of the same depth and chroma, such as yuv420p for nv12",
            )
        check_sides(self.width, self.height)
        return VideoFormat(self.width, self.height, *PIXEL_FORMATS[self.pixel_format])


def check_sides(width: int, height: int, where: object = None) -> None:
    """Refuse sides that no video has, before anything is allocated by them.

    Raises:
        MediaError: a side below 1 or above 16384.
    """
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise MediaError(
            "the frame size is out of range",
            where=where,
            expected=f"1 to {_LARGEST_SIDE} samples a side",
            got=f"{width}x{height}",
        )


def split_planes(data: bytes, format: VideoFormat) -> Frame:
    """The planes of one raw frame, as read-only views of `data`."""
    samples: Plane = np.frombuffer(data, dtype=np.dtype("u1" if format.bit_depth == 8 else "<u2"))
    planes, taken = [], 0
    for height, width in format.plane_shapes:
        planes.append(samples[taken : taken + height * width].reshape(height, width))
        taken += height * width
    return tuple(planes)


def join_planes(frame: Frame) -> bytes:
    """One raw frame as bytes: the inverse of `split_planes`."""
    return b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame)


def read_raw_frames(stream: BinaryIO, format: VideoFormat, where: object) -> Iterator[Frame]:
    """Frames of headerless planar video until the stream ends.

    Raises:
        MediaError: the stream ends inside a frame.
    """
    index = 0
    while data := _read_up_to(stream, format.frame_bytes):
        if len(data) < format.frame_bytes:
            raise MediaError(
                f"the video ends inside frame {index}",
                where=where,
                expected=f"{format.frame_bytes} bytes ({format})",
                got=f"{len(data)} bytes",
            )
        yield _checked(split_planes(data, format), format, index, where)
        index += 1


def _checked(frame: Frame, format: VideoFormat, index: int, where: object) -> Frame:
    """The frame; MediaError where it holds what its depth cannot."""
    if format.bit_depth % 8:
        most = max(int(plane.max()) for plane in frame)
        if most >> format.bit_depth:
            raise MediaError(
                f"frame {index} has samples of more than {format.bit_depth} bit",
                where=where,
                expected=f"0 to {(1 << format.bit_depth) - 1}",
                got=most,
                fix="they may be of another depth, big-endian, or in the upper bits (P010): convert them first",
            )
    return frame


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (more := stream.read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


class RawReader:
    """A headerless planar file whose geometry the user gave."""

    def __init__(self, path: Path, geometry: Geometry) -> None:
        self.path = path
        self.told = Told()
        self.format = geometry.format()
        self.frame_rate = geometry.frame_rate
        size = path.stat().st_size
        if size == 0 or size % self.format.frame_bytes:
            raise MediaError(
                "the file is not a whole number of frames",
                where=path,
                expected=f"a multiple of {self.format.frame_bytes} bytes ({self.format})",
                got=f"{size} bytes = {size / self.format.frame_bytes:.3f} frames",
                fix="check --size and --pixel-format",
            )
        self.frames: int | None = size // self.format.frame_bytes

    def __iter__(self) -> Iterator[Frame]:
        """Frames in file order."""
        with self.path.open("rb") as stream:
            yield from read_raw_frames(stream, self.format, self.path)


class Y4MReader:
    """A YUV4MPEG2 file: progressive, 4:0:0 to 4:4:4, 8 to 16 bit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            line = stream.readline(_HEADER_LIMIT)
        self._header_bytes = len(line)
        self.format, self.frame_rate, full_range = parse_header(line, path)
        self.told = Told(full_range=full_range)
        self.frames: int | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Frames in file order; a malformed or partial frame raises MediaError."""
        with self.path.open("rb") as stream:
            stream.seek(self._header_bytes)
            index = 0
            while line := stream.readline(_HEADER_LIMIT):
                if not (told := _FRAME.fullmatch(line)):
                    raise MediaError(
                        f"frame {index} does not begin where it should",
                        where=f"{self.path}, byte {stream.tell() - len(line)}",
                        expected="a FRAME line",
                        got=repr(line[:16]),
                        fix="the file is damaged or truncated: make it again",
                    )
                if _FIELDS.search(told[1] or b""):
                    raise _interlaced(f"{self.path}, frame {index}", repr(line[:64]))
                data = _read_up_to(stream, self.format.frame_bytes)
                if len(data) < self.format.frame_bytes:
                    raise MediaError(
                        f"the file ends inside frame {index}",
                        where=self.path,
                        expected=f"{self.format.frame_bytes} bytes ({self.format})",
                        got=f"{len(data)} bytes",
                        fix="the file is truncated: make or fetch it again",
                    )
                yield _checked(split_planes(data, self.format), self.format, index, self.path)
                index += 1


def _interlaced(where: object, got: str) -> MediaError:
    return MediaError(
        "interlaced video is not supported",
        where=where,
        expected="progressive (Ip)",
        got=got,
        fix="deinterlace it first",
    )


def parse_header(line: bytes, where: object) -> tuple[VideoFormat, Fraction, bool | None]:
    """Format, frame rate and range flag of a YUV4MPEG2 header line.

    Raises:
        MediaError: not such a header, or one that says something that is not supported.
    """
    if not line.startswith(_MAGIC + b" ") or not line.endswith(b"\n"):
        raise MediaError("not a YUV4MPEG2 file", where=where, expected="a YUV4MPEG2 header line", got=repr(line[:32]))
    fields: dict[str, str] = {}
    full_range: bool | None = None
    for token in line[len(_MAGIC) :].decode("ascii", "replace").split():
        if token.startswith("XCOLORRANGE="):
            full_range = {"FULL": True, "LIMITED": False}.get(token.removeprefix("XCOLORRANGE="))
        elif token[0] != "X":
            if token[0] in fields:
                raise MediaError("the YUV4MPEG2 header says something twice", where=where, got=repr(line[:64]))
            fields[token[0]] = token[1:]
    try:
        # int() takes 1_000 and +16, which no other program writes as a size.
        width, height = (int(fields[side]) if fields[side].isdecimal() else 0 for side in ("W", "H"))
        numerator, denominator = fields["F"].split(":")
        frame_rate = read_frame_rate(f"{numerator}/{denominator}")
    except (KeyError, ValueError):
        frame_rate = None
    if frame_rate is None:
        raise MediaError(
            "the YUV4MPEG2 header lacks a valid width, height or frame rate",
            where=where,
            expected=f"W, H and F fields such as W352 H288 F30:1; {FRAME_RATES}",
            got=repr(line[:64]),
        )
    check_sides(width, height, where)
    if fields.get("I", "p") not in ("p", "?"):
        raise _interlaced(where, f"I{fields['I']}")
    chroma = fields.get("C", "420")
    if chroma not in _TAGS:
        raise MediaError(
            "the chroma format is not supported",
            where=where,
            expected=f"4:0:0, 4:2:0, 4:2:2 or 4:4:4 (C{', C'.join(_TAGS)})",
            got=f"C{chroma}",
        )
    return VideoFormat(width, height, *_TAGS[chroma]), frame_rate, full_range


def header(format: VideoFormat, frame_rate: Fraction, colour: Colour | None = None) -> bytes:
    """The header line of a YUV4MPEG2 file."""
    chroma = "420mpeg2" if format.pixel_format == "yuv420p" else _tag(format.bit_depth, format.chroma)
    span = "" if colour is None else f" XCOLORRANGE={'FULL' if colour.full_range else 'LIMITED'}"
    rate = f"{frame_rate.numerator}:{frame_rate.denominator}"
    return f"YUV4MPEG2 W{format.width} H{format.height} F{rate} Ip A1:1 C{chroma}{span}\n".encode()


def write_y4m(
    path: Path,
    format: VideoFormat,
    frame_rate: Fraction,
    frames: Iterable[Frame],
    colour: Colour | None = None,
) -> int:
    """Write a Y4M file and return the number of frames in it.

    The bytes depend on the arguments alone, so that a file's digest identifies its content. Of the colour, the format
    has words for the range only.
    """
    count = 0
    with path.open("wb") as stream:
        stream.write(header(format, frame_rate, colour))
        for frame in frames:
            stream.write(b"FRAME\n")
            stream.write(join_planes(frame))
            count += 1
        stream.flush()
        os.fsync(stream.fileno())
    return count
