"""Bjøntegaard deltas: the rate saved at equal quality, and the quality gained at equal rate.

Numbers in, numbers out: this module knows no files, no codecs and no tables. The definitions, with their sources,
are in `docs/bd-rate.md`. The source of the method is G. Bjøntegaard, VCEG-M33 (2001), with the piecewise cubic of
JCTVC-L1100 and JVET-T2010 as the default; checked against the package `bjontegaard` 1.3.0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator, PPoly

from evalsuite.errors import RequestError, ShapeError, did_you_mean

Array = NDArray[np.float64]
Method = Literal["pchip", "akima", "cubic"]
BDStatus = Literal["ok", "flagged", "refused"]

MIN_POINTS = 4
"""Fewest usable points a side: VCEG-M33 is defined on four."""

REFUSE_OVERLAP = 0.5
"""Below this overlap more than half of what was measured would be compared with nothing."""

FLAG_OVERLAP = 0.75
"""Below this overlap the package `bjontegaard` warns (its `min_overlap`, same definition of overlap)."""

_ILL_POSED = "the points lie too close together, or too far apart, for a number"


@dataclass(frozen=True, slots=True)
class BDResult:
    """The test codec against the anchor, or the reason that they cannot be compared."""

    status: BDStatus
    """`flagged`: `percent` stands, but read `reason`. `refused`: there is no `percent`."""
    reason: str
    """Why the status is not ok, or why `quality` is missing; empty where there is nothing to say."""
    percent: float | None = None
    """BD-rate: mean change of the rate at equal quality. Negative: the test codec saves bits, for every metric."""
    quality: float | None = None
    """BD-quality: mean of test score minus anchor score at equal rate, in the metric's own unit and direction.

    Positive is better for a higher-is-better metric, negative is better for a lower-is-better one.
    """
    overlap: float | None = None
    """Common quality range over the range that both curves cover together, in [0, 1]."""
    rate_overlap: float | None = None
    """The same of the log-rate ranges; `quality` is refused where it is poor."""
    points_anchor: int = 0
    """Points the anchor's curve goes through, after the drops."""
    points_test: int = 0
    """Points the test codec's curve goes through, after the drops."""
    dropped_anchor: Mapping[str, int] = field(default_factory=dict)
    """How many of the anchor's points were left out, by reason."""
    dropped_test: Mapping[str, int] = field(default_factory=dict)
    """How many of the test codec's points were left out, by reason."""


@dataclass(frozen=True, slots=True)
class _Curve:
    """The Pareto front of one side, by rising rate and strictly rising goodness."""

    log_rates: Array
    scores: Array
    goodness: Array
    """The scores, or their log-domain map, turned so that higher is better."""
    dropped: Mapping[str, int]
    given: int
    falling: bool
    """Goodness falls as the rate rises, by rank correlation over all usable points."""


def bd_rate(
    anchor_rates: ArrayLike,
    anchor_scores: ArrayLike,
    test_rates: ArrayLike,
    test_scores: ArrayLike,
    *,
    higher_is_better: bool,
    method: Method = "pchip",
    log_domain_ceiling: float | None = None,
) -> BDResult:
    """Compare two rate-quality curves of one sequence; never extrapolates, never averages curves.

    Args:
        anchor_rates: (n,) rates in any unit, in any order; the two sides share the unit.
        anchor_scores: (n,) scores of one metric; NaN and inf are dropped and counted.
        test_rates: (m,) as `anchor_rates`.
        test_scores: (m,) as `anchor_scores`.
        higher_is_better: the metric's direction.
        method: how the curve runs between its points; `cubic` is one polynomial over all of them (VCEG-M33).
        log_domain_ceiling: for a saturating metric, its best score: qualities are compared as
            -10 log10(1 - score / ceiling). BD-quality stays in the metric's own unit.

    Returns:
        A result whose status is `refused` where the data do not carry a comparison: that is an answer, not an error.

    Raises:
        ShapeError: rates and scores of one side differ in length, or are not one-dimensional.
        RequestError: unknown method, or a ceiling that makes no sense.
    """
    if method not in get_args(Method):
        raise RequestError(f"unknown method {method!r}", fix=did_you_mean(method, get_args(Method)))
    if log_domain_ceiling is not None and not (higher_is_better and 0 < log_domain_ceiling < np.inf):
        raise RequestError(
            "the log domain is for metrics that saturate at a positive best score",
            expected="higher is better, and a finite ceiling above 0",
            got=f"ceiling {log_domain_ceiling:g}, {'higher' if higher_is_better else 'lower'} is better",
        )
    anchor = _curve("anchor", anchor_rates, anchor_scores, higher_is_better, log_domain_ceiling)
    test = _curve("test", test_rates, test_scores, higher_is_better, log_domain_ceiling)
    # Near-coincident points at the ends of the float range overflow; the results are checked to be finite instead.
    with np.errstate(all="ignore"):
        return _compare(anchor, test, method)


