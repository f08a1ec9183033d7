"""The tables of the results store, and how those of earlier versions become those of this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from evalsuite.errors import StoreError

SCHEMA = 4

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

_FOURTH = """
ALTER TABLE cells ADD COLUMN codec TEXT NOT NULL DEFAULT '';
ALTER TABLE cells ADD COLUMN codec_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE cells ADD COLUMN sequence TEXT NOT NULL DEFAULT '';
ALTER TABLE cells ADD COLUMN pixels INTEGER;
ALTER TABLE cells ADD COLUMN frames INTEGER;
ALTER TABLE cells ADD COLUMN threads INTEGER;
ALTER TABLE cells ADD COLUMN added REAL;
CREATE INDEX cells_by_bitstream ON cells (sha256);
CREATE INDEX cells_by_codec ON cells (codec, added) WHERE codec <> '';
CREATE TABLE segments (
    codec_key             TEXT NOT NULL,
    q                     REAL NOT NULL,
    start                 INTEGER NOT NULL,
    frames                INTEGER NOT NULL,
    sha256                TEXT NOT NULL,
    file_bytes            INTEGER NOT NULL,
    payload_bytes         INTEGER NOT NULL,
    commands              TEXT NOT NULL,
    reconstruction_sha256 TEXT NOT NULL,
    wall_s                REAL NOT NULL,
    cpu_s                 REAL NOT NULL,
    peak_rss              INTEGER NOT NULL,
    load_s                REAL,
    ran_alone             INTEGER NOT NULL,
    timed_on              TEXT NOT NULL,
    PRIMARY KEY (codec_key, q, start, frames)
) WITHOUT ROWID;
CREATE INDEX segments_by_bitstream ON segments (sha256);
CREATE TABLE lost (
    cell_key TEXT PRIMARY KEY,
    sha256   TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE identity (
    id TEXT NOT NULL
);
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
"""
# `lost` has cells whose bitstream was damaged or missing, and the digest of what their scores were measured on.
# `identity` tells the exports of two stores apart.

_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""The n-th leads from schema n to n + 1; 0 is an empty database."""


def bring_up_to_date(database: sqlite3.Connection, where: Path) -> None:
    """Make or change the tables so that they are those of `SCHEMA`, in one transaction.

    Raises:
        StoreError: a later version of the suite made them, or something else.
        sqlite3.Error: the database cannot be read or written.
    """
    if version_of(database) == SCHEMA:
        return
    # Another run may be at it: who comes second finds the work done.
    database.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(database)
        if not 0 <= version <= SCHEMA:
            raise StoreError(
                "the store was written by another version of evalsuite",
                where=where,
                expected=f"schema {SCHEMA} or earlier",
                got=f"schema {version}",
                fix="give another folder with --store",
            )
        if wrong := unlike(database, version):
            raise StoreError(
                "this is not a store of this suite",
                where=where,
                expected=f"the tables of schema {version}" if version else "an empty database",
                got=f"another shape of {', '.join(wrong)}" if version else f"the tables {', '.join(wrong)}",
                fix="give another folder with --store",
            )
        for step in _STEPS[version:]:
            _run(database, step)
        database.execute(f"PRAGMA user_version={SCHEMA}")
        database.execute("COMMIT")
    except BaseException:
        # Where the disk is full, SQLite has done so by itself.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def create(database: sqlite3.Connection, version: int = SCHEMA) -> None:
    """Make the tables of a version in an empty database."""
    for step in _STEPS[:version]:
        _run(database, step)
    database.execute(f"PRAGMA user_version={version}")


def unlike(database: sqlite3.Connection, version: int) -> list[str]:
    """Tables that are not as a version of the suite made them; of no version (0), all that are there."""
    there = columns(database)
    with closing(sqlite3.connect(":memory:")) as model:
        create(model, version)
        wanted = columns(model)
    with closing(sqlite3.connect(":memory:")) as model:
        create(model)
        later = columns(model)
    suspects = {*wanted, *later, *(() if version else there)}
    return sorted(table for table in suspects if there.get(table) != wanted.get(table))


def columns(database: sqlite3.Connection) -> dict[str, list[str]]:
    """Names of the columns of each table."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        str(table): [str(name) for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        for (table,) in tables
    }


def version_of(database: sqlite3.Connection) -> int:
    """The version that a database says it is of; 0 where no store has been made of it."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _run(database: sqlite3.Connection, step: str) -> None:
    # executescript would commit first.
    for statement in filter(str.strip, step.split(";")):
        database.execute(statement)
