"""`evalsuite run`: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.output import arrow, parse_bytes, parse_geometry, print_json, print_table, say, say_command

if TYPE_CHECKING:
    from evalsuite.engine.request import Finished
    from evalsuite.results.bdrows import BDRow
    from evalsuite.results.board import Board
    from evalsuite.types import MetricInfo

SOME_FAILED = 3
MOST_REASONS = 12
"""Lines that say why comparisons were refused; the report has all of them."""


def run(
    ctx: typer.Context,
    codecs: str = typer.Option("tvc,x265", help="Codecs, separated by commas; the first is the one to match."),
    board: str = typer.Option(
        None,
        help="Run a pinned protocol: ultra-low, conferencing, streaming, or a TOML file. It decides on sequences, "
        "rates, metrics and anchor; --codecs is tvc by default, the anchor comes with them.",
    ),
    dataset: str = typer.Option("demo", help="Dataset: a name or a TOML file."),
    sequences: list[str] = typer.Option(
        None, help="Video files, or names of the dataset's sequences; separated by spaces or commas, or repeated."
    ),
    more: list[str] = typer.Argument(None, metavar="[FILE]...", help="More sequences.", show_default=False),
    match: str = typer.Option(
        None,
        help="A codec to match, rates such as 0.01,0.02bpp or 50,100kbps, or none. Default: the first codec.",
    ),
    anchor: str = typer.Option(None, help="Codec that BD-rate is relative to. Default: the first codec."),
    metrics: str = typer.Option("default", help="default, all, or names separated by commas."),
    profile: str = typer.Option(
        "none", help="Sum up scores for a kind of content: auto (by the sequences' tags), or names separated by commas."
    ),
    frames: int = typer.Option(None, help="Only the first so many frames of each sequence."),
    intra_period: int = typer.Option(32, help="Frames between random-access points; -1: only the first is intra."),
    threads: int = typer.Option(1, min=1, help="Threads of each encoder; part of a result's identity."),
    out: Path = typer.Option(Path("results"), help="Folder for results and report."),
    store: Path = typer.Option(None, help="Folder of the results store. Default: in the user's cache folder."),
    jobs: int = typer.Option(None, min=1, help="Worker processes. Default: one per core."),
    timeout: float = typer.Option(
        3600.0, min=0.1, max=1e7, help="Seconds one encode, or one frame of a decode, may take."
    ),
    timing: bool = typer.Option(
        False, "--timing", help="Time every rate point by itself: one task at a time, after a warm-up."
    ),
    hull: bool = typer.Option(
        False, "--hull", help="Add the convex hull of each codec's variants (x265,x265:half) as a codec, x265:hull."
    ),
    memory_limit: str = typer.Option(
        None, help="Memory of each encoder, decoder or measuring program with all it starts, such as 8GB or 512MB."
    ),
    feature_cache: str = typer.Option(
        "4GB", help="Disk space for what metrics compute of sources alone, kept between runs; 0 keeps nothing."
    ),
    size: str = typer.Option(None, help="WIDTHxHEIGHT of raw files."),
    fps: str = typer.Option(None, help="Frame rate of raw files."),
    pixel_format: str = typer.Option("yuv420p", help="Pixel format of raw files, such as yuv420p10le."),
    matrix: str = typer.Option(None, help="bt601, bt709 or bt2020: of files that do not say, or are wrong."),
    colour_range: str = typer.Option(None, "--range", help="limited or full, likewise."),
    transfer: str = typer.Option(None, help="sdr, pq or hlg, likewise."),
    json: bool = typer.Option(False, "--json", help="Print summary and BD-rate as one JSON document."),
) -> None:
    """Encode, decode and measure codecs on sequences at matched bitrates, and report.

    Example: evalsuite run --codecs tvc,x265
    """
    from evalsuite.assets import cache_dir
    from evalsuite.cli.progress import watching
    from evalsuite.engine.board import codecs_for, pinned_options
    from evalsuite.engine.request import Request, run_request
    from evalsuite.errors import RequestError
    from evalsuite.report.build import build_report
    from evalsuite.results.board import load_board
    from evalsuite.sources.tags import stated

    given = [*(sequences or []), *(more or [])]
    wanted = _split(given)
    if given and not wanted:
        raise RequestError("--sequences names nothing", fix="name files or sequences, or leave it out for all of them")
    chosen = _split([codecs])
    options: dict[str, Any] = {
        "dataset": dataset,
        "sequences": wanted,
        "match": match,
        "anchor": anchor,
        "metrics": metrics,
        "profile": profile,
        "frames": frames,
        "intra_period": intra_period,
        "threads": threads,
        "hull": hull,
    }
    protocol = None if board is None else load_board(board)
    if protocol is not None:
        of_files = {"size": size, "fps": fps, "matrix": matrix, "range": colour_range, "transfer": transfer}
        options = pinned_options(protocol, _given(ctx, {**options, **of_files}))
        chosen = codecs_for(protocol, chosen if _given(ctx, {"codecs": codecs}) else None)
    request = Request(
        codecs=chosen,
        geometry=parse_geometry(size, fps, pixel_format),
        stated=stated(matrix, colour_range, transfer),
        jobs=jobs,
        timing=timing,
        memory_limit=parse_bytes(memory_limit),
        timeout=timeout,
        feature_bytes=0 if feature_cache == "0" else parse_bytes(feature_cache) or 0,
        store=store or cache_dir() / "store",
        out=out,
        command=("evalsuite", *sys.argv[1:]),
        board=protocol,
        **options,
    )
    with watching() as progress:
        finished = run_request(request, progress)
    page = build_report([out], out / "report")
    judged = _judge(protocol, out)
    if json:
        rows = [_as_dict(row) for row in finished.bd_rate]
        print_json({**finished.summary, "bd_rate": rows, "deviations": judged})
    else:
        _print(finished, page)
        _print_entry(protocol, judged)
    if finished.outcome.failures or judged:
        raise typer.Exit(SOME_FAILED)


def _given(ctx: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that were typed, whatever their default is."""
    parameters = {"sequences": ("sequences", "more"), "range": ("colour_range",)}

    def typed(name: str) -> bool:
        source = ctx.get_parameter_source(name)
        return source is not None and source.name != "DEFAULT"

    return {name: value for name, value in options.items() if any(map(typed, parameters.get(name, (name,))))}


