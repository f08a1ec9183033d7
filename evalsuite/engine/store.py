"""The results store: SQLite for what was measured, a content-addressed folder for bitstreams.

Only the parent process of a run writes. Every finished encode or measurement is one transaction, so a run that is
killed loses what was in flight and nothing else; two runs may share a store, each adds what the other lacks.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalsuite.errors import StoreError
from evalsuite.files import is_verified
from evalsuite.types import Series, Status, Usage

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS cells (
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
CREATE TABLE IF NOT EXISTS decodes (
    cell_key TEXT PRIMARY KEY,
    wall_s   REAL NOT NULL,
    cpu_s    REAL NOT NULL,
    peak_rss INTEGER NOT NULL,
    command  TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    cell_key TEXT NOT NULL,
    metric   TEXT NOT NULL,
    version  TEXT NOT NULL,
    status   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    frames   BLOB NOT NULL,
    PRIMARY KEY (cell_key, metric, version)
) WITHOUT ROWID;
"""

_LASTING: tuple[Status, ...] = ("ok", "too_small", "not_applicable")
"""States that measuring again would not change. A metric that failed or was unavailable is tried again."""


@dataclass(frozen=True, slots=True)
class StoredEncode:
    """One encode in the store: what the bitstream is, and what it cost to make."""

    q: float
    path: Path
    sha256: str
    file_bytes: int
    payload_bytes: int
    usage: Usage
    commands: tuple[tuple[str, ...], ...]
    """One for each pass."""


@dataclass(frozen=True, slots=True)
class StoredDecode:
    """The decode that the stored scores were measured on."""

    usage: Usage
    command: tuple[str, ...]


class Store:
    """A store folder, opened for one run.

    Args:
        folder: made where it is missing.

    Raises:
        StoreError: it cannot be written, or was written by another version of the suite.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._guarded():
            (folder / "bitstreams").mkdir(parents=True, exist_ok=True)
            self._remove_stale_scratch()
            self.scratch = folder / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
            self.scratch.mkdir(parents=True)
            self._db = sqlite3.connect(folder / "store.sqlite", timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA):
                raise StoreError(
                    "the store was written by another version of evalsuite",
                    where=folder,
                    expected=f"schema {SCHEMA}",
                    got=f"schema {version}",
                    fix="give another folder with --store",
                )
            self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")

    def close(self) -> None:
        """Close the database and remove this run's scratch folder."""
        self._db.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(self, cell_key: str) -> StoredEncode | None:
        """The encode of a cell, or None where there is none or its bitstream is missing or damaged."""
        with self._guarded():
            row = self._db.execute(
                "SELECT q, sha256, file_bytes, payload_bytes, wall_s, cpu_s, peak_rss, commands FROM cells"
                " WHERE cell_key = ?",
                (cell_key,),
            ).fetchone()
        if row is None:
            return None
        q, sha256, file_bytes, payload_bytes, wall_s, cpu_s, peak_rss, commands = row
        path = self._bitstream(sha256)
        if not is_verified(path, sha256):
            return None
        usage = Usage(wall_s, cpu_s, peak_rss)
        return StoredEncode(q, path, sha256, file_bytes, payload_bytes, usage, _commands(commands))

    def add_encode(
        self,
        cell_key: str,
        q: float,
        bitstream: Path,
        *,
        sha256: str,
        payload_bytes: int,
        usage: Usage,
        commands: tuple[tuple[str, ...], ...],
    ) -> StoredEncode:
        """Move a finished bitstream into the store and record its encode."""
        target = self._bitstream(sha256)
        with self._guarded():
            file_bytes = bitstream.stat().st_size
            target.parent.mkdir(exist_ok=True)
            # The rename comes first: a record without its bitstream would be noticed, the reverse costs nothing.
            bitstream.replace(target)
            self._db.execute(
                "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(cell_key, q, sha256, file_bytes, payload_bytes),
                    *(usage.wall_s, usage.cpu_s, usage.peak_rss_bytes, json.dumps(commands)),
                ),
            )
        return StoredEncode(q, target, sha256, file_bytes, payload_bytes, usage, commands)

    def decode(self, cell_key: str) -> StoredDecode | None:
        """The decode on record for a cell."""
        with self._guarded():
            row = self._db.execute(
                "SELECT wall_s, cpu_s, peak_rss, command FROM decodes WHERE cell_key = ?", (cell_key,)
            ).fetchone()
        return None if row is None else StoredDecode(Usage(*row[:3]), tuple(json.loads(row[3])))

    def scores(self, cell_key: str, versions: dict[str, str]) -> dict[str, Series]:
        """The stored series of a cell, for the metrics in `versions` (version by metric name) that it has."""
        with self._guarded():
            rows = self._db.execute(
                "SELECT metric, version, status, reason, frames FROM scores WHERE cell_key = ?", (cell_key,)
            ).fetchall()
        return {
            metric: Series(metric, status, np.frombuffer(frames, "<f8").astype(np.float64), reason)
            for metric, version, status, reason, frames in rows
            if versions.get(metric) == version
        }

    def add_scores(
        self, cell_key: str, series: list[Series], versions: dict[str, str], usage: Usage, command: tuple[str, ...]
    ) -> None:
        """Record what one measurement gave, and the decode it was made on, in one transaction."""
        rows = [
            (cell_key, one.metric, versions[one.metric], one.status, one.reason, one.values.astype("<f8").tobytes())
            for one in series
            if one.status in _LASTING
        ]
        with self._guarded(), self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO decodes VALUES (?, ?, ?, ?, ?)",
                (cell_key, usage.wall_s, usage.cpu_s, usage.peak_rss_bytes, json.dumps(command)),
            )
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)

    def _bitstream(self, sha256: str) -> Path:
        return self.folder / "bitstreams" / sha256[:2] / f"{sha256}.bin"

    def _remove_stale_scratch(self) -> None:
        for folder in (self.folder / "tmp").glob("*-*"):
            pid = folder.name.partition("-")[0]
            if pid.isdecimal() and not _alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the store cannot be used: {getattr(error, 'strerror', None) or error}",
                where=self.folder,
                got=f"{_free_megabytes(self.folder)} MB free on its disk",
                fix="free some space or make the folder writable; nothing finished is lost, run again to resume",
            ) from error


def _commands(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(command) for command in json.loads(text))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_megabytes(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free // 1_000_000
