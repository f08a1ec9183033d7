"""Mean opinion scores, and what can be said of the subjects: the models of the standards, as `sureal` has them.

Each is sureal's own class, run on the votes as they are. Subjects that look like outliers are named; a vote is left out
only where the chosen model says so, and then the subject is named as left out.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import MetricError, RequestError
from evalsuite.study.ratings import Ratings
from evalsuite.study.stimuli import Stimulus

ModelName = Literal["p910", "p913", "bt500", "mos"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)

SOURCES: dict[ModelName, str] = {
    "p910": "maximum likelihood with subject bias and inconsistency, ITU-T P.910 (11/21) Annex E, P.913 (06/21) 12.6",
    "p913": "subject bias taken off, then subjects rejected as in BT.500, ITU-T P.913 (06/21) 12.4",
    "bt500": "mean after subjects are rejected, ITU-R BT.500-14 (10/2019) A1-2.3.1",
    "mos": "mean of all votes",
}
"""What each model is; the standards' sections as sureal's README names them."""

_CLASSES: dict[ModelName, str] = {
    "p910": "P910AnnexEModel",
    "p913": "P913124Model",
    "bt500": "BT500Model",
    "mos": "MosModel",
}

LOW_CORRELATION = 0.75
"""Pearson correlation with the mean below which a subject is named: VQEG's test plans (HDTV, 2009) screen by it."""

_BEYOND, _ONE_SIDED = 0.05, 0.3
"""BT.500-14 A1-2.3.1: the share of a subject's votes that is far from the mean, and how one-sided those may be."""

MIN_SUBJECTS = 12
MIN_VOTES = 24
"""Fewest subjects, and votes of each, for an interval of a model that estimates the subjects too: of fewer, its 95 %
are less than 90 %, by the simulation in benchmarks/study_opinions.py."""

