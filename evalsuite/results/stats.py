"""Statistics over sequences: what a mean of BD-rates says, and how far it can be trusted.

Definitions and their limits are in `docs/bd-rate.md`. Numbers only: no files, no tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

RESAMPLES = 10_000
"""Bootstrap resamples: the bounds of an interval move by about 1 % of its width from seed to seed."""

MIN_SEQUENCES = 5
"""Fewest sequences for an interval: of fewer, the resamples are too few to tell anything."""

RESOLVED = 5
"""Fewest resamples beyond a bound for the bound to be a percentile of them."""

_MOST_SEQUENCES = 10_000
"""A number of sequences that nobody has: what would not be decided by so many is called undecidable."""

SEED = 2001
"""Fixed, so that the same numbers always give the same interval."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One BD-rate per sequence, summed up; all values in percent but the counts."""

    count: int
    """Sequences in every number here."""
    mean: float
    median: float
    lowest: float
    highest: float
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the mean over sequences; None below `MIN_SEQUENCES`."""
    log_mean: float
    """Mean of the log-ratios, as percent: 100 (exp(mean(ln(1 + p / 100))) - 1).

    Doubling one sequence's rate and halving another's is 0 here, and +25 in `mean`.
    """
    log_interval: tuple[float, float] | None
    """The same interval of `log_mean`; None where a saving of everything has no logarithm, too."""
    wins: int
    """Sequences on which the test codec saves bits (below 0)."""

    @property
    def win_rate(self) -> float:
        """Share of sequences on which the test codec saves bits, in [0, 1]."""
        return self.wins / self.count


def summarise(percents: ArrayLike) -> Summary | None:
    """Sum up one BD-rate per sequence; None for no sequence.

    Args:
        percents: (sequences,) in percent, finite: what was refused is left out, by name, by the caller.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    values = _finite(percents)
    if not len(values):
        return None
    with np.errstate(divide="ignore"):  # -100 % is a log-ratio of -inf, and a log mean of -100 %
        logs = np.log1p(values / 100)
    log_bounds = mean_interval(logs) if np.isfinite(logs).all() else None
    return Summary(
        count=len(values),
        mean=float(values.mean()),
        median=float(np.median(values)),
        lowest=float(values.min()),
        highest=float(values.max()),
        interval=mean_interval(values),
        log_mean=_as_percent(float(logs.mean())),
        log_interval=None if log_bounds is None else (_as_percent(log_bounds[0]), _as_percent(log_bounds[1])),
        wins=int((values < 0).sum()),
    )


def mean_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float] | None:
    """Bootstrap interval of the mean, resampling whole sequences; None below `MIN_SEQUENCES`.

    Percentiles of the resampled means, expanded for the number of sequences: the bootstrap alone is too narrow for few.
    Beyond what the resamples resolve, Student's interval, which the expansion is the counterpart of.

    Args:
        values: (sequences,) one finite value each.
        level: nominal coverage, in (0, 1).
        resamples: how many times the sequences are drawn anew.
        seed: the same seed and values give the same interval.

    Raises:
        ValueError: a value is NaN or infinite.

    Source: T. Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), section
    4.2, "expanded percentile". Equal to `scipy.stats.bootstrap(method="percentile")` at the expanded level; that
    module takes longer to import than this takes to run.
    """
    sample = _finite(values)
    count = len(sample)
    if count < MIN_SEQUENCES:
        return None
    tail = expanded_tail(count, level)
    resolved = max(tail, RESOLVED / resamples)
    low, high = np.quantile(_resampled_means(sample, resamples, seed), [resolved, 1 - resolved])
    if tail < resolved:
        half = -float(stdtrit(count - 1, (1 - level) / 2)) * float(sample.std(ddof=1)) / math.sqrt(count)
        low, high = min(low, sample.mean() - half), max(high, sample.mean() + half)
    return float(low), float(high)


def expanded_tail(count: int, level: float = 0.95) -> float:
    """The share of resamples beyond each bound of an interval, less than (1 - level) / 2.

    The bootstrap of few is too narrow by sqrt((n - 1) / n), and by the normal in place of Student's distribution.

    Args:
        count: what is resampled: sequences, subjects or contents, at least 2.
        level: nominal coverage, in (0, 1).

    Source: as `mean_interval`.
    """
    return float(ndtr(stdtrit(count - 1, (1 - level) / 2) * math.sqrt(count / (count - 1))))


def chance_of_no_more(values: ArrayLike, limit: float) -> float | None:
    """One-sided p value against "the mean is at most `limit`"; None below `MIN_SEQUENCES`.

    It is the smallest p for which the interval of level 1 - 2 p lies above the limit: `mean_interval` turned round.

    Args:
        values: (sequences,) one finite value each.
        limit: in the unit of the values.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    sample = _finite(values)
    count = len(sample)
    if count < MIN_SEQUENCES:
        return None
    share = float((_resampled_means(sample, RESAMPLES, SEED) <= limit).mean())
    resolved = max(share, RESOLVED / RESAMPLES)
    chance = float(stdtr(count - 1, ndtri(resolved) * math.sqrt((count - 1) / count)))
    if share < resolved:
        gap, spread = float(sample.mean()) - limit, float(sample.std(ddof=1))
        chance = min(chance, float(stdtr(count - 1, -gap * math.sqrt(count) / spread)) if spread else 0.0)
    return chance


def holm(chances: Sequence[float]) -> list[float]:
    """Probabilities adjusted for being many: the chance that any of them is this small by accident.

    Source: S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6
    (1979); equal to `statsmodels.stats.multitest.multipletests(method="holm")`.
    """
    adjusted = [0.0] * len(chances)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        running = max(running, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = running
    return adjusted


def sequences_to_decide(values: ArrayLike, limit: float, *, level: float = 0.95) -> int | None:
    """How many more sequences like these would put the interval on one side of `limit`; None if no number would.

    By Student's interval with the mean and the spread of the values at hand: an estimate, not a promise.

    Args:
        values: (sequences,) one finite value each, two or more.
        limit: in the unit of the values.
        level: coverage of the interval.
    """
    sample = _finite(values)
    if len(sample) < 2:
        return max(MIN_SEQUENCES - len(sample), 0) or None
    gap, spread = abs(float(sample.mean()) - limit), float(sample.std(ddof=1))
    counts = np.arange(max(len(sample), MIN_SEQUENCES), _MOST_SEQUENCES + 1)
    decides = -stdtrit(counts - 1, (1 - level) / 2) * spread / np.sqrt(counts) < gap
    return int(counts[decides][0]) - len(sample) if decides.any() else None


def _resampled_means(sample: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    return _draws(len(sample), resamples, seed) @ sample / len(sample)


@lru_cache(maxsize=8)
def _draws(count: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each sequence is in each resample: (resamples, count)."""
    drawn = np.random.default_rng(seed).integers(0, count, (resamples, count))
    places = drawn + count * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=count * resamples).reshape(resamples, count).astype(np.float64)


def _as_percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("statistics over sequences take finite values; leave the others out by name")
    return array
