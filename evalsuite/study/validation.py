"""How well a metric agrees with people: SROCC, and PLCC and RMSE after a logistic fit, with intervals over contents.

The measures are those of ITU-T P.1401: correlations, and the error of the fitted score with the degrees of freedom of
the fit taken off, and those of the means of groups where scores have no zero in common. Intervals are percentiles of a
bootstrap that draws whole sequences, since stimuli of one sequence are not independent of each other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

from evalsuite.results.stats import MIN_SEQUENCES, SEED
from evalsuite.study.grouping import Mask, Numbers, accompanied, centred, levelled, spent
from evalsuite.study.intervals import Interval, interval
from evalsuite.study.joining import Joined, MetricScores

RESAMPLES = 4000
"""Bootstrap resamples of the contents."""

MIN_STIMULI = 6
"""Fewest stimuli: the fit has four parameters, and something must be left to judge it by."""

_PARAMETERS = 4
_EVALUATIONS = 20_000

_SAME_JUDGED = 1e-6
"""Grades or log-odds: the models of people's scores stop at changes of 1e-8, which may add up."""
_SAME_METRIC = 1e-12
"""Of the largest score: what rounding leaves when means are taken off."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """The fit: low + span / (1 + exp(-(x - middle) / width)), rising from `low` to `low + span`."""

    low: float
    span: float
    middle: float
    width: float

    def __call__(self, x: Numbers) -> Numbers:
        """The score that people are expected to give, for scores of a metric (higher is better)."""
        return _logistic(x, self.low, self.span, self.middle, self.width)


@dataclass(frozen=True, slots=True)
class Validity:
    """How well one metric agrees with people; None where a figure is not defined, and `reasons` say why."""

    metric: str
    unit: str
    higher_is_better: bool
    stimuli: int
    contents: int
    srocc: float | None = None
    """Spearman's rank correlation, positive where the metric agrees, whichever way it points."""
    srocc_ci: Interval = None
    plcc: float | None = None
    """Pearson's correlation of people's scores and the fitted ones."""
    plcc_ci: Interval = None
    rmse: float | None = None
    """Of the fitted scores, in the unit of people's scores, over stimuli - 4 - groups."""
    rmse_ci: Interval = None
    fit: Logistic | None = None
    """Of the metric's score, its sign turned where lower is better."""
    behind_best: Interval = None
    """95 % interval of the best metric's SROCC less this one's, in the same resamples of the stimuli that both have."""
    level_with_best: bool | None = None
    """Whether that interval reaches 0: the data do not tell the two apart. None where there is no interval."""
    reasons: tuple[str, ...] = field(default=())


def validate(joined: Joined, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Validity]:
    """Every metric, the best first: the one that no other beats on the stimuli on which both have a score.

    Where all metrics have all scores, that is the order of SROCC.

    Args:
        joined: people's scores and the metrics'.
        resamples: how many times the contents are drawn anew.
        seed: the same seed and scores give the same intervals.

    Source: ITU-T P.1401 (01/2020) for the measures; VQEG, Final report on the validation of objective models of video
    quality assessment, phase I (2000), for the four-parameter logistic.
    """
    drawn = _Sroccs(joined, draws(joined.contents, resamples, seed))
    found = [_validate(place, drawn) for place in range(len(joined.metrics))]
    ranked = [place for place, one in enumerate(found) if one.srocc is not None]
    if not ranked:
        return found
    once = _Sroccs(joined, np.ones((1, len(joined.contents))))
    best = max(ranked, key=lambda place: _merit(found[place], [once.lead(place, other)[0][0] for other in ranked]))
    # Where no stimuli are shared, nothing is known of the order: last.
    behind = {place: float(np.nan_to_num(once.lead(best, place)[0][0], nan=math.inf)) for place in ranked}
    order = sorted(ranked, key=lambda place: (place != best, behind[place], -(found[place].srocc or 0.0)))
    first = [_against(best, place, found, drawn) for place in order]
    return first + [one for one in found if one.srocc is None]


