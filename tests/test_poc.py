"""The picture order count of H.266 in real units of VTM 23.13, and in headers made bit by bit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.codec.poc import shifted

START = b"\0\0\0\1"

# Beginnings of slices, as VTM 23.13 (low delay, then random access) wrote them for frames alone, and for the same ones
# in the stream of the whole, from 16 and from 32 on.
VTM = [
    ("0041c400a007f8f4d64c73", "0041c440a007f8f4d64c73", 16),
    ("00019404ad406fac0e92fac0", "00019444ad406fac0e92fac0", 16),
    ("0001943c8db098c0e142f3347ea29240", "0001947c8db098c0e142f3347ea29240", 16),
    ("00019408ad48af9568828eccc0ad80", "00019448ad48af9568828eccc0ad80", 16),
    ("000d940c831eae20cc605dc0", "000d948c831eae20cc605dc0", 32),
    ("000d943ca30ba9222f5131807d3bdb16731780", "000d94bca30ba9222f5131807d3bdb16731780", 32),
]


@pytest.mark.parametrize(("alone", "within", "frames"), VTM)
def test_units_of_vtm_are_those_of_the_whole(alone: str, within: str, frames: int) -> None:
    before, after = bytes.fromhex(alone), bytes.fromhex(within)
    assert shifted(START + before, frames, 8) == START + after
    assert shifted(START + after, 256 - frames, 8) == START + before


def test_every_unit_of_a_stream_is_changed_and_parameter_sets_are_not() -> None:
    sets = START + bytes.fromhex("0079000d82") + b"\0\0\1" + bytes.fromhex("008192")
    alone = sets + b"".join(START + bytes.fromhex(unit) for unit, _, by in VTM if by == 16)
    within = sets + b"".join(START + bytes.fromhex(unit) for _, unit, by in VTM if by == 16)
    assert shifted(alone, 16, 8) == within


def unit(count: int, bits: int, *, kind: int, intra: bool, inter: bool, pps: int, tail: str = "1" * 40) -> bytes:
    """A slice with its picture header, or a picture header, by the tables of sections 7.3.2.8 and 7.3.7."""
    stop = f"{pps + 1:b}"
    header = f"{intra:b}0" + ("0" if intra else "") + ("10" if inter else "0") + "0" * (len(stop) - 1) + stop
    text = ("1" if kind < 12 else "") + header + f"{count:0{bits}b}" + tail
    text += "1" + "0" * (-(len(text) + 1) % 8)
    payload = int(text, 2).to_bytes(len(text) // 8)
    return bytes([0, kind << 3 | 1]) + escaped(payload)


def escaped(payload: bytes) -> bytes:
    """Emulation prevention, byte by byte, by section 7.4.2.1."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


@given(
    st.integers(4, 16),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 20),
    st.sampled_from([0, 1, 7, 8, 9, 19]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 63),
    st.text("01", max_size=80) | st.just("0" * 80),
)
def test_headers_made_by_the_tables(
    bits: int, count: int, by: int, kind: int, intra: bool, inter: bool, pps: int, tail: str
) -> None:
    top = 1 << bits
    before, after = (
        START + unit(value % top, bits, kind=kind, intra=intra, inter=inter, pps=pps, tail=tail)
        for value in (count, count + by)
    )
    assert shifted(before, by, bits) == after


def test_a_slice_without_a_picture_header_is_left_as_it_is() -> None:
    stream = START + bytes([0, 9, 0x45, 0x44, 0x40, 0x80])
    assert shifted(stream, 16, 8) == stream


def test_filler_after_slices_keeps_its_emulation_prevention() -> None:
    # cabac_zero_words, of section 7.3.2.12, end in a 3 that guards nothing that follows.
    body, changed = bytes.fromhex("00019404ad40"), bytes.fromhex("00019444ad40")
    words = b"\x80\0\0\3\0\0\3"
    assert shifted(START + body + words + START + body, 16, 8) == START + changed + words + START + changed


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_keep_their_length_but_for_emulation_prevention(data: bytes, by: int) -> None:
    out = shifted(data, by, 8)
    assert abs(len(out) - len(data)) <= data.count(b"\0\0") + 1 + len(re.findall(b"\0\0\1", data))
