"""The figures of tokenized codecs: what the bits were spent on. They describe, so nothing here is compared."""

from __future__ import annotations

from dataclasses import dataclass

from evalsuite.report.model import Report

START_FIGURE = "sent_token_rate"
"""The figure that the plots open with: masked tokens cost no bits, so this is the rate that was paid for."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Who has tokens."""

    codecs: tuple[str, ...]
    without: tuple[str, ...]
    """The codecs that have none."""


def token_codecs(report: Report) -> tuple[str, ...]:
    """The codecs that have a token figure at some point, in the report's order."""
    figures = {metric.label for metric in report.token_figures}
    held = {
        point.codec
        for point in report.points
        if any(label in figures and score.status == "ok" for label, score in point.scores.items())
    }
    return tuple(sorted(held, key=report.place))


def tokenized(report: Report) -> Tokenized | None:
    """Who has tokens; None where no codec has any."""
    codecs = token_codecs(report)
    without = tuple(codec.label for codec in report.codecs if codec.label not in codecs and not codec.is_hull)
    return Tokenized(codecs, without) if codecs else None
