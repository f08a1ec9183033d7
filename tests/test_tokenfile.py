"""Token files: closed forms of their size, round trips, and what damaged ones do."""

from __future__ import annotations

import math
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.codec.tokencoding import (
    Reader,
    Writer,
    digits,
    frequencies,
    indices_of,
    pack,
    packed_bytes,
    unpack,
)
from evalsuite.codec.tokenfile import TokenFile, quantised, statistics, write
from evalsuite.codec.tokenheader import Header
from evalsuite.codec.tokenizer import Tokenizer, grouped, tokenizers
from evalsuite.errors import MediaError, RecipeError
from evalsuite.types import Colour, VideoFormat

FSQ = [8, 8, 8, 5, 5, 5]
same_folder = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one(**given: object) -> Tokenizer:
    return tokenizers(1, **{"window": 4, "temporal": 4, "spatial": 16, "levels": FSQ, **given})[0]


def header(frames: int, width: int = 64, height: int = 32, *, channels: int = 0, step: float = 0.0) -> Header:
    return Header(0, VideoFormat(width, height), frames, Fraction(30000, 1001), Colour("bt709"), channels, step)


def token_windows(tokenizer: Tokenizer, head: Header, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = tokenizer.latent_shape(head.frames, head.format.height, head.format.width)
    return [rng.integers(0, tokenizer.codebook, shape) for _ in range(tokenizer.windows(head.frames))]


# 4 magic, 1 flags, pair, width, height, frames of one byte, 30000 of three and 1001 of two, 4 checksum.
HEADER_BYTES = 4 + 1 + 4 + 3 + 2 + 4


@pytest.mark.parametrize(
    ("levels", "bits"), [([2], 1), ([8, 8, 8, 5, 5, 5], 16), ([2] * 18, 18), ([65536], 16), ([7, 5, 5, 5, 5], 13)]
)
def test_packed_tokens_take_the_bits_of_the_closed_form(levels: list[int], bits: int, tmp_path: Path) -> None:
    tokenizer, head = one(levels=levels, coding="packed"), header(frames=10)
    assert tokenizer.token_bits == bits == max(1, math.ceil(math.log2(math.prod(levels))))
    windows = token_windows(tokenizer, head)
    write(tmp_path / "t.bin", head, tokenizer, windows)
    # Three windows of one latent frame of 4 by 2 tokens.
    assert (tmp_path / "t.bin").stat().st_size == HEADER_BYTES + 3 * math.ceil(8 * bits / 8)
    for found, wanted in zip(TokenFile(tmp_path / "t.bin", (tokenizer,)), windows, strict=True):
        assert np.array_equal(found, wanted)


def test_the_first_bytes_are_as_documented(tmp_path: Path) -> None:
    tokenizer, head = one(coding="packed", levels=[256]), header(frames=3, width=300)
    write(tmp_path / "t.bin", head, tokenizer, [np.arange(38).reshape(1, 2, 19)])
    data = (tmp_path / "t.bin").read_bytes()
    # LEB128 by hand: 300 = 0b10_0101100, 30000 = 0b1_1101010_0110000, 1001 = 0b111_1101001.
    assert data[:16] == b"EVT\x01" + bytes([1, 0, 0xAC, 2, 32, 3, 0xB0, 0xEA, 1, 0xE9, 7]) + data[15:16]
    told = zlib.crc32(tokenizer.told().encode())
    assert struct.unpack(">I", data[15:19])[0] == zlib.crc32(data[19:], zlib.crc32(data[:15], told))
    assert data[19:] == bytes(range(38))


@given(st.integers(1, 24), st.lists(st.integers(0, (1 << 24) - 1), min_size=1, max_size=50))
def test_packing_is_what_python_writes_in_base_two(width: int, values: list[int]) -> None:
    values = [value % (1 << width) for value in values]
    text = "".join(format(value, f"0{width}b") for value in values)
    wanted = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    packed = pack(np.array(values), width)
    assert packed == wanted
    assert len(packed) == packed_bytes(len(values), width)
    assert unpack(packed, len(values), width).tolist() == values


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(0, 10**9))
def test_tokens_are_numbered_as_by_the_fsq_paper(levels: list[int], number: int) -> None:
    # Its appendix: basis = cumulative product of the levels, starting at 1.
    index = number % math.prod(levels)
    basis = np.concatenate(([1], np.cumprod(levels[:-1])))
    codes = digits(np.array([index]), tuple(levels))
    assert codes[:, 0].tolist() == [(index // int(base)) % count for base, count in zip(basis, levels, strict=True)]
    assert indices_of(codes, tuple(levels)).tolist() == [index]


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=256))
def test_frequencies_leave_room_for_every_symbol(counts: list[int]) -> None:
    found = frequencies(np.array(counts))
    assert found.sum() == 65536
    assert found.min() >= 1


