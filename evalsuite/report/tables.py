"""The tables of the page, ready to be written: rows in reading order, gaps with their reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.report import text
from evalsuite.report.comparisons import Group, groups, headline_metric
from evalsuite.report.model import Codec, Metric, Point, Report
from evalsuite.results.bdrows import own_reason
from evalsuite.results.comparable import PROPERTIES, UNKNOWN, said, shortened

STRIP_WIDTH = 220
"""Width of a strip plot in CSS pixels; the page scales nothing."""
_STRIP_MARGIN = 8

CLOSE_PERCENT = 3.0
"""A rate within this distance of its target counts as matched."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The common percent axis of the strip plots of one table."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Pixels from the left."""
        inner = STRIP_WIDTH - 2 * _STRIP_MARGIN
        return round(_STRIP_MARGIN + inner * (value - self.low) / (self.high - self.low), 1)


def axis(values: Iterable[float], least: float = 0.1) -> Axis:
    """An axis that holds zero and all values, with two to five round ticks.

    Args:
        values: what it is of.
        least: a span below this is one in which there is nothing to see.
    """
    held = [0.0, *values]
    low, high = min(held), max(held)
    if high - low < least or high == low:  # keep the ticks readable
        low, high = low - 1, high + 1
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough)
    first = math.ceil(low / step)
    return Axis(low, high, tuple(n * step for n in range(first, math.floor(high / step) + 1)))


@dataclass(frozen=True, slots=True)
class PairTable:
    """One test codec against one anchor, by every metric."""

    test: str
    anchor: str
    groups: tuple[Group, ...]
    axis: Axis

    def group(self, metric: str) -> Group | None:
        """The comparison by one metric."""
        return next((group for group in self.groups if group.metric.label == metric), None)


def pair_tables(report: Report) -> list[PairTable]:
    """A table for each pair, in the order of the anchors and test codecs; the headline metric first."""
    pairs: dict[tuple[str, str], list[Group]] = {}
    for group in groups(report):
        pairs.setdefault((group.test, group.anchor), []).append(group)
    tables = [_pair_table(test, anchor, made) for (test, anchor), made in pairs.items()]
    return sorted(tables, key=lambda table: (report.place(table.anchor), report.place(table.test)))


def _pair_table(test: str, anchor: str, made: list[Group]) -> PairTable:
    first = headline_metric(group.metric for group in made)
    rows = [row for group in made for row in (group.mean, *group.rows) if row]
    shown = [value for row in rows for value in (row.bd_rate_percent, row.ci_low, row.ci_high)]
    return PairTable(
        test,
        anchor,
        tuple(sorted(made, key=lambda group: group.metric != first)),
        axis(value for value in shown if value is not None),
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """Scores that are missing for one reason, at the same points."""

    metrics: tuple[Metric, ...]
    word: str
    reason: str
    where: str
    points: int


def gaps(report: Report) -> list[Gap]:
    """Every score that is not a finite number; metrics that lack the same points for one reason stand together."""
    found: dict[tuple[str, str, str], list[Point]] = {}
    for point in report.points:
        for metric, score in point.scores.items():
            if score.status != "ok":
                found.setdefault((metric, score.word, score.reason), []).append(point)
    alike: dict[tuple[str, str, frozenset[tuple[str, str, float | None]]], list[str]] = {}
    for (metric, word, reason), points in found.items():
        places = frozenset((point.codec, point.sequence, point.q) for point in points)
        alike.setdefault((word, reason, places), []).append(metric)
    return [
        Gap(
            tuple(report.metric(metric) for metric in metrics),
            word,
            reason,
            _where(report, found[metrics[0], word, reason]),
            len(places),
        )
        for (word, reason, places), metrics in alike.items()
    ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Comparisons of a pair that were refused, or have a caveat, for one reason."""

    test: str
    anchor: str
    status: str
    reason: str
    metrics: tuple[str, ...]
    """Titles of those that it is so of, on the same sequences."""
    sequences: tuple[str, ...]


