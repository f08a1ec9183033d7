"""Lines drawn in Python, so that they are there without scripts: a few curves over one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.report.tables import Axis, axis

_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 22, 14, 40
"""Around the field, in CSS pixels."""
_DASHES = ("none", "6 3", "2 2", "8 2 2 2")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    colour: int
    """Place of its codec in the report: chooses the colour."""
    points: tuple[tuple[float, float], ...]
    steps: bool = False
    """Each value holds until the next one."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A curve in pixels."""

    name: str
    colour: int
    path: str
    dash: str
    """Pattern of the line: that of one colour's first line is solid."""
    dots: tuple[tuple[float, float, str], ...]
    """Places, and what a pointer over them reads."""


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves with their axes, in pixels."""

    title: str
    across: str
    width: int
    height: int
    lines: tuple[Drawn, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]

    @property
    def field(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the field."""
        return _LEFT, _TOP, self.width - _RIGHT, self.height - _BOTTOM


def line_chart(title: str, across: str, lines: Sequence[Line], *, width: int = 352, height: int = 240) -> LineChart:
    """Draw curves.

    Args:
        title: what stands upwards, with its unit.
        across: what stands to the right, with its unit.
        lines: the curves; both axes hold zero and all their points.
        width: in CSS pixels.
        height: likewise.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    right, up = axis(xs, least=0), axis(ys, least=0)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + (width - _LEFT - _RIGHT) * _share(right, x), 1),
            round(height - _BOTTOM - (height - _TOP - _BOTTOM) * _share(up, y), 1),
        )

    drawn: list[Drawn] = []
    for line in lines:
        spots = [place(x, y) for x, y in line.points]
        path = f"M{spots[0][0]} {spots[0][1]}" if spots else ""
        for x, y in spots[1:]:
            path += f"H{x}V{y}" if line.steps else f"L{x} {y}"
        said = [f"{line.name}: {y:.4g} at {x:g}" for x, y in line.points]
        dots = () if line.steps else tuple((x, y, text) for (x, y), text in zip(spots, said, strict=True))
        before = sum(other.colour == line.colour for other in drawn)
        drawn.append(Drawn(line.name, line.colour, path, _DASHES[before % len(_DASHES)], dots))
    return LineChart(
        *(title, across, width, height, tuple(drawn)),
        tuple((place(tick, 0)[0], f"{tick:g}") for tick in right.ticks),
        tuple((place(0, tick)[1], f"{tick:g}") for tick in up.ticks),
    )


def _share(one: Axis, value: float) -> float:
    return (value - one.low) / (one.high - one.low)