@dataclass(frozen=True, slots=True)
class _Sroccs:
    """SROCCs on chosen stimuli in the same resamples, each worked out once."""

    joined: Joined
    counts: Numbers
    """(resamples, stimuli) how often each stimulus is in a resample."""
    known: dict[tuple[int, bytes], Numbers] = field(default_factory=dict)
    """By place of the metric and the stimuli."""

    def of(self, place: int, there: Mask) -> Numbers:
        """Of one metric on the stimuli `there`: (resamples,), NaN where it is not defined."""
        key = place, there.tobytes()
        if key not in self.known:
            x, y = _on(self.joined.metrics[place], self.joined, there)
            inside = self.counts[:, there]
            nothing = np.full(len(inside), math.nan)
            self.known[key] = nothing if _undefined(x, y) else _srocc(x, y, inside)
        return self.known[key]

    def lead(self, one: int, other: int) -> tuple[Numbers, Mask]:
        """By how much one is above the other in each resample, on the stimuli on which both have a score; and those."""
        there = np.isfinite(self.joined.metrics[one].scores) & np.isfinite(self.joined.metrics[other].scores)
        there = accompanied(self.joined.groups, there)
        return self.of(one, there) - self.of(other, there), there


def _merit(one: Validity, leads: Sequence[float]) -> tuple[bool, float, int, float]:
    """What makes a metric the best: no other is far ahead of it; and then, that it has more scores."""
    return one.contents >= MIN_SEQUENCES, float(np.nanmin(leads)), one.stimuli, one.srocc or 0.0


def _against(best: int, place: int, found: Sequence[Validity], drawn: _Sroccs) -> Validity:
    """A metric with what tells it from the best one."""
    behind, there = drawn.lead(best, place)
    contents = _contents(drawn.joined, there)
    bounds = interval(behind, contents) if contents >= MIN_SEQUENCES else None
    one = found[place]
    reasons = one.reasons
    if there.sum() < one.stimuli:
        reasons += (f"compared with {found[best].metric} on the {there.sum()} stimuli that both have",)
    return replace(one, behind_best=bounds, level_with_best=None if bounds is None else bounds[0] <= 0, reasons=reasons)


