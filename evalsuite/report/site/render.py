"""The site's templates: every value is escaped, and what XML cannot hold is left out."""

from __future__ import annotations

import re
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import evalsuite
from evalsuite.report import text
from evalsuite.report.site import words

ASSETS = Path(__file__).parent / "assets"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Holds from disk too: only files of the site, nothing inline, no network."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(template: str, **values: Any) -> str:
    """A page, picture or feed as text."""
    page = _environment().get_template(template).render(**values)
    return _NOT_XML.sub("\ufffd", page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(policy=CONTENT_SECURITY_POLICY, version=evalsuite.__version__)
    environment.filters.update(
        percent=text.percent,
        interval=text.interval,
        significant=text.significant,
        count=text.count,
        knob=text.knob,
        score=text.score,
        plural=text.plural,
        tick=text.tick,
        change=text.change,
        listing=text.listing,
        command=text.command,
        title=words.metric_title,
        metric_slug=words.metric_slug,
        bits=words.bits,
        sign=words.SIGNS.__getitem__,
        verdict_words=words.VERDICTS.__getitem__,
        decided_by=words.decided_by,
        part=words.part,
        step_text=words.step_text,
        day=lambda date: str(date)[:10],
        urn=lambda name: uuid.uuid5(uuid.NAMESPACE_OID, str(name)).urn,
    )
    return environment
