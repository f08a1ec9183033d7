"""Statistics over sequences: what a mean of BD-rates says, and how far it can be trusted.

Definitions and their limits are in `docs/bd-rate.md`. Numbers only: no files, no tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
"""Bootstrap resamples: the bounds of an interval move by about 1 % of its width from seed to seed."""

MIN_SEQUENCES = 5
"""Fewest sequences for an interval: of fewer, the resamples are too few to tell anything."""

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
        log_mean = float(100 * np.expm1(np.log1p(values / 100).mean()))
    return Summary(
        count=len(values),
        mean=float(values.mean()),
        median=float(np.median(values)),
        lowest=float(values.min()),
        highest=float(values.max()),
        interval=mean_interval(values),
        log_mean=log_mean,
        wins=int((values < 0).sum()),
    )


def mean_interval(
    values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean, resampling whole sequences; None below `MIN_SEQUENCES`.

    Args:
        values: (sequences,) one finite value each.
        level: nominal coverage, in (0, 1).
        resamples: how many times the sequences are drawn anew.
        seed: the same seed and values give the same interval.

    Raises:
        ValueError: a value is NaN or infinite.

    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; equal to
    `scipy.stats.bootstrap(method="percentile")`, which takes longer to import than this takes to run.
    """
    sample = _finite(values)
    if len(sample) < MIN_SEQUENCES:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(sample), (resamples, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("statistics over sequences take finite values; leave the others out by name")
    return array
