"""The sum of many streams at an instant: drawn, and in closed form. Numbers only.

A stream plays one of the sources, from a frame of its own, so that at an instant it is at any frame alike. What is
drawn is the state of all streams at independent instants: only how many streams are at each frame matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

WORK = 5_000_000
"""Draws for an hour: as many streams, summed over its instants."""
FEWEST, MOST = 500, 20_000
"""Instants of an hour."""

_BLOCK = 2_000_000
"""Draws that are held at once: 20 MB."""
_PER_STREAM = 30.0
"""To draw how many streams are at a frame takes as long as to draw this many streams, one by one."""
_BISECTIONS = 60
_REACH = 12.0
"""Standard deviations beyond which a normal distribution has nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """One sequence as it was coded, played in a loop."""

    rates: Array
    """(frames,) bit/s of a stream, over the window that begins at each frame."""
    tokens: float
    """Tokens per second of a stream; NaN where the codec has none."""


@dataclass(frozen=True, slots=True)
class Level:
    """A sum over streams as it is distributed."""

    mean: float
    p95: float
    p99: float
    p99_se: float
    """Standard error of the p99 for the number of instants."""


def window_rates(bits: ArrayLike, frame_rate: float, window_s: float) -> Array:
    """The rate of a looping stream over a window, by the frame that the window begins at.

    Args:
        bits: (frames,) that fall due at each frame.
        frame_rate: frames per second.
        window_s: taken to whole frames, at least one.

    Returns:
        (frames,) in bit/s.
    """
    sizes = np.asarray(bits, np.float64)
    window = max(1, round(window_s * frame_rate))
    loops, rest = divmod(window, len(sizes))
    ahead = np.concatenate([[0.0], np.cumsum(np.concatenate([sizes, sizes[:rest]]))])
    partly = ahead[rest : rest + len(sizes)] - ahead[: len(sizes)]
    return np.asarray((loops * sizes.sum() + partly) * frame_rate / window)


def instants(sources: Sequence[Source], expected: Array) -> int:
    """How many instants of an hour are drawn: as many as the work allows.

    Args:
        sources: what is played.
        expected: (sources,) streams of each.
    """
    frames = np.array([len(one.rates) for one in sources])
    work = np.minimum(expected, _PER_STREAM * frames).sum()
    return int(np.clip(WORK / max(work, 1e-9), FEWEST, MOST))


def draw(
    sources: Sequence[Source], streams: float, shares: Array, *, fixed: bool, seed: Sequence[int]
) -> tuple[Array, Array]:
    """Bandwidth and token rate of all streams at independent instants of an hour.

    Args:
        sources: what is played.
        streams: that play at once; their mean where the number is Poisson's.
        shares: (sources,) chance that a stream plays each; they sum to 1.
        fixed: whether the number of streams is always the same.
        seed: the same seed gives the same draws.

    Returns:
        Two arrays (instants,): bit/s, and tokens/s, which are NaN where a source has none.
    """
    rng = np.random.default_rng(seed)
    expected = streams * shares
    count = instants(sources, expected)
    # Whoever comes and goes on their own is Poisson's, for each source and each frame, and independent of the others.
    drawn = rng.multinomial(int(streams), shares, count) if fixed else rng.poisson(expected, (count, len(sources)))
    rates = np.zeros(count)
    for column, source in enumerate(sources):
        if expected[column] > 0:
            rates += _sums(rng, source.rates, drawn[:, column])
    return rates, drawn @ np.array([source.tokens for source in sources])


