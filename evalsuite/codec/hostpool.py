"""The processes that codecs written in Python live in: started, asked, kept for the next request, ended.

A process that encodes never decodes. One that fails, hangs or dies is killed with its process group, and the next
request starts another.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from evalsuite.codec.plugin import Role
from evalsuite.errors import ProcessError
from evalsuite.process import Running
from evalsuite.types import Usage

_LARGEST_REPLY = 1 << 20
_PATIENCE_S = 120.0
"""Seconds that importing a class may take, to ask what it is."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Hosted:
    """A class and what it is made with: two that are equal share their processes."""

    python: str
    """As `plugin.located` gives it."""
    settings: str
    """JSON of the keyword arguments."""
    files: tuple[tuple[str, str], ...]
    """Name and path."""
    device: str


class Host:
    """A running host, and the socket to it.

    Args:
        role: what it is for.
        threads: for its arithmetic.
    """

    def __init__(self, role: Role, threads: int) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {name: str(threads) for name in _THREAD_VARIABLES}
        # A host finds the modules that this process finds, and none of the folder it happens to stand in.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        inherited = os.environ.get("PYTHONPATH", "")
        command = (sys.executable, "-P", "-m", "evalsuite.codec.host", role, str(os.getpid()), inherited)
        with theirs:
            try:
                self.running = Running(command, stdin=theirs.fileno(), env=environment)
            except BaseException:
                self._socket.close()
                raise
        self._replies = self._socket.makefile("rb")
        self.loaded_s: float | None = None
        """Wall seconds that loading took, until a request has been told."""

    @property
    def alive(self) -> bool:
        """Whether an idle host can be asked: its socket has nothing to say unless it is closed."""
        return not select.select([self._socket], [], [], 0)[0]

    def send(self, request: dict[str, Any], pipe: int | None = None) -> None:
        """Ask; the answer is `receive`d. A host that has gone is noticed there."""
        line = json.dumps(request).encode() + b"\n"
        self.running.restart_peak()
        with contextlib.suppress(ConnectionError):
            sent = socket.send_fds(self._socket, [line], [] if pipe is None else [pipe])
            self._socket.sendall(line[sent:])

    def receive(self) -> dict[str, Any]:
        """The answer; a host without a good one is at its end.

        Raises:
            ProcessError: the class failed, the process died or was killed for its time, or answered nonsense.
        """
        try:
            line = self._replies.readline(_LARGEST_REPLY)
        except ConnectionError:
            line = b""
        if not line:
            try:
                self.running.finish()
            finally:
                self.close()
        reply = _parsed(line)
        if reply.get("ok") is True:
            return reply
        self.close()
        raise ProcessError(
            reply.get("what", "the process of the codec ended without an answer"),
            command=self.running.command,
            stderr_tail=self.running.stderr_tail,
            **{name: reply[name] for name in ("where", "expected", "got", "fix") if name in reply},
        )

    def start_clock(self, timeout: float | None) -> None:
        """Kill the process group in `timeout` seconds from now, unless `running.stop_timeout` comes first."""
        self.running.timeout = timeout
        self.running.restart_timeout()

    def ask(self, request: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        """The answer to a request that may take `timeout` seconds."""
        self.start_clock(timeout)
        self.send(request)
        reply = self.receive()
        self.running.stop_timeout()
        return reply

    def open(self, hosted: Hosted, threads: int, timeout: float | None) -> None:
        """Make the class's object and load its model, unless that is done; `timeout` seconds for it.

        Raises:
            ProcessError: the class cannot be imported or made.
        """
        if self.loaded_s is None:
            request = {
                "do": "open",
                "python": hosted.python,
                "settings": json.loads(hosted.settings),
                "files": dict(hosted.files),
                "device": hosted.device,
                "threads": threads,
            }
            self.loaded_s = self.ask(request, timeout)["wall_s"]

    def usage(self, reply: dict[str, Any]) -> Usage:
        """What the last request cost: CPU and memory are its own; a model loaded for it is in `load_s` and `wall_s`."""
        loaded, self.loaded_s = self.loaded_s or 0.0, 0.0
        return Usage(
            wall_s=loaded + reply["wall_s"],
            cpu_s=reply["cpu_s"],
            peak_rss_bytes=self.running.peak_bytes(),
            load_s=loaded,
        )

    def close(self) -> None:
        """Leave nothing of it behind."""
        self.running.kill()
        self.running.wait()
        self._replies.close()
        self._socket.close()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(line)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}


Key = tuple[Hosted, Role, int]
_idle: dict[Key, Host] = {}
"""One for each, so that decodes side by side leave one copy of the model behind; the one idle for longest is first."""

_MOST_IDLE = 6
"""Two codecs in all three roles: one and what it is compared with go on without loading, and more take no memory."""


@atexit.register
def close_hosts() -> None:
    """End the hosts that wait for work."""
    while _idle:
        _, host = _idle.popitem()
        host.close()


def take(key: Key) -> Host:
    """A host that is free, or a new one; it has its class's object, or is about to be asked to make it."""
    if (host := _idle.pop(key, None)) is not None:
        if host.alive:
            return host
        host.close()
    return Host(key[1], key[2])


def give_back(key: Key, host: Host) -> None:
    """Keep a host for the next request, unless another one waits for the same; end the one idle for longest of many."""
    if key in _idle:
        host.close()
        return
    _idle[key] = host
    while len(_idle) > _MOST_IDLE:
        _idle.pop(next(iter(_idle))).close()


@contextlib.contextmanager
def opened(hosted: Hosted, role: Role, threads: int, timeout: float | None) -> Iterator[Host]:
    """A host with its model loaded; free again afterwards, or gone where the block raises."""
    key = (hosted, role, threads)
    host = take(key)
    try:
        host.open(hosted, threads, timeout)
        yield host
    except BaseException:
        host.close()
        raise
    give_back(key, host)


@functools.cache
def describe(python: str) -> dict[str, Any]:
    """What a class says of itself, see `plugin.describe`; asked once in the life of this process.

    Raises:
        ProcessError: it cannot be imported.
    """
    host = Host("info", 1)
    try:
        reply = host.ask({"do": "describe", "python": python}, _PATIENCE_S)
    except ProcessError as error:
        raise ProcessError(
            f"the codec class cannot be imported: {error.what}",
            command=error.command,
            stderr_tail=error.stderr_tail,
            where=python,
            fix="install what it needs into the environment of evalsuite",
        ) from error
    host.close()
    found: dict[str, Any] = reply["value"]
    return found
