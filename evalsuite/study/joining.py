"""People's scores beside a run's: the same stimuli, found by cell key, or by codec, sequence and operating point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.load import RunResults
from evalsuite.study.stimuli import Stimulus

if TYPE_CHECKING:
    import pandas as pd

SAME_RATE = 1e-3
"""Relative: a rate that was written with four digits still finds its target."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A stimulus with the score that people gave it."""

    stimulus: Stimulus
    score: float
    """Higher is better."""
    group: str = ""
    """Of scores that have a zero of their own: only differences within a group mean anything."""


@dataclass(frozen=True, slots=True)
class MetricScores:
    """One metric on the judged stimuli."""

    name: str
    unit: str
    higher_is_better: bool
    scores: NDArray[np.float64]
    """(stimuli,); NaN where the metric gave no finite score."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Judged stimuli and what every metric gave them."""

    judged: NDArray[np.float64]
    """(stimuli,), higher is better."""
    contents: tuple[str, ...]
    """The sequence of each."""
    metrics: tuple[MetricScores, ...]
    groups: tuple[str, ...] = ()
    """Of each: only differences within one mean anything; empty where all scores have one zero."""


def join(judged: Sequence[Judged], run: RunResults, names: Sequence[str] = ()) -> Joined:
    """Find the judged stimuli in a run. Hidden references are left out: no metric measures a source.

    Args:
        judged: stimuli with their scores.
        run: whose means are taken.
        names: metrics; empty for all that have a better and a worse.

    Raises:
        RequestError: a stimulus is not in the run, or is there more than once; or a metric is unknown or has no
            direction.
    """
    kept = [one for one in judged if not one.stimulus.is_source]
    if not kept:
        raise RequestError("no stimulus can be compared with a run", got="hidden references alone, or none at all")
    means = run.points[run.points["statistic"] == "mean"]
    cells = _cells(means)
    keys = [_find(one.stimulus, cells) for one in kept]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        labels = [one.stimulus.label for one, key in zip(kept, keys, strict=True) if key == twice[0]]
        raise RequestError("two stimuli are the same point of the run", where=", ".join(labels))
    groups = tuple(one.group for one in kept)
    return Joined(
        np.array([one.score for one in kept], dtype=np.float64),
        tuple(cells[key]["sequence"] for key in keys),
        tuple(_metrics(means, keys, names)),
        groups if any(groups) else (),
    )


def _cells(means: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The run's cells by key."""
    columns = ["cell_key", "codec", "preset", "sequence", "q", "target_bpp", "bpp"]
    listed = means[columns].drop_duplicates("cell_key")
    cells = ({str(name): value for name, value in row.items()} for row in listed.to_dict("records"))
    return {cell["cell_key"]: cell for cell in cells if cell["cell_key"]}


def _find(stimulus: Stimulus, cells: dict[str, dict[str, Any]]) -> str:
    told = stimulus.cell_key or stimulus.name
    if told in cells:
        return told
    if stimulus.cell_key:
        # The same codec, sequence and q may be another encode, by another build or of other frames.
        raise RequestError(
            "a stimulus is not of this run: none of its points has the cell key",
            where=stimulus.label,
            got=f"cell_key {stimulus.cell_key[:80]}",
            fix="give the run that the study was made from",
        )
    found = [key for key, cell in cells.items() if _is(stimulus, cell)]
    if len(found) == 1:
        return found[0]
    codecs = sorted({str(cell["codec"]) for cell in cells.values()})
    sequences = sorted({str(cell["sequence"]) for cell in cells.values()})
    what = "is there more than once" if found else "is not there"
    raise RequestError(
        f"a stimulus cannot be found in the run: it {what}",
        where=stimulus.label,
        expected=f"codecs {', '.join(codecs)} on {', '.join(sequences)}"[:300],
        got=f"codec {stimulus.codec or '?'}, sequence {stimulus.sequence or '?'}",
        fix="give the run that the study was made from; votes name a cell_key, or codec, sequence and q or target_bpp"
        + (f"; {did_you_mean(stimulus.codec, codecs)}" if stimulus.codec and stimulus.codec not in codecs else ""),
    )


def _is(stimulus: Stimulus, cell: dict[str, Any]) -> bool:
    if not stimulus.codec or stimulus.sequence != cell["sequence"]:
        return False
    if stimulus.codec not in (cell["codec"], f"{cell['codec']}/{cell['preset']}"):
        return False
    if stimulus.q is not None:
        return math.isclose(stimulus.q, cell["q"], abs_tol=1e-9)
    target = cell["bpp"] if math.isnan(cell["target_bpp"]) else cell["target_bpp"]
    return stimulus.target_bpp is not None and math.isclose(stimulus.target_bpp, target, rel_tol=SAME_RATE)


def _metrics(means: pd.DataFrame, keys: list[str], names: Sequence[str]) -> Iterable[MetricScores]:
    directions = means.drop_duplicates("metric").set_index("metric")
    for name in names:
        if name not in directions.index:
            raise RequestError(f"the run has no metric {name!r}", fix=did_you_mean(name, list(directions.index)))
        if directions.loc[name, "higher_is_better"] is None:
            raise RequestError(f"{name} has no better and worse: it describes", fix="leave it out of --metrics")
    for name in names or list(directions.index):
        better = directions.loc[name, "higher_is_better"]
        if better is None:
            continue
        found = means[(means["metric"] == name) & (means["status"] == "ok")].drop_duplicates("cell_key")
        by_key = found.set_index("cell_key")["score"]
        scores = by_key.reindex(keys).to_numpy(dtype=np.float64)
        yield MetricScores(name, str(directions.loc[name, "unit"]), bool(better), scores)
