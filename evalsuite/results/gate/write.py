"""What a gate found as JSON, as Markdown for a pull request, and as JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from evalsuite.results.gate.explain import Explanation, link_to, sentences
from evalsuite.results.gate.gate import GateResult
from evalsuite.results.gate.judge import Judgement
from evalsuite.results.gate.rules import Rule

SIGNS = {"pass": "✓", "fail": "✗", "undecided": "?", "skipped": "–"}
"""Verdicts as signs, which stand beside the word: colour is never all that tells."""

MARKER = "<!-- evalsuite gate -->"
"""First line of the Markdown, by which a bot finds its own comment again."""

# What XML 1.0 cannot hold, even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float | None, unit: str, signed: bool = True) -> str:
    """A value with its unit, to the digits that mean something."""
    if value is None:
        return "n/a"
    shown = f"{value:+.2f}" if unit == "%" else f"{value:+.4g}"
    return f"{shown if signed else shown.removeprefix('+')} {unit}".strip()


def limit(rule: Rule, unit: str) -> str:
    """A rule's limit."""
    sign = "≥" if rule.bound == "at_least" else "≤"
    return f"{sign} {rule.limit:g} {unit}".strip()


def interval(judgement: Judgement) -> str:
    """The interval of a judgement."""
    if judgement.interval is None:
        return "n/a"
    low, high = (number(bound, judgement.unit).removesuffix(judgement.unit).strip() for bound in judgement.interval)
    return f"{low} .. {high}"


def more(judgement: Judgement) -> str:
    """What would decide an undecided rule, in words; empty where nothing is known to."""
    if judgement.verdict != "undecided":
        return ""
    if judgement.more_sequences:
        return f"about {judgement.more_sequences} more sequences like these would decide"
    if judgement.more_points:
        return f"about {judgement.more_points} more rate points would decide"
    return ""


def reason(judgement: Judgement) -> str:
    """Why a verdict is what it is, with what would decide."""
    return "; ".join(filter(None, [judgement.reason, more(judgement)]))


def as_json(result: GateResult, report: str = "") -> dict[str, Any]:
    """The document of `evalsuite gate --json`: `docs/gate.md` describes it."""
    return {
        "schema": 1,
        "verdict": result.verdict,
        "baseline": str(result.baseline.folder),
        "candidate": str(result.candidate.folder),
        "config": str(result.gate.path),
        "rules": [
            _rule_json(result, judgement, explanations, report)
            for judgement, explanations in zip(result.judgements, result.explanations, strict=True)
        ],
        "missing": list(result.missing),
    }


def _rule_json(
    result: GateResult, judgement: Judgement, explanations: tuple[Explanation, ...], report: str
) -> dict[str, Any]:
    rule = judgement.rule
    return {
        "rule": result.title(judgement),
        "verdict": judgement.verdict,
        "value": judgement.value,
        "ci": list(judgement.interval) if judgement.interval else None,
        "limit": rule.limit,
        "sequences": judgement.sequences,
        "reason": judgement.reason,
        "unit": judgement.unit,
        "measure": rule.measure,
        "metric": rule.metric or None,
        "bound": rule.bound,
        "over": rule.over,
        "confidence": rule.confidence,
        "codec": judgement.codec,
        "adjusted_p": judgement.chance,
        "more_sequences": judgement.more_sequences,
        "more_points": judgement.more_points,
        "by_sequence": [
            {"sequence": one.sequence, "value": one.value, "half_width": one.half_width, "note": one.note}
            for one in judgement.values
        ],
        "explanation": [
            {
                "sequence": one.sequence,
                "points": list(one.rates),
                "most_at": one.most_at,
                "worst_frames": [
                    {"frame": each.frame, "baseline": each.baseline, "candidate": each.candidate} for each in one.frames
                ],
                "worst_frames_at": one.frames_at,
                "link": link_to(report, one),
            }
            for one in explanations
        ],
    }


