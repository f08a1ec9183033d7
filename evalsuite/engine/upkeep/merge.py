"""What one store has and another lacks, added to it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evalsuite.engine.schema import columns
from evalsuite.engine.store import Store
from evalsuite.engine.storefolder import DATABASE, settle
from evalsuite.engine.upkeep.rules import RULES, wrong_records
from evalsuite.errors import RequestError, StoreError
from evalsuite.files import is_verified
from evalsuite.results.history import RUNS, keep_run, kept_runs
from evalsuite.results.load import read_whole_run

_TOGETHER = 64
"""Cells of one transaction: what is copied before it, and what others wait for."""

_COST = ("wall_s", "cpu_s", "peak_rss", "load_s", "ran_alone", "timed_on")

_WORTH = "ran_alone, timed_on <> ''"
"""See `Timing.worth`."""

_TABLES = ("cells", "decodes", "scores")

Bring = Callable[[Sequence[tuple[str, Path]]], None]
"""Copies bitstreams, each by its digest, to a path. One that is not there is left out."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A cell that has one bitstream here and another there: its encoder does not give the same twice."""

    cell_key: str
    kept: str
    """sha256 of the one that the store has, and keeps."""
    left: str


@dataclass(slots=True)
class Merged:
    """What was added to a store."""

    cells: int = 0
    bitstreams: int = 0
    decodes: int = 0
    scores: int = 0
    runs: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What could not be taken, and why."""


def merge(into: Path, source: Path) -> Merged:
    """Add what `source` has and `into` lacks; nothing that `into` has becomes another, but for better timings.

    Both may be in use meanwhile. Killed at any moment, it is completed by doing it again.

    Raises:
        RequestError: there is no store to take from, or it is the same one.
        StoreError: either cannot be used.
    """
    if not (source / DATABASE).is_file():
        raise RequestError("there is no results store", where=source, fix="give the folder of one")
    if into.exists() and into.samefile(source):
        raise RequestError("a store cannot be merged into itself", where=into)
    with Store(source) as other, Store(into) as store:

        def bring(wanted: Sequence[tuple[str, Path]]) -> None:
            for sha256, path in wanted:
                with suppress(FileNotFoundError):
                    shutil.copyfile(other.bitstream(sha256), path)

        merged = Merged()
        with other.guarded():
            merge_records(store, other.database, bring, merged)
        for run in kept_runs(source):
            add_run(store, run, merged)
    return merged


def merge_records(store: Store, other: sqlite3.Connection, bring: Bring, merged: Merged) -> None:
    """Add the cells of a database, and what was measured on them.

    Args:
        store: what is added to.
        other: of this version's schema.
        bring: where its bitstreams come from.
        merged: is told what was added.

    Raises:
        StoreError: the database holds what no run has written.
    """
    check_records(other, "the store to take from is wrong")
    cells = other.execute("SELECT cell_key, sha256 FROM cells ORDER BY cell_key").fetchall()
    merging = _Merging(store, other, merged)
    for start in range(0, len(cells), _TOGETHER):
        merging.add(cells[start : start + _TOGETHER], bring)


def check_records(database: sqlite3.Connection, what: str) -> None:
    """Refuse a database that holds what no run has written.

    Raises:
        StoreError: it does; begins with `what`.
    """
    for rule in RULES:
        if wrong := wrong_records(database, rule):
            raise StoreError(
                f"{what}: {rule.what}", got=", ".join(wrong[:3]), fix="`evalsuite store check --repair` it first"
            )


def add_run(store: Store, folder: Path, merged: Merged) -> None:
    """Add a run to the store's history, where it is whole and not yet there."""
    there = kept_runs(store.folder)
    if store.folder / RUNS / folder.name in there:
        return
    try:
        run = read_whole_run(folder)
    except StoreError as error:
        merged.left_out.append(f"run {folder.name}: {error.what}")
        return
    if keep_run(run, store.folder, folder.name) not in there:
        merged.runs += 1


