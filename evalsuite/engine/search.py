"""Finding the operating points whose measured file size hits the target rates, with few encodes.

A Gaussian process over (typical log2 rate, log2 of bytes) learns from every encode of one codec and sequence: the
curve that the recipe calls typical as prior, stretched by the content, plus a smooth deviation. Content changes level
most, slope and curvature less, and all encoders are smooth in log-rate, so two or three encodes fix the curve near a
target.
Model: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 2.7 (explicit basis functions).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalsuite.codec.knob import Knob

TOLERANCE = 0.03
"""A point within 3 % of its target is matched."""

ENCODES_PER_TARGET = 8
"""Encodes spent on one target before its best is taken as it is: a smooth curve takes two, one with a bend that nothing
foretells takes six."""

MOST_FAILURES = 4
"""Failed encodes before no more are tried."""

_WORTH_IT = 0.7
"""How much nearer than the best so far an encode must promise to come, where that is near already."""
_NEAR = 0.15
"""In log2 of bytes: 11 %. Of what is farther off, any step towards the target is taken, to the end of the range."""

_AIMED = 2
"""Encodes aimed at a low target that all came out larger, before the lowest rate of all is tried."""

_NOISE = 0.01
"""Standard deviation of log2 bytes that no smooth curve explains: 0.7 %."""
_STRETCH = 0.2
"""Standard deviation of the slope, relative to the typical curve's."""
_UNKNOWN_STRETCH = 0.5
"""The same for a recipe that does not say what is typical."""
_BEND = 0.2
"""Standard deviation of the smooth deviation from the typical curve, in log2 bytes, over one length scale."""
_SCALE = 3.0
"""Length over which that deviation changes, in log2 of the typical rate."""
_LEVEL_SPREAD = 20.0
"""Standard deviation of the level: as good as unknown."""


def _grid(knob: Knob) -> NDArray[np.float64]:
    """Every q the encoder can be given, ascending."""
    count = round((knob.largest - knob.smallest) / knob.step)
    return np.round(knob.smallest + knob.step * np.arange(count + 1), 6)


def predict(history: Mapping[float, int], knob: Knob, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected log2 of bytes at each `q`, given the encodes made so far.

    Args:
        history: bytes by q; at least one entry.
        knob: the codec's range and typical rates.
        q: where to predict, (n,).
    """
    known = np.array(sorted(history))
    values = np.log2([history[k] for k in sorted(history)])
    stretch = _STRETCH if knob.ladder_bpp else _UNKNOWN_STRETCH
    typical, wanted = knob.typical_log2_rate(known), knob.typical_log2_rate(q)
    centre, level = typical.mean(), values.mean()

    def covariance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        left, right = a[:, None] - centre, b[None, :] - centre
        bend = _BEND**2 * np.exp(-0.5 * ((left - right) / _SCALE) ** 2)
        matrix: NDArray[np.float64] = _LEVEL_SPREAD**2 + stretch**2 * left * right + bend
        return matrix

    gram = covariance(typical, typical) + _NOISE**2 * np.eye(len(known))
    weights = np.linalg.solve(gram, values - level - (typical - centre))
    mean: NDArray[np.float64] = level + (wanted - centre) + covariance(wanted, typical) @ weights
    return mean


@dataclass(slots=True)
class RateSearch:
    """The search for one codec and sequence over all target sizes at once.

    Args:
        knob: the codec's range of q.
        targets: sizes in bytes to be matched.
    """

    knob: Knob
    targets: Sequence[float]
    history: dict[float, int] = field(default_factory=dict)
    """Bytes by q of every encode made."""
    _failed: set[float] = field(default_factory=set)
    _spent: dict[float, int] = field(default_factory=dict)

    def learn(self, q: float, size_bytes: int) -> None:
        """Take the measured size of an encode."""
        self.history[q] = size_bytes

    def fail(self, q: float) -> None:
        """Take note that the encode at `q` failed, so that it is not proposed again."""
        self._failed.add(q)
        self.history.pop(q, None)

    def propose(self) -> float | None:
        """The next q to encode at, or None when every target has its best."""
        grid = _grid(self.knob)
        if self._failed:
            grid = grid[~np.isin(grid, list(self._failed))]
            if len(self._failed) >= MOST_FAILURES or not len(grid):
                return None
        for target in self._order():
            if self.is_settled(target):
                continue
            if self._out_of_reach(target, float(grid[-1])):
                continue
            q: float | None
            if self.history and self._spent.get(target, 0) >= _AIMED and min(self.history.values()) > target:
                # What was aimed at the target fell short twice: the curve flattens, and only its end tells where.
                q = float(grid[-1])
            elif self.history:
                q = self._promising(target, grid)
            else:
                q = float(grid[np.argmin(np.abs(grid - self.knob.ladder[len(self.knob.ladder) // 2]))])
            if q is None or q in self.history:
                continue
            self._spent[target] = self._spent.get(target, 0) + 1
            return q
        return None

    def best(self, target: float) -> float | None:
        """The q whose measured size is closest to the target, of all encodes made; None when there are none."""
        if not self.history:
            return None
        return min(self.history, key=lambda q: abs(math.log(self.history[q] / target)))

    def spent(self, target: float) -> int:
        """Encodes that this search aimed at the target; a target that another's encode hit costs none."""
        return self._spent.get(target, 0)

    def is_settled(self, target: float) -> bool:
        """Whether nothing more is spent on the target: it is matched, or has had its share of encodes."""
        return self._matched(target) or self._spent.get(target, 0) >= ENCODES_PER_TARGET

    def _promising(self, target: float, grid: NDArray[np.float64]) -> float | None:
        """The untried q that is expected nearest to the target; None where nothing more is to be gained."""
        untried = grid[~np.isin(grid, list(self.history))]
        # Sizes fall as q grows: what is too large and what is too small already hold the target between them.
        too_large = max((q for q, size in self.history.items() if size > target), default=-math.inf)
        too_small = min((q for q, size in self.history.items() if size <= target and q > too_large), default=math.inf)
        untried = untried[(untried > too_large) & (untried < too_small)]
        best = self.best(target)
        if best is None or not len(untried):
            return None
        gaps = np.abs(predict(self.history, self.knob, untried) - math.log2(target))
        nearest = int(np.argmin(gaps))
        gap = abs(math.log2(self.history[best] / target))
        if gaps[nearest] < gap * (_WORTH_IT if gap < _NEAR else 1.0):
            return float(untried[nearest])
        # Far off, and nothing better is foreseen: what was seen misleads, as a plateau does of the cliff beyond it.
        return None if gap < _NEAR else float(untried[len(untried) // 2])

    def _out_of_reach(self, target: float, lowest_rate: float) -> bool:
        size = self.history.get(lowest_rate)
        return size is not None and size > target * (1 + TOLERANCE)

    def _matched(self, target: float) -> bool:
        q = self.best(target)
        return q is not None and abs(self.history[q] / target - 1) <= TOLERANCE

    def _order(self) -> list[float]:
        # The middle first, then the ends: the others then lie between encodes that are known.
        ordered = sorted(self.targets)
        middle = ordered.pop(len(ordered) // 2)
        ends = ordered[:1] + ordered[1:][-1:]
        return [middle, *ends, *(target for target in ordered if target not in ends)]
