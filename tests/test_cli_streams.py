"""How a command ends is its own affair: not of those who read what it prints, nor of when Ctrl-C comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gate_samples import rows, write_run
from run_bench import Bench

EVALSUITE = f"{sys.executable} -m evalsuite"
RULE = '[[rule]]\nmeasure = "bd_rate"\nmetric = "vmaf"\nallowed = 1\n'


def shell(command: str, cwd: Path | None = None, **env: str) -> tuple[int, str, str]:
    """Exit code of the first program of a pipe; output and messages."""
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline, the same, and 2 % more rate; rules that decide with all six sequences, and with one of them."""
    folder = tmp_path_factory.mktemp("sides")
    for name, rate in (("base", 1.0), ("same", 1.0), ("worse", 1.02)):
        write_run(folder / name, rows(rate, seed=int(name == "same")))
    (folder / "gate.toml").write_text(RULE)
    (folder / "few.toml").write_text(RULE + 'sequences = ["face"]\n')
    return folder


@pytest.mark.parametrize("where", ["| true", "--json | true", "2>&1 | true", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("candidate", "rules", "code"), [("same", "gate", 0), ("worse", "gate", 1), ("worse", "few", 4)]
)
def test_a_verdict_stands_whoever_reads_it(sides: Path, candidate: str, rules: str, code: int, where: str) -> None:
    command = f"{EVALSUITE} gate --baseline base --candidate {candidate} --config {rules}.toml"
    assert shell(f"{command} {where}", sides)[0] == code


def test_a_baseline_is_kept_though_nobody_reads(sides: Path, tmp_path: Path) -> None:
    for where in ("| true", "> /dev/full"):
        kept = tmp_path / where[-4:]
        command = f"{EVALSUITE} gate --baseline base --candidate worse --config gate.toml --accept {kept} {where}"
        shell(command, sides)
        assert (kept / "results.parquet").read_bytes() == (sides / "worse/results.parquet").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("metrics list", 0), ("--help", 0), ("codecs show nope", 2), ("nope", 2)],
)
@pytest.mark.parametrize("where", ["| true", "2>&1 | true", ">&-", "2>&-", "2>/dev/full"])
def test_a_closed_or_full_stream_does_not_decide_the_exit_code(arguments: str, code: int, where: str) -> None:
    assert shell(f"{EVALSUITE} {arguments} {where}")[0] == code


def test_what_is_read_before_a_pipe_is_closed_is_whole() -> None:
    code, out, _ = shell(f"{EVALSUITE} metrics list --json | head -c 40")
    assert (code, len(out.encode())) == (0, 40)


@pytest.mark.parametrize("arguments", ["metrics list", "metrics list --json", "--help"])
def test_a_full_disk_is_said_in_one_line(arguments: str) -> None:
    code, _, messages = shell(f"{EVALSUITE} {arguments} > /dev/full")
    assert code == 2
    assert "error: standard output cannot be written: No space left on device" in messages.splitlines()


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"])
@pytest.mark.parametrize("arguments", ["run --help", "nope"])
def test_only_a_terminal_has_colour(arguments: str, variable: str) -> None:
    _, out, messages = shell(f"{EVALSUITE} {arguments}", **{variable: "1", "TERM": "xterm-256color"})
    assert "\x1b" not in out + messages


def interrupt(command: list[str], folder: Path, cwd: Path, **env: str) -> tuple[int, str, str]:
    """Run a command with the modules of `folder`, and interrupt it as soon as one of them has left the file `met`."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    running = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **env, "PYTHONPATH": path, "MET": str(folder / "met")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "met").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, messages = running.communicate(timeout=60)
    return running.returncode, out, messages


MET = "import os, time\nopen(os.environ['MET'], 'w').close()\n"
INTERRUPTED = "interrupted; what was finished is kept, the same command goes on from there\n"


@pytest.mark.parametrize("module", ["typer", "pandas"])
def test_ctrl_c_while_a_command_is_read_is_a_message(sides: Path, tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(f"{MET}time.sleep(30)\n")
    command = [sys.executable, "-m", "evalsuite", "gate", "--baseline", "base", "--candidate", "same"]
    assert interrupt(command, tmp_path, sides) == (130, "", INTERRUPTED)


def test_ctrl_c_while_arguments_are_read_is_a_message(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom evalsuite.cli import app, commands\n"
        "def read(*_): raise KeyboardInterrupt\n"
        "commands._Guarded.parse_args = read\nsys.argv[1:] = ['doctor']\napp.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (130, INTERRUPTED)


@pytest.mark.parametrize(
    "met",
    [
        # As a dataclass that is being made: Python itself notes an interrupt that leaves code made of text.
        "exec('raise KeyboardInterrupt')",
        # As an extension that is being read.
        "try: raise KeyboardInterrupt\n    except BaseException as error: raise ImportError('failed') from error",
    ],
)
def test_ctrl_c_in_what_is_read_ends_as_an_interrupt(tmp_path: Path, met: str) -> None:
    code = f"from evalsuite.cli import app\ndef read():\n    {met}\napp._run = read\napp.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", INTERRUPTED)


def test_a_folder_that_was_removed_is_a_message(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -P -m evalsuite codecs list"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the current folder is not there any more")


SLOW = f"""
{MET.splitlines()[0]}
import sys

class Slow:
    def find_spec(self, name, *_):
        if name == "evalsuite.engine.request":
            {MET.splitlines()[1]}
            end = time.monotonic() + 2
            while time.monotonic() < end:
                pass

sys.meta_path.insert(0, Slow())
"""
"""A module that the run alone reads takes its time."""


def test_json_of_a_run_that_is_interrupted_early_is_there(tmp_path: Path) -> None:
    """While its modules are read: Ctrl-C waits for them, and the document says that nothing is done."""
    bench = Bench(tmp_path)
    late = tmp_path / "late"
    late.mkdir()
    (late / "sitecustomize.py").write_text(SLOW)
    command = bench.command(*bench.arguments("--json", codecs="toy"))
    code, out, messages = interrupt(command, late, tmp_path, **bench.env)
    assert (code, messages) == (130, INTERRUPTED)
    document = json.loads(out)
    assert (document["status"], document["exit_code"], document["failures"]) == ("interrupted", 130, [])
    assert set(document["outcomes"].values()) == {0}
    assert document["request"]["command"][:2] == ["evalsuite", "run"]
