"""One encode: a sequence to a bitstream file, in processes of its own, judged by what they leave behind."""

from __future__ import annotations

import math
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evalsuite.codec import hosted
from evalsuite.codec.bitstream import payload_bytes
from evalsuite.codec.command import Command
from evalsuite.codec.handover import prepare
from evalsuite.codec.part import Part
from evalsuite.codec.recipe import ESTIMATE, RECONSTRUCTION, Recipe
from evalsuite.codec.taking import check_format
from evalsuite.errors import MediaError, ProcessError
from evalsuite.files import sha256_of
from evalsuite.process import Running
from evalsuite.types import OperatingPoint, Sequence, Usage, VideoFormat

_LOG_TAIL = 4000
"""Characters of an encoder's log that an error shows: reference encoders say what is wrong on stdout."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A bitstream and what it cost."""

    path: Path
    file_bytes: int
    payload_bytes: int
    """What counts as rate: the file, less the container's own bytes where there is one; or the codec's estimate."""
    sha256: str
    """Of the file."""
    usage: Usage
    """Of all passes together, and of scaling where there is some."""
    commands: tuple[Command, ...]
    """As they were run, one for each pass; the bitstream was renamed to `path` afterwards."""
    reconstruction_sha256: str = ""
    """Of the encoder's own reconstruction as planar frames, where it writes one: the decoded frames must equal it."""
    log: str = ""
    """What the encoder wrote to stdout."""


def encode(
    recipe: Recipe,
    sequence: Sequence,
    point: OperatingPoint,
    output: Path,
    *,
    timeout: float | None = None,
    part: Part | None = None,
) -> Encoded:
    """Encode a sequence to `output`, which exists afterwards only if all went well.

    Args:
        recipe: the codec.
        sequence: the source.
        point: q, intra period and threads.
        output: the bitstream file; its folder is made, and takes all that is written for the time of the encode.
        timeout: seconds for scaling and all passes together; the process group is killed then.
        part: which frames of `sequence` are coded, see `evalsuite.codec.gops`; all where there is none.

    Raises:
        RequestError: the codec does not take this format or point.
        ShapeError: the source to be scaled has another number of frames than the sequence.
        ProcessError: the encoder is missing, fails, runs too long, writes nothing, or contradicts itself.
        MediaError: what it wrote is not a whole stream of its container.
    """
    check_format(recipe, sequence)
    recipe.check_point(point)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A file of an earlier run must never pass for this one's.
        output.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=".encode-", dir=output.parent) as scratch:
            return _encode(recipe, sequence, point, output, Path(scratch), timeout, part)
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


_TRIES = 3
"""VVenC in FFmpeg now and then writes nothing, and the same stream as ever when it is run again (docs/codecs.md)."""


def _remove(output: Path) -> None:
    # What went wrong before matters more than that its remains cannot be removed.
    with suppress(OSError):
        output.unlink(missing_ok=True)


