"""The data behind the curves: a script that assigns one JSON document, so that it loads from disk without a server."""

from __future__ import annotations

import json
import math
from typing import Any

from evalsuite.report import relative, text
from evalsuite.report.comparisons import headline_metric
from evalsuite.report.model import Metric, Point, Report, Score
from evalsuite.report.tokens import START_FIGURE, token_codecs


def script(report: Report) -> str:
    """`data.js`: the page reads `window.evalsuiteReport`."""
    document = json.dumps(payload(report), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Inert even where the text is pasted into a page: JSON strings may hold no angle bracket.
    document = document.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f"window.evalsuiteReport = {document};\n"


def payload(report: Report) -> dict[str, Any]:
    """Codecs, sequences, metrics, token figures, relative curves and points.

    The scores of each stand in the order of the points, relative curves in the order of the sequences.
    """
    judged, figures = report.judged, report.token_figures
    start = headline_metric(judged)
    with_tokens = token_codecs(report)
    shown = {point.sequence for point in report.points}
    sequences = [sequence.label for sequence in report.sequences if sequence.label in shown]
    return {
        "codecs": [
            {
                "name": codec.label,
                "index": codec.index,
                "note": codec.note,
                "tokens": codec.label in with_tokens,
            }
            for codec in report.codecs
        ],
        "sequences": sequences,
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
        "anchors": relative.anchors(report),
        "relative": relative.document(report, sequences),
        "points": [_point(point) for point in report.points],
        "scores": {
            metric.label: [_score(point.scores.get(metric.label), metric.decimals) for point in report.points]
            for metric in (*judged, *figures)
        },
    }


def _first(metrics: tuple[Metric, ...]) -> str:
    return metrics[0].label if metrics else ""


def _rates(point: Point) -> dict[str, str]:
    return {"bpp": f"{text.significant(point.bpp)} bpp", "kbps": f"{text.significant(point.kbps)} kbps"}


def point_lines(point: Point) -> list[str]:
    """What is told of a rate point besides its scores: setting, rate, target, cost."""
    rates = _rates(point)
    known = [rates["bpp"]]
    if point.kbps is not None:
        known.append(rates["kbps"])
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
        "sequence": point.sequence,
        "bpp": point.bpp,
        "kbps": point.kbps,
        "targetBpp": point.target_bpp,
        "rates": _rates(point),
        "lines": point_lines(point),
    }


def _score(score: Score | None, decimals: int) -> dict[str, Any] | None:
    """Value to draw (null where there is none) and the statistics as text."""
    if score is None:
        return None
    drawn = drawn_mean(score)
    return {
        "mean": drawn,
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
