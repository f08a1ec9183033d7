"""What exactly a target would take, along the curve between the measured points: ladders are coarse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalsuite.planning.points import RatePoint
from evalsuite.planning.reach import Target
from evalsuite.results.curve import Curve, make_curve
from evalsuite.results.pchip import pchip

AT_TARGET = ("kbps", "sent_token_rate", "token_rate")


def at_target(points: Sequence[RatePoint], target: Target, higher_is_better: bool) -> dict[str, float | None]:
    """Each figure of AT_TARGET at exactly the target.

    kbps is by PCHIP over its logarithm, as BD-rate has it. The others need not rise with quality: they are those at
    that kbps, by PCHIP of logarithm over logarithm through the points that make the curve.

    None where the curve does not tell: fewer than four points, worst frames beside means (`RatePoint.worst`), a target
    beyond either end, or a figure that one of its points does not have, or is 0 there.

    Args:
        points: of one codec on one sequence.
        target: the quality that is asked for.
        higher_is_better: the direction of its metric.
    """
    nothing: dict[str, float | None] = dict.fromkeys(AT_TARGET)
    scored = [point for point in points if target.metric in point.means and point.kbps > 0]
    if len({target.metric in point.worst for point in scored}) > 1:
        return nothing
    # Of equal rates the best comes last, and is the one that is looked up.
    scored.sort(key=lambda point: point.means[target.metric], reverse=not higher_is_better)
    curve = make_curve(
        [point.kbps for point in scored],
        [point.means[target.metric] for point in scored],
        higher_is_better=higher_is_better,
        log_domain_ceiling=_ceiling(scored[0], target.metric) if scored else None,
    )
    goodness = _goodness(curve, target.value)
    if curve.unusable or not curve.goodness[0] <= goodness <= curve.goodness[-1]:
        return nothing
    rate = curve.rate_of_goodness("pchip")
    if rate is None:
        return nothing
    log_kbps = float(rate(goodness))
    tokens = {name: _there(scored, curve, name, log_kbps) for name in AT_TARGET if name != "kbps"}
    return {**nothing, "kbps": 10**log_kbps, **tokens}


def _there(points: Sequence[RatePoint], curve: Curve, name: str, log_kbps: float) -> float | None:
    """A figure at a rate on the curve."""
    held = {np.log10(point.kbps): point.means.get(name, 0.0) for point in points}
    values = [held[one] for one in curve.log_rates]
    return 10 ** float(pchip(curve.log_rates, np.log10(values))(log_kbps)) if min(values) > 0 else None


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
