"""The rules of a gate, as its TOML file says them: `docs/gate.md` describes every field."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from evalsuite import resources
from evalsuite.errors import RecipeError
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

Measure = Literal[
    "bd_rate",
    "bd_quality",
    "score",
    "score_percent",
    "encode_time",
    "decode_time",
    "encode_memory",
    "decode_memory",
    "failures",
]
Over = Literal["mean", "each"]
Bound = Literal["allowed", "at_most", "at_least"]

TAG = "tag:"
"""How a pattern of sequences begins that means those with a tag."""

STANDARD = "standard"
"""The gate that is used where none is named."""

_MEASURES: dict[str, Measure] = {name: name for name in get_args(Measure)}
_OVER: dict[str, Over] = {"mean": "mean", "each": "each"}
WITH_METRIC = ("bd_rate", "bd_quality", "score", "score_percent")


class Cost(NamedTuple):
    """Where a cost is read from: columns of results.parquet."""

    column: str
    alone: str
    """Whether it was taken with nothing beside it."""
    time: bool


COSTS: Mapping[str, Cost] = {
    "encode_time": Cost("encode_cpu_s", "encode_ran_alone", time=True),
    "decode_time": Cost("decode_cpu_s", "decode_ran_alone", time=True),
    "encode_memory": Cost("encode_peak_rss_bytes", "encode_ran_alone", time=False),
    "decode_memory": Cost("decode_peak_rss_bytes", "decode_ran_alone", time=False),
}

_UNUSED: Mapping[str, frozenset[str]] = {
    "bd_rate": frozenset({"statistic", "worse"}),
    "bd_quality": frozenset({"statistic", "worse"}),
    "score": frozenset(),
    "score_percent": frozenset(),
    "failures": frozenset({"statistic", "worse", "optional", "sequences", "over", "confidence"}),
    "costs": frozenset({"statistic", "worse", "optional"}),
}
"""By measure, the fields that would be passed over: a rule that has one was meant to say something else."""

_RELATIVE_ONLY = ("bd_rate", "bd_quality", "score_percent")
_UNITS: Mapping[str, str] = {"bd_rate": "%", "score_percent": "%", "failures": ""}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must not get worse, or must stay within a limit."""

    name: str
    measure: Measure
    bound: Bound
    limit: float
    """In `unit`; a regression is positive."""
    metric: str = ""
    statistic: str = "mean"
    """Of the frames of a sequence, for scores: mean, p5, worst, ..."""
    sequences: tuple[str, ...] = ()
    """Names, patterns such as `news*`, or `tag:faces`; none means all."""
    over: Over = "mean"
    confidence: float = 0.95
    worse: Literal["more", "less"] | None = None
    """Which way is worse, for a metric that has no direction."""
    optional: bool = False
    """Whether a metric that neither side has makes the rule pass over, instead of undecided."""

    @property
    def unit(self) -> str:
        """Of the value, the interval and the limit; empty for the metric's own and for counts."""
        if self.measure in _UNITS:
            return _UNITS[self.measure]
        if self.measure in COSTS:
            return "%" if self.bound == "allowed" else "ms/frame" if COSTS[self.measure].time else "MB"
        return ""

    def covers(self, name: str, tags: Iterable[str]) -> bool:
        """Whether the rule is about a sequence."""
        return not self.sequences or any(
            one.removeprefix(TAG) in tags if one.startswith(TAG) else fnmatch.fnmatchcase(name, one)
            for one in self.sequences
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of a file, and what it says of the two sides."""

    path: Path
    rules: tuple[Rule, ...]
    baseline: str = ""
    candidate: str = ""
    """Paths of runs, where the file names them; relative to the file."""
    codec: str = ""
    """The candidate's codec, where its run has several."""
    baseline_codec: str = ""
    may_pass_undecided: bool = False
    """Whether a rule that nothing decides lets the gate pass."""
    may_differ: bool = False
    """Whether codecs that are not like with like (structure, delay, intra period, depth, rate source) may pass."""
    run: tuple[str, ...] = ()
    """Arguments of `evalsuite run` that make the candidate, for the pytest plugin."""


def load_gate(name: str) -> Gate:
    """The gate of this name, or in this TOML file.

    Raises:
        RequestError: there is none.
        RecipeError: its file is wrong.
    """
    path, data = resources.load("gates", name)
    return parse_gate(data, path)


def parse_gate(data: dict[str, Any], path: Path) -> Gate:
    """A gate from its TOML.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    table = Table(data, str(path))
    confidence = table.get("confidence", _confidence, 0.95)
    rules = tuple(
        _rule(Table(one, f"{path}, rule {number}"), confidence)
        for number, one in enumerate(table.take("rule", fields.tables), 1)
    )
    gate = Gate(
        path=path,
        rules=rules,
        baseline=table.get("baseline", fields.text, ""),
        candidate=table.get("candidate", fields.text, ""),
        codec=table.get("codec", fields.text, ""),
        baseline_codec=table.get("baseline_codec", fields.text, ""),
        may_pass_undecided=table.get("undecided", fields.choice({"fail": False, "pass": True}), False),
        may_differ=table.get("unlike", fields.choice({"block": False, "allow": True}), False),
        run=table.get("run", fields.texts, ()),
    )
    table.take("rule", lambda _: _once([rule.name for rule in rules]))
    table.finish()
    return gate


def _rule(table: Table, confidence: float) -> Rule:
    measure = table.take("measure", fields.choice(_MEASURES))
    metric = table.take("metric", fields.text) if measure in WITH_METRIC else ""
    bounds: list[Bound] = [bound for bound in ("allowed", "at_most", "at_least") if bound in table.data]
    if len(bounds) != 1 or (bounds != ["allowed"] and measure in _RELATIVE_ONLY):
        expected = "allowed" if measure in _RELATIVE_ONLY else "one of allowed, at_most, at_least"
        raise RecipeError(
            "a rule has one limit", where=table.where, expected=expected, got=", ".join(bounds) or "none of them"
        )
    over: Over = table.get("over", fields.choice(_OVER), "mean")
    for field in sorted(_UNUSED.get(measure, _UNUSED["costs"]) & table.data.keys()):
        raise RecipeError(f"the field `{field}` means nothing to {measure}", where=table.where, fix="take it out")
    rule = Rule(
        name=table.get("name", fields.text, _title(measure, metric, over)),
        measure=measure,
        bound=bounds[0],
        limit=table.take(bounds[0], fields.number),
        metric=metric,
        statistic=table.get("statistic", fields.text, "mean"),
        sequences=table.get("sequences", fields.texts, ()),
        over=over,
        confidence=table.get("confidence", _confidence, confidence),
        worse=table.get("worse", fields.choice({"more": "more", "less": "less"}), None),
        optional=table.get("optional", fields.flag, False),
    )
    table.finish()
    return rule


def _title(measure: str, metric: str, over: str) -> str:
    what = {
        "bd_rate": f"rate at equal {metric}",
        "bd_quality": f"{metric} at equal rate",
        "score": metric,
        "score_percent": metric,
    }.get(measure, measure.replace("_", " "))
    return f"{what}, each sequence" if over == "each" else what


def _confidence(value: object) -> float:
    number = fields.number(value)
    if not 0.5 <= number < 1:
        raise ValueError("a number from 0.5 to below 1")
    return number


def _once(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each rule a name of its own, not {', '.join(twice)} twice")
