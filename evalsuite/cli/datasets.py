"""`evalsuite datasets`: what there is to evaluate on, and how much of it is on this machine."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.datasetsadd import add_dataset
from evalsuite.cli.datasetsfetch import fetch_dataset
from evalsuite.cli.describe import describe_dataset
from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import echo, print_json, print_table, say

if TYPE_CHECKING:
    from evalsuite.sources.manifest import Dataset, SequenceEntry

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, describe, fetch, verify and add datasets.",
    epilog="Example: evalsuite datasets list",
)

WIDTH = 80
"""Columns of running text."""

app.command("fetch")(fetch_dataset)
app.command("add")(add_dataset)
app.command("describe")(describe_dataset)


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
        print_json({"schema": 1, **_head(dataset), "path": str(dataset.path), "sequences": sequences})
        return
    echo(f"{dataset.name} {dataset.version}: {dataset.description}")
    for label, detail in (
        ("published: ", dataset.publication),
        ("terms: ", dataset.terms),
        ("how to get it: ", dataset.obtain),
    ):
        if detail:
            echo(textwrap.fill(label + detail, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    print_table(
        "",
        ("sequence", "size", "frames/s", "frames", "colour", "here"),
        (
            (
                one["name"],
                f"{one['width']}x{one['height']}",
                one["frame_rate"] or "as the file",
                str(one["frames"] or "all"),
                one["colour"],
                one["presence"],
            )
            for one in sequences
        ),
    )
    for one in sequences:
        echo(f"{one['name']}: {', '.join(one['tags']) or 'no tags'}")
        details = (one["notes"], f"licence: {one['licence']}", *(f"from {source}" for source in one["sources"]))
        for detail in filter(None, details):
            echo(textwrap.fill(detail, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


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
        rows += [
            {"name": entry.name, "status": one.status, "file": str(one.path), "detail": one.detail} for one in findings
        ]
        if not findings:
            status = "not fetched" if entry.sources else "not registered"
            rows.append({"name": entry.name, "status": status, "file": "", "detail": ""})
    if json:
        print_json(rows)
    else:
        for row in rows:
            echo(f"{row['status']}: {row['name']} {row['file']} {row['detail']}".rstrip())
    wrong = {row["status"] for row in rows} - {"ok"}
    if "does not fit" in wrong:
        say("to do: correct the manifest, or the file that was registered for it: the digest is right")
    if wrong & {"missing", "not registered"}:
        say(f"to do: `evalsuite datasets add FOLDER --for {name}` registers files where they are now")
    if wrong & {"damaged", "not fetched"}:
        say(f"to do: `evalsuite datasets fetch {name}` fetches or makes again what is not ok")
    if wrong:
        raise typer.Exit(NOT_WHOLE)


def _summary(name: str) -> dict[str, Any]:
    from evalsuite.errors import EvalError
    from evalsuite.sources.dataset import load_dataset

    try:
        dataset = load_dataset(name)
    except EvalError as error:
        # One wrong file must not hide the others.
        needs = f"{error.what} ({error.where})"
        return {"name": name, "available": False, "needs": needs, "version": "", "sequences": 0, "description": ""}
    return {
        **_head(dataset),
        "available": not (needs := _needs(dataset)),
        "needs": needs,
        "sequences": len(dataset.sequences),
    }


def _needs(dataset: Dataset) -> str:
    """What is left to do before the dataset can be used as a whole."""
    from evalsuite.sources.authoring import presence

    absent = [entry for entry in dataset.sequences if presence(entry) == "not fetched"]
    in_person = sum(not entry.sources for entry in absent)
    total = len(dataset.sequences)
    steps = []
    if fetched := len(absent) - in_person:
        steps.append(f"fetching {fetched} of {total} sequences (evalsuite datasets fetch {dataset.name})")
    if in_person:
        steps.append(f"getting {in_person} of {total} sequences in person (evalsuite datasets show {dataset.name})")
    return "; ".join(steps)


def _head(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "version": dataset.version,
        "description": dataset.description,
        "publication": dataset.publication,
        "terms": dataset.terms,
        "obtain": dataset.obtain,
    }


def _described(entry: SequenceEntry) -> dict[str, Any]:
    from evalsuite.sources.authoring import presence
    from evalsuite.sources.hdr import as_json

    return {
        "name": entry.name,
        "width": entry.format.width,
        "height": entry.format.height,
        "pixel_format": entry.format.pixel_format if entry.samples_known else None,
        "frame_rate": None if entry.frame_rate is None else str(entry.frame_rate),
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
        "files": list(entry.files),
        "lock": None if entry.lock is None else str(entry.lock),
        "sources": [str(source) for source in entry.sources],
        "presence": presence(entry),
    }