class _Merging:
    def __init__(self, store: Store, other: sqlite3.Connection, merged: Merged) -> None:
        self._store, self._here, self._other, self._merged = store, store.database, other, merged
        self._columns = {table: names for table, names in columns(self._here).items() if table in _TABLES}

    def add(self, cells: Sequence[tuple[str, str]], bring: Bring) -> None:
        """Add cells, given by key and digest: their bitstreams first, then their records in one transaction."""
        with self._store.guarded():
            wanted = {sha256 for key, sha256 in cells if self._lacks(key, sha256)}
            brought = {sha256: self._store.scratch / sha256 for sha256 in sorted(wanted)}
            bring(list(brought.items()))
            missing = {sha256 for sha256, path in brought.items() if not is_verified(path, sha256)}
            for sha256 in wanted - missing:
                settle(brought[sha256])
            with self._store.transaction(), self._of_one_moment():
                for key, sha256 in cells:
                    # A run may have added it meanwhile.
                    known = self._known(key)
                    if known is not None and known[0] != sha256:
                        self._merged.conflicts.append(Conflict(key, known[0], sha256))
                    elif not self._is_unchanged(key, sha256):
                        self._merged.left_out.append(f"cell {key}: a run has changed it meanwhile; merge again")
                    elif sha256 in missing:
                        self._merged.left_out.append(f"cell {key}: its bitstream {sha256} is missing or damaged")
                    else:
                        if sha256 in brought and brought[sha256].exists():
                            self._store.move_in(brought[sha256], sha256)
                            self._merged.bitstreams += 1
                        self._add_cell(key, sha256)
            for path in brought.values():
                path.unlink(missing_ok=True)

    @contextmanager
    def _of_one_moment(self) -> Iterator[None]:
        """A run may be at work on the other store: what is read of it in the block belongs together."""
        self._other.execute("BEGIN")
        try:
            yield
        finally:
            self._other.execute("ROLLBACK")

    def _is_unchanged(self, key: str, sha256: str) -> bool:
        """Whether the cell still has the bitstream there that was brought for it."""
        query = "SELECT 1 FROM cells WHERE cell_key = ? AND sha256 = ?"
        return self._other.execute(query, (key, sha256)).fetchone() is not None

    def _known(self, key: str) -> tuple[str, int] | None:
        """Digest and bytes of the bitstream that the cell has here."""
        row: tuple[str, int] | None = self._here.execute(
            "SELECT sha256, file_bytes FROM cells WHERE cell_key = ?", (key,)
        ).fetchone()
        return row

    def _lacks(self, key: str, sha256: str) -> bool:
        """Whether the bitstream is to be brought; that of a known cell is taken for good where its size is right."""
        path, known = self._store.bitstream(sha256), self._known(key)
        if known is None:
            return not is_verified(path, sha256)
        return known[0] == sha256 and not (path.is_file() and path.stat().st_size == known[1])

    def _add_cell(self, key: str, sha256: str) -> None:
        self._store.forget_others(key, sha256)
        for table, names in self._columns.items():
            find = f"SELECT {', '.join(names)} FROM {table} WHERE cell_key = ?"  # noqa: S608
            add = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
            before = self._here.total_changes
            self._here.executemany(add, self._other.execute(find, (key,)))
            added = self._here.total_changes - before
            setattr(self._merged, table, getattr(self._merged, table) + added)
        self._take_better_times(key)

    def _take_better_times(self, key: str) -> None:
        """As in a run: a time that was taken alone replaces one that was not, and one of `--timing` all others."""
        for table, names in (("cells", _COST), ("decodes", (*_COST, "command", "latency"))):
            find = f"SELECT {', '.join(names)}, {_WORTH} FROM {table} WHERE cell_key = ?"  # noqa: S608
            row = self._other.execute(find, (key,)).fetchone()
            if row is not None:
                values = ", ".join(f"{name} = ?" for name in names)
                *cost, alone, timed = row
                replace = f"UPDATE {table} SET {values} WHERE cell_key = ? AND ({_WORTH}) < (?, ?)"  # noqa: S608
                self._here.execute(replace, (*cost, key, alone, timed))
