"""Memory of whole process trees, from Linux's /proc: what the kernel's own accounting cannot tell.

`ru_maxrss` is of the largest single process, and a program started by vfork inherits the peak of whoever started it:
one that is started by a worker with a network in memory would seem as large as the network. So trees are looked at
while they run, from a few milliseconds after their start, then ever less often. What comes and goes between two looks
is missed, unless it is the peak of a single process: that the kernel remembers.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")

SHORTEST_WAIT_S = 0.005
LONGEST_WAIT_S = 0.1
"""Between two looks at a tree: a quarter of the age of the youngest one, within these."""


def can_watch() -> bool:
    """Whether this system tells the memory of other processes."""
    return (_PROC / "self" / "status").exists()


class Watcher:
    """Looks at the trees of any number of programs from one thread, which lives as long as there are some.

    A tree is a session: the program, which must lead one, and all that descends from it and has not left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._trees: dict[int, tuple[float, Callable[[int], None]]] = {}
        self._thread: threading.Thread | None = None
        self._sessions: dict[int, int] = {}

    def add(self, pid: int, tell: Callable[[int], None]) -> None:
        """Tell how large the tree of `pid` is, in bytes, after each look; does nothing where it cannot be seen."""
        if not can_watch():
            return
        with self._lock:
            self._trees[pid] = (time.monotonic(), tell)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
        self._wake.set()

    def restart(self, pid: int, tell: Callable[[int], None]) -> bool:
        """Tell how large a tree is as if it began now: by this `tell` alone, and peaks from before count no more.

        Returns:
            Whether the system could forget those peaks; where it could not, what is told may be from before.
        """
        forgotten = can_watch() and all(_forget_peak(member) for member in self._members([pid])[pid])
        self.add(pid, tell)
        return forgotten

    def remove(self, pid: int) -> None:
        """Look at a tree no more."""
        with self._lock:
            self._trees.pop(pid, None)
        self._wake.set()

    def _watch(self) -> None:
        while True:
            with self._lock:
                trees = dict(self._trees)
                if not trees:
                    self._thread = None
                    return
            youngest = time.monotonic() - max(started for started, _ in trees.values())
            self._wake.clear()
            if self._wake.wait(min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, youngest / 4))):
                continue  # a tree was added or removed meanwhile
            for pid, members in self._members(trees).items():
                if size := tree_bytes(members):
                    trees[pid][1](size)

    def _members(self, roots: Collection[int]) -> dict[int, list[int]]:
        """The processes of each tree. A session is read once for each process of the machine, then remembered."""
        present = {int(name.name) for name in _PROC.iterdir() if name.name.isdecimal()}
        known = self._sessions
        sessions = {pid: known[pid] if pid in known else _session(pid) for pid in sorted(present)}
        # A look at other trees may have seen it after its fork and before it began its session.
        sessions |= {root: root for root in roots if root in present}
        self._sessions = sessions
        found: dict[int, list[int]] = {root: [] for root in roots}
        for pid, session in sessions.items():
            if session in found:
                found[session].append(pid)
        return found


def tree_bytes(pids: Collection[int]) -> int:
    """Resident memory of processes together, in bytes; 0 where none of them is there any more.

    Of one process it is the peak of its life, or since that was last forgotten. Of several it is what they hold now,
    pages that they share counted once, but never less than the peak of one of them.
    """
    resident, peaks = [], []
    for pid in pids:
        text = _read(pid, "status")
        resident.append(_kilobytes(text, "VmRSS"))
        peaks.append(_kilobytes(text, "VmHWM"))
    if len([size for size in resident if size]) > 1:
        # Proportional sizes cost a walk over all pages: only where pages can be shared.
        shares = (
            _kilobytes(_read(pid, "smaps_rollup"), "Pss") or size for pid, size in zip(pids, resident, strict=True)
        )
        peaks.append(sum(shares))
    return max(peaks, default=0) * 1024


def kill_marked(name: str, value: str) -> None:
    """Kill every process that was started with this environment variable: what a dead parent has left behind.

    Does nothing where the system does not tell other processes' environments.
    """
    wanted = f"{name}={value}".encode()
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def _forget_peak(pid: int) -> bool:
    try:
        # proc_pid_clear_refs(5): the peak becomes what is resident now.
        (_PROC / str(pid) / "clear_refs").write_text("5")
    except OSError:  # not in every kernel, nor allowed in every container; or the process has ended
        return not (_PROC / str(pid)).exists()
    return True


def _session(pid: int) -> int:
    # The program's name stands in parentheses and may hold anything; the session is the fourth field after it.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[3]) if len(fields) > 3 else 0


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended, or is somebody else's
        return ""
