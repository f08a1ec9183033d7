"""BD-rate from anyone's numbers, in Python."""

from __future__ import annotations

from numpy.typing import ArrayLike

from evalsuite.api import given
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results import bdrate
from evalsuite.results.bdrate import BDResult
from evalsuite.results.curve import Method
from evalsuite.results.rdcsv import KNOWN, metric_name


def bd_rate(
    anchor_rates: ArrayLike,
    anchor_scores: ArrayLike,
    test_rates: ArrayLike,
    test_scores: ArrayLike,
    *,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    method: Method = "pchip",
    log_domain_ceiling: float | None = None,
) -> BDResult:
    """Compare two rate-quality curves of one sequence; negative saves bits. For curves in results: `Results.bd_rate`.

    Args:
        anchor_rates: (n,) rates in any unit, in any order; the two sides share the unit.
        anchor_scores: (n,) scores of one metric.
        test_rates: (m,) as `anchor_rates`.
        test_scores: (m,) as `anchor_scores`.
        metric: one that `evalsuite bd` knows by name, such as `vmaf`: sets direction and ceiling as tables have them.
        higher_is_better: the direction of any other metric.
        method: how curves run between points: `pchip`, `akima` or `cubic`.
        log_domain_ceiling: of a saturating metric, its best score: see `docs/bd-rate.md`.

    Returns:
        A result whose status is `refused` where the points do not carry a comparison: that is an answer, not an error.

    Raises:
        ShapeError: rates and scores of one side differ in length, or are not one-dimensional.
        RequestError: rates or scores that are not real numbers; a metric that is not known, or no direction; an
            unknown method; a ceiling that makes no sense.
    """
    if higher_is_better is not None:
        higher_is_better = given.flag("higher_is_better", higher_is_better)
    if log_domain_ceiling is not None:
        log_domain_ceiling = given.number("log_domain_ceiling", log_domain_ceiling)
    if metric is not None:
        name = metric_name(given.text("metric", metric))
        known = KNOWN.get(name)
        if known is None and higher_is_better is None:
            raise RequestError(
                f"the metric {metric!r} is not known by name",
                fix=f"{did_you_mean(name, KNOWN)}; or say higher_is_better=True or False",
            )
        if known is not None:
            if higher_is_better not in (None, known.higher_is_better):
                raise RequestError(
                    f"{name} is known by name", expected=f"higher_is_better={known.higher_is_better}, or left out"
                )
            higher_is_better = known.higher_is_better
            log_domain_ceiling = known.log_domain_ceiling if log_domain_ceiling is None else log_domain_ceiling
    if higher_is_better is None:
        raise RequestError(
            "the metric's direction is not known", fix='say metric="psnr", or higher_is_better=True or False'
        )
    return bdrate.bd_rate(
        anchor_rates,
        anchor_scores,
        test_rates,
        test_scores,
        higher_is_better=higher_is_better,
        method=method,
        log_domain_ceiling=log_domain_ceiling,
    )
