"""Bjøntegaard deltas: the rate saved at equal quality, and the quality gained at equal rate.

Numbers in, numbers out: this module knows no files, no codecs and no tables. The definitions, with their sources,
are in `docs/bd-rate.md`. The source of the method is G. Bjøntegaard, VCEG-M33 (2001), with the piecewise cubic of
JCTVC-L1100 and JVET-T2010 as the default; checked against the package `bjontegaard` 1.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PPoly

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.curve import Array, Curve, Method, make_curve

BDStatus = Literal["ok", "flagged", "refused"]

REFUSE_OVERLAP = 0.5
"""Below this overlap more than half of what was measured would be compared with nothing."""

FLAG_OVERLAP = 0.75
"""Below this overlap the package `bjontegaard` warns (its `min_overlap`, same definition of overlap)."""

SAMPLES = 65
"""Qualities at which the relative curve is evaluated: its extremes and crossings are those of these samples."""

_ILL_POSED = "the points lie too close together, or too far apart, for a number"


@dataclass(frozen=True, slots=True, eq=False)
class RelativeCurve:
    """The test codec's rate relative to the anchor's as a function of quality: what BD-rate is the mean of."""

    scores: Array
    """(samples,) scores in the metric's unit, from the worst quality that both curves reach to the best."""
    percents: Array
    """(samples,) change of the rate at that score; negative saves bits."""

    @property
    def crossings(self) -> tuple[float, ...]:
        """Scores at which the two curves cross: on either side another codec needs fewer bits."""
        # Where curves coincide, what is left is rounding.
        signs = np.sign(np.where(abs(self.percents) < 1e-9, 0, self.percents))
        places = np.flatnonzero(signs)
        found = []
        for before, after in pairwise(places.tolist()):
            if signs[before] != signs[after]:
                a, b = self.percents[before], self.percents[after]
                share = a / (a - b)
                found.append(float(self.scores[before] + share * (self.scores[after] - self.scores[before])))
        return tuple(found)


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
    relative: RelativeCurve | None = field(default=None, compare=False)
    """The change of rate over quality; there wherever `percent` is."""
    noise_floor: float | None = None
    """What these points cannot tell from zero, in percent: see `noise_floor`. None where a side has four points."""


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
        RequestError: unknown method, a ceiling that makes no sense, or what is not real numbers.
    """
    check_request(method, higher_is_better, log_domain_ceiling)
    anchor, test = (
        make_curve(rates, scores, higher_is_better=higher_is_better, log_domain_ceiling=log_domain_ceiling, side=side)
        for side, rates, scores in (("anchor", anchor_rates, anchor_scores), ("test", test_rates, test_scores))
    )
    return compare_curves(anchor, test, method)


def check_request(method: str, higher_is_better: bool, log_domain_ceiling: float | None) -> None:
    """Check what is asked of a comparison.

    Raises:
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


def compare_curves(anchor: Curve, test: Curve, method: Method = "pchip") -> BDResult:
    """Compare two curves of one sequence and metric; a curve may take part in any number of comparisons."""
    # Near-coincident points at the ends of the float range overflow; the results are checked to be finite instead.
    with np.errstate(all="ignore"):
        return _compare(anchor, test, method)


def noise_floor(curve: Curve, method: Method = "pchip") -> float | None:
    """|BD-rate| of a codec against itself on interleaved points, in percent; None where its points cannot be halved.

    Each half has both ends and every other inner point. The halves are coarser than the set itself, so this is an upper
    estimate of what the choice of points does to a number: `docs/bd-rate.md` has the figures.
    """
    return curve.once("floor", method, lambda: _noise_floor(curve, method))


def _noise_floor(curve: Curve, method: Method) -> float | None:
    halves = curve.halves()
    if halves is None:
        return None
    with np.errstate(all="ignore"):
        gap = _mean_gap(curve.goodness[[0, -1]], *(half.rate_of_goodness(method) for half in halves))
        percent = None if gap is None else abs(_percent(gap))
    return percent if percent is not None and np.isfinite(percent) else None


