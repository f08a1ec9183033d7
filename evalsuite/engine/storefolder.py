"""The folder of a results store: its database, its bitstreams, and who is at work on it.

The database's write lock is also that of the bitstreams: a file is moved in or removed only within a write transaction.
So whoever sees a record has its bitstream, and whoever holds the lock may remove a file that no record refers to.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from evalsuite.engine.schema import bring_up_to_date
from evalsuite.errors import StoreError
from evalsuite.scratch import Scratch

DATABASE = "store.sqlite"
BITSTREAMS = "bitstreams"
SCRATCH = "tmp"
RECOVERED = f"{DATABASE}.recovered"
"""A whole new database, as long as it is on its way to the place of a corrupt one."""

_IN_USE = ".in-use.lock"
_PATIENCE_S = 60.0
"""How long to wait for another process, for its transaction as for the end of its upkeep."""

_TOGETHER = 500
"""Files that are removed while others wait."""

_NAME = re.compile(r"[0-9a-f]{64}\.bin")


class StoreFolder:
    """A store folder, opened; `evalsuite.engine.store.Store` is what a run makes of it.

    Args:
        folder: made where it is missing.
        exclusive: nobody else may have the store open meanwhile; for upkeep.

    Raises:
        StoreError: it cannot be written, is in use, waits for a repair to be completed, or was written by another
            version of the suite.
    """

    def __init__(self, folder: Path, *, exclusive: bool = False) -> None:
        self.folder = folder
        with self.guarded():
            (folder / BITSTREAMS).mkdir(parents=True, exist_ok=True)
            self._use = hold(folder, exclusive=exclusive)
            try:
                if (folder / RECOVERED).exists():
                    # The old database may be without its log already, and what is added to it would be lost.
                    raise StoreError(
                        "a repair of the store was killed before its end",
                        where=folder,
                        fix="`evalsuite store check --repair` completes it",
                    )
                self._scratch = Scratch(folder / SCRATCH)
                self.scratch = self._scratch.path
                try:
                    self.database = sqlite3.connect(folder / DATABASE, timeout=_PATIENCE_S, isolation_level=None)
                    self.database.execute("PRAGMA journal_mode=WAL")
                    # Under WAL, a loss of power may take the last transactions along, but never the database's order.
                    self.database.execute("PRAGMA synchronous=NORMAL")
                    bring_up_to_date(self.database, folder)
                except BaseException:
                    self._scratch.close()
                    raise
            except BaseException:
                self._use.close()
                raise

    def close(self) -> None:
        """Close the database and remove this process's scratch folder."""
        self.database.close()
        self._scratch.close()
        self._use.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def bitstream(self, sha256: str) -> Path:
        """Where the bitstream of this digest is, or would be."""
        return self.folder / BITSTREAMS / sha256[:2] / f"{sha256}.bin"

    def bitstreams(self) -> Iterator[Path]:
        """The bitstreams that are there, wanted or not."""
        for folder in sorted((self.folder / BITSTREAMS).iterdir()):
            if folder.is_dir():
                yield from sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))

    def move_in(self, file: Path, sha256: str) -> None:
        """Move a whole and settled file to its place; within the transaction that records it."""
        target = self.bitstream(sha256)
        target.parent.mkdir(exist_ok=True)
        file.replace(target)

    def remove_orphans(self, digests: Sequence[str]) -> list[str]:
        """Remove those bitstreams that no record refers to (any more).

        Returns:
            The digests of those that were removed.
        """
        removed = []
        for start in range(0, len(digests), _TOGETHER):
            # The records are gone for good before the files: the reverse could leave a record without its bitstream.
            with self.transaction():
                for sha256 in digests[start : start + _TOGETHER]:
                    if not self.refers_to(sha256) and self.bitstream(sha256).exists():
                        self.bitstream(sha256).unlink()
                        removed.append(sha256)
        return removed

    def refers_to(self, sha256: str) -> bool:
        """Whether a record has this bitstream."""
        found = self.database.execute(
            "SELECT 1 FROM cells WHERE sha256 = ?1 UNION ALL SELECT 1 FROM segments WHERE sha256 = ?1 LIMIT 1",
            (sha256,),
        ).fetchone()
        return found is not None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in the block, or nothing; other writers wait."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            # Where the disk is full, SQLite has done so by itself.
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what the database and the disk say into StoreError."""
        with guarded(self.folder):
            yield


def hold(folder: Path, *, exclusive: bool) -> IO[str]:
    """Say that the store is in use, until the file that is returned is closed or the process ends.

    Raises:
        StoreError: another process has it to itself; or, to have it `exclusive`, another process uses it.
        OSError: the folder cannot be written.
    """
    lock = (folder / _IN_USE).open("a")
    give_up = time.monotonic() + (0.0 if exclusive else _PATIENCE_S)
    while True:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() < give_up:
                time.sleep(0.05)
                continue
            lock.close()
            raise StoreError(
                "another process is at work on the store" if exclusive else "the store is being repaired or pruned",
                where=folder,
                fix="try again when it has ended",
            ) from None
        except OSError:
            lock.close()
            raise


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Turn what a store's database and its disk say into StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if folder.is_file():
            raise StoreError("the store cannot be used: it is a file", where=folder, fix="give a folder") from error
        raise StoreError(
            f"the store cannot be used: {getattr(error, 'strerror', None) or error}",
            where=folder,
            got=f"{_free_megabytes(folder)} MB free on its disk",
            fix="free some space or make the folder writable; nothing finished is lost, run again to resume."
            " `evalsuite store check` tells whether it is damaged",
        ) from error
    except (ValueError, TypeError) as error:
        raise StoreError(
            "the store holds something that no run has written",
            where=folder / DATABASE,
            got=str(error)[:200],
            fix="`evalsuite store check --repair` removes it; what it holds can be measured again",
        ) from error


def settle(file: Path) -> int:
    """Bytes of a finished file, which outlives a loss of power from here on."""
    sync(file)
    return file.stat().st_size


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_megabytes(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free // 1_000_000
