"""Downloads whose digest nobody knows, and a real server that stalls, changes its mind, loops and asks for patience."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pytest
from http_server import Request, Server

from evalsuite import download
from evalsuite.download import fetch_url, watched
from evalsuite.errors import AssetError

DATA = random.Random(3).randbytes(200_000)
NEWER = random.Random(4).randbytes(200_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_S", (2, 0.3))


def answer_version(request: Request, data: bytes, tag: str, stop_after: int | None = None) -> None:
    """As a server does that knows its versions: a range only of the one that is asked for (RFC 9110, 13.1.5)."""
    headers = {"ETag": tag} if tag.startswith(('"', "W/")) else {"Last_Modified": tag} if tag else {}
    start = request.offset if request.headers.get("If-Range") in (None, tag) else 0
    body = data[start:]
    if start:
        request.begin(206, len(body), Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}", **headers)
    else:
        request.begin(200, len(body), **headers)
    request.wfile.write(body[:stop_after])
    if stop_after is not None:
        request.drop()


@pytest.mark.parametrize("tag", ['"one"', "Sat, 28 Nov 2026 00:00:00 GMT"])
def test_a_file_without_a_digest_is_resumed_where_the_server_tells_its_version(
    server: Server, tmp_path: Path, tag: str
) -> None:
    url = server.add("/file", lambda request: answer_version(request, DATA, tag, 90_000 if request.count < 3 else None))
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, "bytes=90000-", "bytes=180000-"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["file"]


def test_another_process_goes_on_with_it_too(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", lambda request: answer_version(request, DATA, '"one"', 1000))
    with pytest.raises(AssetError, match="could not be downloaded"):
        fetch_url(url, tmp_path / "file", attempts=1)
    server.add("/file", lambda request: answer_version(request, DATA, '"one"'))
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, "bytes=1000-"]


def test_a_file_that_changes_between_two_requests_is_never_mixed(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.count == 1:
            answer_version(request, DATA, '"one"', 90_000)
        else:
            answer_version(request, NEWER, '"two"')

    fetch_url(server.add("/file", answer), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == NEWER


def test_a_server_that_minds_no_if_range_is_caught_by_its_etag(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        data, tag = (DATA, '"one"') if request.count == 1 else (NEWER, '"two"')
        start = request.offset
        if start:
            length = len(data) - start
            request.begin(206, length, Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}", ETag=tag)
        else:
            request.begin(200, len(data), ETag=tag)
        request.wfile.write(data[start:][: 90_000 if request.count == 1 else None])
        if request.count == 1:
            request.drop()

    fetch_url(server.add("/file", answer), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == NEWER


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_version_nothing_is_resumed(server: Server, tmp_path: Path, tag: str) -> None:
    def answer(request: Request) -> None:
        answer_version(request, DATA if request.count > 1 else NEWER, tag, 90_000 if request.count == 1 else None)

    url = server.add("/file", answer)
    with pytest.raises(AssetError, match="could not be downloaded"):
        fetch_url(url, tmp_path / "file", attempts=1)
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, None]


def test_without_digest_size_or_length_a_cut_file_would_pass(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.begin(200, None)
        request.wfile.write(DATA[:1000])

    url = server.add("/file", answer)
    with pytest.raises(AssetError, match="does not say how long") as caught:
        fetch_url(url, tmp_path / "file")
    assert "sha256 or size" in str(caught.value.fix)
    fetch_url(url, tmp_path / "file", size=1000)
    assert (tmp_path / "file").read_bytes() == DATA[:1000]


def chunked(request: Request, data: bytes, *, whole: bool) -> None:
    request.begin(200, None, Transfer_Encoding="chunked")
    for start in range(0, len(data), 50_000):
        part = data[start : start + 50_000]
        request.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    if whole:
        request.wfile.write(b"0\r\n\r\n")
    else:
        request.drop()


def test_chunks_say_their_end(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", lambda request: chunked(request, DATA, whole=request.count > 1))
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.asked["/file"] == 2


def test_an_endless_file_without_a_digest_stops(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST_BYTES", 1_000_000)

    def answer(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        while True:
            request.wfile.write(b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")

    with pytest.raises(AssetError, match="sends more than"):
        fetch_url(server.add("/file", answer), tmp_path / "file")
    assert (tmp_path / "file.part").stat().st_size == 0


def test_a_size_that_the_manifest_states_and_the_server_does_not_have(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    with pytest.raises(AssetError, match="could not be downloaded") as caught:
        fetch_url(url, tmp_path / "file", size=len(DATA) + 1)
    assert str(len(DATA) + 1) in str(caught.value)
    with pytest.raises(AssetError, match="sends more than"):
        fetch_url(url, tmp_path / "other", size=len(DATA) - 1)


def test_a_server_that_stalls_in_the_middle_is_asked_for_the_rest(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.count > 1:
            request.serve(DATA)
            return
        request.begin(200, len(DATA))
        request.wfile.write(DATA[:70_000])
        request.wfile.flush()
        time.sleep(1)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, "bytes=70000-"]


def test_a_redirect_to_another_name_of_the_host(server: Server, tmp_path: Path) -> None:
    elsewhere = server.add("/file", DATA).replace("127.0.0.1", "localhost")
    url = server.add("/moved", lambda request: request.begin(301, 0, Location=elsewhere))
    fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_loop_over_two_addresses_ends(server: Server, tmp_path: Path) -> None:
    url = server.add("/a", lambda request: request.begin(302, 0, Location="/b"))
    server.add("/b", lambda request: request.begin(302, 0, Location="/a"))
    with pytest.raises(AssetError, match="cannot be fetched from") as caught:
        fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert "redirects" in str(caught.value)
    assert server.asked["/a"] <= 31


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(server: Server, tmp_path: Path, status: int) -> None:
    times: list[float] = []

    def answer(request: Request) -> None:
        times.append(time.monotonic())
        if request.count == 1:
            request.begin(status, 0, Retry_After="1")
        else:
            request.serve(DATA)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize(
    "asked",
    [
        *("soon", "86400", "Sat, 28 Nov 2099 00:00:00 GMT", "-1", "1e400", "9" * 5000),
        *("Fri, 31 Dec 99999999999 23:59:59 GMT", "Fri, 31 Dec 10000 23:59:59 GMT"),
    ],
)
def test_patience_has_an_end(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(download, "LONGEST_WAIT_S", 0.05)

    def answer(request: Request) -> None:
        if request.count == 1:
            request.begin(429, 0, Retry_After=asked)
        else:
            request.serve(DATA)

    begun = time.monotonic()
    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert time.monotonic() - begun < 5


def test_500_is_asked_again_and_404_is_not(server: Server, tmp_path: Path) -> None:
    url = server.add("/broken", lambda request: request.begin(500, 0))
    with pytest.raises(AssetError, match="could not be downloaded"):
        fetch_url(url, tmp_path / "file", sha256=SHA256)
    with pytest.raises(AssetError, match="does not give the file"):
        fetch_url(server.url("/missing"), tmp_path / "file", sha256=SHA256)
    assert (server.asked["/broken"], server.asked["/missing"]) == (download.ATTEMPTS, 1)


def test_an_error_page_that_calls_itself_fine_is_no_file(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", b"<!doctype html><title>We moved</title>")
    with pytest.raises(AssetError, match="another file than expected") as caught:
        fetch_url(url, tmp_path / "file", sha256=SHA256, stated_in="sets.lock of 2026-11-28")
    assert "as sets.lock of 2026-11-28 says" in str(caught.value)
    assert "correct sets.lock" in str(caught.value.fix)


def test_whoever_watches_is_told_and_no_bar_is_drawn(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[int, int | None]] = []
    with watched(lambda size, total: told.append((size, total))):
        fetch_url(server.add("/file", DATA), tmp_path / "file", sha256=SHA256, progress=True)
    assert told[-1] == (len(DATA), len(DATA))
    assert [size for size, _ in told] == sorted(size for size, _ in told)
    assert capsys.readouterr().err == ""


def test_bytes_that_are_thrown_away_are_no_progress(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_NOTEWORTHY_BYTES", 10_000)

    def answer(request: Request) -> None:
        assert request.count < 30, "it goes on for ever"
        end = len(DATA) - 1
        # Whatever is asked for, the file begins anew, and the line drops half-way.
        if request.offset:
            request.begin(206, len(DATA), Content_Range=f"bytes 0-{end}/{len(DATA)}")
        else:
            request.begin(200, len(DATA))
        request.wfile.write(DATA[:90_000])
        request.drop()

    with pytest.raises(AssetError, match="could not be downloaded"):
        fetch_url(server.add("/file", answer), tmp_path / "file", sha256="0" * 64)
    # The first brings news and so costs nothing of the budget but itself; the rest is the budget.
    assert server.asked["/file"] == download.ATTEMPTS


# ---------------------------------------------------------------- parts that are less than was asked for


def part(request: Request, data: bytes, most: int, *, whole: str | None = None, tag: str = '"one"') -> None:
    """As a server does that gives at most so many bytes at a time (RFC 9110, section 15.3.7)."""
    start = request.offset
    body = data[start : start + most]
    told = f"bytes {start}-{start + len(body) - 1}/{len(data) if whole is None else whole}"
    if request.headers.get("Range"):
        request.begin(206, len(body), Content_Range=told, ETag=tag)
    else:
        request.begin(200, len(data), ETag=tag)
    request.wfile.write(body)
    if not request.headers.get("Range"):
        request.drop()


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}, {"size": len(DATA)}, {"sha256": SHA256, "size": len(DATA)}])
def test_a_server_that_gives_a_file_in_pieces_is_asked_for_all_of_them(
    server: Server, tmp_path: Path, known: dict[str, object]
) -> None:
    """Many more pieces than there are attempts: none of them is a failure."""
    url = server.add("/file", lambda request: part(request, DATA, 20_000))
    fetch_url(url, tmp_path / "file", **known)  # type: ignore[arg-type]
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, *(f"bytes={start}-" for start in range(20_000, 200_000, 20_000))]


def test_pieces_of_a_file_of_unknown_length_go_on_to_its_size(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", lambda request: part(request, DATA, 20_000, whole="*"))
    fetch_url(url, tmp_path / "file", size=len(DATA))
    assert (tmp_path / "file").read_bytes() == DATA
    server.add("/other", lambda request: part(request, DATA, 20_000, whole="*"))
    with pytest.raises(AssetError, match="does not say how long the file is"):
        fetch_url(server.url("/other"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("told", ["bytes 0-999/200000", "bytes 0-999/*", "bytes 0-199999", "", "bytes 5-1/200000"])
def test_a_part_that_nobody_asked_for_is_no_file(server: Server, tmp_path: Path, told: str) -> None:
    def answer(request: Request) -> None:
        request.begin(206, 1000, Content_Range=told, ETag='"one"')
        request.wfile.write(DATA[:1000])

    url = server.add("/file", answer)
    with pytest.raises(AssetError, match="could not be downloaded") as caught:
        fetch_url(url, tmp_path / "file")
    assert "another range than asked for" in str(caught.value)
    assert not (tmp_path / "file").exists()


def test_a_whole_file_that_calls_itself_a_part_is_one(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        start = request.offset
        request.begin(206, len(DATA) - start, Content_Range=f"bytes {start}-199999/200000", ETag='"one"')
        request.wfile.write(DATA[start : start + 150_000])

    url = server.add("/file", answer)
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, "bytes=150000-"]


def test_more_bytes_than_the_range_has_are_not_taken(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.offset:
            request.begin(206, 2000, Content_Range="bytes 1000-1999/200000", ETag='"one"')
            request.wfile.write(DATA[1000:3000])
        else:
            request.begin(200, len(DATA), ETag='"one"')
            request.wfile.write(DATA if request.count > 2 else DATA[:1000])
            request.drop()

    url = server.add("/file", answer)
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == [None, "bytes=1000-", None]
