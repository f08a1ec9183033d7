"""PCHIP through one short curve: the interpolator of a leaderboard's tens of thousands of comparisons.

scipy's constructor spends 0.2 ms on checks for arrays of any kind and shape; BD-rates of 100,000 points, with their
noise floors, take two and a half times as long with it (`benchmarks/bd_tables.py`). Here are its slopes for plain
numbers; the polynomial itself, its values and integrals are scipy's. The tests hold the two to each other.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly


def pchip(x: NDArray[np.float64], y: NDArray[np.float64]) -> PPoly:
    """The monotone piecewise cubic through points, as `scipy.interpolate.PchipInterpolator`.

    Args:
        x: (n,) strictly rising, n at least 3.
        y: (n,).

    Raises:
        ValueError: slopes that overflow: the points lie too close together, or too far apart.

    Source: F. Fritsch, J. Butland, A Method for Constructing Local Monotone Piecewise Cubic Interpolants, SIAM J. Sci.
    Stat. Comput. 5 (1984); the slopes at the ends by C. Moler, Numerical Computing with MATLAB (2004), section 3.4.
    """
    xs, ys = x.tolist(), y.tolist()
    widths = [b - a for a, b in pairwise(xs)]
    slopes = [(b - a) / width for a, b, width in zip(ys[:-1], ys[1:], widths, strict=True)]
    inner = [_inner(*pair) for pair in zip(widths[:-1], widths[1:], slopes[:-1], slopes[1:], strict=True)]
    first = _end(widths[0], widths[1], slopes[0], slopes[1])
    last = _end(widths[-1], widths[-2], slopes[-1], slopes[-2])
    at = [first, *inner, last]
    pieces = []
    for i, (width, slope) in enumerate(zip(widths, slopes, strict=True)):
        bend = (at[i] + at[i + 1] - 2 * slope) / width
        pieces.append((bend / width, (slope - at[i]) / width - bend, at[i], ys[i]))
    if not all(math.isfinite(value) for piece in pieces for value in piece):
        raise ValueError("points too close together, or too far apart")
    return PPoly.construct_fast(np.array(pieces).T.copy(), x)


def _inner(before: float, after: float, slope_before: float, slope_after: float) -> float:
    """Slope at an inner point: the weighted harmonic mean of its two sides', 0 at an extreme."""
    if slope_before == 0 or slope_after == 0 or (slope_before > 0) != (slope_after > 0):
        return 0.0
    left, right = 2 * after + before, after + 2 * before
    return 1 / ((left / slope_before + right / slope_after) / (left + right))


def _end(width: float, next_width: float, slope: float, next_slope: float) -> float:
    """Slope at an end: of the parabola through three points, held to the shape of the data."""
    found = ((2 * width + next_width) * slope - width * next_slope) / (width + next_width)
    if _sign(found) != _sign(slope):
        return 0.0
    if _sign(slope) != _sign(next_slope) and abs(found) > 3 * abs(slope):
        return 3 * slope
    return found


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