@same_folder
@given(
    levels=st.lists(st.integers(2, 20), min_size=1, max_size=4),
    frames=st.integers(1, 40),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    temporal=st.integers(1, 4),
    causal=st.booleans(),
    whole=st.booleans(),
    coding=st.sampled_from(["packed", "adaptive"]),
    seed=st.integers(0, 99),
)
def test_tokens_come_back(
    levels: list[int],
    frames: int,
    width: int,
    height: int,
    temporal: int,
    causal: bool,
    whole: bool,
    coding: str,
    seed: int,
    tmp_path: Path,
) -> None:
    window = 0 if whole else temporal * 2 + causal
    tokenizer = one(levels=levels, window=window, temporal=temporal, causal=causal, coding=coding)
    head = header(frames, width, height)
    windows = token_windows(tokenizer, head, seed)
    write(tmp_path / "t.bin", head, tokenizer, windows)
    file = TokenFile(tmp_path / "t.bin", (tokenizer,))
    assert file.header == head
    found = list(file)
    assert len(found) == len(windows)
    assert all(np.array_equal(a, b) for a, b in zip(found, windows, strict=True))


@same_folder
@given(
    values=st.lists(st.integers(-32768, 32767), min_size=12, max_size=12),
    coding=st.sampled_from(["packed", "adaptive"]),
    shrink=st.sampled_from([1, 100, 30000]),
)
def test_latents_come_back(values: list[int], coding: str, shrink: int, tmp_path: Path) -> None:
    tokenizer = one(levels=None, latents=True, coding=coding)
    head = header(4, 32, 16, channels=3, step=0.5)
    windows = [np.array(values).reshape(3, 1, 1, 4)[..., :2] // shrink]
    write(tmp_path / "t.bin", head, tokenizer, windows)
    file = TokenFile(tmp_path / "t.bin", (tokenizer,))
    assert file.header == head
    assert [window.tolist() for window in file] == [windows[0].tolist()]


def test_packed_latents_take_the_width_of_their_spread(tmp_path: Path) -> None:
    tokenizer, head = one(levels=None, latents=True, coding="packed"), header(4, 64, 32, channels=2, step=1.0)
    write(tmp_path / "t.bin", head, tokenizer, [np.arange(16).reshape(2, 1, 2, 4) - 1000])
    # Channels (1) and step (4) in the header; least (2), width (1), and 16 values of 4 bits.
    assert (tmp_path / "t.bin").stat().st_size == HEADER_BYTES + 5 + 3 + 8


def test_adaptive_coding_comes_near_the_entropy_and_learns_what_repeats(tmp_path: Path) -> None:
    tokenizer = one(levels=[8, 8], spatial=1, window=4, temporal=1)
    head = header(64, 32, 32)
    rng = np.random.default_rng(3)
    shares = np.array([0.7, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01])
    codes = rng.choice(8, (2, 16, 4 * 32 * 32), p=shares)
    skewed = [indices_of(codes[:, index], (8, 8)).reshape(4, 32, 32) for index in range(16)]
    write(tmp_path / "skewed.bin", head, tokenizer, skewed)
    ideal = -codes.size * float(shares @ np.log2(shares)) / 8
    assert 0.99 * ideal < (tmp_path / "skewed.bin").stat().st_size < 1.01 * ideal
    still = [np.broadcast_to(window[:1], (4, 32, 32)) for window in skewed]
    write(tmp_path / "still.bin", head, tokenizer, still)
    # Three of four latent frames repeat the one before, which costs next to nothing.
    assert (tmp_path / "still.bin").stat().st_size < 0.26 * ideal


def test_statistics_are_what_a_histogram_says(tmp_path: Path) -> None:
    tokenizer, head = one(levels=[4], coding="packed"), header(frames=10)
    windows = [np.array([0, 0, 0, 0, 1, 1, 2, 3]).reshape(1, 2, 4)] * 3
    write(tmp_path / "t.bin", head, tokenizer, windows)
    told = statistics(TokenFile(tmp_path / "t.bin", (tokenizer,)))
    assert told["tokens"] == 24
    assert told["tokens_per_frame"] == pytest.approx(2.4)
    assert told["token_rate"] == told["sent_token_rate"] == pytest.approx(24 * 30000 / 1001 / 10)
    assert told["token_density"] == pytest.approx(24 / (64 * 32 * 10 / 1e6))
    assert told["bits_per_token"] == pytest.approx(2)
    # Entropy of 1/2, 1/4, 1/8, 1/8.
    assert told["codebook_perplexity"] == pytest.approx(2**1.75)
    assert (told["masked_share"], told["discrete_share"]) == (0, 1)


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path, tokenizer, head = tmp_path / "t.bin", one(), header(frames=10)
    write(path, head, tokenizer, token_windows(tokenizer, head))
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(broken)
        with pytest.raises(MediaError):
            TokenFile(path, (tokenizer,))
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(MediaError):
            TokenFile(path, (tokenizer,))


def test_other_settings_than_the_encoders_are_noticed(tmp_path: Path) -> None:
    path, tokenizer, head = tmp_path / "t.bin", one(), header(frames=10)
    write(path, head, tokenizer, token_windows(tokenizer, head))
    for other in (one(levels=FSQ[::-1]), one(coding="packed"), one(spatial=8), one(window=8)):
        with pytest.raises(MediaError, match="other settings"):
            TokenFile(path, (other,))
    with pytest.raises(MediaError, match="cannot be read"):
        TokenFile(tmp_path / "none.bin", (tokenizer,))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.binary(max_size=40),
    payload=st.binary(max_size=200),
    start=st.sampled_from([b"", b"EVT\x01", b"EVT\x01\x01\x00"]),
    latents=st.booleans(),
    coding=st.sampled_from(["packed", "adaptive"]),
)
def test_whatever_stands_in_a_file_is_read_or_refused_in_little_memory(
    head: bytes, payload: bytes, start: bytes, latents: bool, coding: str, tmp_path: Path
) -> None:
    tokenizer = one(levels=None if latents else FSQ, latents=latents, coding=coding, window=0)
    _read_bounded(tmp_path / "t.bin", start + head + payload, tokenizer)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 16384),
    height=st.integers(1, 16384),
    frames=st.integers(1, 1 << 24),
    payload=st.binary(max_size=300),
    latents=st.booleans(),
    coding=st.sampled_from(["packed", "adaptive"]),
    window=st.sampled_from([0, 4]),
)
def test_a_right_checksum_over_nonsense_is_refused_in_little_memory(
    width: int,
    height: int,
    frames: int,
    payload: bytes,
    latents: bool,
    coding: str,
    window: int,
    tmp_path: Path,
) -> None:
    tokenizer = one(levels=None if latents else FSQ, latents=latents, coding=coding, window=window)
    data = header(frames, width, height, channels=16 * latents, step=1.0).to_bytes()
    crc = zlib.crc32(payload, zlib.crc32(data, zlib.crc32(tokenizer.told().encode())))
    _read_bounded(tmp_path / "t.bin", data + struct.pack(">I", crc) + payload, tokenizer)


