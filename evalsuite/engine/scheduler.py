"""Meeting a Dask scheduler and its workers: finding it, looking at them, and what runs in them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.engine.errand import Delivery, Errand, Permits, RefusalError, carry_out, meet
from evalsuite.engine.likeness import CHANGED, Likeness, differences, is_unchanged, likeness
from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 20.0
"""Seconds in which a connection to a scheduler must be made."""
_ANSWER_S = 5.0
"""Seconds more in which it must say what it is."""

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
    try:
        contact = _contact(address)
        # A client goes on long after its time is up, and for ever where something else answers.
        kind = _kind_of(contact)
        if kind != "Scheduler":
            raise ValueError(f"a Dask {kind.lower()} answers")
        return Client(contact, timeout=CONNECT_S, set_as_default=False)
    # What TLS lacks is a TypeError.
    except (OSError, ValueError, TypeError) as error:
        raise no_scheduler(address, error) from error


def _contact(address: str) -> str:
    """The address of a scheduler, whether it was given or is in the file that was.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no address.
    """
    file = Path(address)
    if file.suffix != ".json" and not file.is_file():
        return address
    if not file.is_file():
        raise OSError("there is no such scheduler file")
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the scheduler file is not JSON: {error}") from error
    contact = document.get("address") if isinstance(document, dict) else None
    if not isinstance(contact, str):
        raise ValueError("the scheduler file has no address")
    return contact


def _kind_of(contact: str) -> str:
    """What answers at an address, in Dask's words.

    Raises:
        OSError: nothing does in time, or not as Dask does.
        ValueError: it is no address.
    """
    from distributed.core import rpc
    from distributed.security import Security
    from distributed.utils import LoopRunner

    async def ask() -> str:
        how = Security().get_connection_args("client")
        async with rpc(contact, timeout=CONNECT_S, connection_args=how) as somebody:
            return str((await somebody.identity())["type"])

    # A thread of its own has the event loop: in a notebook this one has another.
    runner = LoopRunner()
    runner.start()
    try:
        kind: str = runner.run_sync(ask, callback_timeout=CONNECT_S + _ANSWER_S)
        return kind
    finally:
        runner.stop()


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
    whys = {
        address: differences(wanted, one) if isinstance(one, Likeness) else [f"{type(one).__name__}: {one}"]
        for address, one in found.items()
    }
    # One of another version may not know the question.
    if alike := [address for address, why in whys.items() if not why]:
        unchanged: dict[str, bool | Exception] = client.run(is_unchanged, workers=alike, on_error="return")
        whys |= {address: [CHANGED] for address, one in unchanged.items() if one is False}
    refused = [f"{address}: {'; '.join(why)}" for address, why in sorted(whys.items()) if why]
    if refused:
        raise RequestError(
            "workers of the cluster are of another version",
            got="".join(f"\n    {line}" for line in refused),
            expected=", ".join(f"{name} {value}" for name, value in wanted.versions.items()),
            fix="install the same versions on every machine of the cluster, or start those workers again",
        )


def visit(errand: Errand, topic: str) -> Delivery:
    """An errand of the run that listens to a topic, in a thread of a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    name = worker.get_current_task()
    worker.log_event(topic, str(name))
    meet(topic)

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
