"""What a video file holds, told by its header and its size, and whether that is what a manifest says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from evalsuite.errors import RecipeError
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.sources.prepare import count_frames
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import Geometry, Y4MReader
from evalsuite.types import VideoFormat


@dataclass(frozen=True, slots=True)
class Probe:
    """A video file, without reading its samples."""

    format: VideoFormat
    frame_rate: Fraction
    frames: int | None
    """None where a container does not say."""


def probe(path: Path, geometry: Geometry | None = None, *, is_raw: bool = False) -> Probe:
    """What a file holds.

    Args:
        path: Y4M, raw planar video, or a container.
        geometry: of a raw file.
        is_raw: as of `open_video`.

    Raises:
        MediaError: unreadable, damaged, or not a whole number of frames.
    """
    reader = open_video(path, geometry, is_raw=is_raw)
    frames = _y4m_frames(reader) if isinstance(reader, Y4MReader) else reader.frames
    return Probe(reader.format, reader.frame_rate, frames)


def check_fits(entry: SequenceEntry, found: Probe, path: Path) -> None:
    """Refuse a source that the manifest does not describe.

    Raises:
        RecipeError: another geometry, sample format, frame rate, or fewer frames than the sequence needs.
    """
    rate = entry.frame_rate or found.frame_rate
    stated = _stated(entry, found)
    needed = entry.start + (entry.frames or 1)
    if (found.format, found.frame_rate) != (stated, rate) or (found.frames is not None and found.frames < needed):
        raise RecipeError(
            "the manifest does not describe its file",
            where=f"{entry.dataset}/{entry.name}, {path}",
            expected=f"{stated}, {rate} frames/s, {needed} frames or more",
            got=f"{found.format}, {found.frame_rate} frames/s, {found.frames or 'an unknown number of'} frames",
            fix="check that it is the right file; if it is, correct the manifest",
        )


def _stated(entry: SequenceEntry, found: Probe) -> VideoFormat:
    """What the manifest says of the source's format; what was found, where it does not say."""
    if entry.filter:
        return found.format
    if not entry.samples_known:
        return replace(entry.format, bit_depth=found.format.bit_depth, chroma=found.format.chroma)
    return entry.format


def _y4m_frames(reader: Y4MReader) -> int:
    with reader.path.open("rb") as stream:
        header_bytes = len(stream.readline())
    body = reader.path.stat().st_size - header_bytes
    frames, rest = divmod(body, len(b"FRAME\n") + reader.format.frame_bytes)
    if frames and not rest:
        return frames
    # Parameters in FRAME lines, or a file that ends early: only reading it tells.
    return count_frames(reader)