def _read_bounded(path: Path, data: bytes, tokenizer: Tokenizer) -> None:
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with suppress(MediaError):
            for _ in TokenFile(path, (tokenizer,)):
                pass
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_reader_of_nothing_ends(tmp_path: Path) -> None:
    coder, uniform = Reader(b""), np.full(2, 32768)
    with pytest.raises(MediaError, match="ends before its tokens do"):
        coder.code(uniform, None, 1000)


@given(st.integers(0, 10**6), st.integers(1, 400))
def test_any_distribution_comes_back(seed: int, count: int) -> None:
    rng = random.Random(seed)
    tables = [frequencies(np.array([rng.randrange(1, 10**6) for _ in range(rng.randrange(2, 256))])) for _ in range(3)]
    symbols = [np.array([rng.randrange(len(table)) for _ in range(count)]) for table in tables]
    writer = Writer()
    for table, given_symbols in zip(tables, symbols, strict=True):
        writer.code(table, given_symbols, count)
        writer.raw(given_symbols, count)
    reader = Reader(writer.finish())
    for table, wanted in zip(tables, symbols, strict=True):
        assert np.array_equal(reader.code(table, None, count), wanted)
        assert np.array_equal(reader.raw(None, count), wanted)


def test_quantised_latents_are_rounded_and_clipped() -> None:
    values = np.array([-0.26, 0.74, 1e9, -1e9, 0.0], np.float32)
    assert quantised(values, 0.5).tolist() == [-1, 1, 32767, -32768, 0]


