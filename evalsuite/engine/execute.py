"""Running tasks on worker processes: one back-end behind one generator of outcomes.

Each worker is a fresh process with a pipe of its own and one thread for arithmetic: encoders and decoders are processes
of their own, and several single-thread workers use a machine better than one with many threads. The standard library's
process pool is not used because its workers share one queue: one that dies takes the others' tasks along, nobody knows
whose fault it was, and stopping it in mid-task can leave the queue's lock held for ever.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Generic, TypeVar

from evalsuite import process
from evalsuite.errors import EvalError

Key = TypeVar("Key", bound=Hashable)

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""Read when a process starts: encoders are processes of their own, and there is a worker for each core."""

_PATIENCE_S = 10.0
"""Seconds a worker gets to stop what it runs before it is killed."""

_one_start = threading.Lock()


@dataclass(frozen=True, slots=True)
class Task:
    """A function of this package and its arguments, all of which can be pickled."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Key]):
    """How a task ended: with a value, or with the error it raised."""

    key: Key
    value: Any = None
    error: Exception | None = None
    alone: bool = False
    """Whether no other task was with a worker at any time between this one's start and its end."""


class _Worker(Generic[Key]):
    """One worker process, and the task it is at."""

    def __init__(self, memory_limit: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, os.getpid(), memory_limit), daemon=True)
        with _without_main():
            self.process.start()
        theirs.close()
        self.task: tuple[Key, Task] | None = None
        self.alone = True

    def start(self, key: Key, task: Task) -> None:
        self.task = (key, task)
        self.alone = True
        self.connection.send((task.function, task.arguments))

    def stop(self) -> None:
        """End the worker: an idle one by closing its pipe, a busy one with whatever it runs."""
        self.connection.close()
        if self.task is not None:
            self.process.terminate()
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Pool(Generic[Key]):
    """A pool of worker processes that takes tasks at any time, most urgent first.

    Args:
        jobs: number of workers; each is started when it is first needed.
        memory_limit: bytes that a program may hold, with all it starts, before it is killed; None for no limit.
    """

    def __init__(self, jobs: int, memory_limit: int | None = None) -> None:
        self.jobs = jobs
        self._memory_limit = memory_limit
        self._waiting: list[tuple[int, int, Key, Task]] = []
        self._order = itertools.count()
        self._workers: list[_Worker[Key]] = []
        self._died_at: set[Key] = set()
        self.on_start: Callable[[Key], None] | None = None
        """Called whenever a worker is given a task; again where a task is tried again."""
        for name, value in WORKER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)

    def submit(self, key: Key, task: Task, urgency: int = 0) -> None:
        """Queue a task; a lower `urgency` number starts earlier."""
        heapq.heappush(self._waiting, (urgency, next(self._order), key, task))
        self._feed()

    def _feed(self) -> None:
        while self._waiting:
            worker = next((one for one in self._workers if one.task is None), None)
            if worker is None:
                if len(self._workers) >= self.jobs:
                    return
                worker = _Worker(self._memory_limit)
                self._workers.append(worker)
            _, _, key, task = heapq.heappop(self._waiting)
            try:
                worker.start(key, task)
            except (BrokenPipeError, ConnectionResetError):
                # An idle worker was killed from outside: the task never began, so nothing is held against it.
                worker.task = None
                self._remove(worker)
                self.submit(key, task, urgency=-1)
            else:
                self._note_company()
                if self.on_start is not None:
                    self.on_start(key)

    def _note_company(self) -> None:
        busy = [one for one in self._workers if one.task is not None]
        if len(busy) > 1:
            for one in busy:
                one.alone = False

    def tasks(self) -> list[Key]:
        """What is with a worker, and what waits for one."""
        return [
            *(worker.task[0] for worker in self._workers if worker.task is not None),
            *(key for _, _, key, _ in self._waiting),
        ]

    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile."""
        while busy := {one.connection: one for one in self._workers if one.task is not None}:
            for connection in wait(list(busy)):
                outcome = self._collect(busy[connection])  # type: ignore[index]
                # The next task starts before this outcome is looked at: workers do not wait for the parent.
                self._feed()
                if outcome is not None:
                    yield outcome

    def _collect(self, worker: _Worker[Key]) -> Outcome[Key] | None:
        if worker.task is None:
            return None
        key, task = worker.task
        try:
            value, error = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._remove(worker)
            return self._after_death(key, task, worker.process.exitcode)
        worker.task = None
        return Outcome(key, value, error, worker.alone)

    def _after_death(self, key: Key, task: Task, exit_code: int | None) -> Outcome[Key] | None:
        # A worker that was killed, or ran out of memory, may have been unlucky: its task gets one more try.
        if key not in self._died_at:
            self._died_at.add(key)
            heapq.heappush(self._waiting, (-1, next(self._order), key, task))
            return None
        error = EvalError(
            "the worker process died twice at this task",
            got=f"exit code {exit_code}" if (exit_code or 0) >= 0 else f"signal {-(exit_code or 0)}",
            fix="it may have run out of memory: try fewer workers with --jobs",
        )
        return Outcome(key, error=error)

    def _remove(self, worker: _Worker[Key]) -> None:
        self._workers.remove(worker)
        worker.stop()

    def close(self) -> None:
        """Stop the workers and whatever they run, at once."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def __enter__(self) -> Pool[Key]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the program's main module from a process that is being started.

    The standard library has each new process import it anew. Tasks are functions of this package, so no worker needs
    it, and a script without `if __name__ == "__main__"` would run once more in every one of them.
    """
    with _one_start:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _work(connection: Connection, parent: int, memory_limit: int | None) -> None:
    process.limit_memory(memory_limit)
    # Ctrl-C reaches the whole foreground group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        connection.send(_perform(function, arguments))


def _perform(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    try:
        return function(*arguments), None
    except Exception as error:  # whatever a task raises is its outcome
        return None, error


def _stop(*_: object) -> None:
    process.kill_all()
    os._exit(1)


def _watch_parent(parent: int) -> None:
    # A parent that was killed outright cannot say goodbye: its encoders must not go on without it.
    while os.getppid() == parent:
        time.sleep(0.5)
    _stop()
