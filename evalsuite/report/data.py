"""The data of the pages: scripts that each hand over one JSON document, so that they load from disk without a server.

What every page needs is in `data/report.js`; the rest is loaded as it is needed: a file for each sequence, one for each
of its relative curves, and one for each metric's comparisons of all codecs with all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from evalsuite.report import complexity, cost, facts, means, pictures, ranking, relative, text, timeline, traffic
from evalsuite.report.comparisons import headline_metric
from evalsuite.report.model import Metric, Point, Report, Score
from evalsuite.report.tokens import START_FIGURE, token_codecs


def script(name: str, document: Any) -> str:
    """`data/NAME.js`: hands a document to `loadData` of the page."""
    written = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Inert even where the text is pasted into a page: JSON strings may hold no angle bracket.
    written = written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'window.evalsuiteData("{name}", {written});\n'


def documents(report: Report, pages: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Every document of the pages, with the name of its file.

    Args:
        report: what to show.
        pages: files of the pages that there are.
    """
    yield "report", overall(report, pages)
    curves = relative.documents(report)
    for place, name in enumerate(shown_sequences(report)):
        yield f"sequence-{place}", points_document(report, [one for one in report.points if one.sequence == name])
        if report.relative:
            yield f"relative-{place}", curves.get(name, [])
    if "frames.html" in pages and report.pictures:
        yield from pictures.documents(report.pictures, report)
    yield "means", means.document(report)
    yield "costs", complexity.document(cost.cost_rows(report))
    if "traffic.html" in pages:
        yield from traffic.documents(report, shown_sequences(report))
    yield "facts", facts.document(report, shown_sequences(report))
    yield from ranking.documents(report)
    if "time.html" in pages:
        yield from timeline.documents(report, shown_sequences(report))


def shown_sequences(report: Report) -> list[str]:
    """Labels of the sequences that have points, in the report's order: files are numbered by it."""
    held = {point.sequence for point in report.points}
    return [sequence.label for sequence in report.sequences if sequence.label in held]


def overall(report: Report, pages: Iterable[str]) -> dict[str, Any]:
    """Names of codecs, sequences, metrics and token figures, and what the pages open with."""
    judged, figures = report.judged, report.token_figures
    start = headline_metric(judged)
    with_tokens = token_codecs(report)
    relative_anchors = relative.anchors(report)
    return {
        "codecs": [
            {
                "name": codec.label,
                "index": codec.index,
                "note": codec.note,
                "tokens": codec.label in with_tokens,
                "compared": not codec.is_behind_channel,
            }
            for codec in report.codecs
        ],
        "sequences": shown_sequences(report),
        "metrics": [
            {
                "name": metric.label,
                "title": metric.title,
                "family": str(metric.facts.get("family") or ""),
                "unit": metric.unit,
                "direction": metric.direction,
                "decimals": metric.decimals,
            }
            for metric in judged
        ],
        "figures": [{"name": metric.label, "title": metric.title, "unit": metric.unit} for metric in figures],
        "start": start.label if start else "",
        "startFigure": next((metric.label for metric in figures if metric.name == START_FIGURE), _first(figures)),
        "anchor": complexity.start_anchor(report),
        "relativeAnchors": relative_anchors,
        "points": len(report.points),
        "pages": list(pages),
    }


def _first(metrics: tuple[Metric, ...]) -> str:
    return metrics[0].label if metrics else ""


def points_document(report: Report, points: list[Point]) -> dict[str, Any]:
    """Points, and the scores of each metric and token figure in their order."""
    return {
        "points": [_point(point) for point in points],
        "scores": {
            metric.label: [_score(point.scores.get(metric.label), metric.decimals) for point in points]
            for metric in (*report.judged, *report.token_figures)
        },
    }


def rates(point: Point) -> dict[str, str]:
    """A point's rate as text, by unit."""
    return {"bpp": f"{text.significant(point.bpp)} bpp", "kbps": f"{text.significant(point.kbps)} kbps"}


def point_lines(point: Point) -> list[str]:
    """What is told of a rate point besides its scores: setting, rate, target, cost."""
    said = rates(point)
    known = [said["bpp"]]
    if point.kbps is not None:
        known.append(said["kbps"])
    if point.bytes is not None:
        known.append(f"{text.count(point.bytes)} bytes")
    target = None if point.target_bpp is None else f"{text.significant(point.target_bpp)} bpp"
    return [
        f"q {text.knob(point.q)}",
        ", ".join(known),
        f"target {target}, reached {text.percent(point.deviation)}" if target else "no target rate",
        f"encode {text.duration(point.cost.encode.cpu_s)}, decode {text.duration(point.cost.decode.cpu_s)} CPU",
    ]


def _point(point: Point) -> dict[str, Any]:
    return {
        "codec": point.codec,
        "bpp": point.bpp,
        "kbps": point.kbps,
        "targetBpp": point.target_bpp,
        "rates": rates(point),
        "lines": point_lines(point),
        "cost": complexity.drawn(point.cost),
    }


def _score(score: Score | None, decimals: int) -> dict[str, Any] | None:
    """Value to draw (null where there is none), the same of the score that 95 % of frames reach, and all as text."""
    if score is None:
        return None
    drawn = drawn_mean(score)
    low = score.values.get("p5")
    return {
        "mean": drawn,
        "p5": low if drawn is not None and low is not None and math.isfinite(low) else None,
        "statistics": {name: text.score(value, decimals) for name, value in score.values.items()},
        "gap": "" if drawn is not None else gap(score),
    }


def drawn_mean(score: Score) -> float | None:
    """The mean where it has a place on an axis."""
    mean = score.values.get("mean")
    return mean if mean is not None and math.isfinite(mean) and score.status == "ok" else None


def gap(score: Score) -> str:
    """Why a score has no place on an axis."""
    return ": ".join(filter(None, (score.word, score.reason)))
