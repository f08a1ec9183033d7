"""The versions of a codec on a board, one after the other, and which of the steps between them are real."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from evalsuite.results.bdrate import BDResult, bd_rate
from evalsuite.results.bdrows import BDRow, bd_row, mean_row, not_alike
from evalsuite.results.comparable import PROPERTIES
from evalsuite.results.entries_rank import undecided_by, verdict
from evalsuite.results.entry import Entry
from evalsuite.results.load import RunResults
from evalsuite.results.profile import formula_of, other_formula

StepKind = Literal["better", "worse", "same", "unknown", "first", "protocol"]
"""same: not told apart. unknown: cannot be told. protocol: the protocol changed, nothing is comparable."""

_BEFORE, _AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Step:
    """A version against the one before it, by one metric."""

    kind: StepKind
    row: BDRow | None
    """BD-rate of this version against the one before, over all sequences."""
    reason: str
    """What decided, or why nothing does."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a version leaves behind for the next one to be compared with."""

    entry: Entry
    curves: Mapping[tuple[str, str], tuple[list[float], list[float]]]
    """Rates in bpp and means over frames of the codec, by metric and sequence."""
    formulas: Mapping[tuple[str, str], frozenset[str]]
    """What their scores' reasons say of the formula, likewise (`profile.formula_of`)."""
    scales: Mapping[str, tuple[bool, float | None]]
    """By metric: whether higher is better, and the ceiling of a saturating one."""
    properties: Mapping[str, str]
    """Those that make a comparison not like with like, in words."""
    anchor: str
    """The anchor as it was run: its version and the digests of its programs."""


def snapshot(entry: Entry, run: RunResults, metrics: Sequence[str]) -> Snapshot:
    """Keep of a run what a later version is compared with.

    Args:
        entry: the version.
        run: its run.
        metrics: those that history is told by.
    """
    points, manifest = run.points, entry.manifest
    mine = (points["codec"] == manifest.codec) & (points["statistic"] == "mean") & points["metric"].isin(metrics)
    curves: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    scales = {}
    scored = points[mine & (points["status"] == "ok")]
    formulas = {
        (str(metric), str(sequence)): frozenset(map(formula_of, of["reason"].fillna("")))
        for (metric, sequence), of in scored.groupby(["metric", "sequence"])
    }
    columns = ("metric", "sequence", "bpp", "score", "higher_is_better", "log_domain_ceiling")
    rows = points.loc[mine, list(columns)]
    for metric, sequence, bpp, score, higher, ceiling in zip(*(rows[name] for name in columns), strict=True):
        scales[metric] = (bool(higher), None if pd.isna(ceiling) else float(ceiling))
        if not pd.isna(bpp):
            rates, scores = curves.setdefault((metric, sequence), ([], []))
            rates.append(bpp)
            scores.append(score)
    codecs = {str(one["name"]): one for one in run.summary["codecs"]}
    properties = {
        known.title: known.kind(known.text(codecs[manifest.codec].get(column)))
        for column, known in PROPERTIES.items()
        if known.marks
    }
    return Snapshot(entry, curves, formulas, scales, properties, _identity(codecs[manifest.anchor]))


def _identity(codec: Mapping[str, Any]) -> str:
    return "{} {} {}".format(codec["version"], sorted(codec["binary_sha256"].items()), codec["recipe_sha256"])


def steps(before: Snapshot | None, after: Snapshot, metrics: Sequence[str]) -> dict[str, Step]:
    """How a version compares with the one before it: its points against theirs, whatever the anchors were.

    Args:
        before: the version before; None for the first.
        after: the version.
        metrics: those that history is told by.
    """
    if before is None:
        return {metric: Step("first", None, "the first entry") for metric in metrics}
    if before.entry.manifest.board != after.entry.manifest.board:
        number = after.entry.manifest.board["version"]
        return {metric: Step("protocol", None, f"version {number} of the protocol begins") for metric in metrics}
    unlike = not_alike(
        ", ".join(
            f"{name} {value} against {after.properties[name]}"
            for name, value in before.properties.items()
            if value != after.properties[name]
        )
    )
    sequences = len(after.entry.manifest.sequences)
    found = {metric: _step(_row(before, after, metric), sequences) for metric in metrics}
    return {
        metric: replace(step, reason="; ".join(filter(None, [step.reason, unlike]))) for metric, step in found.items()
    }


def _row(before: Snapshot, after: Snapshot, metric: str) -> BDRow | None:
    """The BD-rate over all sequences. Protocol and metric are the same on both sides, and so is the content."""
    rows = []
    for sequence in after.entry.manifest.sequences:
        sides = [one.curves.get((metric, sequence), ([], [])) for one in (before, after)]
        higher, ceiling = after.scales.get(metric, (True, None))
        result = bd_rate(*sides[0], *sides[1], higher_is_better=higher, log_domain_ceiling=ceiling)
        formulas = (one.formulas.get((metric, sequence), frozenset[str]()) for one in (before, after))
        if other := other_formula(itertools.chain(*formulas)):
            result = BDResult("refused", other)
        rows.append(bd_row(metric, _BEFORE, _AFTER, sequence, result))
    return mean_row(rows) if metric in after.scales else None


def _step(row: BDRow | None, sequences: int) -> Step:
    if row is None or row.bd_rate_percent is None:
        return Step("unknown", row, f"refused: {row.reason}" if row else "no points")
    if row.sequences < sequences:
        return Step("unknown", row, f"a mean over fewer sequences is of other content: {row.reason}")
    if row.lowest == row.highest == 0:
        return Step("same", row, "nothing has changed")
    said = verdict(row)
    if said == "unjudged":
        return Step("unknown", row, "too few sequences for an interval, too few rate points for a noise floor")
    if said == "undecided":
        return Step("same", row, undecided_by(row))
    beyond = "beyond the noise floor of its points" if row.ci_low is None else "its interval does not hold zero"
    return Step("better" if said == "fewer" else "worse", row, beyond)
