"""One stream at a time: encode a sequence to a file, decode a file to frames, each in processes of their own."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, cast

from evalsuite import process
from evalsuite.codec.bitstream import payload_bytes
from evalsuite.codec.padding import crop, write_padded
from evalsuite.codec.recipe import Command, Recipe
from evalsuite.codec.scaling import Upscaler, scale_down
from evalsuite.errors import MediaError, ProcessError, ShapeError
from evalsuite.files import sha256_of
from evalsuite.process import Running
from evalsuite.sources.y4m import Y4MReader, parse_header, read_raw_frames, split_planes
from evalsuite.types import Frame, OperatingPoint, Sequence, Usage, VideoFormat

_HEADER_LIMIT = 1024
"""Longest Y4M header or FRAME line: other output has no newline to stop at."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A bitstream and what it cost."""

    path: Path
    file_bytes: int
    payload_bytes: int
    """What counts as rate: the file, less the container's own bytes where there is one."""
    sha256: str
    """Of the file."""
    usage: Usage
    """Of all passes together, and of scaling where there is some."""
    commands: tuple[Command, ...]
    """As they were run, one for each pass."""


def encode(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, output: Path, *, timeout: float | None = None
) -> Encoded:
    """Encode a sequence to `output`, which exists afterwards only if all went well.

    Args:
        recipe: the codec.
        sequence: the source.
        point: q, intra period and threads.
        output: the bitstream file; its folder is made, and takes the passes' own files for the time of the encode.
        timeout: seconds for scaling and all passes together; the process group is killed then.

    Raises:
        RequestError: the codec does not take this format or point.
        ShapeError: the source to be scaled has another number of frames than the sequence.
        ProcessError: the encoder is missing, fails, runs too long, or writes nothing.
        MediaError: what it wrote is not a whole stream of its container.
    """
    recipe.check_format(sequence)
    recipe.check_point(point)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A file of an earlier run must never pass for this one's.
        output.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=".encode-", dir=output.parent) as scratch:
            return _encode(recipe, sequence, point, output, Path(scratch), timeout)
    except OSError as error:
        _remove(output)
        raise ProcessError(
            f"the encode has no place to write: {error.strerror}",
            where=error.filename or output,
            fix="free some space or choose another folder",
        ) from error
    except BaseException:
        _remove(output)
        raise


def _remove(output: Path) -> None:
    # What went wrong before matters more than that its remains cannot be removed.
    with suppress(OSError):
        output.unlink(missing_ok=True)


def _encode(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, output: Path, scratch: Path, timeout: float | None
) -> Encoded:
    deadline = None if timeout is None else time.monotonic() + timeout

    def left() -> float | None:
        return None if deadline is None else max(0.001, deadline - time.monotonic())

    source, coded, costs = sequence.path, recipe.coded_format(sequence.format), []
    if recipe.scale is not None:
        scaled, source = scratch / "scaled.yuv", scratch / "scaled.y4m"
        costs.append(scale_down(sequence, recipe.scale, scaled, timeout=left()))
        with scaled.open("rb") as stream:
            frames = read_raw_frames(stream, recipe.scaled_format(sequence.format), scaled)
            write_padded(frames, coded, sequence, source)
    elif coded != sequence.format:
        source = scratch / "padded.y4m"
        write_padded(Y4MReader(sequence.path), coded, sequence, source)
    commands = recipe.encode_commands(sequence, point, source, output, scratch / "stats")
    costs += [process.run(command, timeout=left()) for command in commands]
    if not output.is_file() or not (file_bytes := output.stat().st_size):
        raise ProcessError(
            f"the encoder of {recipe.name} ended well but wrote nothing",
            command=commands[-1],
            where=output,
            expected="a bitstream",
            got="an empty file" if output.is_file() else "no file",
            fix="check that the recipe's `encode` writes to {output}",
        )
    return Encoded(
        path=output,
        file_bytes=file_bytes,
        payload_bytes=payload_bytes(output, recipe.container),
        sha256=sha256_of(output),
        usage=Usage(
            wall_s=sum(cost.wall_s for cost in costs),
            cpu_s=sum(cost.cpu_s for cost in costs),
            peak_rss_bytes=max(cost.peak_rss_bytes for cost in costs),
        ),
        commands=commands,
    )


