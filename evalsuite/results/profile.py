"""Profiles: one figure from several metrics, weighted for a kind of content, with its formula beside it.

A profile is a TOML file. Each of its metrics is brought to a range from 0 (as bad as it gets) to 1 (as good as anyone
needs), and the score is 100 times their weighted mean. Weights are editorial choices, which the file gives reasons for:
a profile ranks for a use, and is never the only number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalsuite import resources
from evalsuite.codec.identity import digest_of
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.metrics.pooling import Pooled
from evalsuite.sources import fields
from evalsuite.sources.fields import Table
from evalsuite.types import MetricInfo

PREFIX = "profile:"
"""How the metric of a profile is called, before its name."""

AUTO, NONE = "auto", "none"
"""What `--profile` takes beside names: those that a sequence's tags call for, and none."""

LEAST_SHARE = 0.5
"""Of the weights that must have a score: with fewer it would be another profile."""

Domain = Literal["linear", "log"]
_NAME = r"[a-z][a-z0-9-]*"


@dataclass(frozen=True, slots=True)
class Term:
    """One metric of a profile."""

    metric: str
    weight: float
    worst: float
    """Its mean at which it counts as 0."""
    best: float
    """Its mean at which it counts as 1."""
    domain: Domain = "linear"
    """Between the two: in the score itself, or in its logarithm."""

    def share(self, score: float) -> float:
        """The score from 0 to 1."""
        if self.domain == "linear":
            at = (score - self.worst) / (self.best - self.worst)
        else:
            # A score of 0 or less is beyond the smaller of the two ends.
            value = math.log(score) if score > 0 else -math.inf
            at = (value - math.log(self.worst)) / (math.log(self.best) - math.log(self.worst))
        return min(max(at, 0.0), 1.0)

    @property
    def formula(self) -> str:
        """The term in the words of `Profile.formula`."""
        return f"{self.weight:g} {'log ' if self.domain == 'log' else ''}{self.metric}[{self.worst:g}, {self.best:g}]"


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of content and what matters in it; made by `load_profile`."""

    name: str
    description: str
    tags: tuple[str, ...]
    """Sequences with one of them are of this kind."""
    terms: tuple[Term, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it is made of."""
        return tuple(term.metric for term in self.terms)

    @property
    def formula(self) -> str:
        """The whole score in one line."""
        total = sum(term.weight for term in self.terms)
        terms = " + ".join(term.formula for term in self.terms)
        return f"100 ({terms}) / {total:g}; x[worst, best] is the mean of x (log x: its logarithm) brought to 0..1"

    def formula_with(self, means: Mapping[str, Pooled]) -> str:
        """The formula that gives the score of these means: of the terms that have one."""
        held = [term for term in self.terms if _counts(means.get(term.metric))]
        terms, total = " + ".join(term.formula for term in held), sum(term.weight for term in held)
        log = " (log x: its logarithm)" if any(term.domain == "log" for term in held) else ""
        divided = f"({terms}) / {total:g}" if round(total, 9) != 1 else f"({terms})"
        return f"100 {divided}; x[worst, best] is the mean of x{log} brought to 0..1"

    @property
    def info(self) -> MetricInfo:
        """The profile as a metric: its version changes with its formula."""
        return MetricInfo(
            name=f"{PREFIX}{self.name}",
            family="profile",
            unit="",
            higher_is_better=True,
            version=digest_of({"formula": self.formula, "least": LEAST_SHARE})[:12],
            definition=self.formula,
            source=f"{self.description}; weights by editorial choice",
            range=(0, 100),
            needs=self.metrics,
            traps="Never the only number: what it is made of stands beside it. Metrics that do not apply to a "
            "sequence, or are missing on a machine, drop out for all codecs, and the reason says so. Below half of the "
            "weights there is no score. It stops at both ends: beyond them codecs look alike.",
            per_frame=False,
        )

    def scores(
        self, points: Sequence[Mapping[str, Pooled]], like: Sequence[Mapping[str, Pooled]] | None = None
    ) -> list[Pooled]:
        """The score of each rate point of one sequence.

        What lacks a number at one point is left out at all of them, so that one formula holds for all.

        Args:
            points: the means by metric name, of every codec and rate.
            like: the points that decide what is left out, where they are others; a point that lacks what they have has
                no score.
        """
        deciding = points if like is None else like
        held = [term for term in self.terms if all(_counts(point.get(term.metric)) for point in deciding)]
        dropped = [term for term in self.terms if term not in held]
        total, weight = (sum(term.weight for term in terms) for terms in (self.terms, held))
        said = left_out({term.metric: _why(deciding, term.metric) for term in dropped})
        if weight < LEAST_SHARE * total:
            reason = f"only {100 * weight / total:.0f} % of the weights have a score; {said}"
            return [Pooled("mean", math.nan, "not_applicable", reason)] * len(points)
        return [self._score(point, held, weight, said) for point in points]

    def _score(self, point: Mapping[str, Pooled], held: Sequence[Term], weight: float, said: str) -> Pooled:
        lacking = [term for term in held if not _counts(point.get(term.metric))]
        if lacking:
            reason = left_out({term.metric: _why([point], term.metric) for term in lacking})
            return Pooled("mean", math.nan, "not_applicable", reason)
        shares = sum(term.weight * term.share(point[term.metric].score) for term in held)
        return Pooled("mean", 100 * shares / weight, "ok", said)


