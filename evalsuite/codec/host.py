"""The process that a codec written in Python runs in: one class, loaded once, one request after the other.

Started by `evalsuite.codec.hosted`. Requests and replies are lines of JSON on a socket that only this module knows;
frames of a decode go through a pipe that comes with the request. Standard output is standard error here, so that
nothing a model prints can pass for an answer.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evalsuite.codec.plugin import Job, describe, load_class
from evalsuite.errors import EvalError, ShapeError
from evalsuite.sources.y4m import CHROMAS, header, join_planes
from evalsuite.types import Colour, Frame, VideoFormat

_CHUNK = 1 << 16
_PEAK_10_BIT = 1023


def main() -> None:
    """Answer requests until the other end of the socket, standard input, is closed."""
    role, parent, inherited = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # What led here must not lead another Python that the class may start.
    os.environ["PYTHONPATH"] = inherited
    control = _take_over_standard_streams()
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    host = _Host(role)
    while True:
        try:
            request, pipe = _receive(control)
        except (EOFError, ConnectionError):
            return
        reply = _answer(host, request, pipe)
        sys.stdout.flush()
        sys.stderr.flush()
        control.sendall(json.dumps(reply).encode() + b"\n")


def _take_over_standard_streams() -> socket.socket:
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return control


def _watch_parent(parent: int) -> None:
    # A parent that was killed outright cannot say goodbye, and a model at work does not look at its socket.
    while os.getppid() == parent:
        time.sleep(0.5)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _receive(control: socket.socket) -> tuple[dict[str, Any], int | None]:
    data, pipes = b"", []
    while not data.endswith(b"\n"):
        more, handles, _, _ = socket.recv_fds(control, _CHUNK, 1)
        if not more:
            raise EOFError
        data += more
        pipes += handles
    return json.loads(data), pipes[0] if pipes else None


def _answer(host: _Host, request: dict[str, Any], pipe: int | None) -> dict[str, Any]:
    """The reply to a request: what it gave and cost, or what went wrong."""
    try:
        if pipe is None:
            return {"ok": True, **host.perform(request)}
        with os.fdopen(pipe, "wb") as stream:
            return {"ok": True, **host.perform(request, stream)}
    except EvalError as error:
        said = {name: str(value) for name in ("where", "expected", "got", "fix") if (value := getattr(error, name))}
        return {"ok": False, "what": error.what, **said}
    except Exception as error:  # whatever the class raises is its answer
        traceback.print_exc()
        return {"ok": False, "what": f"{type(error).__name__}: {error}"[:1000]}


class _Host:
    """One object of the codec's class, made by the request `open`."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._codec: Any = None
        self._threads = 1

    def perform(self, request: dict[str, Any], stream: BinaryIO | None = None) -> dict[str, Any]:
        """Do what is asked: `value`, wall and CPU seconds."""
        wall, cpu = time.monotonic(), _cpu_s()
        value = self._do(request, stream)
        return {
            "value": value,
            "wall_s": time.monotonic() - wall,
            "cpu_s": _cpu_s() - cpu,
        }

    def _do(self, request: dict[str, Any], stream: BinaryIO | None) -> object:
        match request["do"]:
            case "describe":
                return describe(request["python"])
            case "open":
                files = {name: Path(path) for name, path in request["files"].items()}
                kind = load_class(request["python"])
                self._codec = kind(device=request["device"], role=self._role, files=files, **request["settings"])
                self._threads = request["threads"]
                _limit_threads(self._threads)
            case "encode":
                job = _job(request["job"], self._threads)
                return self._codec.encode(Path(request["source"]), Path(request["output"]), job)
            case "decode" if stream is not None:
                _write_frames(stream, self._codec.decode(Path(request["bitstream"])))
            case "info":
                ask = getattr(self._codec, "info", None)
                told = {} if ask is None else ask(Path(request["bitstream"]))
                return {name: float(value) for name, value in told.items()}
            case other:
                raise ValueError(f"a host cannot {other!r}")
        return None


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _limit_threads(threads: int) -> None:
    # Only where the class has loaded it: the suite's own codecs in Python need not have PyTorch.
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)


def _job(told: dict[str, Any], threads: int) -> Job:
    return Job(
        q=told["q"],
        intra_period=told["intra_period"],
        frames=told["frames"],
        threads=threads,
        format=VideoFormat(told["width"], told["height"], told["bit_depth"], told["chroma"]),
        frame_rate=Fraction(told["frame_rate"]),
        colour=Colour(told["matrix"], told["full_range"], told["transfer"]),
    )


def _write_frames(stream: BinaryIO, frames: Iterable[Frame]) -> None:
    """Write frames as Y4M, its header made of the first one.

    Raises:
        ShapeError: planes that are no frame of unsigned integers, or unlike those of the first frame.
    """
    first: VideoFormat | None = None
    with suppress(BrokenPipeError):
        # Whoever reads has gone, and has his reasons.
        for frame in frames:
            format = _format_of(frame)
            if first is None:
                first = format
                stream.write(header(format, Fraction(25)))
            if format != first:
                raise ShapeError("a decoded frame is unlike the first one", expected=first, got=format)
            stream.write(b"FRAME\n")
            stream.write(join_planes(frame))
        stream.flush()


def _format_of(frame: Frame) -> VideoFormat:
    planes = [np.asarray(plane) for plane in frame]
    depths = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 10}
    shapes, kinds = tuple(plane.shape for plane in planes), {plane.dtype for plane in planes}
    if planes and planes[0].ndim == 2 and len(kinds) == 1 and (depth := depths.get(planes[0].dtype)):
        fits = depth == 8 or max(int(plane.max()) for plane in planes) <= _PEAK_10_BIT
        for chroma in CHROMAS if fits else ():
            format = VideoFormat(shapes[0][1], shapes[0][0], depth, chroma)
            if format.plane_shapes == shapes:
                return format
    raise ShapeError(
        "decode() gave something else than a frame",
        expected="planes Y, Cb, Cr of uint8, or of uint16 up to 1023; Cb and Cr of half the size, rounded up (4:2:0)",
        got=", ".join(f"{plane.dtype} {plane.shape}" for plane in planes),
    )


if __name__ == "__main__":
    main()
