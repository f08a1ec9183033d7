"""The engine of many machines: a Dask cluster, whose workers each do errands (`errand`).

Dask moves errands and what comes of them, and sends those of a lost worker to another. What is to be done next is
decided here, as on one machine: only so many errands are with the scheduler at a time.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from evalsuite.engine.errand import Delivery, Errand, RefusalError
from evalsuite.engine.execute import Key, Outcome, Pool, Task, Urgency
from evalsuite.engine.likeness import likeness
from evalsuite.engine.scheduler import check_workers, connect, no_scheduler, visit
from evalsuite.errors import EvalError, StoreError
from evalsuite.sources.manifest import SequenceEntry

if TYPE_CHECKING:
    from distributed import Future

_FIRST_S = 60.0
"""Seconds in which the first worker should be there: how encodes are split depends on how many there are."""
_FETCH_S = 60.0
"""Seconds for deliveries to arrive; they are asked for again after that."""
_TOGETHER = 16
"""Deliveries that are asked for at a time: they are in memory then, each with its bitstream."""

_AHEAD = 4
"""Errands that are with the scheduler for each thread of the cluster: a worker never waits for this machine."""
_LEAST_AHEAD = 64
"""Where the cluster grows with what there is to do, there must be something to do."""
_AHEAD_BYTES = 1 << 30
"""Of bitstreams that are with the scheduler, which holds them in memory."""
_CLASS_SPAN = 1e12
"""Seconds that no task takes: classes of urgency do not mix."""
_LOOK_S = 5.0
"""Seconds between two looks at the workers that there are."""

_GPU = "GPU"
"""What workers with a CUDA device say that they have, as Dask's documentation does."""


