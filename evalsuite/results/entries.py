"""The folder of all entries, `ENTRIES/BOARD/ENTRY`: what is in it, and every fault of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evalsuite.results.board import Board
from evalsuite.results.entry import ADD, Entry, read_manifest
from evalsuite.results.entry_anchor import anchor_faults
from evalsuite.results.entry_check import Fault, check_entry
from evalsuite.results.entry_pairs import pair_faults

_NO_ENTRIES = (".gitkeep", ".gitattributes", "README.md")
"""Files that may stand beside entries."""


def list_entries(entries: Path, board: Board) -> list[Entry]:
    """The entries of a board, oldest first; whether they are good ones is not asked.

    Raises:
        StoreError: a manifest cannot be read.
    """
    found = [Entry(folder, read_manifest(folder)) for folder in _folders(entries / board.name)]
    return sorted(found, key=lambda entry: (entry.manifest.date, entry.manifest.id))


def by_codec(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries of each codec, in the order given; codecs by name."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.manifest.codec, []).append(entry)
    return dict(sorted(found.items()))


def latest(entries: Sequence[Entry], board: Board) -> Entry | None:
    """The entry that ranks: the last of one codec by the protocol as it is now; None where there is none.

    Args:
        entries: of one codec, oldest first.
        board: the protocol.
    """
    current = [entry for entry in entries if entry.manifest.board == board.stamp]
    return current[-1] if current else None


def check_entries(entries: Path, boards: Sequence[Board], *, all_boards: bool) -> tuple[int, list[Fault]]:
    """Check every entry of the boards, and those that are good ones against each other and those of the anchor.

    Args:
        entries: the folder of all entries; nothing in it where it does not exist.
        boards: the protocols, each name once.
        all_boards: whether there are no others, so that anything else in the folder does not belong there.

    Returns:
        How many entries there are, and every fault.
    """
    folders = [(board, folder) for board in boards for folder in _folders(entries / board.name)]
    faults = []
    good: dict[str, list[Entry]] = {board.name: [] for board in boards}
    for board, folder in folders:
        if found := check_entry(folder, board):
            faults += found
        else:
            good[board.name].append(Entry(folder, read_manifest(folder)))
    faults += [fault for board in boards for fault in anchor_faults(good[board.name], board)]
    faults += [fault for board in boards for fault in pair_faults(good[board.name], board)]
    faults += [fault for board in boards for fault in _strays(entries / board.name)]
    if all_boards and entries.is_dir():
        known = {board.name for board in boards} | set(_NO_ENTRIES)
        faults += [
            Fault(path.name, "there is no board of this name", "remove it, or add leaderboards/NAME.toml")
            for path in sorted(entries.iterdir())
            if path.name not in known
        ]
    return len(folders), faults


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in _inside(parent) if path.is_dir() and not path.name.startswith("."))


def _strays(parent: Path) -> Iterator[Fault]:
    if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
        yield Fault(parent.name, "not a folder", "entries lie in a folder of the board's name, and no link")
    for path in _inside(parent):
        hidden = path.is_dir() and path.name.startswith(".")
        if path.name not in _NO_ENTRIES and (hidden or not path.is_dir()):
            yield Fault(f"{parent.name}/{path.name}", "not an entry", f"remove it; {ADD}")


def _inside(parent: Path) -> list[Path]:
    return sorted(parent.iterdir()) if parent.is_dir() and not parent.is_symlink() else []
