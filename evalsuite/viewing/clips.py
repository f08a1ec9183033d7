"""Frames as files that browsers play, 4:2:0 in 8 bits: lossless VP9, or H.264 that is nearly so; and what was lost."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalsuite.errors import MediaError, RequestError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.process import Running
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Colour, Frame, Sequence, VideoFormat

LOSSLESS, NEAR_LOSSLESS = ".webm", ".mp4"
"""How clips are coded, by the ends of their names."""

_CODERS = {
    LOSSLESS: ("-c:v", "libvpx-vp9", "-lossless", "1", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1"),
    # Lossless H.264 is of a profile that browsers do not play.
    NEAR_LOSSLESS: ("-c:v", "libx264", "-preset", "fast", "-movflags", "+faststart"),
}

_STUDY_CRF = 4
"""Of what votes are about: some 50 dB."""

_COPY_CRF = 14
"""Of what is looked at beside exact stills: 41 to 49 dB on the sources of the demo sequences."""

_TAGS = {
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt709": ("bt709", "bt709", "bt709"),
    "bt2020": ("bt2020nc", "bt2020-10", "bt2020"),
}
"""FFmpeg's names of matrix, transfer and primaries."""

_CONVERT = ",scale=flags=accurate_rnd+full_chroma_int:sws_dither=none,format=yuv420p"
"""Rounded without dither: what a screen of 8 bits shows of more."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What became of a sequence."""

    sha256: str
    bytes: int
    frames: int
    psnr_y: float
    """Of the clip against the frames it was made of, in dB; inf where luma is the same to the bit."""
    changed: str
    """What had to change, such as yuv420p10le to yuv420p; empty where every sample is the same."""


def check_showable(sequence: Sequence, coding: str = LOSSLESS) -> None:
    """Refuse what a browser's screen cannot show as it is.

    Raises:
        RequestError: HDR, a matrix that browsers do not convert by, or sides that H.264 does not code.
    """
    colour = sequence.colour
    if colour.transfer != "sdr" or colour.matrix not in _TAGS:
        raise RequestError(
            "a browser does not show this sequence as it is",
            where=sequence.name,
            expected=f"SDR, of the matrix {', '.join(_TAGS)}",
            got=str(colour),
            fix="leave it out with --sequences, or show it on a display and player made for it",
        )
    if coding == NEAR_LOSSLESS and (sequence.format.width % 2 or sequence.format.height % 2):
        raise RequestError(
            "H.264 does not code odd sides",
            where=sequence.name,
            expected="an even width and height",
            got=f"{sequence.format.width}x{sequence.format.height}",
            fix="leave it out with --sequences, or --near-lossless out",
        )


def write_clip(frames: Callable[[], Iterator[Frame]], sequence: Sequence, path: Path, timeout: float) -> Clip:
    """Write frames as a clip, read it back, and compare.

    Args:
        frames: gives the frames from the first; asked twice where samples change.
        sequence: gives size, rate and colour.
        path: where the clip goes; its end says how it is coded.
        timeout: seconds that one frame, or ending the clip, may take.

    Raises:
        EvalError: the frames cannot be had, coding fails, or the clip is not what it should be.
    """
    digest = _encode(frames(), sequence, path, timeout)
    if _is_plain(sequence.format) and path.suffix == LOSSLESS:
        count, read_back = _digest(open_video(path))
        if read_back != digest:
            raise MediaError(
                "a lossless clip lost something", where=path, fix="this is a fault of the encoder: tell us"
            )
        psnr, changed = math.inf, ""
    else:
        psnr, count = _psnr_y(frames(), path, sequence.format.bit_depth)
        steps = [] if _is_plain(sequence.format) else [f"{sequence.format.pixel_format} to yuv420p"]
        changed = ", ".join([*steps, *(["near-lossless H.264"] if path.suffix == NEAR_LOSSLESS else [])])
    if count != sequence.frames:
        raise ShapeError("a clip has another number of frames", where=path, expected=sequence.frames, got=count)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Clip(sha256, path.stat().st_size, count, psnr, changed)


def write_copy(frames: Iterator[Frame], sequence: Sequence, path: Path, timeout: float) -> None:
    """Write frames as H.264 in an .mp4 that is close to them and small: to be looked at, not to be voted on.

    Args:
        frames: those of the clip.
        sequence: gives size, rate and colour; checked by `check_showable` for `NEAR_LOSSLESS`.
        path: where the clip goes.
        timeout: seconds that one frame, or ending the clip, may take.

    Raises:
        EvalError: the frames cannot be had, or coding fails.
    """
    _encode(frames, sequence, path, timeout, _COPY_CRF)


