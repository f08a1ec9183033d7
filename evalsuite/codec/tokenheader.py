"""The header of a tokenizer's bitstream, of about 20 bytes.

"EVT" and the format's version, 1; flags: 1 BT.709, 2 full range, 4 ten bit, 8 BT.2020 (with neither 1 nor 8: BT.601);
then as variable-length numbers (LEB128): pair of models, width, height, frames, frame rate (numerator, denominator);
and for latents: channels (LEB128) and quantisation step (float32, big endian).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from evalsuite.errors import MediaError
from evalsuite.sources.y4m import check_sides
from evalsuite.types import Colour, VideoFormat

_MAGIC = b"EVT\x01"
_BT709, _FULL_RANGE, _TEN_BIT, _BT2020 = 1, 2, 4, 8
_MOST_FRAMES = 1 << 24
_MOST_CHANNELS = 1024


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says before its tokens."""

    pair: int
    """Number of the pair of models, from 0."""
    format: VideoFormat
    frames: int
    frame_rate: Fraction
    colour: Colour
    channels: int = 0
    """Of the latents; 0 for tokens."""
    step: float = 0.0
    """Of the latents' quantisation."""

    def to_bytes(self) -> bytes:
        """All but the checksum."""
        flags = (
            _BT709 * (self.colour.matrix == "bt709")
            + _FULL_RANGE * self.colour.full_range
            + _TEN_BIT * (self.format.bit_depth == 10)
            + _BT2020 * (self.colour.matrix == "bt2020")
        )
        rate = self.frame_rate
        numbers = (self.pair, self.format.width, self.format.height, self.frames, rate.numerator, rate.denominator)
        latents = _number(self.channels) + struct.pack(">f", self.step) if self.channels else b""
        return _MAGIC + bytes([flags]) + b"".join(map(_number, numbers)) + latents


def _number(value: int) -> bytes:
    """LEB128: seven bits a byte, the least significant first, the top bit set on all but the last."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


class Fields:
    """Bytes of the file `where`, taken one field after the other.

    Raises:
        MediaError: the bytes end, or a number is out of range.
    """

    def __init__(self, data: bytes, where: Path) -> None:
        self._data = data
        self.where = where
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise MediaError("the bitstream ends inside its header", where=self.where)
        self.at += count
        return taken

    def number(self, name: str, least: int, most: int) -> int:
        """The next number, from `least` to `most`."""
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                break
        if not least <= value <= most:
            raise MediaError(
                f"the bitstream's {name} is out of range", where=self.where, expected=f"{least} to {most}", got=value
            )
        return value


def parse_header(fields: Fields, *, latents: bool) -> Header:
    """The header that `to_bytes` wrote.

    Raises:
        MediaError: another format, or something that no video has.
    """
    if (magic := fields.take(4)) != _MAGIC:
        raise MediaError("not a tokenizer's bitstream of this version", where=fields.where, got=repr(magic))
    flags = fields.take(1)[0]
    pair = fields.number("pair of models", 0, 255)
    width, height = (fields.number(name, 1, 1 << 20) for name in ("width", "height"))
    check_sides(width, height, fields.where)
    frames = fields.number("number of frames", 1, _MOST_FRAMES)
    rate = Fraction(*(fields.number("frame rate", 1, (1 << 32) - 1) for _ in range(2)))
    channels, step = 0, 0.0
    if latents:
        channels = fields.number("number of channels", 1, _MOST_CHANNELS)
        (step,) = struct.unpack(">f", fields.take(4))
        if not (math.isfinite(step) and step > 0):
            raise MediaError("the bitstream's quantisation step is out of range", where=fields.where, got=step)
    return Header(
        pair=pair,
        format=VideoFormat(width, height, 10 if flags & _TEN_BIT else 8),
        frames=frames,
        frame_rate=rate,
        colour=Colour(
            "bt2020" if flags & _BT2020 else "bt709" if flags & _BT709 else "bt601", bool(flags & _FULL_RANGE)
        ),
        channels=channels,
        step=step,
    )
