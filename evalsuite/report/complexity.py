"""Quality against what it costs: where each codec stands, and which no other beats in both.

A codec is one point: its mean BD-rate against the anchor, and its speed or memory. It is on the front where no other
codec needs as few bits at as little cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evalsuite.report import ranking, relative, text
from evalsuite.report.comparisons import Group, groups_of, headline_metric
from evalsuite.report.cost import SIDES, Cost, CostRow, cost_rows
from evalsuite.report.model import Codec, Metric, Report
from evalsuite.report.numbers import number
from evalsuite.results.tables import bd_table

Drawn = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a codec costs in bits, time and memory."""

    codec: Codec
    group: Group | None
    """Its comparison with the anchor; None for the anchor, and where nothing was compared."""
    percent: float | None
    """BD-rate; 0 for the anchor."""
    costs: Mapping[str, CostRow]
    """Of the encode and the decode."""
    fronts: Mapping[str, bool | None]
    """Whether no other codec has both a lower BD-rate and a higher speed, by side; None where either is not known."""
    sequences: int
    """That it has points of."""


@dataclass(frozen=True, slots=True)
class Standings:
    """All codecs that cost something, against one anchor by the headline metric."""

    anchor: str
    metric: Metric | None
    """None where nothing can be compared."""
    rows: tuple[Standing, ...]
    sequences: int
    """Of the whole report."""


def start_anchor(report: Report) -> str:
    """The codec that the pages of costs and ranks open with."""
    known = relative.anchors(report)
    return known[0] if known else ranking.start_anchor(report)


def standings(report: Report) -> Standings | None:
    """Where each codec stands, in the report's order; None where no codec cost anything here."""
    costs: dict[str, dict[str, CostRow]] = {}
    for row in cost_rows(report):
        if row.codec.is_behind_channel:
            continue
        costs.setdefault(row.codec.label, {})[row.what] = row
    if not costs:
        return None
    anchor, metric = start_anchor(report), headline_metric(report.judged)
    found = _against(report, anchor, metric) if metric else {}
    percents = {name: group.percent for name, group in found.items()} | ({anchor: 0.0} if found else {})
    # A mean over fewer sequences is of other content: it beats nothing, and nothing beats it.
    whole = {name: percents[name] for name in percents if name == anchor or not found[name].refused}
    fronts = {
        what: front({name: (row[what].cpu_fps, whole.get(name)) for name, row in costs.items()}) for what in SIDES
    }
    points = {name: {point.sequence for point in report.points if point.codec == name} for name in costs}
    return Standings(
        anchor=anchor,
        metric=metric if found else None,
        rows=tuple(
            Standing(
                codec=codec,
                group=found.get(codec.label),
                percent=percents.get(codec.label),
                costs=costs[codec.label],
                fronts={what: fronts[what][codec.label] for what in SIDES},
                sequences=len(points[codec.label]),
            )
            for codec in report.codecs
            if codec.label in costs
        ),
        sequences=len({point.sequence for point in report.points}),
    )


def front(places: Mapping[str, tuple[float | None, float | None]]) -> dict[str, bool | None]:
    """Which codecs no other beats, by name; None where one of the two is not known.

    Args:
        places: speed, higher is better, and BD-rate, lower is better.

    >>> front({"slow": (1.0, -30.0), "fast": (9.0, 0.0), "beaten": (1.0, -20.0), "unknown": (5.0, None)})
    {'slow': True, 'fast': True, 'beaten': False, 'unknown': None}
    """
    known = {name: (speed, bits) for name, (speed, bits) in places.items() if speed is not None and bits is not None}

    def beaten(own: tuple[float, float]) -> bool:
        return any(speed >= own[0] and bits <= own[1] and (speed, bits) != own for speed, bits in known.values())

    return {name: not beaten(known[name]) if name in known else None for name in places}


def _against(report: Report, anchor: str, metric: Metric) -> dict[str, Group]:
    """The comparisons with the anchor, by test codec: the same that the overview ranks by."""
    points = report.means[report.means["metric"] == metric.label]
    if anchor not in set(points["codec"]):
        return {}
    return {group.test: group for group in groups_of(report, bd_table(points, anchor))}


def conditions(report: Report) -> list[str]:
    """How the times were taken, in sentences: company, threads, machines."""
    behind = {codec.label for codec in report.codecs if codec.is_behind_channel}  # their encodes are another codec's
    efforts = [
        point.cost.effort(what)
        for point in report.own_points
        for what in SIDES
        if not (what == "encode" and point.codec in behind)
    ]
    timed = [effort.alone for effort in efforts if effort.cpu_s is not None]
    said = ["Everything ran alone."]
    if not all(timed):
        alone = f"{sum(timed)} of {len(timed)} encodes and decodes are known to have run alone"
        said = [
            f"{alone}: the others shared the machine with work of the run, which moves CPU seconds through caches and "
            "clock rates. Small differences mean nothing then; --timing takes each by itself."
        ]
    threads: dict[str, list[str]] = {}
    for codec in report.codecs:
        if codec.is_hull:
            continue
        if any(point.codec == codec.label and point.cost.encode.cpu_s is not None for point in report.points):
            threads.setdefault(str(codec.facts.get("threads", "unknown")), []).append(codec.label)
    each = [f"{count} for {text.listing(names)}" for count, names in threads.items()]
    said.append(f"Threads: {next(iter(threads), 'unknown') if len(threads) < 2 else '; '.join(each)}.")
    if named := machines(report):
        said.append(f"Taken on {text.listing(named)}.")
    return said


def machines(report: Report) -> list[str]:
    """The machines of the runs in words, each once, with their load when the run began."""
    found = []
    for run in report.runs:
        facts = run.summary["run"].get("machine") or {}
        name, load = facts.get("processor") or facts.get("cpu"), number(facts.get("load_average_1min"))
        if name:
            found.append(
                f"{name}, load average {text.significant(load, 2)} at the start" if load is not None else str(name)
            )
    return list(dict.fromkeys(found))


def document(rows: Iterable[CostRow]) -> dict[str, dict[str, Drawn]]:
    """What the plots draw of whole codecs, by codec and side."""
    found: dict[str, dict[str, Drawn]] = {}
    for row in rows:
        seconds = None if row.cpu_fps is None else 1 / row.cpu_fps
        found.setdefault(row.codec.label, {})[row.what] = _drawn(seconds, row.peak_bytes)
    return found


def drawn(cost: Cost) -> dict[str, Drawn]:
    """What the plots draw of one rate point, by side."""
    return {what: _drawn(cost.cpu_per_frame(what), cost.effort(what).peak_bytes) for what in SIDES}


def _drawn(seconds: float | None, peak_bytes: float | None) -> Drawn:
    """CPU milliseconds a frame and peak memory in MB, to as many digits as mean something."""
    return {"cpu": _rounded(seconds, 1e3), "memory": _rounded(peak_bytes, 1e-6)}


def _rounded(value: float | None, times: float) -> float | None:
    return float(f"{value * times:.4g}") if value else None
