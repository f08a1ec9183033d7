"""`evalsuite run` in a terminal of 80 columns, in a pipe, and as JSON: the same facts, and nothing else on stdout."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from json_schema import published_schema, violations
from run_bench import Bench
from sample_carphone import carphone_file

from evalsuite.cli.runoutput import print_bd
from evalsuite.metrics.registry import infos

COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*3[0-7]m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Everything that moves a cursor or changes a style."""


class Terminal:
    """A pseudo-terminal of 80 columns: give `end` to a program, then read."""

    def __init__(self) -> None:
        self._ours, self.end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)

    def _read(self) -> None:
        try:
            while part := os.read(self._ours, 65536):
                self._parts.append(part)
        except OSError:  # every other end is closed
            pass

    def run(self, command: list[str], *, stdout: int | None = None, **options: Any) -> tuple[int, bytes]:
        """Exit code, and standard output where it goes elsewhere."""
        self._reader.start()
        done = subprocess.run(
            command, stdin=self.end, stdout=stdout or self.end, stderr=self.end, timeout=300, check=False, **options
        )
        os.close(self.end)
        self._reader.join(20)
        os.close(self._ours)
        return done.returncode, done.stdout or b""

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode()


def run_command(folder: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "evalsuite", "run", "--codecs", "x264,x264:fast", "--frames", "30", "--jobs", "2"]
    command += ["--sequences", str(carphone_file("pristine")), "--metrics", "psnr_y,vmaf", "--out", str(folder / "out")]
    return [*command, "--store", str(folder / "store"), *more]


def test_a_real_run_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    terminal = Terminal()
    code, out = terminal.run(run_command(tmp_path, "--json"), stdout=subprocess.PIPE, env=env)
    assert code == 0
    # What moves is on stderr: stdout is one document.
    assert json.loads(out)["outcomes"]["cells"] == 10
    shown = ESCAPE.sub("", terminal.text)
    lines = re.split(r"[\r\n]+", shown)
    assert max(map(len, lines)) <= 80
    for words in ("rate points", " 0/10 ", " 10/10 ", "2 at work, time left unknown yet", "writing results"):
        assert words in shown
    assert re.search(r"(encode|measure) x264(:fast)? \S+carphone_pristine q [\d. ]+ 0:00:\d\d", shown)
    # A fast machine ends before there is a basis for more: what forecasts say is in test_progress.
    assert set(re.findall(r"at work, (.*?) *(?:[\r\n]|$)", shown)) >= {"time left unknown yet"}
    assert COLOUR.search(terminal.text)
    # Answered by the store: what is printed at the end, now with its colours, and without them.
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal()
        assert terminal.run(run_command(tmp_path), env={**env, **more})[0] == 0
        assert bool(COLOUR.search(terminal.text)) == coloured
        shown = ESCAPE.sub("", terminal.text)
        assert "BD-rate of x264:fast against x264\r\n" in shown
        assert re.search(r"psnr_y ↑ +1 +[+-][\d.]+ % +n/a +[+-][\d.]+ *\r\n", shown)
        assert "- saves bits, + costs bits" in shown


def test_without_a_terminal_there_is_no_colour_and_no_bar(tmp_path: Path) -> None:
    env = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}
    done = subprocess.run(run_command(tmp_path), capture_output=True, text=True, env=env, timeout=300, check=True)
    assert "\x1b" not in done.stdout + done.stderr
    assert "rate points ━" not in done.stderr
    assert max(map(len, done.stdout.splitlines()[:6])) <= 80


def test_json_of_a_run_is_one_document_that_holds_what_is_printed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    document = json.loads(bench.run(*bench.arguments("--json")).stdout)
    summary = bench.summary()
    assert (document["status"], document["exit_code"]) == ("done", 0)
    assert document["outcomes"] == summary["outcomes"]
    assert document["bd_rate"] == summary["bd_rate"]
    assert document["run"]["timing"]["remarks"] == []
    assert Path(document["results"]) == Path("results")
    assert (tmp_path / document["report"]).is_file()
    match = document["rate_match_summary"]
    assert match["points"] == len(summary["rate_match"]) == 10
    assert match["within"] == sum(abs(row["deviation_percent"]) <= 3 for row in summary["rate_match"])
    assert match["encodes_per_point"] == sum(row["encodes"] for row in summary["rate_match"]) / 10


