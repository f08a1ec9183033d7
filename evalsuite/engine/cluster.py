"""The engine of many machines: a Dask cluster, whose workers each do errands (`errand`).

Dask moves errands and what comes of them, and sends those of a lost worker to another. What is to be done next is
decided here, as on one machine: only so many errands are with the scheduler at a time.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from evalsuite.engine.errand import Delivery, Errand, Permits, UnlikeError, carry_out
from evalsuite.engine.execute import Key, Outcome, Pool, Task, Urgency
from evalsuite.engine.likeness import Likeness, differences, likeness
from evalsuite.errors import EvalError, RequestError
from evalsuite.sources.manifest import SequenceEntry

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S = 20.0
"""Seconds in which a scheduler must answer."""

_AHEAD = 4
"""Errands that are with the scheduler for each thread of the cluster: a worker never waits for this machine."""
_LEAST_AHEAD = 64
"""Where the cluster grows with what there is to do, there must be something to do."""
_CLASS_SPAN = 1e9
"""Seconds that no task takes: classes of urgency do not mix."""
_LOOK_S = 5.0
"""Seconds between two looks at the workers that there are."""

_one_at_a_time = threading.Lock()

_GPU = "GPU"
"""What workers with a CUDA device say that they have, as Dask's documentation does."""


@dataclass(frozen=True, slots=True)
class _Sent(Generic[Key]):
    key: Key
    task: Task
    urgency: Urgency
    future: Future[Delivery]


class ClusterPool(Pool[Key]):
    """The workers of a Dask cluster.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`, or its scheduler file.
        entries: where sources can be had, by their sha256.
        memory_limit: bytes that a program may hold, with all it starts, before it is killed; None for no limit.

    Raises:
        RequestError: Dask is not installed, no scheduler answers, or workers are not of this machine's version.
    """

    def __init__(self, address: str, entries: Mapping[str, SequenceEntry], memory_limit: int | None = None) -> None:
        super().__init__()
        self._entries = entries
        self._memory_limit = memory_limit
        self._likeness = likeness()
        self._client = _connect(address)
        self._address = address
        self._waiting: list[tuple[Urgency, int, Key, Task]] = []
        self._order = itertools.count()
        self._out: dict[str, _Sent[Key]] = {}
        """What is with the scheduler, by the name that it has there."""
        self._begun: set[str] = set()
        self._news: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        """Names of errands that have begun, or have ended."""
        self._unlike: dict[str, str] = {}
        """Workers that refused an errand, and why, by address."""
        self._run = f"evalsuite-{uuid.uuid4().hex[:12]}"
        self._workers: dict[str, Any] = {}
        self._looked = float("-inf")
        try:
            self._look()
            _check_workers(self._client, self._likeness)
            self._client.subscribe_topic(self._run, lambda event: self._news.put((str(event[1]), False)))
        except BaseException:
            self.close()
            raise

    @property
    def jobs(self) -> int:
        """Threads of all workers that there are now; 1 while there are none."""
        self._look()
        return max(1, sum(int(worker["nthreads"]) for worker in self._workers.values()))

    @property
    def machines(self) -> list[str]:
        """The workers' names, for the record."""
        self._look()
        return sorted(str(worker["name"]) for worker in self._workers.values())

    def has_gpu(self) -> bool:
        """Whether a worker says that it has a CUDA device."""
        self._look()
        return any(_GPU in worker.get("resources", {}) for worker in self._workers.values())

    def submit(self, key: Key, task: Task, urgency: Urgency = (0, 0.0)) -> None:
        """Queue a task."""
        heapq.heappush(self._waiting, (urgency, next(self._order), key, task))
        self._feed()

    def _look(self) -> None:
        if time.monotonic() - self._looked >= _LOOK_S:
            self._looked = time.monotonic()
            self._workers = dict(self._client.scheduler_info(n_workers=-1)["workers"])

    def _feed(self) -> None:
        ahead = max(_LEAST_AHEAD, _AHEAD * self.jobs)
        while self._waiting and len(self._out) < ahead:
            urgency, number, key, task = heapq.heappop(self._waiting)
            self._send(f"{self._run}-{number}", key, task, urgency)

    def _send(self, name: str, key: Key, task: Task, urgency: Urgency) -> None:
        errand = Errand(
            task=task,
            entry=self._entries.get(task.sequence.sha256) if task.sequence else None,
            files={path: path.read_bytes() for path in task.reads},
            likeness=self._likeness,
            identity=task.recipe.identity() if task.recipe else "",
            memory_limit=self._memory_limit,
        )
        like = [address for address in self._workers if address not in self._unlike]
        future = self._client.submit(
            *(_visit, errand, self._run),
            key=name,
            pure=False,
            priority=-(urgency[0] * _CLASS_SPAN) - urgency[1],
            resources={_GPU: 1} if task.needs.gpu else None,
            workers=like if self._unlike else None,
        )
        self._out[name] = _Sent(key, task, urgency, future)
        future.add_done_callback(lambda _: self._news.put((name, True)))

    def tasks(self) -> list[Key]:
        """What is with the cluster, and what waits for it."""
        return [*(sent.key for sent in self._out.values()), *(key for _, _, key, _ in self._waiting)]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is with the cluster and nothing waits for it."""
        return not self._out and not self._waiting

    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile.

        Raises:
            EvalError: the scheduler is gone, or no worker is left that may do what is to be done.
        """
        while self._out:
            names = self._next()
            self._feed()
            deliveries = self._fetch(names)
            for name in names:
                outcome = self._collect(name, deliveries.get(name))
                self._feed()
                if outcome is not None:
                    yield outcome

    def _next(self) -> list[str]:
        """Names of errands that have ended; waits for the first."""
        ended: list[str] = []
        while not ended or not self._news.empty():
            name, has_ended = self._news.get()
            if name not in self._out:
                continue  # what was tried again has another name
            self._begin(name)  # its start may be told later than its end
            if has_ended:
                ended.append(name)
        return ended

    def _fetch(self, names: list[str]) -> Mapping[str, Delivery | None]:
        """What came of errands, by name; None where Dask has an error instead."""
        futures = {name: future for name in names if (future := self._out[name].future).status == "finished"}
        try:
            # In one request: what is small costs as much on the way as it does to compute.
            deliveries: dict[str, Delivery | None] = self._client.gather(futures, errors="skip")
        except (OSError, CancelledError) as error:
            raise self._gone() from error
        return deliveries

    def _begin(self, name: str) -> None:
        if name not in self._begun:
            self._begun.add(name)
            if self.on_start is not None:
                self.on_start(self._out[name].key)

    def _collect(self, name: str, delivery: Delivery | None) -> Outcome[Key] | None:
        sent = self._out.pop(name)
        key, task, urgency, future = sent.key, sent.task, sent.urgency, sent.future
        self._begun.discard(name)
        if delivery is None:
            if future.status in ("cancelled", "lost"):
                raise self._gone()
            error = future.exception()
            if isinstance(error, UnlikeError):
                self._refuse(error)
                self._send(f"{self._run}-{next(self._order)}", key, task, urgency)
                return None
            # Whatever Dask makes of workers that die is the outcome of this task.
            return Outcome(key, error=EvalError(f"the cluster could not do this: {error}", where=type(error).__name__))
        if delivery.exit_code is not None:
            outcome = self._after_death(key, delivery.exit_code)
            if outcome is None:
                self._send(f"{self._run}-{next(self._order)}", key, task, urgency)
            return outcome
        if delivery.written is not None and task.writes is not None:
            task.writes.parent.mkdir(parents=True, exist_ok=True)
            task.writes.write_bytes(delivery.written)
        return Outcome(key, delivery.value, delivery.error)

    def _gone(self) -> EvalError:
        return EvalError(
            "the scheduler of the cluster is gone",
            where=self._address,
            fix="start it again; everything finished is in the store, and the same command goes on from there",
        )

    def _refuse(self, error: UnlikeError) -> None:
        self._unlike[str(error.where)] = str(error.got)
        self._looked = float("-inf")
        self._look()
        if not self._workers.keys() - self._unlike.keys():
            raise EvalError(
                "no worker of the cluster is of this machine's version",
                where=self._address,
                got="".join(f"\n    {address}: {why}" for address, why in self._unlike.items()),
                fix="install the same versions on every machine of the cluster",
            )

    def close(self) -> None:
        """Call off what is with the cluster; the cluster itself goes on."""
        self._out.clear()
        self._client.close(timeout=2)


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise RequestError(
            "running on a cluster needs Dask", got=str(error), fix="pip install 'evalsuite[cluster]'"
        ) from error
    file = Path(address)
    try:
        if file.suffix == ".json" or file.is_file():
            if not file.is_file():
                raise OSError("there is no such scheduler file")
            return Client(scheduler_file=str(file), timeout=CONNECT_S, set_as_default=False)
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RequestError(
            "no scheduler answers",
            where=address,
            expected="the address of a Dask scheduler, such as tcp://10.0.0.1:8786, or its scheduler file",
            got=str(error),
            fix="start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads CORES`",
        ) from error


