"""What was found, in plain words: a sentence claims no more than its row of the BD-rate table does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalsuite.report import text
from evalsuite.report.comparisons import Group, groups, headline_metric
from evalsuite.report.model import Report
from evalsuite.results.bdrows import BDRow, Verdict, own_reason

_MOST_NAMED = 8
"""Metrics that are named where there is nothing to say by them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one pair of codecs comes to by the headline metric."""

    verdict: Verdict
    sentence: str
    evidence: str
    """How many sequences, which interval."""
    unlike: str
    """What makes it not like with like, with both values; empty where it is."""
    caveats: tuple[str, ...]
    others: tuple[str, ...]
    """What the remaining metrics say, one phrase for each kind of answer."""


def findings(report: Report) -> list[Finding]:
    """One finding for each pair of codecs: by anchor, the fewest bits first, pairs without a claim last."""
    all_groups = groups(report)
    pairs: dict[tuple[str, str], list[Group]] = {}
    for group in all_groups:
        pairs.setdefault((group.test, group.anchor), []).append(group)
    chosen = [
        group for own in pairs.values() for group in own if group.metric == headline_metric(one.metric for one in own)
    ]
    chosen.sort(key=lambda group: (report.place(group.anchor), group.percent is None, group.percent or 0.0))
    return [finding(report, group, all_groups) for group in chosen]


def finding(report: Report, group: Group, all_groups: Iterable[Group] = ()) -> Finding:
    """What one comparison comes to.

    Args:
        report: names its codecs.
        group: the comparison.
        all_groups: those of other metrics, of this pair and any other.
    """
    return Finding(
        verdict=group.verdict,
        sentence=_sentence(report, group),
        evidence=_evidence(group),
        unlike=group.mean.unlike if group.mean else "",
        caveats=tuple(_caveats(group)),
        others=tuple(_others(group, all_groups)),
    )


def _sentence(report: Report, group: Group) -> str:
    test, anchor, metric = report.said(group.test), report.said(group.anchor), group.metric.title
    match group.verdict:
        case "refused":
            return f"No claim for {test} against {anchor} at the same {metric}."
        case "unclear":
            noise = f": {text.percent(group.percent)} is {text.BELOW_NOISE}" if group.below_noise else ""
            return f"No clear difference in bits between {test} and {anchor} for the same {metric}{noise}."
        case kind:
            return f"{test} needs {text.magnitude(group.percent or 0)} {kind} bits than {anchor} for the same {metric}."


def _evidence(group: Group) -> str:
    if group.mean is None or group.percent is None:
        return f"Refused on {text.plural(len(group.rows), 'sequence')}.{_at_the_same_bitrate(group)}"
    percent = text.percent(group.percent)
    refused = text.listing([row.sequence for row in group.refused])
    out_of = f" of {len(group.rows)}" if refused else ""
    without = f" (refused: {refused})" if refused else ""
    limits = "".join(f" {said[0].upper()}{said[1:]}." for said in _limits(group))
    if group.held == 1:
        name = f", {group.used[0].sequence}" if group.used else ""
        return f"One sequence only{name}{without}: {percent}; one has no interval.{limits}"
    basis = f"Mean of {group.held}{out_of} sequences{without}: {percent}"
    if group.mean.ci_low is None or group.mean.ci_high is None:
        disagree = ", which disagree" if group.holds_zero else ""
        return f"{basis}; too few for an interval, single sequences {group.spread}{disagree}.{limits}"
    holds_zero = ", which holds zero" if group.holds_zero else ""
    interval = text.interval(group.mean.ci_low, group.mean.ci_high)
    return f"{basis}, {text.INTERVAL} {interval}{holds_zero}; single sequences {group.spread}.{limits}"


def _limits(group: Group) -> Iterable[str]:
    """What one number does not tell: that it depends on the quality, and what its points cannot tell from zero."""
    if group.crossings and group.mean:
        change = text.interval(group.mean.change_low, group.mean.change_high)
        yield f"{group.crossings}: at single qualities the change is {change}"
    if group.noise:
        yield f"noise floor of the points {group.noise}"


def _at_the_same_bitrate(group: Group) -> str:
    """What can be said where the qualities are too far apart to compare bits."""
    if group.mean is None or group.mean.bd_quality is None:
        return ""
    metric = group.metric
    change = text.change(group.mean.bd_quality, metric.decimals, metric.unit)
    interval = f", {text.INTERVAL} {group.quality_interval}" if group.quality_interval else ""
    return (
        f" At the same bitrate {group.test} scores {change} in {metric.title} against {group.anchor} "
        f"({metric.direction}), mean of {text.plural(group.with_quality, 'sequence')}{interval}."
    )


def _caveats(group: Group) -> Iterable[str]:
    yield from _by_reason(group.refused, "refused")
    yield from _by_reason(group.flagged, "counted with a caveat")


def _by_reason(rows: Iterable[BDRow], what: str) -> Iterable[str]:
    names: dict[str, list[str]] = {}
    for row in rows:
        # What is not like with like stands above.
        names.setdefault(own_reason(row) or row.reason, []).append(row.sequence)
    for reason, sequences in names.items():
        yield f"{text.listing(sequences)} {what}: {reason or 'no reason given'}."


def _others(group: Group, all_groups: Iterable[Group]) -> Iterable[str]:
    phrases: dict[Verdict, str] = {
        "more": "more bits by",
        "fewer": "fewer bits by",
        "unclear": "no clear difference by",
        "refused": "no claim by",
    }
    kinds: dict[Verdict, list[str]] = {kind: [] for kind in phrases}
    for other in all_groups:
        if (other.test, other.anchor) == (group.test, group.anchor) and other is not group:
            size = f" ({text.percent(other.percent)})" if other.percent is not None else ""
            kinds[other.verdict].append(other.metric.title + size)
    for kind, names in kinds.items():
        if kind == "refused" and len(names) > _MOST_NAMED:
            yield f"{phrases[kind]} {len(names)} metrics: the table of BD-rates says why"
        elif names:
            yield f"{phrases[kind]} {text.listing(names)}"
