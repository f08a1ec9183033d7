"""What planners ask: what a quality takes, what a loss costs, and how tokens follow the scene. The page `planner`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from evalsuite.errors import RequestError
from evalsuite.planning.audience import ANY
from evalsuite.planning.devices import standard_devices
from evalsuite.planning.points import RatePoint, joined, rate_points
from evalsuite.planning.profile import Amount, Profile, Row, profile
from evalsuite.planning.profilesaid import counts, sentence
from evalsuite.planning.reach import Target
from evalsuite.report import text
from evalsuite.report.comparisons import headline_metric
from evalsuite.report.linechart import Line, LineChart, line_chart
from evalsuite.report.model import Report, Run
from evalsuite.results.losscurve import Loss, clean_name, is_channel, losses_of

_QUANTILES = (0.25, 0.5, 0.75)
"""Of all points' scores: a modest, a middle and a high quality, of what was measured."""
_MOST_CHARTS = 12
_TOKENS, _MOTION = "frame_tokens", "source_ti"

_COLUMNS = (
    ("kbps", 1.0, "Bitrate", "kbps"),
    ("sent_token_rate", 1.0, "Tokens sent", "tokens/s"),
    ("peak_to_mean", 1.0, "Peak", "over mean"),
    ("vbv_seconds", 1.0, "Bucket", "s"),
    ("startup_s", 1.0, "Start-up", "s"),
    ("decode_cpu_s", 1e3, "Decode CPU", "ms/frame"),
    ("decode_latency_p95_s", 1e3, "Latency p95", "ms"),
)
"""Figures, what they are multiplied by, title and unit."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table."""

    name: str
    scale: float
    title: str
    unit: str

    def of(self, row: Row) -> float | None:
        """The mean over the sequences of a row."""
        mean = row.figures[self.name].mean
        return None if mean is None else mean * self.scale

    def interval(self, row: Row) -> tuple[float, float] | None:
        """Of that mean."""
        amount: Amount = row.figures[self.name]
        return None if amount.interval is None else (amount.interval[0] * self.scale, amount.interval[1] * self.scale)


@dataclass(frozen=True, slots=True)
class Content:
    """The sequences of one tag or trait."""

    tag: str
    sequences: int
    takes: tuple[tuple[int, float | None, float | None], ...]
    """Of each row: on how many it is reached, and the means of kbps and of sent tokens per second there."""

    @classmethod
    def of(cls, tag: str, sequences: int, rows: Sequence[Row]) -> Content:
        """What the rows take on it."""
        takes = []
        for row in rows:
            own = [one.figures for one in row.reached if tag in one.point.traits]
            takes.append((len(own), _mean(own, "kbps"), _mean(own, "sent_token_rate")))
        return cls(tag, sequences, tuple(takes))


def _mean(figures: Sequence[Mapping[str, float]], name: str) -> float | None:
    held = [one[name] for one in figures if name in one]
    return sum(held) / len(held) if held else None


@dataclass(frozen=True, slots=True)
class Level:
    """What one quality takes."""

    target: Target
    title: str
    said: tuple[str, ...]
    """A sentence for each codec."""
    columns: tuple[Column, ...]
    """Those that are known of some codec."""
    rows: tuple[Row, ...]
    """Of all content, those that reach it somewhere."""
    content: tuple[Content, ...]
    unlike: bool
    """Whether the codecs reach it on different sequences."""

    def plays(self, row: Row) -> list[tuple[str, Mapping[str, int]]]:
        """By device, how many of the row's operating points it plays in real time."""
        return [(one.device.name, counts(one.operating)) for one in row.devices]


@dataclass(frozen=True, slots=True)
class Planner:
    """All that the page shows."""

    metric: str
    levels: tuple[Level, ...]
    losses: tuple[Loss, ...]
    loss_charts: tuple[LineChart, ...]
    adaptation: tuple[tuple[str, tuple[LineChart, ...]], ...]
    """For each tokenized codec and sequence a title, its tokens over time and the motion of the source."""


def planner(report: Report) -> Planner | None:
    """What there is to show; None where no rate point was measured, or no metric judges."""
    metric = headline_metric(report.judged)
    points = _points(report)
    if metric is None or not points:
        return None
    found = _losses(report)
    levels = tuple(_levels(points, metric.label, bool(metric.higher_is_better)))
    charts, adaptation = tuple(_loss_charts(report, found)), tuple(_adaptation(report, points))
    return Planner(metric.label, levels, tuple(found), charts, adaptation)


def _points(report: Report) -> list[RatePoint]:
    """Those of all runs under the report's labels."""
    found: list[RatePoint] = []
    for run in report.runs:
        with suppress(RequestError):  # it has none
            found += [_labelled(point, run) for point in rate_points([run.results])]
    return joined(found)


def _labelled(point: RatePoint, run: Run) -> RatePoint:
    return replace(
        point,
        codec=run.codecs.get(point.codec, point.codec),
        sequence=run.sequences.get(point.sequence, point.sequence),
        means=_renamed(point.means, run),
        infinite=frozenset(_renamed(dict.fromkeys(point.infinite), run)),
        worst=frozenset(_renamed(dict.fromkeys(point.worst), run)),
        higher_is_better=_renamed(point.higher_is_better, run),
        versions=_renamed(point.versions, run),
        reasons=_renamed(point.reasons, run),
    )


