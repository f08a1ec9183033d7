"""A database that SQLite calls corrupt, read as far as it can be and written anew."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from evalsuite.engine.schema import SCHEMA, columns, create, unlike, version_of
from evalsuite.engine.storefolder import DATABASE, RECOVERED, SCRATCH, guarded, hold, sync
from evalsuite.scratch import Scratch

_KEYS = {
    "cells": "cell_key",
    "decodes": "cell_key",
    "scores": "cell_key",
    "segments": "codec_key",
    "lost": "cell_key",
    "identity": "id",
}
"""What each table is sorted by; the tables that are worth reading."""

_BOUNDS = (None, *(f"{number:02x}" for number in range(256)), None)
"""Keys are digests, so these cut a table into equal parts. A damaged page costs rows of its part alone."""

_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The second where SQLite's message quotes what is damaged."""


def corruption(database: Path) -> str:
    """What is wrong with a store's database as a whole; empty where nothing is.

    Raises:
        sqlite3.DatabaseError: it cannot be opened, or another process holds it.
    """
    try:
        with closing(_opened(database)) as opened:
            found = [str(line) for (line,) in opened.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                return "; ".join(found)
            version = version_of(opened)
            if not 0 <= version <= SCHEMA:
                return ""  # another version of the suite knows better
            # What has none of a store's tables is no store, and refused as that.
            wrong = [table for table in unlike(opened, version) if table in _KEYS]
            return f"not the tables of schema {version}: {', '.join(wrong)}" if wrong else ""
    except UnicodeDecodeError:
        return "its schema is not text"
    except sqlite3.DatabaseError as error:
        # An extended code has the plain one in its last byte. Others are of the disk, of rights or of a lock.
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return str(error)
        raise


def recover(folder: Path) -> tuple[dict[str, int], Path]:
    """Put a new database in the corrupt one's place, with what can be read of it.

    Returns:
        How many records of each table were read, and where the old database is kept.

    Raises:
        StoreError: a run is at work on the store, or its disk is full.
    """
    with guarded(folder), hold(folder, exclusive=True):
        old = folder / DATABASE
        kept = next(path for number in count(1) if not (path := folder / f"{DATABASE}.corrupt-{number}").exists())
        with closing(_opened(old)) as corrupt, suppress(*_UNREADABLE):
            # What is in its log becomes part of the file that is kept.
            corrupt.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for ending in ("", "-wal"):
            if (part := folder / f"{DATABASE}{ending}").exists():
                shutil.copyfile(part, folder / f"{kept.name}{ending}")
                sync(folder / f"{kept.name}{ending}")
        with Scratch(folder / SCRATCH) as temporary:
            new = temporary / DATABASE
            with closing(_opened(old)) as corrupt, closing(sqlite3.connect(new)) as fresh:
                counts = _copy(corrupt, fresh)
            sync(new)
            new.replace(folder / RECOVERED)
        complete(folder)
    return counts, kept


def complete(folder: Path) -> None:
    """Put the whole new database in the old one's place; nobody else may have the store open.

    Nobody has used the store since it was made: a store that has one beside its database is not opened.
    """
    sync(folder)
    # A log beside the new database would be taken for its own, and what it holds would be written over it.
    for ending in ("-wal", "-shm"):
        (folder / f"{DATABASE}{ending}").unlink(missing_ok=True)
    sync(folder)
    (folder / RECOVERED).replace(folder / DATABASE)
    sync(folder)


def _copy(corrupt: sqlite3.Connection, fresh: sqlite3.Connection) -> dict[str, int]:
    version, there = SCHEMA, {}
    with suppress(*_UNREADABLE):
        version = version_of(corrupt)
        there = columns(corrupt)
    create(fresh, version if 0 < version <= SCHEMA else SCHEMA)
    counts = {}
    for table, names in columns(fresh).items():
        shared = [name for name in names if name in there.get(table, ())]
        if not shared:
            continue
        if table == "identity":
            fresh.execute("DELETE FROM identity")
        fresh.executemany(
            f"INSERT OR IGNORE INTO {table} ({', '.join(shared)}) VALUES ({', '.join('?' * len(shared))})",  # noqa: S608
            _rows(corrupt, table, shared),
        )
        (counts[table],) = fresh.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    if counts.get("identity") == 0:
        fresh.execute("INSERT INTO identity VALUES (lower(hex(randomblob(16))))")
    fresh.commit()
    return counts


def _rows(corrupt: sqlite3.Connection, table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    key = _KEYS[table]
    for low, high in pairwise(_BOUNDS):
        for direction in ("ASC", "DESC"):
            query = f"SELECT {', '.join(names)} FROM {table} WHERE {key} >= ? AND {key} < ? ORDER BY {key} {direction}"  # noqa: S608
            try:
                # Any text is less than any blob.
                yield from corrupt.execute(query, (low or "", b"" if high is None else high))
                break
            except _UNREADABLE:
                continue


def _opened(database: Path) -> sqlite3.Connection:
    opened = sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=60, isolation_level=None)
    opened.text_factory = lambda text: text.decode("utf-8", "replace")
    return opened
