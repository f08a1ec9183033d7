"""Some frames of a Y4M file as a file of their own: header and frames are copied as they are.

An encoder writes what a header says of ranges and aspect into its stream, so that a header made anew would change it.
"""

from __future__ import annotations

from pathlib import Path

from evalsuite.errors import MediaError, ShapeError
from evalsuite.sources.y4m import parse_header
from evalsuite.types import Sequence

_LINE_LIMIT = 1024
"""Longest header or FRAME line accepted: a foreign file has no newline to stop at."""


def cut(sequence: Sequence, first: int, end: int, path: Path) -> Sequence:
    """Write the frames from `first` to before `end` to `path`, and say what they are.

    Raises:
        MediaError: the source is damaged.
        ShapeError: it has fewer frames.
        OSError: a file cannot be read or written.
    """
    with sequence.path.open("rb") as source, path.open("wb") as target:
        header = source.readline(_LINE_LIMIT)
        frame_bytes = parse_header(header, sequence.path)[0].frame_bytes
        target.write(header)
        for index in range(end):
            mark = source.readline(_LINE_LIMIT)
            if not mark:
                raise ShapeError(
                    "the source has fewer frames than it should",
                    where=sequence.path,
                    expected=f"{sequence.frames} frames",
                    got=f"{index} frames",
                    fix="the file is damaged or truncated: make or fetch it again",
                )
            if not mark.startswith(b"FRAME") or not mark.endswith(b"\n"):
                raise _damaged(sequence.path, f"frame {index} does not begin where it should", repr(mark[:16]))
            if index < first:
                source.seek(frame_bytes, 1)
                continue
            data = source.read(frame_bytes)
            if len(data) < frame_bytes:
                raise _damaged(sequence.path, f"the file ends inside frame {index}", f"{len(data)} bytes")
            target.write(mark)
            target.write(data)
    # The digest is that of the whole.
    return Sequence(
        name=sequence.name,
        dataset=sequence.dataset,
        path=path,
        sha256="",
        format=sequence.format,
        frame_rate=sequence.frame_rate,
        frames=end - first,
        colour=sequence.colour,
    )


def _damaged(path: Path, what: str, got: str) -> MediaError:
    return MediaError(
        what, where=path, expected="a FRAME line and a whole frame", got=got, fix="make or fetch the file again"
    )
