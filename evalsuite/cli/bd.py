"""`evalsuite bd`: BD-rate and BD-quality from anyone's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from evalsuite.results.bdrate import BDResult
    from evalsuite.results.bdrows import BDRow
    from evalsuite.results.curve import Method
    from evalsuite.results.rdcsv import RateUnit, RDTable


def bd(
    anchor: Annotated[Path, typer.Argument(help="CSV with the rate points of the anchor.", show_default=False)],
    test: Annotated[Path, typer.Argument(help="CSV with the rate points of the test codec.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="Metric to compare, where the files have several.")] = None,
    method: Annotated[str, typer.Option(help="Curve between the points: pchip, akima or cubic.")] = "pchip",
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="For a metric that is not known by name: lower scores are better.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """BD-rate and BD-quality of TEST against ANCHOR; negative BD-rate saves bits.

    A CSV has a rate column (kbps, mbps, bps, bpp, or bitrate without a unit) and either a column for each metric or
    the columns metric and score. With a column sequence, each sequence is compared by itself, and then the mean is
    taken. A comparison that the points do not carry is refused with its reason; that is an answer, and exit code 0.

    Example: evalsuite bd anchor.csv test.csv --metric vmaf
    """
    from evalsuite.results import rdcsv
    from evalsuite.results.bdrate import bd_rate
    from evalsuite.results.bdrows import with_caveats

    wanted = rdcsv.metric_name(metric) if metric is not None else None
    tables = rdcsv.read_rd_csv(anchor, wanted), rdcsv.read_rd_csv(test, wanted)
    name = _common_metric(*tables, wanted)
    higher, ceiling, assumed = _direction(name, lower_is_better)
    units, unit_assumed = _common_units(*tables)
    if tables[0].has_sequences != tables[1].has_sequences:
        raise RequestError(
            "one file has a sequence column, the other has none",
            where=f"{anchor}, {test}",
            fix="give both files the column, or give files of one sequence each",
        )
    anchors, tests = (table.points(name, unit) for table, unit in zip(tables, units, strict=True))
    nothing = rdcsv.Points([], [])
    results: dict[str, BDResult] = {}
    for sequence in sorted({*anchors, *tests}):
        a, t = anchors.get(sequence, nothing), tests.get(sequence, nothing)
        result = bd_rate(
            a.rates,
            a.scores,
            t.rates,
            t.scores,
            higher_is_better=higher,
            method=cast("Method", method),
            log_domain_ceiling=ceiling,
        )
        lacking = [f"only in {own}" for own, points in ((test, a), (anchor, t)) if not points.rates]
        results[sequence] = with_caveats(result, lacking)

    facts: dict[str, Any] = {
        "metric": name,
        "higher_is_better": higher,
        "log_domain_ceiling": ceiling,
        "method": method,
        "anchor": str(anchor),
        "test": str(test),
        "rate_units": list(units),
        "assumed": [*assumed, *unit_assumed],
    }
    document = _document(results, facts, per_sequence=tables[0].has_sequences)
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        _show(document)


def _common_metric(anchor: RDTable, test: RDTable, wanted: str | None) -> str:
    both = [name for name in anchor.metrics if name in test.metrics and wanted in (None, name)]
    if len(both) == 1:
        return both[0]
    sides = f"{anchor.path}: {', '.join(anchor.metrics) or 'none'}; {test.path}: {', '.join(test.metrics) or 'none'}"
    if both:
        raise RequestError(
            "the files have several metrics", got=", ".join(both), fix=f"choose one, such as --metric {both[0]}"
        )
    what = f"the metric {wanted!r} is not in both files" if wanted else "the files have no metric in common"
    raise RequestError(what, got=sides, fix="name the score columns alike, or give another --metric")


def _direction(metric: str, lower_is_better: bool) -> tuple[bool, float | None, list[str]]:
    from evalsuite.results.rdcsv import KNOWN

    known = KNOWN.get(metric)
    if known is None:
        word = "lower" if lower_is_better else "higher"
        told = "as told" if lower_is_better else "say --lower-is-better if not"
        return not lower_is_better, None, [f"{metric} is not known by name: {word} is better ({told}), no log domain"]
    if lower_is_better and known.higher_is_better:
        raise RequestError(f"higher {metric} is better", got="--lower-is-better", fix="leave the option out")
    return known.higher_is_better, known.log_domain_ceiling, []


def _common_units(anchor: RDTable, test: RDTable) -> tuple[tuple[RateUnit, RateUnit], list[str]]:
    for unit in anchor.units:
        if unit in test.units:
            return (unit, unit), []
    pair = anchor.units[0], test.units[0]
    if "unnamed" not in pair:
        raise RequestError(
            "the rates of the two files are in different units",
            got=f"{anchor.path}: {pair[0]}; {test.path}: {pair[1]}",
            fix="give both in kbps or both in bpp",
        )
    known = next(unit for unit in pair if unit != "unnamed")
    return pair, [f"the rates without a unit are in {known}, as the other file's"]


def _document(results: dict[str, BDResult], facts: dict[str, Any], *, per_sequence: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from evalsuite.results.bdrows import bd_row, bd_summary

    if not per_sequence:
        (result,) = results.values()
        return {
            **_verdict(bd_row("", "", "", "", result), facts),
            "rate_overlap": result.rate_overlap,
            "dropped": {"anchor": dict(result.dropped_anchor), "test": dict(result.dropped_test)},
        }
    rows = [bd_row(facts["metric"], "anchor", "test", sequence, result) for sequence, result in results.items()]
    (over_all,) = bd_summary(rows)
    summary = over_all.summary
    return {
        **_verdict(over_all.row, facts),
        "mean": asdict(summary) | {"win_rate": summary.win_rate} if summary else None,
        "sequences": [{"sequence": row.sequence, **_numbers(row)} for row in rows],
    }


def _numbers(row: BDRow) -> dict[str, Any]:
    return {
        "status": row.status,
        "reason": row.reason,
        "bd_rate_percent": row.bd_rate_percent,
        "bd_quality": row.bd_quality,
        "overlap": row.overlap,
        "points": [row.points_anchor, row.points_test],
    }


def _verdict(row: BDRow, facts: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "metric": facts["metric"], **_numbers(row), **facts}


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    better = "higher" if document["higher_is_better"] else "lower"
    table = Table(title=f"{document['metric']} ({better} is better), {document['method']}", title_justify="left")
    table.add_column("sequence", overflow="fold")
    for heading in ("BD-rate", "BD-quality", "overlap", "points", "status"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = document.get("sequences", [])
    for row in [*rows, {**document, "sequence": "mean" if rows else "all points"}]:
        table.add_row(
            _plain(row["sequence"]),
            "" if row["bd_rate_percent"] is None else f"{row['bd_rate_percent']:+.2f} %",
            "" if row["bd_quality"] is None else f"{row['bd_quality']:+.4g}",
            "" if row["overlap"] is None else f"{row['overlap']:.0%}",
            "{}, {}".format(*row["points"]),
            row["status"],
            end_section=bool(rows) and row is rows[-1],
        )
    console = Console(highlight=False)
    console.print(table)
    for row in [*rows, {**document, "sequence": ""}]:
        if row["reason"]:
            console.print(_plain(": ".join(filter(None, [row["sequence"], row["reason"]]))))
    if document.get("mean"):
        console.print(_spread(document["mean"]))
    notes = Console(stderr=True, highlight=False)
    for said in document["assumed"]:
        notes.print(_plain(f"assumed: {said}"))


def _spread(mean: dict[str, Any]) -> str:
    interval = "n/a below 5 sequences" if mean["interval"] is None else "{:+.2f} to {:+.2f} %".format(*mean["interval"])
    return (
        f"{mean['count']} sequences: median {mean['median']:+.2f} %, range {mean['lowest']:+.2f} to "
        f"{mean['highest']:+.2f} %, 95 % interval of the mean {interval}, "
        f"mean of log-ratios {mean['log_mean']:+.2f} %, bits saved on {mean['wins']}"
    )


def _plain(text: str) -> str:
    from rich.markup import escape

    # File and sequence names come from outside: control characters must not reach the terminal.
    return escape("".join(c if c.isprintable() else "?" for c in text))
