"""`evalsuite import`: published rate-quality data as an anchor, labelled as what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evalsuite.errors import RequestError


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Published points of one codec.", show_default=False)
    ],
    format: Annotated[str, typer.Option(help="dcvc, compressai, awcy or csv.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results; those in it are replaced.")] = Path("published"),
    codec: Annotated[str | None, typer.Option(help="Name of the codec. Default: the file's.")] = None,
    preset: Annotated[str, typer.Option(help="Its preset.")] = "",
    codec_version: Annotated[str, typer.Option(help="Its version.")] = "",
    dataset: Annotated[
        str | None, typer.Option(help="Dataset of the sequences; of a file with several, the one to read.")
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="Name of the sequence, where there is one.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT.")] = None,
    fps: Annotated[str | None, typer.Option(help="Frames per second, such as 30000/1001.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames that were coded and scored.")] = None,
    structure: Annotated[str | None, typer.Option(help="Prediction structure, such as `low delay`.")] = None,
    intra_period: Annotated[
        int | None, typer.Option(min=-1, help="Frames between random-access points; -1: only the first is intra.")
    ] = None,
    internal_bit_depth: Annotated[int | None, typer.Option(min=1, max=32, help="Bits that it computes in.")] = None,
    lookahead: Annotated[int | None, typer.Option(min=0, help="Frames that it looks ahead.")] = None,
    delay: Annotated[int | None, typer.Option(min=0, help="Frames that it needs beyond the one it codes.")] = None,
    rate_control: Annotated[str | None, typer.Option(help="Such as QP or CRF.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the encoder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read published rate-quality points and write them as a run folder, for `evalsuite report` to join with runs.

    Every number is labelled "published, not re-run". The options say what the files do not; what nobody says stays
    unknown. Points are compared with measured ones only where sequence, size, frames and metric definition agree.

    Example: evalsuite import vtm.json --format dcvc --codec VTM-17.0 --structure "low delay" --intra-period -1
    """
    from dataclasses import asdict

    from evalsuite.cli.output import echo, parse_frame_rate, parse_frame_size, print_json, say
    from evalsuite.report.text import plural
    from evalsuite.results.comparable import PROPERTIES
    from evalsuite.results.published.base import Given
    from evalsuite.results.published.write import import_published

    width, height = parse_frame_size(size) if size else (None, None)
    if any(side is not None and side < 1 for side in (width, height)):
        raise RequestError("--size must be positive", got=size)
    if intra_period == 0:
        raise RequestError("--intra-period must be at least 1, or -1 for the first frame only", got=0)
    given = Given(
        codec=codec,
        preset=preset,
        version=codec_version,
        dataset=dataset,
        sequence=sequence,
        width=width,
        height=height,
        frame_rate=parse_frame_rate(fps) if fps else None,
        frames=frames,
        intra_period=intra_period,
        structure=structure,
        rate_control=rate_control,
        internal_bit_depth=internal_bit_depth,
        lookahead=lookahead,
        delay=delay,
        threads=threads,
    )
    done = import_published(files, format, given, out, ("evalsuite", *sys.argv[1:]))
    if json:
        print_json({"schema": 1, **asdict(done), "folder": str(done.folder)})
        return
    counts = f"{plural(done.points, 'rate point')} on {plural(done.sequences, 'sequence')}"
    echo(f"{done.codec}: {counts}, published, not re-run")
    echo(f"metrics: {', '.join(done.metrics)}")
    echo(f"results: {done.folder}")
    marks = [PROPERTIES[name].title for name in done.unknown if PROPERTIES[name].marks]
    if marks:
        say(f"unknown, so comparisons will be marked: {', '.join(marks)}; options say what is known")
