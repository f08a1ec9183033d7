"""What an audience needs by each codec: bandwidth and token rate by hour and over the day, and storage.

How it is worked out, and what it assumes: docs/forecasts.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.planning.audience import HOURS, Audience
from evalsuite.planning.playing import Play, Played, played, plays
from evalsuite.planning.points import RatePoint
from evalsuite.planning.savings import Saving, evenly, savings, storage_gb, sums
from evalsuite.planning.simulate import Level, draw, level, normal_quantile

Array = NDArray[np.float64]

SEED = 1
_THREADS = 2
"""More would hold more memory, and an hour is drawn in well under a second."""


@dataclass(frozen=True, slots=True)
class Need:
    """What all streams need, in one hour or over the day."""

    bandwidth: Level
    """bit/s. The mean is exact, the rest is simulated."""
    gaussian_p95: float
    """What the p95 were if each hour's sum were normally distributed with its exact mean and variance."""
    gaussian_p99: float
    tokens: Level | None
    """Tokens per second; None where the codec has none."""
    simulated_mean: float
    """bit/s: to be held against the exact one."""
    instants: int


@dataclass(frozen=True, slots=True)
class CodecNeed:
    """All streams by one codec."""

    codec: str
    day: Need
    hours: tuple[Need, ...]
    """(24,)"""
    storage_gb: float | None
    """10^9 bytes; None where storage was not asked for."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer, with what it was made from."""

    audience: Audience
    seed: int
    plays: tuple[Play, ...]
    codecs: tuple[CodecNeed, ...]
    savings: tuple[Saving, ...]
    """Of every codec but the first, against the first."""


def forecast(points: Sequence[RatePoint], audience: Audience, *, seed: int = SEED) -> Forecast:
    """Forecast what an audience needs.

    Args:
        points: measured, of the audience's codecs and of any others.
        audience: who watches what.
        seed: of what is drawn; the same seed gives the same answer.

    Raises:
        RequestError: the points do not have what the audience asks for (`evalsuite.planning.playing.plays`).
    """
    chosen = plays(points, audience)
    parts = [played(chosen, codec, audience.window_s) for codec in audience.codecs]
    codecs = tuple(_need(codec, part, audience, seed) for codec, part in zip(audience.codecs, parts, strict=True))
    simulated = [one.day.bandwidth.p99 for one in codecs]
    return Forecast(audience, seed, chosen, codecs, savings(audience, chosen, parts, simulated, seed))


def _need(codec: str, part: Played, audience: Audience, seed: int) -> CodecNeed:
    streams = np.array(audience.streams)

    def hour(number: int) -> tuple[Array, Array]:
        # One seed for all codecs: their viewers are the same where as many instants are drawn.
        own = (seed, number)
        return draw(part.sources, streams[number], part.shares[:, number], fixed=audience.fixed, seed=own)

    # An hour has a seed of its own, so the answer does not depend on how many are drawn at a time.
    with ThreadPoolExecutor(_THREADS) as pool:
        drawn = list(pool.map(hour, range(HOURS)))
    rates, tokens = [one[0] for one in drawn], [one[1] for one in drawn]
    mean, deviation = (values[0] for values in sums(audience, part, evenly(part)))
    per_stream = np.array([source.tokens for source in part.sources]) @ part.shares
    token_means = streams * per_stream if np.isfinite(per_stream).all() else None

    def need(held: slice) -> Need:
        return Need(
            bandwidth=level(rates[held], float(mean[held].mean())),
            gaussian_p95=float(normal_quantile(mean[held], deviation[held], 0.95)),
            gaussian_p99=float(normal_quantile(mean[held], deviation[held], 0.99)),
            tokens=None if token_means is None else level(tokens[held], float(token_means[held].mean())),
            simulated_mean=float(np.mean([one.mean() for one in rates[held]])),
            instants=sum(len(one) for one in rates[held]),
        )

    hours = tuple(need(slice(number, number + 1)) for number in range(HOURS))
    stored = storage_gb(audience, part, evenly(part))
    return CodecNeed(codec, need(slice(None)), hours, None if stored is None else float(stored[0]))
