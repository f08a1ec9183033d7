"""The bytes of a download that have arrived so far: on disk, with their digest, and with what tells whose they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class PartFile:
    """A file that grows, is started afresh where it turns out to be another one, and outlives a broken connection.

    Args:
        path: kept when the block ends, whatever ends it.
        judged_by_digest: whether a digest will tell in the end if the parts belong together. Where none will, the
            server's validator of the first part is kept beside it, and a part that has none is thrown away.
    """

    def __init__(self, path: Path, *, judged_by_digest: bool) -> None:
        self.path = path
        self.size = path.stat().st_size if path.exists() else 0
        self._validator_path = None if judged_by_digest else path.with_name(f"{path.name}.validator")
        self._hash = hashlib.sha256()
        if self.size:
            with path.open("rb") as stream:
                self._hash = hashlib.file_digest(stream, "sha256")
        self._stream = path.open("ab")
        if self.size and self._validator_path is not None and not self.validator:
            self.restart()

    @property
    def sha256(self) -> str:
        """Of what is here, in hex."""
        return self._hash.hexdigest()

    @property
    def validator(self) -> str:
        """What the server called the version that this is part of; empty where nothing tells."""
        if self._validator_path is None or not self._validator_path.exists():
            return ""
        return self._validator_path.read_text(encoding="latin-1")

    def append(self, data: bytes) -> None:
        """Add what has arrived."""
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    def restart(self, validator: str = "") -> None:
        """Throw everything away; what comes next is of this version."""
        if self.size:
            self._stream.flush()
            self._stream.truncate(0)
            self._hash = hashlib.sha256()
            self.size = 0
        if self._validator_path is not None:
            self._validator_path.unlink(missing_ok=True)
            if validator:
                self._validator_path.write_text(validator, encoding="latin-1")

    def move_to(self, destination: Path) -> None:
        """Give the complete file its name."""
        self.path.replace(destination)
        if self._validator_path is not None:
            self._validator_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._stream.close()
