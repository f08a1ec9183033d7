"""Single files out of zip, tar and 7z archives: streamed out, never installed or executed.

A member's name is only looked up, never used as a path, so no archive can write anywhere but where its caller says. One
that holds names that would lead outside is refused all the same: nobody makes such an archive by accident.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from evalsuite.errors import AssetError
from evalsuite.members import BROKEN, LARGEST_RATIO, Output, Wanted, damaged, not_there

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SMALLEST_STREAM_LIMIT_BYTES = 8 << 30
"""No archive is refused as a bomb below this, of all that is decompressed in search of members."""

LARGEST_HEADER_BYTES = 1 << 20
"""Of one extended header of a tar, which is read as a whole: it holds a name and a few numbers."""

_CHUNK = 1 << 16
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


def extract(archive: Path, wanted: Collection[Wanted]) -> dict[str, AssetError]:
    """Stream files out of an archive, in one pass.

    Args:
        archive: a zip (or wheel), a tar that may be compressed by gzip, bzip2 or xz, or a 7z file; told by its content.
        wanted: the files.

    Returns:
        Why a member could not be had, by its name, for those that could not: a damaged archive; no such member, or
        not a regular file; too large, or another digest; names that lead outside; a destination that cannot be written.
    """
    outputs = {one.member: Output(archive, one) for one in wanted}
    try:
        _reader(archive)(archive, outputs)
        problem: AssetError | None = None
    except BROKEN as error:
        problem = damaged(archive.name, error)
    except AssetError as error:
        problem = error
    refusals = {}
    for member, output in outputs.items():
        if not output.is_done:
            refusals[member] = output.refusal or problem or not_there(archive, member, "no member of this name")
    return refusals


_Outputs = Mapping[str, Output]
_Reader = Callable[[Path, _Outputs], None]


def _reader(archive: Path) -> _Reader:
    with archive.open("rb") as stream:
        head = stream.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _read_zip
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return _read_7z
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh")) or head[257:262] == b"ustar":
        return _read_tar
    raise AssetError(
        "the file is no archive that can be read",
        where=archive.name,
        expected="a zip, 7z or tar file, or a tar compressed by gzip, bzip2 or xz",
        got=f"bytes {head[:16]!r}",
        fix="check the address in the manifest: some servers send a web page where a file is missing",
    )


def _read_zip(archive: Path, outputs: _Outputs) -> None:
    with zipfile.ZipFile(archive) as content:
        infos = {_named(info.filename): info for info in content.infolist()}
        _check_names(archive, infos)
        for member in outputs.keys() & infos.keys():
            info = infos[member]
            kind = stat.S_IFMT(info.external_attr >> 16)
            with outputs[member] as output:
                if info.is_dir() or kind not in (0, stat.S_IFREG):
                    raise not_there(archive, member, "a folder, a link or a device")
                with content.open(info) as stream:
                    output.take(stream)


def _read_tar(archive: Path, outputs: _Outputs) -> None:
    left = set(outputs)
    with (
        _unpacked(archive) as stream,
        tarfile.open(
            fileobj=_Bounded(stream, archive), mode="r|", bufsize=_CHUNK, tarinfo=_headers_of(archive)
        ) as content,
    ):
        for info in content:
            _check_names(archive, [info.name])
            member = _named(info.name)
            if member not in left:
                continue
            left.discard(member)
            with outputs[member] as output:
                file = content.extractfile(info) if info.isreg() else None
                if file is None:
                    raise not_there(archive, member, "a folder, a link or a device")
                output.take(file)
            if not left:
                return


def _unpacked(archive: Path) -> io.BufferedIOBase:
    with archive.open("rb") as stream:
        head = stream.read(2)
    if head == b"\x1f\x8b":
        return gzip.open(archive)
    if head == b"\xfd7":
        return lzma.open(archive)
    return bz2.open(archive) if head == b"BZ" else archive.open("rb")


def _read_7z(archive: Path, outputs: _Outputs) -> None:
    try:
        import py7zr
    except ImportError:
        raise AssetError(
            "7z archives cannot be read here",
            where=archive.name,
            expected="the package py7zr",
            fix="pip install 'evalsuite[datasets]'",
        ) from None
    from evalsuite.sevenzip import Writers

    try:
        # Given a path instead of a stream, py7zr reads with several threads, whose errors are lost.
        with archive.open("rb") as stream, py7zr.SevenZipFile(stream) as content:
            infos = {_named(info.filename): info for info in content.files}
            _check_names(archive, infos)
            _check_stream(archive, sum(info.uncompressed or 0 for info in infos.values()))
            for member in outputs.keys() & infos.keys():
                info = infos[member]
                with outputs[member] as output:
                    if not info.is_file or info.is_symlink or info.is_junction or info.is_socket:
                        raise not_there(archive, member, "a folder, a link or a device")
                    output.check_size(info.uncompressed or 0)
                    content.extract(targets=[info.filename], factory=Writers(output.write))
                    content.reset()
    except (py7zr.exceptions.ArchiveError, py7zr.exceptions.PasswordRequired) as error:
        raise damaged(archive.name, error) from error


def _headers_of(archive: Path) -> type[tarfile.TarInfo]:
    """What reads members' headers: tarfile alone would read into memory an extended one or a map of any size."""

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            header = super().frombuf(buf, encoding, errors)
            if header.type in _EXTENDED and header.size > LARGEST_HEADER_BYTES:
                raise AssetError(
                    "the archive has a header that is too large",
                    where=archive.name,
                    expected=f"{LARGEST_HEADER_BYTES} bytes at most",
                    got=f"{header.size} bytes",
                    fix="do not trust this archive; take another source",
                )
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise sparse()
            return header

        def _proc_gnusparse_10(self, *_: object) -> None:
            """What tarfile calls to read a map that lies before the data, as long as it likes."""
            raise sparse()

    def sparse() -> AssetError:
        return AssetError(
            "the archive holds a sparse file",
            where=archive.name,
            expected="files that are stored as a whole, as video is",
            fix="do not trust this archive; take another source",
        )

    return Header


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where a small archive unpacks without end."""

    def __init__(self, stream: io.BufferedIOBase, archive: Path) -> None:
        self._stream = stream
        self._archive = archive
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        count = self._stream.readinto(buffer)
        self._total += count
        _check_stream(self._archive, self._total)
        return count


def _check_stream(archive: Path, total: int) -> None:
    limit = max(SMALLEST_STREAM_LIMIT_BYTES, LARGEST_RATIO * archive.stat().st_size)
    if total > limit:
        raise AssetError(
            "the archive unpacks to more than allowed",
            where=archive.name,
            expected=f"{limit} bytes at most",
            got="more",
            fix="do not trust this archive",
        )


def _named(name: str) -> str:
    """A member's name as a manifest has it: `tar -C folder .` puts ./ before each."""
    return re.sub(r"^(?:\./+)+", "", name)


def _check_names(archive: Path, names: Collection[str]) -> None:
    for name in names:
        plain = name.replace("\\", "/")
        if plain.startswith("/") or plain[1:3] == ":/" or ".." in PurePosixPath(plain).parts:
            raise AssetError(
                "the archive holds a name that leads outside",
                where=archive.name,
                expected="relative names without ..",
                got=repr(name[:200]),
                fix="do not trust this archive; take another source",
            )
