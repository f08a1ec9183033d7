"""Running other programs: argument lists, own process group, timeout, memory limit, what they cost, stderr tail.

Every encoder, decoder and measuring process of the suite goes through `Running`, so that none can hang a run,
outlive it, or fail without its command and last words being shown.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import resource
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from evalsuite.errors import ProcessError
from evalsuite.proctree import Watcher, tree_bytes
from evalsuite.types import Usage

STDERR_LINES = 30
"""Lines of a command's stderr that are kept for the record."""

LOAD_LINE = b"evalsuite-load-seconds:"
"""How a line of stderr begins that tells how long the program took to load its model."""

_live: set[Running] = set()
_watcher = Watcher()
_memory_limit: int | None = None


def limit_memory(size: int | None) -> None:
    """Kill every program this process starts from now on when its process tree holds more than `size` bytes."""
    # Of resident memory: a limit on address space would stop programs that reserve far more than they use.
    global _memory_limit
    _memory_limit = size


def kill_all() -> None:
    """Kill every process group this process has started: for signal handlers and dying workers."""
    for running in list(_live):
        running.kill()


def show(command: Sequence[str]) -> str:
    """The command as a line that can be pasted into a shell."""
    return shlex.join(command)


@dataclass(slots=True)
class _Peak:
    size: int = 0
    known: bool = True


