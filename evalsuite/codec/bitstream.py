"""What is inside a bitstream: how many of its bytes are payload, which units it is made of, and what each frame takes.

The rate is the size of what the decoder is given, never a log's. Only a container's own bytes are left out, and only
where no elementary stream exists (VP9 in IVF).
Sources: ITU-T H.264, H.265, H.266 annex B and tables of NAL unit types; AV1 bitstream specification section 5.3;
IVF header as written by libvpx (ivfenc.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from evalsuite.errors import MediaError

Container = Literal["annexb", "obu", "ivf", "none"]
"""NAL units behind start codes; low-overhead OBUs; IVF; a format of its own, all of which counts."""

Standard = Literal["h264", "hevc", "vvc", "av1", "vp9", ""]

IVF_HEADER_BYTES = 32
IVF_FRAME_HEADER_BYTES = 12

# (SEI, access unit delimiter, filler and end-of-stream types), by the tables of NAL unit types.
_NAL_EXTRAS: dict[str, dict[int, str]] = {
    "h264": {6: "SEI", 9: "access unit delimiter", 12: "filler data"},
    "hevc": {39: "SEI", 40: "SEI", 35: "access unit delimiter", 38: "filler data"},
    "vvc": {23: "SEI", 24: "SEI", 20: "access unit delimiter", 25: "filler data"},
}
_OBU_EXTRAS = {5: "metadata", 15: "padding"}
_TEMPORAL_DELIMITER = 2

# Coded slices, by the same tables.
_SLICES: dict[str, range] = {"h264": range(1, 6), "hevc": range(32), "vvc": range(12)}
# What follows the slices of its picture: end of sequence and of stream, filler data, suffix SEI and parameter sets.
_SUFFIXES: dict[str, frozenset[int]] = {
    "h264": frozenset({10, 11, 12}),
    "hevc": frozenset({36, 37, 38, 40}),
    "vvc": frozenset({18, 21, 22, 24, 25}),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """One NAL unit, OBU or IVF frame."""

    kind: int
    """NAL unit type or OBU type; 0 for an IVF frame."""
    size_bytes: int
    """With its header, without the start code, OBU size field or IVF frame header."""
    extra: str = ""
    """What it is where no decoder needs it: SEI, metadata, padding; empty for what carries the video."""


def payload_bytes(path: Path, container: Container) -> int:
    """The bytes that count as rate: those of the file, less those of IVF where that is the container.

    Raises:
        MediaError: the file cannot be read, or is not a whole IVF file that has a frame.
    """
    data = _read(path)
    if container != "ivf":
        return len(data)
    size = sum(len(frame) for frame in _ivf_frames(data, path))
    if not size:
        raise _damaged(path, len(data), "an IVF frame")
    return size


def units(path: Path, container: Container, standard: Standard) -> list[Unit]:
    """The units a bitstream is made of, in file order; none for a format of its own.

    Raises:
        MediaError: the file cannot be read, or is damaged where its units begin or end.
    """
    data = _read(path)
    match container:
        case "annexb":
            return [_nal(nal, standard) for _, nal in _nal_units(data, path)]
        case "obu":
            return [Unit(kind, size, _OBU_EXTRAS.get(kind, "")) for _, kind, size in _obus(data, path)]
        case "ivf":
            return [Unit(0, len(frame)) for frame in _ivf_frames(data, path)]
        case _:
            return []


def access_unit_bytes(path: Path, container: Container, standard: Standard) -> tuple[int, ...] | None:
    """The bytes of each frame in the order of transmission, as `access_units` has them.

    Returns:
        None for a format of its own.

    Raises:
        MediaError: the file cannot be read, or is damaged where its units begin or end.
    """
    found = access_units(path, container, standard)
    return None if found is None else tuple(map(len, found))


def access_units(path: Path, container: Container, standard: Standard) -> list[bytes] | None:
    """Each frame in the order of transmission; together they are all that `payload_bytes` counts.

    A frame is an access unit with its parameter sets and start codes (H.264 section 7.4.1.2.3, H.265 and H.266 section
    7.4.2.4), a temporal unit with its delimiter (AV1), or a frame of IVF.

    Returns:
        None for a format of its own.

    Raises:
        MediaError: the file cannot be read, or is damaged where its units begin or end.
    """
    data = _read(path)
    match container:
        case "annexb" if standard in _SLICES:
            starts = list(_access_units(data, standard, path))
        case "obu":
            starts = [offset for offset, kind, _ in _obus(data, path) if kind == _TEMPORAL_DELIMITER]
        case "ivf":
            return list(_ivf_frames(data, path))
        case _:
            return None
    # What stands before the first frame belongs to it.
    return [data[start:end] for start, end in pairwise([0, *starts[1:], len(data)])]


def nal_units(access_unit: bytes, standard: Standard, where: Path) -> list[tuple[int, bytes]]:
    """Type and bytes of each NAL unit of an access unit, start code and all; together they are the whole of it.

    Raises:
        MediaError: it does not begin with a start code.
    """
    found = list(_nal_units(access_unit, where))
    edges = [*(offset for offset, _ in found), len(access_unit)]
    pieces = (access_unit[start:end] for start, end in pairwise(edges))
    return [(_nal(nal, standard).kind, piece) for (_, nal), piece in zip(found, pieces, strict=True)]


def _access_units(data: bytes, standard: Standard, path: Path) -> Iterator[int]:
    """Where each access unit begins: at the first unit after the slices of a picture that is not of that picture."""
    slices, suffixes = _SLICES[standard], _SUFFIXES[standard]
    complete = True
    for offset, nal in _nal_units(data, path):
        kind = _nal(nal, standard).kind
        if kind in slices:
            # The first bit of a slice header: the first slice of a picture (H.265), address 0 as an Exp-Golomb code
            # (H.264), or a picture header within it (H.266).
            header = 1 if standard == "h264" else 2
            begins = complete and len(nal) > header and bool(nal[header] & 0x80)
        else:
            begins = complete and kind not in suffixes
        if begins:
            yield offset
            complete = False
        complete = complete or kind in slices


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"the bitstream cannot be read: {error.strerror}", where=path) from error


def _damaged(path: Path, offset: int, expected: str) -> MediaError:
    return MediaError(
        "the bitstream is damaged or truncated",
        where=f"{path}, byte {offset}",
        expected=expected,
        fix="encode it again",
    )


def _nal(nal: bytes, standard: Standard) -> Unit:
    if standard == "h264":
        kind = nal[0] & 0x1F
    elif standard == "hevc":
        kind = nal[0] >> 1 & 0x3F
    else:
        # H.266 puts the type into the second byte of the header.
        kind = nal[1] >> 3 if len(nal) > 1 else 0
    return Unit(kind, len(nal), _NAL_EXTRAS.get(standard, {}).get(kind, ""))


def _nal_units(data: bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """Each NAL unit, and where the zeros of its start code begin."""
    starts = [match.end() for match in re.finditer(b"\0\0\1", data)]
    if not starts or data[: starts[0] - 3].strip(b"\0"):
        raise _damaged(path, 0, "an annex B start code (00 00 01)")
    end = 0
    for start, following in zip(starts, [*starts[1:], len(data) + 3], strict=True):
        # Zeros before the next start code belong to it: a NAL unit never ends with one.
        nal = data[start : following - 3].rstrip(b"\0")
        if not nal:
            raise _damaged(path, start, "a NAL unit after the start code")
        yield end, nal
        end = start + len(nal)


def _obus(data: bytes, path: Path) -> Iterator[tuple[int, int, int]]:
    """Offset, type and size of each OBU."""
    offset = 0
    while offset < len(data):
        header = data[offset]
        if header & 0x80 or not header & 0x02:
            raise _damaged(path, offset, "an OBU header with a size field")
        has_extension = header >> 2 & 1
        size, size_bytes = _leb128(data, offset + 1 + has_extension, path)
        end = offset + 1 + has_extension + size_bytes + size
        if end > len(data):
            raise _damaged(path, offset, f"an OBU of {size} bytes")
        yield offset, header >> 3 & 0x0F, 1 + has_extension + size
        offset = end


def _leb128(data: bytes, offset: int, path: Path) -> tuple[int, int]:
    """The value at `offset` and the bytes it takes."""
    value = 0
    for index, byte in enumerate(data[offset : offset + 8]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, index + 1
    raise _damaged(path, offset, "an OBU size of at most 8 bytes")


def _ivf_frames(data: bytes, path: Path) -> Iterator[bytes]:
    if len(data) < IVF_HEADER_BYTES or data[:4] != b"DKIF":
        raise _damaged(path, 0, "an IVF header (DKIF)")
    offset = int.from_bytes(data[6:8], "little")
    if offset < IVF_HEADER_BYTES:
        raise _damaged(path, 6, f"an IVF header of at least {IVF_HEADER_BYTES} bytes")
    while offset < len(data):
        size = int.from_bytes(data[offset : offset + 4], "little")
        start = offset + IVF_FRAME_HEADER_BYTES
        if start + size > len(data):
            raise _damaged(path, offset, f"an IVF frame of {size} bytes")
        yield data[start : start + size]
        offset = start + size
