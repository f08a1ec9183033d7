"""Verified files: a manifest names where a file can be had and its sha256; nothing is used before that agrees.

A file has one or more sources, tried in order: a member of a package's archive or of one at a URL, a URL, a local file.
Each source carries the digest of its own file, because the same weights or video may travel in different containers. A
source at a URL may lack one, where nobody has published it: what is fetched from it is set apart until `keep`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import platformdirs

from evalsuite.archives import extract
from evalsuite.download import fetch_url
from evalsuite.errors import AssetError
from evalsuite.files import is_verified, locked, sha256_of, storing
from evalsuite.members import Wanted
from evalsuite.remote import shown

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
    sha256: str = ""
    """Empty where the manifest does not say it and nothing has pinned it yet."""
    size: int | None = None
    stated_in: str = "the manifest"
    """What says the digest, for the error about another one."""

    def __str__(self) -> str:
        return shown(self.url)


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """A file inside a zip, tar or 7z archive at an address."""

    url: str
    path: str
    """Full name of the file inside the archive."""
    sha256: str = ""
    """Of the file inside; empty as that of a URL."""
    size: int | None = None
    """Bytes of the file inside, where known."""
    archive_sha256: str = ""
    archive_size: int | None = None
    stated_in: str = "the manifest"

    def __str__(self) -> str:
        return f"{shown(self.url)}, {self.path}"


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file of this machine: used where it is, never copied."""

    path: Path
    sha256: str
    size: int | None = None
    stated_in: str = "the manifest"

    def __str__(self) -> str:
        return str(self.path)


Source = PackageSource | UrlSource | ArchiveSource | LocalSource


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
    """Where the source's file is, or will be once it has been fetched.

    Without a digest the whole address tells one from another, what is not shown of it too: the name has its hash.
    """
    match source:
        case LocalSource(path=path):
            return path.expanduser()
        case UrlSource(url=url):
            name, exact = _last_part(url), url
        case ArchiveSource(url=url, path=inside):
            name, exact = PurePosixPath(inside).name, f"{url}, {inside}"
        case PackageSource(path=inside):
            name, exact = PurePosixPath(inside).name, str(source)
    if source.sha256:
        return cache_dir() / "files" / f"{source.sha256[:16]}-{_plain(name)}"
    return cache_dir() / "incoming" / f"{_key(exact)}-{_plain(name)}"


def is_present(source: Source) -> bool:
    """Whether the source's file is on this machine and has the right digest; asks no network."""
    return bool(source.sha256) and is_verified(path_of(source), source.sha256)


def resolve(wanted: Asset | Source, *, also: Iterable[Source] = ()) -> Path:
    """A verified local file: `locate` without saying which source it came from."""
    asset = wanted if isinstance(wanted, Asset) else Asset(path_of(wanted).name, (wanted,))
    return locate(asset, also=also).path


def locate(asset: Asset, *, also: Iterable[Source] = ()) -> Located:
    """A verified local file of the asset; fetched where no source's file is here yet, or where it is damaged.

    What comes from a source without a digest is located with the one that it was found to have. That verifies nothing:
    whoever asked judges the file, and says `keep` or `discard`, all of it within `settling`.

    Args:
        asset: what is wanted.
        also: sources that will be wanted soon: files of the same package archive are unpacked while it is here, so
            that it need not be kept or fetched again.

    Raises:
        AssetError: no source gave the file; says what each answered.
    """
    for source in map(_as_seen, asset.sources):
        if is_present(source):
            return Located(path_of(source), source)
    refusals: list[AssetError] = []
    for source in asset.sources:
        try:
            return _told(_obtain(source, also), source)
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


@contextmanager
def settling(sources: Iterable[Source]) -> Iterator[None]:
    """Hold what comes without a digest until it is kept or discarded: who else wants it waits, and finds it kept.

    Raises:
        AssetError: the cache cannot be written.
    """
    incoming = {path_of(source) for source in sources if not source.sha256}
    with ExitStack() as held:
        for path in sorted(incoming):  # in one order, so that no two hold what the other one waits for
            held.enter_context(locked(path.with_name(f"{path.name}.settling")))
        yield


