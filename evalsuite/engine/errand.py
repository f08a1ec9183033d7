"""A task on another machine: what is sent along, what is made of it there, and what comes back.

Runs inside a Dask worker, in one of its threads. The task itself runs in a worker process of our own, as on one
machine: what crashes takes nothing else along, models stay loaded, and nothing of a cell is left when it is called off.
"""

from __future__ import annotations

import functools
import itertools
import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.assets import cache_dir
from evalsuite.codec.recipe import look_again
from evalsuite.engine.execute import WORKER_ENVIRONMENT, Needs, Task
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.likeness import CHANGED, Likeness, differences, is_unchanged, likeness
from evalsuite.engine.worker import DEATHS, Worker
from evalsuite.errors import EvalError
from evalsuite.files import is_verified
from evalsuite.scratch import Scratch
from evalsuite.sources.dataset import prepare
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.types import Sequence

_kept: list[Scratch] = []
"""Folders that are ours as long as this process lives."""

_LOOK_S = 1.0
"""Seconds between two looks at whether an errand is still wanted."""


class RefusalError(EvalError):
    """This machine will not do anything that has to do with a subject; another one may.

    Args:
        subject: name of a codec, sha256 of a source, or nothing for everything.
        why: what is wrong.
        worker: its address.
    """

    def __init__(self, subject: str, why: str, worker: str = "") -> None:
        super().__init__("the worker refuses this", where=worker or None, got=why)
        self.subject = subject
        self.why = why
        self.worker = worker

    def __reduce__(self) -> tuple[object, ...]:
        return RefusalError, (self.subject, self.why, self.worker)


class CalledOffError(EvalError):
    """Nobody waits for the errand any more."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A task as it travels; its paths are those of the machine that sends it."""

    task: Task
    entry: SequenceEntry | None
    """Where the source can be had; None where only a file system that both machines share has it."""
    files: Mapping[Path, bytes]
    """The bitstreams that the task reads."""
    likeness: Likeness
    """What the machine must be like."""
    identity: str
    """Of the codec; empty where none is run."""
    memory_limit: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What comes back; paths are those of the machine that sent the errand."""

    value: Any = None
    error: Exception | None = None
    written: bytes | None = None
    """The file that the task made."""
    exit_code: int | None = None
    """Of the worker process, where it died at the task."""


_runs: set[str] = set()
"""Names of the runs that something was done for here."""
_meeting = threading.Lock()


def meet(run: str) -> None:
    """When a run first comes here, look again at programs and classes: since the last one they may have changed."""
    with _meeting:
        if run not in _runs:
            look_again()
            _children.renew()
            _runs.add(run)


def carry_out(errand: Errand, is_wanted: Callable[[], bool], permits: Permits) -> Delivery:
    """Do what an errand says.

    Args:
        errand: the task and what it needs.
        is_wanted: whether somebody still waits for it.
        permits: what this machine has.

    Raises:
        RefusalError: this machine is not like the one that asks, or lacks what the task needs.
        CalledOffError: nobody waited for it any more.
    """
    _check_likeness(errand)
    task = errand.task
    with permits.held(task.needs, is_wanted), _own_folder() as folder:
        if not is_wanted():
            raise CalledOffError("nobody waits for this any more")
        moved: dict[Path, Path] = {}
        if task.sequence is not None:
            moved[task.sequence.path] = _source(task.sequence, errand.entry)
        try:
            for number, (path, content) in enumerate(errand.files.items()):
                moved[path] = folder / f"{number}{path.suffix}"
                moved[path].write_bytes(content)
        except OSError as error:
            raise RefusalError("", f"no room for work in progress: {error.strerror}") from error
        if task.writes is not None:
            moved[task.writes] = folder / "out" / task.writes.name
        here = relocated(task.arguments, moved)
        delivery = _children.run(task.function, here, task.needs.gpu, errand.memory_limit, is_wanted)
        written = None
        if task.writes is not None and delivery.error is None and delivery.exit_code is None:
            written = moved[task.writes].read_bytes()
        back = {there: path for path, there in moved.items()}
        return replace(delivery, value=relocated(delivery.value, back), written=written)


@contextmanager
def _own_folder() -> Iterator[Path]:
    try:
        # What a program leaves open there must not turn this into a failure.
        folder = tempfile.TemporaryDirectory(dir=_scratch(cache_dir()), ignore_cleanup_errors=True)
    except OSError as error:
        raise RefusalError("", f"no room for work in progress: {error.strerror}") from error
    with folder as name:
        yield Path(name)


def _check_likeness(errand: Errand) -> None:
    if found := differences(errand.likeness, likeness()):
        raise RefusalError("", "; ".join(found))
    recipe = errand.task.recipe
    if recipe is None:
        return
    try:
        if recipe.identity() == errand.identity:
            return
        why = f"another build of {recipe.name} ({recipe.version()})"
    except EvalError as error:
        why = f"{error.what} ({error.where})" if error.where else error.what
    raise RefusalError(recipe.name, why)


@functools.cache
def _scratch(cache: Path) -> Path:
    """This process's own folder for work in progress; those that dead workers left are removed."""
    _kept.append(Scratch(cache / "errands"))
    return _kept[-1].path


