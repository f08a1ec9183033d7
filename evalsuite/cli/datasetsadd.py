"""`evalsuite datasets add`: a dataset of local files, or local files for a dataset that nobody may fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import echo, parse_geometry, print_json, say
from evalsuite.errors import RequestError


def add_dataset(
    files: list[Path] = typer.Argument(
        ..., help="Y4M, raw planar or container files, or a folder of them; each becomes a sequence."
    ),
    name: str = typer.Option(None, help="Name of the new dataset: it is written to ./datasets/NAME.toml."),
    existing: str = typer.Option(
        None, "--for", metavar="DATASET", help="Find this dataset's files in the folder instead, and pin them."
    ),
    description: str = typer.Option("local files", help="One line about the dataset."),
    licence: str = typer.Option("not stated", help="Licence of the files."),
    tag: list[str] = typer.Option([], help="A tag for every sequence; repeat for more."),
    frames: int = typer.Option(None, min=1, help="Only the first so many frames of each file."),
    size: str = typer.Option(None, help="WIDTHxHEIGHT of raw files. Default: as their names say."),
    fps: str = typer.Option(None, help="Frame rate of raw files. Default: as their names say."),
    pixel_format: str = typer.Option("yuv420p", help="Pixel format of raw files, such as yuv420p10le, with --size."),
    matrix: str = typer.Option(None, help="bt601, bt709 or bt2020. Default: as the files say, else by their size."),
    colour_range: str = typer.Option(None, "--range", help="limited or full. Default: as the files say, else limited."),
    transfer: str = typer.Option(None, help="sdr, pq or hlg. Default: as the files say, else sdr."),
    force: bool = typer.Option(False, "--force", help="Replace a dataset of this name."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Make a dataset of local files: writes their geometry, colour and digests to a TOML file.

    With --for, nothing new is made: the files of a dataset that has to be got in person are found in the folder by
    their names, checked, and pinned in ./datasets/DATASET.lock.

    Example: evalsuite datasets add one.y4m two.mp4 --name talks --tag conferencing --licence CC0-1.0

    Example: evalsuite datasets add /videos/jvet --for jvet-ctc
    """
    if (name is None) == (existing is None):
        raise RequestError(
            "say what the files are", expected="--name NAME for a new dataset, or --for DATASET", fix="give one of them"
        )
    if existing is not None:
        _register(existing, files, json)
        return
    from evalsuite.sources.authoring import write_manifest
    from evalsuite.sources.registering import expanded
    from evalsuite.sources.tags import stated

    path, sequences = write_manifest(
        name,
        expanded(files),
        description=description,
        licence=licence,
        tags=tag,
        geometry=parse_geometry(size, fps, pixel_format),
        frames=frames,
        stated=stated(matrix, colour_range, transfer),
        replace=force,
    )
    if json:
        print_json({"schema": 1, "name": name, "path": str(path), "sequences": [one.name for one in sequences]})
        return
    for one in sequences:
        echo(f"{one.name}: {one.format}, {one.frame_rate} frames/s, {one.frames} frames, {one.colour}")
        if one.unsteady:
            say(f"{one.name} is not of a constant frame rate: {one.unsteady}")
    echo(f"wrote {path}: use it with --dataset {name}")


def _register(name: str, folders: list[Path], json: bool) -> None:
    from evalsuite.sources.dataset import load_dataset
    from evalsuite.sources.registering import expanded, register

    dataset = load_dataset(name)
    rows: list[dict[str, Any]] = []
    for one in register(dataset, expanded(folders)):
        status = "refused" if one.problem else "missing" if one.file is None else "ok"
        problem = str(one.problem) if one.problem else None
        rows.append({"name": one.name, "status": status, "file": str(one.file or ""), "problem": problem})
        if not json and status == "ok":
            echo(f"{one.name}: {one.file}")
        if one.problem:
            say(f"refused: {one.name}: {one.problem}")
    if json:
        print_json(rows)
    found = sum(row["status"] == "ok" for row in rows)
    say(f"{found} of {len(rows)} sequences have their file: use them with --dataset {name}")
    if missing := [row["name"] for row in rows if row["status"] == "missing"]:
        shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        say(f"not in the folder: {shown}")
    if not found or any(row["status"] == "refused" for row in rows):
        raise typer.Exit(NOT_WHOLE)