def as_markdown(result: GateResult, report: str = "") -> str:
    """A comment for a pull request: the table of rules, then what did not pass, folded.

    Args:
        result: what the gate found.
        report: address of the report's folder, for links; empty for none.
    """
    return "\n".join(_markdown(result, report)) + "\n"


def _markdown(result: GateResult, report: str) -> Iterator[str]:
    counts = {word: sum(one.verdict == word for one in result.judgements) for word in SIGNS}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    yield MARKER
    yield f"### {SIGNS[result.verdict]} evalsuite gate: {result.verdict}"
    yield ""
    codecs = ", ".join(f"**{_cell(match.codec)}**" for match in result.matches)
    sequences = max(len(match.sequences) for match in result.matches)
    yield f"{codecs} against the baseline on {sequences} sequences: {said}. Positive is worse."
    yield ""
    yield "| | rule | value | interval | limit | sequences | |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for one in result.judgements:
        cells = (
            f"{SIGNS[one.verdict]} {one.verdict}",
            _cell(result.title(one)),
            _cell(number(one.value, one.unit, signed=one.rule.bound == "allowed")),
            _cell(interval(one)),
            _cell(limit(one.rule, one.unit)),
            str(one.sequences or ""),
            _cell(reason(one)),
        )
        yield f"| {' | '.join(cells)} |"
    for judgement, explanations in zip(result.judgements, result.explanations, strict=True):
        if explanations:
            yield ""
            yield f"<details><summary>{_html(result.title(judgement))}</summary>"
            yield ""
            for each in explanations:
                name = _cell(each.sequence)
                link = link_to(report, each)
                shown = f"[{name}]({link})" if link else f"**{name}**"
                yield f"- {shown}: {_cell(number(each.value, judgement.unit))}"
                for sentence in sentences(each):
                    yield f"  - {_cell(sentence)}"
            yield ""
            yield "</details>"
    if result.missing:
        yield ""
        yield f"<details><summary>Not compared ({len(result.missing)})</summary>"
        yield ""
        yield from (f"- {_cell(line)}" for line in result.missing)
        yield ""
        yield "</details>"


def _html(text: str) -> str:
    """Text that stays text: no tag, and no mention or reference that would notify anybody."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", plain)


def _cell(text: str) -> str:
    """Text that stays text in a Markdown table."""
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", _html(text))


def as_junit(result: GateResult) -> str:
    """JUnit XML: a test case for each rule; undecided is an error, or skipped where the gate lets it pass."""
    verdicts = [one.verdict for one in result.judgements]
    lenient = result.gate.may_pass_undecided
    undecided = verdicts.count("undecided")
    suite = ElementTree.Element(
        "testsuite",
        name="evalsuite gate",
        tests=str(len(verdicts)),
        failures=str(verdicts.count("fail")),
        errors=str(0 if lenient else undecided),
        skipped=str(verdicts.count("skipped") + (undecided if lenient else 0)),
    )
    for judgement, explanations in zip(result.judgements, result.explanations, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname="evalsuite.gate", name=_xml(result.title(judgement)))
        kind = {"fail": "failure", "undecided": "skipped" if lenient else "error", "skipped": "skipped"}.get(
            judgement.verdict
        )
        message = (
            f"{number(judgement.value, judgement.unit)} ({interval(judgement)}), "
            f"{limit(judgement.rule, judgement.unit)}: {reason(judgement)}"
        )
        if kind:
            node = ElementTree.SubElement(case, kind, message=_xml(f"{judgement.verdict}: {message}"))
            lines = [f"{one.sequence}: {'; '.join(sentences(one))}" for one in explanations]
            node.text = _xml("\n".join(lines))
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(message)
    if result.missing:
        case = ElementTree.SubElement(suite, "testcase", classname="evalsuite.gate", name="not compared")
        ElementTree.SubElement(case, "system-out").text = _xml("\n".join(result.missing))
        suite.set("tests", str(len(verdicts) + 1))
    whole = ElementTree.Element("testsuites")
    whole.append(suite)
    ElementTree.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(whole, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
