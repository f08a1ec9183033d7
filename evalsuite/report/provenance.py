"""Where the numbers come from: runs, codecs, sequences, every command line, and what to type to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Report, Run
from evalsuite.report.numbers import number
from evalsuite.results.comparable import RATE_WORDS

Facts = list[tuple[str, str]]
"""Names and values, in reading order, as text."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run: when, on what, with what, and how to repeat it."""

    label: str
    day: str
    """The date it was started."""
    facts: Facts
    machine: Facts
    versions: Facts
    repeat: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class CellCommands:
    """The command lines of one encode."""

    title: str
    lines: Facts


def run_facts(run: Run) -> RunFacts:
    """What the summary of a run says about it."""
    about: Mapping[str, Any] = run.summary.get("run") or {}
    outcomes: Mapping[str, Any] = run.summary.get("outcomes") or {}
    commit, dirty = str(about.get("commit") or ""), bool(about.get("dirty"))
    facts = [
        ("started", str(about.get("started") or text.NONE)),
        ("finished", str(about.get("finished") or text.NONE)),
        ("took", f"{text.duration(number(about.get('wall_s')))} wall, {text.duration(number(about.get('cpu_s')))} CPU"),
        ("commit", (commit or "unknown") + (" with uncommitted changes" if dirty else "")),
    ]
    sources = {str(codec.get("rate_source")) for codec in run.summary["codecs"]}
    if sources == {"published"}:
        facts.append(("points", RATE_WORDS["published"]))
    if outcomes:
        facts.append(("outcomes", ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in outcomes.items())))
    remarks = (about.get("timing") or {}).get("remarks")
    facts.extend(("timing", str(remark)) for remark in (remarks if isinstance(remarks, list) else ()))
    return RunFacts(
        label=run.label,
        day=str(about.get("started") or "")[:10],
        facts=facts,
        machine=[
            *flat(about.get("machine") or {}),
            *((str(name), str(value)) for name, value in (about.get("environment") or {}).items()),
        ],
        versions=flat(about.get("versions") or {}),
        repeat=_repeat(run, commit),
        dirty=dirty,
    )


def _repeat(run: Run, commit: str) -> str:
    request = run.summary.get("request") or {}
    typed = text.command(request.get("command") or ())
    return "\n".join(filter(None, (f"git checkout {commit}" if commit else "", typed)))


def commands(report: Report) -> list[CellCommands]:
    """Every full command line, by encode."""
    return [
        CellCommands(
            f"{entry['codec']} · {entry['sequence']} · q {text.knob(entry.get('q'))}",
            [
                (f"{stage}{_of_parts(entry) if stage == 'encode' else ''}", text.command(entry[stage]))
                for stage in ("encode", "decode")
                if entry.get(stage)
            ],
        )
        for entry in report.commands
    ]


def _of_parts(entry: Mapping[str, Any]) -> str:
    """What to add to an encode that was split."""
    parts = number(entry.get("parts")) or 1
    return f", the last of {parts:.0f} parts that make one stream" if parts > 1 else ""


def glance(report: Report) -> Facts:
    """The size of what was done, in a few numbers."""
    took = [number((run.summary.get("run") or {}).get("wall_s")) for run in report.runs]
    return [
        ("codecs", str(len(report.codecs))),
        ("sequences", str(len(report.sequences))),
        ("rate points", str(len(report.own_points))),
        ("metrics", str(len(report.measured))),
        ("failures", str(len(report.failures)) if report.failures else "none"),
        ("run time", text.duration(sum(seconds for seconds in took if seconds is not None))),
    ]


def record(facts: Mapping[str, Any]) -> Facts:
    """A codec's facts but for its command lines, which are shown whole."""
    return flat({key: value for key, value in facts.items() if key not in ("encode", "decode")})


def tags(facts: Mapping[str, Any]) -> str:
    """The content tags of a sequence."""
    return ", ".join(map(str, facts.get("tags") or ())) or text.NONE


def flat(facts: Mapping[str, Any]) -> Facts:
    """A nested record as names and values."""
    return list(_flat(facts, ""))


def _flat(facts: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for key, value in facts.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value)) or text.NONE
        else:
            yield name, text.NONE if value in (None, "") else str(value)
