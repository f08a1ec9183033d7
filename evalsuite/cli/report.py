"""`evalsuite report`: one report from one or many runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli.output import say, say_rest
from evalsuite.errors import EvalError, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalsuite.codec.recipe import Recipe
    from evalsuite.results.load import RunResults
    from evalsuite.types import Sequence

PICTURES = ("all", "stills", "none")
MOST_REASONS = 8
"""Lines that say why there is no picture; the report has all of them."""


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders that `evalsuite run --out` wrote, stores (their latest runs; STORE@1: the one before), or "
            "addresses of either.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the report: a new one, or one whose report is replaced.", show_default=False)
    ],
    store: Annotated[
        Path | None,
        typer.Option(help="Results store of the runs: makes the pictures that a run lacks.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """One report from one or many runs: a folder whose index.html opens from disk, without a server or a network.

    Runs of the same codec, sequence and q become one point; what only shares a name is kept apart by the run's name.

    Example: evalsuite report results/monday results/tuesday --out report
    """
    from evalsuite.cli.output import print_json
    from evalsuite.report.build import build_report
    from evalsuite.results.history import open_run

    read = [open_run(run) for run in runs]
    for run in read:
        if store is not None and not _has_pictures(run):
            add_pictures(run, store)
    page = build_report(read, out)
    if as_json:
        print_json({"schema": 1, "report": str(page)})
    else:
        typer.echo(page)


def _has_pictures(run: RunResults) -> bool:
    from evalsuite.viewing.index import FOLDER
    from evalsuite.viewing.reading import read_index

    try:
        read_index(run.folder / FOLDER)
    except StoreError:
        return False
    return True


def add_pictures(
    run: RunResults,
    store: Path,
    wanted: str = "all",
    timeout: float = 3600.0,
    recipes: Iterable[Recipe] = (),
    sequences: Iterable[Sequence] = (),
) -> None:
    """Make the pictures of a run; a run without is as good a run, so that what goes wrong is said and no more.

    Args:
        run: they go into its folder.
        store: has its bitstreams.
        wanted: `all`, `stills` without clips, or `none`.
        timeout: seconds one frame of a decoder may take.
        recipes: of the run, where they are at hand.
        sequences: likewise.
    """
    from evalsuite.report.comparisons import HEADLINE_METRICS
    from evalsuite.viewing.material import opened
    from evalsuite.viewing.pictures import make_pictures

    if wanted == "none":
        return
    try:
        with opened(run, store, timeout, recipes, sequences) as material:
            made = make_pictures(
                material,
                metrics=HEADLINE_METRICS,
                clips=wanted == "all",
                progress=lambda line: say(f"pictures: {line}"),
            )
    except EvalError as error:
        say(f"no pictures: {error}")
        return
    for one in made.left_out[:MOST_REASONS]:
        say(f"no picture: {', '.join(filter(None, (one.codec, one.sequence)))}: {one.reason}")
    if len(made.left_out) > MOST_REASONS:
        say_rest(len(made.left_out) - MOST_REASONS, "in the report")


def check_pictures(wanted: str) -> None:
    """Refuse what --pictures cannot be.

    Raises:
        RequestError: an unknown word.
    """
    if wanted not in PICTURES:
        raise RequestError(f"--pictures cannot be {wanted!r}", expected=", ".join(PICTURES))