_EXPLAINED = 1e-4
"""Inconsistency in grades that no subject has who votes on more stimuli than the model has parameters for."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What subjects think of one stimulus."""

    stimulus: Stimulus
    mos: float
    ci95: float | None
    """Half of the 95 % interval; None for a single vote, and where the model's is known to be too narrow."""
    votes: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What the votes tell of one subject."""

    name: str
    votes: int
    bias: float | None
    """In grades, positive for one who votes high; None where the model has none."""
    inconsistency: float | None
    """Standard deviation of the votes about MOS and bias, in grades; None where the model has none."""
    correlation: float | None
    """Pearson correlation with the mean of all subjects; None below three stimuli, or where it is not defined."""
    remarks: tuple[str, ...]
    """Why the subject looks like an outlier, or was left out."""


@dataclass(frozen=True, slots=True)
class Opinions:
    """The outcome of one model."""

    model: ModelName
    opinions: tuple[Opinion, ...]
    subjects: tuple[Subject, ...]
    remarks: tuple[str, ...]


def analyse_ratings(ratings: Ratings, model: ModelName = "p910") -> Opinions:
    """MOS per stimulus with 95 % intervals, and bias and inconsistency per subject.

    Args:
        ratings: the votes.
        model: one of `MODELS`.

    Raises:
        RequestError: too few subjects or stimuli for the model, or votes that it cannot be fitted to.
        MetricError: sureal is not installed.

    Source: `SOURCES`; sureal 0.9.0. Checked against the MOS, bias and inconsistency that sureal's itut_p910_demo
    publishes for its sample data.
    """
    sureal = _sureal()
    if model != "mos":
        _check_size(ratings, model)
    found = _fitted(sureal, model, ratings.scores)
    mos = np.array(found["quality_scores"], dtype=np.float64)
    half = np.array(found["quality_scores_ci95"][0], dtype=np.float64)
    left_out: list[bool] = found.get("observer_rejected") or [False] * len(ratings.subjects)
    if not np.isfinite(mos).all():
        lost = [ratings.stimuli[row].label for row in np.flatnonzero(~np.isfinite(mos))]
        raise RequestError(
            f"the model {model} leaves a stimulus without a score",
            where=", ".join(lost[:5]),
            got=f"subjects left out: {', '.join(_named(ratings.subjects, left_out)) or 'none'}",
            fix="use --model mos, or collect more votes on it",
        )
    spread = found.get("observer_inconsistency")
    if spread is not None:
        _check_spread(ratings.subjects, spread)
    voted = ~np.isnan(ratings.scores)
    votes = (voted & ~np.array(left_out)[None, :, None]).sum(axis=(1, 2))
    who: NDArray[np.bool_] = voted.max(axis=2)
    told = (votes > 1) & _interval_holds(model, who)
    return Opinions(
        model,
        tuple(
            Opinion(stimulus, float(mos[row]), float(half[row]) if told[row] else None, int(votes[row]))
            for row, stimulus in enumerate(ratings.stimuli)
        ),
        _subjects(sureal, ratings, found, left_out),
        (*ratings.remarks, *_unanimous(ratings, model), *_narrow(model, int(((votes > 1) & ~told).sum()))),
    )


def _sureal() -> Any:
    try:
        import sureal
    except ImportError as error:
        raise MetricError(
            "opinion scores are analysed by the package sureal, which cannot be imported",
            got=str(error)[:200],
            fix="install it: python -m pip install 'evalsuite[study]'",
        ) from error
    return sureal


def _run(model: Any, scores: NDArray[np.float64]) -> dict[str, Any]:
    """What a class of sureal makes of an array of votes (stimuli, subjects, repetitions)."""
    from sureal.dataset_reader import RawDatasetReader

    dataset = SimpleNamespace(
        ref_videos=[{"content_id": 0, "content_name": "all", "path": ""}],
        dis_videos=[
            {"content_id": 0, "asset_id": row, "path": str(row), "os": [list(map(float, one)) for one in given]}
            for row, given in enumerate(scores)
        ],
    )
    # It prints each iteration, and warns where a subject has no vote that stands out.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found: dict[str, Any] = model(RawDatasetReader(dataset)).run_modeling()
    return found


def _fitted(sureal: Any, model: ModelName, scores: NDArray[np.float64]) -> dict[str, Any]:
    """What a model makes of the votes; where it leaves out subjects, by their own number of votes."""
    found = _run(getattr(sureal, _CLASSES[model]), scores)
    if "observer_rejected" not in found:
        return found
    # Where bias is taken off first, no stimulus is unanimous.
    rejected = _screened(sureal, scores) if model == "bt500" else _rejected(found, scores, scores)
    bias = np.array(found.get("observer_bias") or [0.0] * len(rejected), dtype=np.float64)
    kept = (scores - bias[None, :, None])[:, [not one for one in rejected]]
    return {**found, **_run(sureal.MosModel, kept), "observer_rejected": rejected}


def _rejected(found: Mapping[str, Any], counted: NDArray[np.float64], scores: NDArray[np.float64]) -> list[bool]:
    """Whom BT.500-14 A1-2.3.1 rejects, by the counts that sureal made of some of the stimuli, or of all.

    sureal divides them by stimuli times repetitions, as if everybody had given that many votes: one repeated vote of
    anybody would halve what it finds of all.
    """
    given = (~np.isnan(scores)).sum(axis=(0, 2))
    beyond = np.array(found["observer_rejected_1st_stats"]) * (counted.shape[0] * counted.shape[2])
    one_sided = np.array(found["observer_rejected_2nd_stats"])  # NaN where no vote is beyond: no outlier
    rejected = [bool(one) for one in (beyond > _BEYOND * given) & (one_sided < _ONE_SIDED)]
    return [False] * len(rejected) if all(rejected) else rejected


def _check_size(ratings: Ratings, model: str) -> None:
    for count, what in ((len(ratings.subjects), "subjects"), (len(ratings.stimuli), "stimuli")):
        if count < 2:
            raise RequestError(
                f"the model {model} tells subjects from stimuli, and needs two of each",
                expected=f"at least 2 {what}",
                got=count,
                fix="use --model mos for a plain mean, or collect more votes",
            )


def _check_spread(subjects: Sequence[str], spread: Sequence[float]) -> None:
    """Refuse a fit whose likelihood has no bound: one subject's votes would be the MOS, whatever the others say."""
    exact = [value < _EXPLAINED for value in spread]
    if any(exact) and not all(exact):
        raise RequestError(
            "the model explains some subjects' votes exactly, and would trust nobody else",
            where=", ".join(_named(subjects, exact)[:5]),
            expected="subjects with several votes on stimuli that others rated too",
            fix=f"use --model mos; this is usual with fewer than {MIN_SUBJECTS} subjects of {MIN_VOTES} votes each",
        )


