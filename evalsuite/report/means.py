"""Means over sequences at each target rate: what a reader may look at, and what no BD-rate is made of.

A mean of scores at one target is of all sequences of the report or is not drawn: a point of fewer would be of other
content. Its bars are 95 % intervals over the sequences, not of anything else.
"""

from __future__ import annotations

import math
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Metric, Point, Report
from evalsuite.results.stats import mean_interval

WORDS = (
    "Mean over sequences of scores at equal targets, for a first look: BD-rates are computed per sequence and then "
    "averaged, never from this."
)


def document(report: Report) -> dict[str, Any]:
    """Points of the means, and the scores of each metric and token figure in their order: shaped as a sequence's."""
    grouped = _by_target(report)
    return {
        "words": WORDS,
        "points": [_point(codec, target, points) for (codec, target), points in grouped],
        "scores": {
            metric.label: [_mean(points, metric) for _, points in grouped]
            for metric in (*report.judged, *report.token_figures)
        },
    }


def _by_target(report: Report) -> list[tuple[tuple[str, float], list[Point]]]:
    """Points of equal codec and place in the order of targets, where every sequence has as many targets.

    Targets in kbps, or those of a codec that is matched, are other rates on every sequence: what they share is their
    rank.
    """
    sequences = {point.sequence for point in report.points}
    targets = {
        name: sorted({one.target_bpp for one in report.points if one.sequence == name and one.target_bpp is not None})
        for name in sequences
    }
    if len({len(some) for some in targets.values()}) != 1:
        return []
    grouped: dict[tuple[str, float], list[Point]] = {}
    for point in report.points:
        if point.target_bpp is not None:
            rank = targets[point.sequence].index(point.target_bpp)
            grouped.setdefault((point.codec, rank), []).append(point)
    whole = [(key, points) for key, points in grouped.items() if len(points) == len(sequences) == len(_names(points))]
    return sorted(whole, key=lambda one: (report.place(one[0][0]), one[0][1]))


def _names(points: list[Point]) -> set[str]:
    return {point.sequence for point in points}


def _point(codec: str, rank: float, points: list[Point]) -> dict[str, Any]:
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
        "lines": [f"target {int(rank) + 1}", f"{text.significant(bpp)} bpp, geometric mean of {len(points)} sequences"],
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
