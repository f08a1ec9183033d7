"""One bitstream decoded to frames, in a process that is given nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, cast

from evalsuite.assets import cache_dir
from evalsuite.codec.command import placeholders
from evalsuite.codec.handover import crop, rounded
from evalsuite.codec.hosted import Decoding
from evalsuite.codec.receiver import CONCEALED
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.report import report
from evalsuite.codec.scaling import Upscaler
from evalsuite.codec.transport import Sent, receive_command, send
from evalsuite.errors import MediaError, ProcessError, ShapeError
from evalsuite.files import sha256_of
from evalsuite.process import Running
from evalsuite.scratch import Scratch
from evalsuite.sources.y4m import join_planes, parse_header, read_raw_frames, split_planes
from evalsuite.types import Delivery, Frame, OperatingPoint, Sequence, Usage, VideoFormat

_HEADER_LIMIT = 1024
"""Longest Y4M header or FRAME line: other output has no newline to stop at."""

_LOG_TAIL = 4000
"""Bytes of a decoder's log that are shown."""


class DecoderProcess:
    """A recipe's decoder, running: its frames come from `frames`, whether it writes them to stdout or to a file.

    Args:
        recipe: the codec.
        bitstream: the file.
        sequence: gives size and number of frames.
        threads: for the decoder.
        timeout: seconds until it is killed, see `Running.restart_timeout`.
        sent: what arrived of the bitstream, where there is a channel.
    """

    def __init__(
        self,
        recipe: Recipe,
        bitstream: Path,
        sequence: Sequence,
        threads: int,
        timeout: float | None,
        sent: Sent | None = None,
    ) -> None:
        self._log: IO[bytes] | None = None
        self.running: Running | Decoding
        self.frames: IO[bytes]
        if sent is not None:
            command = receive_command(recipe, sent, sequence.format, sequence.frames, threads)
            self.running = Running(command, timeout=timeout, stdout=subprocess.PIPE)
            self.frames = self.running.stdout
            return
        if recipe.python:
            self.running = Decoding(recipe, threads, bitstream, timeout)
            self.frames = self.running.stdout
            return
        if "output" not in placeholders(recipe.decode):
            command = recipe.decode_command(bitstream, sequence.format, sequence.frames, threads)
            self.running = Running(command, timeout=timeout, stdout=subprocess.PIPE, alarm=recipe.decode_errors)
            self.frames = self.running.stdout
            return
        # A decoder that writes to a file is given a pipe by name: no decoded video is ever written to disk.
        reading, writing = os.pipe()
        command = recipe.decode_command(bitstream, sequence.format, sequence.frames, threads, f"/dev/fd/{writing}")
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            log, alarm = self._log.fileno(), recipe.decode_errors
            self.running = Running(command, timeout=timeout, stdout=log, pass_fds=(writing,), alarm=alarm)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.frames = os.fdopen(reading, "rb")

    @property
    def said(self) -> str:
        """The last of what the decoder said on stderr, and on stdout where no frames are there."""
        if self._log is None:
            return self.running.stderr_tail
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_TAIL))
        log = self._log.read().decode("utf-8", "replace").strip()
        return "\n".join(filter(None, (log, self.running.stderr_tail)))

    def complaint(self, pattern: str) -> str:
        """The first line that matches, of all that a decoder that has ended said; empty for none."""
        if isinstance(self.running, Running) and self.running.alarmed:
            return self.running.alarmed
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = (line.decode("utf-8", "replace").strip() for line in self._log)
        return next((line for line in lines if re.search(pattern, line)), "")

    def close(self) -> None:
        """Leave nothing behind of a decoder that has ended or was killed."""
        self.frames.close()
        if self._log is not None:
            self._log.close()


