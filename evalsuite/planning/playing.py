"""What the streams of an audience play: for each row of its mix the sequences of a tag, at the cheapest good point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.planning.audience import HOURS, Audience, Row
from evalsuite.planning.points import FRAME_BITS, RatePoint, tagged
from evalsuite.planning.reach import Reach, cheapest, directions
from evalsuite.planning.simulate import Source, window_rates

TOKENS = ("sent_token_rate", "token_rate")
"""Figures that tell the tokens of a stream; the first that a point has."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Play:
    """What one row of the mix plays."""

    row: Row
    sequences: tuple[str, ...]
    """On which every codec reaches the targets."""
    points: Mapping[str, tuple[RatePoint, ...]]
    """By codec, in the order of the sequences."""
    left_out: tuple[str, ...]
    """Why other sequences of the tag are not here, a line for each."""


@dataclass(frozen=True, slots=True)
class Played:
    """One codec's part."""

    sources: tuple[Source, ...]
    """Each point once, whatever rows play it."""
    shares: NDArray[np.float64]
    """(sources, 24): chance that a stream plays each; sums to 1 in every hour."""
    means: tuple[NDArray[np.float64], ...]
    """Of each row of the mix (sequences,): mean rate of a stream in bit/s."""
    squares: tuple[NDArray[np.float64], ...]
    """Likewise, the mean of its square."""


def plays(points: Sequence[RatePoint], audience: Audience) -> tuple[Play, ...]:
    """What each row plays with each codec: the same sequences, so that codecs are compared on the same content.

    Raises:
        RequestError: an unknown codec or metric, a tag without sequences, or a target that no sequence reaches with
            every codec.
    """
    known = {point.codec for point in points}
    for codec in audience.codecs:
        if codec not in known:
            raise RequestError(f"these results have no codec {codec!r}", fix=did_you_mean(codec, known))
    own = [point for point in points if point.codec in audience.codecs]
    return tuple(_play(own, row, audience.codecs) for row in audience.mix)


def _play(points: Sequence[RatePoint], row: Row, codecs: Sequence[str]) -> Play:
    chosen = tagged(points, row.tag)
    reach = cheapest(chosen, row.targets)
    names = list(dict.fromkeys(point.sequence for point in chosen))
    held = tuple(name for name in names if all((codec, name) in reach.points for codec in codecs))
    if not held:
        raise RequestError(
            f"no sequence of {row.title} reaches {' and '.join(map(str, row.targets))} with every codec",
            got=few(list(_best(reach, chosen, codecs))),
            fix="lower the target, leave that codec out, or measure points of higher quality",
        )
    found = {codec: tuple(reach.points[codec, name] for name in held) for codec in codecs}
    for point in (point for own in found.values() for point in own):
        _check_bits(point)
    return Play(row, held, found, tuple(_left_out(reach, names, codecs)))


def _best(reach: Reach, points: Sequence[RatePoint], codecs: Sequence[str]) -> Iterator[str]:
    """What each codec comes to: how many sequences reach the targets, and the best there is on the others."""
    for codec in codecs:
        reached = sum(1 for place in reach.points if place[0] == codec)
        missed = [one for one in reach.missed if one.codec == codec]
        if not missed:
            yield f"{codec}: reached on {reached}" if reached else f"{codec}: no such sequence was run"
        else:
            higher = directions(points, [one.target for one in missed])
            best = min(missed, key=lambda one: one.shortfall(higher))
            yield str(best) if not reached else f"{codec}: reached on {reached}, but {best}"


def _left_out(reach: Reach, names: Sequence[str], codecs: Sequence[str]) -> Iterator[str]:
    yield from map(str, reach.missed)
    places = {*reach.points, *((one.codec, one.sequence) for one in reach.missed)}
    yield from (f"{codec} on {name}: not run" for codec in codecs for name in names if (codec, name) not in places)


def _check_bits(point: RatePoint) -> None:
    bits = point.frame_bits()
    if not len(bits) or not np.isfinite(bits).all() or bits.min() < 0 or not bits.sum():
        raise RequestError(
            f"the bits of single frames of {point.codec} on {point.sequence} are not known",
            where=f"q {point.q:g}",
            expected=f"the metric {FRAME_BITS} of every point that is played",
            fix=f"run again with `--metrics ...,{FRAME_BITS}`, or leave the codec out if it does not tell",
        )


def token_rate(point: RatePoint) -> float:
    """Tokens per second of a stream; NaN where the codec has none."""
    return next((point.means[name] for name in TOKENS if name in point.means), math.nan)


def played(given: Sequence[Play], codec: str, window_s: float) -> Played:
    """What a codec's streams play.

    Args:
        given: of each row of the mix.
        codec: one of theirs.
        window_s: seconds that rates are averaged over.
    """
    places: dict[str, int] = {}
    sources: list[Source] = []
    rows: list[list[int]] = []
    for play in given:
        for point in play.points[codec]:
            if point.cell_key not in places:
                places[point.cell_key] = len(sources)
                rates = window_rates(point.frame_bits(), point.frame_rate, window_s)
                sources.append(Source(rates, token_rate(point)))
        rows.append([places[point.cell_key] for point in play.points[codec]])
    shares = np.zeros((len(sources), HOURS))
    for play, own in zip(given, rows, strict=True):
        shares[own] += np.array(play.row.shares) / len(own)
    mean = np.array([source.rates.mean() for source in sources])
    square = np.array([np.mean(source.rates**2) for source in sources])
    return Played(
        tuple(sources),
        shares / shares.sum(axis=0),  # the shares of the file may be rounded
        tuple(mean[own] for own in rows),
        tuple(square[own] for own in rows),
    )


def few(lines: Sequence[str]) -> str:
    """The first few lines, and how many more there are."""
    more = len(lines) - _MOST_NAMED
    return "; ".join(lines[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
