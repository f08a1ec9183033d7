"""95 % intervals from resamples of whole subjects or whole contents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalsuite.results.stats import RESOLVED, expanded_tail

Interval = tuple[float, float] | None

_SMALLEST_SHARE = 0.95
"""Share of the resamples in which a figure must be defined for its interval to be given."""


def tail(count: int, resamples: int) -> float:
    """The share of the resamples beyond each bound of a 95 % interval, no less than they resolve.

    Args:
        count: subjects or contents that are resampled, at least 2.
        resamples: how many there are.
    """
    return max(expanded_tail(count), RESOLVED / resamples)


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