class Running:
    """A started command; a context manager that never leaves the process group behind.

    Args:
        command: argument list; never a shell line.
        timeout: seconds until the whole process group is killed; None for no limit.
        stdin: pass subprocess.PIPE to write to `.stdin`.
        stdout: pass subprocess.PIPE to read from `.stdout`, or a file descriptor to write to; the default discards.
        pass_fds: file descriptors that the command inherits.
        cwd: working directory.
        env: environment variables on top of this process's own.
        stderr_lines: how many of the last lines of stderr are kept.
        alarm: regular expression that is looked for in every line of stderr; empty for none.

    Raises:
        ProcessError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        pass_fds: tuple[int, ...] = (),
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        stderr_lines: int = STDERR_LINES,
        alarm: str = "",
    ) -> None:
        self.command = tuple(command)
        self.alarmed = ""
        """The first line of stderr that `alarm` matched, as far as they have been read."""
        self._alarm = re.compile(alarm) if alarm else None
        self.timeout = timeout
        """Seconds that `restart_timeout` gives; None for no limit."""
        self._timed_out = False
        self._memory_limit = _memory_limit
        self._over_limit = False
        self._peak = _Peak()
        self._load_s: float | None = None
        self._usage: Usage | None = None
        # Re-entrant: a signal handler may kill while its own thread is at it.
        self._lock = threading.RLock()
        self._started = time.monotonic()
        try:
            self._popen = subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                pass_fds=pass_fds,
                cwd=cwd,
                env={**os.environ, **env} if env else None,
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessError(
                f"cannot start {command[0]}: {error.strerror or error}",
                command=command,
                fix="check that the program is installed and executable (`evalsuite doctor`)",
            ) from error
        _live.add(self)
        # What the program's own record of its peak begins with: see `proctree`.
        self._inherited_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        _watcher.add(self._popen.pid, functools.partial(self._saw_memory, self._peak))
        self._tail: deque[bytes] = deque(maxlen=stderr_lines)
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        self._timer: threading.Timer | None = None
        self.restart_timeout()

    @property
    def stdin(self) -> IO[bytes]:
        """The command's standard input, where it was asked for."""
        if self._popen.stdin is None:
            raise ValueError("stdin was not asked for")
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The command's standard output, where it was asked for."""
        if self._popen.stdout is None:
            raise ValueError("stdout was not asked for")
        return self._popen.stdout

    @property
    def stderr_tail(self) -> str:
        """The last lines the command wrote to stderr, as far as they have been read."""
        return b"".join(self._tail).decode("utf-8", "replace").strip()

    def restart_timeout(self) -> None:
        """Give the command its whole timeout again: for one that is waited for in steps."""
        self.stop_timeout()
        if self.timeout is not None:
            self._timer = threading.Timer(self.timeout, self._time_out)
            self._timer.daemon = True
            self._timer.start()

    def stop_timeout(self) -> None:
        """Let the command be: nothing is expected of it until `restart_timeout`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def restart_peak(self) -> None:
        """Count the peak of memory from here on: for a command that is asked for one thing after the other."""
        # One of its own for each: a look at the tree that began before this tells the one before.
        self._peak = peak = _Peak()
        peak.known = _watcher.restart(self._popen.pid, functools.partial(self._saw_memory, peak))

    def peak_bytes(self) -> int:
        """Resident memory of the process tree at its peak since `restart_peak`; 0 where the system cannot tell."""
        return max(self._peak.size, tree_bytes([self._popen.pid])) if self._peak.known else 0

    def _read_stderr(self) -> None:
        stream = self._popen.stderr
        if stream is None:
            return
        with stream:
            # Encoders rewrite a progress line with carriage returns; a bounded read keeps such a "line" small.
            while line := stream.readline(4096):
                self._tail.append(line)
                if self._alarm and not self.alarmed and self._alarm.search(line.decode("utf-8", "replace")):
                    self.alarmed = line.decode("utf-8", "replace").strip()
                if line.startswith(LOAD_LINE):
                    self._load_s = _seconds(line.removeprefix(LOAD_LINE))

    def _saw_memory(self, peak: _Peak, size: int) -> None:
        peak.size = max(peak.size, size)
        if self._memory_limit is not None and size > self._memory_limit:
            self._over_limit = True
            self.kill()

    def _time_out(self) -> None:
        self._timed_out = True
        self.kill()

    def kill(self) -> None:
        """Kill the whole process group, at once; harmless when it has ended."""
        with self._lock:
            if self._usage is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, signal.SIGKILL)

    def wait(self) -> Usage:
        """Wait for the end and return what the command cost; does not judge the exit code."""
        if self._usage is not None:
            return self._usage
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()
        # wait4 is the only call that tells the CPU seconds of this child and its children alone.
        _, status, used = os.wait4(self._popen.pid, 0)
        with self._lock:
            self._popen.returncode = os.waitstatus_to_exitcode(status)
            largest = used.ru_maxrss * 1024
            self._usage = Usage(
                wall_s=time.monotonic() - self._started,
                cpu_s=used.ru_utime + used.ru_stime,
                peak_rss_bytes=max(self._peak.size, largest if largest > self._inherited_bytes else 0),
            )
        self._clean()
        # The reader has ended only now.
        self._usage = replace(self._usage, load_s=self._load_s)
        return self._usage

    def _clean(self) -> None:
        _watcher.remove(self._popen.pid)
        self.stop_timeout()
        # A grandchild may hold the group and our pipe open: it must not outlive its parent.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._reader.join(timeout=5)
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        _live.discard(self)

    def finish(self) -> Usage:
        """Wait for the end and judge it.

        Raises:
            ProcessError: killed by the timeout or over the memory limit, or a non-zero exit code.
        """
        usage = self.wait()
        code = self._popen.returncode
        name = Path(self.command[0]).name
        if self._timed_out:
            raise ProcessError(
                f"{name} ran longer than {round(self.timeout or 0, 1):g} s and was killed with its process group",
                command=self.command,
                stderr_tail=self.stderr_tail,
                fix="give it longer with --timeout, or fewer frames with --frames",
            )
        if self._over_limit:
            raise ProcessError(
                f"{name} took more memory than it may and was killed with its process group",
                command=self.command,
                stderr_tail=self.stderr_tail,
                expected=f"at most {(self._memory_limit or 0) / 1e6:.0f} MB for the program and all it starts",
                got=f"{self._peak.size / 1e6:.0f} MB",
                fix="give it more with --memory-limit",
            )
        if code != 0:
            how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
            raise ProcessError(f"{name} {how}", command=self.command, stderr_tail=self.stderr_tail)
        return usage

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._usage is None:
            self.kill()
            self.wait()


def run(
    command: Sequence[str],
    *,
    timeout: float | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> Usage:
    """Run a command to its end.

    Raises:
        ProcessError: it cannot be started, ran into the timeout or the memory limit, or exited with a non-zero code.
    """
    with Running(command, timeout=timeout, cwd=cwd, env=env) as running:
        return running.finish()


def output(command: Sequence[str], *, timeout: float = 30) -> str:
    """Standard output of a short command, stderr after it; for version strings.

    Raises:
        ProcessError: as `run`; its `stderr_tail` has the output as well.
    """
    # A version stands at the top of what an encoder says: hence more lines than a failure needs.
    with Running(command, timeout=timeout, stdout=subprocess.PIPE, stderr_lines=1000) as running:
        text = running.stdout.read().decode("utf-8", "replace")
        try:
            running.finish()
        except ProcessError as error:
            error.stderr_tail = f"{text}\n{error.stderr_tail}".strip()
            raise
        return f"{text}\n{running.stderr_tail}".strip()


def _seconds(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