def _subjects(sureal: Any, ratings: Ratings, found: dict[str, Any], left_out: Sequence[bool]) -> tuple[Subject, ...]:
    screened = _screened(sureal, ratings.scores)
    correlations = correlations_with_mean(ratings.scores)
    biases, spreads = found.get("observer_bias"), found.get("observer_inconsistency")
    subjects = []
    for place, name in enumerate(ratings.subjects):
        r = correlations[place]
        remarks = ["left out by the model"] if left_out[place] else []
        if screened[place]:
            remarks.append("rejected by the screening of BT.500")
        if r is not None and r < LOW_CORRELATION:
            remarks.append(f"correlation below {LOW_CORRELATION:g}")
        votes = ratings.scores[:, place][~np.isnan(ratings.scores[:, place])]
        if len(votes) > 2 and np.ptp(votes) == 0:
            remarks.append("all votes are equal")
        subjects.append(
            Subject(
                name,
                len(votes),
                None if biases is None else float(biases[place]),
                None if spreads is None else float(spreads[place]),
                r,
                tuple(remarks),
            )
        )
    return tuple(subjects)


def correlations_with_mean(scores: NDArray[np.float64]) -> list[float | None]:
    """Pearson correlation of each subject's votes with the mean of all subjects'.

    Args:
        scores: (stimuli, subjects, repetitions); NaN is no vote.

    Returns:
        One for each subject; None below three stimuli, or where votes or means are all equal.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a subject may have no vote on a stimulus
        own = np.nanmean(scores, axis=2)
        mean = np.nanmean(own, axis=1)
    found: list[float | None] = []
    for votes in own.T:
        there = ~np.isnan(votes)
        if there.sum() < 3 or np.ptp(votes[there]) == 0 or np.ptp(mean[there]) == 0:
            found.append(None)
        else:
            found.append(float(np.corrcoef(votes[there], mean[there])[0, 1]))
    return found


def _screened(sureal: Any, scores: NDArray[np.float64]) -> list[bool]:
    """Whom BT.500 rejects, by the stimuli on which votes differ.

    A stimulus on which all agree counts for sureal against every one of them, since a vote that equals the mean is as
    far from it as no standard deviation.
    """
    differing = scores[np.nanmax(scores, axis=(1, 2)) > np.nanmin(scores, axis=(1, 2))]
    if len(differing) < 2 or scores.shape[1] < 2:
        return [False] * scores.shape[1]
    return _rejected(_run(sureal.BT500Model, differing), differing, scores)


def _interval_holds(model: ModelName, voted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the interval of each stimulus can be given, by who voted on it: (stimuli, subjects)."""
    if model in ("mos", "bt500"):
        return np.ones(len(voted), dtype=bool)
    known = voted.sum(axis=0) >= MIN_VOTES
    holds: NDArray[np.bool_] = voted[:, known].sum(axis=1) >= MIN_SUBJECTS
    return holds


def _narrow(model: ModelName, count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"no interval for {count} stimuli: those of {model} are too narrow below {MIN_SUBJECTS} subjects of"
        f" {MIN_VOTES} votes each; --model mos has some",
    )


def _unanimous(ratings: Ratings, model: str) -> tuple[str, ...]:
    if model != "bt500":
        return ()
    alike = int((np.nanmax(ratings.scores, axis=(1, 2)) == np.nanmin(ratings.scores, axis=(1, 2))).sum())
    if not alike:
        return ()
    return (f"all votes agree on {alike} stimuli: they count against nobody where subjects are rejected",)


def _named(names: Sequence[str], chosen: Sequence[bool]) -> list[str]:
    return [name for name, one in zip(names, chosen, strict=True) if one]
