"""Scores of single frames over time: the table and the data of the page `time`.

frames.parquet is read a metric at a time, and so are the documents made: all of a large run would fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.report import text
from evalsuite.report.comparisons import headline_metric
from evalsuite.report.model import Metric, Point, Report, Run
from evalsuite.report.numbers import number
from evalsuite.report.traffic import Place, places

WORST = 5
"""Worst frames that are named of each rate point."""

MOST_FRAMES = 1000
"""Scores that are drawn of one rate point: about as many as a chart has pixels."""

MOST_VALUES = 4_000_000
"""Scores in all data of the page, about 50 MB: beyond, three rates of each sequence are left, and fewer frames."""

Frames = NDArray[np.int64]
Scores = NDArray[np.float64]
Series = Mapping[str, tuple[Frames, Scores]]
"""Frames and their scores by one metric, of each cell key."""


def per_frame(report: Report) -> tuple[Metric, ...]:
    """The metrics with a better and a worse that have statistics over frames."""
    held = {label for point in report.own_points for label, score in point.scores.items() if "worst" in score.values}
    return tuple(metric for metric in report.judged if metric.label in held)


def read(report: Report, metric: Metric) -> Series:
    """The scores of single frames by one metric, of every run; a later run's take the place of an earlier one's.

    Raises:
        StoreError: a frames.parquet is missing, damaged or of another run.
    """
    found: dict[str, tuple[Frames, Scores]] = {}
    for run in report.runs:
        if _has(run, metric):
            table = run.results.frames(metric=metric.name)
            cells, keys = pd.factorize(table["cell_key"])
            frames, scores = table["frame"].to_numpy(np.int64), table["score"].to_numpy(np.float64)
            order = np.lexsort((frames, cells))
            cuts = np.flatnonzero(np.diff(cells[order])) + 1
            parts = zip(np.split(frames[order], cuts), np.split(scores[order], cuts), strict=True)
            # Of no rows there is one part, and no key.
            found |= zip(map(str, keys), parts, strict=False)
    return found


def _has(run: Run, metric: Metric) -> bool:
    """Whether the run's metric of this name is this one: another version has another label."""
    same = ("name", "version", "unit", "higher_is_better")
    return any(all(entry.get(key) == metric.facts.get(key) for key in same) for entry in run.summary["metrics"])


# ---------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Row:
    """One rate point in the table: its worst frame, and what it is worse than."""

    point: Point
    rate: str
    mean: str
    p5: str
    worst: str
    frame: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What the page has without its data."""

    metric: Metric
    by_sequence: tuple[tuple[str, tuple[Row, ...]], ...]
    """Of each sequence at its lowest and middle rate."""
    words: str
    """What is left out of the data; empty where nothing is."""


def opening(report: Report, shown: Sequence[str]) -> Opening | None:
    """The table by the headline metric; None where no score of a single frame is known.

    Args:
        report: what to show.
        shown: labels of its sequences that have points.
    """
    metric = headline_metric(per_frame(report))
    series = read(report, metric) if metric else {}
    if metric is None or not series:
        return None
    by_sequence = []
    for name, rates in _rates(report, shown).items():
        found = (
            _row(cell.point, rate.place, metric, series)
            for rate in [rates[at] for at in sorted({0, len(rates) // 2})]
            for cell in rate.cells
        )
        if rows := tuple(row for row in found if row is not None):
            by_sequence.append((name, rows))
    return Opening(metric, tuple(by_sequence), _words(Bounds.of(report, shown)))


def _row(point: Point, place: Place, metric: Metric, series: Series) -> Row | None:
    held, worst = point.scores.get(metric.label), _worst(point, metric, series)
    if held is None or not worst:
        return None
    frame, lowest = worst[0]
    mean, p5 = (text.score(held.values.get(name), metric.decimals) for name in ("mean", "p5"))
    return Row(point, place.title, mean, p5, text.score(lowest, metric.decimals), frame)


def _worst(point: Point, metric: Metric, series: Series) -> list[tuple[int, float]]:
    """The worst frames and their scores, the worst first; a frame without a finite score is none of them."""
    if point.cell_key not in series:
        return []
    frames, scores = series[point.cell_key]
    known = np.flatnonzero(np.isfinite(scores))
    order = np.argsort(scores[known] if metric.higher_is_better else -scores[known], kind="stable")
    return [(int(frames[place]), float(scores[place])) for place in known[order][:WORST]]


# ---------------------------------------------------------------- rates and bounds


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate point, and where the documents of `traffic` have its bits."""

    point: Point
    place: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The points at one rate of one sequence: by codec, in the report's order."""

    place: Place
    cells: tuple[Cell, ...]


def _rates(report: Report, shown: Sequence[str]) -> dict[str, list[Rate]]:
    """The rates of each sequence."""
    points = report.own_points
    return {name: _of_sequence(report, [one for one in points if one.sequence == name]) for name in shown}


