"""One value for each sequence: how much worse the candidate is, by one rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.errors import StoreError
from evalsuite.results.bdrate import BDResult, bd_rate
from evalsuite.results.bdrows import ALL, BDRow
from evalsuite.results.curve import MIN_POINTS, Curve, make_curve
from evalsuite.results.gate.matching import BASELINE, CANDIDATE, Matched
from evalsuite.results.gate.rules import COLUMNS, Rule
from evalsuite.results.tables import bd_table

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Value:
    """What a rule finds on one sequence."""

    sequence: str
    value: float | None
    """In the rule's unit; positive is worse. For absolute limits the candidate's own figure. None where refused."""
    note: str = ""
    """Why there is none, or a caveat."""
    half_width: float | None = None
    """Of the interval that the points themselves leave; None where they cannot tell."""
    points: int = 0
    """Points a side, or the fewer of the two."""
    certainly_worse: bool = False
    """There is no value, and yet the candidate is worse at every rate."""
    blocks: bool = False
    """There is no value though the baseline has what it takes: the rule cannot pass without it."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a rule finds on all the sequences that it covers."""

    found: tuple[Value, ...]
    unit: str
    refusal: str = ""
    """Why nothing at all can be said; empty where something can."""
    absent: bool = False
    """The metric is on neither side."""


def values_of(rule: Rule, match: Matched) -> Values:
    """The value of a rule on each sequence that it covers; refusals are named, never numbers."""
    covered = [name for name in match.sequences if rule.covers(name, match.tags[name])]
    if not covered:
        said = f"no sequence is {' or '.join(rule.sequences)}" if rule.sequences else "no sequence is on both sides"
        return Values((), rule.unit, said)
    points = match.points[match.points["sequence"].isin(covered)]
    if rule.measure in COLUMNS:
        return _costs(rule, match, points, covered)
    own = points[points["metric"] == rule.metric]
    if refusal := _metric_refusal(rule, own):
        return Values((), rule.unit, refusal, absent=own.empty)
    if rule.measure in ("bd_rate", "bd_quality"):
        return _bd_values(rule, own, covered)
    return _scores(rule, own, covered)


def _metric_refusal(rule: Rule, rows: pd.DataFrame) -> str:
    sides = {side: rows[rows["codec"] == side] for side in (BASELINE, CANDIDATE)}
    for side, own in sides.items():
        if own.empty:
            return f"{rule.metric} was not measured in the {'runs' if rows.empty else side}"
    for column, what in (
        ("metric_version", "versions"),
        ("higher_is_better", "directions"),
        ("unit", "units"),
        ("log_domain_ceiling", "ceilings"),
    ):
        before, after = (sorted(map(str, set(own[column].dropna()))) for own in sides.values())
        if before != after or len(before) > 1:
            shown = f"{', '.join(before) or 'none'} in the baseline, {', '.join(after) or 'none'} in the candidate"
            return f"{rule.metric} in two {what}: {shown}; measure both sides with one version of the suite"
    return ""


def _bd_values(rule: Rule, rows: pd.DataFrame, covered: list[str]) -> Values:
    higher = direction_of(rows)
    unit = rule.unit or str(rows["unit"].iloc[0])
    if higher is None:
        return Values((), unit, f"{rule.metric} has no better and worse: there is no BD-rate; use `score_percent`")
    try:
        table = {row.sequence: row for row in bd_table(rows, BASELINE) if row.sequence != ALL}
    except StoreError as error:
        return Values((), unit, error.what)
    return Values(tuple(_bd_value(rule, rows, name, table.get(name), higher) for name in covered), unit)


