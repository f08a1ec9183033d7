"""Bradley-Terry scores of pairwise votes, by `choix`, with intervals resampled by subject.

The model: A is preferred to B with probability 1 / (1 + exp(score B - score A)). A tie is half a vote for each.
Source: R. A. Bradley, M. E. Terry, Rank analysis of incomplete block designs, Biometrika 39 (1952).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from evalsuite.errors import MetricError, RequestError
from evalsuite.results.stats import SEED
from evalsuite.study.intervals import interval, tail
from evalsuite.study.stimuli import Stimulus
from evalsuite.study.votes import Vote, Votes

RESAMPLES = 1000
"""Bootstrap resamples of the subjects."""

MIN_SUBJECTS = 5
"""Fewest subjects for an interval."""

_ITERATIONS = 10_000
_TOLERANCE = 1e-8
_RESAMPLE_TOLERANCE = 1e-4
"""Sum of the last changes of all scores: intervals are told to two digits."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Stimuli that were compared with each other, and their scores on a scale of their own."""

    sequence: str
    target_bpp: float | None
    """The rate at which they were compared; None where votes tell none, or link several."""
    items: tuple[Stimulus, ...]
    wins: NDArray[np.float64]
    """(items, items): how often the row was preferred to the column, ties halved."""
    ties: int
    subjects: int
    scores: NDArray[np.float64] | None
    """(items,), natural log of odds, mean 0; None where refused."""
    intervals: tuple[tuple[float, float], ...] | None
    """95 % of each score, resampled by subject; None where refused, of few subjects, or without a bound."""
    reason: str = ""
    """Why there are no scores, or no intervals."""

    @property
    def comparisons(self) -> int:
        """Votes in it."""
        return round(float(self.wins.sum()))

    @property
    def label(self) -> str:
        """Sequence, and rate where there is one."""
        rate = "" if self.target_bpp is None else f" at {self.target_bpp:.4g} bpp"
        return f"{self.sequence or 'all'}{rate}"


def analyse_votes(
    votes: Votes, *, prior: float = 0.0, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Comparison]:
    """Bradley-Terry scores, sequence by sequence; and rate by rate, where no vote of a sequence crosses rates.

    Args:
        votes: the comparisons.
        prior: votes that are added to each side of each pair that was compared; 0 gives the maximum likelihood.
        resamples: how many times subjects are drawn anew.
        seed: the same seed and votes give the same intervals.

    Raises:
        RequestError: a prior below 0.
        MetricError: choix is not installed.
    """
    if not 0 <= prior <= 1000:
        raise RequestError("--prior is a number of votes", expected="0 to 1000, such as 0.5", got=prior)
    choix = _choix()
    return [
        _compare(choix, sequence, target, group, prior, resamples, seed)
        for (sequence, target), group in _groups(votes.votes).items()
    ]