def luma_psnr(path: Path, frames: Mapping[int, Frame], bit_depth: int) -> float:
    """Luma PSNR in dB of some frames of a clip against what they were made of; inf where they are the same.

    Args:
        path: the clip.
        frames: what it was made of, by index in the clip; one at least.
        bit_depth: of these frames.

    Raises:
        ShapeError: the clip does not have one of them.
    """
    squares, samples, found = 0.0, 0, 0
    for index, shown in enumerate(open_video(path)):
        if index in frames:
            squares += _squares(frames[index], shown, bit_depth)
            samples += shown[0].size
            found += 1
    if found < len(frames):
        raise ShapeError("a clip lacks frames that it was made of", where=path, expected=sorted(frames), got=found)
    return _decibels(squares, samples, bit_depth)


def _encode(frames: Iterator[Frame], sequence: Sequence, path: Path, timeout: float, crf: int = _STUDY_CRF) -> str:
    """Code the frames; returns the sha256 of what was handed over."""
    digest = hashlib.sha256()
    neutral = _neutral_chroma(sequence.format)
    with Running(_command(sequence, path, crf), stdin=subprocess.PIPE, timeout=timeout) as running:
        try:
            running.stop_timeout()
            for frame in frames:  # from a decoder that has a clock of its own
                running.restart_timeout()
                data = join_planes(frame)
                digest.update(data)
                running.stdin.write(data + neutral)
                running.stop_timeout()
            running.restart_timeout()
            running.stdin.close()
        except BrokenPipeError:
            pass  # FFmpeg has ended: its exit code and last words say why
        running.finish()
    return digest.hexdigest()


def _digest(frames: Iterable[Frame]) -> tuple[int, str]:
    """How many frames there are, and the sha256 of their samples."""
    count, digest = 0, hashlib.sha256()
    for frame in frames:
        digest.update(join_planes(frame))
        count += 1
    return count, digest.hexdigest()


def _command(sequence: Sequence, path: Path, crf: int) -> list[str]:
    format, rate = sequence.format, sequence.frame_rate
    return [
        *(str(ffmpeg_path()), "-v", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", _handed(format).pixel_format, "-video_size", f"{format.width}x{format.height}"),
        *("-framerate", f"{rate.numerator}/{rate.denominator}", "-i", "pipe:0", "-an"),
        *("-vf", f"{_colour(sequence.colour)}{'' if _is_plain(_handed(format)) else _CONVERT}"),
        *_CODERS[path.suffix],
        *(("-crf", str(crf)) if path.suffix == NEAR_LOSSLESS else ()),
        # The same frames give the same file, whenever and wherever.
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", str(path)),
    ]


def _handed(format: VideoFormat) -> VideoFormat:
    """What FFmpeg is handed: grey as colour without any, since FFmpeg takes grey for full range."""
    return replace(format, chroma="420") if format.chroma == "400" else format


def _neutral_chroma(format: VideoFormat) -> bytes:
    """What a frame lacks to be of the format that is handed over."""
    if format.chroma != "400":
        return b""
    samples = 2 * _handed(format).chroma_width * _handed(format).chroma_height
    return np.full(samples, 1 << (format.bit_depth - 1), "u1" if format.bit_depth == 8 else "<u2").tobytes()


def _is_plain(format: VideoFormat) -> bool:
    """Whether samples are coded as they are."""
    return (format.bit_depth, format.chroma) == (8, "420")


def _colour(colour: Colour) -> str:
    """A filter that says what the frames are. Options of the encoder would have FFmpeg convert frames to it."""
    matrix, transfer, primaries = _TAGS[colour.matrix]
    span = "full" if colour.full_range else "limited"
    named = colour.primaries or primaries
    return f"setparams=range={span}:colorspace={matrix}:color_primaries={named}:color_trc={transfer}"


def _psnr_y(frames: Iterator[Frame], path: Path, bit_depth: int) -> tuple[float, int]:
    """Luma PSNR over all frames of a clip against frames of another depth, in dB; and how many there are."""
    squares, samples, count = 0.0, 0, 0
    for frame, shown in itertools.zip_longest(frames, open_video(path)):
        if frame is None or shown is None:
            raise ShapeError("a clip has another number of frames than it was made of", where=path)
        squares += _squares(frame, shown, bit_depth)
        samples += shown[0].size
        count += 1
    return _decibels(squares, samples, bit_depth), count


def _squares(frame: Frame, shown: Frame, bit_depth: int) -> float:
    """The squared error of luma, summed, in the units of `frame`; `shown` has 8 bits."""
    error = frame[0].astype(np.float64) - shown[0].astype(np.float64) * (1 << (bit_depth - 8))
    return float((error * error).sum())


def _decibels(squares: float, samples: int, bit_depth: int) -> float:
    peak = (1 << bit_depth) - 1
    return math.inf if squares == 0 else 10 * math.log10(peak * peak * samples / squares)