def _of_sequence(report: Report, points: list[Point]) -> list[Rate]:
    """The rates of one sequence, in the order of those of the traffic page, whose streams are drawn here too."""
    return [
        Rate(place, tuple(Cell(point, at) for point in sorted(some, key=lambda one: report.place(one.codec))))
        for at, (place, some) in enumerate(places(points).items())
    ]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a report the data hold."""

    all_rates: bool
    frames: int
    """Scores of one rate point at most."""
    longest: int
    """Frames of the longest sequence."""

    @classmethod
    def of(cls, report: Report, shown: Sequence[str]) -> Bounds:
        """Everything where it fits, else three rates of each sequence and as many frames as fit."""
        metrics = {metric.label for metric in per_frame(report)}
        lengths = {one.label: int(number(one.facts.get("frames")) or 0) for one in report.sequences}

        def values(most: int, points: list[Point]) -> int:
            return sum(min(most, lengths[one.sequence]) * len(metrics & one.scores.keys()) for one in points)

        longest = max((lengths[name] for name in shown), default=0)
        if values(MOST_FRAMES, list(report.own_points)) <= MOST_VALUES:
            return cls(True, MOST_FRAMES, longest)
        rates = [rate for own in _rates(report, shown).values() for rate in _ends(own)]
        left = [cell.point for rate in rates for cell in rate.cells]
        series = values(1, left)
        return cls(False, max(2, min(MOST_FRAMES, MOST_VALUES // max(series, 1))), longest)


def _ends(own: list[Rate]) -> list[Rate]:
    """The lowest rate, the middle one and the highest."""
    return [own[at] for at in sorted({0, len(own) // 2, len(own) - 1})]


def _words(bounds: Bounds) -> str:
    said = []
    if not bounds.all_rates:
        said.append("This report is large: of each sequence only the lowest, the middle and the highest rate are here.")
    if bounds.longest > bounds.frames:
        said.append(
            f"Of more than {bounds.frames} frames the best and the worst of every stretch are drawn; worst frames, "
            "means and percentiles are of all."
        )
    return " ".join(said)


# ---------------------------------------------------------------- data


def documents(report: Report, shown: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """What the page loads, with the names of its files: one for each sequence and metric.

    Args:
        report: what to show.
        shown: labels of its sequences that have points: files are numbered by it.
    """
    metrics, bounds, rates = per_frame(report), Bounds.of(report, shown), _rates(report, shown)
    yield "time", {"metrics": [metric.label for metric in metrics]}
    codecs = {codec.label: codec.index for codec in report.codecs}
    for index, metric in enumerate(metrics):
        series = read(report, metric)
        for order, name in enumerate(shown):
            yield (
                f"time-{order}-{index}",
                [
                    {
                        "target": rate.place.target,
                        "title": rate.place.title,
                        "cells": [
                            {
                                "codec": codecs[cell.point.codec],
                                "place": cell.place,
                                **_cell(cell.point, metric, series, bounds.frames),
                            }
                            for cell in rate.cells
                        ],
                    }
                    for rate in (rates[name] if bounds.all_rates else _ends(rates[name]))
                ],
            )


def _cell(point: Point, metric: Metric, series: Series, most: int) -> dict[str, Any]:
    """One codec at one rate; a frame without a finite score has its text."""
    if point.cell_key not in series:
        score = point.scores.get(metric.label)
        said = ": ".join(filter(None, (score.word, score.reason))) if score and score.status != "ok" else ""
        return {"gap": said or "no scores of single frames"}
    frames, scores = series[point.cell_key]
    kept = thinned(scores, most)
    held = point.scores[metric.label].values if metric.label in point.scores else {}
    cell = {
        "scores": [_digits(value, metric) for value in scores[kept].tolist()],
        "worst": [(frame, _digits(value, metric)) for frame, value in _worst(point, metric, series)],
        **{name: _digits(held[name], metric) for name in ("mean", "p5") if name in held},
    }
    if not np.array_equal(frames[kept], np.arange(len(kept))):
        cell["frames"] = frames[kept].tolist()
    return cell if len(kept) == len(frames) else {**cell, "thinned": True}


def _digits(value: float, metric: Metric) -> float | str:
    return round(value, metric.decimals) if np.isfinite(value) else text.score(value, 0)


def thinned(scores: Scores, most: int) -> NDArray[np.int64]:
    """Places of at most so many scores: the lowest and the highest finite one of each stretch."""
    count = len(scores)
    if count <= most:
        return np.arange(count)
    width = -(-count // (most // 2))
    stretches = np.full((-(-count // width), width), np.nan)
    stretches.flat[:count] = scores
    known = np.isfinite(stretches)
    starts = np.arange(len(stretches)) * width
    ends = [
        starts + np.where(known, stretches, np.inf).argmin(axis=1),
        starts + np.where(known, stretches, -np.inf).argmax(axis=1),
    ]
    return np.unique(np.concatenate(ends))
