"""The source's strength of detail: as a closed form says, told in few bits, given back and no more."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tvc
from tvc.bitstream import Reader
from tvc.decoder import decode_frames, decode_tokens
from tvc.detail import LEVELS, OCTAVES, cells, of_cells, restored, strengths
from tvc.entropy import Meter, Writer
from tvc.entropy import Reader as RangeReader
from tvc.operating import POINTS
from tvc.parts import placed
from tvc.slots import SlotCoder
from tvc.tables import TOTAL, moved_counts, near_counts
from tvc.video import Format, write_y4m

KINDS = ("tokens", "masked", "latents")


def wave(frequency: float, amplitude: float = 40.0) -> torch.Tensor:
    """Rows of a sine wave over 16384 columns, in 8-bit samples about 128, as the codec scales them: (4, 2, 16384)."""
    row = amplitude * torch.sin(frequency * torch.arange(16384, dtype=torch.float64))
    return (row / 128).float().expand(4, 2, -1).clone()


def everywhere(level: int, shape: tuple[int, int] = (1, 1)) -> np.ndarray:
    """This level in all cells."""
    return np.full((OCTAVES, *shape), level)


def rounded_strengths(luma: torch.Tensor, kind: str) -> np.ndarray:
    """Levels of a picture that is one cell."""
    return np.rint(of_cells(kind, strengths(luma, (1, 1)))).clip(0, LEVELS - 1).astype(np.int64)


def random_strengths(seed: int, tokens: tuple[int, int], side: int) -> np.ndarray:
    """Of cells of so many tokens; some are beyond the ends."""
    shape = OCTAVES, *(math.ceil(one / side) for one in tokens)
    return np.random.default_rng(seed).normal(LEVELS / 2, LEVELS / 3, shape).astype(np.float32)


def grainy() -> list[tuple[np.ndarray, ...]]:
    """Eight frames of 64 x 48 with more detail than any decoder gives them."""
    grain = np.random.default_rng(5).choice(np.array([90, 166], np.uint8), (8, 48, 64))
    grey = np.full((24, 32), 128, np.uint8)
    return [(luma, grey, grey) for luma in grain]


@pytest.mark.parametrize("frequency", [0.2, 0.7, 1.3, 2.5])
def test_the_strength_of_a_wave_is_that_of_the_filters(frequency):
    """1 4 6 4 1 over 16 passes cos(w / 2)**4 of a wave; of taps two samples apart, cos(w)**4."""
    smooth = math.cos(frequency / 2) ** 4
    shares = 1 - smooth, smooth * (1 - math.cos(frequency) ** 4)
    for told in strengths(wave(frequency), (1, 1)).values():
        assert told.shape == (OCTAVES, 1, 1)
        for level, share in zip(told[:, 0, 0], shares, strict=True):
            assert 0.25 * 2 ** (level / 2) == pytest.approx(40 / math.sqrt(2) * share, rel=0.01, abs=0.13)


@pytest.mark.parametrize("tokens", [(1, 1), (3, 4), (7, 9), (18, 22)])
@pytest.mark.parametrize("kind", KINDS)
def test_cells_are_squares_of_so_many_tokens(tokens, kind):
    side = 4 if kind == "masked" else 3
    expected = tuple(math.ceil(one / side) for one in tokens)
    assert cells(kind, tokens) == expected
    assert of_cells(kind, strengths(torch.rand(4, 50, 70), tokens)).shape == (OCTAVES, *expected)
    assert of_cells(kind, {}).size == 0


def test_a_cell_is_told_of_its_own_part_of_the_picture():
    """Grain in the lower right quarter of 6 x 6 tokens, four cells: the others see what the filter carries over."""
    luma = torch.zeros(4, 96, 96)
    luma[:, 48:, 48:] = torch.randint(0, 2, (4, 48, 48), generator=torch.Generator().manual_seed(3)) * 0.5
    finest = of_cells("tokens", strengths(luma, (6, 6)))[0]
    assert finest.shape == (2, 2)
    assert finest[1, 1] > max(finest[0, 1], finest[1, 0]) + 4
    assert finest[0, 0] < 0


def test_flat_frames_have_no_detail_and_nothing_is_made_of_it():
    flat = torch.full((4, 9, 7), 0.25)
    assert all((told <= 0).all() for told in strengths(flat, (2, 2)).values())
    for kind in KINDS:
        assert torch.allclose(restored(flat[None], everywhere(LEVELS - 1), kind)[0], flat, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (4, 4)])
def test_frames_of_few_samples_are_taken(size, kind):
    """Also frames whose own detail is weaker than the weakest level, and more cells than samples."""
    luma = torch.zeros(1, 4, *size)
    luma[..., 0, 0] = 0.003
    assert all(np.isfinite(told).all() for told in strengths(luma[0], (12, 12)).values())
    for level in (0, LEVELS - 1):
        assert restored(luma, everywhere(level, (4, 4)), kind).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("amplitude", [20.0, 80.0])
def test_other_strength_comes_nearer_to_that_of_the_source(kind, amplitude):
    """A wave of half the amplitude is as the decoder would blur it, one of twice as it may draw what is not there.

    Shares are 0.6 and more, and half a level is 19 %.
    """
    source, other = wave(2.5), wave(2.5, amplitude)
    restored_wave = restored(other[None], rounded_strengths(source, kind), kind)
    before, after, aim = (one.square().mean().sqrt() for one in (other, restored_wave, source))
    assert abs(after - aim) < 0.64 * abs(before - aim)


@pytest.mark.parametrize("levels", [(-2, 1), (1, -1), (2, 2)])
@pytest.mark.parametrize(("kind", "given"), [("latents", (1.0, 0.5)), ("tokens", (0.8, 0.8)), ("masked", (0.6, 0.8))])
def test_each_octave_is_brought_towards_its_strength_by_its_share(kind, given, levels):
    """The filters leave a wave a wave: what comes out is a multiple of it, by the strengths that are told."""
    frequency = 0.7
    smooth = math.cos(frequency / 2) ** 4
    own = 1 - smooth, smooth * (1 - math.cos(frequency) ** 4)
    luma = wave(frequency)
    told = rounded_strengths(luma, kind) + np.array(levels)[:, None, None]
    expected = 1.0
    for share, part, level in zip(given, own, told[:, 0, 0], strict=True):
        expected += part * min(share * (0.25 * 2 ** (level / 2) / (40 / math.sqrt(2) * part) - 1), 1.5)
    # Away from the ends, whose samples are repeated.
    middle = restored(luma[None], told, kind)[0, :, :, 100:-100]
    assert torch.allclose(middle, expected * luma[:, :, 100:-100], atol=0.002)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_as_strong_as_the_source_hardly_changes(kind):
    """Half a level is 2**0.25: 19 % of an octave."""
    luma = wave(1.3)
    octaves = math.sqrt(2) * 40 / 128
    assert (restored(luma[None], rounded_strengths(luma, kind), kind)[0] - luma).abs().max() < 0.19 * 2 * octaves


def test_gains_change_evenly_between_the_middles_of_cells():
    """Two cells side by side, the right one four times as strong: share 0.8 of a gain of 3, no more than 1.5."""
    luma = wave(2.5)[:, :, :160].repeat(1, 40, 1)[:, :80]
    told = rounded_strengths(luma, "tokens")
    strong = np.concatenate([told, np.minimum(told + 4, LEVELS - 1)], axis=2)
    ratio = (restored(luma[None], strong, "tokens")[0] / luma)[0, 40]
    left, middle, right = (float(ratio[a:b].nanmedian()) for a, b in ((10, 30), (75, 85), (130, 150)))
    assert left == pytest.approx(1, abs=0.2)
    # Nearly all of such a wave is in the two octaves.
    assert right == pytest.approx(2.5, abs=0.02)
    assert middle == pytest.approx((left + right) / 2, rel=0.1)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(KINDS), st.integers(0, 2**32 - 1)), min_size=1, max_size=6),
    st.tuples(st.integers(1, 13), st.integers(1, 13)),
)
def test_levels_are_read_as_they_were_written(model, slots, tokens):
    """Of cells of both sizes in any order, and where nothing is said in between."""
    point = {"latents": POINTS[20], "tokens": POINTS[32], "masked": POINTS[50]}
    told = [{side: random_strengths(seed, tokens, side) for side in (3, 4)} if said else {} for said, _, seed in slots]
    writer, coder = Writer(), SlotCoder(model, *tokens)
    written = [coder.detail(writer, point[kind], one) for one, (_, kind, _) in zip(told, slots, strict=True)]
    reader, coder = RangeReader(writer.finish()), SlotCoder(model, *tokens)
    for levels, strength, (said, kind, _) in zip(written, told, slots, strict=True):
        assert np.array_equal(coder.detail(reader, point[kind], None), levels)
        if said:
            wanted = of_cells(kind, strength).clip(0, LEVELS - 1)
            assert levels.shape == wanted.shape
            assert np.abs(levels - wanted).max() <= 0.75
        else:
            assert levels.shape == (OCTAVES, 0, 0)


@pytest.mark.parametrize("twice", [None, -3, 0, 19, 38, 50])
def test_counts_of_levels_near_an_expected_one(twice):
    """3/4 for every half level farther from it; all the same where none is expected."""
    counts = near_counts(LEVELS, twice, (3, 4))
    assert counts.shape == (1, LEVELS)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    if twice is None:
        assert np.ptp(counts) < LEVELS
    else:
        weights = 0.75 ** np.abs(2 * np.arange(LEVELS) - min(max(twice, 0), 38))
        assert np.allclose(counts[0] / TOTAL, weights / weights.sum(), atol=0.001)


@pytest.mark.parametrize("chance", [1, 9, 45])
@pytest.mark.parametrize("before", [0, 7, LEVELS - 1])
def test_counts_of_levels_that_move(chance, before):
    """So many 64ths move, and each level farther is a third as likely."""
    counts = moved_counts(LEVELS)[chance, before]
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    moves = np.array([3.0 ** -abs(level - before) if level != before else 0 for level in range(LEVELS)])
    expected = chance / 64 * moves / moves.sum()
    expected[before] = 1 - chance / 64
    assert np.allclose(counts / TOTAL, expected, atol=0.001)


def test_a_still_video_tells_its_detail_in_few_bits(model):
    """Later slots: that it is told, and of four cells that neither octave moves: chances of 2 and 1 of 64."""
    strength = np.array([3.0, 9.0, 4.0, 12.0] * OCTAVES, np.float32).reshape(OCTAVES, 2, 2)
    writer, coder = Meter(Writer()), SlotCoder(model, 6, 6)
    coder.detail(writer, POINTS[32], {3: strength})
    first = writer.bits
    for _ in range(7):
        assert np.array_equal(coder.detail(writer, POINTS[32], {3: strength + 0.7}), strength)
    still = -math.log2(63 / 64) - 4 * math.log2(62 / 64) - 4 * math.log2(63 / 64)
    assert writer.bits - first == pytest.approx(7 * still, rel=0.02)


def test_that_nothing_is_told_is_a_bit(model):
    writer, coder = Meter(Writer()), SlotCoder(model, 6, 6)
    for _ in range(8):
        assert not coder.detail(writer, POINTS[32], {}).size
    assert writer.bits == 8


@pytest.mark.parametrize("q", [20, 32, 50])
def test_frames_are_those_of_the_decoder_with_the_detail_that_was_told(model, q):
    frames = grainy()
    data = tvc.encode(frames, 25, q=q, scale=1, model=model)
    state, shown = model.new_decoder_state(), []
    for packet in decode_tokens(Reader(data), model):
        for number, slot in enumerate(packet.slots):
            luma = torch.stack([torch.from_numpy(frame[0]) for frame in frames[4 * number : 4 * number + 4]])
            kind = "latents" if q < 32 else "tokens" if q == 32 else "masked"
            wanted = of_cells(kind, strengths((luma.float() - 128) / 128, (3, 4)))
            assert slot.detail.shape == wanted.shape
            assert np.abs(slot.detail - wanted.clip(0, LEVELS - 1)).max() <= 0.75
            planes, state = model.decode_slot(slot.codes, slot.mask, slot.latents, state)
            luma = restored(planes[0][:, :, :48, :64], slot.detail, kind)
            shown += list((luma[0] * 128 + 128).round().clamp(0, 255).to(torch.uint8).numpy())
    decoded = [y for y, _, _ in decode_frames(Reader(data), model)]
    assert all(map(np.array_equal, decoded, shown))


def test_without_detail_frames_are_the_networks_own(model):
    frames = grainy()
    data = tvc.encode(frames, 25, q=32, scale=1, detail=False, model=model)
    state, shown = model.new_decoder_state(), []
    for slot in (slot for packet in decode_tokens(Reader(data), model) for slot in packet.slots):
        planes, state = model.decode_slot(slot.codes, slot.mask, slot.latents, state)
        shown += list((planes[0][0, :, :48, :64] * 128 + 128).round().clamp(0, 255).to(torch.uint8).numpy())
    assert all(map(np.array_equal, [y for y, _, _ in decode_frames(Reader(data), model)], shown))
    given = tvc.decode(tvc.encode(frames, 25, q=32, scale=1, model=model), model=model)
    assert not any(map(np.array_equal, shown, [y for y, _, _ in given]))


def test_a_short_last_slot_is_measured_with_the_frames_that_fill_it(model):
    frames = grainy()[:5]
    longer = [*frames, *[frames[-1]] * 3]
    told = [_told(tvc.encode(one, 25, q=32, model=model), model) for one in (frames, longer)]
    assert all(map(np.array_equal, *told))


def test_other_detail_is_damage(model):
    """The checksum of a packet covers it: the first byte of the tokens is of what the first slot tells."""
    data = tvc.encode(grainy(), 25, q=32, model=model)
    first = next(placed(Reader(data))).discrete
    broken = bytearray(data)
    broken[first] ^= 1
    with pytest.raises(tvc.BitstreamError):
        _told(bytes(broken), model)


def _told(data: bytes, model) -> list[np.ndarray]:
    return [slot.detail for packet in decode_tokens(Reader(data), model) for slot in packet.slots]


def test_the_command_leaves_detail_untold_where_that_is_asked_for(weights, model, tmp_path):
    source = tmp_path / "in.y4m"
    with source.open("wb") as file:
        write_y4m(file, Format(64, 48, Fraction(25)), grainy())
    for option, told in (("--no-detail", False), ("--detail", True)):
        output = tmp_path / "out.tvc"
        command = [sys.executable, "-m", "tvc", "encode", source, output, "--q", "40", option, "--weights", weights]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        expected = tvc.encode(grainy(), 25, q=40, detail=told, model=model)
        levels = _told(output.read_bytes(), model)
        assert all(map(np.array_equal, levels, _told(expected, model)))
        assert all(bool(one.size) == told for one in levels)
