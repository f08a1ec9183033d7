"""Meeting a Dask scheduler and its workers: finding it, looking at them, and what runs in them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.engine.errand import Delivery, Errand, Permits, RefusalError, carry_out
from evalsuite.engine.likeness import Likeness, differences, likeness
from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 20.0
"""Seconds in which a scheduler must answer."""

_one_at_a_time = threading.Lock()


def connect(address: str) -> Client:
    """A client of the scheduler at an address, or in a scheduler file.

    Raises:
        RequestError: Dask is not installed, or no scheduler answers.
    """
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
        raise no_scheduler(address, error) from error


def no_scheduler(address: str, error: Exception) -> RequestError:
    """What to tell of a scheduler that does not answer."""
    return RequestError(
        "no scheduler answers",
        where=address,
        expected="the address of a Dask scheduler, such as tcp://10.0.0.1:8786, or its scheduler file",
        got=str(error) or type(error).__name__,
        fix="start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads CORES`",
    )


def check_workers(client: Client, wanted: Likeness) -> None:
    """Refuse workers that would compute something else, by their names.

    Raises:
        RequestError: there are some.
    """
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


def visit(errand: Errand, topic: str) -> Delivery:
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
    except RefusalError as refusal:
        raise RefusalError(refusal.subject, refusal.why, worker.address) from refusal


def _permits_of(worker: Any) -> Permits:
    """What the machine of a Dask worker has: one for all its threads."""
    with _one_at_a_time:
        if not hasattr(worker, "evalsuite_permits"):
            worker.evalsuite_permits = Permits(worker.state.nthreads, worker.memory_manager.memory_limit or 0)
        permits: Permits = worker.evalsuite_permits
    return permits