def _bd_value(rule: Rule, rows: pd.DataFrame, name: str, row: BDRow | None, higher: bool) -> Value:
    own = rows[rows["sequence"] == name]
    sign = -1.0 if higher else 1.0
    if row is None:
        return Value(name, None, "not measured")
    points = min(row.points_anchor, row.points_test)
    loss = None if row.bd_quality is None else sign * row.bd_quality
    value = row.bd_rate_percent if rule.measure == "bd_rate" else loss
    if value is not None:
        half = _half_width(own, lambda result: _measured(rule, result, sign)) if rule.over == "each" else None
        return Value(name, value, row.reason, half, points)
    # Curves too far apart for a number: what happens at equal rate still tells which one is worse.
    gone = loss is not None and loss > 0 and row.overlap is not None
    said = f"{row.reason}; at equal rate the candidate loses {loss:.3g}" if gone else row.reason
    blocks = loss is None and not _curve(own[own["codec"] == BASELINE], higher).unusable
    return Value(name, None, said, None, points, certainly_worse=gone, blocks=blocks)


def _curve(rows: pd.DataFrame, higher: bool) -> Curve:
    means = rows[(rows["statistic"] == "mean") & (rows["status"] == "ok")]
    rates, scores = (means[column].to_numpy(dtype=float) for column in ("bpp", "score"))
    return make_curve(rates, scores, higher_is_better=higher, log_domain_ceiling=ceiling_of(means))


def _measured(rule: Rule, result: BDResult, sign: float) -> float | None:
    if rule.measure == "bd_rate":
        return result.percent
    return None if result.quality is None else sign * result.quality


def _half_width(rows: pd.DataFrame, measured: Callable[[BDResult], float | None]) -> float | None:
    """Two standard errors of a comparison, by leaving out each inner point (jackknife); None with four points.

    Source: B. Efron, C. Stein, The Jackknife Estimate of Variance, Annals of Statistics 9 (1981).
    """
    good = rows[(rows["statistic"] == "mean") & (rows["status"] == "ok")].sort_values("bpp")
    sides = [good[good["codec"] == side] for side in (BASELINE, CANDIDATE)]
    names = [name for name in sides[0]["point"] if name]
    inner = [{name} for name in names[1:-1]] if names else [{key} for side in sides for key in side["cell_key"][1:-1]]
    found: list[float] = []
    for left_out in inner:
        kept = [side[~(side["point"].isin(left_out) | side["cell_key"].isin(left_out))] for side in sides]
        if min(map(len, kept)) < MIN_POINTS:
            return None
        curves = [side[column].to_numpy(dtype=float) for side in kept for column in ("bpp", "score")]
        value = measured(
            bd_rate(*curves, higher_is_better=direction_of(good) is True, log_domain_ceiling=ceiling_of(good))
        )
        if value is not None:
            found.append(value)
    if len(found) < 2:
        return None
    spread = np.array(found) - np.mean(found)
    return float(2 * math.sqrt((len(found) - 1) / len(found) * (spread**2).sum()))


def direction_of(rows: pd.DataFrame) -> bool | None:
    """Whether higher is better, of rows of one metric; None where it has no direction, or there are no rows."""
    value = rows["higher_is_better"].iloc[0] if len(rows) else None
    return None if value is None or value != value else bool(value)


def ceiling_of(rows: pd.DataFrame) -> float | None:
    """Where the log domain of rows of one metric ends; None for none."""
    value = rows["log_domain_ceiling"].iloc[0] if len(rows) else None
    return None if value is None or value != value else float(value)


def _scores(rule: Rule, rows: pd.DataFrame, covered: list[str]) -> Values:
    higher = direction_of(rows)
    unit = rule.unit or str(rows["unit"].iloc[0])
    own = rows[rows["statistic"] == rule.statistic]
    if own.empty:
        known = ", ".join(sorted(set(rows["statistic"])))
        return Values((), unit, f"{rule.metric} has no statistic {rule.statistic}; known: {known}")
    if rule.worse is None and higher is None and rule.bound == "allowed":
        return Values((), unit, f'{rule.metric} has no better and worse: say `worse = "more"` or `worse = "less"`')
    more_is_worse = not higher if rule.worse is None else rule.worse == "more"
    return Values(tuple(_score(rule, own[own["sequence"] == name], name, more_is_worse) for name in covered), unit)


