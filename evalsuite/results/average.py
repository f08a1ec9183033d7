"""The average curve over sequences: what some publications compare. Made only where it is asked for, and labelled.

A BD-rate of average curves is not the mean of BD-rates: at matched rates the sequences whose scores change most with
the rate rule it, and where rates are averaged as they are, those with the highest rates do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalsuite.errors import RequestError
from evalsuite.results.curve import Curve, make_curve

WARNING = "ruled by the sequences whose scores change most with the rate; not the mean of BD-rates"


def average_curve(curves: Mapping[str, Curve], side: str) -> Curve:
    """The mean of log-rates and the mean of scores over the points of equal rank.

    Args:
        curves: one for each sequence, at least one, of one metric.
        side: whose they are, for the error.

    Raises:
        RequestError: a sequence has no curve, or another number of points than the others, or a point is not on its
            curve: what is left would be paired with points of other settings.
    """
    for sequence, curve in curves.items():
        if curve.unusable:
            raise RequestError(
                "the average curve needs a curve on every sequence",
                where=f"{side}, {sequence}",
                got=curve.unusable,
                fix="leave out the sequence, or the average curve",
            )
        if dropped := curve.said("repeated"):
            raise RequestError(
                "the average curve needs every point to be on its curve",
                where=f"{side}, {sequence}",
                got=f"dropped {dropped}",
                fix="leave out the sequence, or the average curve",
            )
    counts = {sequence: len(curve.log_rates) for sequence, curve in curves.items()}
    if len(set(counts.values())) > 1:
        raise RequestError(
            "the average curve needs the same number of points on every sequence",
            where=side,
            got=", ".join(f"{sequence}: {count}" for sequence, count in counts.items()),
            fix="give points of the same settings on every sequence, or leave out the average curve",
        )
    first = next(iter(curves.values()))
    return make_curve(
        10 ** np.mean([curve.log_rates for curve in curves.values()], axis=0),
        np.mean([curve.scores for curve in curves.values()], axis=0),
        higher_is_better=first.higher_is_better,
        log_domain_ceiling=first.log_domain_ceiling,
    )