def fit_logistic(x: Numbers, y: Numbers) -> Logistic:
    """The rising logistic of four parameters that is nearest to `y` in the mean square.

    Args:
        x: (stimuli,) scores of a metric, higher is better, not all equal.
        y: (stimuli,) people's scores, not all equal.

    Raises:
        RuntimeError: it does not converge, or nothing rises.
    """
    centre, scale, height = float(x.mean()), float(x.std()), float(np.ptp(y))
    z = (x - centre) / scale
    start = (float(y.min()), height, 0.0, 1.0)
    # Beyond these bounds the curve is a straight line for all that the data can tell, or a step between two stimuli.
    bounds = (
        [y.min() - 20 * height, 1e-6 * height, -20.0, 0.1],
        [y.max() + 20 * height, 40 * height, 20.0, 20.0],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # about a covariance that nothing here uses
        found, _ = curve_fit(_logistic, z, y, p0=start, bounds=bounds, max_nfev=_EVALUATIONS, x_scale="jac")
    low, span, middle, width = (float(one) for one in found)
    if span * np.ptp(expit((z - middle) / width)) < 1e-3 * height:
        raise RuntimeError("the best rising curve is flat: people's scores do not rise with the metric's")
    return Logistic(low, span, centre + scale * middle, scale * width)


def _logistic(x: Numbers, low: float, span: float, middle: float, width: float) -> Numbers:
    curve: Numbers = low + span * expit((x - middle) / width)
    return curve


def _on(metric: MetricScores, joined: Joined, there: Mask) -> tuple[Numbers, Numbers]:
    """The metric's scores, higher is better, and people's, each less the mean of its group over the stimuli `there`."""
    groups = _inside(joined.groups, there)
    scores = (metric.scores if metric.higher_is_better else -metric.scores)[there]
    largest = float(np.abs(scores).max(initial=0.0))
    return (
        levelled(centred(scores, groups), _SAME_METRIC * largest),
        levelled(centred(joined.judged[there], groups), _SAME_JUDGED),
    )


def _inside(names: Sequence[str], there: Mask) -> list[str]:
    """The names of the stimuli `there`; none where there are none."""
    return [name for name, one in zip(names, there, strict=True) if one] if names else []


def _contents(joined: Joined, there: Mask) -> int:
    return len({content for content, one in zip(joined.contents, there, strict=True) if one})


def _validate(place: int, drawn: _Sroccs) -> Validity:
    """One metric by itself."""
    joined, metric = drawn.joined, drawn.joined.metrics[place]
    finite = np.isfinite(metric.scores)
    there = accompanied(joined.groups, finite)
    x, y = _on(metric, joined, there)
    contents = _contents(joined, there)
    about = (metric.name, metric.unit, metric.higher_is_better, len(x), contents)
    reasons = []
    if missing := int((~finite).sum()):
        reasons.append(f"no finite score on {missing} of {len(finite)} stimuli")
    if alone := int((finite & ~there).sum()):
        reasons.append(f"nothing left in their group to compare {alone} stimuli with")
    if undefined := _undefined(x, y):
        return Validity(*about, reasons=(*reasons, undefined))
    try:
        fit = fit_logistic(x, y)
    except (RuntimeError, ValueError) as error:
        fit = None
        reasons.append(f"the logistic fit fails: {str(error)[:160]}")
    fitted = np.full(len(x), math.nan) if fit is None else fit(x)
    means = spent(_inside(joined.groups, there), len(x))
    once = measures(x, y, fitted, np.ones((1, len(x))), means)
    if fit is not None and not math.isfinite(once[2][0]):
        reasons.append(f"RMSE is not defined: {len(x)} stimuli for a fit of 4 parameters and {means.sum():.0f} means")
    if contents < MIN_SEQUENCES:
        reasons.append(f"an interval needs {MIN_SEQUENCES} contents")
        many = (np.full(len(drawn.counts), math.nan),) * 3
    else:
        many = measures(x, y, fitted, drawn.counts[:, there], means)
        drawn.known[place, there.tobytes()] = many[0]
    srocc, plcc, rmse = (float(one[0]) if math.isfinite(one[0]) else None for one in once)
    srocc_ci, plcc_ci, rmse_ci = (interval(one, contents) for one in many)
    return Validity(*about, srocc, srocc_ci, plcc, plcc_ci, rmse, rmse_ci, fit, reasons=tuple(reasons))


def _undefined(x: Numbers, y: Numbers) -> str:
    """Why no correlation is defined; empty where one is."""
    if len(x) < MIN_STIMULI:
        return f"{len(x)} stimuli, {MIN_STIMULI} are needed"
    for values, whose in ((x, "the metric's"), (y, "people's")):
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            return f"{whose} scores are all equal: no correlation is defined"
    return ""


def measures(
    x: Numbers, y: Numbers, fitted: Numbers, counts: Numbers, means: Numbers | None = None
) -> tuple[Numbers, Numbers, Numbers]:
    """SROCC, PLCC and RMSE of resamples; NaN where one is not defined.

    Args:
        x: (stimuli,) scores of a metric, higher is better.
        y: (stimuli,) people's scores.
        fitted: (stimuli,) what the fit makes of `x`; NaN where there is none.
        counts: (resamples, stimuli) how often each stimulus is in a resample.
        means: (stimuli,) what each gave of a degree of freedom to the mean of its group; None where none was taken.

    Returns:
        (resamples,) each.
    """
    free = counts @ (1 - (np.zeros(len(x)) if means is None else means)) - _PARAMETERS
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (counts * (y - fitted) ** 2).sum(axis=1)
        # Shares of groups add up to whole ones but for rounding.
        rmse = np.sqrt(np.where(free > 1e-6, squares / free, math.nan))
    return (
        _srocc(x, y, counts),
        _pearson(np.broadcast_to(fitted, counts.shape), np.broadcast_to(y, counts.shape), counts),
        rmse,
    )


def _srocc(x: Numbers, y: Numbers, counts: Numbers) -> Numbers:
    return _pearson(_ranks(x, counts), _ranks(y, counts), counts)


def _ranks(values: Numbers, counts: Numbers) -> Numbers:
    """The rank of each value in each resample, (resamples, stimuli); equal values share the mean of theirs."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    inside = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks: Numbers = (inside.cumsum(axis=1) - (inside - 1) / 2)[:, group]
    return ranks


def _pearson(a: Numbers, b: Numbers, counts: Numbers) -> Numbers:
    """Pearson's correlation in each resample; NaN where a side does not vary."""
    sizes = counts.sum(axis=1, keepdims=True)
    a, b = (one - (counts * one).sum(axis=1, keepdims=True) / sizes for one in (a, b))
    squares = (counts * a * a).sum(axis=1) * (counts * b * b).sum(axis=1)
    products = (counts * a * b).sum(axis=1)
    found: Numbers = np.full(len(counts), math.nan)
    varies = squares > 1e-20
    found[varies] = products[varies] / np.sqrt(squares[varies])
    return found


def draws(contents: Sequence[str], resamples: int, seed: int) -> Numbers:
    """Resamples of whole contents: as many as there are, drawn with replacement.

    Returns:
        (resamples, stimuli): how often each stimulus is in each resample.
    """
    names, place = np.unique(np.array(contents), return_inverse=True)
    chosen = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    counts: Numbers = chosen[:, place].astype(np.float64)
    return counts
