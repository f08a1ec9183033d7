"""`evalsuite datasets`: what there is to evaluate on, and how much of it is on this machine."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.output import parse_geometry, print_json, print_table, say

if TYPE_CHECKING:
    from evalsuite.sources.manifest import SequenceEntry

app = typer.Typer(no_args_is_help=True, help="List, show, fetch, verify and add datasets.")

WIDTH = 80
"""Columns of running text."""
NOT_INTACT = 3
"""Exit code of `verify` where a file is damaged or missing."""


@app.command("list")
def list_datasets(json: bool = typer.Option(False, "--json", help="Print a JSON list.")) -> None:
    """List every dataset that can be named, and what is left to fetch of it.

    Example: evalsuite datasets list
    """
    from evalsuite import resources

    rows = [_summary(name) for name in resources.available("datasets")]
    if json:
        print_json(rows)
        return
    print_table(
        "",
        ("dataset", "version", "sequences", "needs"),
        ((row["name"], row["version"], str(row["sequences"]), row["needs"] or "nothing more") for row in rows),
    )


@app.command("show")
def show_dataset(
    name: str = typer.Argument(..., help="Name of the dataset, or the path of its TOML file."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show a dataset's sequences: geometry, colour, tags, licence, origin.

    Example: evalsuite datasets show demo
    """
    from evalsuite.sources.dataset import load_dataset

    dataset = load_dataset(name)
    sequences = [_described(entry) for entry in dataset.sequences]
    if json:
        head = {"name": dataset.name, "version": dataset.version, "description": dataset.description}
        print_json({**head, "path": str(dataset.path), "sequences": sequences})
        return
    typer.echo(f"{dataset.name} {dataset.version}: {dataset.description}")
    print_table(
        "",
        ("sequence", "size", "frames/s", "frames", "colour", "here"),
        (
            (
                one["name"],
                f"{one['width']}x{one['height']}",
                one["frame_rate"],
                str(one["frames"]),
                one["colour"],
                one["presence"],
            )
            for one in sequences
        ),
    )
    for one in sequences:
        typer.echo(f"{one['name']}: {', '.join(one['tags']) or 'no tags'}")
        details = (one["notes"], f"licence: {one['licence']}", *(f"from {source}" for source in one["sources"]))
        for detail in filter(None, details):
            typer.echo(
                textwrap.fill(detail, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
            )


@app.command("fetch")
def fetch_dataset(
    name: str = typer.Argument(..., help="Name of the dataset, or the path of its TOML file."),
    json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Fetch, verify and prepare every sequence now, so that a run needs no network.

    Example: evalsuite datasets fetch demo
    """
    from evalsuite.sources.dataset import load_dataset, prepare

    entries = load_dataset(name).sequences
    rows = []
    for number, entry in enumerate(entries, 1):
        say(f"{number} of {len(entries)}: {entry.name}")
        sequence = prepare(entry)
        rows.append({"name": entry.name, "sha256": sequence.sha256, "path": str(sequence.path)})
        if not entry.sha256:
            say(f'  not pinned: add `sha256 = "{sequence.sha256}"` to this sequence in the manifest')
    if json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['path']}")


@app.command("verify")
def verify_dataset(
    name: str = typer.Argument(..., help="Name of the dataset, or the path of its TOML file."),
    json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Hash every file of a dataset on this machine; exit code 3 where one is damaged or missing.

    Example: evalsuite datasets verify demo
    """
    from evalsuite.sources.authoring import verify
    from evalsuite.sources.dataset import load_dataset

    rows = []
    for entry in load_dataset(name).sequences:
        findings = verify(entry)
        rows += [{"name": entry.name, "status": one.status, "file": str(one.path)} for one in findings]
        if not findings:
            rows.append({"name": entry.name, "status": "not fetched", "file": ""})
    if json:
        print_json(rows)
    else:
        for row in rows:
            typer.echo(f"{row['status']}: {row['name']} {row['file']}".rstrip())
    if any(row["status"] != "ok" for row in rows):
        say(f"to do: `evalsuite datasets fetch {name}` fetches or makes again what is not ok")
        raise typer.Exit(NOT_INTACT)


@app.command("add")
def add_dataset(
    files: list[Path] = typer.Argument(..., help="Y4M, raw planar or container files; each becomes a sequence."),
    name: str = typer.Option(..., help="Name of the new dataset: it is written to ./datasets/NAME.toml."),
    description: str = typer.Option("local files", help="One line about the dataset."),
    licence: str = typer.Option("not stated", help="Licence of the files."),
    tag: list[str] = typer.Option([], help="A tag for every sequence; repeat for more."),
    frames: int = typer.Option(None, min=1, help="Only the first so many frames of each file."),
    size: str = typer.Option(None, help="WIDTHxHEIGHT of raw files."),
    fps: str = typer.Option(None, help="Frame rate of raw files."),
    pixel_format: str = typer.Option("yuv420p", help="Pixel format of raw files, such as yuv420p10le."),
    matrix: str = typer.Option(None, help="bt601, bt709 or bt2020. [as the files say, else by their size]"),
    colour_range: str = typer.Option(None, "--range", help="limited or full. [as the files say, else limited]"),
    transfer: str = typer.Option(None, help="sdr, pq or hlg. [as the files say, else sdr]"),
    force: bool = typer.Option(False, "--force", help="Replace a dataset of this name."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Make a dataset of local files: writes their geometry, colour and digests to a TOML file.

    Example: evalsuite datasets add one.y4m two.mp4 --name talks --tag conferencing --licence CC0-1.0
    """
    from evalsuite.sources.authoring import write_manifest
    from evalsuite.sources.tags import stated

    path, sequences = write_manifest(
        name,
        files,
        description=description,
        licence=licence,
        tags=tag,
        geometry=parse_geometry(size, fps, pixel_format),
        frames=frames,
        stated=stated(matrix, colour_range, transfer),
        replace=force,
    )
    if json:
        print_json({"name": name, "path": str(path), "sequences": [one.name for one in sequences]})
        return
    for one in sequences:
        typer.echo(f"{one.name}: {one.format}, {one.frame_rate} frames/s, {one.frames} frames, {one.colour}")
    typer.echo(f"wrote {path}: use it with --dataset {name}")


def _summary(name: str) -> dict[str, Any]:
    from evalsuite.errors import EvalError
    from evalsuite.sources.authoring import presence
    from evalsuite.sources.dataset import load_dataset

    try:
        dataset = load_dataset(name)
    except EvalError as error:
        # One wrong file must not hide the others.
        needs = f"{error.what} ({error.where})"
        return {"name": name, "available": False, "needs": needs, "version": "", "sequences": 0, "description": ""}
    absent = sum(presence(entry) == "not fetched" for entry in dataset.sequences)
    total = len(dataset.sequences)
    return {
        "name": name,
        "available": absent == 0,
        "needs": f"fetching {absent} of {total} sequences (evalsuite datasets fetch {name})" if absent else "",
        "version": dataset.version,
        "sequences": total,
        "description": dataset.description,
    }


def _described(entry: SequenceEntry) -> dict[str, Any]:
    from evalsuite.sources.authoring import presence
    from evalsuite.sources.hdr import as_json

    return {
        "name": entry.name,
        "width": entry.format.width,
        "height": entry.format.height,
        "pixel_format": entry.format.pixel_format,
        "frame_rate": str(entry.frame_rate),
        "start": entry.start,
        "frames": entry.frames,
        "colour": str(entry.colour),
        "transfer": entry.colour.transfer,
        "primaries": entry.colour.primaries or None,
        **as_json(entry.hdr),
        "filter": entry.filter,
        "tags": list(entry.tags),
        "licence": entry.licence,
        "notes": entry.notes,
        "sha256": entry.sha256,
        "sources": [str(source) for source in entry.sources],
        "presence": presence(entry),
    }
