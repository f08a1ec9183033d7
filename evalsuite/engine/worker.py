"""A worker: a process of its own that does one task after the other, and keeps what it has loaded.

It is started as a plain program that is handed one end of a socket, not by the standard library's multiprocessing:
processes of a Dask worker may not have children that way, and the main module of whatever program this is would be
imported once more in each of them.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from evalsuite import process
from evalsuite.errors import EvalError
from evalsuite.proctree import kill_marked

PATIENCE_S = 10.0
"""Seconds a worker gets to stop what it runs before it is killed."""

_MARK = "EVALSUITE_TASKS_OF"
"""Environment variable of a worker and of all that it starts: which worker it is."""

DEATHS = (EOFError, ConnectionResetError, BrokenPipeError)
"""What talking to a worker that has died raises."""

# The same packages must be found as here, whatever this program has done to its search path.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from evalsuite.engine.worker import main; main()"


class Worker:
    """One worker process, and the pipe to it.

    Args:
        memory_limit: bytes that a program may hold, with all it starts, before it is killed; None for no limit.
        gpu: whether it may see the CUDA devices of this machine.
    """

    def __init__(self, memory_limit: int | None = None, *, gpu: bool = True) -> None:
        ours, theirs = socket.socketpair()
        setting = {"pipe": theirs.fileno(), "parent": os.getpid(), "memory_limit": memory_limit}
        self._mark = uuid.uuid4().hex
        hidden = {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path), json.dumps(setting)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **hidden, _MARK: self._mark},
            )
        self.connection = Connection(ours.detach())

    def start(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Give the worker something to do.

        Raises:
            BrokenPipeError: it has died while it was idle; one of `DEATHS`.
        """
        self.connection.send((function, arguments))

    def result(self) -> tuple[Any, Exception | None]:
        """What came of it, value or error; waits for the end.

        Raises:
            EOFError: it has died; one of `DEATHS`.
        """
        try:
            packed = self.connection.recv_bytes()
        except OSError as cut:
            # It was killed in the middle of its answer.
            raise EOFError from cut
        value, error = pickle.loads(packed)  # noqa: S301 - from our own child
        return value, error

    def stop(self, *, busy: bool) -> int:
        """End the worker: an idle one by closing its pipe, a busy one with whatever it runs; returns its exit code."""
        self.connection.close()
        if busy:
            self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if busy:
            # One that was killed outright has left its encoders running.
            kill_marked(_MARK, self._mark)
        return code


def main() -> None:
    """The life of a worker process; `sys.argv` is what `Worker` has set."""
    setting = json.loads(sys.argv[2])
    del sys.argv[1:]
    process.limit_memory(setting["memory_limit"])
    # Ctrl-C reaches the whole foreground group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch_parent, args=(setting["parent"],), daemon=True).start()
    connection = Connection(setting["pipe"])
    os.set_inheritable(setting["pipe"], False)
    while True:
        try:
            function, arguments = connection.recv()
        except DEATHS:
            return
        connection.send_bytes(_packed(_perform(function, arguments)))


def _perform(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    try:
        return function(*arguments), None
    except Exception as error:  # whatever a task raises is its outcome
        return None, error


def _packed(outcome: tuple[Any, Exception | None]) -> bytes:
    """The outcome as bytes that can be read again: anybody's errors are not made for that."""
    try:
        packed = pickle.dumps(outcome)
        pickle.loads(packed)  # noqa: S301 - our own
    except Exception as error:  # whatever the value or the error does when it is packed
        _, failed = outcome
        what = f"{type(failed).__name__}: {failed}" if failed is not None else f"the result cannot be sent: {error}"
        return pickle.dumps((None, EvalError(what)))
    return packed


def _stop(*_: object) -> None:
    process.kill_all()
    os._exit(1)


def _watch_parent(parent: int) -> None:
    # A parent that was killed outright cannot say goodbye: its encoders must not go on without it.
    while os.getppid() == parent:
        time.sleep(0.5)
    _stop()