def _judge(board: Board | None, folder: Path) -> list[str]:
    """How what was written differs from the board that it was run by."""
    from evalsuite.results.conformance import deviations
    from evalsuite.results.load import read_run

    return [] if board is None else deviations(board, read_run(folder))


def _print_entry(board: Board | None, judged: list[str]) -> None:
    if board is None:
        return
    if not judged:
        typer.echo(f"entry of board {board.name}, version {board.version}")
    for line in judged:
        say(f"not an entry of board {board.name}, version {board.version}: {line}")


def _as_dict(row: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(row)  # type: ignore[call-overload, no-any-return]


def _split(texts: list[str]) -> tuple[str, ...]:
    # A path may hold a comma: only what is not a file is split.
    return tuple(
        part.strip()
        for text in texts
        for part in ([text] if os.path.exists(text) else text.split(","))  # noqa: PTH110 - may not be a path at all
        if part.strip()
    )


def _rate_word(rate_source: str) -> str:
    return " (estimated rate)" if "estimate" in rate_source else ""


def _print_bd(means: list[BDRow], infos: Mapping[str, MetricInfo]) -> None:
    """The means of one test codec, its metrics in the order of the panel."""
    first = means[0]
    places = list(infos)
    print_table(
        f"BD-rate of {first.test}{_rate_word(first.test_rate)} against {first.anchor}{_rate_word(first.anchor_rate)}: "
        "negative saves bits, ≠ is not like with like",
        ("metric", "sequences", "BD-rate", "95 % interval", "BD-quality"),
        (
            (
                f"{row.metric} {arrow(infos[row.metric])}",
                str(row.sequences),
                "refused"
                if row.bd_rate_percent is None
                else f"{'≠ ' if row.unlike else ''}{row.bd_rate_percent:+.1f} %",
                "n/a" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:+.1f} .. {row.ci_high:+.1f}",
                "n/a" if row.bd_quality is None else f"{row.bd_quality:+.3g}",
            )
            for row in sorted(means, key=lambda row: places.index(row.metric))
        ),
        numbers=4,
    )


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
        say(f"{len(alike) - MOST_REASONS} more reasons are in the report and in bd_rate.csv")


def _print(finished: Finished, page: Path) -> None:
    anchor = finished.plan.anchor
    means = [row for row in finished.bd_rate if row.sequence == "*"]
    infos = {info.name: info for info in (*finished.plan.metrics, *finished.plan.profile_infos)}
    for test in dict.fromkeys(row.test for row in means):
        _print_bd([row for row in means if row.test == test], infos)
    for info in finished.plan.profile_infos:
        typer.echo(f"{info.name} = {info.definition}")
    for test, unlike in dict.fromkeys((row.test, row.unlike) for row in means if row.unlike):
        typer.echo(f"≠ {test} against {anchor}: {unlike}")
    _say_reasons(finished.bd_rate)
    matched = finished.summary["rate_match"]
    if matched:
        from evalsuite.engine.search import TOLERANCE

        near = sum(abs(row["deviation_percent"]) <= 100 * TOLERANCE for row in matched)
        spent = sum(row["encodes"] for row in matched) / len(matched)
        typer.echo(
            f"rate match: {near} of {len(matched)} points within {100 * TOLERANCE:g} %, {spent:.1f} encodes a point"
        )
    counts = finished.outcome.counts
    typer.echo(
        f"{counts.cells} rate points; encoded {counts.encodes} ({counts.encodes_cached} from the store), "
        f"measured {counts.measured} ({counts.measured_cached} from the store)"
    )
    for remark in finished.outcome.remarks:
        say(f"timing: {remark}")
    for failure in finished.outcome.failures:
        at = "" if failure.q is None else f" q {failure.q:g}"
        say(f"FAILED {failure.codec} {failure.sequence}{at} at {failure.stage}: {failure.message}")
        say_command(failure.command, failure.stderr_tail)
    typer.echo(f"results: {finished.folder}")
    typer.echo(f"report: {page}")
