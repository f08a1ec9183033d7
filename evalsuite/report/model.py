"""What a report is about: rate points with their scores, comparisons, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalsuite.report import text
from evalsuite.report.cost import Cost
from evalsuite.results.bdrate import RelativeCurve
from evalsuite.results.bdrows import BDRow
from evalsuite.results.comparable import RATE_WORDS
from evalsuite.results.hull import is_hull
from evalsuite.results.load import RunResults
from evalsuite.results.losscurve import is_channel
from evalsuite.types import Status

if TYPE_CHECKING:
    from evalsuite.report.pictures import Pictures

RelativeKey = tuple[str, str, str, str]
"""Metric, anchor, test codec and sequence."""

STATUS_WORDS: Mapping[str, str] = {
    "ok": "ok",
    "infinite": "infinite",
    "nan": "not a number",
    "too_small": "too small",
    "not_applicable": "not applicable",
    "unavailable": "unavailable",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as it was run."""

    label: str
    index: int
    """Its place in the report: chooses colour and marker, the same everywhere."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The codec's entry in the run's summary."""

    @property
    def note(self) -> str:
        """What every number of it is labelled with: an estimated rate, or published; empty where it was measured."""
        return RATE_WORDS.get(str(self.facts.get("rate_source")), "")

    @property
    def is_behind_channel(self) -> bool:
        """Whether it is another codec of the report behind a channel: no codec to be compared."""
        return is_channel(self.facts.get("loss"))

    @property
    def is_hull(self) -> bool:
        """Whether it is made of rate points of other codecs of the report: nothing was run for it."""
        return is_hull(self.facts)

    @property
    def said(self) -> str:
        """Its label as read in text, with what its numbers are labelled with."""
        return f"{self.label} ({self.note})" if self.note else self.label


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it was computed."""

    name: str
    label: str
    """Its name, made unique in the report."""
    title: str
    """Its name as read in text."""
    unit: str
    higher_is_better: bool | None
    """None where it describes and has no better or worse."""
    decimals: int
    """Digits after the point that mean something."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arrow(self) -> str:
        """Direction as a sign; empty where there is none."""
        if self.higher_is_better is None:
            return ""
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        """Direction as a sign and in words."""
        return text.direction(self.higher_is_better)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A source sequence."""

    label: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """One metric at one rate point."""

    status: Status
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    """By statistic: mean, p5, worst, ..."""

    @property
    def word(self) -> str:
        """The status in words."""
        return STATUS_WORDS.get(self.status, self.status)


@dataclass(frozen=True, slots=True)
class Point:
    """One encode that was measured or published: what it cost in bits and what it scored."""

    codec: str
    sequence: str
    q: float | None
    bpp: float
    kbps: float | None
    bytes: int | None
    target_bpp: float | None
    cost: Cost
    cell_key: str = ""
    scores: dict[str, Score] = field(default_factory=dict)

    @property
    def deviation(self) -> float | None:
        """Distance from the target rate in percent, where there was a target."""
        return (self.bpp / self.target_bpp - 1) * 100 if self.target_bpp else None


@dataclass(frozen=True, slots=True)
class Run:
    """One run that went into the report."""

    label: str
    summary: Mapping[str, Any]
    results: RunResults
    """As read: its frames are read on request."""
    codecs: Mapping[str, str] = field(default_factory=dict)
    """The label that each of its codecs has in the report, by name."""
    sequences: Mapping[str, str] = field(default_factory=dict)
    """Likewise of its sequences."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Likewise of its metrics."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows, after runs were merged."""

    runs: tuple[Run, ...]
    codecs: tuple[Codec, ...]
    sequences: tuple[Sequence, ...]
    metrics: tuple[Metric, ...]
    points: tuple[Point, ...]
    bd_rows: tuple[BDRow, ...]
    rate_match: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]
    commands: tuple[Mapping[str, Any], ...]
    unmatched: tuple[str, ...] = ()
    """Published sequences that were not joined with the measured one of their name, and why."""
    relative: Mapping[RelativeKey, RelativeCurve] = field(default_factory=dict)
    """The change of rate over quality behind each BD-rate of one sequence."""
    pictures: Pictures | None = None
    """Of frames; None where nobody looked for any."""
    means: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    """The rows of results.parquet that make curves to be compared, under the report's labels."""
    behind: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    """Likewise those of codecs behind channels."""

    @property
    def compared(self) -> tuple[Codec, ...]:
        """The codecs that are compared with each other: those that are not another one behind a channel."""
        return tuple(codec for codec in self.codecs if not codec.is_behind_channel)

    @property
    def own_points(self) -> tuple[Point, ...]:
        """The points that were encoded or published; hulls have them once more."""
        hulls = {codec.label for codec in self.codecs if codec.is_hull}
        return tuple(point for point in self.points if point.codec not in hulls)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics that have a score, or the reason for none, at any point."""
        held = {label for point in self.points for label in point.scores}
        return tuple(metric for metric in self.metrics if metric.label in held)

    @property
    def judged(self) -> tuple[Metric, ...]:
        """The measured metrics that have a better and a worse: what codecs are compared by."""
        return tuple(metric for metric in self.measured if metric.higher_is_better is not None)

    @property
    def token_figures(self) -> tuple[Metric, ...]:
        """The measured metrics that describe tokens, and have a number at some point."""
        return tuple(one for one in self._figures if one.facts.get("family") == "tokens")

    @property
    def described(self) -> tuple[Metric, ...]:
        """The other metrics that describe, such as those of traffic, and have a number at some point."""
        return tuple(one for one in self._figures if one.facts.get("family") != "tokens")

    @property
    def _figures(self) -> tuple[Metric, ...]:
        held = {label for point in self.points for label, score in point.scores.items() if score.status == "ok"}
        return tuple(one for one in self.metrics if one.higher_is_better is None and one.label in held)

    def metric(self, label: str) -> Metric:
        """The metric of this label; one that only a table names gets the plainest description."""
        for known in self.metrics:
            if known.label == label:
                return known
        return Metric(label, label, text.metric(label), "", True, 4)

    def said(self, codec: str) -> str:
        """A codec's label as read in text, with what its numbers are labelled with."""
        return next((known.said for known in self.codecs if known.label == codec), codec)

    def place(self, codec: str) -> int:
        """Where a codec stands in the report's order; after all others where only a table names it."""
        return next((known.index for known in self.codecs if known.label == codec), len(self.codecs))
