"""Making entries from a finished run by a board: one for each codec, and one for the anchor.

An entry is the run reduced to one codec and the anchor that was run beside it, on the same machine, so that its
BD-rates can be computed from it alone. What does not bear on them is left out or made small: commands as they were run,
paths, and frames of the anchor, which are in its own entry.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from evalsuite.errors import RequestError, StoreError
from evalsuite.results.board import Board
from evalsuite.results.conformance import deviations, stamp_of
from evalsuite.results.entry import Entry
from evalsuite.results.entry_check import check_entry
from evalsuite.results.entry_files import write_entry
from evalsuite.results.entry_schema import violations_of
from evalsuite.results.load import RunResults

LICENCE = "CC0-1.0"
"""Of the numbers of an entry, where its maker does not say otherwise."""

_SHOWN = 5


def add_run(
    run: RunResults, board: Board, entries: Path, *, licence: str = LICENCE, by: str = "", note: str = ""
) -> list[tuple[Entry, bool]]:
    """Make the entries of a run: one for each of its codecs.

    Args:
        run: a finished run by this board, of the anchor and any number of other codecs.
        board: the protocol.
        entries: folder of all entries; they are made in its folder of the board's name.
        licence: of the numbers.
        by: who made them, as they want to be named.
        note: what they want to say.

    Returns:
        Each entry, and whether it is new: whoever measures the same of the same codec has an entry that is there.

    Raises:
        RequestError: the run is no entry, with every reason.
        StoreError: the folder cannot be written.
    """
    if stamp_of(run).get("name") != board.name:
        raise RequestError(
            f"the run was not made by the board {board.name}",
            where=run.folder,
            got=f"a run by {stamp_of(run).get('name') or 'no board'}",
            fix=f"run `evalsuite run --board {board.name}`",
        )
    if wrong := violations_of(run.summary, "summary"):
        raise RequestError(
            "the run's summary is not as docs/summary.schema.json says",
            where=run.folder / "summary.json",
            got="\n    ".join(wrong[:_SHOWN]),
            fix="run the board again with this version; a summary is not edited by hand",
        )
    if found := deviations(board, run):
        raise RequestError(
            f"the run is no entry of board {board.name}, version {board.version}",
            where=run.folder,
            got="\n    ".join(found),
            fix="run the board as it is; docs/boards.md says what it decides on",
        )
    codecs = [str(one["name"]) for one in run.summary["codecs"]]
    if several := sorted({name for name in codecs if codecs.count(name) > 1}):
        raise RequestError(f"{', '.join(several)} was run with several presets", fix="run one preset of each codec")
    return [_add(run, board, codec, entries, licence=licence, by=by, note=note) for codec in codecs]


def _add(run: RunResults, board: Board, codec: str, entries: Path, **said: str) -> tuple[Entry, bool]:
    parent = entries / board.name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".adding-") as temporary:
            written = write_entry(run, codec, Path(temporary), **said)
            folder = parent / written.manifest.id
            if folder.exists():
                return replace(written, folder=folder), False
            if faults := check_entry(written.folder, board):
                raise RequestError(
                    f"the run gives an entry of {codec} that would not pass `evalsuite publish --check`",
                    where=run.folder,
                    got="\n    ".join(fault.text for fault in faults),
                    fix="see docs/publishing.md for what is checked; where the codec is right, report the check",
                )
            shutil.move(written.folder, folder)
    except OSError as error:
        raise StoreError(
            f"the entry cannot be written: {error.strerror or error}", where=parent, fix="give another --entries"
        ) from error
    return replace(written, folder=folder), True
