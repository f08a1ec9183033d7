"""The tables of the results store, and how those of earlier versions become those of this one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from evalsuite.errors import StoreError

SCHEMA = 3

_FIRST = """
CREATE TABLE cells (
    cell_key      TEXT PRIMARY KEY,
    q             REAL NOT NULL,
    sha256        TEXT NOT NULL,
    file_bytes    INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL,
    wall_s        REAL NOT NULL,
    cpu_s         REAL NOT NULL,
    peak_rss      INTEGER NOT NULL,
    commands      TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE decodes (
    cell_key TEXT PRIMARY KEY,
    wall_s   REAL NOT NULL,
    cpu_s    REAL NOT NULL,
    peak_rss INTEGER NOT NULL,
    command  TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE scores (
    cell_key TEXT NOT NULL,
    metric   TEXT NOT NULL,
    version  TEXT NOT NULL,
    status   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    frames   BLOB NOT NULL,
    PRIMARY KEY (cell_key, metric, version)
) WITHOUT ROWID;
"""

_SECOND = """
ALTER TABLE cells ADD COLUMN load_s REAL;
ALTER TABLE cells ADD COLUMN ran_alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cells ADD COLUMN timed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE cells ADD COLUMN reconstruction_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE decodes ADD COLUMN load_s REAL;
ALTER TABLE decodes ADD COLUMN ran_alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decodes ADD COLUMN timed_on TEXT NOT NULL DEFAULT '';
ALTER TABLE decodes ADD COLUMN latency TEXT;
UPDATE cells SET peak_rss = 0;
UPDATE decodes SET peak_rss = 0;
"""
# What schema 1 took for the peak memory of a program was that of the worker that started it, where that was more.

_THIRD = """
ALTER TABLE scores ADD COLUMN indices BLOB;
"""

_STEPS = (_FIRST, _SECOND, _THIRD)
"""The n-th leads from schema n to n + 1; 0 is an empty database."""


def bring_up_to_date(database: sqlite3.Connection, where: Path) -> None:
    """Make or change the tables so that they are those of `SCHEMA`, in one transaction.

    Raises:
        StoreError: a later version of the suite made them.
        sqlite3.Error: the database cannot be read or written.
    """
    if _version(database) == SCHEMA:
        return
    # Another run may be at it: who comes second finds the work done.
    database.execute("BEGIN IMMEDIATE")
    try:
        version = _version(database)
        if not 0 <= version <= SCHEMA:
            raise StoreError(
                "the store was written by another version of evalsuite",
                where=where,
                expected=f"schema {SCHEMA} or earlier",
                got=f"schema {version}",
                fix="give another folder with --store",
            )
        for step in _STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                database.execute(statement)
        database.execute(f"PRAGMA user_version={SCHEMA}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)