def _curve(side: str, rates: ArrayLike, scores: ArrayLike, higher_is_better: bool, ceiling: float | None) -> _Curve:
    rate, score = np.asarray(rates, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if rate.ndim != 1 or rate.shape != score.shape:
        raise ShapeError(
            f"the {side}'s rates and scores do not pair up",
            expected="two one-dimensional arrays of the same length",
            got=f"shapes {rate.shape} and {score.shape}",
        )
    reasons: list[str] = []
    usable = np.ones(rate.shape, dtype=np.bool_)
    for name, bad in (
        ("rate not positive and finite", ~((rate > 0) & np.isfinite(rate))),
        ("score missing (NaN)", np.isnan(score)),
        ("score infinite", np.isinf(score)),
        ("score at its ceiling", score >= ceiling if ceiling is not None else np.zeros_like(usable)),
    ):
        reasons += [name] * int((usable & bad).sum())
        usable &= ~bad
    rate, score = rate[usable], score[usable]
    signed = score if higher_is_better else -score
    goodness = signed if ceiling is None else -10 * np.log10(1 - score / ceiling)
    order = np.lexsort((-goodness, rate))
    log_rate, score, goodness = np.log10(rate[order]), score[order], goodness[order]
    kept: list[int] = []
    for i in range(len(order)):
        if not kept or (goodness[i] > goodness[kept[-1]] and log_rate[i] > log_rate[kept[-1]]):
            kept.append(i)
        elif log_rate[i] == log_rate[kept[-1]]:
            reasons.append("repeated" if goodness[i] == goodness[kept[-1]] else "same rate, worse score")
        else:
            reasons.append("not better than a cheaper point")
    return _Curve(
        log_rates=log_rate[kept],
        scores=score[kept],
        goodness=goodness[kept],
        dropped=dict(Counter(reasons)),
        given=len(usable),
        falling=_falls(log_rate, goodness),
    )


def _falls(log_rate: Array, goodness: Array) -> bool:
    if not len(goodness):
        return False
    rate_ranks, ranks = (np.unique(values, return_inverse=True)[1] for values in (log_rate, goodness))
    return bool(((rate_ranks - rate_ranks.mean()) * (ranks - ranks.mean())).sum() < 0)


def _compare(anchor: _Curve, test: _Curve, method: Method) -> BDResult:
    def result(status: BDStatus, reasons: list[str], **numbers: float | None) -> BDResult:
        return BDResult(
            status=status,
            reason="; ".join(reasons),
            points_anchor=len(anchor.log_rates),
            points_test=len(test.log_rates),
            dropped_anchor=anchor.dropped,
            dropped_test=test.dropped,
            **numbers,
        )

    sides = (("anchor", anchor), ("test", test))
    refusals = [f"{name}: {why}" for name, curve in sides if (why := _unusable(curve))]
    if refusals:
        return result("refused", refusals)
    flags = [f"{name}: dropped {said}" for name, curve in sides if (said := _said(curve, skip="repeated"))]

    overlap = _overlap(anchor.goodness, test.goodness)
    rate_overlap = _overlap(anchor.log_rates, test.log_rates)
    notes: list[str] = []
    quality = percent = None
    if rate_overlap >= REFUSE_OVERLAP:
        quality, _ = _mean_gap(anchor.log_rates, anchor.scores, test.log_rates, test.scores, method)
        if quality is None:
            notes.append(f"BD-quality is refused: {_ILL_POSED}")
    if rate_overlap < FLAG_OVERLAP:
        said = _ranges("rate", rate_overlap, 10**anchor.log_rates, 10**test.log_rates)
        notes.append(f"BD-quality {'is refused' if quality is None else 'holds for a part'}: {said}")
    thin = _ranges("quality", overlap, anchor.scores, test.scores)
    if overlap < REFUSE_OVERLAP:
        reasons = [f"{thin}; at least {REFUSE_OVERLAP:.0%} is needed", *notes]
        return result("refused", reasons, quality=quality, overlap=overlap, rate_overlap=rate_overlap)
    if overlap < FLAG_OVERLAP:
        flags.insert(0, thin)
    gap, bent = _mean_gap(anchor.goodness, anchor.log_rates, test.goodness, test.log_rates, method)
    if bent:
        flags.append(f"the {method} curve of a monotone set of points is not monotone itself")
    if gap is not None:
        percent = float(100 * np.expm1(gap * np.log(10)))
    if percent is None or not np.isfinite(percent):
        reasons = [_ILL_POSED, *notes]
        return result("refused", reasons, quality=quality, overlap=overlap, rate_overlap=rate_overlap)
    return result(
        "flagged" if flags else "ok",
        flags + notes,
        percent=percent,
        quality=quality,
        overlap=overlap,
        rate_overlap=rate_overlap,
    )


def _unusable(curve: _Curve) -> str:
    if curve.falling:
        return "scores get worse as the rate rises; is the metric's direction right?"
    if len(curve.log_rates) < MIN_POINTS:
        said = _said(curve)
        dropped = f" (dropped {said})" if said else ""
        return f"{len(curve.log_rates)} usable of {curve.given} points, at least {MIN_POINTS} are needed{dropped}"
    return ""


def _said(curve: _Curve, skip: str = "") -> str:
    return ", ".join(f"{count} {reason}" for reason, count in curve.dropped.items() if reason != skip)


def _overlap(a: Array, b: Array) -> float:
    common = min(a[-1], b[-1]) - max(a[0], b[0])
    union = max(a[-1], b[-1]) - min(a[0], b[0])
    return float(max(common, 0) / union) if np.isfinite(union) else 0.0


def _ranges(what: str, overlap: float, a: Array, b: Array) -> str:
    ranges = f"anchor {a.min():.4g} to {a.max():.4g}, test {b.min():.4g} to {b.max():.4g}"
    return f"the {what} ranges overlap by {overlap:.0%} ({ranges})"


def _mean_gap(xa: Array, ya: Array, xb: Array, yb: Array, method: Method) -> tuple[float | None, bool]:
    """Mean of (b - a) over the common range of x, or None; and whether either curve turns back inside it."""
    low, high = max(xa[0], xb[0]), min(xa[-1], xb[-1])
    try:
        curves = [_interpolate(x, y, method) for x, y in ((xa, ya), (xb, yb))]
    except ValueError:  # slopes that overflow, or points too close together
        return None, False
    before, after = (float(curve.integrate(low, high)) / (high - low) for curve in curves)
    gap = float(after - before)
    inside = np.linspace(low, high, 512)
    steps = [np.diff(curve(inside)) for curve in curves]
    # Rounding alone moves a monotone curve by some 1e-16 of its height.
    bent = any(bool((step < -1e-9 * abs(step.sum())).any()) for step in steps)
    return (gap if np.isfinite(gap) else None), bent


def _interpolate(x: Array, y: Array, method: Method) -> PPoly:
    if method == "pchip":
        return PchipInterpolator(x, y)
    if method == "akima":
        return Akima1DInterpolator(x, y)
    # One least-squares cubic, as the package `bjontegaard`; exact through four points. On [0, 1] it is well posed.
    width = x[-1] - x[0]
    coefficients, _, rank, _, _ = np.polyfit((x - x[0]) / width, y, 3, full=True)
    if rank < MIN_POINTS:
        raise ValueError("points too close together for a cubic")
    return PPoly((coefficients / width ** np.arange(3, -1, -1)).reshape(4, 1), x[[0, -1]])
