"""One value for each sequence: how much worse the candidate is, by one rule.

What the baseline has and the candidate lost is never passed over: such a value blocks a pass, whatever its number is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import PPoly
from scipy.special import stdtrit

from evalsuite.errors import StoreError
from evalsuite.results.bdrate import REFUSE_OVERLAP, SAMPLES, BDResult, bd_rate, overlap_of
from evalsuite.results.bdrows import ALL, BDRow
from evalsuite.results.curve import MIN_POINTS, Curve, make_curve
from evalsuite.results.gate.costs import cost_values
from evalsuite.results.gate.matching import BASELINE, CANDIDATE, Matched
from evalsuite.results.gate.pairs import SCORED, lost_scores, paired
from evalsuite.results.gate.rules import COSTS, Rule
from evalsuite.results.profile import other_formula
from evalsuite.results.tables import bd_table

Array = NDArray[np.float64]

FALL = 0.1
"""Share of the baseline's range of quality that a point may lose before it is missed: what moves is noisy."""

_LOSSLESS = "infinite at every point of the candidate, which no number is better than"


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
    """The candidate lacks what the baseline has: with it or without a value, the rule cannot pass."""
    applies: bool = True
    """The baseline has what it takes to be judged by this rule."""


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
    if rule.measure in COSTS:
        found, refusal = cost_values(rule, match, points, covered)
        return Values(tuple(_value(*one, match) for one in found), rule.unit, refusal)
    own = points[points["metric"] == rule.metric]
    if refusal := _metric_refusal(rule, own):
        return Values((), rule.unit, refusal, absent=own.empty)
    values = _bd_values(rule, match, own, covered) if rule.measure.startswith("bd") else _scores(rule, own, covered)
    return replace(values, found=tuple(_with_lost(one, match, rule.metric) for one in values.found))


def _value(sequence: str, value: float | None, note: str, blocks: bool, points: int, match: Matched) -> Value:
    return _with_lost(Value(sequence, value, note, points=points, blocks=blocks), match)


def _with_lost(value: Value, match: Matched, metric: str | None = None) -> Value:
    """The value, with points that only the baseline has: where the rule applies, they block.

    So do points of a hull's members, and scores of a metric that these lost: the hull does without them, unseen.
    """
    lost = list(match.lost.get(value.sequence, ()))
    for name, rows in match.members.items():
        own = rows[(rows["sequence"] == value.sequence) & (rows["metric"] == metric)]
        lost += [f"{name} at {one}" for one in lost_scores(own)]
    if not lost or not value.applies:
        return value
    return replace(value, blocks=True, note="; ".join(filter(None, [*lost, value.note])))


def _metric_refusal(rule: Rule, rows: pd.DataFrame) -> str:
    sides = {side: rows[rows["codec"] == side] for side in (BASELINE, CANDIDATE)}
    if rule.bound != "allowed":
        # A limit of the candidate's own figure: what the baseline has is no matter.
        return f"{rule.metric} was not measured in the candidate" if sides[CANDIDATE].empty else ""
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
    higher = direction_of(rows)
    if rule.worse and higher is not None and (rule.worse == "more") == higher:
        return f"{'higher' if higher else 'lower'} {rule.metric} is better: `worse` says the contrary"
    return ""


def _bd_values(rule: Rule, match: Matched, rows: pd.DataFrame, covered: list[str]) -> Values:
    higher = direction_of(rows)
    unit = rule.unit or str(rows["unit"].iloc[0])
    if higher is None:
        return Values((), unit, f"{rule.metric} has no better and worse: there is no BD-rate; use `score_percent`")
    try:
        table = {row.sequence: row for row in bd_table(rows, BASELINE) if row.sequence != ALL}
    except StoreError as error:
        return Values((), unit, error.what)
    found = []
    for name in covered:
        whole = match.baseline[(match.baseline["sequence"] == name) & (match.baseline["metric"] == rule.metric)]
        own = rows[rows["sequence"] == name]
        found.append(_bd_value(rule, own, _curve(whole, higher), table.get(name), name, higher))
    return Values(tuple(found), unit)


def _bd_value(rule: Rule, rows: pd.DataFrame, whole: Curve, row: BDRow | None, name: str, higher: bool) -> Value:
    if whole.unusable:
        return Value(name, None, f"the baseline's own curve: {whole.unusable}", applies=False)
    if row is None:
        return Value(name, None, "not measured in the candidate", blocks=True)
    sign = -1.0 if higher else 1.0
    points = min(row.points_anchor, row.points_test)
    loss = None if row.bd_quality is None else sign * row.bd_quality
    value = row.bd_rate_percent if rule.measure == "bd_rate" else loss
    broken = "; ".join([*lost_scores(rows), *_fallen(rows, higher)])
    note = "; ".join(filter(None, [broken, row.reason]))
    if value is not None:
        half = _half_width(rule, rows, lambda result: _measured(rule, result, sign)) if rule.over == "each" else None
        return Value(name, value, note, half, points, blocks=bool(broken))
    if _became_lossless(rows):
        return Value(name, None, _LOSSLESS, None, points)
    if row.overlap is None:
        # Refused for something else than where the curves lie, which they cannot make up for.
        return Value(name, None, note, None, points, blocks=True)
    # Curves too far apart for a number: what happens where both are still tells which one is worse.
    match _where_both_are(rule, rows, higher):
        case "worse at every rate" | "beyond the limit wherever both are" as worse:
            said = f"{note}; {worse}" + (f", by {loss:.3g} in the mean" if loss is not None else "")
            return Value(name, None, said, None, points, certainly_worse=True)
        case "better at every rate" if not broken:
            return Value(name, None, f"{note}; better at every rate", None, points)
    return Value(name, None, note, None, points, blocks=True)