def refusals(report: Report) -> list[Refusal]:
    """Why comparisons of single sequences do not stand as they are: refused ones first, what is alike together."""
    alike: dict[tuple[str, str, str, str], dict[str, list[str]]] = {}
    for group in groups(report):
        for row in (*group.refused, *group.flagged):
            reason = own_reason(row) or row.reason or "no reason given"
            key = (group.test, group.anchor, str(row.status), reason)
            alike.setdefault(key, {}).setdefault(group.metric.title, []).append(row.sequence)
    found: list[Refusal] = []
    for (test, anchor, status, reason), by_metric in alike.items():
        places: dict[tuple[str, ...], list[str]] = {}
        for metric, sequences in by_metric.items():
            places.setdefault(tuple(sequences), []).append(metric)
        found += [Refusal(test, anchor, status, reason, tuple(some), where) for where, some in places.items()]
    return sorted(found, key=lambda one: one.status != "refused")


def _where(report: Report, points: list[Point]) -> str:
    if len(points) == len(report.points):
        return "everywhere"
    sequences = list(dict.fromkeys(point.sequence for point in points))
    codecs = list(dict.fromkeys(point.codec for point in points))
    held = {point.sequence for point in report.points}
    place = "all sequences" if len(sequences) == len(held) else text.listing(sequences)
    return place if len(codecs) == len(report.codecs) else f"{place}; {text.listing(codecs)}"


@dataclass(frozen=True, slots=True)
class RateMatch:
    """How well the rates met their targets, for one codec."""

    codec: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def close(self) -> int:
        """Points within `CLOSE_PERCENT` of their target."""
        return sum(abs(row["deviation_percent"]) <= CLOSE_PERCENT for row in self.rows)

    @property
    def furthest(self) -> float:
        """The largest distance from a target, in percent, with its sign."""
        return float(max((row["deviation_percent"] for row in self.rows), key=abs))

    @property
    def encodes_per_point(self) -> float | None:
        """Encodes that the search needed for one point, on average; None where it is not known of every point."""
        encodes = [row["encodes"] for row in self.rows if row["encodes"] is not None]
        return sum(encodes) / len(encodes) if len(encodes) == len(self.rows) else None


def rate_matches(report: Report) -> list[RateMatch]:
    """The rate-match rows by codec."""
    codecs = dict.fromkeys(str(row["codec"]) for row in report.rate_match)
    return [RateMatch(codec, tuple(row for row in report.rate_match if row["codec"] == codec)) for codec in codecs]


def by_sequence(report: Report) -> list[tuple[str, list[Point]]]:
    """Points under their sequence: by codec, from the lowest rate up."""
    grouped: dict[str, list[Point]] = {sequence.label: [] for sequence in report.sequences}
    for point in report.points:
        grouped.setdefault(point.sequence, []).append(point)
    return [
        (name, sorted(points, key=lambda point: (report.place(point.codec), point.bpp)))
        for name, points in grouped.items()
        if points
    ]


@dataclass(frozen=True, slots=True)
class Inequality:
    """A property in which the codecs of the report are not equal."""

    title: str
    who: str
    """Which codecs have which value."""
    marks: bool
    """Whether comparisons between them are not like with like."""


def differences(codecs: Iterable[Codec]) -> list[Inequality]:
    """Properties in which the codecs are not equal, and who has which; those that mark comparisons first."""
    codecs = list(codecs)
    unequal = []
    for key, known in PROPERTIES.items():
        holders: dict[str, list[str]] = {}
        for codec in codecs:
            if (value := _setting(codec, key)) is not None:
                holders.setdefault(value, []).append(codec.label)
        if len(holders) > 1:
            who = "; ".join(f"{text.listing(who)}: {shortened(value)}" for value, who in holders.items())
            unequal.append(
                Inequality(known.title, who, known.marks and len({known.kind(value) for value in holders}) > 1)
            )
    return unequal


def _setting(codec: Codec, key: str) -> str | None:
    """A codec's setting as text; None where the summary has no such key."""
    if key == "scale_divisor":
        value = codec.facts.get("scale")
        unknown = codec.facts.get("rate_source") == "published"
        full = UNKNOWN if unknown else "full"
        return f"1/{value.get('divisor')} of width and height ({value.get('filter')})" if value else full
    return said(codec.facts[key]) if key in codec.facts else None
