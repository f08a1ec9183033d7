"""How the codecs compare on each sequence, and what is drawn of the sequences: the page `sequences`."""

from __future__ import annotations

from dataclasses import dataclass

from evalsuite.report.comparisons import Group, groups, headline_metric
from evalsuite.report.facts import Facts
from evalsuite.report.model import Metric, Report
from evalsuite.report.tables import Axis, axis
from evalsuite.results.bdrows import BDRow, mean_row

SCATTER = (352, 300)
"""Width and height of the scatter plot in CSS pixels."""

_MARGIN = (36, 22, 14, 40)
"""Around it: left, top, right, bottom."""

_LETTER = 6.2
"""Width of a letter of its labels: enough to see which labels would touch."""

_LINE = 14
"""Height of one of its labels."""


# ---------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class Headline:
    """The report's own comparisons by one metric: a column for each pair, a row for each sequence."""

    metric: Metric
    pairs: tuple[Group, ...]

    @property
    def anchors(self) -> tuple[str, ...]:
        """What the codecs are compared with, each once."""
        return tuple(dict.fromkeys(pair.anchor for pair in self.pairs))

    def row(self, sequence: str) -> list[BDRow | None]:
        """The comparisons on one sequence, in the order of the pairs."""
        return [next((row for row in pair.rows if row.sequence == sequence), None) for pair in self.pairs]


def headline(report: Report) -> Headline | None:
    """The own comparisons by the headline metric; None where there are none."""
    compared = groups(report)
    metric = headline_metric(group.metric for group in compared)
    if metric is None:
        return None
    own = (group for group in compared if group.metric == metric)
    return Headline(metric, tuple(sorted(own, key=lambda one: (report.place(one.anchor), report.place(one.test)))))


@dataclass(frozen=True, slots=True)
class Content:
    """The comparisons on the sequences that have one tag."""

    tag: str
    sequences: tuple[str, ...]
    pairs: tuple[Group, ...]
    """As the headline's, of these sequences alone."""


def by_content(known: list[Facts], compared: Headline) -> list[Content]:
    """The means of each content tag, of those that most sequences have first."""
    held: dict[str, list[str]] = {}
    for one in known:
        for tag in dict.fromkeys(one.tags):
            held.setdefault(tag, []).append(one.name)
    made = [
        Content(tag, tuple(names), tuple(_of(pair, set(names)) for pair in compared.pairs))
        for tag, names in held.items()
    ]
    return sorted(made, key=lambda one: (-len(one.sequences), one.tag))


def _of(pair: Group, names: set[str]) -> Group:
    rows = tuple(row for row in pair.rows if row.sequence in names)
    return Group(pair.metric, pair.test, pair.anchor, mean_row(rows) if rows else None, rows)


def comparisons(report: Report) -> dict[str, list[tuple[Metric, BDRow]]]:
    """Every own comparison on each sequence: by pair, metrics in the report's order."""
    found: dict[str, list[tuple[Metric, BDRow]]] = {}
    for group in sorted(groups(report), key=lambda one: (report.place(one.anchor), report.place(one.test))):
        for row in group.rows:
            found.setdefault(row.sequence, []).append((group.metric, row))
    return found


# ---------------------------------------------------------------- spatial and temporal information


@dataclass(frozen=True, slots=True)
class Spot:
    """A sequence in the scatter plot; pixels from the left and from the top."""

    name: str
    said: str
    x: float
    y: float
    label_x: float
    anchor: str
    """Which end of the label is at `label_x`; empty where it would lie over another."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Temporal over spatial information, drawn without a script."""

    left: float
    right: float
    top: float
    bottom: float
    spots: tuple[Spot, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def scatter(known: list[Facts]) -> Scatter | None:
    """The plot of the sequences that have both; None of fewer than two."""
    both = [(one, one.si, one.ti) for one in known if one.si is not None and one.ti is not None]
    if len(both) < 2:
        return None
    width, height = SCATTER
    left, top, right, bottom = _MARGIN
    # From zero up: what has no motion or no detail stands at the edge.
    spatial, temporal = axis(si for _, si, _ in both), axis(ti for _, _, ti in both)

    def across(value: float) -> float:
        return round(left + (width - left - right) * _share(spatial, value), 1)

    def down(value: float) -> float:
        return round(height - bottom - (height - top - bottom) * _share(temporal, value), 1)

    spots: list[Spot] = []
    taken = [(across(si) - 5, across(si) + 5, down(ti) - 5, down(ti) + 5) for _, si, ti in both]
    for one, si, ti in both:
        x, y = across(si), down(ti)
        label_x, end, box = _label(one.name, x, y, taken)
        if box:
            taken.append(box)
        said = f"{one.name}: SI {one.information[0]}, TI {one.information[1]}"
        spots.append(Spot(one.name, said, x, y, label_x, end))
    return Scatter(
        left,
        width - right,
        top,
        height - bottom,
        tuple(spots),
        tuple((across(value), f"{value:g}") for value in spatial.ticks),
        tuple((down(value), f"{value:g}") for value in temporal.ticks),
    )


def _share(one: Axis, value: float) -> float:
    return (value - one.low) / (one.high - one.low)


Box = tuple[float, float, float, float]
"""Left, right, top, bottom."""


def _label(name: str, x: float, y: float, taken: list[Box]) -> tuple[float, str, Box | None]:
    """Where a label lies over nothing: right of its spot, else left of it, else nowhere."""
    long = len(name) * _LETTER
    for at, end, box in (
        (x + 8, "start", (x + 8, x + 8 + long, y - _LINE / 2, y + _LINE / 2)),
        (x - 8, "end", (x - 8 - long, x - 8, y - _LINE / 2, y + _LINE / 2)),
    ):
        inside = box[0] >= 0 and box[1] <= SCATTER[0]
        if inside and not any(_touch(box, other) for other in taken):
            return at, end, box
    return x, "", None


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
