"""`evalsuite run`: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.interrupts import interrupts_held
from evalsuite.cli.output import echo, parse_bytes, parse_geometry, print_json, say

if TYPE_CHECKING:
    from evalsuite.results.board import Board


def run(
    ctx: typer.Context,
    codecs: list[str] = typer.Option(
        ["tvc,x265"], help="Codecs, separated by commas, or repeated; the first is the one to match."
    ),
    board: str = typer.Option(
        None,
        help="Run a pinned protocol: ultra-low, conferencing, streaming, or a TOML file. It decides on sequences, "
        "rates, metrics and anchor; --codecs is tvc by default, the anchor comes with them.",
    ),
    dataset: str = typer.Option("demo", help="Dataset: a name or a TOML file."),
    sequences: list[str] = typer.Option(
        None,
        help="Video files, names of the dataset's sequences, or choices such as tag:faces or trait:noisy; separated by "
        "spaces or commas, or repeated.",
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
    jobs: int = typer.Option(
        None, min=1, help="Tasks at a time. Default: as many as cores and memory of this machine are good for."
    ),
    cluster: str = typer.Option(
        None, help="Run on a Dask cluster: address of its scheduler, such as tcp://10.0.0.1:8786, or scheduler file."
    ),
    split: bool = typer.Option(
        True, help="Split long encodes by GoP, where the codec's recipe says that it gives the same stream."
    ),
    loss: list[str] = typer.Option(
        None,
        metavar="MODEL",
        help="Also measure every codec behind a channel that loses packets, such as iid:0.02 or ge:5%,burst=3.",
        show_default=False,
    ),
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
    pictures: str = typer.Option(
        "all", help="Frames to look at in the report: all, stills without clips, or none. They are in OUT/pictures."
    ),
    json: bool = typer.Option(False, "--json", help="Print summary and BD-rate as one JSON document."),
) -> None:
    """Encode, decode and measure codecs on sequences at matched bitrates, and report.

    Example: evalsuite run --codecs tvc,x265
    """
    command = ("evalsuite", *sys.argv[1:])
    try:
        with interrupts_held():
            from evalsuite.assets import cache_dir
            from evalsuite.cli.progress import Watch, watching
            from evalsuite.cli.report import add_pictures, check_pictures
            from evalsuite.cli.runoutput import as_json, interrupted, print_run
            from evalsuite.codec.variants import split_list
            from evalsuite.engine.board import codecs_for, pinned_options
            from evalsuite.engine.request import Request, run_request
            from evalsuite.errors import RequestError
            from evalsuite.report.build import build_report, check_run_folder
            from evalsuite.results.board import load_board
            from evalsuite.results.load import read_run
            from evalsuite.sources.tags import stated

            watch = Watch()
        given = [*(sequences or []), *(more or [])]
        wanted = _split(given)
        if given and not wanted:
            raise RequestError(
                "--sequences names nothing", fix="name files or sequences, or leave it out for all of them"
            )
        check_pictures(pictures)
        check_run_folder(out, with_pictures=pictures != "none")
        chosen = tuple(codec for text in codecs for codec in split_list(text))
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
            memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
            timeout=timeout,
            feature_bytes=parse_bytes(feature_cache, 0),
            store=store or cache_dir() / "store",
            out=out,
            command=command,
            board=protocol,
            cluster=cluster,
            split=split,
            loss=tuple(loss or ()),
            **options,
        )
        with watching(watch):
            finished = run_request(request, watch)
        plan = finished.plan
        add_pictures(read_run(out), request.store, pictures, timeout, plan.recipes, plan.sequences)
        page = build_report([out], out / "report")
        judged = _judge(protocol, out)
    except KeyboardInterrupt:
        if json:
            print_json(interrupted(command, watch))
        raise
    exit_code = NOT_WHOLE if finished.outcome.failures or judged else 0
    if json:
        print_json({"status": "done", "exit_code": exit_code, **as_json(finished, page), "deviations": judged})
    else:
        print_run(finished, page)
        _print_entry(protocol, judged)
    if exit_code:
        raise typer.Exit(exit_code)


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
        echo(f"entry of board {board.name}, version {board.version}")
    for line in judged:
        say(f"not an entry of board {board.name}, version {board.version}: {line}")


def _split(texts: list[str]) -> tuple[str, ...]:
    # A path may hold a comma: only what is not a file is split.
    return tuple(
        part.strip()
        for text in texts
        for part in ([text] if os.path.exists(text) else text.split(","))  # noqa: PTH110 - may not be a path at all
        if part.strip()
    )
