"""Canonical sequences: a verified source becomes one Y4M file in the cache, made once, under a lock, atomically.

The frames are those of the source, in file order, by index: none dropped, repeated or converted. Only a declared scale
or crop changes them, by the FFmpeg that `imageio-ffmpeg` pins.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from evalsuite.assets import cache_dir
from evalsuite.errors import AssetError, EvalError, MediaError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.files import is_verified, locked, sha256_of, storing
from evalsuite.process import Running
from evalsuite.sources.reader import VideoReader, open_video
from evalsuite.sources.y4m import Geometry, Y4MReader, join_planes, read_raw_frames, write_y4m
from evalsuite.types import Colour, Frame, VideoFormat

_MAKER_VERSION = 1
"""Raised whenever the same plan could give other bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which frames of a source make a sequence, and how."""

    colour: Colour
    start: int = 0
    frames: int | None = None
    """None for all frames up to the end."""
    raw: Geometry | None = None
    """Of a raw source."""
    filter: str = ""
    filtered_format: VideoFormat | None = None
    """What the filter makes; None without a filter."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified Y4M file and what it holds."""

    path: Path
    sha256: str
    format: VideoFormat
    frame_rate: Fraction
    frames: int


def prepare_y4m(
    name: str, plan: Plan, source_sha256s: Iterable[str], get_source: Callable[[], Path], *, pinned: str = ""
) -> Prepared:
    """The cached Y4M file of a plan; made where it is not there, or is no longer what it was.

    Args:
        name: of the sequence: part of the file's name.
        plan: what to make.
        source_sha256s: digests of the files the frames may come from; with the plan they find what was made before.
        get_source: gives the verified source; called only if the file has to be made.
        pinned: the sha256 that the Y4M file must have; without one, that of its first making counts.

    Raises:
        MediaError: the source is unreadable, of a format that is not supported, or too short.
        AssetError: the source cannot be had, the cache cannot be written, or the result is not the pinned one.
    """
    note = _note_path(name, plan, source_sha256s)
    if made := _valid(name, note, pinned):
        return made
    source = get_source()
    with locked(note):
        made = _valid(name, note, pinned)
        if made is None:
            with storing(note):
                digest = _make(name, source, plan, note.with_suffix(".part"), pinned)
                _write_note(note, name, digest)
            made = describe(y4m_path(name, digest), digest)
    return made


def remember(name: str, plan: Plan, source_sha256s: Iterable[str], digest: str) -> None:
    """Note that a plan becomes the Y4M file with this digest, which has been made under another one.

    Raises:
        AssetError: the cache cannot be written.
    """
    note = _note_path(name, plan, source_sha256s)
    with locked(note), storing(note):
        _write_note(note, name, digest)


def y4m_path(name: str, digest: str) -> Path:
    """Where the Y4M file with this digest is kept."""
    return cache_dir() / "sequences" / f"{name}-{digest[:16]}.y4m"


def find_y4m(name: str, plan: Plan, source_sha256s: Iterable[str], pinned: str = "") -> tuple[Path, str] | None:
    """The Y4M file that has been made for a plan and the digest it should have; does not verify it."""
    digest = _remembered(_note_path(name, plan, source_sha256s), pinned)
    path = y4m_path(name, digest)
    return (path, digest) if digest and path.is_file() else None


def describe(path: Path, digest: str) -> Prepared:
    """What a Y4M file of this module's making holds; reads its header only.

    Raises:
        MediaError: it is no such file.
    """
    reader = Y4MReader(path)
    with path.open("rb") as stream:
        header_bytes = len(stream.readline())
    frames = (path.stat().st_size - header_bytes) // (len(b"FRAME\n") + reader.format.frame_bytes)
    return Prepared(path, digest, reader.format, reader.frame_rate, frames)


def count_frames(reader: VideoReader) -> int:
    """Frames of a video, by reading every one of them.

    Raises:
        MediaError: it is damaged or ends early, or holds no frame.
    """
    frames = sum(1 for _ in reader)
    if frames == 0:
        raise MediaError("the video holds no frame", where=reader.path)
    return frames


def _not_as_pinned(name: str, source: Path, pinned: str, digest: str) -> AssetError:
    return AssetError(
        f"the sequence {name} did not come out as pinned",
        where=source,
        expected=f"Y4M with sha256 {pinned}",
        got=f"sha256 {digest}",
        fix="if you changed the manifest, set its `sha256` to the new one, or remove the sequence from the lock file,"
        " whichever pins it; if not, this machine's decoder or scaler gives other frames: install the versions of `av`"
        " and `imageio-ffmpeg` that the project names",
    )


