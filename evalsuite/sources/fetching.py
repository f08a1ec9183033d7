"""Many sequences at a time, each over its own connection; one that fails stops none of the others."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from evalsuite.assets import LocalSource, PackageSource
from evalsuite.download import watched
from evalsuite.errors import EvalError
from evalsuite.sources.dataset import prepare
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.types import Sequence

CONNECTIONS = 4
"""As many as servers of test material bear without refusing."""

Report = Callable[[str, int, int | None], None]
"""Called with a sequence's name, the bytes of its file that are here, and those there will be, where known; from any
thread."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one sequence: it is ready, or `error` says why not."""

    entry: SequenceEntry
    sequence: Sequence | None = None
    error: EvalError | None = None


def fetch_all(entries: Iterable[SequenceEntry], report: Report, connections: int = CONNECTIONS) -> Iterator[Fetched]:
    """Fetch and prepare sequences side by side; yields each as it is done.

    Whoever stops asking (Ctrl-C) stops the work: what has arrived of a file is kept.

    Args:
        entries: of one dataset.
        report: told how far downloads are.
        connections: how many sequences at a time.
    """
    tasks: SimpleQueue[list[SequenceEntry]] = SimpleQueue()
    total = 0
    for group in _grouped(entries):
        tasks.put(group)
        total += len(group)
    done: SimpleQueue[Fetched | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            while True:
                for entry in tasks.get_nowait():
                    done.put(_fetch(entry, report))
        except Empty:
            return
        except BaseException as error:
            done.put(error)

    for _ in range(connections):
        # Daemons, not a pool: after Ctrl-C nobody waits for a decode that takes minutes.
        threading.Thread(target=work, daemon=True).start()
    for _ in range(total):
        outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome


def _fetch(entry: SequenceEntry, report: Report) -> Fetched:
    try:
        with watched(lambda size, total: report(entry.name, size, total)):
            return Fetched(entry, prepare(entry))
    except EvalError as error:
        return Fetched(entry, error=error)


def _grouped(entries: Iterable[SequenceEntry]) -> Iterable[list[SequenceEntry]]:
    """Sequences of one archive or one file together: the first gets it for all, and the others would only wait."""
    groups: defaultdict[object, list[SequenceEntry]] = defaultdict(list)
    for entry in entries:
        key: object = entry.name
        for source in entry.sources:
            if not isinstance(source, LocalSource):
                key = source.archive_sha256 if isinstance(source, PackageSource) else source.url
                break
        groups[key].append(entry)
    return groups.values()
