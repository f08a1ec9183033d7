"""What codecs cost: time by CPU seconds, memory, and how evenly a decoder delivers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from evalsuite.report.numbers import number

if TYPE_CHECKING:
    from evalsuite.report.model import Codec, Point, Report

SIDES = ("encode", "decode")


@dataclass(frozen=True, slots=True)
class Effort:
    """What one encode or decode cost; None where it is not known."""

    cpu_s: float | None
    wall_s: float | None
    load_s: float | None
    peak_bytes: float | None
    alone: bool
    """Whether nothing else of the run was at work meanwhile: else the wall time means nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rate point cost, and how its frames were delivered."""

    frames: float | None
    encode: Effort
    decode: Effort
    streams: bool | None
    """Whether the decoder delivers frames as it decodes them; None where that was not looked at."""
    delays_s: tuple[float | None, ...]
    """To the first frame; then from frame to frame the median, the 95th and 99th percentile, and their spread."""

    def effort(self, what: str) -> Effort:
        """That of the encode or the decode."""
        return self.encode if what == "encode" else self.decode

    def cpu_per_frame(self, what: str) -> float | None:
        """CPU seconds of the encode or the decode over frames."""
        return _ratio(self.effort(what).cpu_s, self.frames)


_DELAYS = ("first_frame_s", "latency_p50_s", "latency_p95_s", "latency_p99_s", "jitter_s")


def cost_of(row: Mapping[Any, Any]) -> Cost:
    """The cost in a row of results.parquet."""
    streams = number(row["decode_streams"])
    return Cost(
        frames=number(row["frames"]),
        encode=_effort(row, "encode"),
        decode=_effort(row, "decode"),
        streams=None if streams is None else bool(streams),
        delays_s=tuple(number(row[f"decode_{name}"]) for name in _DELAYS),
    )


def _effort(row: Mapping[Any, Any], what: str) -> Effort:
    return Effort(
        cpu_s=number(row[f"{what}_cpu_s"]),
        wall_s=number(row[f"{what}_wall_s"]),
        load_s=number(row[f"{what}_load_s"]),
        peak_bytes=number(row[f"{what}_peak_rss_bytes"]),
        alone=number(row[f"{what}_ran_alone"]) == 1,
    )


@dataclass(frozen=True, slots=True)
class CostRow:
    """Encoding or decoding of one codec over all its points."""

    codec: Codec
    what: str
    cpu_fps: float | None
    """Frames in one CPU second: see `_typical`."""
    wall_fps: float | None
    """Frames in one second, likewise, over the points that ran alone."""
    load_s: float | None
    """Median over the points that loaded a model and tell, or what the warm-up of a timing run took."""
    peak_bytes: float | None
    """The largest of any point."""
    alone: int
    points: int


@dataclass(frozen=True, slots=True)
class DelayRow:
    """How the decoder of one codec delivers its frames: medians over points."""

    codec: Codec
    first_frame_s: float | None
    intervals_s: tuple[float | None, ...]
    """Median, 95th and 99th percentile, and standard deviation; empty where it does not stream."""


def cost_rows(report: Report) -> list[CostRow]:
    """Two rows for each codec that was run, in the report's order; one behind a channel encodes nothing of its own."""
    return [
        _cost_row(report, codec, points, what)
        for codec, points in _by_codec(report)
        for what in SIDES
        if not (what == "encode" and codec.is_behind_channel)
    ]


def _cost_row(report: Report, codec: Codec, points: list[Point], what: str) -> CostRow:
    efforts = [point.cost.effort(what) for point in points]
    return CostRow(
        codec=codec,
        what=what,
        cpu_fps=_typical(points, lambda cost: _ratio(cost.frames, cost.effort(what).cpu_s)),
        wall_fps=_typical(
            [point for point in points if point.cost.effort(what).alone],
            lambda cost: _ratio(cost.frames, cost.effort(what).wall_s),
        ),
        load_s=_median(effort.load_s for effort in efforts if effort.load_s) or _load_of_warm_up(report, codec, what),
        peak_bytes=max((effort.peak_bytes for effort in efforts if effort.peak_bytes), default=None),
        alone=sum(effort.alone for effort in efforts),
        points=len(efforts),
    )


def _typical(points: Iterable[Point], figure: Callable[[Cost], float | None]) -> float | None:
    """The geometric mean over sequences of the geometric mean over a sequence's points.

    Speeds span magnitudes, and a sequence with large frames or many points counts no more than any other.
    """
    logs: dict[str, list[float]] = {}
    for point in points:
        if value := figure(point.cost):
            logs.setdefault(point.sequence, []).append(math.log(value))
    return math.exp(fmean(fmean(own) for own in logs.values())) if logs else None


def delay_rows(report: Report) -> list[DelayRow]:
    """A row for each codec whose decodes were timed frame by frame."""
    rows = []
    for codec, points in _by_codec(report):
        timed = [point.cost for point in points if point.cost.streams is not None]
        if not timed:
            continue
        streaming = [cost for cost in timed if cost.streams]
        first, *intervals = (
            _median(cost.delays_s[place] for cost in (streaming if place else timed)) for place in range(len(_DELAYS))
        )
        rows.append(DelayRow(codec, first, tuple(intervals) if streaming else ()))
    return rows


def _load_of_warm_up(report: Report, codec: Codec, what: str) -> float | None:
    place: Any = None
    for run in report.runs:
        place = run.summary
        for key in ("run", "timing", "load_s", codec.facts.get("name"), what):
            place = place.get(key) if isinstance(place, Mapping) else None
        if number(place):
            break
    return number(place) or None


def _by_codec(report: Report) -> Iterable[tuple[Codec, list[Point]]]:
    for codec in report.codecs:
        if codec.is_hull:
            continue  # its points cost what they cost the codecs that they came from
        points = [point for point in report.points if point.codec == codec.label]
        # What was published was not run, and cost nothing here.
        if any(point.cost.effort(what).cpu_s is not None for point in points for what in SIDES):
            yield codec, points


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over and under else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