class Decoder:
    """A decoder process whose frames are iterated once; a context manager that never leaves it behind.

    The number of frames, their size, the exit code, what the decoder says where the recipe has `decode_errors`, and the
    encoder's own reconstruction where there is one are judged when the last frame has been taken: only then is `usage`
    set.
    """

    def __init__(
        self,
        recipe: Recipe,
        bitstream: Path,
        sequence: Sequence,
        point: OperatingPoint,
        timeout: float | None,
        reconstruction_sha256: str,
    ) -> None:
        self._recipe = recipe
        self._sequence = sequence
        self._format = sequence.format
        self._frames = sequence.frames
        self._threads = point.threads
        self._timeout = timeout
        self._bitstream = bitstream
        self._reconstruction_sha256 = reconstruction_sha256
        self._process: DecoderProcess | None = None
        self._upscaler: Upscaler | None = None
        self._decoded_usage: Usage | None = None
        self._folder: Scratch | None = None
        self._sent: Sent | None = None
        self._concealed: list[bool] = []
        self.command = recipe.decode_command(bitstream, sequence.format, sequence.frames, point.threads)
        self.usage: Usage | None = None
        """What decoding cost; None until every frame has been taken. Wall time includes waiting for the reader.

        Where frames are scaled back, memory and CPU seconds are those of both processes, which run side by side.
        """

    def __enter__(self) -> Decoder:
        if not self._bitstream.is_file():
            raise MediaError("there is no bitstream to decode", where=self._bitstream)
        how = (self._sequence, self._threads, self._timeout)
        if self._recipe.channel is not None:
            self._folder = Scratch(cache_dir() / "received")
        try:
            self._sent = self._send()
            self._process = DecoderProcess(self._recipe, self._bitstream, *how, self._sent)
        except BaseException:
            self._remove_received()
            raise
        self._process.running.stop_timeout()
        return self

    def _send(self) -> Sent | None:
        """What arrives at the other end of the channel; None where there is none."""
        if self._folder is None:
            return None
        sha256 = sha256_of(self._bitstream)
        ask = partial(report, self._recipe, self._bitstream, timeout=self._timeout)
        sent = send(self._recipe, self._bitstream, self._sequence, self._folder.path, sha256, ask)
        self.command = receive_command(self._recipe, sent, self._format, self._frames, self._threads)
        return sent

    def _remove_received(self) -> None:
        if self._folder is not None:
            self._folder.close()

    def delivered(self) -> Delivery:
        """What became of the bitstream on its way through the channel, once every frame has been taken."""
        if self._sent is None:
            raise ValueError("there is no channel")
        return Delivery(self._sent.packets, self._sent.hit, tuple(self._concealed))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove_received()
        if self._process is None:
            return
        if self._upscaler is not None:
            # The feeding thread may wait for the decoder: it ends with it, and only then may the decoder be reaped.
            self._process.running.kill()
            self._upscaler.close()
        self._process.running.__exit__(kind, error, trace)
        self._process.close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames of the sequence's size and bit depth, in order.

        Raises:
            ShapeError: frames of another size, too many or too few of them.
            ProcessError: the decoder fails, runs too long, complains, stops inside a frame, or gives other frames than
                the encoder's reconstruction; scaling back fails.
        """
        if self._process is None:
            raise ValueError("a decoder is iterated inside its `with` block")
        handed = self._recipe.handed_format(self._format)
        yield from rounded(self._full_size(self._process, handed), handed.bit_depth, self._format.bit_depth)
        if self._decoded_usage is None:
            return
        scaling = self._upscaler.usage if self._upscaler is not None else None
        self.usage = self._decoded_usage if scaling is None else _together(self._decoded_usage, scaling)

    def _full_size(self, process: DecoderProcess, handed: VideoFormat) -> Iterator[Frame]:
        scale, small = self._recipe.scale, self._recipe.scaled_format(self._format)
        decoded = self._decoded(process, small)
        if scale is None:
            yield from decoded
            return
        self._upscaler = Upscaler(decoded, small, handed, scale.filter, self._timeout)
        yield from self._upscaler

    def _decoded(self, process: DecoderProcess, small: VideoFormat) -> Generator[Frame, None, None]:
        """What the decoder gives, without padding; judged when the last frame has been taken."""
        coded, count = self._recipe.coded_format(self._format), 0
        running, digest = process.running, hashlib.sha256()
        # What arrived is decoded to other frames than the encoder's.
        reconstruction = "" if self._sent else self._reconstruction_sha256
        running.restart_timeout()
        try:
            decoded = "y4m" if self._sent else self._recipe.decoded
            for frame, concealed in _frames(process.frames, decoded, coded, self._bitstream):
                count += 1
                self._concealed.append(concealed)
                if count > self._frames:
                    raise self._wrong_count(f"more than {self._frames} frames")
                # Metrics may be slow: while they hold a frame, the decoder only waits.
                running.stop_timeout()
                if reconstruction:
                    digest.update(join_planes(frame))
                yield frame if coded == small else crop(frame, small)
                running.restart_timeout()
        except MediaError as error:
            # A dead decoder explains a broken stream better than the stream; one that still writes is not waited for.
            if not process.frames.read(1):
                self._judge(process)
            raise ProcessError(
                f"the decoder of {self._recipe.name} wrote something else than whole frames: {error.what}",
                command=self.command,
                stderr_tail=process.said,
                where=self._bitstream,
                expected=error.expected,
                got=error.got,
            ) from error
        usage = self._judge(process)
        if count < self._frames:
            raise self._wrong_count(f"{count} frames")
        if reconstruction and digest.hexdigest() != reconstruction:
            raise ProcessError(
                f"the decoder of {self._recipe.name} gives other frames than the encoder's own reconstruction",
                command=self.command,
                where=self._bitstream,
                expected=f"planar frames of {coded} with sha256 {reconstruction}",
                got=digest.hexdigest(),
                fix="encoder and decoder are not of one build, or the codec depends on the machine or its threads",
            )
        self._decoded_usage = usage

    def _judge(self, process: DecoderProcess) -> Usage:
        try:
            usage = process.running.finish()
        except ProcessError as error:
            error.stderr_tail = process.said
            raise
        # A receiver may well say that something is missing.
        pattern = "" if self._sent else self._recipe.decode_errors
        if pattern and (found := process.complaint(pattern)):
            raise ProcessError(
                f"the decoder of {self._recipe.name} reports damage, though it exited with code 0",
                command=self.command,
                stderr_tail=process.said,
                where=self._bitstream,
                got=found[:300],
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
        load_s=decoder.load_s,
    )


def decode(
    recipe: Recipe,
    bitstream: Path,
    sequence: Sequence,
    point: OperatingPoint,
    *,
    timeout: float | None = None,
    reconstruction_sha256: str = "",
) -> Decoder:
    """A decoder for one bitstream: reads nothing but that file, in a process of its own.

    Args:
        recipe: the codec that wrote it.
        bitstream: the file.
        sequence: gives the size and the number of frames to expect; its file is not read.
        point: gives the number of threads.
        timeout: seconds one frame may take, for the decoder and for scaling; the process group is killed then.
        reconstruction_sha256: of the encoder's reconstruction, which the decoded frames must equal; empty for none.
    """
    return Decoder(recipe, bitstream, sequence, point, timeout, reconstruction_sha256)


def _frames(stream: IO[bytes], kind: str, format: VideoFormat, where: Path) -> Iterator[tuple[Frame, bool]]:
    """Frames of a decoder, raw or Y4M, and whether each is marked as concealed."""
    if kind == "raw":
        yield from ((frame, False) for frame in read_raw_frames(cast("BinaryIO", stream), format, where))
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
        yield split_planes(data, format), CONCEALED in line.split()
