"""What one codec saves against another for the same audience, with intervals over the sequences.

The sum of many streams is known well; what is not is whether the few sequences that were measured are like what will be
watched. So the intervals are of the choice of sequences: they are resampled within the rows of the mix, the same ones
for both codecs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.planning.audience import HOURS, Audience
from evalsuite.planning.playing import Play, Played
from evalsuite.planning.simulate import moments, normal_quantile
from evalsuite.results.stats import MIN_SEQUENCES, RESAMPLES, expanded_tail

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """A saving: positive is less than before."""

    saved: float
    """In the unit of what is compared: bit/s, or 10^9 bytes."""
    percent: float
    saved_interval: tuple[float, float] | None
    """95 %; None where a row of the mix has fewer than five sequences."""
    percent_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Saving:
    """One codec against the first."""

    codec: str
    against: str
    mean: Change
    """Of the bandwidth over the day."""
    p99: Change | None
    """As simulated, and None where that is 0; its interval is that of the closed form, moved to what was simulated."""
    storage: Change | None


def savings(
    audience: Audience, plays: Sequence[Play], parts: Sequence[Played], p99: Sequence[float], seed: int
) -> tuple[Saving, ...]:
    """Every codec but the first against the first.

    Args:
        audience: whose codecs these are.
        plays: of each row of the mix.
        parts: of each codec.
        p99: of the day's bandwidth as it was simulated, of each codec, in bit/s.
        seed: of the resamples.
    """
    weights = _resampled(plays, seed)
    count = min(len(play.sequences) for play in plays)
    figures = [_figures(audience, part, weights, peak) for part, peak in zip(parts, p99, strict=True)]
    mean, peak, stored = figures[0]
    return tuple(
        Saving(
            codec,
            audience.codecs[0],
            _change(mean, own_mean, count),
            _change(peak, own_peak, count) if peak[0] else None,
            None if stored is None or own_stored is None else _change(stored, own_stored, count),
        )
        for codec, (own_mean, own_peak, own_stored) in zip(audience.codecs[1:], figures[1:], strict=True)
    )


def evenly(part: Played) -> list[Array]:
    """Weights of the sequences of each row, (1, sequences): each counts alike."""
    return [np.full((1, len(means)), 1 / len(means)) for means in part.means]


def sums(audience: Audience, part: Played, weights: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of the bandwidth in bit/s by hour, two arrays (resamples, 24).

    Args:
        audience: who watches.
        part: what they play.
        weights: of the sequences of each row, (resamples, sequences).
    """
    shares = np.array([row.shares for row in audience.mix])
    return moments(
        _by_row(part.means, weights),
        _by_row(part.squares, weights),
        np.array(audience.streams),
        shares / shares.sum(axis=0),
        audience.fixed,
    )


def storage_gb(audience: Audience, part: Played, weights: Sequence[Array]) -> Array | None:
    """What the kept hours take in 10^9 bytes, (resamples,); None where storage was not asked for.

    Args:
        audience: its mix over the whole day is that of what is kept.
        part: what is kept.
        weights: as in `sums`.
    """
    if audience.storage_hours is None:
        return None
    streams = np.array(audience.streams)
    shares = np.array([row.shares for row in audience.mix]) @ streams
    rate = _by_row(part.means, weights) @ (shares / shares.sum())
    return np.asarray(rate * audience.storage_hours * 3600 / 8 / 1e9)


def _by_row(values: Sequence[Array], weights: Sequence[Array]) -> Array:
    """(resamples, rows): the mean of each row's sequences."""
    return np.stack([own @ one for one, own in zip(values, weights, strict=True)], axis=1)


def _resampled(plays: Sequence[Play], seed: int) -> list[Array]:
    """Weights of the sequences of each row: as measured, then resampled. Rows of the same sequences share them."""
    rng = np.random.default_rng((seed, HOURS))  # the hours have the numbers below
    drawn: dict[tuple[str, ...], Array] = {}
    for names in (play.sequences for play in plays):
        if names not in drawn:
            even = np.full(len(names), 1 / len(names))
            drawn[names] = np.vstack([even, rng.multinomial(len(names), even, RESAMPLES) / len(names)])
    return [drawn[play.sequences] for play in plays]


def _figures(
    audience: Audience, part: Played, weights: Sequence[Array], p99: float
) -> tuple[Array, Array, Array | None]:
    """Mean and p99 of the bandwidth and the storage, each (resamples,)."""
    mean, deviation = sums(audience, part, weights)
    gaussian = normal_quantile(mean, deviation, 0.99)
    return mean.mean(axis=1), gaussian * (p99 / gaussian[0]), storage_gb(audience, part, weights)


def _change(before: Array, after: Array, sequences: int) -> Change:
    saved = before - after
    percent = 100 * np.divide(saved, before, out=np.zeros_like(saved), where=before > 0)
    if sequences < MIN_SEQUENCES:
        return Change(float(saved[0]), float(percent[0]), None, None)
    tail = expanded_tail(sequences)
    bounds = [np.quantile(values[1:], [tail, 1 - tail]).tolist() for values in (saved, percent)]
    return Change(float(saved[0]), float(percent[0]), *((low, high) for low, high in bounds))
