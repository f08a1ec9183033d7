from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import psutil
import pytest

from evalsuite import process, proctree
from evalsuite.errors import MediaError, ProcessError
from evalsuite.proctree import Watcher, can_watch

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


watched = pytest.mark.skipif(not can_watch(), reason="/proc/PID/status is not on this system")
HOLD = "import sys, time\nheld = bytearray(b'x') * (int(sys.argv[1]) << 20)\ntime.sleep(float(sys.argv[2]))"
MB = 1 << 20


@watched
def test_peak_memory_is_the_programs_own_and_not_that_of_who_started_it(tmp_path: Path) -> None:
    # A worker that holds a network: what it starts by vfork would inherit its peak.
    script = (
        "from evalsuite import process\n"
        "import sys\n"
        "held = bytearray(b'x') * (300 << 20)\n"
        "print(process.run([sys.executable, '-c', 'import time; time.sleep(0.5)']).peak_rss_bytes)\n"
    )
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=True)
    assert 2 * MB < int(done.stdout) < 100 * MB


@watched
def test_peak_memory_is_that_of_the_process_tree() -> None:
    own = process.run([PYTHON, "-c", HOLD, "60", "0.1"]).peak_rss_bytes
    assert 60 * MB < own < 120 * MB
    tree = f"import subprocess, sys\nheld = bytearray(b'x') * {60 * MB}\n" + (
        f"subprocess.run([sys.executable, '-c', {HOLD!r}, '80', '1'])"
    )
    both = process.run([PYTHON, "-c", tree]).peak_rss_bytes
    assert 140 * MB < both < 220 * MB


@watched
def test_a_program_over_the_memory_limit_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    hungry = (
        f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
        f"held = []\nfor _ in range(100): held.append(bytearray(b'x') * {8 * MB}); time.sleep(0.05)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}])"
    process.limit_memory(150 * MB)
    try:
        assert process.run([PYTHON, "-c", HOLD, "50", "0.3"]).peak_rss_bytes > 50 * MB
        with pytest.raises(ProcessError, match="more memory than it may") as caught:
            process.run([PYTHON, "-c", parent])
    finally:
        process.limit_memory(None)
    assert "at most 157 MB" in str(caught.value)
    assert "--memory-limit" in str(caught.value)
    assert ends_soon(int(pid_file.read_text()))


@watched
def test_a_program_that_was_seen_before_it_began_its_session_is_watched() -> None:
    late = (
        "import os, sys\nsys.stdin.readline(); os.setsid()\n"
        f"held = bytearray(b'x') * {60 * MB}\nprint(flush=True)\ninput()"
    )
    watcher, looks, sizes = Watcher(), Event(), []
    with (
        subprocess.Popen(["sleep", "60"], start_new_session=True) as other,
        subprocess.Popen([PYTHON, "-c", late], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program,
    ):
        try:
            watcher.add(other.pid, lambda _: looks.set())
            for _ in range(2):  # the second one began after the program was there
                looks.clear()
                assert looks.wait(10)
            assert program.stdin is not None
            assert program.stdout is not None
            print(file=program.stdin, flush=True)
            program.stdout.readline()
            seen = Event()
            watcher.add(program.pid, lambda size: (sizes.append(size), seen.set()))
            assert seen.wait(10)
        finally:
            for started in (program, other):
                watcher.remove(started.pid)
                started.kill()
    assert 60 * MB < sizes[0] < 120 * MB


@watched
def test_a_peak_from_before_does_not_count_and_where_it_cannot_be_forgotten_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = "held = bytearray(b'x') * (64 << 20); del held\nprint(flush=True)\ninput()"
    with process.Running([PYTHON, "-c", passing], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        assert running.peak_bytes() > 64 * MB
        if Path("/proc/self/clear_refs").exists():
            running.restart_peak()
            assert 2 * MB < running.peak_bytes() < 64 * MB
        # A system that does not let that file be written, as far as can be seen.
        (pid,) = (child.pid for child in psutil.Process().children() if passing in child.cmdline())
        for name in ("self/status", f"{pid}/status", f"{pid}/stat"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((Path("/proc") / name).read_bytes())
        (tmp_path / str(pid) / "clear_refs").mkdir()
        monkeypatch.setattr(proctree, "_PROC", tmp_path)
        running.restart_peak()
        assert running.peak_bytes() == 0


@watched
def test_address_space_that_is_only_reserved_does_not_count() -> None:
    reserve = "import mmap, time; held = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | 0x4000); time.sleep(0.3)"
    process.limit_memory(100 * MB)
    try:
        process.run([PYTHON, "-c", reserve])
    finally:
        process.limit_memory(None)


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("evalsuite-load-seconds: 1.25", 1.25),
        ("evalsuite-load-seconds: nan", None),
        ("evalsuite-load-seconds: -1", None),
        ("evalsuite-load-seconds: soon", None),
        ("loaded in 1.25 seconds", None),
    ],
)
def test_trap30_a_program_may_tell_what_loading_took(line: str, seconds: float | None) -> None:
    # It stands before more lines than are kept.
    talk = f"import sys\nprint({line!r}, file=sys.stderr)\nfor i in range(100): print(i, file=sys.stderr)"
    assert process.run([PYTHON, "-c", talk]).load_s == seconds
