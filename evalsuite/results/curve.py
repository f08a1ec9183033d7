"""The rate-quality curve of one codec on one sequence: which points make it, and how it runs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import Akima1DInterpolator, PPoly

from evalsuite.errors import RequestError, ShapeError
from evalsuite.results.pchip import pchip

Array = NDArray[np.float64]
Method = Literal["pchip", "akima", "cubic"]

T = TypeVar("T")

MIN_POINTS = 4
"""Fewest usable points a side: VCEG-M33 is defined on four."""

_MIN_INTERLEAVED = 5
"""Fewest points that can be halved: both ends and at least one inner point go to each half, another to one of them."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The Pareto front of a codec's points, by rising rate and strictly rising goodness."""

    log_rates: Array
    """(points,) log10 of the rates."""
    scores: Array
    goodness: Array
    """The scores, or their log-domain map, turned so that higher is better."""
    dropped: Mapping[str, int]
    """How many of the given points were left out, by reason."""
    given: int
    falling: bool
    """Goodness falls as the rate rises, by rank correlation over all usable points."""
    higher_is_better: bool = True
    log_domain_ceiling: float | None = None
    _made: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def unusable(self) -> str:
        """Why no curve can be drawn; empty where one can."""
        if self.falling:
            return "scores get worse as the rate rises; is the metric's direction right?"
        if len(self.log_rates) < MIN_POINTS:
            said = self.said()
            dropped = f" (dropped {said})" if said else ""
            return f"{len(self.log_rates)} usable of {self.given} points, at least {MIN_POINTS} are needed{dropped}"
        return ""

    def said(self, skip: str = "") -> str:
        """What was dropped, in words, but for one reason."""
        return ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if reason != skip)

    def rate_of_goodness(self, method: Method) -> PPoly | None:
        """log10 of the rate over goodness; None where the points are too close together, or too far apart."""
        return self.once("rate", method, lambda: interpolate(self.goodness, self.log_rates, method))

    def score_of_rate(self, method: Method) -> PPoly | None:
        """The score over log10 of the rate; None as above."""
        return self.once("score", method, lambda: interpolate(self.log_rates, self.scores, method))

    def score_at(self, goodness: Array) -> Array:
        """The scores, (n,), that values of goodness stand for."""
        if self.log_domain_ceiling is not None:
            return np.asarray(self.log_domain_ceiling * (1 - 10 ** (-goodness / 10)), dtype=np.float64)
        return goodness if self.higher_is_better else -goodness

    def halves(self) -> tuple[Curve, Curve] | None:
        """Two curves of every other inner point each, both with both ends; None below five points."""
        count = len(self.log_rates)
        if count < _MIN_INTERLEAVED:
            return None
        inner = np.arange(1, count - 1)
        odd, even = (np.concatenate([[0], inner[start::2], [count - 1]]) for start in (0, 1))
        return self._part(odd), self._part(even)

    def _part(self, kept: NDArray[np.intp]) -> Curve:
        return Curve(
            *(self.log_rates[kept], self.scores[kept], self.goodness[kept], {}, len(kept)),
            falling=False,
            higher_is_better=self.higher_is_better,
            log_domain_ceiling=self.log_domain_ceiling,
        )

    def once(self, what: str, method: str, make: Callable[[], T]) -> T | None:
        """What `make` gives, made the first time that it is asked for; None where there is no such line."""
        if (what, method) not in self._made:
            try:
                self._made[what, method] = make()
            except (ValueError, ZeroDivisionError):  # slopes that overflow, or points too close together
                self._made[what, method] = None
        found: T | None = self._made[what, method]
        return found


def make_curve(
    rates: ArrayLike, scores: ArrayLike, *, higher_is_better: bool, log_domain_ceiling: float | None, side: str = ""
) -> Curve:
    """Choose the points that make a curve; every other is counted under the reason that it was dropped for.

    Args:
        rates: (n,) rates in any unit, in any order.
        scores: (n,) scores; NaN and inf are dropped.
        higher_is_better: the metric's direction.
        log_domain_ceiling: the best score of a saturating metric, whose goodness is -10 log10(1 - score / ceiling).
        side: whose points they are, for the error.

    Raises:
        ShapeError: rates and scores differ in length, or are not one-dimensional.
        RequestError: they are not real numbers.
    """
    rate, score = _numbers(rates, "rates", side), _numbers(scores, "scores", side)
    if rate.ndim != 1 or rate.shape != score.shape:
        raise ShapeError(
            f"the {side or 'codec'}'s rates and scores do not pair up",
            expected="two one-dimensional arrays of the same length",
            got=f"shapes {rate.shape} and {score.shape}",
        )
    reasons: list[str] = []
    usable = np.ones(rate.shape, dtype=np.bool_)
    for name, bad in (
        ("rate not positive and finite", ~((rate > 0) & np.isfinite(rate))),
        ("score missing (NaN)", np.isnan(score)),
        ("score infinite", np.isinf(score)),
        ("score at its ceiling", score >= log_domain_ceiling if log_domain_ceiling is not None else ~usable),
    ):
        reasons += [name] * int((usable & bad).sum())
        usable &= ~bad
    rate, score = rate[usable], score[usable]
    signed = score if higher_is_better else -score
    goodness = signed if log_domain_ceiling is None else -10 * np.log10(1 - score / log_domain_ceiling)
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
    return Curve(
        log_rates=log_rate[kept],
        scores=score[kept],
        goodness=goodness[kept],
        dropped=dict(Counter(reasons)),
        given=len(usable),
        falling=_falls(log_rate, goodness),
        higher_is_better=higher_is_better,
        log_domain_ceiling=log_domain_ceiling,
    )


def _numbers(values: ArrayLike, what: str, side: str) -> Array:
    try:
        found = np.asarray(values)
        if np.iscomplexobj(found):
            raise TypeError("complex numbers")
        return found.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(
            f"the {side or 'codec'}'s {what} are not numbers",
            expected="real numbers; NaN where one is missing",
            got=str(error)[:200],
        ) from None


def _falls(log_rate: Array, goodness: Array) -> bool:
    # Most curves rise at every point, and then there is nothing to rank.
    if not len(goodness) or bool((goodness[1:] > goodness[:-1]).all()):
        return False
    from scipy.stats import rankdata  # takes a moment to import, and most curves do without

    rate_ranks, ranks = (rankdata(values) for values in (log_rate, goodness))
    return bool(((rate_ranks - rate_ranks.mean()) * (ranks - ranks.mean())).sum() < 0)


def interpolate(x: Array, y: Array, method: Method) -> PPoly:
    """The curve between points, (n,) each, `x` strictly rising.

    Raises:
        ValueError: the points are too close together.
    """
    if method == "pchip":
        return pchip(x, y)
    if method == "akima":
        return Akima1DInterpolator(x, y)
    # One least-squares cubic, as the package `bjontegaard`; exact through four points. On [0, 1] it is well posed.
    width = x[-1] - x[0]
    coefficients, _, rank, _, _ = np.polyfit((x - x[0]) / width, y, 3, full=True)
    if rank < MIN_POINTS:
        raise ValueError("points too close together for a cubic")
    return PPoly((coefficients / width ** np.arange(3, -1, -1)).reshape(4, 1), x[[0, -1]])
