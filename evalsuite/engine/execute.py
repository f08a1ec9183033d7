"""Where tasks run: what every engine is given, and what it gives back.

There are two engines: worker processes of this machine (`local`), and a Dask cluster (`cluster`). Both are a `Pool`:
one generator of outcomes, in the order they happen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from evalsuite.codec.recipe import Recipe
from evalsuite.errors import EvalError
from evalsuite.types import Sequence

Key = TypeVar("Key", bound=Hashable)

Urgency = tuple[int, float]
"""Of a task; the lower starts earlier. The class comes first; within a class minus the seconds it may take, so that the
longest starts first and none is left over at the end."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""Read when a process starts: encoders are processes of their own, and there is a worker for each core."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task takes of the machine that it runs on."""

    threads: int = 1
    memory_bytes: int = 0
    """Resident memory at its peak, as far as that can be foreseen."""
    gpu: bool = False
    """Whether it needs a CUDA device."""


@dataclass(frozen=True, slots=True)
class Task:
    """A function of this package and its arguments, all of which can be pickled, and the files that it touches.

    The files are named by their paths on this machine. A machine that does not have them is brought them, and runs the
    function with arguments in which the paths are its own.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: Needs = Needs()
    sequence: Sequence | None = None
    """The source that it reads."""
    reads: tuple[Path, ...] = ()
    """Bitstreams that it reads."""
    writes: Path | None = None
    """The file that it makes, if it succeeds."""
    recipe: Recipe | None = None
    """The codec that it runs: a machine with another build of it must not do this."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Key]):
    """How a task ended: with a value, or with the error it raised."""

    key: Key
    value: Any = None
    error: Exception | None = None
    alone: bool = False
    """Whether no other task was with a worker at any time between this one's start and its end."""


class Pool(ABC, Generic[Key]):
    """Workers that take tasks at any time, most urgent first; a context manager."""

    def __init__(self) -> None:
        self.on_start: Callable[[Key], None] | None = None
        """Called whenever a worker begins a task; again where a task is tried again."""
        self._died_at: set[Key] = set()

    @property
    @abstractmethod
    def jobs(self) -> int:
        """Tasks of one thread that can be at work at once; may change where machines come and go."""

    @property
    def machines(self) -> list[str]:
        """Names of the workers on other machines, for the record."""
        return []

    @abstractmethod
    def submit(self, key: Key, task: Task, urgency: Urgency = (0, 0.0)) -> None:
        """Queue a task."""

    @abstractmethod
    def tasks(self) -> list[Key]:
        """What is with a worker, and what waits for one."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether nothing is with a worker and nothing waits for one."""

    @abstractmethod
    def outcomes(self) -> Iterator[Outcome[Key]]:
        """Outcomes in the order they happen, until nothing is queued or running; tasks may be added meanwhile.

        Raises:
            EvalError: there is nothing left that tasks could run on.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the workers and whatever they run, at once."""

    def _after_death(self, key: Key, exit_code: int | None) -> Outcome[Key] | None:
        """The outcome of a task whose worker process has died; None where it is to be tried once more."""
        # A worker that was killed, or ran out of memory, may have been unlucky: its task gets one more try.
        if key not in self._died_at:
            self._died_at.add(key)
            return None
        error = EvalError(
            "the worker process died twice at this task",
            got=f"exit code {exit_code}" if (exit_code or 0) >= 0 else f"signal {-(exit_code or 0)}",
            fix="it may have run out of memory: try fewer workers with --jobs",
        )
        return Outcome(key, error=error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