def test_json_of_a_run_with_failed_cells_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    arguments = bench.arguments("--json", codecs="toy", clips=1)
    document = json.loads(bench.run(*arguments, expect=3, TOY_FAULT="exit@20").stdout)
    assert (document["status"], document["exit_code"]) == ("done", 3)
    assert [failure["q"] for failure in document["failures"]] == [20]
    assert document["rate_match_summary"] is None


@pytest.mark.parametrize("fault", ["", "exit@8"])
def test_json_of_an_interrupted_run_says_what_is_done(tmp_path: Path, fault: str) -> None:
    bench = Bench(tmp_path)
    running = subprocess.Popen(
        bench.command(*bench.arguments("--json", codecs="toy")),
        cwd=tmp_path,
        env={**bench.env, "TOY_SLEEP": "0.4", "TOY_FAULT": fault},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while bench.logged("encode") < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    document = json.loads(out)
    assert (document["status"], document["exit_code"]) == ("interrupted", 130)
    outcomes = document["outcomes"]
    assert 1 <= outcomes["encodes"] < 10
    assert (outcomes["measured"], outcomes["expected"]) == (0, 10)
    # One of each of the two sequences, as far as they came.
    assert outcomes["failed"] == len(document["failures"])
    assert bool(fault) <= outcomes["failed"] <= 2 * bool(fault)
    assert document["report"] is None


def test_a_run_tells_what_its_sequences_are_like(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(*bench.arguments("--frames", "1", codecs="toy", clips=1))
    (one,) = bench.summary()["sequences"]
    assert one["si"] > 0
    assert one["ti"] is None
    schema = published_schema()
    assert violations(bench.summary(), schema, schema) == []
    # Earlier runs lack them.
    before = {**bench.summary(), "sequences": [{key: one[key] for key in one if key not in ("si", "ti")}]}
    assert violations(before, schema, schema) == []


def bd_row(metric: str, percent: float | None, low: float | None = None, high: float | None = None, **more: str) -> Any:
    names = {"test": "x265:lowdelay:10bit:half:veryslow", "anchor": "dcvc-rt:lowdelay:a-very-long-name-for-a-codec"}
    facts = {**names, "test_rate": "file", "anchor_rate": "estimate", "unlike": "", **more}
    quality = None if percent is None else -percent / 10
    numbers = {"sequences": 12, "bd_rate_percent": percent, "ci_low": low, "ci_high": high, "bd_quality": quality}
    return SimpleNamespace(metric=metric, sequence="*", **facts, **numbers)


ROWS = [
    bd_row("psnr_y", -12.3, -20.0, -3.0),
    bd_row("vmaf", 112.3, 100.4, 300.0, unlike="structure"),
    bd_row("lpips", -2.3, -20.0, 13.0),
    bd_row("face_ap50_centerface", None),
    bd_row("tof", 4.0),
]


def test_every_colour_of_the_bd_table_repeats_a_sign_and_80_columns_hold_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_bd(cast(Any, ROWS), infos())
    coloured = capsys.readouterr().out
    lines = coloured.splitlines()

    def line(metric: str) -> str:
        return next(one for one in lines if f" {metric} " in one)

    green, red, dim = "\x1b[32m", "\x1b[31m", "\x1b[2m"
    assert green in line("psnr_y")
    assert "-12.3 %" in line("psnr_y")
    assert "-20.0 .. -3.0 *" in line("psnr_y")
    assert red in line("vmaf")
    assert "≠ +112.3 %" in line("vmaf")
    # Its interval holds zero: neither better nor worse.
    assert not COLOUR.search(line("lpips"))
    assert "*" not in line("lpips")
    assert dim in line("face_ap50_centerface")
    assert "refused" in line("face_ap50_centerface")
    assert red in line("tof")
    assert "- saves bits, + costs bits; * the 95 % interval leaves out zero; ≠ is not like with like" in lines
    plain = [ESCAPE.sub("", one) for one in lines]
    assert max(map(len, plain[:-1])) <= 80
    assert "".join(plain[:2]).startswith("BD-rate of x265:lowdelay:10bit:half:veryslow against ")
    # The same without colour, letter by letter.
    monkeypatch.setenv("NO_COLOR", "1")
    print_bd(cast(Any, ROWS), infos())
    assert [ESCAPE.sub("", one) for one in capsys.readouterr().out.splitlines()] == plain


def test_signs_that_are_not_used_are_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    print_bd(cast(Any, [bd_row("tof", 4.0)]), infos())
    assert capsys.readouterr().out.splitlines()[-1] == "- saves bits, + costs bits"
    print_bd([], infos())
    assert capsys.readouterr().out == ""
