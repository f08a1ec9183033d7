"""Codecs written in Python, from outside: encode, decode and report through the processes that hold them."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from evalsuite.codec.hostpool import Hosted, Key, give_back, opened, take
from evalsuite.codec.plugin import located
from evalsuite.codec.recipe import Recipe
from evalsuite.errors import ProcessError
from evalsuite.types import OperatingPoint, Sequence, Usage


def hosted(recipe: Recipe) -> Hosted:
    """The class that a recipe names, and what it is made with.

    Raises:
        EvalError: the class or one of its files is not there.
    """
    return Hosted(
        python=located(recipe.python, *recipe.folders),
        settings=json.dumps(recipe.settings, sort_keys=True),
        files=tuple((name, str(path)) for name, path in sorted(recipe.locate_files().items())),
        device=recipe.device,
    )


def encode(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, source: Path, output: Path, timeout: float | None
) -> tuple[Usage, str]:
    """Let the class encode `source` to `output`; what it cost, and the digest of its own reconstruction or nothing.

    Args:
        recipe: one with `python`.
        sequence: gives the number of frames, the frame rate and the colour.
        point: q, intra period and threads.
        source: a Y4M file of the coded format.
        output: the bitstream.
        timeout: seconds, loading included; the process group is killed then.

    Raises:
        EvalError: the class is not there.
        ProcessError: it fails, or takes too long.
    """
    format = recipe.coded_format(sequence.format)
    job = {
        "q": point.q,
        "intra_period": point.intra_period,
        "frames": sequence.frames,
        "width": format.width,
        "height": format.height,
        "bit_depth": format.bit_depth,
        "chroma": format.chroma,
        "frame_rate": str(sequence.frame_rate),
        "matrix": sequence.colour.matrix,
        "full_range": sequence.colour.full_range,
        "transfer": sequence.colour.transfer,
    }
    request = {"do": "encode", "source": str(source.absolute()), "output": str(output.absolute()), "job": job}
    started = time.monotonic()
    with opened(hosted(recipe), "encode", point.threads, timeout) as host:
        reply = host.ask(request, _left(timeout, started))
        digest = reply["value"]
        if digest is not None and not (isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest)):
            raise ProcessError(
                "encode() returned something else than a digest",
                where=recipe.path,
                expected="None, or what frames_sha256 gives for the reconstruction",
                got=repr(digest)[:100],
            )
        return host.usage(reply), digest or ""


def _left(timeout: float | None, started: float) -> float | None:
    """What is left of it since then, of which loading has taken its part."""
    return None if timeout is None else max(0.001, started + timeout - time.monotonic())


def info(recipe: Recipe, bitstream: Path, timeout: float | None) -> tuple[Usage, dict[str, float]]:
    """What the class tells about a bitstream, and what asking cost; nothing where it has no `info`.

    Raises:
        EvalError: the class is not there.
        ProcessError: it fails, or takes too long.
    """
    started = time.monotonic()
    with opened(hosted(recipe), "info", 1, timeout) as host:
        reply = host.ask({"do": "info", "bitstream": str(bitstream.absolute())}, _left(timeout, started))
        return host.usage(reply), reply["value"]


class Decoding:
    """A decode in a host, to be read like a running program: a host that is free, or a new one for each that is open.

    Args:
        recipe: one with `python`.
        threads: for the class's arithmetic.
        bitstream: all that the host is given.
        timeout: seconds until the host's process group is killed, from the last `restart_timeout`; None for no limit.

    Raises:
        EvalError: the class is not there.
        ProcessError: it cannot be loaded.
    """

    def __init__(self, recipe: Recipe, threads: int, bitstream: Path, timeout: float | None) -> None:
        self._key: Key = (hosted(recipe), "decode", threads)
        self._timeout = timeout
        self._host = take(self._key)
        self._running = self._host.running
        reading, writing = os.pipe()
        self.stdout: IO[bytes] = os.fdopen(reading, "rb")
        """The frames, as Y4M."""
        self._finished = False
        try:
            self._host.open(self._key[0], threads, timeout)
            self.restart_timeout()
            self._host.send({"do": "decode", "bitstream": str(bitstream.absolute())}, writing)
        except BaseException:
            self.stdout.close()
            self._host.close()
            raise
        finally:
            os.close(writing)

    @property
    def stderr_tail(self) -> str:
        """The last lines that the host wrote to stdout or stderr."""
        return self._running.stderr_tail

    def restart_timeout(self) -> None:
        """Give the host its whole timeout again."""
        self._host.start_clock(self._timeout)

    def stop_timeout(self) -> None:
        """Let the host be."""
        self._running.stop_timeout()

    def kill(self) -> None:
        """Kill the host with its process group, unless it has finished this decode."""
        if not self._finished:
            self._running.kill()

    def finish(self) -> Usage:
        """Wait for the end and judge it.

        Raises:
            ProcessError: the class failed, or took too long.
        """
        self._finished = True
        self.stdout.close()
        usage = self._host.usage(self._host.receive())
        self._running.stop_timeout()
        give_back(self._key, self._host)
        return usage

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._finished = True
            self._host.close()
            self.stdout.close()
