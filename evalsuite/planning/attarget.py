"""What exactly a target would take, along the curve between the measured points: ladders are coarse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalsuite.planning.points import RatePoint
from evalsuite.planning.reach import Target
from evalsuite.results.curve import Curve, make_curve

AT_TARGET = ("kbps", "sent_token_rate", "token_rate")
"""Figures that rise with quality, as rates do."""


def at_target(points: Sequence[RatePoint], target: Target, higher_is_better: bool) -> dict[str, float | None]:
    """Each figure of AT_TARGET at exactly the target, by PCHIP over its logarithm as BD-rate has it.

    None where the curve does not tell: fewer than four points, a target beyond either end, or a figure that the codec
    does not have or that does not change along its ladder.

    Args:
        points: of one codec on one sequence.
        target: the quality that is asked for.
        higher_is_better: the direction of its metric.
    """
    scored = [point for point in points if target.metric in point.means]
    ceiling = _ceiling(scored[0], target.metric) if scored else None
    return {name: _along(scored, name, target, higher_is_better, ceiling) for name in AT_TARGET}


def _along(points: Sequence[RatePoint], name: str, target: Target, higher: bool, ceiling: float | None) -> float | None:
    held = [(point.kbps if name == "kbps" else point.means.get(name, math.nan), point) for point in points]
    curve = make_curve(
        [value for value, _ in held],
        [point.means[target.metric] for _, point in held],
        higher_is_better=higher,
        log_domain_ceiling=ceiling,
    )
    goodness = _goodness(curve, target.value)
    if curve.unusable or not curve.goodness[0] <= goodness <= curve.goodness[-1]:
        return None
    rate = curve.rate_of_goodness("pchip")
    return None if rate is None else float(10 ** rate(goodness))


def _goodness(curve: Curve, score: float) -> float:
    ceiling = curve.log_domain_ceiling
    if ceiling is None:
        return score if curve.higher_is_better else -score
    return math.inf if score >= ceiling else -10 * math.log10(1 - score / ceiling)


def _ceiling(point: RatePoint, metric: str) -> float | None:
    """The best score of a saturating metric, as the run has it; None for others."""
    for rows in (run.points for run in point.runs if len(run.points)):
        ceilings = rows.loc[rows["metric"] == metric, "log_domain_ceiling"].dropna().to_numpy(float)
        if len(ceilings):
            return float(ceilings[0])
    return None
