"""The engine of one machine: worker processes, as many as its cores and its memory are good for.

Each worker has a pipe of its own and one thread for arithmetic: encoders and decoders are processes of their own, and
several single-thread workers use a machine better than one with many threads. The standard library's process pool is
not used because its workers share one queue: one that dies takes the others' tasks along, nobody knows whose fault it
was, and stopping it in mid-task can leave the queue's lock held for ever.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Generic, cast

from evalsuite.engine.execute import WORKER_ENVIRONMENT, Key, Outcome, Pool, Task, Urgency
from evalsuite.engine.worker import DEATHS, Worker

_NOW: Urgency = (-(1 << 62), 0.0)
"""Of a task that was with a worker already."""


class _Desk(Generic[Key]):
    """A worker, and the task it is at."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.at: tuple[Key, Task] | None = None
        self.alone = True


class LocalPool(Pool[Key]):
    """Worker processes of this machine.

    Args:
        jobs: tasks at a time; a worker is started when it is first needed.
        memory_limit: bytes that a program may hold, with all it starts, before it is killed; None for no limit.
        cores: threads of all tasks at a time together; None for no limit.
        memory_bytes: what all tasks at a time may take together; None for no limit. A task that takes more than there
            is of either runs alone.
    """

    def __init__(
        self,
        jobs: int,
        memory_limit: int | None = None,
        *,
        cores: int | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self._jobs = jobs
        self._memory_limit = memory_limit
        self._cores = cores
        self._memory_bytes = memory_bytes
        self._waiting: list[tuple[Urgency, int, Key, Task]] = []
        self._order = itertools.count()
        self._desks: list[_Desk[Key]] = []
        for name, value in WORKER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)

    @property
    def jobs(self) -> int:
        """Tasks at a time."""
        return self._jobs

    def submit(self, key: Key, task: Task, urgency: Urgency = (0, 0.0)) -> None:
        """Queue a task."""
        heapq.heappush(self._waiting, (urgency, next(self._order), key, task))
        self._feed()

    def _feed(self) -> None:
        # What is first in the queue is never overtaken: a task that needs the whole machine would wait for ever.
        while self._waiting and self._has_room(self._waiting[0][3]):
            desk = next((one for one in self._desks if one.at is None), None)
            if desk is None:
                desk = _Desk(Worker(self._memory_limit))
                self._desks.append(desk)
            urgency, order, key, task = heapq.heappop(self._waiting)
            try:
                desk.worker.start(task.function, task.arguments)
            except DEATHS:
                # An idle worker was killed from outside: the task never began, so nothing is held against it.
                self._remove(desk)
                heapq.heappush(self._waiting, (urgency, order, key, task))
                continue
            desk.at, desk.alone = (key, task), True
            self._note_company()
            if self.on_start is not None:
                self.on_start(key)

    def _has_room(self, task: Task) -> bool:
        busy = [one.at[1].needs for one in self._desks if one.at is not None]
        if not busy:
            return True
        threads = sum(needs.threads for needs in busy) + task.needs.threads
        memory = sum(needs.memory_bytes for needs in busy) + task.needs.memory_bytes
        return (
            len(busy) < self._jobs
            and (self._cores is None or threads <= self._cores)
            and (self._memory_bytes is None or memory <= self._memory_bytes)
        )

    def _note_company(self) -> None:
        busy = [one for one in self._desks if one.at is not None]
        if len(busy) > 1:
            for one in busy:
                one.alone = False

    def tasks(self) -> list[Key]:
        """What is with a worker, and what waits for one."""
        return [
            *(desk.at[0] for desk in self._desks if desk.at is not None),
            *(key for _, _, key, _ in self._waiting),
        ]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is with a worker and nothing waits for one."""
        return not self._waiting and all(desk.at is None for desk in self._desks)

    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile."""
        while busy := {one.worker.connection: one for one in self._desks if one.at is not None}:
            for connection in wait(list(busy)):
                outcome = self._collect(busy[cast("Connection", connection)])
                # The next task starts before this outcome is looked at: workers do not wait for the parent.
                self._feed()
                if outcome is not None:
                    yield outcome

    def _collect(self, desk: _Desk[Key]) -> Outcome[Key] | None:
        if desk.at is None:
            return None
        key, task = desk.at
        try:
            value, error = desk.worker.result()
        except DEATHS:
            outcome = self._after_death(key, self._remove(desk))
            if outcome is None:
                heapq.heappush(self._waiting, (_NOW, next(self._order), key, task))
            return outcome
        desk.at = None
        return Outcome(key, value, error, desk.alone)

    def _remove(self, desk: _Desk[Key]) -> int:
        self._desks.remove(desk)
        return desk.worker.stop(busy=desk.at is not None)

    def close(self) -> None:
        """Stop the workers and whatever they run, at once."""
        for desk in self._desks:
            desk.worker.stop(busy=desk.at is not None)
        self._desks.clear()