def _check_workers(client: Client, wanted: Likeness) -> None:
    """Refuse workers that would compute something else, by their names."""
    found: dict[str, Likeness | Exception] = client.run(likeness, on_error="return")
    refused = []
    for address, one in sorted(found.items()):
        why = differences(wanted, one) if isinstance(one, Likeness) else [f"{type(one).__name__}: {one}"]
        refused += [f"{address}: {'; '.join(why)}"] if why else []
    if refused:
        raise RequestError(
            "workers of the cluster are of another version",
            got="".join(f"\n    {line}" for line in refused),
            expected=", ".join(f"{name} {value}" for name, value in wanted.versions.items()),
            fix="install the same versions on every machine of the cluster, or start those workers again",
        )


def _visit(errand: Errand, topic: str) -> Delivery:
    """An errand in a thread of a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    name = worker.get_current_task()
    worker.log_event(topic, str(name))

    def is_wanted() -> bool:
        state = worker.state.tasks.get(name)
        return state is not None and state.state == "executing"

    try:
        return carry_out(errand, is_wanted, _permits_of(worker))
    except UnlikeError as error:
        raise UnlikeError(error.what, where=worker.address, got=error.got, fix=error.fix) from error


def _permits_of(worker: Any) -> Permits:
    """What the machine of a Dask worker has: one for all its threads."""
    with _one_at_a_time:
        if not hasattr(worker, "evalsuite_permits"):
            worker.evalsuite_permits = Permits(worker.state.nthreads, worker.memory_manager.memory_limit or 0)
        permits: Permits = worker.evalsuite_permits
    return permits
