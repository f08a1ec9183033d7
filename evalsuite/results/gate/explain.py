"""Where a regression is: which sequences, at which rates or qualities, and in which frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from evalsuite.results.bdrate import bd_rate
from evalsuite.results.gate.judge import Judgement
from evalsuite.results.gate.matching import BASELINE, CANDIDATE, Matched
from evalsuite.results.gate.rules import COSTS, WITH_METRIC
from evalsuite.results.gate.values import Value, ceiling_of, direction_of
from evalsuite.results.load import RunResults

MOST_SEQUENCES = 3
MOST_FRAMES = 3


@dataclass(frozen=True, slots=True)
class FrameLoss:
    """One frame that the candidate made worse."""

    frame: int
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one sequence contributes to a rule that did not pass."""

    sequence: str
    value: float | None
    note: str
    rates: tuple[str, ...]
    """Change at each point, in words, from the lowest rate up."""
    most_at: str
    """Where on the curve the change is largest, in words."""
    frames: tuple[FrameLoss, ...]
    """The frames that lost the most, at the point that lost the most."""
    frames_at: str
    """Which point that is."""
    link: str
    """Where a report shows this metric on this sequence, relative to its folder; empty for costs."""


def explain(
    judgement: Judgement, match: Matched, baseline: RunResults, candidate: RunResults
) -> tuple[Explanation, ...]:
    """Explain a rule that did not pass: its worst sequences."""
    rule = judgement.rule
    if rule.measure not in (*WITH_METRIC, *COSTS):
        return ()
    return tuple(_explain(judgement, match, one, baseline, candidate) for one in judgement.values[:MOST_SEQUENCES])


def _explain(
    judgement: Judgement, match: Matched, value: Value, baseline: RunResults, candidate: RunResults
) -> Explanation:
    rule, sequence = judgement.rule, value.sequence
    rows = match.points[match.points["sequence"] == sequence]
    if rule.measure in COSTS:
        rows = rows[rows["statistic"] == "mean"].drop_duplicates(["codec", "cell_key"])
        return Explanation(
            sequence, value.value, value.note, _changes(rows, COSTS[rule.measure].column), "", (), "", ""
        )
    rows = rows[(rows["metric"] == rule.metric) & (rows["statistic"] == rule.statistic)]
    at, frames = _worst_frames(rows, rule.metric, baseline, candidate)
    return Explanation(
        sequence,
        value.value,
        value.note,
        _changes(rows, "score"),
        _most_at(rows, judgement) if rule.measure == "bd_rate" else "",
        frames,
        at,
        curves_at(rule.metric, sequence),
    )


def _pairs(rows: pd.DataFrame) -> list[tuple[str, pd.Series, pd.Series]]:
    before, after = (rows[rows["codec"] == side].set_index("point") for side in (BASELINE, CANDIDATE))
    names = [name for name in before.sort_values("bpp").index if name and name in after.index]
    return [(name, before.loc[name], after.loc[name]) for name in names]


def _changes(rows: pd.DataFrame, column: str) -> tuple[str, ...]:
    said = []
    for name, before, after in _pairs(rows):
        rate = 100 * (float(after["bpp"]) / float(before["bpp"]) - 1)
        a, b = before[column], after[column]
        shown = "no score" if pd.isna(a) or pd.isna(b) else f"{float(a):.4g} → {float(b):.4g}"
        said.append(f"{name}: {shown}, rate {rate:+.2f} %")
    return tuple(said)


def _most_at(rows: pd.DataFrame, judgement: Judgement) -> str:
    good = rows[rows["status"] == "ok"]
    sides = [good[good["codec"] == side] for side in (BASELINE, CANDIDATE)]
    if any(side.empty for side in sides):
        return ""
    curves = [side[column].to_numpy(dtype=float) for side in sides for column in ("bpp", "score")]
    result = bd_rate(*curves, higher_is_better=direction_of(good) is True, log_domain_ceiling=ceiling_of(good))
    if result.relative is None:
        return ""
    worst = int(np.argmax(result.relative.percents))
    percent, score = result.relative.percents[worst], result.relative.scores[worst]
    crossing = ""
    if crossings := result.relative.crossings:
        crossing = f"; the curves cross at {', '.join(f'{one:.4g}' for one in crossings)}"
    return f"most at {judgement.rule.metric} {score:.4g}: {percent:+.1f} %{crossing}"


def _worst_frames(
    rows: pd.DataFrame, metric: str, baseline: RunResults, candidate: RunResults
) -> tuple[str, tuple[FrameLoss, ...]]:
    """The frames that lost the most at the point where the mean did; none where frames have no scores."""
    higher = direction_of(rows)
    losses = [
        ((float(before["score"]) - float(after["score"])) * (1 if higher else -1), name, before, after)
        for name, before, after in _pairs(rows)
        if before["status"] == "ok" == after["status"]
    ]
    if not losses or higher is None:
        return "", ()
    _, at, before, after = max(losses, key=lambda one: one[0])
    sides = [
        run.frames(metric=metric, cell_key=str(cell["cell_key"])).set_index("frame")["score"]
        for run, cell in ((baseline, before), (candidate, after))
    ]
    both = pd.concat(sides, axis=1, keys=["before", "after"]).dropna()
    both = both[np.isfinite(both["before"]) & np.isfinite(both["after"])]
    lost = (both["before"] - both["after"]) * (1 if higher else -1)
    worst = lost[lost > 0].nlargest(MOST_FRAMES)
    return at, tuple(
        FrameLoss(int(frame), float(both["before"][frame]), float(both["after"][frame])) for frame in worst.index
    )


def curves_at(metric: str, sequence: str) -> str:
    """Where a report shows the curves of a metric on a sequence, relative to its folder."""
    return f"curves.html#{urlencode({'at': 'curves', 'metric': metric, 'sequence': sequence})}"


def link_to(report: str, explanation: Explanation) -> str:
    """The address that shows an explanation in a report; empty where there is no report or nothing to show."""
    return f"{report.rstrip('/')}/{explanation.link}" if report and explanation.link else ""


def sentences(explanation: Explanation) -> Sequence[str]:
    """What an explanation says beside its sequence and value, for people."""
    frames = ", ".join(f"{one.frame} ({one.baseline:.4g} → {one.candidate:.4g})" for one in explanation.frames)
    return [
        one
        for one in (
            explanation.note,
            explanation.most_at,
            "; ".join(explanation.rates),
            f"worst frames at {explanation.frames_at}: {frames}" if frames else "",
        )
        if one
    ]
