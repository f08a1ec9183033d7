"""The tvc file: header, packets, index. Byte by byte in docs/tvc.md.

Everything read here is checked against what is there before anything is allocated by it.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from mmap import mmap
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.errors import BitstreamError
from tvc.fields import Fields, varint
from tvc.operating import POINTS, Point
from tvc.video import CHROMA, LARGEST_SIDE, RANGES, Format

MAGIC = b"TVC"
VERSION = 5
HASH_BYTES = 8
LARGEST_AREA = 1 << 23
"""Luma samples of a padded or resized frame: UHD fits. It bounds what a damaged header can make a decoder allocate."""

SCALES = 0.25, 4.0
"""The smallest and the largest size that frames are coded at, as multiples of their height and width."""

MAX_SLOTS = 32
"""Slots of one packet: the field has five bits."""

MAX_PACKET_TOKENS = 1 << 17
"""Tokens of one packet, unless it is a single slot: it bounds the time until a damaged packet is noticed."""

SPOOL_BYTES = 8 << 20
"""Packets of a bitstream in the making are kept in memory up to here, beyond it on disk."""

_SYNC = 0b10
_CRC_BYTES = 4
_LARGEST_HEADER = 64
_LEAST_PACKET = 7
"""Bytes of a packet without payloads."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a bitstream says of its video.

    Attributes:
        format: geometry, frame rate and colour of the frames.
        frames: how many there are.
        model: hash of the weights that made it and that decode it.
        coded: rows and columns of tokens that frames were resized for; None: frames were padded to whole tokens.
    """

    format: Format
    frames: int
    model: bytes
    coded: tuple[int, int] | None = None

    @property
    def slots(self) -> int:
        """Groups of four frames; the last one is filled by repetition."""
        return -(-self.frames // SLOT_FRAMES)

    @property
    def tokens(self) -> tuple[int, int]:
        """Rows and columns of tokens in a slot."""
        if self.coded is not None:
            return self.coded
        return -(-self.format.height // TOKEN_PIXELS), -(-self.format.width // TOKEN_PIXELS)

    @property
    def most_slots(self) -> int:
        """The largest number of slots that a packet may have."""
        rows, columns = self.tokens
        return min(max(MAX_PACKET_TOKENS // (rows * columns), 1), MAX_SLOTS)

    def to_bytes(self) -> bytes:
        """The header as it stands in the file."""
        format, rate = self.format, self.format.rate
        flags = (
            RANGES.index(format.full_range)
            | CHROMA.index(format.chroma) << 2
            | (self.slots * SLOT_FRAMES - self.frames) << 4
            | (self.coded is not None) << 6
        )
        numbers = (format.width, format.height, rate.numerator, rate.denominator, self.frames)
        body = MAGIC + bytes([VERSION]) + self.model + b"".join(map(varint, numbers)) + bytes([flags])
        body += b"".join(map(varint, self.coded or ()))
        return body + _crc(body)

    @property
    def seed(self) -> int:
        """Where every checksum of packets starts, so that a packet of another video does not pass.

        Without the number of frames, which an encoder that reads a pipe learns last.
        """
        format = self.format
        numbers = (format.width, format.height, format.rate.numerator, format.rate.denominator, *(self.coded or ()))
        return zlib.crc32(self.model + b"".join(map(varint, numbers)))


@dataclass(frozen=True, slots=True)
class Packet:
    """Consecutive slots that were coded together.

    Attributes:
        intra: the first slot depends on nothing before it.
        slots: how many.
        point: the operating point.
        crc: checksum of the decoded tokens.
        discrete: coded tokens.
        continuous: coded latents; empty without.
    """

    intra: bool
    slots: int
    point: Point
    crc: int
    discrete: bytes
    continuous: bytes

    def to_bytes(self) -> bytes:
        """The packet as it stands in the file: at most 12 bytes and the two payloads."""
        head = bytes([_SYNC << 6 | self.intra << 5 | self.slots - 1, self.point.q]) + varint(len(self.discrete))
        if self.point.step_index is not None:
            head += varint(len(self.continuous))
        return head + self.crc.to_bytes(4, "little") + self.discrete + self.continuous


class Checksum:
    """The CRC-32 of a packet: of the header, the place, and every decoded token and latent.

    Args:
        seed: of the video, from `Header.seed`.
        first: number of the packet's first slot.
        intra: whether it is an intra packet.
        q: of its operating point.
    """

    def __init__(self, seed: int, first: int, intra: bool, q: int) -> None:
        self.value = zlib.crc32(first.to_bytes(5, "little") + bytes([intra, q]), seed)

    def add_tokens(self, codes: NDArray[np.int64], detail: NDArray[np.int64]) -> None:
        """Take in tokens and detail of a slot."""
        self.add(np.append(codes, detail))

    def add(self, symbols: NDArray[np.int64]) -> None:
        """Take in symbols, in 16 bits each."""
        self.value = zlib.crc32(symbols.astype("<i2").tobytes(), self.value)


def tokens_at(side: int, scale: float) -> int:
    """Tokens along a side of frames that are resized: as many as come nearest to the scale, one at least."""
    return max(1, round(side * scale / TOKEN_PIXELS))


class Writer:
    """Packets to a file: they are kept until the end, for the header says how many frames there are.

    Args:
        spool: a file that packets can be written to and read back from.
    """

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._bytes = 0
        self._slots = 0
        self._entries: list[tuple[int, int]] = []

    def add(self, packet: Packet) -> None:
        """Append a packet."""
        if packet.intra:
            self._entries.append((self._bytes, self._slots))
        data = packet.to_bytes()
        self._spool.write(data)
        self._bytes += len(data)
        self._slots += packet.slots

    def size(self, header: Header) -> int:
        """Bytes of a bitstream that ends here."""
        return len(header.to_bytes()) + self._bytes + len(index_bytes(self._entries, 0))

    def finish(self, header: Header, output: BinaryIO) -> int:
        """Write the whole bitstream; returns its size in bytes."""
        head = header.to_bytes()
        index = index_bytes(self._entries, zlib.crc32(head))
        output.write(head)
        self._spool.seek(0)
        while chunk := self._spool.read(1 << 20):
            output.write(chunk)
        output.write(index)
        return self.size(header)


class Reader:
    """A bitstream, checked as it is read.

    Args:
        data: the whole file.
        where: its name, for errors.

    Raises:
        BitstreamError: not a tvc bitstream, damaged, or of another version.
    """

    def __init__(self, data: bytes | mmap, where: object = None) -> None:
        self._data = data
        self._where = where
        self.size = len(data)
        head = bytes(data[:_LARGEST_HEADER])
        self.header, self._start = _parse_header(head, where)
        self._seed = zlib.crc32(head[: self._start])
        self._entries, self._end = self._parse_index()
        self.gops = len(self._entries)
        """Random-access points."""

    def check_model(self, model: bytes) -> None:
        """Refuse to decode with weights that did not make this bitstream.

        Raises:
            BitstreamError: with both hashes.
        """
        if model != self.header.model:
            raise BitstreamError(
                "the bitstream was made by other weights",
                where=self._where,
                expected=f"weights {self.header.model.hex()}",
                got=f"weights {model.hex()}",
                fix="decode with the weights that encoded it (--weights)",
            )

    def packets(self, slot: int = 0) -> Iterator[tuple[int, Packet]]:
        """Packets with the number of their first slot, from the last intra packet that is not after `slot`.

        Raises:
            BitstreamError: the packets are not what header and index say.
        """
        position, first = next(entry for entry in reversed(self._entries) if entry[1] <= slot)
        intra_at = dict(self._entries)
        while position < self._end:
            packet, after = self._parse_packet(position)
            if packet.intra != (intra_at.get(position) == first):
                raise self._damaged("a packet and the index disagree", position)
            if packet.slots > self.header.most_slots:
                raise self._damaged("a packet has more frames than one may have", position)
            if first + packet.slots > self.header.slots:
                raise self._damaged("there are more frames in the packets than the header says", position)
            yield first, packet
            position, first = after, first + packet.slots
        if first != self.header.slots:
            raise self._damaged("there are fewer frames in the packets than the header says", position)

    def _parse_packet(self, start: int) -> tuple[Packet, int]:
        fields = Fields(bytes(self._data[start : min(start + 16, self._end)]), start, self._where)
        flags, q = fields.byte(), fields.byte()
        if flags >> 6 != _SYNC:
            raise self._damaged("a packet does not begin where it should", start)
        if q >= len(POINTS):
            raise self._damaged("a packet has an operating point that does not exist", start)
        discrete = fields.varint()
        continuous = 0 if POINTS[q].step_index is None else fields.varint()
        crc = int.from_bytes(fields.take(_CRC_BYTES), "little")
        body = start + fields.position
        if body + discrete + continuous > self._end:
            raise self._damaged("a packet is longer than the file", start)
        middle, after = body + discrete, body + discrete + continuous
        payloads = bytes(self._data[body:middle]), bytes(self._data[middle:after])
        return Packet(bool(flags >> 5 & 1), (flags & 31) + 1, POINTS[q], crc, *payloads), after

    def _parse_index(self) -> tuple[list[tuple[int, int]], int]:
        """Position and first slot of every intra packet, and where the index begins."""
        # The length stands last, its bytes in reverse order, so that it can be read from the end.
        tail = Fields(bytes(self._data[max(self.size - 5, self._start) :])[::-1], 0, self._where)
        length = tail.varint()
        footer = tail.position + _CRC_BYTES
        end = self.size - footer - length
        if end < self._start:
            raise self._damaged("the end of the file is missing", self.size)
        body = bytes(self._data[end : end + length])
        if bytes(self._data[end + length : end + length + _CRC_BYTES]) != _crc(body + varint(length), self._seed):
            raise self._damaged("the end of the file is missing or not its own", end)
        fields = Fields(body, end, self._where)
        entries = [(self._start, 0)]
        while fields.position < length:
            position, slot = entries[-1][0] + fields.varint(), entries[-1][1] + fields.varint()
            room = entries[-1][0] + _LEAST_PACKET <= position <= end - _LEAST_PACKET
            if not room or not entries[-1][1] < slot < self.header.slots:
                raise self._damaged("the index points outside the file", end)
            entries.append((position, slot))
        return entries, end

    def _damaged(self, what: str, position: int) -> BitstreamError:
        where = f"byte {position}" if self._where is None else f"{self._where}, byte {position}"
        return BitstreamError(f"{what}: the bitstream is damaged", where=where, fix="fetch or make it again")


def index_bytes(entries: list[tuple[int, int]], seed: int) -> bytes:
    """Where the intra packets after the first one are, and the end of the file.

    Args:
        entries: byte offset from the first packet, and first slot, of every intra packet.
        seed: checksum of the header.
    """
    pairs = itertools.pairwise(entries)
    body = b"".join(varint(after[0] - before[0]) + varint(after[1] - before[1]) for before, after in pairs)
    length = varint(len(body))
    return body + _crc(body + length, seed) + length[::-1]


def _parse_header(data: bytes, where: object) -> tuple[Header, int]:
    if not data.startswith(MAGIC):
        raise BitstreamError("this is not a tvc bitstream", where=where, expected=MAGIC, got=data[: len(MAGIC)])
    fields = Fields(data, 0, where)
    fields.take(len(MAGIC))
    version = fields.byte()
    if version != VERSION:
        raise BitstreamError(
            "the bitstream is of a version that this tvc does not know",
            where=where,
            expected=f"version {VERSION}",
            got=f"version {version}",
            fix="decode it with the tvc that made it, or a newer one",
        )
    model = fields.take(HASH_BYTES)
    width, height, numerator, denominator, frames = (fields.varint() for _ in range(5))
    flags = fields.byte()
    coded = (fields.varint(), fields.varint()) if flags >> 6 & 1 else None
    body = data[: fields.position]
    if fields.take(_CRC_BYTES) != _crc(body):
        raise BitstreamError("the header is damaged: its checksum is wrong", where=where, fix="fetch or make it again")
    padded = -(-width // TOKEN_PIXELS) * -(-height // TOKEN_PIXELS) * TOKEN_PIXELS**2
    area = padded if coded is None else max(padded, coded[0] * coded[1] * TOKEN_PIXELS**2)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE and area <= LARGEST_AREA):
        raise BitstreamError(
            "the frames are larger than tvc codes",
            where=where,
            expected=f"1 to {LARGEST_SIDE} samples a side, {LARGEST_AREA} in all",
            got=f"{width}x{height}" + (f", coded in {coded[0]} rows of {coded[1]} tokens" if coded else ""),
        )
    # Resizing goes through frames as high as the one and as wide as the other: areas alone would not bound it.
    sides = () if coded is None else zip(coded, (height, width), strict=True)
    fit = all(tokens_at(side, SCALES[0]) <= tokens <= tokens_at(side, SCALES[1]) for tokens, side in sides)
    if not (numerator and denominator and frames and fit) or flags & 3 >= len(RANGES) or flags >> 7:
        raise BitstreamError("the header says what no encoder writes", where=where)
    format = Format(width, height, Fraction(numerator, denominator), CHROMA[flags >> 2 & 3], RANGES[flags & 3])
    header = Header(format, frames, model, coded)
    if header.to_bytes() != body + _crc(body):
        raise BitstreamError("the header contradicts itself", where=where)
    return header, fields.position


def _crc(data: bytes, seed: int = 0) -> bytes:
    return zlib.crc32(data, seed).to_bytes(4, "little")
