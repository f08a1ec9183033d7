"""Every codec against every other: what the overview ranks by and the sequences are drawn by, whatever the anchor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalsuite.report import findings, text
from evalsuite.report.comparisons import Group, groups_of
from evalsuite.report.model import Report
from evalsuite.results.bdrows import BDRow
from evalsuite.results.tables import all_pairs

_COLUMNS = {"percents": "bd_rate_percent", "lows": "change_low", "highs": "change_high", "floors": "noise_floor"}
"""What is told of single sequences, by its column of the BD-rate table."""


def start_anchor(report: Report) -> str:
    """The codec that a ranking opens with where no run had an anchor."""
    return report.compared[0].label if report.compared else ""


def documents(report: Report) -> Iterator[tuple[str, Any]]:
    """All comparisons, with the names of their files: the means of a metric, and its sequences against each anchor.

    Rows are computed here, a metric at a time: those of all metrics would fill the memory.
    """
    places = {codec.label: codec.index for codec in report.compared}
    if len(places) < 2:
        return
    metrics = {metric.label: place for place, metric in enumerate(report.judged)}
    for metric, rows in all_pairs(report.means[report.means["metric"].isin(list(metrics))]):
        made = groups_of(report, rows)
        pairs = [group for group in made if group.anchor in places and group.test in places]
        yield f"pairs-{metrics[metric]}", {"metric": metric, "pairs": [_pair(report, one, places) for one in pairs]}
        for label, index in places.items():
            own = [group for group in pairs if group.anchor == label]
            yield f"each-{metrics[metric]}-{index}", _each(own, places)


def _pair(report: Report, group: Group, places: Mapping[str, int]) -> dict[str, Any]:
    mean = group.mean
    found = findings.finding(report, group)
    return {
        "anchor": places[group.anchor],
        "test": places[group.test],
        "percent": _rounded(group.percent),
        "low": _rounded(mean.ci_low if mean else None),
        "high": _rounded(mean.ci_high if mean else None),
        "shown": text.percent(group.percent) if group.percent is not None else "refused",
        "interval": text.interval(mean.ci_low, mean.ci_high) if mean and mean.ci_low is not None else "none",
        "won": text.percent(100 * mean.win_rate, 0, signed=False) if mean and mean.win_rate is not None else text.NONE,
        "held": group.held,
        "of": len(group.rows),
        "verdict": group.verdict,
        "noise": group.below_noise,
        "unlike": found.unlike,
        "sentence": found.sentence,
        "evidence": found.evidence,
    }


def _each(pairs: list[Group], places: Mapping[str, int]) -> dict[str, Any]:
    """The single sequences of all comparisons against one anchor by one metric."""
    names = list(dict.fromkeys(row.sequence for group in pairs for row in group.rows))
    return {
        "sequences": names,
        "tests": [_test(group, places, names) for group in sorted(pairs, key=lambda one: places[one.test])],
    }


def _test(group: Group, places: Mapping[str, int], names: list[str]) -> dict[str, Any]:
    mean = group.mean
    by_name = {row.sequence: row for row in group.rows}
    rows = [by_name.get(name) for name in names]
    return {
        "test": places[group.test],
        "mean": _rounded(group.percent),
        "meanLow": _rounded(mean.ci_low if mean else None),
        "meanHigh": _rounded(mean.ci_high if mean else None),
        "held": group.held,
        "of": len(group.rows),
        "meanFloor": _rounded(mean.noise_floor if mean else None),
        "meanUnlike": mean.unlike if mean else "",
        "unlike": {place: row.unlike for place, row in enumerate(rows) if row is not None and row.unlike},
        **{
            name: [None if row is None else _rounded(getattr(row, column)) for row in rows]
            for name, column in _COLUMNS.items()
        },
        # Few have one, and a reason is long: by the place of the sequence.
        "why": {place: _why(row) for place, row in enumerate(rows) if row is not None and row.status != "ok"},
    }


def _why(row: BDRow) -> str:
    """Why a sequence has no number, or what its number must be read with."""
    return f"{row.status}: {row.reason or 'no reason given'}"


def _rounded(percent: float | None) -> float | None:
    """To a millionth of a percent: what is shown is rounded once, where it is shown."""
    return None if percent is None else round(percent, 6)