def _sums(rng: np.random.Generator, rates: Array, streams: NDArray[np.int64]) -> Array:
    """The sum of so many rates at each instant, (instants,); each rate is drawn from all alike."""
    values, times = np.unique(rates, return_counts=True)
    by_stream = streams.mean() < _PER_STREAM * len(values)
    block = max(1, int(_BLOCK / max(1.0, streams.mean() if by_stream else len(values))))
    found = np.zeros(len(streams))
    for start in range(0, len(streams), block):
        own = streams[start : start + block]
        if not by_stream:
            found[start : start + block] = rng.multinomial(own, times / len(rates)) @ values
        elif total := int(own.sum()):
            # Small integers are drawn three times as fast.
            places = rng.integers(len(rates), size=total, dtype=np.min_scalar_type(len(rates)))
            some = np.flatnonzero(own)
            found[start + some] = np.add.reduceat(rates[places], (np.cumsum(own) - own)[some])
    return found


def quantile(hours: Sequence[Array], share: float) -> tuple[float, float]:
    """A quantile over instants of hours that count alike, and its standard error.

    Args:
        hours: (instants,) of each hour.
        share: of the instants that are below, in (0, 1).

    The error is that of the share of instants below the quantile, carried over to values by the neighbouring quantiles:
    no distribution is assumed. Source: the distribution-free interval of order statistics, David and Nagaraja, Order
    Statistics (2003), section 7.1, with the variance of a stratified sample.
    """
    values = np.concatenate(hours)
    weights = np.concatenate([np.full(len(one), 1 / (len(hours) * len(one))) for one in hours])
    order = np.argsort(values)
    values, reached = values[order], np.cumsum(weights[order])

    def at(wanted: float) -> float:
        return float(values[min(int(np.searchsorted(reached, wanted * (1 - 1e-12))), len(values) - 1)])

    found = at(share)
    below = np.array([(one <= found).mean() for one in hours])
    error = math.sqrt(float(np.sum(below * (1 - below) / [len(one) for one in hours]))) / len(hours)
    span = 1.96 * max(error, np.finfo(float).tiny)
    return found, (at(min(share + span, 1.0)) - at(max(share - span, 0.0))) / (2 * 1.96)


def level(hours: Sequence[Array], mean: float) -> Level:
    """The distribution over hours that count alike.

    Args:
        hours: (instants,) of each.
        mean: known in closed form.
    """
    p99, error = quantile(hours, 0.99)
    return Level(mean, quantile(hours, 0.95)[0], p99, error)


def moments(mean: Array, square: Array, streams: Array, shares: Array, fixed: bool) -> tuple[Array, Array]:
    """Mean and standard deviation of the sum by hour, exactly.

    Args:
        mean: (..., rows) mean rate of one stream of each row of a mix.
        square: (..., rows) mean of its square.
        streams: (hours,) that play at once.
        shares: (rows, hours).
        fixed: as in `draw`.

    Returns:
        Two arrays (..., hours). Of Poisson's numbers the variance of the sum is the sum of mean squares (Campbell's
        theorem); of a fixed number of independent streams it is less by the square of their mean.
    """
    expected = shares * streams
    total, variance = mean @ expected, square @ expected
    if fixed:
        variance = variance - np.divide(total**2, streams, out=np.zeros_like(total), where=streams > 0)
    return total, np.sqrt(np.maximum(variance, 0))


def normal_quantile(mean: Array, deviation: Array, share: float) -> Array:
    """The quantile over hours that count alike, each normally distributed.

    Args:
        mean: (..., hours).
        deviation: (..., hours); 0 is a certain value.
        share: in (0, 1).

    Returns:
        (...,), by bisection of the mixture's distribution function.
    """
    if mean.shape[-1] == 1:
        return np.asarray((mean + ndtri(share) * deviation)[..., 0])
    low, high = (mean - _REACH * deviation).min(axis=-1), (mean + _REACH * deviation).max(axis=-1)
    certain = deviation <= 0
    scale = np.where(certain, 1.0, deviation)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        gap = middle[..., None] - mean
        below = np.where(certain, gap >= 0, ndtr(gap / scale)).mean(axis=-1)
        low, high = np.where(below < share, middle, low), np.where(below < share, high, middle)
    return np.asarray(high)