def _measured(rule: Rule, result: BDResult, sign: float) -> float | None:
    if rule.measure == "bd_rate":
        return result.percent
    return None if result.quality is None else sign * result.quality


def _sides(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    means = rows[(rows["statistic"] == "mean") & (rows["status"] == "ok")].sort_values("bpp")
    return means[means["codec"] == BASELINE], means[means["codec"] == CANDIDATE]


def _curve(rows: pd.DataFrame, higher: bool) -> Curve:
    means = rows[(rows["statistic"] == "mean") & (rows["status"] == "ok")]
    rates, scores = (means[column].to_numpy(dtype=float) for column in ("bpp", "score"))
    return make_curve(rates, scores, higher_is_better=higher, log_domain_ceiling=ceiling_of(means))


def _where_both_are(rule: Rule, rows: pd.DataFrame, higher: bool) -> str:
    """What is certain of curves without a number, in words; empty where nothing is.

    They may lie far apart, or be one curve of which each side has another part: a loss within the limit is none.
    """
    before, after = (_curve(side, higher) for side in _sides(rows))
    if before.unusable or after.unusable:
        return ""
    losses = _differences(
        before.log_rates, after.log_rates, before.score_of_rate("pchip"), after.score_of_rate("pchip")
    )
    losses *= -1 if higher else 1
    beyond = losses
    if rule.measure == "bd_rate":
        lines = before.rate_of_goodness("pchip"), after.rate_of_goodness("pchip")
        beyond = 100 * (10 ** _differences(before.goodness, after.goodness, *lines) - 1)
        if not len(beyond) and len(losses) and (losses > 0).all():
            return "worse at every rate"
    if len(beyond) and (beyond > rule.limit).all():
        return "beyond the limit wherever both are"
    if len(losses) and (losses < 0).all() and overlap_of(before.log_rates, after.log_rates) >= REFUSE_OVERLAP:
        return "better at every rate"
    return ""


def _differences(before: Array, after: Array, first: PPoly | None, second: PPoly | None) -> Array:
    """The second line less the first, where both are; empty where they have nothing in common.

    Args:
        before: (n,) where the first line has its points, rising.
        after: (m,) where the second has.
        first: a line.
        second: the other.
    """
    low, high = max(before[0], after[0]), min(before[-1], after[-1])
    if low >= high or first is None or second is None:
        return np.empty(0)
    at = np.linspace(low, high, SAMPLES)
    found: Array = second(at) - first(at)
    return found


def _became_lossless(rows: pd.DataFrame) -> bool:
    """Whether every point has an infinite score now, and not all had before: better than any number.

    A metric with a ceiling is never infinite.
    """
    pairs = paired(rows[rows["statistic"] == "mean"], "score")
    if pairs is None or ceiling_of(rows) is not None:
        return False
    return {after for _, after in pairs.statuses} == {"infinite"} and {"ok"} <= {before for before, _ in pairs.statuses}


def _fallen(rows: pd.DataFrame, higher: bool) -> list[str]:
    """Points of the candidate that are worse than a cheaper one of its own, and far worse than the baseline's there.

    A curve leaves such points out, and BD-rate with it.
    """
    before, after = _sides(rows)
    goodness = after["score"].to_numpy(dtype=float) * (1 if higher else -1)
    if not len(before) or not len(goodness):
        return []
    reach = (before["score"].max() - before["score"].min()) * FALL
    known = before["score"].to_numpy(dtype=float) * (1 if higher else -1)
    fell = float((np.maximum.accumulate(known) - known).max())  # as far as the baseline does itself, nothing was lost
    there = before[before["point"] != ""].set_index("point")["score"]
    own = after["point"].map(there).to_numpy(dtype=float) * (1 if higher else -1)
    # Where points do not pair, the cheaper point is all there is to hold it against.
    best = np.maximum.accumulate(goodness)
    alone = np.isnan(own)
    lost = (goodness < best) & (np.where(alone, best, own) - goodness > np.where(alone, max(reach, fell), reach))
    return [f"{name or 'a point'}: worse than a cheaper point" for name in after["point"][lost]]


def _half_width(rule: Rule, rows: pd.DataFrame, measured: Callable[[BDResult], float | None]) -> float | None:
    """Half the interval of a comparison, by leaving out each inner point (jackknife); None with four points.

    Student's quantile, since there are few of them. Source: B. Efron, C. Stein, The Jackknife Estimate of Variance,
    Annals of Statistics 9 (1981).
    """
    sides = _sides(rows)
    names = [name for name in sides[0]["point"] if name]
    inner = [{name} for name in names[1:-1]] if names else [{key} for side in sides for key in side["cell_key"][1:-1]]
    found: list[float] = []
    for left_out in inner:
        kept = [side[~(side["point"].isin(left_out) | side["cell_key"].isin(left_out))] for side in sides]
        if min(map(len, kept)) < MIN_POINTS:
            return None
        curves = [side[column].to_numpy(dtype=float) for side in kept for column in ("bpp", "score")]
        value = measured(
            bd_rate(*curves, higher_is_better=direction_of(rows) is True, log_domain_ceiling=ceiling_of(rows))
        )
        if value is not None:
            found.append(value)
    if len(found) < 2:
        return None
    spread = np.array(found) - np.mean(found)
    error = np.sqrt((len(found) - 1) / len(found) * (spread**2).sum())
    return float(stdtrit(len(found) - 1, (1 + rule.confidence) / 2) * error)


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
    # A point without a score has the statistic `mean` alone, which says why.
    if not (own["status"] == "ok").any() and rule.statistic != "mean":
        known = ", ".join(sorted(set(rows["statistic"])))
        return Values((), unit, f"{rule.metric} has no statistic {rule.statistic}; known: {known}")
    if rule.worse is None and higher is None and rule.bound == "allowed":
        return Values((), unit, f'{rule.metric} has no better and worse: say `worse = "more"` or `worse = "less"`')
    more_is_worse = not higher if rule.worse is None else rule.worse == "more"
    means = rows[rows["statistic"] == "mean"]
    found = []
    for name in covered:
        here, scored = means[means["sequence"] == name], own[own["sequence"] == name]
        find = _change if rule.bound == "allowed" else _figure
        found.append(find(rule, name, scored, here, more_is_worse))
    return Values(tuple(found), unit)


def _figure(rule: Rule, name: str, rows: pd.DataFrame, means: pd.DataFrame, _: bool) -> Value:
    """The candidate's own mean over its points."""
    before, after = (means[means["codec"] == side] for side in (BASELINE, CANDIDATE))
    applies = bool(before["status"].isin(SCORED).any() or after["status"].isin(SCORED).any())
    bad = after[~after["status"].isin(SCORED)]
    good = rows[(rows["codec"] == CANDIDATE) & (rows["status"] == "ok")]
    note = "" if bad.empty else f"{len(bad)} points {bad['status'].iloc[0]}: {bad['reason'].iloc[0]}"
    value = float(good["score"].mean()) if len(good) else None
    if value is None and not note and not after.empty:
        note = "infinite at every point"
    # Infinite is beyond any lower limit; of an upper one it is the other side.
    infinite = rule.bound == "at_most" and bool((after["status"] == "infinite").any())
    return Value(name, value, note, points=len(good), blocks=applies and (not bad.empty or infinite), applies=applies)


def _change(rule: Rule, name: str, rows: pd.DataFrame, means: pd.DataFrame, more_is_worse: bool) -> Value:
    """The mean loss over the points of both sides."""
    before = means[means["codec"] == BASELINE]
    applies = bool(before["status"].isin(SCORED).any())
    if not applies:
        reason = str(before["reason"].iloc[0]) if len(before) else ""
        return Value(name, None, reason or "no score in the baseline", applies=False)
    lost = lost_scores(means)
    if other := other_formula(means["reason"][means["status"] == "ok"].fillna("")):
        return Value(name, None, other, blocks=True)
    pairs = paired(rows, "score")
    if pairs is None:
        said = "points do not pair: a score is compared at the same point only"
        return Value(name, None, "; ".join([*lost, said]), blocks=True)
    ok = np.array([one == ("ok", "ok") for one in pairs.statuses], dtype=bool)
    equal = np.array([one == ("infinite", "infinite") for one in pairs.statuses], dtype=bool)
    if _became_lossless(means):
        return Value(name, None, _LOSSLESS)
    if not (ok | equal).any():
        return Value(name, None, "; ".join(lost) or "no score on both sides", blocks=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = pairs.after - pairs.before
        if rule.measure == "score_percent":
            # Nothing that stays nothing has not changed.
            change = np.where(change == 0, 0.0, 100 * change / np.abs(pairs.before))
    change = np.where(equal, 0.0, change)[ok | equal]
    if not np.isfinite(change).all():
        return Value(name, None, "a score of 0 in the baseline: no percentage of it", blocks=True)
    value = float(change.mean()) * (1 if more_is_worse else -1)
    return Value(name, value, "; ".join(lost), points=len(change), blocks=bool(lost))