@pytest.mark.parametrize(
    ("frames", "window", "temporal", "causal", "wanted"),
    [
        (60, 17, 8, True, (4, 3)),  # Cosmos DV8x8x8: 17 = 1 + 2 * 8
        (17, 17, 4, True, (1, 5)),
        (18, 17, 4, True, (2, 5)),
        (16, 16, 4, False, (1, 4)),
        (33, 0, 8, True, (1, 5)),
        (34, 0, 8, True, (1, 6)),
        (1, 0, 8, True, (1, 1)),
        (5, 0, 4, False, (1, 2)),
        (7, 1, 1, False, (7, 1)),
    ],
)
def test_trap_04_windows_are_whole_and_all_their_tokens_count(
    frames: int, window: int, temporal: int, causal: bool, wanted: tuple[int, int]
) -> None:
    tokenizer = one(window=window, temporal=temporal, causal=causal, spatial=8)
    assert (tokenizer.windows(frames), tokenizer.latent_shape(frames, 35, 64)[0]) == wanted
    # 35 rows need five rows of tokens.
    assert tokenizer.tokens(frames, 35, 64) == wanted[0] * wanted[1] * 5 * 8


def test_groups_are_filled_up_with_the_last_item() -> None:
    assert list(grouped("abcdefg", 3)) == [list("abc"), list("def"), list("ggg")]
    assert list(grouped("ab", 2)) == [["a", "b"]]
    assert list(grouped("", 2)) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window": 18, "temporal": 8, "causal": True}, "window"),
        ({"window": 17, "temporal": 8}, "window"),
        ({"levels": [1, 8]}, "levels"),
        ({"levels": [300], "coding": "adaptive"}, "levels"),
        ({"levels": [2] * 32, "coding": "packed"}, "levels"),
        ({"levels": "8"}, "levels"),
        ({"latents": True}, "levels"),
        ({"levels": None}, "levels"),
        ({"spatial": 0}, "spatial"),
        ({"spatial": True}, "spatial"),
        ({"spatial": [8, 16]}, "spatial"),
        ({"coding": "huffman"}, "coding"),
        ({"image": True}, "image"),
        ({"causal": 3}, "causal"),
        ({"windows": 3}, "windows"),
    ],
)
def test_settings_that_cannot_be_are_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RecipeError, match=f"the setting `{field}`"):
        one(**changes)
