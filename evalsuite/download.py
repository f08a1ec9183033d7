"""One downloader for every file the suite fetches: streamed, resumed, verified, and safe when two processes want it.

What has arrived is kept in a `.part` file beside the destination, so that a broken connection, Ctrl-C or a full disk
costs nothing but the rest. Nothing gets the destination's name before its digest is right.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
import urllib3

from evalsuite.errors import AssetError
from evalsuite.files import is_verified, locked, storing

ATTEMPTS = 4
"""Requests without noteworthy progress before a download is given up."""
BACKOFF_S = 0.5
"""Wait after the first broken try; it doubles with each."""
TIMEOUT_S = (10, 30)
"""Seconds to connect, and between two bytes."""
LARGEST_BYTES = 16 << 30
"""Where neither the manifest nor the server bounds a file: a stream without an end must not fill the disk."""

_CHUNK = 1 << 16
_NOTEWORTHY_BYTES = 1 << 20
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_HOPELESS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.TooManyRedirects,
)

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be, where known."""


def shown(url: str) -> str:
    """The URL without a user name or password, fit for a message."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def root_cause(error: BaseException) -> str:
    """The innermost reason of a network error, without secrets: what a user can act on."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {shown(str(error))}"


def fetch_url(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    attempts: int = ATTEMPTS,
    progress: bool | None = None,
) -> Path:
    """Download a file once; a destination that is already there and has the digest is left alone.

    Args:
        url: http or https.
        destination: the file to make; `.part` and `.lock` files stand beside it meanwhile.
        sha256: its digest in hex; without one a file that is there is taken as it is.
        size: its bytes, where known: tells a cut download from a wrong one.
        attempts: requests that bring little or nothing before it is given up.
        progress: show a bar on stderr; None shows one where stderr is a terminal.

    Raises:
        AssetError: it could not be had, or has another digest; or the destination cannot be written.
    """
    if _is_there(destination, sha256):
        return destination
    with locked(destination):
        if _is_there(destination, sha256):
            return destination
        part_path = destination.with_name(f"{destination.name}.part")
        with (
            storing(part_path),
            _Part(part_path) as part,
            _bar(destination.name, progress) as report,
            requests.Session() as session,
        ):
            _download(session, url, part, sha256, size, attempts, report)
        with storing(destination):
            part_path.replace(destination)
    return destination


def _is_there(path: Path, sha256: str | None) -> bool:
    return path.is_file() if sha256 is None else is_verified(path, sha256)


class _Part:
    """The bytes that have arrived so far, on disk, with their running digest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size if path.exists() else 0
        self._hash = hashlib.sha256()
        if self.size:
            with path.open("rb") as stream:
                self._hash = hashlib.file_digest(stream, "sha256")
        self._stream = path.open("ab")

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def append(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    def restart(self) -> None:
        self._stream.flush()
        self._stream.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._stream.close()


def _download(
    session: requests.Session,
    url: str,
    part: _Part,
    sha256: str | None,
    size: int | None,
    attempts: int,
    report: Report,
) -> None:
    """Ask until the part file is complete and right."""
    attempts_left = attempts
    asked_afresh = False
    while sha256 is None or part.sha256 != sha256:
        before = part.size
        problem = _receive(session, url, part, size, report)
        if sha256 is not None and part.sha256 == sha256:
            return
        if problem is None and size is not None and part.size < size:
            problem = f"the server ended the file after {part.size} of {size} bytes"
        if problem is None:
            if sha256 is None:
                return
            # What was resumed may belong to another version of the file, and a proxy may have cut it without a
            # word: one more request from the first byte tells a broken transfer from a wrong file.
            got = f"sha256 {part.sha256}, {part.size} bytes"
            part.restart()
            if asked_afresh:
                raise AssetError(
                    "the server sent another file than expected",
                    where=shown(url),
                    expected=f"sha256 {sha256}" + (f", {size} bytes" if size is not None else ""),
                    got=got,
                    fix="the file has changed at its origin: check the manifest's sha256, or take another source",
                )
            asked_afresh = True
            continue
        if part.size - before >= _NOTEWORTHY_BYTES:
            attempts_left = attempts
        attempts_left -= 1
        if attempts_left <= 0:
            raise AssetError(
                "the file could not be downloaded",
                where=shown(url),
                expected=f"{size} bytes" if size is not None else "the whole file",
                got=f"{problem} (attempts: {attempts}; {part.size} bytes are kept)",
                fix="check the network, proxy settings and certificates, then try again: it goes on where it stopped",
            )
        time.sleep(BACKOFF_S * 2 ** (attempts - 1 - attempts_left))


def _receive(session: requests.Session, url: str, part: _Part, size: int | None, report: Report) -> str | None:
    """One request, appended to the part file.

    Returns:
        None where the answer ended as the server said it would; otherwise what went wrong, worth another try.

    Raises:
        AssetError: another try would end the same way.
    """
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file, not of a compressed stream
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            status = response.status_code
            if status == requests.codes.requested_range_not_satisfiable:
                part.restart()
                return "the server has fewer bytes than are already here"
            if status in _TRANSIENT_STATUS:
                return f"HTTP {status} {response.reason}"
            if status not in (requests.codes.ok, requests.codes.partial_content):
                raise AssetError(
                    "the server does not give the file",
                    where=shown(url),
                    expected="HTTP 200 or 206",
                    got=f"HTTP {status} {response.reason}",
                    fix="check the address in the manifest, or take another source",
                )
            if status == requests.codes.ok and part.size:
                part.restart()
            start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if status == requests.codes.partial_content and (not start or int(start[1]) != part.size):
                part.restart()
                return "the server sent another range than asked for"
            return _append_body(response, part, size, report)
    except (*_HOPELESS, ValueError) as error:  # urllib's own parser refuses some addresses as plain ValueError
        raise AssetError(
            "the address cannot be fetched from",
            where=shown(url),
            got=root_cause(error),
            fix="check the address in the manifest, or take another source",
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        return root_cause(error)


def _append_body(response: requests.Response, part: _Part, size: int | None, report: Report) -> str | None:
    length = response.headers.get("Content-Length", "")
    total = part.size + int(length) if length.isdecimal() else None
    limit = LARGEST_BYTES if size is None else size
    # read1 hands over what has arrived: iter_content would lose the rest of its chunk when the connection breaks.
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        if part.size + len(chunk) > limit:
            part.restart()
            raise AssetError(
                "the server sends more than the file has",
                where=shown(response.url),
                expected=f"{limit} bytes at most",
                got=f"{total} bytes" if total else "more",
                fix="check the manifest's size, or take another source",
            )
        part.append(chunk)
        report(part.size, total)
    if total is not None and part.size < total:
        return f"the connection closed after {part.size} of {total} bytes"
    return None


@contextmanager
def _bar(label: str, show: bool | None) -> Iterator[Report]:
    """A progress bar on stderr, gone when done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not (console.is_terminal if show is None else show):
        yield _say_nothing
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say_nothing(_done: int, _total: int | None) -> None:
    return
