"""What coding costs, by one rule, sequence by sequence: time and memory at the points of both sides."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from evalsuite.results.gate.matching import BASELINE, CANDIDATE, Matched
from evalsuite.results.gate.rules import COSTS, Rule

Found = tuple[str, float | None, str, bool, int]
"""Sequence, value, note, whether it blocks a pass, points."""


def cost_values(rule: Rule, match: Matched, points: pd.DataFrame, covered: list[str]) -> tuple[list[Found], str]:
    """The value of a rule of time or memory on each sequence; or why there can be none."""
    cost = COSTS[rule.measure]
    if rule.bound == "allowed" and match.same_machine:
        return [], match.same_machine
    cells = points[points["statistic"] == "mean"].drop_duplicates(["codec", "cell_key"])
    if rule.bound != "allowed":
        cells = cells[cells["codec"] == CANDIDATE]
    if cost.time and not cells[cost.alone].astype("boolean").fillna(False).all():
        # What else runs slows a whole run down: it shifts every sequence alike, which no interval over them can tell.
        return [], "times were taken beside other work: make both runs with --timing"
    return [_cost(rule, cells[cells["sequence"] == name], name) for name in covered], ""


def _cost(rule: Rule, cells: pd.DataFrame, name: str) -> Found:
    cost = COSTS[rule.measure]
    if rule.bound != "allowed":
        own = cells[cost.column].to_numpy(dtype=float, na_value=np.nan)
        known = np.isfinite(own)
        if not known.any():
            return name, None, "not recorded", True, 0
        frames = cells["frames"].to_numpy(dtype=float)
        figure = (1000 * own[known] / frames[known]).mean() if cost.time else own[known].max() / 1e6
        note = "" if known.all() else f"not recorded at {int((~known).sum())} points"
        return name, float(figure), note, not known.all(), int(known.sum())
    sides = (cells[cells["codec"] == side].set_index("point")[cost.column] for side in (BASELINE, CANDIDATE))
    before, after_values = (side[side.index != ""].astype(float) for side in sides)
    both = before.index.intersection(after_values.index)
    old, new = before[both].to_numpy(), after_values[both].to_numpy()
    good = (old > 0) & (new > 0)
    lost = (old > 0) & ~good
    if not good.any():
        return name, None, "not recorded on both sides at the same points", True, 0
    # Of times every point tells; of memory the largest decides.
    change = np.log(new[good] / old[good]).mean() if cost.time else math.log(new[good].max() / old[good].max())
    note = f"not recorded in the candidate at {int(lost.sum())} points" if lost.any() else ""
    return name, float(100 * math.expm1(change)), note, bool(lost.any()), int(good.sum())
