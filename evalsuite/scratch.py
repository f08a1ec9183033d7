"""Folders for work in progress that do not outlive their owner by more than a run, however it ended.

A process that is killed outright cleans nothing. So each folder is locked as long as its owner lives, and whoever makes
the next one removes those that nobody holds. The lock says it better than a process id, which a container gives to the
next run again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_LOCK = "lock"


class Scratch:
    """A folder of this process alone, below `parent`; those that dead processes left there are removed first.

    Args:
        parent: made where it is missing; holds nothing else.

    Raises:
        OSError: it cannot be written, or its file system has no locks.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        parent.mkdir(parents=True, exist_ok=True)
        self.path = parent / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with self._alone():
            for folder in parent.iterdir():
                if folder.is_dir() and not is_held(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            self.path.mkdir()
            self._lock = (self.path / _LOCK).open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder and all that is in it, where nobody has taken it away with all around it."""
        try:
            with suppress(OSError), self._alone():
                shutil.rmtree(self.path, ignore_errors=True)
        finally:
            self._lock.close()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Between a folder and its lock there is a moment in which it looks like nobody's.
        with self._parent.with_name(f".{self._parent.name}.{_LOCK}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def is_held(folder: Path) -> bool:
    """Whether the owner of a scratch folder lives, as far as this user can tell."""
    try:
        with (folder / _LOCK).open("a") as lock:
            return not _try_lock(lock)
    except OSError:  # another user's, or gone
        return True


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
