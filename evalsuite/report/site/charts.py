"""Pictures drawn in Python, so that they are there without scripts: strips of BD-rates, and the history of a codec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

STRIP_WIDTH = 220
_MARGIN = 8
_FEWEST = -95.0
"""A saving beyond which a strip is cut off: at -100 % a logarithm has no end."""

_STEP_WIDTH = 76
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 40, 34, 30
_HEIGHT = 250


@dataclass(frozen=True, slots=True)
class StripAxis:
    """The common axis of the strips of one table: change of the rate, logarithmic, as half is as far as double."""

    low: float
    high: float
    """Logarithms of the ratio of rates."""
    ticks: tuple[float, ...]
    """In percent."""

    def x(self, percent: float) -> float:
        """Pixels from the left."""
        share = (_log(percent) - self.low) / (self.high - self.low)
        return round(_MARGIN + (STRIP_WIDTH - 2 * _MARGIN) * min(max(share, 0), 1), 1)


def _log(percent: float) -> float:
    return math.log1p(max(percent, _FEWEST) / 100)


def strip_axis(percents: Iterable[float]) -> StripAxis:
    """An axis that holds zero and all values, with round ticks."""
    logs = [0.0, *map(_log, percents)]
    low, high = min(logs), max(logs)
    if high - low < 0.02:
        low, high = low - 0.05, high + 0.05
    rounds = (-90, -75, -50, -30, -20, -10, -5, -2, 0, 2, 5, 10, 20, 50, 100, 300, 900, 3000, 10000)
    inside = [float(tick) for tick in rounds if low <= _log(tick) <= high]
    # Zero, and what is left of the others once they stand apart.
    kept = [0.0]
    for tick in sorted(inside, key=lambda one: -abs(_log(one))):
        if all(abs(_log(tick) - _log(other)) > 0.24 * (high - low) for other in kept):
            kept.append(tick)
    return StripAxis(low, high, tuple(sorted(kept)))


@dataclass(frozen=True, slots=True)
class Dot:
    """A version in the picture of a history; places in pixels."""

    x: float
    y: float
    low: float | None
    high: float | None
    """Ends of its interval."""
    whole: bool
    """Whether its number is over all sequences; else it is drawn hollow, and nothing joins it."""
    label: str
    """What a pointer over it reads."""


Mark = Literal["better", "worse", "protocol", "anchor"]


@dataclass(frozen=True, slots=True)
class StepMark:
    """A line between two versions, with what it says."""

    x: float
    kind: Mark
    text: str


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """A codec's BD-rates over its versions; all places in pixels."""

    width: int
    height: int
    zero: float
    """Height of the anchor's line."""
    ticks: tuple[tuple[float, float], ...]
    """Height and percent."""
    dots: tuple[Dot, ...]
    lines: tuple[str, ...]
    """Paths that join neighbours of one protocol, both of whose numbers are over all sequences."""
    labels: tuple[tuple[float, str], ...]
    """Dates under the versions."""
    marks: tuple[StepMark, ...]

    @property
    def left(self) -> int:
        """Where the field begins."""
        return _LEFT

    @property
    def bottom(self) -> int:
        """Where it ends."""
        return _HEIGHT - _BOTTOM

    @property
    def top(self) -> int:
        """Where its marks begin."""
        return _TOP


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture of a history is drawn from, for each version."""

    percent: float | None
    low: float | None
    high: float | None
    whole: bool
    """Whether the number is over all sequences."""
    date: str
    label: str
    protocol: int
    marks: tuple[tuple[Mark, str], ...]
    """What is between this version and the one before."""


def history_chart(readings: Sequence[Reading]) -> HistoryChart | None:
    """The picture of a history; None where no version has a number."""
    held = [one for one in readings if one.percent is not None]
    if not held:
        return None
    values = [0.0, *(v for one in held for v in (one.percent, one.low, one.high) if v is not None)]
    low, high = min(values), max(values)
    pad = max((high - low) * 0.08, 0.5)
    low, high = low - pad, high + pad

    def y(percent: float) -> float:
        return round(_TOP + (high - percent) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def x(index: int) -> float:
        return _LEFT + _STEP_WIDTH * (index + 0.5)

    dots, lines, last = [], [], None
    for index, one in enumerate(readings):
        if one.percent is None:
            last = None
            continue
        here = (x(index), y(one.percent), one.protocol)
        ends = [None if end is None else y(end) for end in (one.low, one.high)]
        dots.append(Dot(here[0], here[1], ends[0], ends[1], one.whole, one.label))
        if one.whole and last is not None and last[2] == here[2]:
            lines.append(f"M{last[0]:g} {last[1]:g}L{here[0]:g} {here[1]:g}")
        last = here if one.whole else None
    marks = [
        StepMark(x(index) - _STEP_WIDTH / 2, kind, said)
        for index, one in enumerate(readings)
        for kind, said in one.marks
    ]
    return HistoryChart(
        width=_LEFT + _STEP_WIDTH * len(readings) + _RIGHT,
        height=_HEIGHT,
        zero=y(0),
        ticks=tuple((y(tick), tick) for tick in _ticks(low, high)),
        dots=tuple(dots),
        lines=tuple(lines),
        labels=tuple((x(index), one.date) for index, one in enumerate(readings)),
        marks=tuple(marks),
    )


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
