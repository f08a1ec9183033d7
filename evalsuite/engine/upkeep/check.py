"""Whether a store is whole, and how it becomes so again.

What is wrong could give a wrong result or end a run; what is left over costs space alone, and a process that was killed
may leave it at any time. Repair removes both, says each thing that it did, and never removes what can still be used.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from evalsuite.engine.store import Store
from evalsuite.engine.storefolder import DATABASE, RECOVERED, SCRATCH, guarded, hold
from evalsuite.engine.upkeep.recover import complete, corruption, recover
from evalsuite.engine.upkeep.rules import ORPHANS, RULES, remove_wrong, wrong_records
from evalsuite.errors import RequestError, StoreError
from evalsuite.results.history import RUNS, kept_runs
from evalsuite.results.load import read_whole_run
from evalsuite.scratch import is_held


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    what: str
    where: str
    is_wrong: bool = True
    """False: it only costs space."""
    done: str = ""
    """What repair did about it."""


def check(folder: Path, *, repair: bool = False) -> list[Finding]:
    """Look at all that a store holds, every bitstream's bytes included.

    Args:
        folder: of the store; brought to this version's schema where it is of an earlier one.
        repair: do something about each finding; nobody else may use the store meanwhile.

    Raises:
        RequestError: there is no store.
        StoreError: it cannot be read or written, is of a later version, or is in use while it should be repaired.
    """
    if not (folder / DATABASE).is_file():
        raise RequestError("there is no results store", where=folder, fix="give the folder of one")
    findings = [*_scratch(folder), *_half_repaired(folder, repair)]
    if any(one.is_wrong and not one.done for one in findings):
        return [*findings, *_runs(folder, repair)]
    with guarded(folder):
        said = corruption(folder / DATABASE)
    if said:
        if not repair:
            return [*findings, Finding(f"the database is corrupt: {said}", DATABASE), *_runs(folder, repair)]
        counts, kept = recover(folder)
        read = ", ".join(f"{number} {table}" for table, number in counts.items() if table != "identity") or "nothing"
        done = f"read what can be read ({read}) into a new one; the old is {kept.name}"
        findings.append(Finding(f"the database is corrupt: {said}", DATABASE, done=done))
    with Store(folder, exclusive=repair) as store, store.guarded():
        findings += _records(store, repair)
        findings += _bitstreams(store, repair)
        # After a recovery they may be all that is left of their cells.
        findings += _orphans(store, repair and not said)
        findings += _runs(folder, repair)
    return findings


def _scratch(folder: Path) -> Iterator[Finding]:
    for path in sorted((folder / SCRATCH).glob("*")):
        if path.is_dir() and not is_held(path):
            done = "removed, as by each run that opens the store"
            yield Finding("the folder of a process that was killed", f"{SCRATCH}/{path.name}", False, done)


def _half_repaired(folder: Path, repair: bool) -> Iterator[Finding]:
    with guarded(folder), hold(folder, exclusive=repair):
        if (folder / RECOVERED).exists():
            if repair:
                complete(folder)
            done = "the new database took the old one's place" if repair else ""
            yield Finding("a repair was killed before its end", RECOVERED, done=done)


def _records(store: Store, repair: bool) -> Iterator[Finding]:
    for rule in (*RULES, *ORPHANS):
        for where in wrong_records(store.database, rule):
            yield Finding(rule.what, where, done="removed; the next run makes it again" if repair else "")
        if repair:
            with store.transaction():
                remove_wrong(store.database, rule)


def _bitstreams(store: Store, repair: bool) -> Iterator[Finding]:
    records = "SELECT sha256, file_bytes FROM cells UNION SELECT sha256, file_bytes FROM segments ORDER BY sha256"
    for sha256, file_bytes in store.database.execute(records).fetchall():
        if not isinstance(sha256, str):
            continue  # told as a record, and names no file
        path = store.bitstream(sha256)
        what = _damage(path, sha256, file_bytes)
        if not what:
            continue
        if repair:
            with store.transaction():
                # What was measured on it stays, and counts again if the next encode is the same.
                store.database.execute(
                    "INSERT OR REPLACE INTO lost"
                    " SELECT cell_key, sha256 FROM cells WHERE sha256 = ? AND file_bytes = ?",
                    (sha256, file_bytes),
                )
                for table in ("cells", "segments"):
                    drop = f"DELETE FROM {table} WHERE sha256 = ? AND file_bytes = ?"  # noqa: S608
                    store.database.execute(drop, (sha256, file_bytes))
            store.remove_orphans([sha256])
        done = "its encode is dropped; the next run encodes again" if repair else ""
        yield Finding(what, str(path.relative_to(store.folder)), done=done)


def _damage(path: Path, sha256: str, file_bytes: int) -> str:
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "a bitstream is missing"
    except OSError as error:
        return f"a bitstream cannot be read: {error.strerror}"
    if found != sha256:
        return f"a bitstream is damaged: {size} bytes, sha256 {found}"
    return "" if size == file_bytes else f"a bitstream has {size} bytes, {file_bytes} by its record"


def _orphans(store: Store, repair: bool) -> Iterator[Finding]:
    there = [path.stem for path in store.bitstreams()]
    records = "SELECT sha256 FROM cells UNION SELECT sha256 FROM segments"
    wanted = {sha256 for (sha256,) in store.database.execute(records)}
    suspects = [sha256 for sha256 in there if sha256 not in wanted]
    with store.transaction():
        # A run may have moved one in and not yet recorded it.
        orphans = [sha256 for sha256 in suspects if not store.refers_to(sha256)]
    removed = set(store.remove_orphans(orphans)) if repair else set()
    for sha256 in orphans:
        where = str(store.bitstream(sha256).relative_to(store.folder))
        yield Finding("a bitstream of no record", where, False, "removed" if sha256 in removed else "")


def _runs(folder: Path, repair: bool) -> Iterator[Finding]:
    for run in kept_runs(folder):
        try:
            read_whole_run(run)
        except StoreError as error:
            done = ""
            if repair:
                names = (f".damaged-{run.name}{f'-{number}' if number > 1 else ''}" for number in count(1))
                aside = next(path for name in names if not (path := run.with_name(name)).exists())
                run.replace(aside)
                done = f"set aside as {RUNS}/{aside.name}"
            yield Finding(f"a run cannot be read: {error.what}", f"{RUNS}/{run.name}", done=done)
    for left in sorted((folder / RUNS).glob(".keeping-*")):
        if repair:
            shutil.rmtree(left)
        yield Finding("a run that was being kept", f"{RUNS}/{left.name}", False, "removed" if repair else "")
