"""Levels of detail, coded: probabilities are those that docs/tvc.md gives, worked out here cell by cell."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from tvc_samples import Recorder, moving

import tvc
from tvc.entropy import Writer
from tvc.levels import UNTOLD, Told, code_levels
from tvc.tables import TOTAL

LEVELS = 20
CHANCES = {
    (0, False): (2, 9, 16, 20),
    (0, True): (19, 25, 26, 27),
    (1, False): (1, 7, 10, 14),
    (1, True): (32, 35, 37, 45),
}


def as_counts(weights: list[Fraction]) -> list[int]:
    """As the document says: powers in units of 2**-20, and the rest to the first of the likeliest."""
    units = [math.floor(weight * 2**20) for weight in weights]
    counts = [1 + unit * (TOTAL - len(units)) // sum(units) for unit in units]
    counts[counts.index(max(counts))] += TOTAL - sum(counts)
    return counts


def near(expected: Fraction, octave: int) -> list[int]:
    """(3/4)**k of a level k half levels from what is expected, in the second octave (1/2)**k."""
    middle = min(max(expected, Fraction(0)), Fraction(LEVELS - 1))
    return as_counts(
        [(Fraction(1, 2) if octave else Fraction(3, 4)) ** int(abs(2 * (n - middle))) for n in range(LEVELS)]
    )


def fresh(levels: np.ndarray) -> list[list[int]]:
    """Of each cell by its neighbours."""
    found, own = [], [[[Fraction(int(one)) for one in line] for line in plane] for plane in levels]
    for octave, row, column in itertools.product(*map(range, levels.shape)):
        sides = [(row - 1, column)] * (row > 0) + [(row, column - 1)] * (column > 0)
        finest = [own[0][r][c] for r, c in sides]
        if octave:
            beyond = [own[1][r][c] - own[0][r][c] for r, c in sides]
            expected = own[0][row][column] + (sum(beyond) / len(beyond) if beyond else 0)
        elif len(sides) == 2:
            expected = sorted([*finest, sum(finest) - own[0][row - 1][column - 1]])[1]
        elif sides:
            expected = finest[0]
        else:
            found.append(as_counts([Fraction(1)] * LEVELS))
            continue
        found.append(near(expected, octave))
    return found


def by_what_was(levels: np.ndarray, before: np.ndarray, moved: np.ndarray) -> list[list[float]]:
    """Shares, for each cell by what it was."""
    busy = min(8 * int(moved.sum()) // moved.size, 3)
    found = []
    for octave, row, column in itertools.product(*map(range, levels.shape)):
        hint = bool((levels != before)[0, row, column] if octave else moved[0, row, column])
        chance = CHANCES[octave, hint][busy] / 64
        was = before[octave, row, column]
        weights = [0.0 if n == was else 3.0 ** -abs(int(n - was)) for n in range(LEVELS)]
        found.append([1 - chance if n == was else chance * weight / sum(weights) for n, weight in enumerate(weights)])
    return found


def walk(shape: tuple[int, int], restless: list[float]) -> list[np.ndarray]:
    """Levels of one slot after the other, of which such a share moves."""
    rng = np.random.default_rng(9)
    slots = [rng.integers(0, LEVELS, (2, *shape))]
    for share in restless:
        step = rng.integers(1, 4, slots[-1].shape) * rng.choice([-1, 1], slots[-1].shape)
        slots.append((slots[-1] + step * (rng.random(slots[-1].shape) < share)).clip(0, LEVELS - 1))
    return slots


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (5, 7)])
def test_a_slot_without_a_past_is_coded_by_its_neighbours(shape):
    (levels,) = walk(shape, [])
    code_levels(recorder := Recorder(), levels.astype(np.float32), shape, UNTOLD)
    assert recorder.counts[0] == [TOTAL // 2, TOTAL // 2]
    assert recorder.counts[1:] == fresh(levels)


def test_other_slots_are_coded_by_the_slot_before():
    """Shares of levels that move, so that every chance is used."""
    slots = walk((9, 11), [0.05, 0.05, 0.2, 0.35, 0.35, 0.6, 0.9, 0.5, 0.0, 0.3])
    told, used = code_levels(Writer(), slots[0].astype(np.float32), (9, 11), UNTOLD), set()
    moved = np.zeros_like(slots[0], bool)
    for before, levels in itertools.pairwise(slots):
        recorder = Recorder()
        told = code_levels(recorder, levels.astype(np.float32), (9, 11), told)
        assert np.array_equal(told.levels, levels)
        assert recorder.counts[0] == [TOTAL // 64, TOTAL - TOTAL // 64]
        shares = by_what_was(levels, before, moved)
        assert np.allclose(np.array(recorder.counts[1:]) / TOTAL, shares, atol=20 / TOTAL)
        used |= {round(64 * (1 - max(one))) for one in shares if max(one) > 0.5}
        moved = levels != before
    assert used >= {chance for chances in CHANCES.values() for chance in chances if chance < 32}


def test_cells_of_another_number_have_no_past_but_the_same_number_has():
    levels = walk((3, 2), [])[0]
    past = Told(levels, np.zeros_like(levels, bool))
    for shape, again in (((3, 2), True), ((2, 3), False), ((3, 3), False)):
        wanted = np.resize(levels, (2, *shape))
        code_levels(recorder := Recorder(), wanted.astype(np.float32), shape, past)
        expected = fresh(wanted) if not again else by_what_was(wanted, levels, past.moved)
        scale = TOTAL if again else 1
        assert np.allclose(np.array(recorder.counts[1:]), np.array(expected) * scale, atol=20)


def test_a_searched_rate_is_the_bitstream_of_its_q(model):
    """Slots that were kept on disk have the strengths of those that were not."""
    clip = moving(64, 48, 12)
    found = tvc.encode(clip, 25, bpp=0.4, scale=1.25, model=model)
    q = tvc.stats(found, model=model)["q"]
    assert found == tvc.encode(clip, 25, q=q, scale=1.25, model=model)
