"""What a store no longer needs, removed.

Nobody else may have the store open meanwhile: a run that goes on needs cells that no kept run refers to yet.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evalsuite.engine.store import Store
from evalsuite.engine.storefolder import DATABASE
from evalsuite.errors import RequestError
from evalsuite.results.history import kept_runs
from evalsuite.results.load import read_run

_TOGETHER = 500
"""Cells that are removed in one transaction."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be."""

    runs: list[str]
    """Names of runs in the history."""
    cells: list[str]
    """Keys of cells that no kept run refers to, with all that was measured on them."""
    segments: int
    """Parts of encodes that are not finished."""
    bitstreams: list[str]
    """Digests of bitstreams that no record refers to then."""
    freed_bytes: int
    """Of runs and bitstreams; the database may shrink too."""


def prune(
    folder: Path,
    *,
    runs: int | None = None,
    older_than: timedelta | None = None,
    unused: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Remove old runs, cells that no kept run refers to, and bitstreams of no record; compact the database.

    A run is removed where `runs` and `older_than`, as far as they are given, both say so; the latest never is.

    Args:
        folder: of the store.
        runs: the latest so many are kept.
        older_than: what began later is kept.
        unused: whether cells go too.
        dry_run: tell, and remove nothing.

    Raises:
        RequestError: there is no store, or `unused` would leave nothing since no run is kept.
        StoreError: the store is in use, or cannot be written; or a run that is to be kept cannot be read.
    """
    if not (folder / DATABASE).is_file():
        raise RequestError("there is no results store", where=folder, fix="give the folder of one")
    with Store(folder, exclusive=True) as store, store.guarded():
        old, kept = _old_and_kept(kept_runs(folder), runs, older_than)
        if unused and not kept:
            raise RequestError(
                "no run is in the store's history, so that no cell would be kept",
                where=folder,
                fix="leave out --unused, or remove the folder of the store",
            )
        cells = _unused(store, kept) if unused else []
        segments = store.database.execute("SELECT count(*) FROM segments").fetchone()[0] if unused else 0
        orphans = _orphans(store, set(cells), segments_too=unused)
        freed = sum(store.bitstream(sha256).stat().st_size for sha256 in orphans)
        freed += sum(file.stat().st_size for run in old for file in run.rglob("*"))
        pruned = Pruned([run.name for run in old], cells, segments, orphans, freed)
        if not dry_run:
            _remove(store, old, pruned)
    return pruned


def _old_and_kept(runs: list[Path], number: int | None, older_than: timedelta | None) -> tuple[list[Path], list[Path]]:
    if number is None and older_than is None:
        return [], runs
    limit = datetime.now(UTC) - older_than if older_than is not None else None
    # A clock that was wrong for a while makes all runs look old.
    spared = set(runs[-(number or 1) :])
    old = [run for run in runs if run not in spared and (limit is None or _began(run) < limit)]
    return old, [run for run in runs if run not in old]


def _began(run: Path) -> datetime:
    try:
        # Not by its name, which is later where an earlier run's clock was ahead.
        began = datetime.fromisoformat(json.loads((run / "summary.json").read_bytes())["run"]["started"])
    except (OSError, ValueError, TypeError, KeyError):
        began = datetime.max  # one that does not say it is kept
    return began if began.tzinfo else began.replace(tzinfo=UTC)


def _unused(store: Store, runs: list[Path]) -> list[str]:
    needed = {key for run in runs for key in read_run(run).points["cell_key"].dropna()}
    query = "SELECT cell_key FROM cells UNION SELECT cell_key FROM lost ORDER BY cell_key"
    return [key for (key,) in store.database.execute(query) if key not in needed]


def _orphans(store: Store, cells: set[str], *, segments_too: bool) -> list[str]:
    wanted = {
        sha256 for key, sha256 in store.database.execute("SELECT cell_key, sha256 FROM cells") if key not in cells
    }
    if not segments_too:
        wanted.update(sha256 for (sha256,) in store.database.execute("SELECT sha256 FROM segments"))
    return [path.stem for path in store.bitstreams() if path.stem not in wanted]


def _remove(store: Store, runs: list[Path], pruned: Pruned) -> None:
    for run in runs:
        # In one step, so that no half of it is left in the history.
        gone = store.scratch / run.name
        run.replace(gone)
        shutil.rmtree(gone)
    for start in range(0, len(pruned.cells), _TOGETHER):
        keys = [(key,) for key in pruned.cells[start : start + _TOGETHER]]
        with store.transaction():
            for table in ("scores", "decodes", "lost", "cells"):
                store.database.executemany(f"DELETE FROM {table} WHERE cell_key = ?", keys)  # noqa: S608
    if pruned.segments:
        store.database.execute("DELETE FROM segments")
    store.remove_orphans(pruned.bitstreams)
    store.database.execute("VACUUM")
    store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
