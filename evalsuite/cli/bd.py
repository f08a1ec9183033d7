"""`evalsuite bd`: BD-rate and BD-quality from anyone's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from evalsuite.results.bdrate import BDResult
    from evalsuite.results.curve import Curve, Method
    from evalsuite.results.rdcsv import RateUnit, RDTable


def bd(
    anchor: Annotated[Path, typer.Argument(help="CSV with the rate points of the anchor.", show_default=False)],
    test: Annotated[Path, typer.Argument(help="CSV with the rate points of the test codec.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="Metric to compare, where the files have several.")] = None,
    method: Annotated[str, typer.Option(help="Curve between the points: pchip, akima or cubic.")] = "pchip",
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="For a metric that is not known by name: lower scores are better.")
    ] = False,
    average_curve: Annotated[
        bool,
        typer.Option(
            "--average-curve",
            help="Also the BD-rate of the average curve over sequences, which is not the mean of BD-rates.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """BD-rate and BD-quality of TEST against ANCHOR; negative BD-rate saves bits.

    A CSV has a rate column (kbps, mbps, bps, bpp, or bitrate without a unit) and either a column for each metric or
    the columns metric and score. With a column sequence, each sequence is compared by itself, and then the mean is
    taken. A comparison that the points do not carry is refused with its reason; that is an answer, and exit code 0.
    Below the table stand the noise floor of the points and where the curves cross: one number hides both.

    Example: evalsuite bd anchor.csv test.csv --metric vmaf
    """
    from evalsuite.cli import bdoutput
    from evalsuite.results import rdcsv
    from evalsuite.results.bdrate import check_request
    from evalsuite.results.curve import make_curve
    from evalsuite.results.rdcontent import contents, contradiction

    wanted = rdcsv.metric_name(metric) if metric is not None else None
    tables = rdcsv.read_rd_csv(anchor, wanted), rdcsv.read_rd_csv(test, wanted)
    name = _common_metric(*tables, wanted)
    higher, ceiling, assumed = _direction(name, lower_is_better)
    units, factors, unit_assumed = _common_units(*tables)
    if tables[0].has_sequences != tables[1].has_sequences:
        raise RequestError(
            "one file has a sequence column, the other has none",
            where=f"{anchor}, {test}",
            fix="give both files the column, or give files of one sequence each",
        )
    if average_curve and not tables[0].has_sequences:
        raise RequestError(
            "an average curve is over sequences, and the files have no sequence column",
            where=f"{anchor}, {test}",
            fix="leave out --average-curve, or give files with a sequence column",
        )
    check_request(method, higher, ceiling)
    anchors, tests = (
        {
            sequence: make_curve(points.rates, points.scores, higher_is_better=higher, log_domain_ceiling=ceiling)
            for sequence, points in table.points(name, unit, factor).items()
        }
        for table, unit, factor in zip(tables, units, factors, strict=True)
    )
    ours, theirs = (contents(table, name) for table in tables)
    unlike = {sequence: contradiction(ours[sequence], theirs[sequence]) for sequence in {*ours} & {*theirs}}
    results = _compare(anchors, tests, cast("Method", method), (anchor, test), unlike)

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
    document = bdoutput.document(results, facts, per_sequence=tables[0].has_sequences)
    if average_curve:
        average = _compare_average(anchors, tests, cast("Method", method), (anchor, test), unlike)
        document["average_curve"] = bdoutput.average(average)
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        bdoutput.show(document)


def _compare(
    anchors: dict[str, Curve],
    tests: dict[str, Curve],
    method: Method,
    paths: tuple[Path, Path],
    unlike: dict[str, str],
) -> dict[str, BDResult]:
    """One result for each sequence; one that a file lacks, or that is not the same in both, is refused by name."""
    from evalsuite.results.bdrate import BDResult, compare_curves
    from evalsuite.results.bdrows import with_caveats
    from evalsuite.results.curve import make_curve

    nothing = make_curve([], [], higher_is_better=True, log_domain_ceiling=None)
    results = {}
    for sequence in sorted({*anchors, *tests}):
        if other := unlike.get(sequence):
            results[sequence] = BDResult("refused", f"not the same content or metric: {other}")
            continue
        ours, theirs = anchors.get(sequence, nothing), tests.get(sequence, nothing)
        lacking = [f"only in {path}" for curve, path in zip((theirs, ours), paths, strict=True) if not curve.given]
        results[sequence] = with_caveats(compare_curves(ours, theirs, method), lacking)
    return results


def _compare_average(
    anchors: dict[str, Curve],
    tests: dict[str, Curve],
    method: Method,
    paths: tuple[Path, Path],
    unlike: dict[str, str],
) -> BDResult:
    from evalsuite.results.average import average_curve
    from evalsuite.results.bdrate import compare_curves

    odd = sorted({*anchors} ^ {*tests} | {sequence for sequence, other in unlike.items() if other})
    if odd:
        raise RequestError(
            "the average curve needs the same sequences in both files",
            where=", ".join(map(str, paths)),
            got=f"in one file only, or of other content: {', '.join(odd)}",
            fix="leave out --average-curve, or give both files the same sequences",
        )
    ours, theirs = (average_curve(own, str(path)) for own, path in zip((anchors, tests), paths, strict=True))
    return compare_curves(ours, theirs, method)


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


def _common_units(anchor: RDTable, test: RDTable) -> tuple[tuple[RateUnit, RateUnit], tuple[float, float], list[str]]:
    """The unit of either file's rates, factors that make them alike, and what was assumed."""
    for unit in anchor.units:
        if unit in test.units:
            assumed = ["the rates of both files, which say no unit, are in the same one"] if unit == "unnamed" else []
            return (unit, unit), (1, 1), assumed
    pair = next(iter(anchor.units)), next(iter(test.units))
    if "unnamed" not in pair:
        raise RequestError(
            "the rates of the two files are in different units",
            got=f"{anchor.path}: {pair[0]}; {test.path}: {pair[1]}",
            fix="give both in kbps or both in bpp",
        )
    known = 1 - pair.index("unnamed")
    column, factor = (anchor, test)[known].units[pair[known]]
    factors = (1, factor) if known == 0 else (factor, 1)
    return pair, factors, [f"the rates without a unit are in {column}, as the other file's"]
