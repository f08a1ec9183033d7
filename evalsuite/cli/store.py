"""`evalsuite store`: stores checked, repaired, merged, pruned, exported and imported."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import echo, print_json, say
from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from evalsuite.engine.upkeep.merge import Merged

app = typer.Typer(
    no_args_is_help=True,
    help="Check, repair, merge, prune, export and import results stores.",
    epilog="Example: evalsuite store check ~/.cache/evalsuite/store",
)

_JSON = typer.Option(False, "--json", help="Print one JSON document.")
_DIR = typer.Argument(..., metavar="DIR", help="Folder of the results store.", show_default=False)


@app.command("check")
def check_store(
    folder: Path = _DIR,
    repair: bool = typer.Option(False, "--repair", help="Remove what is wrong or left over; no run may be at work."),
    json: bool = _JSON,
) -> None:
    """Read all of a store, and say what is wrong with it; exit code 3 where something is, and is not repaired.

    Example: evalsuite store check ~/.cache/evalsuite/store --repair
    """
    from evalsuite.engine.upkeep.check import check

    findings = check(folder, repair=repair)
    wrong = [one for one in findings if one.is_wrong and not one.done]
    if json:
        print_json({"schema": 1, "status": "wrong" if wrong else "ok", "findings": [asdict(one) for one in findings]})
    else:
        for one in findings:
            done = f": {one.done}" if one.done else ""
            echo(f"{'wrong' if one.is_wrong else 'left over'}: {one.what}: {one.where}{done}")
        echo(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    if wrong:
        say("to do: `evalsuite store check --repair` removes what is wrong, and the next run makes it again")
        raise typer.Exit(NOT_WHOLE)


@app.command("merge")
def merge_stores(
    into: Path = typer.Argument(..., metavar="INTO", help="Folder of the store that is added to.", show_default=False),
    sources: list[Path] = typer.Argument(..., metavar="FROM...", help="Stores to take from.", show_default=False),
    json: bool = _JSON,
) -> None:
    """Add what other stores have: cells, bitstreams, scores, runs. Exit code 3 where some could not be taken.

    Example: evalsuite store merge all monday tuesday
    """
    from evalsuite.engine.upkeep.merge import merge

    found = [(str(source), merge(into, source)) for source in sources]
    if json:
        print_json({"schema": 1, "merged": [{"from": source, **asdict(one)} for source, one in found]})
    else:
        for source, one in found:
            _print_merged(source, one)
    _end(*(one for _, one in found))


@app.command("prune")
def prune_store(
    folder: Path = _DIR,
    runs: int = typer.Option(None, min=1, help="Keep the latest so many runs of the history.", show_default=False),
    older_than: str = typer.Option(
        None, metavar="AGE", help="Keep runs younger than this, such as 12h, 30d or 8w.", show_default=False
    ),
    unused: bool = typer.Option(False, "--unused", help="Remove cells that no kept run refers to."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be removed, and remove nothing."),
    json: bool = _JSON,
) -> None:
    """Remove old runs, unused cells and left-over bitstreams, and compact the database; no run may be at work.

    With both --runs and --older-than, a run goes where both say so. The latest run always stays.

    Example: evalsuite store prune ~/.cache/evalsuite/store --runs 20 --older-than 30d --unused --dry-run
    """
    from evalsuite.engine.upkeep.prune import prune

    pruned = prune(folder, runs=runs, older_than=_age(older_than), unused=unused, dry_run=dry_run)
    if json:
        print_json({"schema": 1, "dry_run": dry_run, **asdict(pruned)})
        return
    for name in pruned.runs:
        echo(f"run {name}")
    echo(
        f"{'would remove' if dry_run else 'removed'} {len(pruned.runs)} runs, {len(pruned.cells)} cells,"
        f" {pruned.segments} segments, {len(pruned.bitstreams)} bitstreams: {pruned.freed_bytes / 1e6:.1f} MB"
    )


@app.command("export")
def export_store(
    folder: Path = _DIR,
    target: str = typer.Argument(..., help="A folder, or an address such as s3://bucket/prefix.", show_default=False),
    replace: bool = typer.Option(
        False, "--replace", help="Send all of it again, in the place of whatever is there, another store's export too."
    ),
    json: bool = _JSON,
) -> None:
    """Bring a copy of a store, as files that travel, up to date: what is there is not sent again.

    Example: evalsuite store export ~/.cache/evalsuite/store s3://bucket/store
    """
    from evalsuite.engine.upkeep.transfer import export

    sent = export(folder, target, replace=replace)
    if json:
        print_json({"schema": 1, **asdict(sent)})
        return
    echo(
        f"sent {sent.bitstreams} bitstreams, {sent.runs} runs{', the results' if sent.is_database_new else ''}:"
        f" {sent.sent_bytes / 1e6:.1f} MB"
    )


@app.command("import")
def import_store(
    source: str = typer.Argument(..., help="What `evalsuite store export` was given.", show_default=False),
    folder: Path = _DIR,
    json: bool = _JSON,
) -> None:
    """Add an exported store to a store, which is made where there is none; all of it is verified.

    Exit code 3 where some could not be taken.

    Example: evalsuite store import s3://bucket/store ~/.cache/evalsuite/store
    """
    from evalsuite.engine.upkeep.transfer import import_

    merged = import_(source, folder)
    if json:
        print_json({"schema": 1, **asdict(merged)})
    else:
        _print_merged(source, merged)
    _end(merged)


def _print_merged(source: str, merged: Merged) -> None:
    echo(
        f"{source}: added {merged.cells} cells, {merged.bitstreams} bitstreams, {merged.decodes} decodes,"
        f" {merged.scores} scores, {merged.runs} runs"
    )
    for conflict in merged.conflicts:
        echo(f"conflict: cell {conflict.cell_key}: kept {conflict.kept}, not {conflict.left}")
    for line in merged.left_out:
        echo(f"left out: {line}")


def _end(*merged: Merged) -> None:
    if any(one.conflicts for one in merged):
        say("conflicts: the encoder did not give the same bitstream twice; scores of the one that is kept are kept")
    if any(one.conflicts or one.left_out for one in merged):
        raise typer.Exit(NOT_WHOLE)


def _age(text: str | None) -> timedelta | None:
    """How long ago, from a number and h, d or w.

    >>> _age("30d")
    datetime.timedelta(days=30)

    Raises:
        RequestError: it is not an age.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    if found is None:
        raise RequestError(f"{text!r} is not an age", expected="a number and h, d or w, such as 12h, 30d or 8w")
    return timedelta(**{{"h": "hours", "d": "days", "w": "weeks"}[found[2]]: int(found[1])})
