"""Target rates that a codec did not reach, in sentences: a headline reads differently where a curve ends early."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Point, Report

FAR_PERCENT = 10.0
"""A rate further than this from its target was not reached; what an encoder's coarse steps miss is nearer."""

Row = Mapping[str, Any]
"""A row of the summary's rate match."""


def unreached(report: Report) -> list[str]:
    """What each codec did not reach: targets below its lowest rate, above its highest, and any between."""
    codecs = dict.fromkeys(str(row["codec"]) for row in report.rate_match)
    return [
        sentence
        for codec in codecs
        for sentence in _sentences(codec, [row for row in report.rate_match if row["codec"] == codec], report.points)
    ]


def _sentences(codec: str, rows: Sequence[Row], points: Iterable[Point]) -> Iterator[str]:
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(row["sequence"], []).append(row["bpp"])
    # Another run may have points that were matched to nothing.
    for point in points:
        if point.codec == codec and point.sequence in rates:
            rates[point.sequence].append(point.bpp)
    far = [row for row in rows if abs(row["deviation_percent"]) > FAR_PERCENT]
    too_high = [row for row in far if row["deviation_percent"] > 0 and row["bpp"] == min(rates[row["sequence"]])]
    too_low = [row for row in far if row["deviation_percent"] < 0 and row["bpp"] == max(rates[row["sequence"]])]
    if too_high:
        yield f"{codec} did not get below {_where(too_high, len(rates))}: {_how_far(too_high, 'lowest', 'above')}."
    if too_low:
        yield f"{codec} did not get above {_where(too_low, len(rates))}: {_how_far(too_low, 'highest', 'below')}."
    others = [row for row in far if row not in too_high and row not in too_low]
    if others:
        noun = "further target" if too_high or too_low else "target"
        furthest = max(abs(row["deviation_percent"]) for row in others)
        yield f"{codec} is up to {text.magnitude(furthest)} away from {text.plural(len(others), noun)}."


def _where(rows: Sequence[Row], sequences: int) -> str:
    """The rates at which the curves end, and on which sequences."""
    low, high = (text.significant(pick(row["bpp"] for row in rows), 3) for pick in (min, max))
    names = list(dict.fromkeys(str(row["sequence"]) for row in rows))
    on = text.listing(names) if len(names) <= 3 else f"{len(names)} of {text.plural(sequences, 'sequence')}"
    return f"{low if low == high else f'{low} to {high}'} bpp on {on}"


def _how_far(rows: Sequence[Row], end: str, side: str) -> str:
    """How far the ends of the curves are from the rates that were wanted."""
    distances = [abs(row["deviation_percent"]) for row in rows]
    low, high = text.magnitude(min(distances)), text.magnitude(max(distances))
    several = len({(row["sequence"], row["bpp"]) for row in rows}) > 1
    points = f"points there are {low}" if several else f"point there is {low}"
    return f"its {end} {points}{'' if low == high else f' to {high}'} {side} the target"
