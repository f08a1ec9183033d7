"""tvc.bitstream: the format byte by byte, and what it says about files that are not whole."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tvc.bitstream import LARGEST_AREA, Header, Packet, Reader, Writer, tokens_at, varint
from tvc.errors import BitstreamError
from tvc.operating import POINTS
from tvc.video import CHROMA, RANGES, Format

MODEL = bytes(range(8))


def _packet(slots: int = 8, *, intra: bool = False, q: int = 32, discrete: bytes = b"D" * 20) -> Packet:
    return Packet(intra, slots, POINTS[q], 0x01020304, discrete, b"C" * 5 if q < 32 else b"")


def _file(packets: list[Packet], frames: int, width: int = 64, height: int = 48) -> bytes:
    writer, output = Writer(io.BytesIO()), io.BytesIO()
    for packet in packets:
        writer.add(packet)
    size = writer.finish(Header(Format(width, height, Fraction(25)), frames, MODEL), output)
    assert size == len(output.getvalue())
    return output.getvalue()


def _crc(data: bytes, seed: int = 0) -> bytes:
    return zlib.crc32(data, seed).to_bytes(4, "little")


def test_header_byte_by_byte():
    header = Header(Format(176, 144, Fraction(30000, 1001), "420mpeg2", False), 90, MODEL)
    body = b"TVC\x05" + MODEL
    body += b"\xb0\x01"  # 176 = 1 * 128 + 48
    body += b"\x90\x01"  # 144
    body += b"\xb0\xea\x01"  # 30000 = 1 * 16384 + 106 * 128 + 48
    body += b"\xe9\x07"  # 1001
    body += b"\x5a"  # 90 frames
    body += bytes([1 | 2 << 2 | 2 << 4])  # limited range, mpeg2 siting, 2 frames repeated
    assert header.to_bytes() == body + _crc(body)
    resized = body[:-1] + bytes([body[-1] | 1 << 6]) + bytes([11, 14])  # 11 rows of 14 tokens
    assert replace(header, coded=(11, 14)).to_bytes() == resized + _crc(resized)


def test_packet_byte_by_byte():
    packet = Packet(True, 8, POINTS[20], 0xA1B2C3D4, b"d" * 300, b"c" * 3)
    head = bytes([0b10_1_00111, 20]) + b"\xac\x02" + b"\x03" + bytes.fromhex("d4c3b2a1")
    assert packet.to_bytes() == head + b"d" * 300 + b"ccc"


def test_file_byte_by_byte():
    packets = [_packet(intra=True), _packet(), _packet(4, intra=True)]
    data = _file(packets, 79)
    head = Header(Format(64, 48, Fraction(25)), 79, MODEL).to_bytes()
    body = b"".join(packet.to_bytes() for packet in packets)
    entries = bytes([2 * 27, 16])  # two packets of 27 bytes, 16 slots before the second intra packet
    assert data == head + body + entries + _crc(entries + b"\x02", zlib.crc32(head)) + b"\x02"


@settings(deadline=None)
@given(
    st.integers(1, 4096),
    st.integers(1, 2048),
    st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=100_000),
    st.integers(1, 2**32),
    st.sampled_from(CHROMA),
    st.sampled_from(RANGES),
    st.none() | st.floats(0.25, 4),
)
def test_any_header_comes_back(width, height, rate, frames, chroma, full_range, scale):
    coded = None if scale is None else (tokens_at(height, scale), tokens_at(width, scale))
    assume(coded is None or 256 * coded[0] * coded[1] <= LARGEST_AREA)
    header = Header(Format(width, height, rate, chroma, full_range), frames, MODEL, coded)
    data = header.to_bytes()
    assert Reader(data + _crc(b"\0", zlib.crc32(data)) + b"\0").header == header


@given(st.integers(0, 2**35 - 1))
def test_varint_is_leb128(number):
    data = varint(number)
    assert sum((byte & 127) << 7 * i for i, byte in enumerate(data)) == number
    assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]


@pytest.mark.parametrize("q", [0, 32, 63])
def test_packet_overhead_is_at_most_12_bytes(q):
    largest = Packet(True, 32, POINTS[q], 2**32 - 1, bytes(2**21 - 1), bytes(2**21 - 1) if q < 32 else b"")
    assert len(largest.to_bytes()) - len(largest.discrete) - len(largest.continuous) <= 12


@pytest.mark.parametrize(
    ("q", "discrete", "continuous", "beside"),
    [(32, 127, 0, 7), (63, 128, 0, 8), (32, 2**14 - 1, 0, 8), (0, 1, 1, 8), (0, 2**14 - 1, 2**14 - 1, 10)],
)
def test_packet_overhead_is_7_to_10_bytes_below_16_kb(q, discrete, continuous, beside):
    # Two bytes, a checksum of four, and a length of one byte below 128 and of two below 16,384 for each payload.
    packet = Packet(True, 1, POINTS[q], 0, bytes(discrete), bytes(continuous))
    assert len(packet.to_bytes()) - discrete - continuous == beside


def test_packets_come_back_with_their_slots():
    packets = [_packet(intra=True, q=3), _packet(q=50), _packet(4, intra=True)]
    reader = Reader(_file(packets, 78))
    assert list(reader.packets()) == [(0, packets[0]), (8, packets[1]), (16, packets[2])]
    assert [first for first, _ in reader.packets(15)] == [0, 8, 16]
    assert [first for first, _ in reader.packets(16)] == [16]
    assert reader.gops == 2


def _read_all(data: bytes) -> None:
    list(Reader(data).packets())


def test_every_truncation_says_so():
    data = _file([_packet(intra=True), _packet(), _packet(4, intra=True)], 79)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            _read_all(data[:length])


def test_every_flipped_bit_outside_the_payloads_is_found():
    data = _file([_packet(intra=True, discrete=b"")], 32)
    packet = len(data) - 5 - 7  # flags, q, length, 4 bytes of checksum; then 5 bytes of index
    with_tokens = {packet + 1, *range(packet + 3, packet + 7)}
    for position in range(8 * len(data)):
        if position // 8 in with_tokens:
            continue  # q and the checksum: found when the tokens are decoded
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        with pytest.raises(BitstreamError):
            _read_all(bytes(broken))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 6])
def test_unknown_version_says_so(version):
    data = bytearray(_file([_packet(intra=True)], 32))
    data[3] = version
    with pytest.raises(BitstreamError, match="version"):
        Reader(bytes(data))


def test_other_weights_say_so():
    reader = Reader(_file([_packet(intra=True)], 32))
    reader.check_model(MODEL)
    with pytest.raises(BitstreamError, match="other weights"):
        reader.check_model(bytes(8))


@pytest.mark.parametrize("data", [b"", b"T", b"RIFF" * 20, b"\0" * 100, b"YUV4MPEG2 W2 H2\n"])
def test_foreign_files_say_so(data):
    with pytest.raises(BitstreamError, match="not a tvc bitstream"):
        Reader(data)


def test_a_damaged_file_keeps_its_name_in_the_error():
    with pytest.raises(BitstreamError, match=r"clip\.tvc"):
        Reader(b"TVC\x03" + bytes(20), "clip.tvc")


@pytest.mark.parametrize(
    ("packets", "frames"),
    [
        ([_packet(intra=True)], 33),  # fewer frames than the header says
        ([_packet(intra=True)], 28),  # more
        ([_packet(intra=True), _packet(intra=True)], 32),
        ([_packet()], 32),  # no intra packet at the start
        ([], 4),
    ],
)
def test_packets_that_do_not_add_up(packets, frames):
    with pytest.raises(BitstreamError):
        _read_all(_file(packets, frames))


def test_spliced_packets_are_not_where_the_index_says():
    packets = [_packet(intra=True), _packet(discrete=b"x" * 30), _packet(intra=True)]
    data = _file(packets, 96)
    start = len(Header(Format(64, 48, Fraction(25)), 96, MODEL).to_bytes())
    parts = [packet.to_bytes() for packet in packets]
    swapped = data[:start] + parts[0] + parts[2] + parts[1] + data[start + sum(map(len, parts)) :]
    with pytest.raises(BitstreamError, match="index disagree"):
        _read_all(swapped)


def _header_with(*numbers: int, flags: int = 0) -> bytes:
    body = b"TVC\x05" + MODEL + b"".join(map(varint, numbers)) + bytes([flags])
    return body + _crc(body)


@pytest.mark.parametrize(
    "header",
    [
        _header_with(16384, 16384, 25, 1, 4),
        _header_with(2**34, 2**34, 25, 1, 4),
        _header_with(0, 16, 25, 1, 4),
        _header_with(16, 16, 25, 0, 4),
        _header_with(16, 16, 0, 1, 4),
        _header_with(16, 16, 50, 2, 4),
        _header_with(16, 16, 25, 1, 0),
        _header_with(16, 16, 25, 1, 4, flags=3),
        _header_with(16, 16, 25, 1, 4, flags=1 << 4),
        _header_with(16, 16, 25, 1, 4, flags=1 << 6),
    ],
)
def test_headers_that_no_encoder_writes_are_refused_before_anything_is_allocated(header):
    with pytest.raises(BitstreamError):
        Reader(header + _crc(b"\0", zlib.crc32(header)) + b"\0")


@pytest.mark.parametrize(
    "entries",
    [
        [0, 4],  # not after the first
        [6, 4],  # inside it: no packet is so short
        [27, 0],
        [27, 100],
        [10_000, 4],
        [27],
        [2**34, 2**34],
    ],
)
def test_an_index_that_points_nowhere_is_refused(entries):
    header = _header_with(64, 48, 25, 1, 64)
    packets = _packet(intra=True).to_bytes() + _packet(intra=True).to_bytes()
    body = b"".join(map(varint, entries))
    length = varint(len(body))
    with pytest.raises(BitstreamError):
        _read_all(header + packets + body + _crc(body + length, zlib.crc32(header)) + length)


def test_too_many_slots_for_a_large_frame_are_refused():
    data = _file([_packet(32, intra=True)], 128, 3840, 2160)
    with pytest.raises(BitstreamError, match="more frames than one may have"):
        _read_all(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_one_kind_of_error(data):
    with pytest.raises(BitstreamError):
        _read_all(data)
    with pytest.raises(BitstreamError):
        _read_all(_header_with(64, 48, 25, 1, 64) + data)


def test_an_index_of_many_random_access_points_comes_back():
    reader = Reader(_file([_packet(1, intra=True) for _ in range(300)], 1200))
    assert reader.gops == 300
    assert [first for first, _ in reader.packets(297)] == [297, 298, 299]
