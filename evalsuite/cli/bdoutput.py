"""What `evalsuite bd` prints: one JSON document, or a table of 80 columns and what it does not show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.results.bdrate import BDResult
    from evalsuite.results.bdrows import BDRow


def document(results: Mapping[str, BDResult], facts: Mapping[str, Any], *, per_sequence: bool) -> dict[str, Any]:
    """The document of `docs/bd-rate.md`.

    Args:
        results: by sequence; one without a name where there are none.
        facts: what was compared, and how.
        per_sequence: whether there are sequences.
    """
    from dataclasses import asdict

    from evalsuite.results.bdrows import bd_row, bd_summary

    if not per_sequence:
        (result,) = results.values()
        return {
            **_verdict(bd_row("", "", "", "", result), facts),
            **_over_quality(result),
            "rate_overlap": result.rate_overlap,
            "dropped": {"anchor": dict(result.dropped_anchor), "test": dict(result.dropped_test)},
        }
    rows = [bd_row(facts["metric"], "anchor", "test", sequence, result) for sequence, result in results.items()]
    (over_all,) = bd_summary(rows)
    summary, row = over_all.summary, over_all.row
    mean = summary and {
        **asdict(summary),
        "win_rate": summary.win_rate,
        "crossings": row.crossings,
        "quality": row.bd_quality,
        "quality_interval": None if row.quality_ci_low is None else [row.quality_ci_low, row.quality_ci_high],
    }
    return {
        **_verdict(row, facts),
        "mean": mean,
        "sequences": [
            {"sequence": row.sequence, **_numbers(row), **_over_quality(results[row.sequence])} for row in rows
        ],
    }


def average(result: BDResult) -> dict[str, Any]:
    """What is said of the average curve, with its warning."""
    from evalsuite.results.average import WARNING

    return {
        "bd_rate_percent": result.percent,
        "status": result.status,
        "reason": result.reason,
        "warning": f"of the average curve: {WARNING}",
    }


def _numbers(row: BDRow) -> dict[str, Any]:
    return {
        "status": row.status,
        "reason": row.reason,
        "bd_rate_percent": row.bd_rate_percent,
        "bd_quality": row.bd_quality,
        "overlap": row.overlap,
        "points": [row.points_anchor, row.points_test],
        "noise_floor": row.noise_floor,
        "change": None if row.change_low is None else [_finite(row.change_low), _finite(row.change_high)],
    }


def _verdict(row: BDRow, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "metric": facts["metric"], **_numbers(row), **facts}


def _over_quality(result: BDResult) -> dict[str, Any]:
    curve = result.relative
    if curve is None:
        return {"relative": None, "crossings": []}
    return {
        "relative": {
            "scores": [_finite(score) for score in curve.scores.tolist()],
            "percents": [_finite(percent) for percent in curve.percents.tolist()],
        },
        "crossings": [score for score in curve.crossings if math.isfinite(score)],
    }


def _finite(value: float | None) -> float | None:
    """The value as JSON has it: rates can be so far apart at one quality that the change overflows."""
    return value if value is not None and math.isfinite(value) else None


def show(document: Mapping[str, Any]) -> None:
    """The document as a table on stdout; what was assumed on stderr."""
    from rich.table import Table
    from rich.text import Text

    from evalsuite.cli.output import console

    better = "higher" if document["higher_is_better"] else "lower"
    title = plain(f"{document['metric']} ({better} is better), {document['method']}")
    table = Table(title=Text(title, "italic"), title_justify="left")
    table.add_column("sequence", overflow="fold")
    for heading in ("BD-rate", "BD-quality", "overlap", "points", "status"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = document.get("sequences", [])
    for row in [*rows, {**document, "sequence": "mean" if rows else "all points"}]:
        table.add_row(
            Text(plain(row["sequence"])),
            "" if row["bd_rate_percent"] is None else f"{row['bd_rate_percent']:+.2f} %",
            "" if row["bd_quality"] is None else f"{row['bd_quality']:+.4g}",
            "" if row["overlap"] is None else f"{row['overlap']:.0%}",
            "{}, {}".format(*row["points"]),
            row["status"],
            end_section=bool(rows) and row is rows[-1],
        )
    out, notes = console(), console(stderr=True)
    out.print(table)
    for row in [*rows, {**document, "sequence": ""}]:
        if row["reason"]:
            out.print(Text(plain(": ".join(filter(None, [row["sequence"], row["reason"]])))))
    for line in _below(document):
        out.print(Text(plain(line)))
    for said in document["assumed"]:
        notes.print(Text(plain(f"assumed: {said}")))


def _below(document: Mapping[str, Any]) -> Iterator[str]:
    """What one number hides, a line each."""
    rows = document.get("sequences", [])
    if mean := document.get("mean"):
        yield _spread(mean)
    if document["bd_rate_percent"] is not None:
        change = document["change"]
        if change and None not in change:
            yield f"change of the rate at single qualities {_interval(change)}"
        yield _crossings(rows or [{**document, "sequence": ""}])
        yield _noise(document, "mean noise floor" if rows else "noise floor")
    if (average := document.get("average_curve")) is not None:
        from evalsuite.results.average import WARNING

        percent = average["bd_rate_percent"]
        said = f"refused: {average['reason']}" if percent is None else f"{percent:+.2f} %"
        yield f"BD-rate of the average curve ({WARNING}): {said}"


def _spread(mean: Mapping[str, Any]) -> str:
    said = (
        f"{mean['count']} sequences: median {mean['median']:+.2f} %, range {mean['lowest']:+.2f} to "
        f"{mean['highest']:+.2f} %, 95 % interval of the mean {_interval(mean['interval'])}, "
        f"mean of log-ratios {mean['log_mean']:+.2f} %"
    )
    if mean["log_interval"] is not None:
        said += f" ({_interval(mean['log_interval'])})"
    if mean["quality_interval"] is not None:
        said += ", mean BD-quality {:+.4g} ({:+.4g} to {:+.4g})".format(mean["quality"], *mean["quality_interval"])
    return f"{said}, bits saved on {mean['wins']}"


def _interval(bounds: list[float] | None) -> str:
    return "n/a below 5 sequences" if bounds is None else "{:+.2f} to {:+.2f} %".format(*bounds)


def _crossings(rows: list[Mapping[str, Any]]) -> str:
    held = [row for row in rows if row["bd_rate_percent"] is not None]
    crossed = [
        f"{row['sequence']} at {' and '.join(f'{score:.5g}' for score in row['crossings'])}".strip()
        for row in held
        if row["crossings"]
    ]
    if not crossed:
        return "the curves do not cross"
    if not held[0]["sequence"]:
        return f"the curves cross {crossed[0]}"
    return f"the curves cross on {len(crossed)} of {len(held)} sequences: {'; '.join(crossed)}"


def _noise(document: Mapping[str, Any], name: str) -> str:
    floor = document["noise_floor"]
    if floor is None:
        return f"{name} n/a: it needs five points a side, with --method cubic six"
    below = ": the BD-rate is below the noise of its points" if abs(document["bd_rate_percent"]) < floor else ""
    return f"{name} {floor:.2f} %{below}"


def plain(text: str) -> str:
    """Text from outside, in one line: no control character reaches the terminal."""
    from evalsuite.cli.output import printable

    return printable(text.replace("\n", "?"))
