"""Where in a file the parts of packets lie, and which ranges of it were lost on the way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tvc.bitstream import Packet, Reader
from tvc.errors import BitstreamError, RequestError

HEADER, KEY, TOKENS, LATENTS = "header", "key", "tokens", "latents"
"""Classes of parts: what a receiver is sure to get, tokens of intra packets, those of other packets, latents."""


class Part(NamedTuple):
    """Consecutive bytes of one class.

    Attributes:
        offset: of the first byte in the file.
        bytes: how many, at least 1.
        kind: one of the classes.
    """

    offset: int
    bytes: int
    kind: str


class Placed(NamedTuple):
    """A packet and where its payloads lie in the file.

    Attributes:
        first: number of its first slot.
        packet: as in the bitstream.
        discrete: offset of the tokens.
        continuous: offset of the latents.
        end: offset of the byte after.
    """

    first: int
    packet: Packet
    discrete: int
    continuous: int
    end: int


def placed(reader: Reader) -> Iterator[Placed]:
    """All packets of a bitstream. Raises BitstreamError as `Reader.packets` does."""
    position = len(reader.header.to_bytes())
    for first, packet in reader.packets():
        end = position + len(packet.to_bytes())
        continuous = end - len(packet.continuous)
        yield Placed(first, packet, continuous - len(packet.discrete), continuous, end)
        position = end


def parts(reader: Reader) -> Iterator[Part]:
    """The parts of a bitstream in the order of the file, without gaps; no token is decoded.

    Raises:
        BitstreamError: the packets are not what header and index say.
    """
    head = 0
    for at in placed(reader):
        for offset, size, kind in (
            (head, at.discrete - head, HEADER),
            (at.discrete, len(at.packet.discrete), KEY if at.packet.intra else TOKENS),
            (at.continuous, len(at.packet.continuous), LATENTS),
        ):
            if size:
                yield Part(offset, size, kind)
        head = at.end
    yield Part(head, reader.size - head, HEADER)


class Lost:
    """Ranges of bytes that did not arrive.

    Args:
        ranges: first byte and the byte after the last one; in any order, and they may overlap.
        size: of the file.

    Raises:
        RequestError: a range is empty or reaches beyond the file.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]], size: int) -> None:
        self._ranges: list[tuple[int, int]] = []
        for start, end in sorted(ranges):
            if not 0 <= start < end <= size:
                raise RequestError(
                    "a lost range is not one of this file", expected=f"0 <= START < END <= {size}", got=f"{start} {end}"
                )
            if self._ranges and start <= self._ranges[-1][1]:
                start, before = self._ranges.pop()
                end = max(end, before)
            self._ranges.append((start, end))

    def after(self, start: int, end: int) -> int | None:
        """How many bytes from `start` on arrived before the first lost one; None where all to `end` did."""
        place = bisect_right(self._ranges, start, key=lambda lost: lost[0])
        if place and start < min(end, self._ranges[place - 1][1]):
            return 0
        if place < len(self._ranges) and self._ranges[place][0] < end:
            return self._ranges[place][0] - start
        return None

    def check_heads(self, reader: Reader) -> None:
        """Refuse the loss of what tells how to read the rest.

        Raises:
            BitstreamError: header, index or the head of a packet was lost, or is damaged.
        """
        for part in parts(reader):
            hit = self.after(part.offset, part.offset + part.bytes)
            if part.kind == HEADER and hit is not None:
                raise BitstreamError(
                    "the header, the index or the head of a packet was lost",
                    where=f"byte {part.offset + hit}",
                    expected="lost bytes in tokens and latents alone",
                    fix="send these parts reliably: `tvc info --json` names them, class header",
                )


def read_lost(path: Path) -> list[tuple[int, int]]:
    """Lost ranges from a text file of lines `START END`, decimal, the end not included.

    Raises:
        RequestError: the file cannot be read, or a line is not such a range.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise RequestError("the list of lost ranges cannot be read", where=path, got=error) from error
    ranges = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        # Digits are counted: Python refuses to read thousands of them, and no file is that long.
        if len(words) != 2 or not all(word.isdecimal() and len(word) <= 18 for word in words):
            raise RequestError(
                "a line is not a lost range", where=f"{path}, line {number}", expected="START END", got=repr(line[:80])
            )
        ranges.append((int(words[0]), int(words[1])))
    return ranges
