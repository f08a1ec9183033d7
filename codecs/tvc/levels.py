"""How strong the source's detail is, cell by cell, through a coder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvc.detail import LEVELS, OCTAVES
from tvc.entropy import Coder
from tvc.tables import TOTAL, Ints, moved_counts, near_counts

_HARDLY = 0.75
"""Levels by which detail may differ from what was told before."""
_IS_TOLD = np.array([[[TOTAL // 2, TOTAL // 2]], [[TOTAL // 64, TOTAL - TOTAL // 64]]])
"""Whether anything is told: where nothing was before, and where something was."""
_DECAYS = (3, 4), (1, 2)
"""Of each octave: how much less likely a level is that lies half a level farther from the expected one."""
_CHANCES = np.array(
    [
        [[2, 9, 16, 20], [19, 25, 26, 27]],
        [[1, 7, 10, 14], [32, 35, 37, 45]],
    ]
)
"""Chance that a cell's level moves, in 64ths: by octave; by whether its finest level moved in the slot before, in the
second octave whether it moves now; by how many eighths of all levels moved in the slot before."""


class Told(NamedTuple):
    """What was said of a slot.

    Attributes:
        levels: (OCTAVES, rows, columns) of cells, 0 ... LEVELS - 1; without rows and columns where nothing was said.
        moved: likewise bool, those that are not what they were a slot before.
    """

    levels: Ints
    moved: NDArray[np.bool_]


UNTOLD = Told(np.zeros((OCTAVES, 0, 0), np.int64), np.zeros((OCTAVES, 0, 0), np.bool_))


def code_levels(coder: Coder, wanted: NDArray[np.float32] | None, shape: tuple[int, int], before: Told) -> Told:
    """Code how strong the detail of a slot is.

    Args:
        coder: writes or reads it.
        wanted: (OCTAVES, *shape), in levels before rounding; without cells: nothing is said; None to read.
        shape: rows and columns of cells.
        before: of the slot before.
    """
    told = None if wanted is None else np.array([int(wanted.size > 0)])
    if not coder.code(_IS_TOLD[int(before.levels.size > 0)], told)[0]:
        return UNTOLD
    if wanted is not None:
        wanted = wanted.clip(0, LEVELS - 1)
    if before.levels.shape[1:] != shape:
        return _fresh(coder, None if wanted is None else np.rint(wanted).astype(np.int64), shape)
    if wanted is None:
        return _moved(coder, None, before)
    # What has hardly changed stays: that costs least, and nothing flickers.
    stays = np.abs(wanted - before.levels) < _HARDLY
    return _moved(coder, np.where(stays, before.levels, np.rint(wanted).astype(np.int64)), before)


def _fresh(coder: Coder, wanted: Ints | None, shape: tuple[int, int]) -> Told:
    """Each cell by those above and on the left of it."""
    levels = np.zeros((OCTAVES, *shape), np.int64)
    for place in np.ndindex(levels.shape):
        counts = near_counts(LEVELS, _twice_expected(levels, *place), _DECAYS[place[0]])
        levels[place] = coder.code(counts, None if wanted is None else wanted[place].reshape(1))[0]
    return Told(levels, np.zeros_like(levels, np.bool_))


def _twice_expected(levels: Ints, octave: int, row: int, column: int) -> int | None:
    """Twice the level that is likeliest, by the cells that come before; None where there is none."""
    sides = [(row - 1, column)] * (row > 0) + [(row, column - 1)] * (column > 0)
    if octave:
        # As much above the finest octave as in the cells beside: the mean of one or two, twice.
        beyond = [int(levels[octave][side] - levels[0][side]) for side in sides]
        return 2 * int(levels[0][row, column]) + (2 * sum(beyond) // len(beyond) if beyond else 0)
    finest = [int(levels[0][side]) for side in sides]
    if len(finest) == 2:
        # The median edge detector of JPEG-LS.
        return 2 * sorted([*finest, sum(finest) - int(levels[0][row - 1, column - 1])])[1]
    return 2 * finest[0] if finest else None


def _moved(coder: Coder, wanted: Ints | None, before: Told) -> Told:
    """Each cell by what it was a slot before."""
    levels, moved = np.zeros_like(before.levels), np.zeros_like(before.moved)
    busy = min(8 * int(before.moved.sum()) // before.moved.size, _CHANCES.shape[2] - 1)
    for octave, earlier in enumerate(before.levels):
        # The finest octave is likely to move where it did before, the second where the finest does now.
        hint = (moved if octave else before.moved)[0]
        chances = _CHANCES[octave, hint.astype(np.int64), busy]
        symbols = None if wanted is None else wanted[octave].reshape(-1)
        counts = moved_counts(LEVELS)[chances.reshape(-1), earlier.reshape(-1)]
        levels[octave] = coder.code(counts, symbols).reshape(earlier.shape)
        moved[octave] = levels[octave] != earlier
    return Told(levels, moved)
