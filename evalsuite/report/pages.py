"""The pages of a report: which there are, what each loads, and what its template is given.

A page is one `Page` that `pages` yields: its file, its title in the navigation, its template in `assets/` (which
extends `base.html` and fills the block `content`), what the template gets beside what all get, and its scripts, each of
which registers itself by `onReport` (see `report.js`). Its data are documents of `data.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from evalsuite.planning.devices import standard_devices
from evalsuite.report import (
    complexity,
    cost,
    data,
    devices,
    facts,
    findings,
    planner,
    provenance,
    reach,
    relative,
    sequences,
    tables,
    text,
    timeline,
    tokens,
    traffic,
)
from evalsuite.report.model import Report
from evalsuite.results.trained import trained_on
from evalsuite.results.unsteady import unsteady

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page, ready to be rendered."""

    file: str
    title: str
    """In the navigation, or of a page that is not in it."""
    template: str
    context: Callable[[], Context]
    scripts: tuple[str, ...] = ()
    draws: bool = False
    """Whether it loads plotly.js."""
    above: str = ""
    """The page that it is a part of; such a page is not in the navigation."""


def pages(report: Report) -> Iterator[Page]:
    """The pages of a report, those of the navigation in its order."""
    curves = ("plots.js", "curves.js", "relative.js")
    yield Page("index.html", "Overview", "overview.html", partial(_overview, report), ("overview.js",))
    yield Page("curves.html", "Curves", "curves.html", partial(_curves, report), curves, draws=True)
    yield Page(
        "sequences.html", "Sequences", "sequences.html", partial(_sequences, report), ("plots.js", "sequences.js")
    )
    if report.pictures and (report.pictures.shots or report.pictures.missing):
        shown: Callable[[], Context] = partial(dict, pictures=report.pictures)
        yield Page("frames.html", "Frames", "frames.html", shown, ("stage.js", "frames.js"))
    if timed := timeline.opening(report, data.shown_sequences(report)):
        own: Callable[[], Context] = partial(dict, timed=timed)
        yield Page("time.html", "Time", "time.html", own, ("plots.js", "time.js"), draws=True)
    linked = ("plots.js", "points.js")
    if has_traffic(report):
        files = (*linked, "tokens.js", "traffic.js")
        yield Page("traffic.html", "Tokens and traffic", "traffic.html", partial(_traffic, report), files, draws=True)
    if planned := planner.planner(report):
        for_planners: Callable[[], Context] = partial(dict, planner=planned)
        yield Page("planner.html", "Planner", "planner.html", for_planners)
    if standing := complexity.standings(report):
        context: Callable[[], Context] = partial(_complexity, report, standing)
        yield Page("complexity.html", "Complexity", "complexity.html", context, (*linked, "complexity.js"), draws=True)
    yield Page("failures.html", "Failures", "failures.html", partial(_failures, report))
    yield Page("provenance.html", "Provenance", "provenance.html", partial(_provenance, report))
    yield from _parts(report)
    if has_traffic(report):
        yield from _traffic_parts(report)


def _parts(report: Report) -> Iterator[Page]:
    """Pages that the navigation does not name: one for each pair of codecs, and one for each sequence."""
    for place, pair in enumerate(tables.pair_tables(report)):
        title = f"{pair.test} against {pair.anchor}"
        context: Callable[[], Context] = partial(dict, pair=pair, strip_width=tables.STRIP_WIDTH)
        yield Page(f"pair-{place}.html", title, "pair.html", context, above="index.html")
    by_sequence, compared = dict(tables.by_sequence(report)), sequences.comparisons(report)
    for place, one in enumerate(facts.facts(report, data.shown_sequences(report))):
        name = one.name
        context = partial(
            dict, sequence=name, facts=one.listed, points=by_sequence[name], compared=compared.get(name, [])
        )
        scripts = ("sequences.js",)
        yield Page(f"sequence-{place}.html", name, "sequence.html", context, scripts, above="sequences.html")


