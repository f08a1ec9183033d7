"""Files on their way out of an archive: bounded in size, verified, and under their names only when they are right."""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from evalsuite.errors import AssetError
from evalsuite.files import storing

LARGEST_RATIO = 100
"""Bytes of a member to those of its archive, where the manifest does not say its size: video shrinks 2 to 20 times."""
SMALLEST_LIMIT_BYTES = 64 << 20
"""No member is refused as a bomb below this."""

_CHUNK = 1 << 16
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # zipfile, for an unknown compression method
    RuntimeError,  # zipfile, for an encrypted member
    ValueError,
    OSError,
    # py7zr, for headers that make no sense:
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    struct.error,
)
"""What reading a damaged archive of any kind raises."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A regular file inside an archive, and where it is to go."""

    member: str
    """Its full name inside, without a leading ./ that it may have there."""
    destination: Path
    """The file to make; its folder exists."""
    sha256: str = ""
    """Of the file; empty where that is not known yet."""
    size: int | None = None
    """Its bytes, where known: nothing beyond them is unpacked."""


class Output:
    """One file on its way out: after the block it stands under its name, or it is gone and `refusal` says why."""

    def __init__(self, archive: Path, wanted: Wanted) -> None:
        self._wanted = wanted
        self._where = f"{archive.name}: {wanted.member}"
        usual = max(SMALLEST_LIMIT_BYTES, LARGEST_RATIO * archive.stat().st_size)
        self._limit = usual if wanted.size is None else wanted.size
        self._part = wanted.destination.with_name(f"{wanted.destination.name}.part")
        self._hash = hashlib.sha256()
        self._size = 0
        self.is_done = False
        self.refusal: AssetError | None = None

    def __enter__(self) -> Self:
        with storing(self._wanted.destination):
            self._stream = self._part.open("wb")
        return self

    def check_size(self, size: int) -> None:
        """Refuse more bytes than the file may have."""
        if size > self._limit:
            raise AssetError(
                "the file in the archive is larger than allowed",
                where=self._where,
                expected=f"{self._limit} bytes at most",
                got="more",
                fix="correct the manifest's size; if that is right, do not trust this archive",
            )

    def write(self, data: bytes | bytearray) -> int:
        """Add bytes."""
        self._size += len(data)
        self.check_size(self._size)
        with storing(self._wanted.destination):
            self._stream.write(data)
        self._hash.update(data)
        return len(data)

    def take(self, stream: IO[bytes]) -> None:
        """Add all that the stream has."""
        while chunk := stream.read(_CHUNK):
            self.write(chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            if error is None:
                self._finish()
        except AssetError as refusal:
            error = refusal
        finally:
            self._stream.close()
            self._part.unlink(missing_ok=True)
        if isinstance(error, AssetError):
            self.refusal = error
        elif isinstance(error, BROKEN):
            self.refusal = damaged(self._where, error)
        return self.refusal is not None

    def _finish(self) -> None:
        digest = self._hash.hexdigest()
        if self._wanted.sha256 not in ("", digest):
            raise AssetError(
                "the file in the archive is not the expected one",
                where=self._where,
                expected=f"sha256 {self._wanted.sha256}",
                got=f"sha256 {digest}",
                fix="correct the manifest's sha256",
            )
        with storing(self._wanted.destination):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._part.replace(self._wanted.destination)
        self.is_done = True


def not_there(archive: Path, member: str, got: str) -> AssetError:
    """The error for a member that is missing or no file."""
    return AssetError(
        "the archive does not hold the file",
        where=archive.name,
        expected=f"a regular file {member}",
        got=got,
        fix="correct the path in the manifest: it is the full name inside the archive",
    )


def damaged(where: str, error: BaseException) -> AssetError:
    """The error for an archive that cannot be read."""
    return AssetError(
        "the archive is damaged",
        where=where,
        got=f"{type(error).__name__}: {error}",
        fix="fetch it again, or correct the manifest: what it names is no readable archive",
    )
