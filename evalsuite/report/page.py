"""The page, written by a template that escapes every value: a name or message from data is text, never markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import evalsuite
from evalsuite.report import cost, findings, provenance, reach, relative, tables, text, tokens
from evalsuite.report.model import Report

ASSETS = Path(__file__).parent / "assets"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data: blob:",  # plotly draws the curve into an image to save it
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Holds from disk too: only files beside the page, nothing inline, no network."""


def render(report: Report, plotly_style_ids: tuple[str, ...] = ()) -> str:
    """`index.html` as text.

    Args:
        report: what to show.
        plotly_style_ids: ids of style elements that plotly would inject unless the page has them.
    """
    pairs = tables.pair_tables(report)
    return (
        _environment()
        .get_template("index.html")
        .render(
            report=report,
            title=_title(report),
            policy=CONTENT_SECURITY_POLICY,
            plotly_style_ids=plotly_style_ids,
            version=evalsuite.__version__,
            findings=findings.findings(report),
            pairs=pairs,
            anchors=relative.anchors(report),
            strip_width=tables.STRIP_WIDTH,
            gaps=tables.gaps(report),
            rate_matches=tables.rate_matches(report),
            close_percent=tables.CLOSE_PERCENT,
            by_sequence=tables.by_sequence(report),
            unreached=reach.unreached(report),
            tokens=tokens.token_tables(report),
            costs=cost.cost_rows(report),
            delays=cost.delay_rows(report),
            differences=tables.differences(report.codecs),
            glance=provenance.glance(report),
            kicker=_kicker(report),
            runs=[provenance.run_facts(run) for run in report.runs],
            commands=provenance.commands(report),
            codecs={codec.label: codec for codec in report.codecs},
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "percent": text.percent,
        "interval": text.interval,
        "significant": text.significant,
        "count": text.count,
        "knob": text.knob,
        "score": text.score,
        "plural": text.plural,
        "tick": text.tick,
        "change": text.change,
        "listing": text.listing,
        "some": text.some,
        "command": text.command,
        "record": provenance.record,
        "tags": provenance.tags,
    }
    environment.filters.update(filters)
    return environment


def _title(report: Report) -> str:
    names = [codec.label for codec in report.codecs]
    return f"{text.listing(names)} on {text.plural(len(report.sequences), 'sequence')}"


def _kicker(report: Report) -> str:
    """Where and when, in a line."""
    datasets = dict.fromkeys(str(sequence.facts.get("dataset") or "") for sequence in report.sequences)
    days = dict.fromkeys(provenance.run_facts(run).day for run in report.runs)
    return " · ".join(
        filter(None, ["evalsuite", text.listing([*filter(None, datasets)]), text.listing([*filter(None, days)])])
    )