class Decoder:
    """A decoder process whose frames are iterated once; a context manager that never leaves it behind.

    The number of frames, their size, the exit code and, where the recipe says so, stderr are judged when the last frame
    has been taken: only then is `usage` set.
    """

    def __init__(
        self, recipe: Recipe, bitstream: Path, sequence: Sequence, point: OperatingPoint, timeout: float | None
    ) -> None:
        self._recipe = recipe
        self._format = sequence.format
        self._frames = sequence.frames
        self._timeout = timeout
        self._bitstream = bitstream
        self._running: Running | None = None
        self._upscaler: Upscaler | None = None
        self._decoded_usage: Usage | None = None
        self.command = recipe.decode_command(bitstream, sequence.format, point.threads)
        self.usage: Usage | None = None
        """What decoding cost; None until every frame has been taken. Wall time includes waiting for the reader.

        Where frames are scaled back, memory and CPU seconds are those of both processes, which run side by side.
        """

    def __enter__(self) -> Decoder:
        if not self._bitstream.is_file():
            raise MediaError("there is no bitstream to decode", where=self._bitstream)
        self._running = Running(self.command, timeout=self._timeout, stdout=subprocess.PIPE)
        self._running.stop_timeout()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is None:
            return
        if self._upscaler is not None:
            # The feeding thread may wait for the decoder: it ends with it, and only then may the decoder be reaped.
            self._running.kill()
            self._upscaler.close()
        self._running.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Frame]:
        """Frames of the sequence's size, in order.

        Raises:
            ShapeError: frames of another size, too many or too few of them.
            ProcessError: the decoder fails, runs too long, complains, or stops inside a frame; scaling back fails.
        """
        if self._running is None:
            raise ValueError("a decoder is iterated inside its `with` block")
        scale, small = self._recipe.scale, self._recipe.scaled_format(self._format)
        if scale is None:
            yield from self._decoded(self._running, small)
            self.usage = self._decoded_usage
            return
        decoded = self._decoded(self._running, small)
        self._upscaler = Upscaler(decoded, small, self._format, scale.filter, self._timeout)
        yield from self._upscaler
        if self._decoded_usage is not None and self._upscaler.usage is not None:
            self.usage = _together(self._decoded_usage, self._upscaler.usage)

    def _decoded(self, running: Running, small: VideoFormat) -> Generator[Frame, None, None]:
        """What the decoder gives, without padding; judged when the last frame has been taken."""
        coded, count = self._recipe.coded_format(self._format), 0
        running.restart_timeout()
        try:
            for frame in _frames(running.stdout, self._recipe.decoded, coded, self._bitstream):
                count += 1
                if count > self._frames:
                    raise self._wrong_count(f"more than {self._frames} frames")
                # Metrics may be slow: while they hold a frame, the decoder only waits.
                running.stop_timeout()
                yield frame if coded == small else crop(frame, small)
                running.restart_timeout()
        except MediaError as error:
            # A dead decoder explains a broken stream better than the stream; one that still writes is not waited for.
            if not running.stdout.read(1):
                self._judge(running)
            raise ProcessError(
                f"the decoder of {self._recipe.name} wrote something else than whole frames: {error.what}",
                command=self.command,
                stderr_tail=running.stderr_tail,
                where=self._bitstream,
                expected=error.expected,
                got=error.got,
            ) from error
        usage = self._judge(running)
        if count < self._frames:
            raise self._wrong_count(f"{count} frames")
        self._decoded_usage = usage

    def _judge(self, running: Running) -> Usage:
        usage = running.finish()
        pattern = self._recipe.decode_errors
        if pattern and re.search(pattern, running.stderr_tail):
            raise ProcessError(
                f"the decoder of {self._recipe.name} reports damage, though it exited with code 0",
                command=self.command,
                stderr_tail=running.stderr_tail,
                where=self._bitstream,
                got=running.stderr_tail[:300],
                fix="encode it again",
            )
        return usage

    def _wrong_count(self, got: str) -> ShapeError:
        return ShapeError(
            "the decoded sequence has another number of frames than the source",
            where=f"{self._recipe.name}, {self._bitstream}",
            expected=f"{self._frames} frames",
            got=got,
            fix="the encoder or the decoder drops or repeats frames: check the recipe with `evalsuite codecs check`",
        )


def _together(decoder: Usage, scaler: Usage) -> Usage:
    return Usage(
        wall_s=max(decoder.wall_s, scaler.wall_s),
        cpu_s=decoder.cpu_s + scaler.cpu_s,
        peak_rss_bytes=decoder.peak_rss_bytes + scaler.peak_rss_bytes,
    )


def decode(
    recipe: Recipe, bitstream: Path, sequence: Sequence, point: OperatingPoint, *, timeout: float | None = None
) -> Decoder:
    """A decoder for one bitstream: reads nothing but that file, in a process of its own.

    Args:
        recipe: the codec that wrote it.
        bitstream: the file.
        sequence: gives the size and the number of frames to expect; its file is not read.
        point: gives the number of threads.
        timeout: seconds one frame may take, for the decoder and for scaling; the process group is killed then.
    """
    return Decoder(recipe, bitstream, sequence, point, timeout)


def _frames(stream: IO[bytes], kind: str, format: VideoFormat, where: Path) -> Iterator[Frame]:
    """Frames of a decoder's stdout, raw or Y4M."""
    if kind == "raw":
        yield from read_raw_frames(cast("BinaryIO", stream), format, where)
        return
    header = stream.readline(_HEADER_LIMIT)
    if not header:
        return
    found, _, _ = parse_header(header, where)
    if found != format:
        raise ShapeError("the decoded frames have another size or format", where=where, expected=format, got=found)
    while line := stream.readline(_HEADER_LIMIT):
        data = stream.read(format.frame_bytes)
        if not line.startswith(b"FRAME") or len(data) < format.frame_bytes:
            raise MediaError(
                "the last frame is not whole", expected=f"{format.frame_bytes} bytes", got=f"{len(data)} bytes"
            )
        yield split_planes(data, format)
