"""95 % intervals from resamples of whole subjects or whole contents."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Interval = tuple[float, float] | None

_RESOLVED = 5
"""Fewest resamples beyond a bound for the bound to be a percentile of them."""

_SMALLEST_SHARE = 0.95
"""Share of the resamples in which a figure must be defined for its interval to be given."""


def tail(count: int, resamples: int) -> float:
    """The share of the resamples beyond each bound of a 95 % interval.

    Less than 2.5 %: the bootstrap of few is too narrow by sqrt((n - 1) / n), and by the normal in place of Student's
    distribution.

    Args:
        count: subjects or contents that are resampled, at least 2.
        resamples: how many there are: the share is no less than they resolve.

    Source: T. Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), section
    4.2, "expanded percentile".
    """
    expanded = float(ndtr(stdtrit(count - 1, 0.025) * math.sqrt(count / (count - 1))))
    return max(expanded, _RESOLVED / resamples)


def interval(sample: NDArray[np.float64], count: int) -> Interval:
    """Expanded percentiles of a figure; None where it is not defined in most resamples.

    Args:
        sample: (resamples,) NaN where the figure is not defined.
        count: subjects or contents that were resampled.
    """
    finite = sample[np.isfinite(sample)]
    if not len(finite) or len(finite) < _SMALLEST_SHARE * len(sample):
        return None
    share = tail(count, len(finite))
    low, high = np.quantile(finite, [share, 1 - share])
    return float(low), float(high)
