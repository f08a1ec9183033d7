"""Masks and corrections: which tokens are sure, what says that one is sent all the same, and when it is."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tvc_samples import Recorder, moving

import tvc
from tvc.bitstream import Reader
from tvc.decoder import decode_tokens
from tvc.entropy import Meter, Tally, Writer
from tvc.entropy import Reader as RangeReader
from tvc.masking import Guess, code_flags, guess, worth_sending
from tvc.operating import MULTIPLIER, POINTS, correction
from tvc.slots import SlotCoder
from tvc.tables import TOTAL

CHANCES = [
    (3, 24, 44),
    (27, 98, 150),
    (53, 146, 180),
    (79, 208, 256),
    (114, 272, 312),
    (152, 304, 376),
    (184, 352, 424),
    (340, 500, 512),
]
"""The table of docs/tvc.md, in 1024ths."""


def expected(half: np.ndarray, sure: np.ndarray, probability: np.ndarray, corrected: np.ndarray, before: np.ndarray):
    """Counts of the flags of a half, square by square."""
    rows, columns = half.shape
    found, place = [], 0
    for row in range(rows):
        for column in range(columns):
            if not half[row, column]:
                continue
            if sure[place]:
                # p <= 2**(-n / 2) where p**2 * 2**n <= 1: exact but for the edge itself, which is rounded.
                share = Fraction(int(probability[place]), TOTAL)
                unsure = sum(share**2 * 2**n <= 1 for n in range(1, 8))
                around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
                beside = sum(corrected[r, c] for r, c in around if 0 <= r < rows and 0 <= c < columns)
                chance = CHANCES[unsure][min(int(beside) + int(before[row, column]), 2)]
                found.append([TOTAL - 64 * chance, 64 * chance])
            place += 1
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 1), st.integers(0, 10_000))
def test_flags_have_the_chances_of_the_document(rows, columns, odd, seed):
    rng = np.random.default_rng(seed)
    half = (np.add.outer(np.arange(rows), np.arange(columns)) % 2) == odd
    count = int(half.sum())
    sure = rng.random(count) < 0.7
    # None that lies on a bound, which the exact ones of `expected` differ from by rounding.
    probability = np.exp2(rng.uniform(8, 16, count)).astype(np.int64)
    probability[np.isin(probability, [round(TOTAL * 2 ** (-n / 2)) for n in range(1, 8)])] += 1
    corrected, before = rng.random((2, rows, columns)) < 0.4
    corrected &= ~half
    wanted = rng.random(int(sure.sum())) < 0.3
    guessed = Guess(torch.from_numpy(sure), torch.zeros(count, 6, dtype=torch.int64), probability)
    recorder = Recorder()
    after = code_flags(recorder, half, guessed, corrected, before, wanted)
    assert recorder.counts == expected(half, sure, probability, corrected, before)
    assert np.array_equal(after[half][sure], wanted)
    assert not after[half][~sure].any()
    assert np.array_equal(after[~half], corrected[~half])


def test_flags_are_read_as_they_were_written():
    rng = np.random.default_rng(4)
    half = (np.add.outer(np.arange(9), np.arange(12)) % 2) == 0
    sure, probability = rng.random(54) < 0.8, rng.integers(1000, TOTAL, 54)
    guessed = Guess(torch.from_numpy(sure), torch.zeros(54, 6, dtype=torch.int64), probability)
    none, before = np.zeros((9, 12), bool), rng.random((9, 12)) < 0.2
    wanted = rng.random(int(sure.sum())) < 0.25
    written = code_flags(writer := Writer(), half, guessed, none, before, wanted)
    read = code_flags(RangeReader(writer.finish()), half, guessed, none, before, None)
    assert np.array_equal(written, read)
    assert read[half][sure].tolist() == wanted.tolist()


def test_a_guess_that_is_far_off_is_worth_its_bits():
    places = torch.tensor([[3.0, 1.0], [3.0, 1.0], [2.4, 0.6]])
    guesses = torch.tensor([[1, 1], [2, 1], [2, 1]])
    codes = torch.tensor([[3, 1], [3, 1], [2, 1]])
    # Distances 4, 1 and 0 for 8 bits and two of the flag: 0.4, 0.1 and nothing a bit.
    bits = np.array([8.0, 8.0, 8.0])
    assert worth_sending(places, guesses, codes, bits, 0.39).tolist() == [True, False, False]
    assert worth_sending(places, guesses, codes, bits, 0.41).tolist() == [False, False, False]
    assert worth_sending(places, guesses, codes, bits, 0.09).tolist() == [True, True, False]
    # What would be sent anyway is never a correction.
    assert worth_sending(places, guesses, codes, bits, 0.0).tolist() == [True, True, False]
    assert not worth_sending(places, guesses, codes, bits, math.inf).any()


def test_corrections_are_dearer_where_few_bits_are_left():
    assert {correction(point) for point in POINTS[33:51]} == {0.4}
    assert [correction(POINTS[q]) for q in (54, 58, 62)] == pytest.approx([0.8, 1.6, 3.2])


def test_the_encoder_sends_what_is_worth_it():
    """Of a whole bitstream, what is sent of the sure tokens, against what a coder at the same price sends."""
    model = tvc.weights.load()
    clip = moving(96, 80, 24, seed=3)
    data = tvc.encode(clip, 25, q=52, scale=1, model=model)
    slots = [slot for packet in decode_tokens(Reader(data), model) for slot in packet.slots]
    coder, state, told = SlotCoder(model, 5, 6), model.new_encoder_state(), 0
    for number, slot in enumerate(slots):
        planes = [np.stack([frame[i] for frame in clip[4 * number : 4 * number + 4]]) for i in range(3)]
        samples = tuple((torch.from_numpy(plane)[None].float() - 128) / 128 for plane in planes)
        places, _, state = model.place_slot(samples, state)
        codes, mask = coder.discrete(Writer(), POINTS[52], places, MULTIPLIER, 0.4 * 2 ** (2 / 4))
        assert torch.equal(codes, slot.codes)
        assert torch.equal(mask, slot.mask)
        told += int(coder.memory.corrected.sum())
    assert told > 0


def test_a_tally_is_what_a_meter_measures():
    rng = np.random.default_rng(1)
    tally, meter = Tally(), Meter(Writer())
    for _ in range(3):
        shares = rng.integers(1, 1000, (40, 5))
        counts = shares * (TOTAL - 5) // shares.sum(axis=1, keepdims=True) + 1
        counts[:, 0] += TOTAL - counts.sum(axis=1)
        symbols = rng.integers(0, 5, 40)
        assert np.array_equal(tally.code(counts, symbols), symbols)
        meter.code(counts, symbols)
    assert tally.bits.shape == (40,)
    assert tally.bits.sum() == pytest.approx(meter.bits)
    with pytest.raises(ValueError, match="needs the symbols"):
        tally.code(counts, None)


@pytest.mark.parametrize("q", [36, 52, 63])
def test_what_is_masked_is_a_guess_and_what_is_corrected_is_what_was_meant(model, q):
    """Slot by slot, against guesses that the test makes itself of what was known before."""
    rng, levels, shape = np.random.default_rng(q), np.array(model.config.levels), (10, 13)
    writer, coder, places = Writer(), SlotCoder(model, *shape), []
    for _ in range(3):
        values = rng.uniform(0, levels[:, None, None] - 1, (len(levels), *shape))
        places.append(torch.from_numpy(values).float()[None])
    written = [coder.discrete(writer, POINTS[q], one, 0.0, 0.3) for one in places]
    reader, other = RangeReader(writer.finish()), SlotCoder(model, *shape)
    masked = corrected = 0
    for (codes, mask), wanted in zip(written, places, strict=True):
        memory = other.memory
        read, again = other.discrete(reader, POINTS[q], None)
        assert torch.equal(read, codes)
        assert torch.equal(again, mask)
        first = other.halves[0]
        past = model.discrete_context.past_features(memory.codes1, memory.codes2, codes.shape)
        guessed = guess(model.discrete_context, 0, past[0].permute(1, 2, 0)[first], POINTS[q].threshold)
        left_out = mask[0, 0][first]
        assert not (left_out & ~guessed.sure).any()
        here = codes[0].permute(1, 2, 0)[first]
        assert torch.equal(here[left_out], guessed.codes[left_out])
        # What is sent is the nearest code, where a bit costs nothing beside it.
        assert torch.equal(here[~left_out], wanted[0].permute(1, 2, 0)[first][~left_out].round().long())
        told = torch.from_numpy(other.memory.corrected)[first]
        assert torch.equal(told, guessed.sure & ~left_out)
        masked, corrected = masked + int(mask.sum()), corrected + int(told.sum())
    assert masked > 0 or q == 36
    assert corrected > 0 or q == 36


def test_corrections_are_forgotten_where_a_slot_is_intra(model):
    coder = SlotCoder(model, 6, 6)
    assert coder.memory.corrected is None
    coder.discrete(Writer(), POINTS[63], torch.rand(1, 6, 6, 6) * 4, 0.0, 0.0)
    assert coder.memory.corrected.any()
    coder.discrete(Writer(), POINTS[32], torch.rand(1, 6, 6, 6) * 4)
    assert not coder.memory.corrected.any()
    coder.reset()
    assert coder.memory.corrected is None


def test_corrections_bring_decoded_tokens_nearer():
    """The shipped weights on a clip that moves: fewer codes are off than where every guess must do."""
    model = tvc.weights.load()
    clip = moving(96, 80, 16, seed=3)
    whole, off = [], []
    packets = decode_tokens(Reader(tvc.encode(clip, 25, q=32, scale=1, model=model)), model)
    for packet in packets:
        whole += [slot.codes for slot in packet.slots]
    for price in (0.3, math.inf):
        coder, wrong = SlotCoder(model, *whole[0].shape[2:]), 0
        for codes in whole:
            decoded, _ = coder.discrete(Writer(), POINTS[60], codes.float(), 0.0, price)
            wrong += int((decoded - codes).square().sum())
        off.append(wrong)
    assert off[0] < off[1] / 2
