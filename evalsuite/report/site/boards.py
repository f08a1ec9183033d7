"""What the page of a board shows: rankings by its headline metrics, every metric at a glance, and pages of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evalsuite.report import text
from evalsuite.report.site.charts import StripAxis, strip_axis
from evalsuite.report.site.words import metric_title
from evalsuite.results.bdrows import BDRow
from evalsuite.results.board import Board
from evalsuite.results.entries_rank import Place, Standing, Verdict, rank, verdict, wins
from evalsuite.results.entry import Entry, codec_slug

T = TypeVar("T")

PAGE_ROWS = 120
"""Codecs on one page of rankings: three headline metrics of six sequences stay below a megabyte."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a ranking as it is shown."""

    place: Place
    rows: tuple[BDRow, ...]
    """Its sequences."""
    verdict: Verdict
    won: int
    """Sequences on which it saves bits."""
    of: int

    @property
    def entry(self) -> Entry:
        """The entry that ranks."""
        return self.place.standing.entry

    @property
    def slug(self) -> str:
        """The file name of its codec."""
        return codec_slug(self.entry.manifest.codec)

    @property
    def held(self) -> list[BDRow]:
        """The sequences that have a number."""
        return [row for row in self.rows if row.bd_rate_percent is not None]

    @property
    def caveats(self) -> list[tuple[str, str, str]]:
        """What was refused or flagged: sequences with one reason together, which of the two, and the reason."""
        found: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            if row.status != "ok":
                found.setdefault((row.status, row.reason), []).append(row.sequence)
        return [(text.listing(names), status, reason) for (status, reason), names in found.items()]


@dataclass(frozen=True, slots=True)
class Ranking:
    """A ranking by one metric as it is shown."""

    metric: str
    unit: str
    decimals: int
    higher_is_better: bool | None
    lines: tuple[Line, ...]
    axis: StripAxis

    @property
    def title(self) -> str:
        """The metric as read in text."""
        return metric_title(self.metric)

    @property
    def placed(self) -> list[Line]:
        """Those with a place."""
        return [line for line in self.lines if line.place.place is not None]

    @property
    def leader(self) -> Line | None:
        """The first, where anybody but the anchor has a place; the anchor where nobody is before it."""
        first = [line for line in self.placed if line.place.place == 1]
        anchor = next((line for line in first if line.entry.manifest.is_anchor), None)
        return (anchor or first[0]) if len(self.placed) > 1 else None

    @property
    def beside(self) -> str:
        """The others that share the first place, in words; empty where nobody does."""
        return text.listing([line.entry.manifest.codec for line in self.placed[1:] if line.place.place == 1])

    def line(self, codec: str) -> Line | None:
        """The line of a codec."""
        return next((line for line in self.lines if line.entry.manifest.codec == codec), None)


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What of a metric is needed to write its numbers."""

    unit: str
    decimals: int
    higher_is_better: bool | None


def ranking(board: Board, standings: Sequence[Standing], metric: str, facts: MetricFacts) -> Ranking:
    """The ranking by a metric, ready to be shown."""
    lines = []
    for place in rank(standings, metric, board):
        rows = place.standing.sequences(metric)
        won, of = wins(rows)
        lines.append(Line(place, tuple(rows), verdict(place.row), won, of))
    numbers = [row.bd_rate_percent for line in lines for row in line.held if row.bd_rate_percent is not None]
    numbers += [
        end
        for line in lines
        if line.place.row is not None
        for end in (line.place.row.ci_low, line.place.row.ci_high)
        if end is not None
    ]
    return Ranking(metric, facts.unit, facts.decimals, facts.higher_is_better, tuple(lines), strip_axis(numbers))


@dataclass(frozen=True, slots=True)
class Glance:
    """A codec's BD-rates by every metric."""

    line: Line
    """Of the first headline metric, which gives the order."""
    cells: tuple[tuple[str, BDRow | None, Verdict, bool], ...]
    """Metric, row over all sequences, what it lets us say, and whether it holds all sequences."""


def glances(board: Board, first: Ranking, metrics: Sequence[str]) -> list[Glance]:
    """Every codec by every metric, in the order of the first headline metric."""
    found = []
    for line in first.lines:
        rows = [(metric, line.place.standing.mean(metric)) for metric in metrics]
        found.append(
            Glance(
                line,
                tuple(
                    (metric, row, verdict(row), row is not None and row.sequences == len(board.sequences))
                    for metric, row in rows
                ),
            )
        )
    return found


def compared_metrics(standings: Sequence[Standing], board: Board) -> list[str]:
    """The metrics that make a BD-rate: the headline first, the others as the board has them."""
    has = {row.metric for standing in standings for row in standing.rows}
    order = dict.fromkeys([*board.headline, *board.versions, *sorted(has)])
    return [metric for metric in order if metric in has]


def paged(rows: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    """Pages from 1, each with its rows; one empty page where there are none."""
    for number, start in enumerate(range(0, max(len(rows), 1), size), 1):
        yield number, rows[start : start + size]


def page_name(stem: str, number: int) -> str:
    """The file of a page: index.html, index-2.html, ..."""
    return f"{stem}.html" if number == 1 else f"{stem}-{number}.html"


def metric_facts(metrics: Sequence[Mapping[str, object]]) -> dict[str, MetricFacts]:
    """Facts by name, from the `metrics` of a summary."""
    found = {}
    for one in metrics:
        unit, ends = str(one["unit"]), one["range"]
        wide = isinstance(ends, list) and any(isinstance(end, int | float) and abs(end) > 2 for end in ends)
        higher = one["higher_is_better"]
        decimals = 2 if unit == "dB" or wide else 4
        found[str(one["name"])] = MetricFacts(unit, decimals, higher if isinstance(higher, bool) else None)
    return found
