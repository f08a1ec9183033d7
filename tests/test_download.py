"""The downloader against a real server that drops, truncates, lies, redirects, and serves the wrong file."""

from __future__ import annotations

import hashlib
import io
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from http_server import Request, Server, slowly

from evalsuite import download
from evalsuite.download import fetch_url
from evalsuite.errors import AssetError
from evalsuite.remote import shown

DATA = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
FETCH = (
    "import sys; from pathlib import Path; from evalsuite.download import fetch_url;"
    "fetch_url(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3])"
)
"""A program for another process: URL, target and digest are its arguments."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_S", (2, 2))


def refusal(url: str, target: Path, **options: object) -> AssetError:
    """The error of a fetch that must fail, after checking that it is complete and that nothing took the name."""
    with pytest.raises(AssetError) as caught:
        fetch_url(url, target, **options)  # type: ignore[arg-type]
    error = caught.value
    assert error.where
    assert error.fix
    assert not target.exists()
    return error


def test_fetches_a_file_and_leaves_nothing_but_it(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    target = tmp_path / "deep" / "file"
    assert fetch_url(url, target, sha256=SHA256, size=len(DATA)) == target
    assert target.read_bytes() == DATA
    assert [path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")] == ["file"]


def test_a_file_that_is_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    for _ in range(3):
        fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert server.asked["/file"] == 1


def test_a_file_that_was_changed_on_disk_is_fetched_again(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    target = fetch_url(url, tmp_path / "file", sha256=SHA256)
    target.write_bytes(DATA[:-1] + b"?")
    fetch_url(url, target, sha256=SHA256)
    assert target.read_bytes() == DATA
    assert server.asked["/file"] == 2


def test_resumes_after_the_connection_drops(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", lambda request: request.serve(DATA, stop_after=100_000))
    fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.ranges if asked]
    assert len(starts) >= 2
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_resumes_what_an_earlier_process_left(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    (tmp_path / "file.part").write_bytes(DATA[:123_456])
    fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.ranges == ["bytes=123456-"]


def test_a_complete_part_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA)
    fetch_url(f"http://127.0.0.1:{closed_port()}/file", tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("leftover", [b"another file's bytes", DATA + b"too long", DATA[:-1] + b"?"])
def test_a_foreign_part_is_thrown_away(server: Server, tmp_path: Path, leftover: bytes) -> None:
    url = server.add("/file", DATA)
    (tmp_path / "file.part").write_bytes(leftover)
    fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_server_that_ignores_ranges_restarts_the_file(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.serve(DATA, ignore_range=True, stop_after=1000 if request.count == 1 else None)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_server_that_sends_another_range_restarts_the_file(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.offset:
            request.begin(206, 10, Content_Range=f"bytes 5-14/{len(DATA)}")
            request.wfile.write(DATA[5:15])
        else:
            request.serve(DATA, stop_after=1000 if request.count == 1 else None)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_server_that_announces_more_than_it_has(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.begin(200, len(DATA) + 1000)
        request.wfile.write(DATA)
        request.drop()

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.asked["/file"] == 1  # the digest says that nothing is missing


def test_a_server_that_announces_less_than_it_has(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.count > 1:
            request.serve(DATA)
            return
        request.begin(200, 1000)
        request.wfile.write(DATA)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_known_size_tells_a_cut_file_from_a_wrong_one(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.offset:
            request.serve(DATA)
        else:
            request.serve(DATA[:1000])

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256, size=len(DATA))
    assert server.ranges == [None, "bytes=1000-"]


def test_a_server_that_always_truncates_is_given_up_and_its_bytes_are_kept(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.offset:
            request.drop()
        else:
            request.serve(DATA, stop_after=1000)

    error = refusal(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert "1000 bytes are kept" in str(error)
    assert (tmp_path / "file.part").read_bytes() == DATA[:1000]
    assert server.asked["/file"] == download.ATTEMPTS


def test_wrong_bytes_are_refused_with_both_digests(server: Server, tmp_path: Path) -> None:
    other = b"x" * len(DATA)
    error = refusal(server.add("/file", other), tmp_path / "file", sha256=SHA256)
    assert SHA256 in str(error)
    assert hashlib.sha256(other).hexdigest() in str(error)
    assert server.asked["/file"] == 2  # once more from the first byte, in case a proxy cut it


def test_an_endless_file_stops_at_the_known_size(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.begin(200, None)
        while True:
            request.wfile.write(b"\0" * 65536)

    error = refusal(server.add("/file", answer), tmp_path / "file", sha256=SHA256, size=len(DATA))
    assert f"{len(DATA)} bytes at most" in str(error)
    assert (tmp_path / "file.part").stat().st_size == 0


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.add("/file", DATA)
    url = server.add("/moved", lambda request: request.begin(302, 0, Location="/file"))
    fetch_url(url, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_redirect_loop_ends(server: Server, tmp_path: Path) -> None:
    url = server.add("/loop", lambda request: request.begin(302, 0, Location="/loop"))
    assert "redirects" in str(refusal(url, tmp_path / "file", sha256=SHA256))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/file", "http://["])
def test_a_redirect_to_elsewhere_is_refused(server: Server, tmp_path: Path, location: str) -> None:
    url = server.add("/moved", lambda request: request.begin(302, 0, Location=location))
    refusal(url, tmp_path / "file", sha256=SHA256)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.count < 3:
            request.begin(503, 0)
        else:
            request.serve(DATA)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert server.asked["/file"] == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_final_answer_is_not_asked_for_again(server: Server, tmp_path: Path, status: int) -> None:
    url = server.add("/file", lambda request: request.begin(status, 0))
    assert str(status) in str(refusal(url, tmp_path / "file", sha256=SHA256))
    assert server.asked["/file"] == 1


def test_attempts_can_be_limited(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", lambda request: request.begin(503, 0))
    refusal(url, tmp_path / "file", sha256=SHA256, attempts=1)
    assert server.asked["/file"] == 1


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/file", tmp_path / "file", attempts=2)
    assert "timed out" in str(error)


def test_no_network_is_one_clear_error(tmp_path: Path) -> None:
    error = refusal(f"http://127.0.0.1:{closed_port()}/file", tmp_path / "file", sha256=SHA256)
    assert "refused" in str(error)
    assert "network" in str(error.fix)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/file", "file:///etc/passwd", "nonsense", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(tmp_path: Path, url: str) -> None:
    refusal(url, tmp_path / "file", sha256=SHA256)


def test_a_full_disk_is_named_and_what_arrived_is_kept(server: Server, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    url = server.add("/file", DATA)
    (tmp_path / "file.part").symlink_to("/dev/full")  # the kernel answers every write with ENOSPC
    error = refusal(url, tmp_path / "file", sha256=SHA256)
    assert "disk is full" in str(error)
    assert "EVALSUITE_CACHE" in str(error.fix)


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"a file where a folder should be")
    with pytest.raises(AssetError, match="cannot be written") as caught:
        fetch_url(server.add("/file", DATA), tmp_path / "blocked" / "file", sha256=SHA256)
    assert "EVALSUITE_CACHE" in str(caught.value.fix)
    assert server.asked["/file"] == 0


def test_a_read_only_folder_is_named(server: Server, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/sys/kernel")  # read-only even for root
        if not folder.is_dir():
            pytest.skip("needs /sys, or a user other than root: root may write to read-only folders")
    else:
        folder = tmp_path
        folder.chmod(0o500)
    try:
        with pytest.raises(AssetError, match="cannot be written") as caught:
            fetch_url(server.add("/file", DATA), folder / "evalsuite" / "file", sha256=SHA256)
    finally:
        tmp_path.chmod(0o700)
    assert "EVALSUITE_CACHE" in str(caught.value.fix)


def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", slowly(DATA, seconds=1.0))
    command = [sys.executable, "-c", FETCH, url, str(tmp_path / "file"), SHA256]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr.decode()
        assert stderr == b""  # no progress bar where stderr is not a terminal
    assert (tmp_path / "file").read_bytes() == DATA
    assert server.asked["/file"] == 1


def test_a_bar_is_drawn_on_a_terminal(server: Server, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    url = server.add("/file", slowly(DATA, seconds=0.5))
    parent, child = pty.openpty()
    program = f"{FETCH}; print('done')"
    command = [sys.executable, "-c", program, url, str(tmp_path / "file"), SHA256]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stderr=child, stdout=subprocess.PIPE, env=environment) as process:
        stdout, _ = process.communicate(timeout=60)
    os.close(child)
    drawn = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert stdout == b"done\n"
    assert "kB" in drawn


def test_without_a_digest_a_file_that_is_there_stays(server: Server, tmp_path: Path) -> None:
    url = server.add("/file", DATA)
    (tmp_path / "file").write_bytes(b"mine")
    fetch_url(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert server.asked["/file"] == 0


def test_passwords_are_never_shown(server: Server, tmp_path: Path) -> None:
    assert shown("https://user:secret@host/simple/") == "https://host/simple/"
    url = server.url("/gone").replace("http://", "http://user:secret@")
    assert "secret" not in str(refusal(url, tmp_path / "file", sha256=SHA256))
    closed = f"http://user:secret@127.0.0.1:{closed_port()}/file"
    assert "secret" not in str(refusal(closed, tmp_path / "file", sha256=SHA256))


def test_nothing_is_compressed_on_the_way(server: Server, tmp_path: Path) -> None:
    asked = io.StringIO()

    def answer(request: Request) -> None:
        asked.write(request.headers["Accept-Encoding"])
        request.serve(DATA)

    fetch_url(server.add("/file", answer), tmp_path / "file", sha256=SHA256)
    assert asked.getvalue() == "identity"


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
