"""Values of both sides at the points that belong together, and scores that the candidate lost there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.results.gate.matching import BASELINE, CANDIDATE

Array = NDArray[np.float64]

SCORED = ("ok", "infinite")
"""The status of a point that has a score."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Both sides at the points that belong together."""

    names: list[str]
    before: Array
    """(points,) values of a column in the baseline."""
    after: Array
    statuses: list[tuple[str, str]]


def paired(rows: pd.DataFrame, column: str) -> Pairs | None:
    """Both sides' values of one row a point; None where points do not pair."""
    before, after = (rows[rows["codec"] == side].set_index("point") for side in (BASELINE, CANDIDATE))
    names = [name for name in before.index if name and name in after.index]
    if not names:
        return None
    return Pairs(
        names,
        before.loc[names, column].to_numpy(dtype=float, na_value=np.nan),
        after.loc[names, column].to_numpy(dtype=float, na_value=np.nan),
        list(zip(before.loc[names, "status"], after.loc[names, "status"], strict=True)),
    )


def lost_scores(rows: pd.DataFrame) -> list[str]:
    """Points whose score the candidate lost, in words: it has none, or it is no longer lossless.

    Args:
        rows: of one metric and sequence, of both sides.
    """
    pairs = paired(rows[rows["statistic"] == "mean"], "score")
    if pairs is None:
        return []
    return [
        f"{name}: {before} in the baseline, {after} in the candidate"
        for name, (before, after) in zip(pairs.names, pairs.statuses, strict=True)
        if before in SCORED and after != before and after != "infinite"
    ]