@dataclass(frozen=True, slots=True)
class _Sent(Generic[Key]):
    key: Key
    task: Task
    urgency: Urgency
    future: Future[Delivery]
    size: int
    """Bytes of the bitstreams that went along."""
    only: frozenset[str] | None
    """Addresses of the workers that may do it; None for all, whoever joins."""


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
        self._address = address
        # What needs a GPU has a queue of its own: it must not keep others from workers without.
        self._waiting: dict[bool, list[tuple[Urgency, int, Key, Task]]] = {False: [], True: []}
        self._order = itertools.count()
        self._out: dict[str, _Sent[Key]] = {}
        """What is with the scheduler, by the name that it has there."""
        self._done: list[Outcome[Key]] = []
        """What came to its end before it was sent."""
        self._begun: set[str] = set()
        self._news: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        """Names of errands that have begun, or have ended."""
        self._ended: deque[str] = deque()
        """Names of errands whose end is to be looked at."""
        self._fetched: dict[str, Delivery] = {}
        """What came of some of them."""
        self._refusals: dict[tuple[str, str], str] = {}
        """Why a worker, by its address, refuses all that has to do with a subject; see `RefusalError`."""
        self._run = f"evalsuite-{uuid.uuid4().hex[:12]}"
        self._workers: dict[str, Any] = {}
        self._looked = float("-inf")
        self._client = connect(address)
        try:
            with suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=_FIRST_S)
            self._look()
            check_workers(self._client, self._likeness)
            self._client.subscribe_topic(self._run, lambda event: self._news.put((str(event[1]), False)))
        except BaseException as error:
            self.close()
            if isinstance(error, EvalError) or not isinstance(error, Exception):
                raise
            raise no_scheduler(address, error) from error

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

    def lacks_gpu(self) -> bool:
        """Whether there are workers, and none says that it has a CUDA device."""
        self._look()
        return bool(self._workers) and not any(_GPU in one.get("resources", {}) for one in self._workers.values())

    def submit(self, key: Key, task: Task, urgency: Urgency = (0, 0.0)) -> None:
        """Queue a task.

        Raises:
            EvalError: the scheduler is gone.
        """
        heapq.heappush(self._waiting[task.needs.gpu], (urgency, next(self._order), key, task))
        self._feed()

    def _look(self) -> None:
        """Bring what is known of the workers up to date; as it was where the scheduler does not answer."""
        if time.monotonic() - self._looked < _LOOK_S or self._client.status != "running":
            return
        self._looked = time.monotonic()
        # That it is gone is told by what is with it.
        with suppress(OSError, KeyError, TimeoutError, RuntimeError):
            self._workers = dict(self._client.scheduler_info(n_workers=-1)["workers"])
        for name, sent in list(self._out.items()):
            if sent.only is not None and not sent.only & self._workers.keys():
                # Those that may do it have left; others may have come.
                del self._out[name]
                sent.future.release()
                self._send(sent.key, sent.task, sent.urgency)

    def _feed(self) -> None:
        ahead = max(_LEAST_AHEAD, _AHEAD * self.jobs)
        size = sum(sent.size for sent in self._out.values() if sent.size)
        for gpu, waiting in self._waiting.items():
            count = sum(sent.task.needs.gpu == gpu for sent in self._out.values())
            while waiting and count < ahead and (size < _AHEAD_BYTES or not count):
                urgency, _, key, task = heapq.heappop(waiting)
                size += self._send(key, task, urgency)
                count += 1

    def _send(self, key: Key, task: Task, urgency: Urgency) -> int:
        """Give an errand to the scheduler; the bytes of bitstreams that went along."""
        allowed = [address for address in self._workers if not self._refusal(address, task)]
        only = frozenset(allowed) if len(allowed) < len(self._workers) else None
        if only is not None and not only:
            self._done.append(Outcome(key, error=self._nobody(task)))
            return 0
        try:
            files = {path: path.read_bytes() for path in task.reads}
        except OSError as error:
            reason = f"a bitstream of the store cannot be read: {error.strerror}"
            self._done.append(Outcome(key, error=StoreError(reason, where=error.filename)))
            return 0
        errand = Errand(
            task=task,
            entry=self._entries.get(task.sequence.sha256) if task.sequence else None,
            files=files,
            likeness=self._likeness,
            identity=task.recipe.identity() if task.recipe else "",
            memory_limit=self._memory_limit,
        )
        name = f"{self._run}-{next(self._order)}"
        try:
            future = self._client.submit(
                *(visit, errand, self._run),
                key=name,
                pure=False,
                priority=-(urgency[0] * _CLASS_SPAN) - urgency[1],
                resources={_GPU: 1} if task.needs.gpu else None,
                workers=None if only is None else sorted(only),
            )
        except Exception as error:
            if self._client.status == "running":
                raise
            raise self._gone() from error
        sent = _Sent(key, task, urgency, future, sum(map(len, files.values())), only)
        self._out[name] = sent
        self._listen(name, future)
        return sent.size

    def _listen(self, name: str, future: Future[Delivery]) -> None:
        future.add_done_callback(lambda _: self._news.put((name, True)))

    def tasks(self) -> list[Key]:
        """What is with the cluster, and what waits for it."""
        waiting = (key for queued in self._waiting.values() for _, _, key, _ in queued)
        return [*(sent.key for sent in self._out.values()), *waiting]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is with the cluster and nothing waits for it."""
        return not (self._out or self._done or any(self._waiting.values()))

    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile.

        Raises:
            EvalError: the scheduler is gone, or no worker is left that may do anything.
        """
        while not self.is_idle:
            while self._done:
                yield self._done.pop()
            self._feed()
            if not self._ended:
                self._hear()
                continue
            name = self._ended.popleft()
            delivery = self._fetched.pop(name, None)
            if name not in self._out:
                continue  # what was tried again has another name
            outcome = self._collect(name, delivery)
            self._feed()
            if outcome is not None:
                yield outcome

    def _hear(self) -> None:
        """Wait for news, and take in what there is."""
        try:
            news = [self._news.get(timeout=_LOOK_S)]
        except queue.Empty:
            self._look()
            return
        with suppress(queue.Empty):
            while len(news) < _TOGETHER:
                news.append(self._news.get_nowait())
        for name, has_ended in news:
            if name in self._out:
                self._begin(name)  # its start may be told later than its end
                if has_ended:
                    self._ended.append(name)
        self._fetch()

    def _fetch(self) -> None:
        """Bring deliveries here, many by one request: one by one they take most of this process's time."""
        futures = {name: self._out[name].future for name in self._ended}
        futures = {name: future for name, future in futures.items() if future.status == "finished"}
        if len(futures) < 2:
            return
        gather = partial(self._client.gather, futures, errors="skip", asynchronous=True)
        # What does not come, and why, is found out for each one by itself.
        with suppress(Exception):
            found = self._client.sync(gather, callback_timeout=_FETCH_S)
            self._fetched.update({name: delivery for name, delivery in found.items() if delivery is not None})

    def _begin(self, name: str) -> None:
        if name not in self._begun:
            self._begun.add(name)
            if self.on_start is not None:
                self.on_start(self._out[name].key)

    def _collect(self, name: str, delivery: Delivery | None) -> Outcome[Key] | None:
        """What came of an errand; None where it is to be waited for, or was sent once more.

        Args:
            name: of the errand.
            delivery: what it brought, where that is here already.
        """
        sent = self._out[name]
        if delivery is not None:
            return self._conclude(name, delivery)
        if sent.future.status == "cancelled":
            raise self._gone()
        if sent.future.status not in ("finished", "error"):
            # The result was lost with its worker, and another is at it.
            self._listen(name, sent.future)
            return None
        try:
            delivery = sent.future.result(timeout=_FETCH_S)
        except TimeoutError:
            self._listen(name, sent.future)
            return None
        except RefusalError as refusal:
            self._drop(name)
            self._refuse(refusal)
            self._send(sent.key, sent.task, sent.urgency)
            return None
        except Exception as error:
            if self._client.status != "running":
                raise self._gone() from error
            # Dask gives up an errand after several lost workers; it may have been there by chance.
            self._drop(name)
            if sent.key in self._died_at:
                where = type(error).__name__
                return Outcome(sent.key, error=EvalError(f"the cluster could not do this: {error}", where=where))
            self._died_at.add(sent.key)
            self._send(sent.key, sent.task, sent.urgency)
            return None
        return self._conclude(name, delivery)

    def _conclude(self, name: str, delivery: Delivery) -> Outcome[Key] | None:
        """What a delivery means; None where the errand was sent once more."""
        sent = self._out[name]
        self._drop(name)
        if delivery.exit_code is not None:
            outcome = self._after_death(sent.key, delivery.exit_code)
            if outcome is None:
                self._send(sent.key, sent.task, sent.urgency)
            return outcome
        _write(sent.task.writes, delivery.written)
        return Outcome(sent.key, delivery.value, delivery.error)

    def _drop(self, name: str) -> None:
        self._out.pop(name).future.release()
        self._begun.discard(name)

    def _refusal(self, address: str, task: Task) -> str:
        """Why a worker may not be given a task; empty where it may."""
        subjects = ("", task.recipe.name if task.recipe else "", task.sequence.sha256 if task.sequence else "")
        return next((why for one in subjects if (why := self._refusals.get((address, one)))), "")

    def _refuse(self, refusal: RefusalError) -> None:
        self._refusals[refusal.worker, refusal.subject] = refusal.why
        self._looked = float("-inf")
        self._look()
        if self._workers and all((address, "") in self._refusals for address in self._workers):
            raise EvalError(
                "no worker of the cluster can do anything",
                where=self._address,
                got="".join(f"\n    {address}: {self._refusals[address, '']}" for address in self._workers),
                fix="put that right and start them again; the same command goes on from the store",
            )

    def _nobody(self, task: Task) -> EvalError:
        return EvalError(
            "no worker of the cluster can do this",
            where=self._address,
            got="".join(f"\n    {address}: {self._refusal(address, task)}" for address in self._workers),
            fix="the next run tries it again",
        )

    def _gone(self) -> EvalError:
        return EvalError(
            "the scheduler of the cluster is gone",
            where=self._address,
            fix="start it again; everything finished is in the store, and the same command goes on from there",
        )

    def close(self) -> None:
        """Call off what is with the cluster; the cluster itself goes on."""
        self._out.clear()
        self._client.close(timeout=2)


def _write(path: Path | None, content: bytes | None) -> None:
    if path is None or content is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(
            f"a bitstream cannot be written: {error.strerror}",
            where=path,
            fix="free some space; nothing finished is lost, run again to resume",
        ) from error
