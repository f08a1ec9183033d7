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
from tvc.detail import LEVELS, OCTAVES, restored, strengths
from tvc.entropy import Meter, Writer
from tvc.entropy import Reader as RangeReader
from tvc.parts import placed
from tvc.slots import SlotCoder
from tvc.tables import TOTAL, level_counts
from tvc.video import Format, write_y4m

KINDS = ("tokens", "masked", "latents")
STRENGTHS = st.floats(-200, 200)


def wave(frequency: float, amplitude: float = 40.0) -> torch.Tensor:
    """Rows of a sine wave over 16384 columns, in 8-bit samples about 128, as the codec scales them: (4, 2, 16384)."""
    row = amplitude * torch.sin(frequency * torch.arange(16384, dtype=torch.float64))
    return (row / 128).float().expand(4, 2, -1).clone()


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
    for level, share in zip(strengths(wave(frequency)), shares, strict=True):
        assert 0.25 * 2 ** (level / 8) == pytest.approx(40 / math.sqrt(2) * share, rel=0.01, abs=0.02)


def test_flat_frames_have_no_detail_and_nothing_is_made_of_it():
    flat = torch.full((4, 9, 7), 0.25)
    assert all(level <= 0 for level in strengths(flat))
    for kind in KINDS:
        assert torch.allclose(restored(flat[None], (LEVELS - 1, LEVELS - 1), kind)[0], flat, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (4, 4)])
def test_frames_of_few_samples_are_taken_and_level_0_adds_nothing(size, kind):
    """Also to frames whose own detail is weaker still."""
    luma = torch.zeros(1, 4, *size)
    luma[..., 0, 0] = 0.003
    assert all(map(math.isfinite, strengths(luma[0])))
    assert restored(luma, (LEVELS - 1,) * OCTAVES, kind).isfinite().all()
    assert torch.equal(restored(luma, (0,) * OCTAVES, kind), luma)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_weaker_than_the_source_comes_nearer_to_it_and_not_beyond(kind):
    """A wave of half the amplitude is as the decoder would blur it: what is given back is a share of the rest."""
    source, blurred = wave(2.5), wave(2.5, 20.0)
    told = tuple(max(0, round(level)) for level in strengths(source))
    before, after = blurred.square().mean().sqrt(), restored(blurred[None], told, kind).square().mean().sqrt()
    assert before < after <= source.square().mean().sqrt() * 1.03


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_as_strong_as_the_source_stays_as_it_is(kind):
    luma = wave(1.3)
    told = tuple(math.floor(level) for level in strengths(luma))
    assert torch.equal(restored(luma[None], told, kind)[0], luma)


@given(st.lists(st.tuples(STRENGTHS, STRENGTHS), min_size=1, max_size=6))
def test_levels_are_read_as_they_were_written(model, slots):
    writer, coder = Writer(), SlotCoder(model, 1, 1)
    written = [coder.detail(writer, strength) for strength in slots]
    reader, coder = RangeReader(writer.finish()), SlotCoder(model, 1, 1)
    assert [coder.detail(reader, None) for _ in slots] == written
    for strength, levels in zip(slots, written, strict=True):
        assert all(
            abs(level - min(max(one, 0), LEVELS - 1)) <= 0.75 for one, level in zip(strength, levels, strict=True)
        )


@pytest.mark.parametrize("before", [None, 0, 31, LEVELS - 1])
def test_counts_of_levels_are_whole_and_a_level_that_stays_costs_little(before):
    """Twelve for the same again and 3/4, 9/16 ... on both sides: two of three far from the ends."""
    counts = level_counts(LEVELS, before)
    assert counts.shape == (1, LEVELS)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    if before is None:
        assert np.all(counts == TOTAL // LEVELS)
    else:
        moves = np.array([0.75 ** abs(level - before) if level != before else 12.0 for level in range(LEVELS)])
        assert np.allclose(counts[0] / TOTAL, moves / moves.sum(), atol=0.002)


def test_a_still_video_tells_its_detail_in_few_bits(model):
    """Twelve bits of the first slot, and of the 14 levels after it 0.58 each."""
    writer, coder = Meter(Writer()), SlotCoder(model, 1, 1)
    for _ in range(8):
        assert coder.detail(writer, (31.2, 40.4)) == (31, 40)
    assert writer.bits == pytest.approx(12 + 14 * math.log2(1.5), abs=0.05)


@pytest.mark.parametrize("q", [20, 32, 50])
def test_frames_are_those_of_the_decoder_with_the_detail_that_was_told(model, q):
    frames = grainy()
    data = tvc.encode(frames, 25, q=q, scale=1, model=model)
    state, shown = model.new_decoder_state(), []
    for packet in decode_tokens(Reader(data), model):
        for number, slot in enumerate(packet.slots):
            luma = torch.stack([torch.from_numpy(frame[0]) for frame in frames[4 * number : 4 * number + 4]])
            wanted = strengths((luma.float() - 128) / 128)
            assert len(slot.detail) == OCTAVES
            assert all(abs(level - one) <= 0.75 for level, one in zip(slot.detail, wanted, strict=True))
            planes, state = model.decode_slot(slot.codes, slot.mask, slot.latents, state)
            kind = "latents" if q < 32 else "tokens" if q == 32 else "masked"
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
    assert told[0] == told[1]


def test_other_detail_is_damage(model):
    """The checksum of a packet covers it: the first byte of the tokens is half of what the first slot tells."""
    data = tvc.encode(grainy(), 25, q=32, model=model)
    first = next(placed(Reader(data))).discrete
    broken = bytearray(data)
    broken[first] ^= 1
    with pytest.raises(tvc.BitstreamError):
        _told(bytes(broken), model)


def _told(data: bytes, model) -> list[tuple[int, ...]]:
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
        assert _told(output.read_bytes(), model) == _told(expected, model)
        assert (max(_told(output.read_bytes(), model)) > (0, 0)) == told