def _encode(
    recipe: Recipe,
    sequence: Sequence,
    point: OperatingPoint,
    output: Path,
    scratch: Path,
    timeout: float | None,
    part: Part | None,
) -> Encoded:
    deadline = None if timeout is None else time.monotonic() + timeout
    source, costs = prepare(recipe, sequence, scratch, timeout)
    # An encoder that outlives a killed worker must not write where the next attempt writes: each has a path of its own.
    draft = scratch / "bitstream" / output.name
    draft.parent.mkdir()
    commands = recipe.encode_commands(sequence, point, source, draft, scratch, part)
    frames = sequence.frames if part is None else part.frames
    log, reconstruction = scratch / "log.txt", ""
    file_bytes = 0
    for _ in range(_TRIES):
        passes: list[Usage] = []
        draft.unlink(missing_ok=True)  # some encoders refuse to replace a file, be it their own
        for command in commands:
            left = None if deadline is None else max(0.001, deadline - time.monotonic())
            if recipe.python:
                cost, reconstruction = hosted.encode(recipe, sequence, point, source, draft, left)
            else:
                cost = _run(command, log, left)
            passes.append(cost)
        if draft.is_file() and (file_bytes := draft.stat().st_size):
            costs += passes
            break
    else:
        raise ProcessError(
            f"the encoder of {recipe.name} ended well but wrote nothing, {_TRIES} times",
            command=commands[-1],
            where=output,
            expected="a bitstream",
            got="an empty file" if draft.is_file() else "no file",
            fix="check that the recipe's `encode` writes to {output}; where it does for other sequences, the encoder"
            " itself fails on this one",
        )
    said = "" if recipe.python else log.read_text(encoding="utf-8", errors="replace")
    _check_log(recipe, said, file_bytes, commands[-1])
    estimated = recipe.rate_source == "estimate"
    encoded = Encoded(
        path=output,
        file_bytes=file_bytes,
        payload_bytes=_estimate(recipe, scratch) if estimated else payload_bytes(draft, recipe.container),
        sha256=sha256_of(draft),
        usage=Usage(
            wall_s=sum(cost.wall_s for cost in costs),
            cpu_s=sum(cost.cpu_s for cost in costs),
            peak_rss_bytes=max(cost.peak_rss_bytes for cost in costs),
            load_s=sum(loads) if (loads := [cost.load_s for cost in costs if cost.load_s is not None]) else None,
        ),
        commands=commands,
        reconstruction_sha256=_reconstruction(recipe, sequence.format, frames, scratch)
        if recipe.reconstructs
        else reconstruction,
        log=said,
    )
    draft.replace(output)
    return encoded


def _run(command: Command, log: Path, timeout: float | None) -> Usage:
    try:
        with log.open("wb") as stream, Running(command, timeout=timeout, stdout=stream.fileno()) as running:
            return running.finish()
    except ProcessError as error:
        said = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
        error.stderr_tail = "\n".join(filter(None, (said, error.stderr_tail)))
        raise


def _check_log(recipe: Recipe, log: str, file_bytes: int, command: Command) -> None:
    """An encoder that tells its file's size must tell the size of this file: a log never is the rate."""
    if not recipe.log_bytes:
        return
    found = re.findall(recipe.log_bytes, log)
    if not found or found[-1] != str(file_bytes):
        raise ProcessError(
            f"the log of {recipe.name} and its file do not agree",
            command=command,
            stderr_tail=log[-_LOG_TAIL:],
            expected=f"{file_bytes} bytes, as the file has",
            got=f"{found[-1]} bytes in the log" if found else f"no match of {recipe.log_bytes} in the log",
            fix="correct `log_bytes`, or look for a stream that was cut or continued by another run",
        )


def _reconstruction(recipe: Recipe, full: VideoFormat, frames: int, scratch: Path) -> str:
    path, format = scratch / RECONSTRUCTION, recipe.coded_format(full)
    expected = format.frame_bytes * frames
    size = path.stat().st_size if path.is_file() else 0
    if size != expected:
        raise MediaError(
            f"the encoder of {recipe.name} did not write its reconstruction as it should",
            where=path,
            expected=f"{frames} frames of {format}, {expected} bytes",
            got=f"{size} bytes",
            fix="check size, bit depth and number of frames in the recipe's `encode`",
        )
    return sha256_of(path)


def _estimate(recipe: Recipe, scratch: Path) -> int:
    """Bytes that would hold the number of bits that the codec tells."""
    path = scratch / ESTIMATE
    try:
        text = path.read_text(encoding="ascii").strip() if path.is_file() else "no file"
        bits = float(text)
    except ValueError:
        bits = math.nan
    if not 0 < bits < math.inf:
        raise MediaError(
            f"the codec {recipe.name} does not tell how many bits it would take",
            where=path,
            expected="one number above 0, in bits for the whole sequence",
            got=text[:100],
            fix="check that the recipe's `encode` writes it to {estimate}",
        )
    return math.ceil(bits / 8)