def fit(wins: NDArray[np.float64], start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Bradley-Terry scores of maximum likelihood.

    Args:
        wins: (items, items), how often the row was preferred to the column; may be fractions.
        start: (items,) scores near the solution.

    Returns:
        (items,), natural log of odds, mean 0.

    Raises:
        RequestError: there are no such scores, with the reason.
        MetricError: choix is not installed.
    """
    if reason := no_solution(wins):
        raise RequestError(reason, fix="compare more pairs, or add votes to each compared pair with --prior 0.5")
    return _fit(_choix(), wins, start)


def no_solution(wins: NDArray[np.float64]) -> str:
    """Why votes have no scores of maximum likelihood; empty where they have.

    Source: L. R. Ford, Solution of a ranking problem from binary comparisons, Am. Math. Monthly 64 (1957): finite
    scores need that, however the items are divided in two, each part won a vote against the other.
    """
    if (wins + np.identity(len(wins)) > 0).all():
        return ""
    if (parts := _parts(wins)) > 1:
        return f"the comparisons fall into {parts} parts that no vote connects"
    if connected_components(wins > 0, directed=True, connection="strong")[0] > 1:
        return "one side won every vote against the other, so that its lead has no bound"
    return ""


def _parts(wins: NDArray[np.float64]) -> int:
    """How many there are with no vote between them."""
    return int(connected_components(wins > 0, directed=False)[0])


def _choix() -> Any:
    try:
        import choix
    except ImportError as error:
        raise MetricError(
            "pairwise votes are analysed by the package choix, which cannot be imported",
            got=str(error)[:200],
            fix="install it: python -m pip install 'evalsuite[study]'",
        ) from error
    return choix


def _fit(
    choix: Any,
    wins: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
    tolerance: float = _TOLERANCE,
) -> NDArray[np.float64]:
    scores = choix.ilsr_pairwise_dense(wins, initial_params=start, max_iter=_ITERATIONS, tol=tolerance)
    return np.asarray(scores - scores.mean(), dtype=np.float64)


def _groups(votes: Iterable[Vote]) -> dict[tuple[str, float | None], list[Vote]]:
    """Votes by sequence, and by rate where those of a sequence stay within rates."""
    by_sequence: dict[str, list[Vote]] = {}
    for vote in votes:
        by_sequence.setdefault(vote.a.sequence, []).append(vote)
    groups: dict[tuple[str, float | None], list[Vote]] = {}
    for sequence, listed in by_sequence.items():
        within = all(vote.a.target_bpp == vote.b.target_bpp for vote in listed)
        for vote in listed:
            groups.setdefault((sequence, vote.a.target_bpp if within else None), []).append(vote)
    return groups


def _compare(
    choix: Any, sequence: str, target: float | None, votes: list[Vote], prior: float, resamples: int, seed: int
) -> Comparison:
    items = tuple(dict.fromkeys(item for vote in votes for item in (vote.a, vote.b)))
    by_subject = _wins_by_subject(votes, items)
    wins: NDArray[np.float64] = by_subject.sum(axis=0)
    ties = sum(vote.choice == "tie" for vote in votes)
    padded = _padded(wins, prior)
    reason = no_solution(padded)
    if reason:
        return Comparison(sequence, target, items, wins, ties, len(by_subject), None, None, reason)
    scores = _fit(choix, padded)
    if len(by_subject) < MIN_SUBJECTS:
        reason = f"an interval needs {MIN_SUBJECTS} subjects"
        return Comparison(sequence, target, items, wins, ties, len(by_subject), scores, None, reason)
    intervals, reason = _intervals(choix, by_subject, scores, prior, resamples, seed)
    return Comparison(sequence, target, items, wins, ties, len(by_subject), scores, intervals, reason)


def _wins_by_subject(votes: list[Vote], items: tuple[Stimulus, ...]) -> NDArray[np.float64]:
    """(subjects, items, items)."""
    places = {item: place for place, item in enumerate(items)}
    subjects = {name: place for place, name in enumerate(dict.fromkeys(vote.subject for vote in votes))}
    wins = np.zeros((len(subjects), len(items), len(items)))
    for vote in votes:
        a, b, subject = places[vote.a], places[vote.b], subjects[vote.subject]
        share = {"a": 1.0, "b": 0.0, "tie": 0.5}[vote.choice]
        wins[subject, a, b] += share
        wins[subject, b, a] += 1 - share
    return wins


def _padded(wins: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    return wins + prior * ((wins + wins.T) > 0)


def _intervals(
    choix: Any,
    by_subject: NDArray[np.float64],
    scores: NDArray[np.float64],
    prior: float,
    resamples: int,
    seed: int,
) -> tuple[tuple[tuple[float, float], ...] | None, str]:
    count = len(by_subject)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    found, apart, unbounded = [], 0, 0
    for weights in drawn:
        given = np.tensordot(weights.astype(np.float64), by_subject, axes=1)
        wins = _padded(given, prior)
        if not no_solution(wins):
            found.append(_fit(choix, wins, scores, _RESAMPLE_TOLERANCE))
            # The prior bounds it, and so the interval would end where the prior does.
            unbounded += bool(no_solution(given))
        elif _parts(wins) > 1:
            apart += 1
        else:
            unbounded += 1
    # Of more, the bound of the interval would be one of those that are not there.
    if apart + unbounded > tail(count, resamples) * resamples:
        lead = "have a lead that nothing but the prior bounds" if prior else "have a lead without a bound"
        told = ((unbounded, lead), (apart, "fall into parts that no vote connects"))
        return None, ", ".join(f"{100 * some / resamples:.0f} % of the resamples {what}" for some, what in told if some)
    bounds = (interval(one, count) for one in np.array(found).T)
    return tuple(one for one in bounds if one is not None), ""
