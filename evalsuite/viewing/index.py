"""The index of a run's pictures, `pictures/index.json`: what it says, and how it is written; `reading` reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 1
KIND = "evalsuite pictures"
FOLDER = "pictures"
NAME = "index.json"


@dataclass(frozen=True, slots=True)
class Face:
    """Where the detector sees a face: upper left corner, width and height in samples, and how sure it is, 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    score: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A sequence that pictures are of."""

    name: str
    sha256: str
    """Of its source."""
    width: int
    height: int
    frames: int
    frame_rate: str
    converted: str
    """How its frames became pictures, in words."""


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A decoded sequence that pictures are of."""

    cell_key: str
    bitstream_sha256: str
    codec: str
    sequence: str
    q: float
    bpp: float
    target_bpp: float


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame that there are stills of, at one rate; in the order in which they are shown."""

    sequence: str
    target_bpp: float
    frame: int
    metric: str
    why: tuple[tuple[str, str], ...]
    """Kind and codec."""


@dataclass(frozen=True, slots=True)
class Still:
    """A frame as a picture."""

    file: str
    sha256: str
    bytes: int
    sequence: str
    cell_key: str
    """Empty for the source."""
    frame: int
    scores: Mapping[str, float] = field(default_factory=dict)
    """By metric; may be infinite."""
    faces: tuple[Face, ...] | None = None
    """None where nobody looked."""


@dataclass(frozen=True, slots=True)
class Movie:
    """Some frames as a clip that browsers play."""

    file: str
    sha256: str
    bytes: int
    sequence: str
    cell_key: str
    """Empty for the source."""
    first: int
    frames: int
    psnr_y_db: float | None
    """Luma of the stills' frames against them; None where none of them is in it, infinite where they are the same."""


@dataclass(frozen=True, slots=True)
class NotShown:
    """What there are no pictures of, and why."""

    sequence: str
    codec: str
    reason: str


@dataclass(frozen=True, slots=True)
class Index:
    """What pictures of a run there are."""

    selection: str = ""
    """The digest of what was to be made, and from what."""
    sequences: tuple[Shown, ...] = ()
    cells: tuple[ShownCell, ...] = ()
    frames: tuple[ShownFrame, ...] = ()
    stills: tuple[Still, ...] = ()
    clips: tuple[Movie, ...] = ()
    left_out: tuple[NotShown, ...] = ()
    no_faces: str = ""
    """Why nobody looked for faces."""

    @property
    def files(self) -> tuple[Still | Movie, ...]:
        """Every picture; two may be one file."""
        return (*self.stills, *self.clips)


def write_index(index: Index, folder: Path) -> None:
    """Write `index.json`: numbers that JSON has not are the texts `inf` and `-inf`."""
    document = {"schema": SCHEMA, "kind": KIND, **_plain(asdict(index))}
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=True)
    (folder / NAME).write_text(text + "\n", encoding="ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value
