"""Means over sequences at each target rate: what a reader may look at, and what no BD-rate is made of.

A mean of scores at one target is of all sequences of the report or is not drawn: a point of fewer would be of other
content. Its bars are 95 % intervals over the sequences, not of anything else.
"""

from __future__ import annotations

import math
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Metric, Point, Report
from evalsuite.report.traffic import Place, places
from evalsuite.results.stats import mean_interval

_WORDS = (
    "Mean over sequences of scores at {}, for a first look: BD-rates are computed per sequence and then "
    "averaged, never from this."
)
EQUAL_TARGETS = _WORDS.format("equal targets")
TARGETS_AND_RANKS = _WORDS.format("equal targets, or without targets at rates of equal rank")
EQUAL_RANKS = _WORDS.format("rates of equal rank, which are other rates on every sequence")

NOTHING = "There is no mean over sequences: no codec has a point at the same target on every sequence."


def document(report: Report) -> dict[str, Any]:
    """Points of the means, and the scores of each metric and token figure in their order: shaped as a sequence's."""
    by_sequence: dict[str, list[Point]] = {}
    # A hull has other points for each metric: at one target they may be two, or another one on every sequence.
    for point in report.own_points:
        by_sequence.setdefault(point.sequence, []).append(point)
    each = [places(points) for points in by_sequence.values()]
    grouped = _by_place(report, each)
    return {
        "words": _words(each) if grouped else NOTHING,
        "points": [_point(codec, title, points) for codec, title, points in grouped],
        "scores": {
            metric.label: [_mean(points, metric) for *_, points in grouped]
            for metric in (*report.judged, *report.token_figures)
        },
    }


def _words(each: list[dict[Place, list[Point]]]) -> str:
    targets = {tuple(place.target for place in own if place.target is not None) for own in each}
    if len(targets) > 1 or not next(iter(targets)):
        return EQUAL_RANKS
    return TARGETS_AND_RANKS if any(place.target is None for own in each for place in own) else EQUAL_TARGETS


def _by_place(report: Report, each: list[dict[Place, list[Point]]]) -> list[tuple[str, str, list[Point]]]:
    """Codec, words and points of each place that a codec has on every sequence: by codec, from the lowest rate up.

    Targets in kbps, or those of a codec that was matched, are other rates on every sequence: what they share is their
    rank. It means something where every sequence has as many of them.
    """
    if len({sum(place.target is not None for place in own) for own in each}) != 1:
        return []
    grouped: dict[tuple[str, bool, int], list[Point]] = {}
    for own in each:
        for rank, (place, points) in enumerate(own.items(), 1):
            asked = place.target is not None
            for point in points:
                grouped.setdefault((point.codec, asked, rank if asked else place.rank), []).append(point)
    return [
        (codec, f"{'target' if asked else 'point'} {rank}", points)
        for (codec, asked, rank), points in sorted(
            grouped.items(), key=lambda one: (report.place(one[0][0]), one[0][1:])
        )
        # Two points at one target are no more of a sequence than of the other.
        if len(points) == len(each) == len({point.sequence for point in points})
    ]


def _point(codec: str, title: str, points: list[Point]) -> dict[str, Any]:
    # Rates are spread over magnitudes: their geometric mean is their middle on a logarithmic axis.
    bpp = _geometric([point.bpp for point in points])
    rates = [point.kbps for point in points]
    kbps = None if None in rates else _geometric([rate for rate in rates if rate is not None])
    return {
        "codec": codec,
        "bpp": bpp,
        "kbps": kbps,
        "targetBpp": None,
        "rates": {"bpp": f"{text.significant(bpp)} bpp", "kbps": f"{text.significant(kbps)} kbps"},
        "lines": [title, f"{text.significant(bpp)} bpp, geometric mean of {len(points)} sequences"],
    }


def _geometric(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _mean(points: list[Point], metric: Metric) -> dict[str, Any]:
    values, missing = [], []
    for point in points:
        score = point.scores.get(metric.label)
        if score is not None and score.status == "ok" and "mean" in score.values:
            values.append(score.values["mean"])
        else:
            missing.append(point.sequence)
    if missing:
        gap = f"no score on {text.listing(missing)}"
        return {"mean": None, "low": None, "high": None, "statistics": {}, "gap": gap}
    mean = math.fsum(values) / len(values)
    low, high = mean_interval(values) or (None, None)
    shown = {"mean": text.score(mean, metric.decimals)}
    if low is not None:
        shown["interval"] = f"{text.score(low, metric.decimals)} to {text.score(high, metric.decimals)}"
    return {"mean": mean, "low": low, "high": high, "statistics": shown, "gap": ""}
