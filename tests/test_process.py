from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from evalsuite import process
from evalsuite.errors import MediaError, ProcessError

PYTHON = sys.executable


def ends_soon(pid: int) -> bool:
    """Whether a process is gone, or will be in a moment: a kill takes effect when its target is next scheduled."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_cpu_and_wall_seconds_are_those_of_the_process_tree() -> None:
    burn = "import time; t = time.process_time()\nwhile time.process_time() - t < 0.4: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    usage = process.run([PYTHON, "-c", nested])
    assert 0.4 <= usage.cpu_s < 2
    assert usage.wall_s >= 0.4
    idle = process.run([PYTHON, "-c", "import time; time.sleep(0.5)"])
    assert idle.wall_s >= 0.5
    assert idle.cpu_s < 0.4


def test_a_failing_command_shows_itself_and_its_last_words() -> None:
    with pytest.raises(ProcessError) as caught:
        process.run([PYTHON, "-c", "import sys; print('the reason', file=sys.stderr); sys.exit(7)"])
    assert "code 7" in str(caught.value)
    assert caught.value.stderr_tail == "the reason"
    assert caught.value.command[0] == PYTHON


def test_a_command_that_cannot_start_is_an_error() -> None:
    with pytest.raises(ProcessError, match="cannot start"):
        process.run(["/nonexistent/encoder"])


def test_a_timeout_kills_the_whole_process_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    started = time.monotonic()
    with pytest.raises(ProcessError, match="killed with its process group"):
        process.run([PYTHON, "-c", parent], timeout=2)
    assert time.monotonic() - started < 10
    assert ends_soon(int(pid_file.read_text()))


def test_a_child_left_behind_dies_with_the_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = (
        f"import subprocess, sys, time, os; subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"while not os.path.exists({str(pid_file)!r}): time.sleep(0.01)"
    )
    process.run([PYTHON, "-c", parent])
    assert ends_soon(int(pid_file.read_text()))


def test_a_flood_on_stderr_neither_blocks_nor_fills_memory() -> None:
    flood = "import sys\nfor i in range(200000): sys.stderr.write('x' * 50 + '\\r')\nprint('end', file=sys.stderr)"
    with process.Running([PYTHON, "-c", flood]) as running:
        running.finish()
        assert running.stderr_tail.endswith("end")
        assert len(running.stderr_tail) < 200_000


def test_leaving_the_context_kills_what_still_runs() -> None:
    with process.Running([PYTHON, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE) as running:
        started = time.monotonic()
    assert time.monotonic() - started < 5
    with pytest.raises(ProcessError, match="signal 9"):
        running.finish()


def test_killed_by_a_signal_is_said() -> None:
    with pytest.raises(ProcessError, match="killed by signal 11"):
        process.run([PYTHON, "-c", "import os; os.kill(os.getpid(), 11)"])


def test_errors_cross_process_borders_whole() -> None:
    error = ProcessError("it failed", command=("a", "b"), stderr_tail="tail", where="here", fix="do this")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.command, copy.stderr_tail, copy.fix) == (("a", "b"), "tail", "do this")
    media = MediaError("bad", expected=1, got=2)
    assert str(pickle.loads(pickle.dumps(media))) == str(media)
