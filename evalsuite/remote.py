"""Files at an address: a folder, or whatever fsspec reaches (`s3://bucket/prefix`, `sftp://`, `memory://`, ...).

Which server, whose keys: by fsspec's own configuration and each service's usual environment variables (docs/store.md).
A file appears at an address whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evalsuite.errors import AssetError, RequestError

PART = ".part"
"""What the name of a file ends in that is being written to a folder, and of one whose writer was killed."""

_TOGETHER = 64
"""Files on their way at once, where the service takes several."""

_USER = re.compile(
    r"(?<=://)(?:[^/?#:\s]*:(?!\d*[/?#])\S*@"  # no port: a password, in which somebody may have left a / as it is
    r"|[^/?#\s]*@)"
)
_SECRET_FIELD = re.compile(
    r"([?&;][^=&;\s]*(?:sig|token|secret|passw|key|credential|auth|policy)[^=&;\s]*=)[^&;#\s'\"<>)]*", re.IGNORECASE
)


def shown(text: str) -> str:
    """A URL or a text with URLs, without user names, passwords and signatures: fit for messages and files."""
    return _SECRET_FIELD.sub(r"\1***", _USER.sub("", text))


class Place:
    """An address, and what can be done there.

    Args:
        address: a folder's path or a URL.

    Raises:
        RequestError: nothing is known of such an address, or a package for it is missing.
    """

    def __init__(self, address: str) -> None:
        self.address = shown(address)
        """Without a password, fit for messages."""
        try:
            from fsspec.core import url_to_fs
            from fsspec.implementations.local import LocalFileSystem

            self._system, root = url_to_fs(address, skip_instance_cache=True)
        except ImportError as error:
            raise RequestError(
                "a package for this kind of address is not installed",
                where=self.address,
                got=str(error),
                fix="pip install 'evalsuite[remote]' for S3, or the package that is named here",
            ) from error
        except ValueError as error:
            raise RequestError("this is not an address", where=self.address, got=shown(str(error))) from error
        self._root = root.rstrip("/")
        self._is_folder = isinstance(self._system, LocalFileSystem)

    @property
    def folder(self) -> Path | None:
        """The folder that it is; None of a service."""
        return Path(self._root) if self._is_folder else None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each file below a folder, by its name from the address on.

        Raises:
            AssetError: the address cannot be reached.
        """
        with self._reaching(folder):
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
            return {path[len(self._root) + 1 :]: int(about["size"]) for path, about in found.items()}

    def read(self, name: str) -> bytes | None:
        """The content of a small file, None where there is none.

        Raises:
            AssetError: the address cannot be reached.
        """
        with self._reaching(name):
            try:
                content: bytes = self._system.cat_file(self._path(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, or put it in another's place.

        Raises:
            AssetError: it could not be written; the other one is as it was.
        """
        with self._reaching(name):
            if self._is_folder:
                with _appearing(self._path(name)) as part:
                    part.write_bytes(content)
            else:
                self._system.pipe_file(self._path(name), content)

    def put(self, files: Sequence[tuple[Path, str]]) -> None:
        """Send files, each to its name.

        Raises:
            AssetError: one could not be sent; those before it may be there.
        """
        for start in range(0, len(files), _TOGETHER):
            batch = files[start : start + _TOGETHER]
            with self._reaching(batch[0][1]):
                if self._is_folder:
                    for file, name in batch:
                        with _appearing(self._path(name)) as part:
                            shutil.copyfile(file, part)
                else:
                    names = [self._path(name) for _, name in batch]
                    self._system.put([str(file) for file, _ in batch], names)

    def get(self, files: Sequence[tuple[str, Path]]) -> None:
        """Fetch files; whether they are what they should be is for the caller to say.

        Raises:
            AssetError: one could not be fetched.
        """
        for start in range(0, len(files), _TOGETHER):
            batch = files[start : start + _TOGETHER]
            with self._reaching(batch[0][0]):
                self._system.get([self._path(name) for name, _ in batch], [str(file) for _, file in batch])

    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            AssetError: it could not be removed.
        """
        with self._reaching(name):
            self._system.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _reaching(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each service has errors of its own, and they share no other base
            raise AssetError(
                "files cannot be read or written at this address",
                where=f"{self.address}/{name}",
                got=shown(f"{type(error).__name__}: {error}")[:300],
                fix="check the address, the keys, the server and its disk, and try again; what is done stays done",
            ) from error


@contextmanager
def _appearing(path: str) -> Iterator[Path]:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}{PART}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
