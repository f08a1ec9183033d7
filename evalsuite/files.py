"""Files that are shared between processes: digests, locks, and disks that do not take them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from evalsuite.errors import AssetError

LOCK_TIMEOUT_S = 12 * 3600.0
"""What another process holds may be the download of a large dataset."""

_digests: dict[tuple[str, int, int, int], str] = {}


def sha256_of(path: Path) -> str:
    """The file's sha256 in hex; computed once per process as long as the file does not change.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        key = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        if key not in _digests:
            _digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return _digests[key]


def is_verified(path: Path, sha256: str) -> bool:
    """Whether the file is there, readable, and has this digest."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def storage_error(error: OSError, path: Path) -> AssetError:
    """What a user can do about a disk that does not take a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        return AssetError(
            "the disk is full",
            where=path,
            got=f"{shutil.disk_usage(folder).free / 1e6:.0f} MB free",
            fix="free some space, or set EVALSUITE_CACHE to a folder on another disk, and try again",
        )
    return AssetError(
        "the cache cannot be written",
        where=path,
        expected="a folder that this user can write to",
        got=error.strerror or str(error),
        fix="make the folder writable, or set EVALSUITE_CACHE to one that is",
    )


Refused = Callable[[OSError, Path], AssetError]
"""What a user is told about a path that cannot be written."""


@contextmanager
def storing(path: Path, refused: Refused = storage_error) -> Iterator[None]:
    """Turn the operating system's errors about `path` into AssetError."""
    try:
        yield
    except OSError as error:
        raise refused(error, path) from error


@contextmanager
def locked(path: Path, refused: Refused = storage_error) -> Iterator[None]:
    """Hold the lock of `path` among all processes of this machine; makes its folder.

    Raises:
        AssetError: the folder cannot be written, or another process holds the lock for LOCK_TIMEOUT_S.
    """
    lock_path = path.with_name(f".{path.name}.lock")
    with storing(path, refused):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path, timeout=LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise AssetError(
                f"another process has held this file for {LOCK_TIMEOUT_S:g} s",
                where=lock_path,
                fix="end the process that hangs, and try again",
            ) from error
    try:
        yield
    finally:
        lock.release()
