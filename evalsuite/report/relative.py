"""Change of rate over quality, relative to an anchor: the curves whose means the BD-rates are.

One number hides that codecs cross. The curves are computed anew from the points, by the choice of points that the
BD-rates are made of, and thinned for the page: nothing is interpolated there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.report import text
from evalsuite.report.comparisons import Group, groups
from evalsuite.report.model import Metric, RelativeKey, Report
from evalsuite.results.bdrate import RelativeCurve, compare_curves
from evalsuite.results.bdrows import ALL, BDRow
from evalsuite.results.sides import CurveTable, Scale

_STEP = 4
"""Every fourth of 65 samples is drawn, and with them the extremes and the crossings: a curve is about 300 bytes."""

_DIGITS = 3
"""Significant digits of a change."""


def relative_curves(points: pd.DataFrame, rows: Iterable[BDRow]) -> dict[RelativeKey, RelativeCurve]:
    """The curve behind every row that is of one sequence and has a number.

    Args:
        points: rows of results.parquet; codecs, sequences and metrics have the names that the rows have.
        rows: of the BD-rate table.
    """
    means = points[points["statistic"] == "mean"]
    table = CurveTable(means, means["codec"])
    scales = {
        str(metric): Scale(bool(facts["higher_is_better"]), _ceiling(facts["log_domain_ceiling"]))
        for metric, facts in means.drop_duplicates("metric").set_index("metric").iterrows()
        if not pd.isna(facts["higher_is_better"])
    }
    found = {}
    for row in rows:
        if row.sequence == ALL or row.bd_rate_percent is None or row.metric not in scales:
            continue
        anchor, test = (table.side((row.metric, codec, row.sequence)) for codec in (row.anchor, row.test))
        if anchor is None or test is None:
            continue
        scale = scales[row.metric]
        curve = compare_curves(table.curve(anchor, scale), table.curve(test, scale)).relative
        # Rates that are hundreds of magnitudes apart somewhere have a mean and no picture.
        if curve is not None and np.isfinite(curve.percents).all():
            found[row.metric, row.anchor, row.test, row.sequence] = curve
    return found


def _ceiling(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def anchors(report: Report) -> list[str]:
    """The codecs that some curve is relative to, in the report's order."""
    return sorted({anchor for _, anchor, _, _ in report.relative}, key=lambda name: (report.place(name), name))


def documents(report: Report) -> dict[str, list[dict[str, Any]]]:
    """The curves of each sequence, by its label: one for each metric, anchor and test codec that has a row."""
    shown, known = set(anchors(report)), {codec.label for codec in report.codecs}
    found: dict[str, list[dict[str, Any]]] = {}
    for group in groups(report):
        if group.anchor in shown and group.test in known:
            shared = {
                "metric": group.metric.label,
                "anchor": group.anchor,
                "test": group.test,
                "unlike": group.mean.unlike if group.mean else "",
            }
            for row in group.rows:
                found.setdefault(row.sequence, []).append({**shared, "curve": _curve(report, group, row)})
    return found


def _curve(report: Report, group: Group, row: BDRow) -> dict[str, Any]:
    curve = report.relative.get((group.metric.label, group.anchor, group.test, row.sequence))
    if curve is None:
        return {"gap": f"{row.status}: {row.reason or 'no reason given'}"}
    return _drawn(curve, row, group.metric)


def _drawn(curve: RelativeCurve, row: BDRow, metric: Metric) -> dict[str, Any]:
    """The samples to draw, from the worst quality to the best, and what the curve says in words."""
    last = len(curve.percents) - 1
    kept = {*range(0, last, _STEP), last, int(curve.percents.argmin()), int(curve.percents.argmax())}
    samples = [(float(curve.scores[i]), _rounded(float(curve.percents[i]))) for i in sorted(kept)]
    # The line goes through the crossings: between two samples it could pass by a pair of them.
    samples += [(score, 0.0) for score in curve.crossings]
    samples.sort(reverse=bool(curve.scores[0] > curve.scores[-1]))
    return {
        "scores": [round(score, metric.decimals + 1) for score, _ in samples],
        "percents": [percent for _, percent in samples],
        "crossings": [round(score, metric.decimals + 1) for score in curve.crossings],
        "said": _said(curve, row, metric),
    }


def _rounded(percent: float) -> float:
    """A change to so many digits that count: near -100 % those of what is left of the rate."""
    size = min(abs(percent), 100 + percent)
    return round(percent, _DIGITS - 1 - math.floor(math.log10(size))) if size > 0 else percent


def _said(curve: RelativeCurve, row: BDRow, metric: Metric) -> str:
    change = text.interval(float(curve.percents.min()), float(curve.percents.max()))
    noise = ""
    if row.noise_floor is not None:
        floor = text.percent(row.noise_floor, signed=False)
        noise = f", {text.BELOW_NOISE} ({floor})" if row.below_noise else f", noise floor {floor}"
    return f"{change}, {crossings(curve.crossings, metric)}; BD-rate {text.percent(row.bd_rate_percent)}{noise}"


def crossings(scores: Sequence[float], metric: Metric) -> str:
    """Where curves cross, in words."""
    if not scores:
        return "no crossing"
    places = text.listing([text.score(score, metric.decimals) for score in scores])
    return f"crosses at {text.with_unit(places, metric.unit)}"
