"""From files of votes to what a study tells: scores, subjects, and how well each metric of a run agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import RequestError
from evalsuite.results.load import RunResults
from evalsuite.results.stats import SEED
from evalsuite.study.joining import Judged, join
from evalsuite.study.opinion import SOURCES, ModelName, Opinions, analyse_ratings
from evalsuite.study.pairwise import Comparison, analyse_votes
from evalsuite.study.ratings import ACR_SCALE, Ratings
from evalsuite.study.stimuli import Stimulus
from evalsuite.study.validation import Validity, validate
from evalsuite.study.votes import Votes, read_scores


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a study tells."""

    opinions: Opinions | None
    """Of ratings; None for comparisons."""
    comparisons: tuple[Comparison, ...]
    """Of pairwise votes; none for ratings."""
    first_chosen: tuple[int, int]
    """How often the one shown first was chosen, of how many votes that tell; pairwise alone."""
    metrics: tuple[Validity, ...]
    """Best first; none without a run."""
    remarks: tuple[str, ...]
    """What to bear in mind."""

    @property
    def as_good_as_best(self) -> tuple[str, ...]:
        """The metrics that the data do not tell from the best one, with it; none where no interval can be given."""
        return tuple(one.metric for one in self.metrics if one.level_with_best)


def analyse(
    paths: Sequence[Path],
    *,
    key: Mapping[str, Stimulus] | None = None,
    run: RunResults | None = None,
    model: ModelName | None = None,
    metrics: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
    prior: float = 0.0,
    seed: int = SEED,
) -> Analysis:
    """Analyse the votes of a study.

    Args:
        paths: files of votes, see `read_scores`.
        key: what blind names stand for.
        run: whose metrics are judged by the votes; None for none.
        model: of ratings; None for `p910`.
        metrics: those to judge; empty for all that have a better and a worse.
        scale: lowest and highest rating; None for 1 and 5.
        prior: of pairwise votes, see `analyse_votes`.
        seed: of all resamples.

    Raises:
        RequestError: the votes are wrong, too few or not connected, or do not fit the run; an option of the other kind.
        MetricError: sureal or choix is not installed.
    """
    if metrics and run is None:
        raise RequestError("--metrics are of a run, and none is named", fix="name it with --run")
    given = read_scores(paths, key, scale or ACR_SCALE)
    opinions: Opinions | None = None
    comparisons: tuple[Comparison, ...] = ()
    first = (0, 0)
    _check_needed(given, model, scale, prior)
    if isinstance(given, Ratings):
        opinions = analyse_ratings(given, model or "p910")
        judged = [Judged(one.stimulus, one.mos) for one in opinions.opinions]
        remarks = opinions.remarks
    else:
        comparisons, judged = _compared(given, prior, seed)
        remarks, first = given.remarks, given.first_chosen
        refused = [one.label for one in comparisons if one.scores is None]
        if refused:
            remarks += (f"no scores for {len(refused)} of {len(comparisons)} groups: {', '.join(refused[:5])}",)
    validities = () if run is None else tuple(validate(join(judged, run, metrics), seed=seed))
    return Analysis(opinions, comparisons, first, validities, remarks)


def _check_needed(
    given: Ratings | Votes, model: ModelName | None, scale: tuple[float, float] | None, prior: float
) -> None:
    """Refuse what such votes have no use for: it would be ignored."""
    ratings = isinstance(given, Ratings)
    needless = {"--prior": prior != 0} if ratings else {"--model": model is not None, "--scale": scale is not None}
    for option, is_given in needless.items():
        if is_given:
            ours, other = ("ratings", "comparisons") if ratings else ("comparisons", "ratings")
            raise RequestError(f"{option} is of {other}, and these votes are {ours}", fix="leave it out")


def _compared(votes: Votes, prior: float, seed: int) -> tuple[tuple[Comparison, ...], list[Judged]]:
    comparisons = tuple(analyse_votes(votes, prior=prior, seed=seed))
    if all(one.scores is None for one in comparisons):
        raise RequestError(
            f"the votes give no scores: {comparisons[0].reason}",
            where="; ".join(f"{one.label} ({one.comparisons} votes)" for one in comparisons[:5]),
            expected="pairs that connect all stimuli of a sequence, none of which wins or loses every vote",
            fix="compare more pairs, collect more votes, or add votes to each compared pair with --prior 0.5",
        )
    judged = [
        Judged(item, float(score), one.label)
        for one in comparisons
        if one.scores is not None
        for item, score in zip(one.items, one.scores, strict=True)
    ]
    return comparisons, judged


def as_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as one document, for machines."""
    shared = {
        "schema": 1,
        "remarks": list(analysis.remarks),
        "metrics": [asdict(one) for one in analysis.metrics],
        "as_good_as_best": list(analysis.as_good_as_best),
    }
    if analysis.opinions is None:
        return {
            "kind": "pairwise",
            "model": "Bradley-Terry",
            **shared,
            "first_chosen": list(analysis.first_chosen),
            "comparisons": [_comparison(one) for one in analysis.comparisons],
        }
    return {
        "kind": "ratings",
        "model": analysis.opinions.model,
        "source": SOURCES[analysis.opinions.model],
        **shared,
        "stimuli": [
            {**asdict(one.stimulus), "mos": one.mos, "ci95": one.ci95, "votes": one.votes}
            for one in analysis.opinions.opinions
        ],
        "subjects": [asdict(one) for one in analysis.opinions.subjects],
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    items = []
    for place, item in enumerate(one.items):
        low, high = (None, None) if one.intervals is None else one.intervals[place]
        score = None if one.scores is None else float(one.scores[place])
        wins = float(one.wins[place].sum())
        items.append({**asdict(item), "score": score, "ci_low": low, "ci_high": high, "wins": wins})
    return {
        "sequence": one.sequence,
        "target_bpp": one.target_bpp,
        "status": "refused" if one.scores is None else "ok",
        "reason": one.reason,
        "votes": one.comparisons,
        "ties": one.ties,
        "subjects": one.subjects,
        "items": items,
    }