def _note_path(name: str, plan: Plan, source_sha256s: Iterable[str]) -> Path:
    """The file that remembers, in the format of `sha256sum`, what became of a plan."""
    # Spelled out, as `repr` once had it: of the colour only what a Y4M file could ever say, so that what has been made
    # stays found whatever else comes to be known of a colour.
    colour = f"Colour(matrix={plan.colour.matrix!r}, full_range={plan.colour.full_range!r})"
    spelled = (
        f"Plan(colour={colour}, start={plan.start!r}, frames={plan.frames!r}, raw={plan.raw!r}, "
        f"filter={plan.filter!r}, filtered_format={plan.filtered_format!r})"
    )
    digests = "".join(f", {digest!r}" for digest in source_sha256s)
    key = hashlib.sha256(f"({_MAKER_VERSION!r}, {spelled}{digests})".encode()).hexdigest()
    return cache_dir() / "sequences" / f"{name}-{key[:16]}.sha256"


def _write_note(note: Path, name: str, digest: str) -> None:
    note.write_text(f"{digest}  {y4m_path(name, digest).name}\n", encoding="ascii")


def _remembered(note: Path, pinned: str) -> str:
    """The digest of what became of the plan; nothing if it was another one than is pinned now."""
    with suppress(OSError, UnicodeDecodeError, IndexError):
        digest = note.read_text(encoding="ascii").split()[0]
        return digest if pinned in ("", digest) else ""
    return ""


def _valid(name: str, note: Path, pinned: str) -> Prepared | None:
    """The file that was made before, if it is there and unchanged."""
    digest = _remembered(note, pinned)
    path = y4m_path(name, digest)
    return describe(path, digest) if digest and is_verified(path, digest) else None


def _make(name: str, source: Path, plan: Plan, part: Path, pinned: str) -> str:
    """Make the Y4M file and return its digest."""
    try:
        _write(source, plan, part)
        digest = sha256_of(part)
        if pinned and digest != pinned:
            raise _not_as_pinned(name, source, pinned, digest)
        part.replace(y4m_path(name, digest))
        return digest
    finally:
        part.unlink(missing_ok=True)


def _write(source: Path, plan: Plan, target: Path) -> None:
    reader = open_video(source, plan.raw, is_raw=plan.raw is not None)
    stop = None if plan.frames is None else plan.start + plan.frames
    frames: Iterator[Frame] = islice(reader, plan.start, stop)
    if plan.filtered_format is not None:
        frames = _filtered(frames, reader.format, plan.filter, plan.filtered_format)
    made = write_y4m(target, plan.filtered_format or reader.format, reader.frame_rate, frames, plan.colour)
    if made < (1 if plan.frames is None else plan.frames):
        raise MediaError(
            "the source has too few frames",
            where=source,
            expected="at least one" if plan.frames is None else f"{plan.frames} from frame {plan.start} on",
            got=f"{made}",
            fix="ask for fewer frames",
        )


def _filtered(frames: Iterator[Frame], format: VideoFormat, steps: str, output: VideoFormat) -> Iterator[Frame]:
    """Frames through FFmpeg's scale and crop filters, one out for each one in."""
    # One thread: the result must not depend on the number of cores.
    command = [str(ffmpeg_path()), "-v", "error", "-nostdin", "-filter_threads", "1"]
    command += ["-f", "rawvideo", "-pix_fmt", format.pixel_format, "-video_size", f"{format.width}x{format.height}"]
    command += ["-i", "pipe:0", "-vf", steps, "-fps_mode", "passthrough", "-threads", "1"]
    command += ["-f", "rawvideo", "-pix_fmt", output.pixel_format, "pipe:1"]
    sent, received = 0, 0
    failures: list[EvalError] = []

    with Running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:

        def feed() -> None:
            nonlocal sent
            try:
                for frame in frames:
                    running.stdin.write(join_planes(frame))
                    sent += 1
            except EvalError as error:
                failures.append(error)
            except (BrokenPipeError, ValueError):
                return  # FFmpeg has ended: its exit code and last words say why
            finally:
                with suppress(OSError):
                    running.stdin.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        for frame in read_raw_frames(cast(BinaryIO, running.stdout), output, "the scaled video"):
            received += 1
            yield frame
        feeder.join()
        if failures:
            raise failures[0]
        running.finish()
    if received != sent:
        raise MediaError("the scaler lost or added frames", where=steps, expected=f"{sent}", got=f"{received}")
