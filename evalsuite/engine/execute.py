"""Running tasks on worker processes: one back-end behind one generator of outcomes.

Workers are fresh processes with one thread for arithmetic: encoders and decoders are processes of their own, and
several single-thread workers use a machine better than one with many threads.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evalsuite import process

Key = TypeVar("Key")

# Read when a process starts: encoders are processes of their own, and there is a worker for each core.
_WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


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


class Pool(Generic[Key]):
    """A pool of worker processes that takes tasks at any time, most urgent first.

    Args:
        jobs: number of workers.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting: list[tuple[int, int, Key, Task]] = []
        self._running: dict[Future[Any], tuple[Key, Task]] = {}
        self._retried: set[Key] = set()
        self._order = itertools.count()
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        for name, value in _WORKER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        return ProcessPoolExecutor(
            self._jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_become_worker,
            initargs=(os.getpid(),),
        )

    def submit(self, key: Key, task: Task, urgency: int = 0) -> None:
        """Queue a task; a lower `urgency` number starts earlier."""
        self._waiting.append((urgency, next(self._order), key, task))
        self._feed()

    def _feed(self) -> None:
        self._waiting.sort(key=lambda entry: entry[:2])
        while self._waiting and len(self._running) < self._jobs:
            _, _, key, task = self._waiting.pop(0)
            self._running[self._executor.submit(task.function, *task.arguments)] = (key, task)

    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile."""
        while self._running:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                if future not in self._running:
                    continue
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    yield from self._recover(error)
                    break
                key, _task = self._running.pop(future)
                if error is not None and not isinstance(error, Exception):
                    raise error
                # The next task starts before this outcome is looked at: workers do not wait for the parent.
                self._feed()
                yield Outcome(key, None if error else future.result(), error)
            self._feed()

    def _recover(self, error: BrokenProcessPool) -> Iterator[Outcome[Key]]:
        # A worker died (killed, or out of memory) and took the pool along. Whose fault it was is not known, so every
        # task in flight gets one more try, and a second death is its outcome.
        lost = list(self._running.values())
        self._running.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._start()
        for key, task in lost:
            if key in self._retried:
                yield Outcome(key, error=error)
            else:
                self._retried.add(key)
                self._waiting.append((-1, next(self._order), key, task))
        self._feed()

    def close(self) -> None:
        """Stop the workers and whatever they run, at once."""
        # Public only from Python 3.14 on, as `terminate_workers`.
        for worker in list((self._executor._processes or {}).values()):
            worker.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Pool[Key]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _become_worker(parent: int) -> None:
    # Ctrl-C reaches the whole foreground group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _stop(*_: object) -> None:
    process.kill_all()
    os._exit(1)


def _watch_parent(parent: int) -> None:
    # A parent that was killed outright cannot say goodbye: its encoders must not go on without it.
    while os.getppid() == parent:
        time.sleep(0.5)
    _stop()
