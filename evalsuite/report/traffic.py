"""Traffic of the bitstreams: how bursty they are, their bits over time, and what buffer and start-up delay they need.

Bits of single frames are a metric of their own, `frame_bits`; a run without it has figures of whole sequences alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from evalsuite.report import text
from evalsuite.report.model import Metric, Point, Report
from evalsuite.results import leakybucket

FIGURES = ("peak_to_mean", "peak_kbps", "vbv_bits", "vbv_seconds", "frame_dispersion")
FRAME_BITS = "frame_bits"

MULTIPLES = (Fraction(1), Fraction(3, 2), Fraction(2))
"""Of the mean rate: the channels that the tables have a bucket for."""

SAME_RATE = 0.005
"""Rates that differ by less are one."""

_SAMPLES = 24
"""Of a curve over the rate: straight lines are none on a logarithmic axis, and start-up delays are none on any."""


def figures(report: Report) -> tuple[Metric, ...]:
    """The traffic figures of whole sequences that any point has."""
    return tuple(one for one in report.described if one.name in FIGURES)


def any_traffic(report: Report) -> bool:
    """Whether there is anything to show."""
    return any(one.name in (*FIGURES, FRAME_BITS) for one in report.described)


@dataclass(frozen=True)
class Stream:
    """The bits of one rate point, in the order of transmission."""

    point: Point
    bits: tuple[int, ...]
    frame_rate: Fraction

    @cached_property
    def bucket(self) -> leakybucket.Envelope:
        """The smallest bucket over the leak."""
        return leakybucket.bucket(self.bits)

    @cached_property
    def start(self) -> leakybucket.Envelope:
        """What must be there before the first frame is taken, over the leak."""
        return leakybucket.start(self.bits)

    @property
    def mean(self) -> Fraction:
        """Bits of a frame on average."""
        return Fraction(sum(self.bits), len(self.bits))

    def kbps(self, leak: Fraction) -> float:
        """A leak in bits a frame as a rate."""
        return float(leak * self.frame_rate / 1000)

    def delay_s(self, leak: Fraction) -> float:
        """The shortest start-up delay on a channel of this rate."""
        return float(self.start.at(leak) / (leak * self.frame_rate))

    @property
    def needs(self) -> list[tuple[float, float]]:
        """Bucket in kbit and start-up delay in seconds, at each of `MULTIPLES` of the mean rate."""
        leaks = [times * self.mean for times in MULTIPLES]
        return [(float(self.bucket.at(leak) / 1000), self.delay_s(leak)) for leak in leaks]


def streams(report: Report) -> dict[str, Stream]:
    """The bits of single frames of every point that they are known of, by cell key.

    Raises:
        StoreError: a frames.parquet that should have them is missing, damaged or of another run.
    """
    points = {point.cell_key: point for point in report.own_points}
    rates = frame_rates(report)
    found: dict[str, Stream] = {}
    for run in report.runs:
        if not any(metric["name"] == FRAME_BITS for metric in run.summary["metrics"]):
            continue
        for key, rows in run.results.frames(metric=FRAME_BITS).groupby("cell_key", sort=False):
            point = points.get(str(key))
            frame_rate = rates.get(point.sequence) if point else None
            sizes = rows.sort_values("frame")["score"].to_numpy()
            if point and frame_rate and np.isfinite(sizes).all() and sizes.min() >= 0 and sizes.sum() > 0:
                found[point.cell_key] = Stream(point, tuple(map(int, sizes)), frame_rate)
    return found


def frame_rates(report: Report) -> dict[str, Fraction | None]:
    """Frames per second of each sequence; None where that is not known."""
    return {sequence.label: _frame_rate(sequence.facts.get("frame_rate")) for sequence in report.sequences}


def _frame_rate(said: object) -> Fraction | None:
    try:
        found = Fraction(str(said))
    except (ValueError, ZeroDivisionError):
        return None
    return found if found > 0 else None


@dataclass(frozen=True, slots=True)
class Place:
    """A rate that points of several codecs stand at: a target, or their rank where they had none."""

    target: float | None
    bpp: str
    kbps: str
    """The target as text; of a rank both are empty."""
    rank: int = 0
    """From 1, where there was no target."""

    @property
    def title(self) -> str:
        """The place as text."""
        return f"point {self.rank}" if self.target is None else ", ".join(filter(None, (self.bpp, self.kbps)))


def places(points: Iterable[Point]) -> dict[Place, list[Point]]:
    """The points of one sequence by target rate, rising; those without one by their rank among their codec's.

    The codec that others were matched to has no targets: its own rates were theirs. In another run it may have some.
    """
    rising = sorted(points, key=lambda point: point.bpp)
    asked = {_rounded(point.target_bpp) for point in rising if point.target_bpp is not None}
    own = [point for point in rising if point.target_bpp is None]
    matched = {point.codec for point in own if _near(point.bpp, asked) is not None}
    by_target: dict[float, list[Point]] = {}
    by_rank: dict[int, list[Point]] = {}
    seen: Counter[str] = Counter()
    for point in rising:
        if point.target_bpp is not None:
            by_target.setdefault(_rounded(point.target_bpp), []).append(point)
        elif point.codec in matched:
            by_target.setdefault(_near(point.bpp, asked) or _rounded(point.bpp), []).append(point)
        else:
            seen[point.codec] += 1
            by_rank.setdefault(seen[point.codec], []).append(point)
    found = {_place(target, held): held for target, held in sorted(by_target.items())}
    return found | {Place(None, "", "", rank): held for rank, held in by_rank.items()}


def _rounded(target: float) -> float:
    """What was asked for in kbps comes back a bit away from the number that somebody meant."""
    return float(f"{target:.12g}")


def _near(bpp: float, targets: Iterable[float]) -> float | None:
    """The target that a rate is the same as."""
    return next((target for target in targets if math.isclose(bpp, target, rel_tol=SAME_RATE)), None)


def _place(target: float, points: list[Point]) -> Place:
    kbps = next((target / point.bpp * point.kbps for point in points if point.kbps is not None), None)
    in_kbps = "" if kbps is None else text.with_unit(_short(kbps), "kbps")
    return Place(target, text.with_unit(_short(target), "bpp"), in_kbps)


def _short(target: float) -> str:
    """A target as somebody would have given it: without zeros at the end."""
    digits = text.significant(target, 3)
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def documents(report: Report, sequences: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the plots of each sequence draw, with the name of its file."""
    known, points = streams(report), report.own_points
    for place, name in enumerate(sequences):
        yield f"traffic-{place}", _document([one for one in points if one.sequence == name], known)


