"""Pages as text, written by templates that escape every value: a name or message from data is text, never markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import evalsuite
from evalsuite.report import provenance, text
from evalsuite.report.model import Report
from evalsuite.report.pages import kicker, pages, report_title

ASSETS = Path(__file__).parent / "assets"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",  # plotly draws the curve into an image to save it
        "media-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Holds from disk too: only files beside the page, nothing inline, no network."""


def render(report: Report, plotly: str, plotly_style_ids: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """The pages, each as the name of its file and its text.

    Args:
        report: what to show.
        plotly: where plotly.js is, relative to the report's folder.
        plotly_style_ids: ids of style elements that plotly would inject unless the page has them.
    """
    every = list(pages(report))
    title = report_title(report)
    shared = {
        "report": report,
        "codecs": {codec.label: codec for codec in report.codecs},
        "files": {page.file for page in every},
        "navigation": [page for page in every if not page.above],
        "policy": CONTENT_SECURITY_POLICY,
        "plotly": plotly,
        "version": evalsuite.__version__,
        "kicker": kicker(report),
    }
    environment = _environment()
    for page in every:
        own = {
            "page": page,
            "page_title": title if page.file == "index.html" else f"{page.title} · {title}",
            "plotly_style_ids": plotly_style_ids if page.draws else (),
        }
        yield page.file, environment.get_template(page.template).render(**shared, **own, **page.context())


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
