"""A Dask cluster of real processes on this machine, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0


class Cluster:
    """A scheduler and workers that can be killed; a context manager.

    Args:
        folder: for the scheduler file and the workers' own folders.
        env: of all of them, on top of this process's.
    """

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **env}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start a scheduler on a free port, in place of one that was killed; waits until it answers."""
        self.file.unlink(missing_ok=True)
        command = (
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--scheduler-file",
            str(self.file),
            "--no-dashboard",
        )
        self.scheduler = self._start("scheduler.log", *command)
        self._wait(lambda: self.file.exists() and self.file.stat().st_size > 0, "the scheduler")

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads(self.file.read_text())["address"])

    def start_worker(self, threads: int = 1, *more: str, name: str = "", **env: str) -> subprocess.Popen[bytes]:
        """Start a worker with a nanny, which starts it anew when it dies; does not wait for it."""
        name = name or f"worker{len(self.workers)}"
        local = self.folder / name
        process = self._start(
            *(f"{name}.log", "worker", self.address, "--nthreads", str(threads), "--name", name, "--no-dashboard"),
            *("--host", "127.0.0.1", "--local-directory", str(local), "--death-timeout", "30", *more),
            **env,
        )
        self.workers.append(process)
        return process

    def _start(self, log: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                stdout=stream,
                stderr=stream,
                env={**self.env, **env},
                start_new_session=True,
            )

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many have joined."""
        from distributed import Client

        with Client(self.address, timeout=PATIENCE_S, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=PATIENCE_S)

    def _wait(self, ready: object, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not ready():  # type: ignore[operator]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not start: {(self.folder / 'scheduler.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
