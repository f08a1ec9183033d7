"""Frames coded at a part of their size: scaled down before the encoder, and back to full size after the decoder.

Scaling is zimg's (the filter zscale of the pinned FFmpeg), plane by plane and from edge to edge, on code values as they
are: neither range nor matrix is touched, and odd sizes work, which zscale refuses for 4:2:0 as a whole.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from evalsuite import process
from evalsuite.errors import MediaError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.process import Running
from evalsuite.sources.y4m import join_planes, read_raw_frames
from evalsuite.types import Frame, Sequence, Usage, VideoFormat

FILTERS = ("bilinear", "bicubic", "spline16", "spline36", "lanczos")
"""Names of zscale's filters that a recipe may choose."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much smaller than the sequence the coded frames are."""

    divisor: int
    """Frames are coded at 1/divisor of width and height."""
    filter: str
    """Of zscale, for both directions."""

    def format(self, full: VideoFormat) -> VideoFormat:
        """The format after scaling down: sides divided and rounded half up, at least 1; chroma as ever."""
        width, height = (max(1, (2 * side + self.divisor) // (2 * self.divisor)) for side in (full.width, full.height))
        return VideoFormat(width, height, full.bit_depth, full.chroma)


def scale_down(sequence: Sequence, scale: Scale, path: Path, *, timeout: float | None) -> Usage:
    """Write the scaled frames of a sequence to `path`, raw planar and without header; what it cost.

    Args:
        sequence: its Y4M file is read.
        scale: divisor and filter.
        path: the file to be written.
        timeout: seconds for all frames.

    Raises:
        ProcessError: FFmpeg fails or runs too long.
        ShapeError: the file has another number of frames than the sequence.
    """
    small = scale.format(sequence.format)
    read = ("-f", "yuv4mpegpipe", "-i", str(sequence.path.absolute()))
    usage = process.run(_command(read, small, scale.filter, str(path.absolute())), timeout=timeout)
    frames, rest = divmod(path.stat().st_size, small.frame_bytes)
    if frames != sequence.frames or rest:
        raise ShapeError(
            "the source has another number of frames than it should",
            where=sequence.path,
            expected=f"{sequence.frames} frames",
            got=f"{frames} frames that could be scaled",
            fix="the file is damaged or truncated: make or fetch it again",
        )
    return usage


def _command(read: tuple[str, ...], target: VideoFormat, filter: str, output: str) -> tuple[str, ...]:
    grey = "gray" if target.bit_depth == 8 else f"gray{target.bit_depth}le"
    # Said to be full range on both sides, grey planes keep their code values: else zscale turns limited into full.
    # An aspect ratio would differ between luma and chroma of odd sizes, and mergeplanes refuses that.
    scaled = [
        f"zscale={width}:{height}:filter={filter}:rangein=full:range=full,format={grey},setsar=1"
        for height, width in target.plane_shapes
    ]
    if len(scaled) == 1:
        graph = f"[0:v:0]{scaled[0]}[out]"
    else:
        graph = ";".join(
            (
                "[0:v:0]extractplanes=y+u+v[y][u][v]",
                *(f"[{plane}]{steps}[{plane}s]" for plane, steps in zip("yuv", scaled, strict=True)),
                f"[ys][us][vs]mergeplanes=map1s=1:map2s=2:format={target.pixel_format}[out]",
            )
        )
    return (
        *(str(ffmpeg_path()), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-threads", "1"),
        *("-filter_complex_threads", "1", *read, "-filter_complex", graph, "-map", "[out]"),
        *("-fps_mode", "passthrough", "-pix_fmt", target.pixel_format, "-f", "rawvideo", output),
    )


class Upscaler:
    """Scales frames back to full size in an FFmpeg process that a thread feeds; `close` ends both.

    Args:
        frames: of the small size; taken by the thread, and what they raise is raised to who iterates here.
        small: their format.
        full: the format wanted.
        filter: of zscale.
        timeout: seconds the process may take for one frame, while somebody waits for it; None for no limit.

    Raises:
        ProcessError: FFmpeg cannot be started.
    """

    def __init__(
        self,
        frames: Generator[Frame, None, None],
        small: VideoFormat,
        full: VideoFormat,
        filter: str,
        timeout: float | None,
    ) -> None:
        self._frames = frames
        self._full = full
        # The rate is of no account: frames pass through one by one.
        read = (
            *("-f", "rawvideo", "-pixel_format", small.pixel_format, "-framerate", "25"),
            *("-video_size", f"{small.width}x{small.height}", "-i", "pipe:0"),
        )
        command = _command(read, full, filter, "pipe:1")
        self._running = Running(command, timeout=timeout, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._running.stop_timeout()
        self._lock = threading.Lock()
        self._fed = False
        self._wanted = False
        self._error: Exception | None = None
        self._count = 0
        self.usage: Usage | None = None
        """What scaling cost; None until every frame has been taken."""
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def __iter__(self) -> Iterator[Frame]:
        """Frames of the full size, in order.

        Raises:
            ProcessError: FFmpeg fails or runs too long.
            ShapeError: it gave fewer or more frames than it was given.
            Exception: whatever the small frames raised.
        """
        taken = 0
        self._expect(wanted=True)
        # Half a frame means that the process died, of which its end tells more.
        with suppress(MediaError):
            for frame in read_raw_frames(cast("BinaryIO", self._running.stdout), self._full, "scaled frames"):
                self._expect(wanted=False)
                taken += 1
                yield frame
                self._expect(wanted=True)
        self._feeder.join()
        if self._error is not None:
            raise self._error
        usage = self._running.finish()
        if taken != self._count:
            raise ShapeError(
                "scaling changed the number of frames", expected=f"{self._count} frames", got=f"{taken} frames"
            )
        self.usage = usage

    def close(self) -> None:
        """Leave neither process nor thread behind; whoever makes the small frames must have been stopped before."""
        self._running.kill()
        self._feeder.join()
        self._running.wait()

    def _feed(self) -> None:
        try:
            for frame in self._frames:
                self._expect(fed=True)
                self._running.stdin.write(join_planes(frame))
                self._expect(fed=False)
                self._count += 1
        except BrokenPipeError:
            # The process has ended or was killed: its exit code says why.
            self._frames.close()
        except Exception as error:
            self._error = error
        with suppress(BrokenPipeError):
            self._running.stdin.close()
        self._expect(fed=True)

    def _expect(self, *, fed: bool | None = None, wanted: bool | None = None) -> None:
        """Run the clock only while the process has work and its reader waits, and never while either side is slow."""
        with self._lock:
            self._fed = self._fed if fed is None else fed
            self._wanted = self._wanted if wanted is None else wanted
            if self._fed and self._wanted:
                self._running.restart_timeout()
            else:
                self._running.stop_timeout()