def _document(points: Iterable[Point], known: Mapping[str, Stream]) -> dict[str, Any]:
    """The rates that can be chosen, and the streams at each."""
    return {
        "rates": [
            {
                "target": place.target,
                "title": place.title,
                "streams": [_drawn(known[one.cell_key]) for one in own if one.cell_key in known],
                "without": list(dict.fromkeys(one.codec for one in own if one.cell_key not in known)),
            }
            for place, own in places(points).items()
        ]
    }


def _drawn(stream: Stream) -> dict[str, Any]:
    knots = leakybucket.bends(stream.bits, stream.bucket)
    first, last = float(knots[0]), float(knots[-1])
    shares = np.linspace(0, 1, _SAMPLES)[1:-1].tolist() if last > first else []
    between = {min(Fraction(math.ceil(first * (last / first) ** share)), knots[-1]) for share in shares}
    return {
        "codec": stream.point.codec,
        "frameRate": float(stream.frame_rate),
        "bits": stream.bits,
        "knots": [_channel(stream, leak) for leak in knots],
        "channels": [_channel(stream, leak) for leak in sorted({*knots, *between})],
        "said": _said(stream),
    }


def _channel(stream: Stream, leak: Fraction) -> list[float]:
    """A rate in kbps, the bucket in kbit and the start-up delay in seconds that it asks for, to five digits."""
    values = stream.kbps(leak), float(stream.bucket.at(leak) / 1000), stream.delay_s(leak)
    return [float(f"{value:.5g}") for value in values]


def _said(stream: Stream) -> str:
    """The stream in words: its rate, and what it needs at that rate and beyond."""
    (size, delay), *_ = stream.needs
    flat = max([stream.mean, *stream.bucket.knots])

    def said(value: float, unit: str) -> str:
        return text.with_unit(text.significant(value, 3), unit)

    return (
        f"{said(stream.kbps(stream.mean), 'kbps')}, largest frame {said(max(stream.bits) / 1000, 'kbit')}; at the mean "
        f"rate a bucket of {said(size, 'kbit')} and a start after {said(delay, 's')}; from "
        f"{said(stream.kbps(flat), 'kbps')} on the bucket holds the largest frame and no more"
    )