def _compare(anchor: Curve, test: Curve, method: Method) -> BDResult:
    def result(status: BDStatus, reasons: list[str], **found: float | RelativeCurve | None) -> BDResult:
        return BDResult(
            status=status,
            reason="; ".join(reasons),
            points_anchor=len(anchor.log_rates),
            points_test=len(test.log_rates),
            dropped_anchor=anchor.dropped,
            dropped_test=test.dropped,
            **found,  # type: ignore[arg-type]
        )

    sides = (("anchor", anchor), ("test", test))
    refusals = [f"{name}: {curve.unusable}" for name, curve in sides if curve.unusable]
    if refusals:
        return result("refused", refusals)
    flags = [f"{name}: dropped {said}" for name, curve in sides if (said := curve.said(skip="repeated"))]

    overlap = overlap_of(anchor.goodness, test.goodness)
    rate_overlap = overlap_of(anchor.log_rates, test.log_rates)
    notes: list[str] = []
    quality = None
    if rate_overlap >= REFUSE_OVERLAP:
        common_rates = _common(anchor.log_rates, test.log_rates)
        quality = _mean_gap(common_rates, anchor.score_of_rate(method), test.score_of_rate(method))
        if quality is None:
            notes.append(f"BD-quality is refused: {_ILL_POSED}")
    if rate_overlap < FLAG_OVERLAP:
        said = _ranges("rate", rate_overlap, 10**anchor.log_rates, 10**test.log_rates)
        notes.append(f"BD-quality {'is refused' if quality is None else 'holds for a part'}: {said}")
    found = {"quality": quality, "overlap": overlap, "rate_overlap": rate_overlap}
    thin = _ranges("quality", overlap, anchor.scores, test.scores)
    if overlap < REFUSE_OVERLAP:
        return result("refused", [f"{thin}; at least {REFUSE_OVERLAP:.0%} is needed", *notes], **found)
    if overlap < FLAG_OVERLAP:
        flags.insert(0, thin)
    common = _common(anchor.goodness, test.goodness)
    before, after = anchor.rate_of_goodness(method), test.rate_of_goodness(method)
    gap = _mean_gap(common, before, after)
    percent = None if gap is None else _percent(gap)
    if percent is None or not np.isfinite(percent) or before is None or after is None:
        return result("refused", [_ILL_POSED, *notes], **found)
    if method != "pchip" and (_turns_back(before, common) or _turns_back(after, common)):
        flags.append(f"the {method} curve of a monotone set of points is not monotone itself")
    floors = [noise_floor(curve, method) for curve in (anchor, test)]
    return result(
        "flagged" if flags else "ok",
        flags + notes,
        percent=percent,
        relative=_relative(anchor, common, before, after),
        noise_floor=None if None in floors else max(floor for floor in floors if floor is not None),
        **found,
    )


def _relative(anchor: Curve, common: Array, before: PPoly, after: PPoly) -> RelativeCurve:
    goodness = np.linspace(common[0], common[1], SAMPLES)
    percents = 100 * np.expm1((after(goodness) - before(goodness)) * np.log(10))
    return RelativeCurve(anchor.score_at(goodness), percents)


def _percent(gap: float) -> float:
    return float(100 * np.expm1(gap * np.log(10)))


def _common(a: Array, b: Array) -> Array:
    return np.array([max(a[0], b[0]), min(a[-1], b[-1])])


def overlap_of(a: Array, b: Array) -> float:
    """The range that two lines have in common over the one that they cover together; (n,) each, rising."""
    common = min(a[-1], b[-1]) - max(a[0], b[0])
    union = max(a[-1], b[-1]) - min(a[0], b[0])
    return float(max(common, 0) / union) if np.isfinite(union) else 0.0


def _ranges(what: str, overlap: float, a: Array, b: Array) -> str:
    ranges = f"anchor {a.min():.4g} to {a.max():.4g}, test {b.min():.4g} to {b.max():.4g}"
    return f"the {what} ranges overlap by {overlap:.0%} ({ranges})"


def _mean_gap(common: Array, a: PPoly | None, b: PPoly | None) -> float | None:
    """Mean of (b - a) over the common range, or None."""
    if a is None or b is None:
        return None
    low, high = common
    before, after = (float(curve.integrate(low, high)) / (high - low) for curve in (a, b))
    gap = float(after - before)
    return gap if np.isfinite(gap) else None


def _turns_back(curve: PPoly, common: Array) -> bool:
    """Whether a curve through a monotone set of points turns back in the common range."""
    step = np.diff(curve(np.linspace(common[0], common[1], 512)))
    # Rounding alone moves a monotone curve by some 1e-16 of its height.
    return bool((step < -1e-9 * abs(step.sum())).any())
