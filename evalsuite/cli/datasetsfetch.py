"""`evalsuite datasets fetch`: every sequence of a dataset, several at a time, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import console, echo, print_json, printable, say

if TYPE_CHECKING:
    from rich.progress import TaskID

    from evalsuite.sources.fetching import Fetched, Report
    from evalsuite.sources.manifest import Dataset


def fetch_dataset(
    name: str = typer.Argument(..., help="Name of the dataset, or the path of its TOML file."),
    connections: int = typer.Option(4, min=1, max=32, help="How many sequences to fetch at a time."),
    json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Fetch, verify and prepare every sequence now, so that a run needs no network.

    What cannot be had is listed at the end, the rest is there: exit code 3. The same command goes on where this one
    stopped.

    Example: evalsuite datasets fetch demo
    """
    from evalsuite.sources.dataset import load_dataset
    from evalsuite.sources.fetching import fetch_all

    dataset = load_dataset(name)
    wanted = [entry for entry in dataset.sequences if entry.sources]
    done: list[Fetched] = []
    with _progress(len(wanted)) as (report, finished):
        for one in fetch_all(wanted, report, connections):
            done.append(one)
            finished(one)
    rows = _rows(dataset, done)
    if json:
        print_json(rows)
    else:
        for row in rows:
            if row["status"] == "ok":
                echo(f"{row['name']}: {row['path']}")
    _say_what_to_pin(done)
    if any(row["status"] != "ok" for row in rows):
        _say_what_failed(name, dataset, done)
        raise typer.Exit(NOT_WHOLE)


def _rows(dataset: Dataset, done: list[Fetched]) -> list[dict[str, Any]]:
    """One for each sequence, in the order of the manifest."""
    by_name = {one.entry.name: one for one in done}
    rows = []
    for entry in dataset.sequences:
        one = by_name.get(entry.name)
        sequence = one.sequence if one else None
        error = str(one.error) if one and one.error else None if sequence else "has to be got in person"
        path = str(sequence.path) if sequence else ""
        row = {"name": entry.name, "sha256": sequence.sha256 if sequence else "", "path": path}
        rows.append({**row, "status": "ok" if sequence else "failed", "error": error})
    return rows


def _say_what_to_pin(done: list[Fetched]) -> None:
    locks = {one.entry.lock for one in done if one.sequence and one.entry.lock}
    for lock in sorted(locks):
        say(f"pinned in {lock}: commit it, and everybody gets the same frames or an error")
    for one in done:
        if one.sequence and not one.entry.sha256 and one.entry.lock is None:
            line = f'add `sha256 = "{one.sequence.sha256}"` to it in the manifest'
            say(f"{one.entry.name} is not pinned: {line}")


def _say_what_failed(name: str, dataset: Dataset, done: list[Fetched]) -> None:
    failed = [one for one in done if one.error]
    for one in failed:
        say(f"failed: {one.entry.name}: {one.error}")
    in_person = sum(not entry.sources for entry in dataset.sequences)
    if in_person:
        say(f"{in_person} of {len(dataset.sequences)} sequences have to be got in person: {dataset.obtain}")
        say(f"then: evalsuite datasets add FOLDER --for {name}")
    if failed:
        say(f"{len(failed)} of {len(dataset.sequences)} sequences failed; the same command tries them again")


@contextmanager
def _progress(total: int) -> Iterator[tuple[Report, Callable[[Fetched], None]]]:
    """Bars on a terminal: all sequences, and each that is being fetched; elsewhere a line for each that is done."""
    screen = console(stderr=True)
    if not screen.is_interactive:
        numbers = count(1)
        yield (
            lambda _name, _size, _total: None,
            lambda one: say(f"{next(numbers)} of {total}: {one.entry.name}{' failed' if one.error else ''}"),
        )
        return
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn

    name_of = TextColumn("{task.description}", markup=False)
    every = Progress(TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), console=screen)
    files = Progress(name_of, BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=screen)
    whole = every.add_task("", total=total)
    rows: dict[str, TaskID] = {}

    def report(name: str, size: int, length: int | None) -> None:
        if name not in rows:
            rows[name] = files.add_task(printable(name), total=length)
        files.update(rows[name], completed=size, total=length)

    def finished(one: Fetched) -> None:
        every.advance(whole)
        if (row := rows.pop(one.entry.name, None)) is not None:
            files.remove_task(row)

    # What goes to stdout meanwhile stays there.
    with Live(Group(every, files), console=screen, transient=True, redirect_stdout=False):
        yield report, finished
