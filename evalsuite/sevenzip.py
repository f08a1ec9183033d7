"""What py7zr writes to: callers' functions instead of files. Apart from the rest, because py7zr is an extra."""

from __future__ import annotations

from collections.abc import Callable

from py7zr.io import Py7zIO, WriterFactory

Write = Callable[[bytes | bytearray], int]


class Writers(WriterFactory):
    """Hands every member that is extracted to one function."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def create(self, filename: str) -> Py7zIO:  # noqa: ARG002
        """A writer for the member."""
        return _Writer(self._write)


class _Writer(Py7zIO):
    """Of what py7zr asks a file for, it needs only writing."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._size = 0

    def write(self, s: bytes | bytearray) -> int:
        self._size += len(s)
        return self._write(s)

    def read(self, size: int | None = None) -> bytes:  # noqa: ARG002
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
        return 0

    def flush(self) -> None:
        return

    def size(self) -> int:
        return self._size
