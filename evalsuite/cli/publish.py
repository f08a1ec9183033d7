"""`evalsuite publish`: the leaderboard site, and the entries that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli.exitcodes import CHECK_FAILED

if TYPE_CHECKING:
    from evalsuite.results.board import Board

_ENTRIES = Path("leaderboards/entries")


def publish(
    boards: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BOARD...]", help="Names or TOML files. Default: those of ./leaderboards, else the shipped ones."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the site; an earlier site in it is replaced.", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify all entries; build nothing.")] = False,
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Make entries from a finished run by a board; may be repeated."),
    ] = None,
    entries: Annotated[Path, typer.Option(help="Folder of all entries, one folder in it for each board.")] = _ENTRIES,
    base_url: Annotated[
        str, typer.Option(help="Address that the site will have, for the links of its feed.", show_default=False)
    ] = "",
    licence: Annotated[
        str | None, typer.Option(help="With --add: licence of the numbers. Default: CC0-1.0.", show_default=False)
    ] = None,
    by: Annotated[str, typer.Option(help="With --add: who made the run, shown as it is.", show_default=False)] = "",
    note: Annotated[str, typer.Option(help="With --add: what to say of it, shown as it is.", show_default=False)] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Build the leaderboard site from committed entries, verify them, or make them from a run.

    One of --out, --check and --add. Exit code 0: done and fine. 1: an entry is wrong, with every fault listed. 2: the
    request is wrong, or the run that should be added is no entry, with every reason.

    Example: evalsuite publish --add results && evalsuite publish --check && evalsuite publish --out site
    """
    from evalsuite.errors import RequestError

    wanted = [name for name, given in (("--out", out), ("--check", check), ("--add", add)) if given]
    if len(wanted) != 1:
        raise RequestError(
            "publish does one thing at a time",
            expected="one of --out DIR, --check and --add RUN",
            got=" and ".join(wanted) or "none",
        )
    if base_url and not base_url.startswith(("https://", "http://")):
        raise RequestError("--base-url is an address", expected="https://...", got=base_url)
    of_add = {"--licence": licence is not None, "--by": by != "", "--note": note != ""}
    needless = {"--add": () if add else of_add.items(), "--out": () if out else {"--base-url": base_url != ""}.items()}
    for owner, options in needless.items():
        for option, is_given in options:
            if is_given:
                raise RequestError(f"{option} is of {owner}", fix="leave it out")
    # That of the default is made by the first --add; where not even `leaderboards` is there, this is another folder.
    none_yet = entries == _ENTRIES and entries.parent.is_dir()
    if not add and not none_yet and not entries.is_dir():
        raise RequestError(
            "there is no such folder of entries",
            where=entries,
            fix="correct --entries, or go to the folder that `leaderboards` is in",
        )
    if add:
        _add(add, boards or [], entries, as_json, licence=licence or "CC0-1.0", by=by, note=note)
    elif check:
        _check(_boards(boards or []), entries, as_json, all_boards=not boards)
    elif out is not None:
        _build(_boards(boards or []), entries, out, base_url, as_json)


def _boards(names: Sequence[str]) -> list[Board]:
    from dataclasses import replace

    from evalsuite import resources
    from evalsuite.errors import RequestError
    from evalsuite.results.board import load_board

    local = sorted(path.stem for path in Path("leaderboards").glob("*.toml"))
    found: dict[str, Board] = {}
    for name in names or local or resources.available("boards"):
        board = load_board(name)
        other = found.setdefault(board.name, board)
        # The path of a manifest may be written in several ways.
        if replace(other, dataset="") != replace(board, dataset="") or other.sha256 != board.sha256:
            raise RequestError(
                f"two boards are called {board.name}",
                got=f"another one in {name}",
                fix="give one of them another name: entries lie in a folder of their board's name",
            )
    return list(found.values())


def _add(
    runs: Sequence[Path], names: Sequence[str], entries: Path, as_json: bool, *, licence: str, by: str, note: str
) -> None:
    from evalsuite.cli.output import echo, print_json
    from evalsuite.errors import RequestError
    from evalsuite.results.conformance import stamp_of
    from evalsuite.results.entry_make import add_run
    from evalsuite.results.load import read_run

    named = {board.name: board for board in _boards(names)} if names else {}
    made = []
    for path in runs:
        run = read_run(path)
        name = str(stamp_of(run).get("name") or "")
        if not name or (named and name not in named):
            raise RequestError(
                "the run was not made by a board" if not name else f"the run was made by the board {name}",
                where=path,
                expected=f"a run by {' or '.join(named)}" if named else "`evalsuite run --board NAME`",
            )
        board = named.get(name) or _boards([name])[0]
        made += [(board, *one) for one in add_run(run, board, entries, licence=licence, by=by, note=note)]
    if as_json:
        print_json(
            {
                "schema": 1,
                "entries": [
                    {"board": board.name, "codec": one.manifest.codec, "folder": str(one.folder), "new": new}
                    for board, one, new in made
                ],
            }
        )
        return
    for _, one, new in made:
        echo(f"{one.folder}{'' if new else ' (was there: the same bitstreams and scores)'}")


def _check(boards: Sequence[Board], entries: Path, as_json: bool, *, all_boards: bool) -> None:
    from dataclasses import asdict

    from evalsuite.cli.output import echo, print_json
    from evalsuite.results.entries import check_entries

    count, faults = check_entries(entries, boards, all_boards=all_boards)
    if as_json:
        print_json(
            {
                "schema": 1,
                "boards": [board.stamp for board in boards],
                "entries": count,
                "faults": [asdict(fault) for fault in faults],
            }
        )
    else:
        for fault in faults:
            echo(f"{fault.entry}: {fault.text}")
            echo(f"    to do: {fault.fix}")
        wrong = len({fault.entry for fault in faults})
        echo(f"{count} {'entry' if count == 1 else 'entries'}, {f'{wrong} wrong' if faults else 'all fine'}")
    if faults:
        raise typer.Exit(CHECK_FAILED)


def _build(boards: Sequence[Board], entries: Path, out: Path, base_url: str, as_json: bool) -> None:
    from evalsuite.cli.output import print_json
    from evalsuite.report.site.build import build_site

    pages = build_site(boards, entries, out, base_url)
    if as_json:
        print_json({"schema": 1, "site": str(out / "index.html"), "pages": pages, "boards": [b.name for b in boards]})
    else:
        typer.echo(out / "index.html")
