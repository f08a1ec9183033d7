"""`datasets fetch`: several sequences at a time, and what fails does not stop the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import Result
from http_server import Request, Server
from sample_archives import sha256, wheel
from sample_videos import known_frames
from typer.testing import CliRunner

from evalsuite.cli.datasets import app
from evalsuite.errors import EvalError
from evalsuite.sources import fetching
from evalsuite.sources.dataset import load_dataset
from evalsuite.sources.fetching import fetch_all
from evalsuite.sources.y4m import join_planes
from evalsuite.types import VideoFormat

FORMAT = VideoFormat(64, 48)
RAW = b"".join(map(join_planes, known_frames(FORMAT, 8)))

pytestmark = pytest.mark.usefixtures("project")


def manifest(sources: dict[str, str]) -> None:
    """./datasets/set.toml with a sequence for each source."""
    rows = [f"{{ name = {json.dumps(name)}, sources = [{{ {source} }}] }}" for name, source in sources.items()]
    lines = ['version = "1"', 'defaults = { width = 64, height = 48, frame_rate = "25", raw = true, COLOUR }']
    text = "\n".join([*lines, "sequences = [", ",\n".join(rows), "]"])
    colour = 'matrix = "bt601", range = "limited", licence = "-"'
    Path("datasets/set.toml").write_text(text.replace("COLOUR", colour), encoding="utf-8")


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_the_rest_is_fetched_and_what_failed_is_listed(server: Server) -> None:
    urls = {name: server.add(f"/{name}.yuv", RAW) for name in ("one", "three")}
    urls["two"] = server.url("/two.yuv")
    manifest({name: f'url = "{urls[name]}"' for name in ("one", "two", "three")})
    result = run("fetch", "set", "--json", code=3)
    rows = json.loads(result.stdout)
    assert [(row["name"], row["status"]) for row in rows] == [("one", "ok"), ("two", "failed"), ("three", "ok")]
    assert "404" in rows[1]["error"]
    assert all(sha256(Path(row["path"]).read_bytes()) == row["sha256"] for row in rows if row["status"] == "ok")
    for part in ("failed: two: the server does not give the file", "1 of 3 sequences failed", "pinned in"):
        assert part in result.stderr
    assert "3 of 3" in result.stderr
    server.add("/two.yuv", RAW)
    assert [row["status"] for row in json.loads(run("fetch", "set", "--json").stdout)] == ["ok"] * 3
    assert server.asked["/one.yuv"] == 1


def test_connections_work_side_by_side_and_no_more_than_asked(server: Server) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def answer(request: Request) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.2)
        with lock:
            at_once -= 1
        request.serve(RAW)

    manifest({f"s{n}": f'url = "{server.add(f"/{n}.yuv", answer)}"' for n in range(6)})
    begun = time.monotonic()
    done = list(fetch_all(load_dataset("set").sequences, lambda *_: None, connections=3))
    assert [one.error for one in done] == [None] * 6
    assert most == 3
    assert time.monotonic() - begun < 6 * 0.2 + 5


@pytest.mark.parametrize("field", ["key", "author", "token"])
def test_addresses_that_differ_in_what_is_not_shown_are_two_files(server: Server, field: str) -> None:
    """What may be a secret is kept out of messages and lock files, not out of what tells one address from another."""
    other = bytes(reversed(RAW))

    def answer(request: Request) -> None:
        request.serve(RAW if request.path.endswith("=one") else other)

    url = server.add("/download", answer)
    manifest({name: f'url = "{url}?{field}={name}"' for name in ("one", "two")})
    rows = {row["name"]: row for row in json.loads(run("fetch", "set", "--json").stdout)}
    for name, content in (("one", RAW), ("two", other)):
        assert content[: FORMAT.frame_bytes] in Path(rows[name]["path"]).read_bytes()


def test_sequences_of_one_archive_share_it(server: Server) -> None:
    url = server.add("/set.zip", wheel({f"{n}.yuv": RAW for n in range(5)}))
    manifest({f"s{n}": f'url = "{url}", path = "{n}.yuv"' for n in range(5)})
    done = list(fetch_all(load_dataset("set").sequences, lambda *_: None))
    assert [one.error for one in done] == [None] * 5
    assert server.asked["/set.zip"] == 1


def test_sequences_of_one_file_share_it(server: Server) -> None:
    url = server.add("/all.yuv", RAW)
    manifest({f"s{n}": f'url = "{url}"' for n in range(4)})
    text = Path("datasets/set.toml").read_text(encoding="utf-8")
    for n in range(4):
        text = text.replace(f'name = "s{n}",', f'name = "s{n}", start = {2 * n}, frames = 2,')
    Path("datasets/set.toml").write_text(text, encoding="utf-8")
    done = list(fetch_all(load_dataset("set").sequences, lambda *_: None))
    assert [one.error for one in done] == [None] * 4
    assert server.asked["/all.yuv"] == 1
    assert len({one.sequence.sha256 for one in done if one.sequence}) == 4


def test_processes_share_a_file_without_a_digest(server: Server) -> None:
    """Each finds what another one has fetched, kept or about to be."""

    def slowly(request: Request) -> None:
        time.sleep(1.5)
        request.serve(RAW)

    manifest({"one": f'url = "{server.add("/all.yuv", slowly)}"'})
    text = Path("datasets/set.toml").read_text(encoding="utf-8")
    commands = []
    for n in range(4):
        Path(f"datasets/set{n}.toml").write_text(text.replace('name = "one"', f'name = "one", start = {n}'))
        commands.append([sys.executable, "-m", "evalsuite", "datasets", "fetch", f"set{n}"])
    running = [subprocess.Popen(one, stderr=subprocess.PIPE, stdout=subprocess.PIPE) for one in commands]
    told = [one.communicate(timeout=120)[1].decode() for one in running]
    assert [one.returncode for one in running] == [0] * 4, told
    assert server.asked["/all.yuv"] == 1


def test_progress_is_told_by_name_with_the_total(server: Server) -> None:
    manifest({name: f'url = "{server.add(f"/{name}.yuv", RAW)}"' for name in ("one", "two")})
    told: dict[str, tuple[int, int | None]] = {}
    for one in fetch_all(load_dataset("set").sequences, lambda name, size, total: told.update({name: (size, total)})):
        assert one.sequence
    assert told == {"one": (len(RAW), len(RAW)), "two": (len(RAW), len(RAW))}


def test_a_fault_of_ours_is_not_swallowed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest({"one": f'url = "{server.add("/one.yuv", RAW)}"'})

    def broken(_entry: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fetching, "prepare", broken)
    with pytest.raises(ZeroDivisionError):
        list(fetch_all(load_dataset("set").sequences, lambda *_: None))
    assert not issubclass(ZeroDivisionError, EvalError)


def test_a_terminal_shows_bars_with_the_totals(server: Server) -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

    def slowly(request: Request) -> None:
        request.begin(200, len(RAW))
        for start in range(0, len(RAW), 10_000):
            request.wfile.write(RAW[start : start + 10_000])
            request.wfile.flush()
            time.sleep(0.2)

    manifest({"one": f'url = "{server.add("/one.yuv", slowly)}"', "two": f'url = "{server.add("/two.yuv", RAW)}"'})
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "evalsuite", "datasets", "fetch", "set"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stderr=child, stdout=subprocess.PIPE, env=environment) as process:
        stdout, _ = process.communicate(timeout=60)
    os.close(child)
    drawn = os.read(parent, 1 << 20).decode()
    os.close(parent)
    assert process.returncode == 0
    assert len(stdout.splitlines()) == 2
    assert "sequences" in drawn
    assert "/2" in drawn
    assert "36.9" in drawn  # kB of the file: 8 x 64 x 48 x 1.5 bytes


def test_ctrl_c_stops_at_once_and_the_next_time_goes_on(server: Server, tmp_path: Path) -> None:
    held = threading.Event()

    def answer(request: Request) -> None:
        if request.offset:
            request.serve(RAW)
            return
        request.begin(200, len(RAW))
        request.wfile.write(RAW[:20_000])
        request.wfile.flush()
        held.wait(20)

    url = server.add("/one.yuv", answer)
    manifest({"one": f'url = "{url}", sha256 = "{sha256(RAW)}"'})
    command = [sys.executable, "-m", "evalsuite", "datasets", "fetch", "set"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    part = tmp_path / "cache" / "files" / f"{sha256(RAW)[:16]}-one.yuv.part"
    deadline = time.monotonic() + 30
    while not server.asked["/one.yuv"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    held.set()
    assert process.returncode == 130
    assert "the same command goes on from there" in stderr.decode()
    assert part.exists()
    run("fetch", "set")
    assert server.asked["/one.yuv"] == 2
