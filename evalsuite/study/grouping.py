"""Scores whose zero is that of their group: centred within it, ties kept, degrees of freedom counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


def accompanied(groups: Sequence[str], there: Mask) -> Mask:
    """Those of `there` that have another of `there` in their group; all of them where there are no groups.

    Args:
        groups: of each stimulus; empty for none.
        there: (stimuli,)
    """
    if not groups:
        return there
    sizes = Counter(group for group, one in zip(groups, there, strict=True) if one)
    return np.array([one and sizes[group] > 1 for group, one in zip(groups, there, strict=True)], dtype=bool)


def centred(scores: Numbers, groups: Sequence[str]) -> Numbers:
    """Finite scores less the mean of their group; as they are where there are no groups."""
    if not groups:
        return scores
    _, place = np.unique(np.array(groups), return_inverse=True)
    found: Numbers = scores - (np.bincount(place, scores) / np.bincount(place))[place]
    return found


def levelled(scores: Numbers, tolerance: float) -> Numbers:
    """Scores of which those that are equal up to rounding are equal, so that they share a rank.

    Neighbours no further apart than `tolerance` all become the lowest of them.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    level = np.cumsum(np.diff(ascending, prepend=ascending[:1]) > tolerance)
    found = np.empty_like(scores)
    found[order] = ascending[np.searchsorted(level, level)]
    return found


def spent(groups: Sequence[str], count: int) -> Numbers:
    """What each of `count` stimuli gives of a degree of freedom to the mean of its group: (stimuli,)."""
    if not groups:
        return np.zeros(count)
    sizes = Counter(groups)
    return np.array([1 / sizes[group] for group in groups])