def left_out(reasons: Mapping[str, str]) -> str:
    """What dropped out of a formula, and why, each reason once: `formula_of` takes it apart again.

    >>> left_out({"text_cer": "no text"})
    'without text_cer (text_cer: no text)'
    """
    alike: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        alike.setdefault(reason, []).append(name)
    why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in alike.items())
    return f"without {', '.join(reasons)} ({why})" if reasons else ""


def formula_of(reason: str) -> str:
    """What a score's reason says of its formula; scores of one metric can be compared where it is the same.

    >>> formula_of("without text_cer (text_cer: no text)")
    'without text_cer'
    """
    return reason.partition(" (")[0]


def other_formula(reasons: Iterable[str]) -> str:
    """How the formulas of scores of one metric differ, by the scores' reasons; empty where they are one.

    >>> other_formula(["", "without text_cer (text_cer: no text)"])
    'not the same formula: with all metrics against without text_cer'
    """
    found = sorted(set(map(formula_of, reasons)))
    said = " against ".join(one or "with all metrics" for one in found)
    return f"not the same formula: {said}" if len(found) > 1 else ""


def _counts(mean: Pooled | None) -> bool:
    return mean is not None and mean.status in ("ok", "infinite")


def _why(points: Sequence[Mapping[str, Pooled]], metric: str) -> str:
    for point in points:
        mean = point.get(metric)
        if mean is None:
            return "not measured"
        if not _counts(mean):
            return mean.reason or mean.status.replace("_", " ")
    return ""


def load_profile(name: str) -> Profile:
    """The profile of this name, or in this TOML file.

    Raises:
        RequestError: there is none; suggests near misses.
        RecipeError: its file is wrong.
    """
    path, data = resources.load("profiles", name)
    return parse_profile(data, path)


def parse_profile(data: dict[str, Any], path: Path) -> Profile:
    """A profile from its TOML.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    table = Table(data, str(path))
    profile = Profile(
        name=table.take("name", fields.pattern(_NAME, "a word of a-z, 0-9 and '-'")),
        description=table.take("description", fields.text),
        tags=table.get("tags", fields.texts, ()),
        terms=tuple(
            _term(Table(one, f"{path}, metric {number}"))
            for number, one in enumerate(table.take("metrics", fields.tables), 1)
        ),
    )
    table.take("metrics", lambda _: _once(profile.metrics))
    table.finish()
    return profile


def _term(table: Table) -> Term:
    metric = table.take("name", fields.text)
    weight = table.take("weight", _above_zero)
    domain: Domain = table.get("domain", fields.choice({"linear": "linear", "log": "log"}), "linear")
    parse = _above_zero if domain == "log" else fields.number
    worst = table.take("worst", parse)
    best = table.take("best", lambda value: _other_than(worst, parse(value)))
    table.finish()
    return Term(metric, weight, worst, best, domain)


def _above_zero(value: object) -> float:
    if (number := fields.number(value)) <= 0:
        raise ValueError("a number above 0")
    return number


def _other_than(worst: float, best: float) -> float:
    if best == worst:
        raise ValueError("another number than `worst`")
    return best


def _once(names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each metric once, not {', '.join(twice)} twice")


def profiles_for(request: str, tags: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Profile, ...]]:
    """What `--profile` asks for, by sequence.

    Args:
        request: `none`, `auto`, or names or files separated by commas.
        tags: of each sequence, by its name.

    Raises:
        RequestError: no such profile.
        RecipeError: the file of one is wrong.
    """
    words = [word.strip() for word in request.split(",") if word.strip()]
    if words == [AUTO]:
        if not any(tags.values()):
            raise RequestError(
                "--profile auto chooses by tags, and no sequence here has any",
                fix="name a profile; files that are named by themselves have no tags, those of a dataset may have some",
            )
        known = [load_profile(name) for name in resources.available("profiles")]
        return {
            sequence: tuple(profile for profile in known if set(profile.tags) & set(own))
            for sequence, own in tags.items()
        }
    if not words or (NONE in words and words != [NONE]) or AUTO in words:
        raise RequestError(
            f"--profile {request!r} names no profile",
            expected=f"{AUTO}, {NONE}, or names separated by commas",
            fix=did_you_mean(request, resources.available("profiles")),
        )
    chosen = () if words == [NONE] else tuple({word: load_profile(word) for word in words}.values())
    return dict.fromkeys(tags, chosen)
