"""Features of source frames, kept on disk: what depends on the source alone is computed once for all comparisons.

One file holds one feature of one source, frame after frame, each with a checksum. A file is read and extended in the
order of the frames, and replaced as a whole, so that any number of processes may use the folder at once. Nothing here
is ever needed: what is missing, damaged or does not fit on the disk is computed again.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from safetensors import SafetensorError
from safetensors.numpy import load, save

from evalsuite.codec.identity import digest_of
from evalsuite.metrics.base import Arrays, Recall
from evalsuite.scratch import Scratch

DEFAULT_LIMIT_BYTES = 4_000_000_000

_HEADER = struct.Struct("<IIQ")
"""Of one frame's record: index of the frame, CRC-32 of body and index, bytes of the body (a safetensors file)."""


class FeatureCache:
    """A folder of features with a size limit; those used longest ago are removed first.

    Args:
        folder: made where it is missing.
        limit_bytes: of all files together, after each source; of a source that takes more than this by itself the first
            frames are kept. 0 keeps nothing.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def source(self, **identity: str) -> SourceFeatures:
        """The features of the source that `identity` names: digest of its content, format, colour."""
        return SourceFeatures(self, digest_of(identity))

    def trim(self) -> None:
        """Remove the files that were used longest ago until the rest is within the limit."""
        files = []
        for path in self.folder.glob("*.features"):
            with suppress(OSError):  # another process may have removed it
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self.limit_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            with suppress(OSError):
                path.unlink()
            excess -= size


class SourceFeatures(Recall):
    """The features of one source during one pass over its frames; a context manager."""

    def __init__(self, cache: FeatureCache, key: str) -> None:
        self._cache = cache
        self._key = key
        self._files: dict[tuple[str, str], _FeatureFile] = {}
        self._scratch: Scratch | None = None
        self._room = cache.limit_bytes
        if cache.limit_bytes > 0:
            with suppress(OSError):  # a folder that cannot be written costs time, not the pass
                self._scratch = Scratch(cache.folder / "tmp")

    def get(self, name: str, version: str, index: int, compute: Callable[[], Arrays]) -> Arrays:
        """The feature of frame `index`: as it was kept, else computed and kept."""
        if self._scratch is None:
            return compute()
        file = self._files.get((name, version))
        if file is None:
            stem = f"{self._key[:32]}-{name}-{digest_of({'version': version})[:16]}"
            file = _FeatureFile(self._cache.folder / f"{stem}.features", self._scratch.path / stem, self._fits)
            self._files[name, version] = file
        arrays = file.read(index)
        if arrays is None:
            arrays = compute()
            file.write(index, arrays)
        return arrays

    def _fits(self, size: int) -> bool:
        """Take so many bytes of the limit; whether it had them. Once it had not, nothing more is kept."""
        self._room -= size
        return self._room >= 0

    def __enter__(self) -> SourceFeatures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The records of a pass that was cut short are as good as any: a later one goes on after them.
        for file in self._files.values():
            file.close()
        if self._scratch is not None:
            self._scratch.close()
            self._cache.trim()


class _FeatureFile:
    """One feature of one source: read as far as it goes, extended in a copy that replaces it at the end."""

    def __init__(self, path: Path, part: Path, fits: Callable[[int], bool]) -> None:
        self._path = path
        self._part = part
        self._fits = fits
        self._last = -1
        """Index of the last record that was read or written."""
        self._arrays: Arrays = {}
        """Those of that record."""
        self._reader: BinaryIO | None = None
        self._writer: BinaryIO | None = None
        self._good_bytes = 0
        """As far as whole, right records go in the file that is read."""
        self._usable = True
        with suppress(OSError):
            self._reader = path.open("rb")
            fits(os.fstat(self._reader.fileno()).st_size)
            os.utime(path)

    def read(self, index: int) -> Arrays | None:
        """The arrays of a frame that comes after those asked for before; None where the file does not have it."""
        while self._reader is not None and self._last < index:
            record = _next_record(self._reader)
            if record is None or record[0] <= self._last:
                self._reader.close()
                self._reader = None
                return None
            self._last, self._arrays = record
            self._good_bytes = self._reader.tell()
        # A frame that the file leaves out has been passed: the record after it waits.
        return self._arrays if self._last == index else None

    def write(self, index: int, arrays: Arrays) -> None:
        """Append the arrays of a frame, unless the file holds frames beyond it or there is no room."""
        if not self._usable or self._reader is not None or index <= self._last:
            return
        body = save(arrays)
        if not self._fits(_HEADER.size + len(body)):
            return
        try:
            if self._writer is None:
                self._writer = self._begin()
            self._writer.write(_HEADER.pack(index, zlib.crc32(body, index), len(body)))
            self._writer.write(body)
        except OSError:  # the disk is full
            self._usable = False
        self._last, self._arrays = index, arrays

    def _begin(self) -> BinaryIO:
        writer = self._part.open("wb")
        if self._good_bytes:
            with self._path.open("rb") as old:
                shutil.copyfileobj(old, writer)
            writer.truncate(self._good_bytes)
            writer.seek(self._good_bytes)
        return writer

    def close(self) -> None:
        """Put the extended file in its place."""
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
                if self._usable:
                    self._part.replace(self._path)


def _next_record(stream: BinaryIO) -> tuple[int, Arrays] | None:
    """Index and arrays of the next record; None at the end of the file, or where it is damaged."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    index, checksum, size = _HEADER.unpack(header)
    # A damaged size must not be allocated: no record is larger than its file.
    if size > os.fstat(stream.fileno()).st_size:
        return None
    body = stream.read(size)
    if len(body) < size or zlib.crc32(body, index) != checksum:
        return None
    try:
        return index, load(body)
    except (SafetensorError, ValueError, KeyError):
        return None
