"""One downloader for every file the suite fetches: streamed, resumed, verified, and safe when two processes want it.

What has arrived is kept in a `.part` file beside the destination, so that a broken connection, Ctrl-C or a full disk
costs nothing but the rest. Nothing gets the destination's name before its digest is right.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from evalsuite.errors import AssetError
from evalsuite.files import is_verified, locked, storing
from evalsuite.partfile import PartFile
from evalsuite.remote import shown

ATTEMPTS = 4
"""Requests without noteworthy progress before a download is given up."""
BACKOFF_S = 0.5
"""Wait after the first broken try; it doubles with each."""
LONGEST_WAIT_S = 60.0
"""A server that asks for more patience is not asked again so soon, but is not waited for either."""
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

_watch: ContextVar[Report | None] = ContextVar("watch", default=None)


@contextmanager
def watched(report: Report) -> Iterator[None]:
    """Downloads of this thread tell `report` how far they are, and draw no bar of their own."""
    token = _watch.set(report)
    try:
        yield
    finally:
        _watch.reset(token)


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
    stated_in: str = "the manifest",
) -> Path:
    """Download a file once; a destination that is already there and has the digest is left alone.

    Args:
        url: http or https.
        destination: the file to make; `.part` and `.lock` files stand beside it meanwhile.
        sha256: its digest in hex; without one a file that is there is taken as it is.
        size: its bytes, where known: tells a cut download from a wrong one.
        attempts: requests that bring little or nothing before it is given up.
        progress: show a bar on stderr; None shows one where stderr is a terminal. Inside `watched` there is none.
        stated_in: what says the digest, for the error about another one.

    Raises:
        AssetError: it could not be had, or has another digest; or the destination cannot be written.
    """
    if _is_there(destination, sha256):
        return destination
    with locked(destination):
        if _is_there(destination, sha256):
            return destination
        part_path = destination.with_name(f"{destination.name}.part")
        with storing(part_path):
            with (
                PartFile(part_path, judged_by_digest=sha256 is not None) as part,
                _reporting(destination.name, progress) as report,
                requests.Session() as session,
            ):
                _Download(session, url, part, sha256, size, report, stated_in).run(attempts)
            part.move_to(destination)
    return destination


def _is_there(path: Path, sha256: str | None) -> bool:
    return path.is_file() if sha256 is None else is_verified(path, sha256)


@dataclass(frozen=True, slots=True)
class _Problem:
    """What went wrong with one request, worth another try."""

    what: str
    wait_s: float = 0.0
    """What the server asks for."""
    goes_on: bool = False
    """Nothing is wrong: the server gives the file in pieces, and this was one that it had announced as such."""


@dataclass(frozen=True, slots=True)
class _Range:
    """What a Content-Range says (RFC 9110, section 14.4)."""

    start: int
    end: int
    """The first byte behind it."""
    whole: int | None
    """Bytes of the file; None where the server does not know."""


@dataclass(frozen=True, slots=True)
class _Download:
    session: requests.Session
    url: str
    part: PartFile
    sha256: str | None
    size: int | None
    report: Report
    stated_in: str

    def run(self, attempts: int) -> None:
        """Ask until the part file is complete and right."""
        part = self.part
        attempts_left = attempts
        asked_afresh = False
        most = part.size
        while not self._is_right():
            problem = self._receive()
            if self._is_right():
                return
            # A server that has every answer thrown away brings nothing: only bytes beyond all before are progress.
            gained, most = part.size - most, max(most, part.size)
            if problem is not None and problem.goes_on and gained > 0:
                attempts_left = attempts
                continue
            if problem is None and self.size is not None and part.size < self.size:
                problem = _Problem(f"the server ended the file after {part.size} of {self.size} bytes")
            if problem is None:
                if self.sha256 is None:
                    return
                # What was resumed may belong to another version of the file, and a proxy may have cut it without a
                # word: one more request from the first byte tells a broken transfer from a wrong file.
                got = f"sha256 {part.sha256}, {part.size} bytes"
                part.restart()
                if asked_afresh:
                    raise self._changed(got)
                asked_afresh = True
                continue
            if gained >= _NOTEWORTHY_BYTES:
                attempts_left = attempts
            attempts_left -= 1
            if attempts_left <= 0:
                raise self._given_up(problem, attempts)
            time.sleep(max(problem.wait_s, BACKOFF_S * 2 ** (attempts - 1 - attempts_left)))

    def _is_right(self) -> bool:
        return self.sha256 is not None and self.part.sha256 == self.sha256

    def _receive(self) -> _Problem | None:
        """One request, appended to the part file.

        Returns:
            None where the answer ended as the server said it would; otherwise what went wrong.

        Raises:
            AssetError: another try would end the same way.
        """
        headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file, not of a compressed stream
        if self.part.size:
            headers["Range"] = f"bytes={self.part.size}-"
            if self.part.validator:
                headers["If-Range"] = self.part.validator
        try:
            with self.session.get(self.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                return self._begin(response) or self._append_body(response)
        except (*_HOPELESS, ValueError) as error:  # urllib's own parser refuses some addresses as plain ValueError
            raise AssetError(
                "the address cannot be fetched from",
                where=shown(self.url),
                got=root_cause(error),
                fix="check the address in the manifest, or take another source",
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            return _Problem(root_cause(error))

    def _begin(self, response: requests.Response) -> _Problem | None:
        """Whether what follows belongs behind what is here; makes room where it is the whole file."""
        part, status = self.part, response.status_code
        if status == requests.codes.requested_range_not_satisfiable:
            part.restart()
            return _Problem("the server has fewer bytes than are already here")
        if status in _TRANSIENT_STATUS:
            return _Problem(f"HTTP {status} {response.reason}", _asked_wait_s(response))
        if status == requests.codes.ok:
            part.restart(_validator(response))
            return None
        if status != requests.codes.partial_content:
            raise AssetError(
                "the server does not give the file",
                where=shown(self.url),
                expected="HTTP 200 or 206",
                got=f"HTTP {status} {response.reason}",
                fix="check the address in the manifest, or take another source",
            )
        told = _range(response)
        asked = bool(part.size)
        # Nobody who asked for no range has the means to tell what a part of the file is of.
        if told is None or told.start != part.size or (not asked and told.end != told.whole):
            part.restart()
            return _Problem("the server sent another range than asked for")
        if not asked:
            part.restart(_validator(response))
        if part.validator and _validator(response) not in ("", part.validator):
            part.restart()
            return _Problem("the file changed between two requests")
        return None

    def _append_body(self, response: requests.Response) -> _Problem | None:
        part = self.part
        length = response.headers.get("Content-Length", "")
        end = part.size + int(length) if length.isdecimal() else None
        total, knows_its_end = end, end is not None or _says_its_end(response)
        if response.status_code == requests.codes.partial_content and (told := _range(response)):
            # A server may give less than was asked for (RFC 9110, section 15.3.7).
            end, total = told.end, self.size if told.whole is None else told.whole
            knows_its_end = total is not None
        if self.sha256 is None and self.size is None and not knows_its_end:
            raise AssetError(
                "the server does not say how long the file is",
                where=shown(response.url),
                expected="a Content-Length or the length in a Content-Range, or a sha256 or a size in the manifest:"
                " else a cut file would pass as whole",
                fix="state the file's sha256 or size in the manifest",
            )
        limit = LARGEST_BYTES if self.size is None else self.size
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
            self.report(part.size, total)
        if end is not None and part.size < end:
            return _Problem(f"the connection closed after {part.size} of {end} bytes")
        if end is not None and part.size > end:
            got = part.size
            part.restart()
            return _Problem(f"the server sent {got} bytes where it had announced {end}")
        if total is not None and part.size < total:
            return _Problem(f"the server gave {part.size} of {total} bytes", goes_on=True)
        return None

    def _changed(self, got: str) -> AssetError:
        size = f", {self.size} bytes" if self.size is not None else ""
        return AssetError(
            "the server sent another file than expected",
            where=shown(self.url),
            expected=f"sha256 {self.sha256}{size}, as {self.stated_in} says",
            got=got,
            fix=f"the file has changed at its origin: take another source, or, if the new one is meant, correct"
            f" {self.stated_in}",
        )

    def _given_up(self, problem: _Problem, attempts: int) -> AssetError:
        return AssetError(
            "the file could not be downloaded",
            where=shown(self.url),
            expected=f"{self.size} bytes" if self.size is not None else "the whole file",
            got=f"{problem.what} (attempts: {attempts}; {self.part.size} bytes are kept)",
            fix="check the network, proxy settings and certificates, then try again: it goes on where it stopped",
        )


def _validator(response: requests.Response) -> str:
    """What tells this version of the file from others, fit for If-Range (RFC 9110, section 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag


def _range(response: requests.Response) -> _Range | None:
    told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if told is None:
        return None
    start, end, whole = int(told[1]), int(told[2]) + 1, None if told[3] == "*" else int(told[3])
    return None if end <= start or (whole is not None and end > whole) else _Range(start, end, whole)


def _says_its_end(response: requests.Response) -> bool:
    return response.headers.get("Transfer-Encoding", "").lower() == "chunked"


def _asked_wait_s(response: requests.Response) -> float:
    """Seconds of a Retry-After, in either of its forms."""
    try:
        asked = urllib3.util.Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        # Neither a number nor a date, or none that there is.
        return 0.0
    return min(asked, LONGEST_WAIT_S)


@contextmanager
def _reporting(label: str, show: bool | None) -> Iterator[Report]:
    """Whoever watches, else a progress bar on stderr, gone when done."""
    if (watch := _watch.get()) is not None:
        yield watch
        return
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