def relocated(value: Any, moved: Mapping[Path, Path]) -> Any:
    """The value with other paths in place of those that have moved, in tuples, lists, dicts and dataclasses too.

    Features of sources are kept in the cache of the machine that computes them.
    """
    if isinstance(value, Path):
        return moved.get(value, value)
    if isinstance(value, FeatureCache):
        return FeatureCache(cache_dir() / "features", value.limit_bytes)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(relocated(one, moved) for one in value)
    if isinstance(value, dict):
        return {key: relocated(one, moved) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in fields(value):
            if field.init and (new := relocated(old := getattr(value, field.name), moved)) is not old:
                changed[field.name] = new
        return replace(value, **changed) if changed else value
    return value


def _source(sequence: Sequence, entry: SequenceEntry | None) -> Path:
    """A file here that has the sequence's frames: the same path where it is shared, else fetched and verified."""
    if is_verified(sequence.path, sequence.sha256):
        return sequence.path
    if entry is None:
        why = "put it on storage that all machines share, or make a dataset of it that each of them can fetch"
        raise RefusalError(sequence.sha256, f"it does not have {sequence.path}: {why}")
    try:
        made = prepare(entry, sequence.frames)
    except (EvalError, OSError) as error:
        raise RefusalError(sequence.sha256, f"it cannot have {sequence.name}: {error}") from error
    if made.sha256 != sequence.sha256:
        raise RefusalError(sequence.sha256, f"it makes other frames of {sequence.name}: sha256 {made.sha256}")
    return made.path


class Permits:
    """Cores and memory of this machine, handed out in the order of asking.

    Args:
        threads: of all tasks at a time together.
        memory_bytes: likewise; 0 for no limit. What needs more than there is runs alone.
    """

    def __init__(self, threads: int, memory_bytes: int = 0) -> None:
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._out: list[Needs] = []
        self._queue: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def held(self, needs: Needs, is_wanted: Callable[[], bool]) -> Iterator[None]:
        """Hold what a task needs; waits until it is there.

        Raises:
            CalledOffError: nobody waits for it any more.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                # Nobody overtakes the first: a task that needs the whole machine would wait for ever.
                while not (self._queue[0] is ticket and self._fits(needs)):
                    if not self._changed.wait(_LOOK_S) and not is_wanted():
                        raise CalledOffError("nobody waits for this any more")
                self._out.append(needs)
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._out.remove(needs)
                self._changed.notify_all()

    def _fits(self, needs: Needs) -> bool:
        threads = sum(one.threads for one in self._out) + needs.threads
        memory = sum(one.memory_bytes for one in self._out) + needs.memory_bytes
        return not self._out or (threads <= self._threads and (not self._memory_bytes or memory <= self._memory_bytes))


class _Children:
    """The worker processes of this machine that are idle, by what they may do."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[bool, int | None], list[Worker]] = defaultdict(list)
        self._lock = threading.Lock()

    def renew(self) -> None:
        """End those that are idle, and the others as soon as they are: they hold what may have changed since."""
        with self._lock:
            former, self._idle = self._idle, defaultdict(list)
        for worker in itertools.chain.from_iterable(former.values()):
            worker.stop(busy=False)

    def run(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        gpu: bool,
        memory_limit: int | None,
        is_wanted: Callable[[], bool],
    ) -> Delivery:
        """Do a task in a worker process, started where none is idle.

        Raises:
            CalledOffError: nobody waited for it any more; the process and what it ran are gone.
            RefusalError: a process that is started now would not do what this one was started to do.
        """
        with self._lock:
            every = self._idle
            idle = every[gpu, memory_limit]
        while True:
            with self._lock:
                worker = idle.pop() if idle else None
            if worker is None:
                if not is_unchanged():
                    raise RefusalError("", CHANGED)
                for name, value in WORKER_ENVIRONMENT.items():
                    os.environ.setdefault(name, value)
                worker = Worker(memory_limit, gpu=gpu)
            try:
                worker.start(function, arguments)
            except DEATHS:
                # It was killed while it was idle: the task never began.
                worker.stop(busy=False)
                continue
            break
        try:
            while not worker.connection.poll(_LOOK_S):
                if not is_wanted():
                    raise CalledOffError("nobody waits for this any more")
            value, error = worker.result()
        except DEATHS:
            return Delivery(exit_code=worker.stop(busy=True))
        except BaseException:
            worker.stop(busy=True)
            raise
        with self._lock:
            if is_of_use := every is self._idle:
                idle.append(worker)
        if not is_of_use:
            worker.stop(busy=False)
        return Delivery(value, error)


_children = _Children()