def _score(rule: Rule, rows: pd.DataFrame, name: str, more_is_worse: bool) -> Value:
    after = rows[rows["codec"] == CANDIDATE]
    bad = after[after["status"] != "ok"]
    if rule.bound != "allowed":
        good = after[after["status"] == "ok"]
        note = "" if bad.empty else f"{len(bad)} points {bad['status'].iloc[0]}: {bad['reason'].iloc[0]}"
        return Value(name, float(good["score"].mean()) if len(good) else None, note, points=len(good))
    pairs = _paired(rows, "score")
    if pairs is None:
        return Value(name, None, "points do not pair: a score is compared at the same point only")
    before_scores, after_scores, statuses = pairs
    ok = np.array([one == ("ok", "ok") for one in statuses], dtype=bool)
    equal = np.array([one == ("infinite", "infinite") for one in statuses], dtype=bool)
    lost = sorted({f"{b} in the baseline, {a} in the candidate" for b, a in statuses if (b == "ok") != (a == "ok")})
    if not (ok | equal).any():
        reason = str(after["reason"].iloc[0]) if len(after) else ""
        said = "; ".join(filter(None, [*lost, reason or "no score on either side"]))
        return Value(name, None, said, blocks=any(b == "ok" for b, _ in statuses))
    with np.errstate(invalid="ignore", divide="ignore"):
        change = after_scores - before_scores
        if rule.measure == "score_percent":
            change = 100 * change / np.abs(before_scores)
    change = np.where(equal, 0.0, change)[ok | equal]
    if not np.isfinite(change).all():
        return Value(name, None, "a score of 0 in the baseline: no percentage of it")
    return Value(name, float(change.mean()) * (1 if more_is_worse else -1), "; ".join(lost), points=len(change))


def _paired(rows: pd.DataFrame, column: str) -> tuple[Array, Array, list[tuple[str, str]]] | None:
    """Both sides' values, (points,) each in one order, and their statuses; None where points do not pair."""
    before, after = (rows[rows["codec"] == side].set_index("point") for side in (BASELINE, CANDIDATE))
    names = [name for name in before.index if name and name in after.index]
    if not names:
        return None
    statuses = list(zip(before.loc[names, "status"], after.loc[names, "status"], strict=True))
    return (
        before.loc[names, column].to_numpy(dtype=float, na_value=np.nan),
        after.loc[names, column].to_numpy(dtype=float, na_value=np.nan),
        statuses,
    )


def _costs(rule: Rule, match: Matched, points: pd.DataFrame, covered: list[str]) -> Values:
    column = COLUMNS[rule.measure]
    if rule.bound == "allowed" and match.same_machine:
        return Values((), rule.unit, match.same_machine)
    cells = points[points["statistic"] == "mean"].drop_duplicates(["codec", "cell_key"])
    if rule.measure.endswith("time") and not _ran_alone(cells[column.replace("cpu_s", "ran_alone")]):
        # What else runs slows a whole run down: it shifts every sequence alike, which no interval over them can tell.
        return Values((), rule.unit, "times were taken beside other work: make both runs with --timing")
    found = tuple(_cost(rule, cells[cells["sequence"] == name], column, name) for name in covered)
    return Values(found, rule.unit)


def _cost(rule: Rule, cells: pd.DataFrame, column: str, name: str) -> Value:
    time = rule.measure.endswith("time")
    if rule.bound != "allowed":
        after = cells[(cells["codec"] == CANDIDATE) & cells[column].notna()]
        if after.empty:
            return Value(name, None, "not recorded")
        own = after[column].to_numpy(dtype=float)
        figure = (1000 * own / after["frames"].to_numpy(dtype=float)).mean() if time else own.max() / 1e6
        return Value(name, float(figure), points=len(after))
    pairs = _paired(cells, column)
    if pairs is None:
        return Value(name, None, "points do not pair: what a point costs is compared at the same point only")
    before, after_values, _ = pairs
    good = (before > 0) & (after_values > 0)
    if not good.any():
        return Value(name, None, "not recorded on both sides")
    ratio = np.log(after_values[good] / before[good])
    # Of times every point tells; of memory the largest decides.
    change = ratio.mean() if time else math.log(after_values[good].max() / before[good].max())
    return Value(name, float(100 * math.expm1(change)), points=int(good.sum()))


def _ran_alone(flags: pd.Series) -> bool:
    return bool(flags.astype("boolean").fillna(False).all())
