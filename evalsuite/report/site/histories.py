"""What the page of a codec shows: its versions in order, which steps are real, and where the ground moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalsuite.report import text
from evalsuite.report.site.boards import Line, MetricFacts
from evalsuite.report.site.charts import HistoryChart, Mark, Reading, history_chart
from evalsuite.report.site.words import metric_title, part
from evalsuite.results.entries_history import Snapshot, Step
from evalsuite.results.entry import Entry

HISTORY = 120
"""Versions that are drawn, the last ones; all of them are in the list of entries."""


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of a codec in its history."""

    entry: Entry
    lines: tuple[Line, ...]
    """By each headline metric, against the anchor that was run beside it."""
    before: Snapshot | None
    anchor: str
    """The anchor as it was run."""
    steps: Mapping[str, Step]
    """By headline metric, against the version before."""

    @property
    def other_protocol(self) -> bool:
        """Whether the protocol is another one than before."""
        return self.before is not None and self.before.entry.manifest.board != self.entry.manifest.board

    @property
    def other_anchor(self) -> bool:
        """Whether the anchor is another one than before."""
        return self.before is not None and self.before.anchor != self.anchor

    @property
    def other_version(self) -> bool:
        """Whether the codec calls itself something else than before."""
        return self.before is None or self.before.entry.manifest.codec_version != self.entry.manifest.codec_version


@dataclass(frozen=True, slots=True)
class History:
    """The history of a codec by one headline metric."""

    metric: str
    facts: MetricFacts
    chart: HistoryChart | None
    """None where no version has a number."""
    versions: tuple[Version, ...]
    """Newest first."""
    index: int
    """Place of the metric in the headline."""

    @property
    def title(self) -> str:
        """The metric as read in text."""
        return metric_title(self.metric)

    def line(self, version: Version) -> Line:
        """A version by this metric."""
        return version.lines[self.index]

    def step(self, version: Version) -> Step:
        """A version against the one before it, by this metric."""
        return version.steps[self.metric]

    @property
    def changes(self) -> list[Version]:
        """Versions whose step is real, newest first."""
        return [one for one in self.versions if self.step(one).kind in ("better", "worse")]


def history_charts(versions: Sequence[Version], index: int) -> HistoryChart | None:
    """The picture of a history by one headline metric.

    Args:
        versions: oldest first.
        index: place of the metric in the headline.
    """
    return history_chart([_reading(one, index) for one in versions])


def _reading(version: Version, index: int) -> Reading:
    line, step = version.lines[index], list(version.steps.values())[index]
    row, manifest = line.place.row, version.entry.manifest
    marks: list[tuple[Mark, str]] = []
    if version.other_protocol:
        marks.append(("protocol", f"protocol {manifest.board['version']}"))
    if version.other_anchor:
        marks.append(("anchor", "other anchor"))
    if step.kind in ("better", "worse") and step.row is not None:
        sign = "▼" if step.kind == "better" else "▲"
        marks.append((step.kind, f"{sign} {text.percent(step.row.bd_rate_percent)}"))
    percent = line.place.percent
    on = f" on {part(line.place)}" if line.place.is_part else ""
    return Reading(
        percent=percent,
        low=row.ci_low if row else None,
        high=row.ci_high if row else None,
        whole=not line.place.is_part,
        date=manifest.date[:10],
        label=f"{manifest.codec_version}, {manifest.date[:10]}: {text.percent(percent)}{on}",
        protocol=int(manifest.board["version"]),
        marks=tuple(marks),
    )
