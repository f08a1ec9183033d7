"""How well a metric agrees with people: SROCC, and PLCC and RMSE after a logistic fit, with intervals over contents.

The measures are those of ITU-T P.1401: correlations, and the error of the fitted score with the degrees of freedom of
the fit taken off. Intervals are percentiles of a bootstrap that draws whole sequences, since stimuli of one sequence
are not independent of each other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

from evalsuite.results.stats import MIN_SEQUENCES, SEED
from evalsuite.study.intervals import Interval, interval
from evalsuite.study.joining import Joined, MetricScores

RESAMPLES = 4000
"""Bootstrap resamples of the contents."""

MIN_STIMULI = 6
"""Fewest stimuli: the fit has four parameters, and something must be left to judge it by."""

_PARAMETERS = 4
_EVALUATIONS = 20_000
Numbers = NDArray[np.float64]


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
    """Of the fitted scores, in the unit of people's scores, over stimuli - 4."""
    rmse_ci: Interval = None
    fit: Logistic | None = None
    """Of the metric's score, its sign turned where lower is better."""
    behind_best: Interval = None
    """95 % interval of the best metric's SROCC less this one's, in the same resamples."""
    level_with_best: bool | None = None
    """Whether that interval reaches 0: the data do not tell the two apart. None where there is no interval."""
    reasons: tuple[str, ...] = field(default=())


def validate(joined: Joined, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Validity]:
    """Every metric, best SROCC first.

    Args:
        joined: people's scores and the metrics'.
        resamples: how many times the contents are drawn anew.
        seed: the same seed and scores give the same intervals.

    Source: ITU-T P.1401 (01/2020) for the measures; VQEG, Final report on the validation of objective models of video
    quality assessment, phase I (2000), for the four-parameter logistic.
    """
    drawn = draws(joined.contents, resamples, seed)
    found = [_validate(one, joined, drawn) for one in joined.metrics]
    ranked = sorted(found, key=lambda pair: -math.inf if pair[0].srocc is None else pair[0].srocc, reverse=True)
    if not ranked or ranked[0][0].srocc is None:
        return [validity for validity, _ in ranked]
    best = ranked[0][1]
    return [validity if validity.srocc is None else _against(validity, best - sample) for validity, sample in ranked]


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


def _validate(metric: MetricScores, joined: Joined, drawn: Numbers) -> tuple[Validity, Numbers]:
    """One metric, and its SROCC in every resample."""
    there = np.isfinite(metric.scores)
    x = (metric.scores if metric.higher_is_better else -metric.scores)[there]
    y = joined.judged[there]
    contents = len({content for content, one in zip(joined.contents, there, strict=True) if one})
    about = (metric.name, metric.unit, metric.higher_is_better, len(x), contents)
    nothing = np.full(len(drawn), math.nan)
    missing = int((~there).sum())
    reasons = [f"no finite score on {missing} of {len(there)} stimuli"] if missing else []
    if undefined := _undefined(x, y):
        return Validity(*about, reasons=(*reasons, undefined)), nothing
    try:
        fit = fit_logistic(x, y)
    except (RuntimeError, ValueError) as error:
        fit = None
        reasons.append(f"the logistic fit fails: {str(error)[:160]}")
    fitted = np.full(len(x), math.nan) if fit is None else fit(x)
    once = measures(x, y, fitted, np.ones((1, len(x))))
    if contents < MIN_SEQUENCES:
        reasons.append(f"an interval needs {MIN_SEQUENCES} contents")
        many = (nothing, nothing, nothing)
    else:
        many = measures(x, y, fitted, drawn[:, there])
    srocc, plcc, rmse = (float(one[0]) if math.isfinite(one[0]) else None for one in once)
    srocc_ci, plcc_ci, rmse_ci = (interval(one, contents) for one in many)
    validity = Validity(*about, srocc, srocc_ci, plcc, plcc_ci, rmse, rmse_ci, fit, reasons=tuple(reasons))
    return validity, many[0]


def _undefined(x: Numbers, y: Numbers) -> str:
    """Why no correlation is defined; empty where one is."""
    if len(x) < MIN_STIMULI:
        return f"{len(x)} stimuli, {MIN_STIMULI} are needed"
    for values, whose in ((x, "the metric's"), (y, "people's")):
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            return f"{whose} scores are all equal: no correlation is defined"
    return ""


def measures(x: Numbers, y: Numbers, fitted: Numbers, counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """SROCC, PLCC and RMSE of resamples; NaN where one is not defined.

    Args:
        x: (stimuli,) scores of a metric, higher is better.
        y: (stimuli,) people's scores.
        fitted: (stimuli,) what the fit makes of `x`; NaN where there is none.
        counts: (resamples, stimuli) how often each stimulus is in a resample.

    Returns:
        (resamples,) each.
    """
    sizes = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = (counts * (y - fitted) ** 2).sum(axis=1)
        rmse = np.sqrt(np.where(sizes > _PARAMETERS, squares / (sizes - _PARAMETERS), math.nan))
    return (
        _pearson(_ranks(x, counts), _ranks(y, counts), counts),
        _pearson(np.broadcast_to(fitted, counts.shape), np.broadcast_to(y, counts.shape), counts),
        rmse,
    )


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


def _against(validity: Validity, behind: Numbers) -> Validity:
    """The metric with what tells it from the best one: the difference in the same resamples."""
    bounds = interval(behind, max(2, validity.contents))
    return replace(validity, behind_best=bounds, level_with_best=None if bounds is None else bounds[0] <= 0)