def _renamed(by_metric: Mapping[str, T], run: Run) -> dict[str, T]:
    return {run.metrics.get(name, name): value for name, value in by_metric.items()}


def _losses(report: Report) -> list[Loss]:
    """Those of all runs together, under the report's labels."""
    behind: dict[str, tuple[str, Mapping[str, object]]] = {}
    for run in report.runs:
        for entry in run.summary["codecs"]:
            if is_channel(told := entry.get("loss")) and (clean := clean_name(entry["name"])) in run.codecs:
                behind[run.codecs[entry["name"]]] = run.codecs[clean], told
    return losses_of(pd.concat([report.means, report.behind]), behind) if behind else []


def _levels(points: Sequence[RatePoint], metric: str, higher: bool) -> Iterator[Level]:
    scores = [point.means[metric] for point in points if metric in point.means]
    if not scores:
        return
    wanted = [float(f"{value:.2g}") for value in np.quantile(scores, _QUANTILES)]
    for value in sorted(set(wanted), reverse=not higher):
        try:
            made = profile(points, [Target(metric, value)], tags=[ANY], devices=standard_devices())
        except RequestError:
            continue  # rounded beyond the best there is
        yield _level(made, points, Target(metric, value), higher)


def _level(made: Profile, points: Sequence[RatePoint], target: Target, higher: bool) -> Level:
    rows = tuple(row for row in made.rows if row.reached)
    columns = [Column(*column) for column in _COLUMNS]
    names: dict[str, set[str]] = {}
    for point in points:
        for tag in point.traits:
            names.setdefault(tag, set()).add(point.sequence)
    return Level(
        target=target,
        title=f"{target.metric} of at {'least' if higher else 'most'} {target.value:g}",
        said=tuple(sentence(made, row) for row in made.rows),
        columns=tuple(column for column in columns if any(column.of(row) is not None for row in rows)),
        rows=rows,
        content=tuple(Content.of(tag, len(own), rows) for tag, own in sorted(names.items())),
        unlike=ANY in made.unlike,
    )


def _loss_charts(report: Report, found: Sequence[Loss]) -> Iterator[LineChart]:
    """For each metric its mean over the rate of loss, a line for each codec and kind of channel of all packets."""
    for metric in dict.fromkeys(one.metric for one in found if not one.only):
        lines: dict[tuple[object, ...], list[Loss]] = {}
        for one in found:
            if one.metric == metric and not one.only:
                # Of other sequences, without a channel the mean is another one: no point of the same curve.
                lines.setdefault((one.codec, *one.line, one.sequences, one.clean), []).append(one)
        shared = Counter((held[0].codec, *held[0].line) for held in lines.values())
        drawn = []
        for held in lines.values():
            first = held[0]
            # The channel in words, but for its rate.
            words = [first.codec, *first.channel.split(", ")[1:]]
            words += [text.plural(first.sequences, "sequence")] if shared[first.codec, *first.line] > 1 else []
            over = ((0.0, first.clean), *((100 * one.rate, one.lossy) for one in held if one.lossy is not None))
            drawn.append(Line(", ".join(words), report.place(first.codec), over))
        unit = next(one.unit for one in found if one.metric == metric)
        yield line_chart(f"{metric}, {unit}" if unit else metric, "rate of the channel, %", drawn)


def _adaptation(report: Report, points: Sequence[RatePoint]) -> Iterator[tuple[str, tuple[LineChart, ...]]]:
    """Tokens over time, of the lowest rate of each tokenized codec and sequence: it is there that tokens are saved."""
    held: dict[tuple[str, str], list[RatePoint]] = {}
    for point in points:
        if _TOKENS in point.means:
            held.setdefault(point.place, []).append(point)
    slots = _slot_frames(report)
    for (codec, sequence), own in list(held.items())[:_MOST_CHARTS]:
        point = min(own, key=lambda one: one.kbps)
        tokens, motion = point.series(_TOKENS), point.series(_MOTION)
        place = report.place(codec)
        if not slots.get(codec):
            continue  # nothing tells how long a slot is
        due = tokens[tokens["frame"] % slots[codec] == 0]
        sent = list(zip(due["frame"].astype(float), due["score"].astype(float), strict=True))
        sent.append((float(point.frames), sent[-1][1]))
        charts = [line_chart("tokens of each slot", "frame", [Line(codec, place, tuple(sent), steps=True)])]
        if not motion.empty:
            moves = tuple(zip(motion["frame"].astype(float), motion["score"].astype(float), strict=True))
            charts.append(line_chart("motion of the source (TI)", "frame", [Line("source", place, moves, steps=True)]))
        yield f"{codec} on {sequence} at {point.kbps:.3g} kbps", tuple(charts)


def _slot_frames(report: Report) -> dict[str, int]:
    """Frames of a slot of each tokenized codec, 0 where nothing tells.

    Slots begin at equal distances. One of which no token was sent looks like frames inside a slot, so all points of a
    codec are asked, those of high rates too.
    """
    found: dict[str, int] = {}
    for run in report.runs:
        if not any(metric["name"] == _TOKENS for metric in run.summary["metrics"]):
            continue
        frames = run.results.frames(metric=_TOKENS)
        for name, own in frames[frames["score"] > 0].groupby("codec"):
            label = run.codecs.get(str(name), str(name))
            found[label] = math.gcd(found.get(label, 0), *own["frame"].unique().tolist())
    return found
