"""What `evalsuite run` prints when it ends, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.cli.exitcodes import INTERRUPTED
from evalsuite.cli.output import Cell, arrow, echo, echo_folded, print_table, say, say_command, say_rest

if TYPE_CHECKING:
    from evalsuite.cli.progress import Watch
    from evalsuite.engine.request import Finished
    from evalsuite.results.bdrows import BDRow
    from evalsuite.results.losscurve import Loss
    from evalsuite.types import MetricInfo

CERTAIN = "*"
"""Marks a BD-rate whose interval leaves out zero."""

MOST_REASONS = 12
"""Lines that say why comparisons were refused; the report has all of them."""


def _rate_word(rate_source: str) -> str:
    return " (estimated rate)" if "estimate" in rate_source else ""


def print_bd(means: list[BDRow], infos: Mapping[str, MetricInfo]) -> None:
    """Print a table for each test codec, and what the signs in them mean as far as they are used.

    Args:
        means: rows over all sequences.
        infos: the metrics by name, in the order of the panel.
    """
    for test in dict.fromkeys(row.test for row in means):
        _print_test([row for row in means if row.test == test], infos)
    signs = {
        "- saves bits, + costs bits": bool(means),
        f"{CERTAIN} the 95 % interval leaves out zero": any(map(_is_certain, means)),
        "≠ is not like with like": any(row.unlike for row in means),
    }
    if said := [sign for sign, is_used in signs.items() if is_used]:
        echo("; ".join(said))


def _print_test(means: list[BDRow], infos: Mapping[str, MetricInfo]) -> None:
    first = means[0]
    places = list(infos)
    print_table(
        f"BD-rate of {first.test}{_rate_word(first.test_rate)} against {first.anchor}{_rate_word(first.anchor_rate)}",
        ("metric", "seq.", "BD-rate", "95 % interval", "BD-quality"),
        (
            (f"{row.metric} {arrow(infos[row.metric])}", str(row.sequences), *_bd_cells(row))
            for row in sorted(means, key=lambda row: places.index(row.metric))
        ),
        numbers=4,
    )


def _bd_cells(row: BDRow) -> tuple[Cell, Cell, Cell]:
    """BD-rate, interval and BD-quality; every colour repeats a sign or a word."""
    quality = "n/a" if row.bd_quality is None else f"{row.bd_quality:+.3g}"
    if row.bd_rate_percent is None:
        return ("refused", "dim"), ("n/a", "dim"), (quality, "dim")
    style = "green" if row.bd_rate_percent < 0 else "red" if row.bd_rate_percent > 0 else ""
    rate = f"{'≠ ' if row.unlike else ''}{row.bd_rate_percent:+.1f} %"
    if row.ci_low is None or row.ci_high is None:
        return (rate, style), "n/a", quality
    # The mark has a place of its own, so that digits stay below each other.
    mark = CERTAIN if _is_certain(row) else " "
    return (rate, style if _is_certain(row) else ""), f"{row.ci_low:+.1f} .. {row.ci_high:+.1f} {mark}", quality


def _is_certain(row: BDRow) -> bool:
    return row.ci_low is not None and row.ci_high is not None and (row.ci_low > 0 or row.ci_high < 0)


def _say_reasons(rows: list[BDRow]) -> None:
    """Why comparisons were refused or have caveats: alike reasons once, and no more than can be read.

    What is not like with like stands below the tables.
    """
    from evalsuite.results.bdrows import own_reason

    alike: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row.sequence != "*" and (reason := own_reason(row)):
            alike.setdefault((row.status, row.test, reason), {}).setdefault(row.metric, []).append(row.sequence)
    for (status, test, reason), where in list(alike.items())[:MOST_REASONS]:
        metrics_by_place: dict[str, list[str]] = {}
        for metric, sequences in where.items():
            metrics_by_place.setdefault(", ".join(sequences), []).append(metric)
        said = "; ".join(f"{', '.join(metrics)} on {place}" for place, metrics in metrics_by_place.items())
        say(f"{status}: {test}, {said}: {reason}")
    if len(alike) > MOST_REASONS:
        say_rest(len(alike) - MOST_REASONS, "in the report and in bd_rate.csv")


def print_losses(found: list[Loss]) -> None:
    """Print what each metric loses behind the channels of a run; nothing where there are none."""
    for codec in dict.fromkeys(one.codec for one in found):
        print_table(
            f"{codec} behind channels that lose packets",
            ("metric", "channel", "lost", "concealed", "without", "with", "quality lost"),
            (
                (
                    *(one.metric, one.channel, _percent(one.packets), _percent(one.concealed)),
                    *(f"{one.clean:.4g}", "none" if one.lossy is None else f"{one.lossy:.4g}", _quality_lost(one)),
                )
                for one in found
                if one.codec == codec
            ),
            numbers=5,
        )
    gone = [one for one in found if one.unscored]
    for one in gone[:MOST_REASONS]:
        say(f"{one.codec}, {one.metric} at {one.channel}: {_unscored(one)}")
    if len(gone) > MOST_REASONS:
        say_rest(len(gone) - MOST_REASONS, "in the report")


def _unscored(one: Loss) -> str:
    points = "1 point has a score" if one.unscored == 1 else f"{one.unscored} points have scores"
    return f"{points} without losses and none with them, and count on neither side"


def _quality_lost(one: Loss) -> str:
    if one.lost is None:
        return "n/a"
    interval = "" if one.interval is None else f" ({one.interval[0]:.3g} .. {one.interval[1]:.3g})"
    return f"{one.lost:.3g}{interval}"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


def print_run(finished: Finished, page: Path) -> None:
    """Print the tables of a run, what was done, and what failed."""
    from evalsuite.results.load import read_run
    from evalsuite.results.losscurve import losses
    from evalsuite.results.profile import formula_of
    from evalsuite.results.trained import trained_on
    from evalsuite.results.unsteady import unsteady

    anchor = finished.plan.anchor
    means = [row for row in finished.bd_rate if row.sequence == "*"]
    infos = {info.name: info for info in (*finished.plan.metrics, *finished.plan.profile_infos)}
    print_bd(means, infos)
    results = read_run(finished.folder)
    for info in finished.plan.profile_infos:
        echo_folded(f"{info.name} = {info.definition}")
        own = results.points[(results.points["metric"] == info.name) & (results.points["status"] == "ok")]
        formulas = own["reason"].fillna("").map(formula_of)
        for without, rows in own[formulas != ""].groupby(formulas, sort=False):
            names = ", ".join(rows["sequence"].unique())
            echo_folded(f"- {names}: {without}, over what is left of the weights")
    for test, unlike in dict.fromkeys((row.test, row.unlike) for row in means if row.unlike):
        echo(f"≠ {test} against {anchor}: {unlike}")
    codecs, sequences = ([(one["name"], one) for one in finished.summary[key]] for key in ("codecs", "sequences"))
    for said in (*trained_on(codecs, sequences), *unsteady(sequences)):
        echo(said)
    _say_reasons(finished.bd_rate)
    print_losses(losses(results))
    if match := _rate_match(finished):
        echo(
            f"rate match: {match['within']} of {match['points']} points within {match['tolerance_percent']:g} %, "
            f"{match['encodes_per_point']:.1f} encodes a point"
        )
    counts = finished.outcome.counts
    echo(
        f"{counts.cells} rate points; encoded {counts.encodes} ({counts.encodes_cached} from the store), "
        f"measured {counts.measured} ({counts.measured_cached} from the store)"
    )
    for remark in finished.outcome.remarks:
        say(f"timing: {remark}")
    for failure in finished.outcome.failures:
        at = "" if failure.q is None else f" q {failure.q:g}"
        say(f"FAILED {failure.codec} {failure.sequence}{at} at {failure.stage}: {failure.message}")
        say_command(failure.command, failure.stderr_tail)
    echo(f"results: {finished.folder}")
    echo(f"report: {page}")


def as_json(finished: Finished, page: Path) -> dict[str, Any]:
    """Everything that is printed, for machines."""
    return {
        **finished.summary,
        "bd_rate": [asdict(row) for row in finished.bd_rate],
        "rate_match_summary": _rate_match(finished),
        "results": str(finished.folder),
        "report": str(page),
    }


def interrupted(command: tuple[str, ...], watch: Watch) -> dict[str, Any]:
    """What is done of a run that was interrupted: it is kept, and the same command goes on from there."""
    from evalsuite.engine.records import failure_row
    from evalsuite.results.layout import SCHEMA

    return {
        "status": "interrupted",
        "exit_code": INTERRUPTED,
        "schema": SCHEMA,
        "request": {"command": list(command)},
        "outcomes": {**asdict(watch.counts), "failed": len(watch.failures), "expected": watch.points},
        "failures": [failure_row(failure) for failure in watch.failures],
        "results": None,
        "report": None,
    }


def _rate_match(finished: Finished) -> dict[str, float] | None:
    """How near the rate points came to their targets; None where nothing was to be matched."""
    from evalsuite.engine.search import TOLERANCE

    matched = finished.summary["rate_match"]
    if not matched:
        return None
    return {
        "points": len(matched),
        "within": sum(abs(row["deviation_percent"]) <= 100 * TOLERANCE for row in matched),
        "tolerance_percent": 100 * TOLERANCE,
        "encodes_per_point": sum(row["encodes"] for row in matched) / len(matched),
    }
