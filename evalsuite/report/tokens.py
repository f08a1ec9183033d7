"""The figures of tokenized codecs: what the bits were spent on. They describe, so nothing here is compared."""

from __future__ import annotations

from dataclasses import dataclass

from evalsuite.report.model import Metric, Point, Report
from evalsuite.report.tables import by_sequence

START_FIGURE = "sent_token_rate"
"""The figure that the plots open with: masked tokens cost no bits, so this is the rate that was paid for."""


@dataclass(frozen=True, slots=True)
class TokenTables:
    """Every token figure of the codecs that have any."""

    figures: tuple[Metric, ...]
    codecs: tuple[str, ...]
    without: tuple[str, ...]
    """The codecs that have none."""
    by_sequence: tuple[tuple[str, tuple[Point, ...]], ...]
    """Points under their sequence: by codec, from the lowest rate up."""


def token_codecs(report: Report) -> tuple[str, ...]:
    """The codecs that have a token figure at some point, in the report's order."""
    figures = {metric.label for metric in report.token_figures}
    held = {
        point.codec
        for point in report.points
        if any(label in figures and score.status == "ok" for label, score in point.scores.items())
    }
    return tuple(sorted(held, key=report.place))


def token_tables(report: Report) -> TokenTables | None:
    """The tables of the section; None where no codec has tokens."""
    codecs = token_codecs(report)
    if not codecs:
        return None
    grouped = (
        (name, tuple(point for point in points if point.codec in codecs)) for name, points in by_sequence(report)
    )
    return TokenTables(
        figures=report.token_figures,
        codecs=codecs,
        without=tuple(codec.label for codec in report.codecs if codec.label not in codecs),
        by_sequence=tuple((name, points) for name, points in grouped if points),
    )