def keep(located: Located) -> Located:
    """Give a file that came without a digest the place of those that have one, and remember whence it came."""
    path = path_of(located.source)
    if located.path != path:
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            located.path.replace(path)
            _note_of(located.path).write_text(f"{located.source.sha256}\n", encoding="ascii")
    return Located(path, located.source)


def discard(located: Located) -> bool:
    """Throw away a file that came without a digest and is not what it should be: the next try fetches it again.

    Returns:
        Whether it was such a file.
    """
    came_without_digest = located.path != path_of(located.source)
    if came_without_digest:
        with storing(located.path):
            located.path.unlink(missing_ok=True)
    return came_without_digest


def _as_seen(source: Source) -> Source:
    """The source with the digest that `keep` noted for it, so that another folder's first use fetches nothing again."""
    if not source.sha256:
        with suppress(OSError, UnicodeDecodeError):
            return replace(source, sha256=_note_of(path_of(source)).read_text(encoding="ascii").strip())
    return source


def _note_of(incoming: Path) -> Path:
    return incoming.with_name(f"{incoming.name}.sha256")


def _told(path: Path, source: Source) -> Located:
    if source.sha256 or isinstance(source, PackageSource):
        return Located(path, source)
    return Located(path, replace(source, sha256=sha256_of(path), size=path.stat().st_size))


def _obtain(source: Source, also: Iterable[Source]) -> Path:
    match source:
        case LocalSource():
            return _check_local(source)
        case UrlSource(url=url, sha256=sha256, size=size, stated_in=stated_in):
            return fetch_url(url, path_of(source), sha256=sha256 or None, size=size, stated_in=stated_in)
        case PackageSource():
            return _unpack(source, also, source.archive, lambda: _find(source))
        case ArchiveSource(url=url):
            return _unpack(source, also, _last_part(url), lambda: url)


def _find(source: PackageSource) -> str:
    from evalsuite.packages import find_archive  # here: its libraries take a while to load

    return find_archive(source.package, source.archive, source.archive_sha256)


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
            expected=f"sha256 {source.sha256}, as {source.stated_in} says",
            got=f"sha256 {digest}",
            fix=f"restore the file; if the change is meant, correct {source.stated_in}",
        )
    return path


def _unpack(source: PackageSource | ArchiveSource, also: Iterable[Source], name: str, find: Callable[[], str]) -> Path:
    """Fetch the archive, take out what is wanted of it, and delete it: the archive may be far larger."""
    target = path_of(source)
    digest = source.archive_sha256
    archive = cache_dir() / "archives" / f"{digest[:16] or _key(_archive_of(source))}-{_plain(name)}"
    with locked(archive.with_name(f"{archive.name}.unpack")):
        if _is_unpacked(source):
            return target  # another process was faster
        if not is_verified(archive, digest):
            size = source.archive_size if isinstance(source, ArchiveSource) else None
            fetch_url(find(), archive, sha256=digest or None, size=size)
        siblings = [
            other
            for other in also
            if isinstance(other, PackageSource | ArchiveSource)
            and _archive_of(other) == _archive_of(source)
            and other.path != source.path
            and not _is_unpacked(other)
        ]
        wanted = [Wanted(one.path, path_of(one), one.sha256, one.size) for one in (source, *siblings)]
        for one in wanted:
            with storing(one.destination):
                one.destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A sibling that cannot be unpacked says so when it is asked for itself.
            refusal = extract(archive, wanted).get(source.path)
        finally:
            with storing(archive):
                archive.unlink(missing_ok=True)
    if refusal is not None:
        raise refusal
    return target


def _archive_of(source: PackageSource | ArchiveSource) -> str:
    """What names the archive: its digest, or the address where it has none."""
    return source.archive_sha256 or (source.url if isinstance(source, ArchiveSource) else "")


def _is_unpacked(source: PackageSource | ArchiveSource) -> bool:
    return is_present(_as_seen(source)) or (not source.sha256 and path_of(source).is_file())


def _last_part(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(name: str) -> str:
    """A file name that is safe on every file system; the digest before it makes it unique."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-100:]
