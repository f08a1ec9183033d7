"""From values to verdicts: pass, fail, or undecided, by intervals and with regard to how many rules there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evalsuite.results.bdrows import not_alike
from evalsuite.results.gate.matching import Matched
from evalsuite.results.gate.rules import Rule
from evalsuite.results.gate.values import Value, values_of
from evalsuite.results.stats import MIN_SEQUENCES, chance_of_no_more, holm, mean_interval, sequences_to_decide

Verdict = Literal["pass", "fail", "undecided", "skipped"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rule on one codec."""

    rule: Rule
    codec: str
    verdict: Verdict
    reason: str
    value: float | None = None
    """The mean over sequences, or the worst sequence's; positive is worse, but for absolute limits."""
    interval: tuple[float, float] | None = None
    """Of the mean over sequences at the rule's confidence, or of the worst sequence from its points."""
    unit: str = ""
    values: tuple[Value, ...] = ()
    """By sequence, the worst first."""
    chance: float | None = None
    """That the mean is within the limit after all, adjusted for the number of rules; only of rules over the mean."""
    more_sequences: int | None = None
    """How many more sequences like these would decide, where that is known."""
    more_points: int | None = None
    """How many more points on the sequence in question would, likewise."""

    @property
    def sequences(self) -> int:
        """Sequences that the value holds."""
        return sum(one.value is not None for one in self.values)


def judge(rules: Sequence[Rule], matches: Sequence[Matched]) -> tuple[Judgement, ...]:
    """Judge every rule on every codec.

    Rules over a mean that would fail are held to Holm's adjusted chances: of many rules one can fail by accident.
    """
    drafts = [_draft(rule, match) for match in matches for rule in rules]
    tested = [index for index, draft in enumerate(drafts) if draft.chance is not None]
    adjusted = dict(zip(tested, holm([_chance(drafts[index]) for index in tested]), strict=True))
    judged = (
        _decided(draft, adjusted.get(index), len(tested)) if draft.chance is not None else draft
        for index, draft in enumerate(drafts)
    )
    unlike = {match.codec: match.unlike for match in matches if not match.may_differ}
    return tuple(_alike(one, unlike.get(one.codec, "")) for one in judged)


def _alike(judgement: Judgement, unlike: str) -> Judgement:
    """A pass only of like with like: another structure or delay is another task."""
    if judgement.verdict != "pass" or not unlike:
        return judgement
    return replace(judgement, verdict="undecided", reason=not_alike(unlike))


def overall(judgements: Sequence[Judgement]) -> Verdict:
    """One verdict of all: fail if any rule fails, else undecided if any is, else pass."""
    verdicts = [one.verdict for one in judgements]
    if "fail" in verdicts:
        return "fail"
    return "undecided" if "undecided" in verdicts or "pass" not in verdicts else "pass"


def _draft(rule: Rule, match: Matched) -> Judgement:
    if rule.measure == "failures":
        return _failures(rule, match)
    values = values_of(rule, match)
    if values.refusal:
        skipped = rule.optional and values.absent
        return Judgement(rule, match.codec, "skipped" if skipped else "undecided", values.refusal, unit=values.unit)
    sign = -1 if rule.bound == "at_least" else 1
    ordered = sorted(
        values.found, key=lambda one: (not one.certainly_worse, one.value is None, -sign * (one.value or 0))
    )
    draft = Judgement(rule, match.codec, "undecided", "", unit=values.unit, values=tuple(ordered))
    if any(one.certainly_worse for one in ordered):
        gone = [one for one in ordered if one.certainly_worse]
        said = "; ".join(f"{one.sequence}: {one.note}" for one in gone)
        return replace(draft, verdict="fail", reason=f"too much worse for a number on {said}")
    with_value = [one for one in ordered if one.value is not None]
    if not with_value:
        notes = "; ".join(dict.fromkeys(one.note for one in ordered if one.note))
        skipped = rule.optional and not any(one.applies for one in ordered)
        return replace(
            draft, verdict="skipped" if skipped else "undecided", reason=f"no value on any sequence: {notes}"
        )
    return _each(draft, with_value, sign) if rule.over == "each" else _mean(draft, with_value, sign)


def _passed(draft: Judgement, reason: str = "") -> Judgement:
    """A pass, unless the candidate lacks something that the baseline has."""
    blocking = [one for one in draft.values if one.blocks]
    if not blocking:
        without = [one.sequence for one in draft.values if one.value is None]
        said = f"no value on {', '.join(without)}" if without else ""
        return replace(draft, verdict="pass", reason="; ".join(filter(None, [reason, said])))
    said = "; ".join(f"{one.sequence}: {one.note}" for one in blocking)
    return replace(draft, verdict="undecided", reason=f"within the limit by what there is, but {said}")


