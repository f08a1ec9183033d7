"""Rate-quality curves as a plotly figure: what the page draws, for notebooks and scripts.

Colours are those of the page's light theme, read from its style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as ListOf
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.report import text
from evalsuite.report.data import drawn_mean, gap, point_lines
from evalsuite.report.merge import merge
from evalsuite.report.model import Codec, Metric, Point, Report
from evalsuite.report.page import ASSETS
from evalsuite.results.load import RunResults

if TYPE_CHECKING:
    from plotly import graph_objects as go

Rate = Literal["bpp", "kbps"]

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "triangle-down", "cross", "star")
"""Markers, in the order of `curves.js`: they tell curves apart without colour."""

STATISTIC_WORDS = {
    "mean": "mean",
    "p5": "95 % of frames reach",
    "worst": "worst frame",
    "harmonic_mean": "harmonic mean",
    "root_mean": "root mean",
}
"""Statistics as the labels of points have them, in the words of `plots.js`."""

_COLOURS = 8
_COLUMNS = 3
"""Small multiples beside each other, at most."""
_PANEL_HEIGHT, _FRAME_HEIGHT = 360, 120


def plot_rd(
    results: RunResults | ListOf[RunResults], metric: str = "vmaf", sequence: str | None = None, x: Rate = "bpp"
) -> go.Figure:
    """Draw the rate-quality curves of one metric, with the colours, marks and labels of the report.

    Each sequence has its own panel: curves are never averaged. Points without a finite score are not drawn, and the
    figure says which. Curves of codecs whose rates are estimates, or were published, are dashed.

    Args:
        results: a run, or several, which are brought together as `evalsuite report` does.
        metric: a metric or figure of the results, such as `psnr_yuv`.
        sequence: the one to draw; None for all of them as small multiples.
        x: bits per pixel, or 1000 bit per second; the axis is logarithmic.

    Returns:
        A figure of the caller's own, to be changed, shown or written.

    Raises:
        RequestError: the metric, the sequence or the unit of rate is not in the results, or nothing can be drawn.
        StoreError: the summary of a run is not one, or runs contradict each other.
    """
    from plotly.subplots import make_subplots

    if x not in get_args(Rate):
        raise RequestError(f"the rate cannot be in {x!r}", expected=" or ".join(get_args(Rate)))
    runs = [results] if isinstance(results, RunResults) else list(results) if isinstance(results, Iterable) else []
    if not runs or not all(isinstance(run, RunResults) for run in runs):
        raise RequestError(
            "a figure needs at least one run", got=repr(results)[:80], fix="give what evalsuite.load returns"
        )
    report = merge(runs)
    shown = _metric(report, metric)
    names = _sequences(report, sequence)
    panels = {name: [point for point in report.points if point.sequence == name] for name in names}
    gaps = {name: _failed(report, name) | _gaps(points, shown, x) for name, points in panels.items()}
    if not any(_drawn(points, shown, x) for points in panels.values()):
        raise RequestError(
            f"{shown.name} has nothing to draw",
            where=", ".join(names),
            got="; ".join(dict.fromkeys(why for found in gaps.values() for why in found.values())) or "no points",
        )
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[_heading(name, gaps[name]) for name in names],
        vertical_spacing=0.3 / rows,
    )
    for heading, found in zip(figure.layout.annotations, gaps.values(), strict=True):
        heading.hovertext = "<br>".join(escape(f"{point}: {why}") for point, why in found.items())
    told: set[str] = set()
    for index, points in enumerate(panels.values()):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        for trace in _traces(report, points, shown, x):
            figure.add_trace(trace.update(showlegend=trace.name not in told), **place)
            told.add(trace.name)
        for rate in _targets(_drawn(points, shown, x), x):
            line = {"color": _colour("rule-strong"), "width": 1, "dash": "dot"}
            figure.add_vline(rate, line=line, layer="below", **place)
        figure.update_xaxes(type="log", dtick="D2", tickformat="~g", title_text=f"rate, {x}", **place)
    quality = escape(f"{shown.title}, {shown.unit}" if shown.unit else shown.title)
    figure.update_yaxes(title_text=f"{quality}   {shown.direction}", col=1)
    _style(figure, f"{escape(shown.title)} against rate, mean over frames", _PANEL_HEIGHT * rows + _FRAME_HEIGHT)
    return figure


def _metric(report: Report, name: str) -> Metric:
    """The metric of this name or label; of several versions none is taken for the other."""
    known = report.measured
    found = [metric for metric in known if metric.label == name] or [metric for metric in known if metric.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError(
            f"the runs have {name!r} in several versions", expected=" or ".join(metric.label for metric in found)
        )
    raise RequestError(
        f"the metric {name!r} is not among the results", fix=did_you_mean(name, (metric.label for metric in known))
    )


def _sequences(report: Report, name: str | None) -> list[str]:
    held = {point.sequence for point in report.points} | {str(one["sequence"]) for one in report.failures}
    names = [sequence.label for sequence in report.sequences if sequence.label in held]
    if name is None:
        return names
    if name not in names:
        raise RequestError(f"the sequence {name!r} is not among the results", fix=did_you_mean(name, names))
    return [name]


def _place(point: Point, metric: Metric, x: Rate) -> tuple[float, float] | None:
    """Rate and score; None where one is missing."""
    score, rate = point.scores.get(metric.label), getattr(point, x)
    mean = None if score is None else drawn_mean(score)
    return None if mean is None or not rate else (rate, mean)


def _drawn(points: ListOf[Point], metric: Metric, x: Rate) -> list[Point]:
    return sorted((point for point in points if _place(point, metric, x)), key=lambda point: point.bpp)


def _failed(report: Report, sequence: str) -> dict[str, str]:
    """Why cells have no point at all, by codec and q."""
    return {
        _cell(one["codec"], one.get("q")): f"failed at {one['stage']}: {one['message']}"
        for one in report.failures
        if one["sequence"] == sequence
    }


def _cell(codec: str, q: float | None) -> str:
    return codec if q is None else f"{codec} at q {text.knob(q)}"


def _gaps(points: ListOf[Point], metric: Metric, x: Rate) -> dict[str, str]:
    """Why points have no place, by codec and q; those that the metric was not asked of are none."""
    found = {}
    for point in points:
        score = point.scores.get(metric.label)
        if score is not None and _place(point, metric, x) is None:
            why = gap(score) if drawn_mean(score) is None else f"no rate in {x}"
            found[_cell(point.codec, point.q)] = why
    return found


def _heading(sequence: str, gaps: dict[str, str]) -> str:
    """The sequence, and how many of its points are not in the picture."""
    if not gaps:
        return escape(sequence)
    words = text.listing(list(dict.fromkeys(why.partition(":")[0] for why in gaps.values())))
    missing = escape(f"{text.plural(len(gaps), 'point')} not drawn: {words}")
    return f'{escape(sequence)}<br><span style="font-size: 12px">{missing}</span>'


def _traces(report: Report, points: ListOf[Point], metric: Metric, x: Rate) -> Iterator[go.Scatter]:
    from plotly import graph_objects as go

    for codec in report.codecs:
        own = _drawn([point for point in points if point.codec == codec.label], metric, x)
        if not own:
            continue
        places = [place for point in own if (place := _place(point, metric, x))]
        yield go.Scatter(
            name=escape(codec.said),
            legendgroup=escape(codec.said),
            mode="lines+markers",
            x=[rate for rate, _ in places],
            y=[score for _, score in places],
            hoverinfo="text",
            hovertext=[_label(codec, metric, point) for point in own],
            **_strokes(codec),
        )


def _strokes(codec: Codec) -> dict[str, Any]:
    """As `curves.js`: one of eight colours and a mark; dashed where no bitstream was measured."""
    color = _colour(f"c{codec.index % _COLOURS}")
    symbol = SYMBOLS[(codec.index + codec.index // _COLOURS) % len(SYMBOLS)]
    return {
        "line": {"color": color, "width": 2, "dash": "dash" if codec.note else "solid"},
        "marker": {"color": color, "size": 9, "symbol": symbol},
    }


def _label(codec: Codec, metric: Metric, point: Point) -> str:
    values = point.scores[metric.label].values
    scores = [
        f"{STATISTIC_WORDS.get(name, name)} {text.with_unit(text.score(value, metric.decimals), metric.unit)}"
        for name, value in values.items()
    ]
    lines = [codec.said, f"{metric.title}: {scores[0]}", *scores[1:], *point_lines(point)]
    return "<br>".join(map(escape, lines))


def _targets(points: ListOf[Point], x: Rate) -> set[float]:
    """The rates that the points were meant for, in the unit of the axis."""
    return {point.target_bpp * getattr(point, x) / point.bpp for point in points if point.target_bpp}


def _style(figure: go.Figure, title: str, height: int) -> None:
    paper, ink, quiet, rule, strong = map(_colour, ("paper", "ink", "quiet", "rule", "rule-strong"))
    axis = {
        "color": quiet,
        "gridcolor": rule,
        "linecolor": strong,
        "tickcolor": strong,
        "ticks": "outside",
        "zeroline": False,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0.02, "xanchor": "left"},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        height=height,
        paper_bgcolor=paper,
        plot_bgcolor=paper,
        font={"family": "system-ui, sans-serif", "size": 13, "color": ink},
        hovermode="closest",
        hoverlabel={
            "align": "left",
            "bgcolor": _colour("raised"),
            "bordercolor": strong,
            "font": {"color": ink, "size": 13},
        },
        margin={"l": 64, "r": 16, "t": 88, "b": 88},
    )


def _colour(name: str) -> str:
    return _palette()[name]


@cache
def _palette() -> dict[str, str]:
    """The custom properties of the light theme, which stands before any media query."""
    light = (ASSETS / "report.css").read_text(encoding="utf-8").partition("@media")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
