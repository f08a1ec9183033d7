"""A task on another machine: what is sent along, what is made of it there, and what comes back.

Runs inside a Dask worker, in one of its threads. The task itself runs in a worker process of our own, as on one
machine: what crashes takes nothing else along, models stay loaded, and nothing of a cell is left when it is called off.
"""

from __future__ import annotations

import functools
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
from evalsuite.engine.execute import WORKER_ENVIRONMENT, Needs, Task
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.likeness import Likeness, differences, likeness
from evalsuite.engine.worker import DEATHS, Worker
from evalsuite.errors import EvalError, MediaError
from evalsuite.files import is_verified
from evalsuite.scratch import Scratch
from evalsuite.sources.dataset import prepare
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.types import Sequence

_kept: list[Scratch] = []
"""Folders that are ours as long as this process lives."""

_LOOK_S = 1.0
"""Seconds between two looks at whether an errand is still wanted."""


class UnlikeError(EvalError):
    """This machine has another version of the suite, or of a package that scores depend on."""


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


def carry_out(errand: Errand, is_wanted: Callable[[], bool], permits: Permits) -> Delivery:
    """Do what an errand says.

    Args:
        errand: the task and what it needs.
        is_wanted: whether somebody still waits for it.
        permits: what this machine has.

    Raises:
        UnlikeError: this machine is not like the one that asks.
        CalledOffError: nobody waited for it any more.
    """
    _check_likeness(errand)
    task = errand.task
    with permits.held(task.needs), tempfile.TemporaryDirectory(dir=_scratch(cache_dir())) as name:
        if not is_wanted():
            raise CalledOffError("nobody waits for this any more")
        folder = Path(name)
        moved: dict[Path, Path] = {}
        for number, (path, content) in enumerate(errand.files.items()):
            moved[path] = folder / f"{number}{path.suffix}"
            moved[path].write_bytes(content)
        if task.writes is not None:
            moved[task.writes] = folder / "out" / task.writes.name
        try:
            if task.sequence is not None:
                moved[task.sequence.path] = _source(task.sequence, errand.entry)
            here = relocated(task.arguments, moved)
            delivery = _children.run(task.function, here, task.needs.gpu, errand.memory_limit, is_wanted)
        except (EvalError, OSError) as error:
            if isinstance(error, CalledOffError):
                raise
            return Delivery(error=error)
        written = None
        if task.writes is not None and delivery.error is None and delivery.exit_code is None:
            written = moved[task.writes].read_bytes()
        back = {there: path for path, there in moved.items()}
        return replace(delivery, value=relocated(delivery.value, back), written=written)


def _check_likeness(errand: Errand) -> None:
    found = differences(errand.likeness, likeness())
    recipe = errand.task.recipe
    if not found and recipe is not None and recipe.identity() != errand.identity:
        found = [f"another build of {recipe.name} ({recipe.version()})"]
    if found:
        raise UnlikeError(
            "the worker is of another version",
            got="; ".join(found),
            fix="install the same versions on every machine of the cluster",
        )


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
        raise MediaError(
            "the worker does not have this file",
            where=sequence.path,
            expected=f"sha256 {sequence.sha256}",
            fix="put it on storage that all machines share, or make a dataset of it that each of them can fetch",
        )
    made = prepare(entry, sequence.frames)
    if made.sha256 != sequence.sha256:
        raise MediaError(
            "the worker makes other frames of this source",
            where=sequence.name,
            expected=f"sha256 {sequence.sha256}",
            got=f"sha256 {made.sha256}",
        )
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
    def held(self, needs: Needs) -> Iterator[None]:
        """Hold what a task needs; waits until it is there."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            # Nobody overtakes the first: a task that needs the whole machine would wait for ever.
            self._changed.wait_for(lambda: self._queue[0] is ticket and self._fits(needs))
            self._queue.pop(0)
            self._out.append(needs)
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
        """
        idle = self._idle[gpu, memory_limit]
        while True:
            with self._lock:
                worker = idle.pop() if idle else None
            if worker is None:
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
            idle.append(worker)
        return Delivery(value, error)


_children = _Children()