def has_traffic(report: Report) -> bool:
    """Whether any point has a token or traffic figure."""
    return bool(tokens.token_codecs(report)) or traffic.any_traffic(report)


def _traffic(report: Report) -> Context:
    return {
        "tokens": tokens.tokenized(report),
        "with_bits": any(one.name == traffic.FRAME_BITS for one in report.described),
        "needs": devices.needs(report),
        "devices": standard_devices(),
        "machines": complexity.machines(report),
        "names": data.shown_sequences(report),
    }


def _traffic_parts(report: Report) -> Iterator[Page]:
    """The tables of tokens and traffic, one page for each sequence."""
    known, tokenized = traffic.streams(report), tokens.token_codecs(report)
    by_sequence = dict(tables.by_sequence(report))
    for place, name in enumerate(data.shown_sequences(report)):
        points = by_sequence[name]
        context: Callable[[], Context] = partial(
            dict,
            sequence=name,
            points=points,
            token_points=[point for point in points if point.codec in tokenized],
            token_figures=report.token_figures,
            figures=traffic.figures(report),
            streams=[known[point.cell_key] for point in points if point.cell_key in known],
            multiples=[f"{float(times):g}" for times in traffic.MULTIPLES],
        )
        file = f"sequence-{place}-traffic.html"
        yield Page(file, f"Traffic of {name}", "sequence-traffic.html", context, above="traffic.html")


def _complexity(report: Report, standing: complexity.Standings) -> Context:
    return {
        "standing": standing,
        "conditions": complexity.conditions(report),
        "costs": cost.cost_rows(report),
        "delays": cost.delay_rows(report),
        "compared": len(report.compared) > 1 and bool(report.judged),
    }


def _overview(report: Report) -> Context:
    return {
        "findings": findings.findings(report),
        "pairs": tables.pair_tables(report),
        "strip_width": tables.STRIP_WIDTH,
        "unreached": reach.unreached(report),
        "trained_on": trained_on(
            ((codec.said, codec.facts) for codec in report.codecs), ((one.label, one.facts) for one in report.sequences)
        ),
        "unsteady": unsteady((one.label, one.facts) for one in report.sequences),
        "differences": tables.differences(report.codecs),
        "glance": provenance.glance(report),
        "ranked": len(report.compared) > 1 and bool(report.judged),
    }


def _curves(report: Report) -> Context:
    return {
        "anchors": relative.anchors(report),
        "rate_matches": tables.rate_matches(report),
        "close_percent": tables.CLOSE_PERCENT,
        "has_tokens": bool(report.token_figures),
        "has_means": len(data.shown_sequences(report)) > 1,
    }


def _sequences(report: Report) -> Context:
    known, headline = facts.facts(report, data.shown_sequences(report)), sequences.headline(report)
    return {
        "facts": known,
        "looked_at": any(one.looks for one in known),
        "headline": headline,
        "content": sequences.by_content(known, headline) if headline else [],
        "scatter": sequences.scatter(known),
        "scatter_size": sequences.SCATTER,
        "ranked": len(report.compared) > 1 and bool(report.judged),
    }


def _failures(report: Report) -> Context:
    return {"gaps": tables.gaps(report), "refused": tables.refusals(report), "unreached": reach.unreached(report)}


def _provenance(report: Report) -> Context:
    return {
        "runs": [provenance.run_facts(run) for run in report.runs],
        "commands": provenance.commands(report),
    }


def report_title(report: Report) -> str:
    """What the report is about, in a line."""
    names = [codec.label for codec in report.codecs]
    return f"{text.listing(names)} on {text.plural(len(report.sequences), 'sequence')}"


def kicker(report: Report) -> str:
    """Where and when, in a line."""
    datasets = dict.fromkeys(str(sequence.facts.get("dataset") or "") for sequence in report.sequences)
    days = dict.fromkeys(provenance.run_facts(run).day for run in report.runs)
    return " · ".join(
        filter(None, ["evalsuite", text.listing([*filter(None, datasets)]), text.listing([*filter(None, days)])])
    )
