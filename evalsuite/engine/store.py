"""The results store: SQLite for what was measured, a content-addressed folder for bitstreams.

Only the parent process of a run writes. Every finished encode or measurement is one transaction, so a run that is
killed loses what was in flight and nothing else; two runs may share a store, each adds what the other lacks.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evalsuite.engine.schema import bring_up_to_date
from evalsuite.errors import StoreError
from evalsuite.files import is_verified
from evalsuite.scratch import Scratch
from evalsuite.types import SHARED, Latency, Series, Status, Timing, Usage

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
    timing: Timing = SHARED
    reconstruction_sha256: str = ""
    """Of the frames that the encoder itself reconstructed, where it writes them."""


@dataclass(frozen=True, slots=True)
class StoredDecode:
    """The best-timed decode of a cell."""

    usage: Usage
    command: tuple[str, ...]
    timing: Timing = SHARED
    latency: Latency | None = None
    """Where it was timed by itself, and gave frames enough."""


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
            self._scratch = Scratch(folder / "tmp")
            self.scratch = self._scratch.path
            try:
                self._db = sqlite3.connect(folder / "store.sqlite", timeout=60, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                bring_up_to_date(self._db, folder)
            except BaseException:
                self._scratch.close()
                raise

    def close(self) -> None:
        """Close the database and remove this run's scratch folder."""
        self._db.close()
        self._scratch.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode(self, cell_key: str) -> StoredEncode | None:
        """The encode of a cell, or None where there is none or its bitstream is missing or damaged."""
        with self._guarded():
            row = self._db.execute(
                "SELECT q, sha256, file_bytes, payload_bytes, commands, reconstruction_sha256,"
                " wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on FROM cells WHERE cell_key = ?",
                (cell_key,),
            ).fetchone()
            if row is None:
                return None
            q, sha256, file_bytes, payload_bytes, commands, reconstruction, *usage, ran_alone, timed_on = row
            path = self._bitstream(sha256)
            if not is_verified(path, sha256):
                return None
            return StoredEncode(
                *(q, path, sha256, file_bytes, payload_bytes, Usage(*usage), _commands(commands)),
                timing=Timing(bool(ran_alone), timed_on),
                reconstruction_sha256=reconstruction,
            )

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
        timing: Timing = SHARED,
        reconstruction_sha256: str = "",
    ) -> StoredEncode:
        """Move a finished bitstream into the store and record its encode."""
        target = self._bitstream(sha256)
        with self._guarded():
            file_bytes = bitstream.stat().st_size
            target.parent.mkdir(exist_ok=True)
            # The rename comes first: a record without its bitstream would be noticed, the reverse costs nothing.
            bitstream.replace(target)
            self._db.execute(
                "INSERT OR REPLACE INTO cells (cell_key, q, sha256, file_bytes, payload_bytes, commands,"
                " reconstruction_sha256, wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(cell_key, q, sha256, file_bytes, payload_bytes, json.dumps(commands), reconstruction_sha256),
                    *_cost(usage, timing),
                ),
            )
        return StoredEncode(
            *(q, target, sha256, file_bytes, payload_bytes, usage, commands), timing, reconstruction_sha256
        )

    def retime_encode(self, cell_key: str, usage: Usage, timing: Timing) -> None:
        """Put another encode's cost in place of the stored one's; the bitstream stays."""
        with self._guarded():
            self._db.execute(
                "UPDATE cells SET wall_s = ?, cpu_s = ?, peak_rss = ?, load_s = ?, ran_alone = ?, timed_on = ?"
                " WHERE cell_key = ?",
                (*_cost(usage, timing), cell_key),
            )

    def decode(self, cell_key: str) -> StoredDecode | None:
        """The decode on record for a cell."""
        with self._guarded():
            row = self._db.execute(
                "SELECT command, wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on, latency FROM decodes"
                " WHERE cell_key = ?",
                (cell_key,),
            ).fetchone()
            if row is None:
                return None
            command, *usage, ran_alone, timed_on, latency = row
            return StoredDecode(
                Usage(*usage),
                tuple(json.loads(command)),
                Timing(bool(ran_alone), timed_on),
                Latency(**json.loads(latency)) if latency else None,
            )

    def add_decode(self, cell_key: str, decode: StoredDecode) -> None:
        """Record what a decode cost, unless one on record ran alone and this one did not."""
        with self._guarded():
            self._add_decode(cell_key, decode)

    def _add_decode(self, cell_key: str, decode: StoredDecode) -> None:
        self._db.execute(
            "INSERT INTO decodes (cell_key, command, wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on, latency)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cell_key) DO UPDATE SET command = excluded.command,"
            " wall_s = excluded.wall_s, cpu_s = excluded.cpu_s, peak_rss = excluded.peak_rss,"
            " load_s = excluded.load_s, ran_alone = excluded.ran_alone, timed_on = excluded.timed_on,"
            " latency = excluded.latency WHERE excluded.ran_alone >= decodes.ran_alone",
            (
                *(cell_key, json.dumps(decode.command), *_cost(decode.usage, decode.timing)),
                json.dumps(asdict(decode.latency)) if decode.latency else None,
            ),
        )

    def scores(self, cell_key: str, versions: dict[str, str]) -> dict[str, Series]:
        """The stored series of a cell, for the metrics in `versions` (version by metric name) that it has."""
        with self._guarded():
            rows = self._db.execute(
                "SELECT metric, version, status, reason, frames, indices FROM scores WHERE cell_key = ?", (cell_key,)
            ).fetchall()
            return {
                metric: Series(
                    *(metric, status, np.frombuffer(frames, "<f8").astype(np.float64), reason),
                    None if indices is None else np.frombuffer(indices, "<i8").astype(np.int64),
                )
                for metric, version, status, reason, frames, indices in rows
                if versions.get(metric) == version
            }

    def add_scores(self, cell_key: str, series: list[Series], versions: dict[str, str], decode: StoredDecode) -> None:
        """Record what one measurement gave, and the decode it was made on, in one transaction."""
        rows = [
            (
                *(cell_key, one.metric, versions[one.metric], one.status, one.reason),
                one.values.astype("<f8").tobytes(),
                None if one.frames is None else one.frames.astype("<i8").tobytes(),
            )
            for one in series
            if one.status in _LASTING
        ]
        with self._guarded(), self._transaction():
            self._add_decode(cell_key, decode)
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _bitstream(self, sha256: str) -> Path:
        return self.folder / "bitstreams" / sha256[:2] / f"{sha256}.bin"

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
        except (ValueError, TypeError) as error:
            raise StoreError(
                "the store holds something that no run has written",
                where=self.folder / "store.sqlite",
                got=str(error)[:200],
                fix="give another folder with --store, or remove this one: what it holds can be measured again",
            ) from error


def _cost(usage: Usage, timing: Timing) -> tuple[float | str | None, ...]:
    return usage.wall_s, usage.cpu_s, usage.peak_rss_bytes, usage.load_s, timing.ran_alone, timing.timed_on


def _commands(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(command) for command in json.loads(text))


def _free_megabytes(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free // 1_000_000