def _failures(rule: Rule, match: Matched) -> Judgement:
    failures = match.failures
    value = float(len(failures.new) if rule.bound == "allowed" else failures.after)
    passed = value >= rule.limit if rule.bound == "at_least" else value <= rule.limit
    said = f"{failures.before} failed cells in the baseline, {failures.after} in the candidate"
    new = f"; new: {', '.join(failures.new)}" if failures.new else ""
    return Judgement(rule, match.codec, "pass" if passed else "fail", said + new, value)


def _each(draft: Judgement, values: Sequence[Value], sign: int) -> Judgement:
    limit = sign * draft.rule.limit
    bounds = [
        (sign * (one.value or 0) - (one.half_width or 0), sign * (one.value or 0) + (one.half_width or 0))
        for one in values
    ]
    beyond = [(one, low) for one, (low, _) in zip(values, bounds, strict=True) if low > limit]
    near = [one for one, (low, high) in zip(values, bounds, strict=True) if low <= limit < high]
    if beyond:
        # What is surely beyond is shown, not what may be farther.
        clearest = max(beyond, key=lambda pair: pair[1])[0]
        reason = f"beyond the limit: {', '.join(one.sequence for one, _ in beyond)}"
        return replace(_shown(draft, clearest), verdict="fail", reason=reason)
    if near:
        return replace(
            _shown(draft, near[0]),
            reason=f"the points of {', '.join(one.sequence for one in near)} do not decide",
            more_points=max(_more_points(one, limit, sign) for one in near),
        )
    return _passed(_shown(draft, values[0]))


def _shown(draft: Judgement, one: Value) -> Judgement:
    """With the value that the verdict is shown by, and explained by before all others."""
    value, half = one.value or 0.0, one.half_width
    interval = None if half is None else (value - half, value + half)
    others = tuple(other for other in draft.values if other is not one)
    return replace(draft, value=value, interval=interval, values=(one, *others))


def _more_points(one: Value, limit: float, sign: int) -> int:
    """Points that would narrow the interval enough, if it narrows with their square root."""
    gap = max(abs(sign * (one.value or 0) - limit), 1e-3 * abs(limit) + 1e-9)
    return max(1, int(np.ceil(one.points * ((one.half_width or 0) / gap) ** 2)) - one.points)


def _mean(draft: Judgement, values: Sequence[Value], sign: int) -> Judgement:
    numbers = np.array([one.value for one in values], dtype=np.float64)
    mean = float(numbers.mean())
    rule = draft.rule
    draft = replace(draft, value=mean, interval=mean_interval(numbers, level=rule.confidence))
    if not numbers.any() and rule.bound == "allowed" and rule.limit >= 0:
        return _passed(replace(draft, interval=draft.interval or (0.0, 0.0)), "no difference at all")
    if draft.interval is None:
        lacking = MIN_SEQUENCES - len(numbers)
        said = f"{len(numbers)} sequences have no interval; it takes {MIN_SEQUENCES}"
        return replace(draft, reason=said, more_sequences=lacking)
    return replace(draft, chance=chance_of_no_more(sign * numbers, sign * rule.limit))


def _chance(draft: Judgement) -> float:
    return 1.0 if draft.chance is None else draft.chance


def _decided(draft: Judgement, chance: float | None, tested: int) -> Judgement:
    """The verdict of a rule over a mean: its interval tells, and to fail it must do so among all rules."""
    if draft.interval is None or chance is None:
        return draft
    rule = draft.rule
    sign = -1 if rule.bound == "at_least" else 1
    low, high = sorted(sign * bound for bound in draft.interval)
    limit = sign * rule.limit
    draft = replace(draft, chance=chance)
    if high <= limit:
        return _passed(draft)
    if low > limit and chance <= (1 - rule.confidence) / 2:
        return replace(draft, verdict="fail", reason="the whole interval is beyond the limit")
    numbers = [one.value for one in draft.values if one.value is not None]
    if low > limit:
        said = f"beyond the limit, but of {tested} rules one can be so by accident (adjusted p {chance:.2g})"
        level = 1 - (1 - rule.confidence) / tested
    else:
        said, level = "the interval holds the limit", rule.confidence
    return replace(draft, reason=said, more_sequences=sequences_to_decide(numbers, rule.limit, level=level) or None)
