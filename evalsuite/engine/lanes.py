"""What a run keeps track of: lanes of work, the points they end in, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evalsuite.codec.recipe import Recipe
from evalsuite.engine.content import Content
from evalsuite.engine.scores import Scores
from evalsuite.engine.search import RateSearch
from evalsuite.engine.store import StoredEncode
from evalsuite.types import Failure, Sequence


@dataclass(frozen=True, slots=True)
class Point:
    """One rate point of a lane: an encode, and the size it was meant to have."""

    cell_key: str
    encode: StoredEncode
    target_bytes: float | None


@dataclass(slots=True)
class Lane:
    """One codec on one sequence, on its way from nothing to measured points."""

    recipe: Recipe
    sequence: Sequence
    search: RateSearch
    ladder: tuple[float, ...] = ()
    """The q values to encode where no rate is matched."""
    targets: tuple[float, ...] = ()
    """The sizes in bytes to be matched, largest first."""
    waiting: set[float] = field(default_factory=set)
    """The q values whose encodes are not finished."""
    encodes: dict[float, StoredEncode] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    is_complete: bool = False
    """Whether its points are known, though they may not be measured yet."""


@dataclass(slots=True)
class Counts:
    """How much of a run was done, and how much was there already."""

    cells: int = 0
    encodes: int = 0
    encodes_cached: int = 0
    measured: int = 0
    measured_cached: int = 0
    timed: int = 0
    """Encodes and decodes that were done only to be timed."""


@dataclass(slots=True)
class RunOutcome:
    """Everything a run found out."""

    lanes: list[Lane]
    scores: Scores
    """Series by metric name, by cell key; they are read from the store."""
    failures: list[Failure]
    counts: Counts
    cost_s: dict[str, float]
    """CPU seconds by kind of work: `encode CODEC`, `decode CODEC`, and the first metric of each family."""
    remarks: list[str] = field(default_factory=list)
    """What `--timing` could not do or found odd."""
    loads: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """By codec, the seconds that loading took in the warm-up of `--timing`, for encoding and for decoding."""
    contents: dict[str, Content] = field(default_factory=dict)
    """What each source is like, by the sequence's name."""


Job = (
    tuple[Literal["encode"], int, float]
    | tuple[Literal["encode_part"], int, tuple[float, int, int]]
    | tuple[Literal["measure"], int, tuple[str, ...]]
    | tuple[Literal["describe", "warm_up", "time_encode", "time_decode"], int, str]
)
"""What a task is for: its kind, the lane by index, and the q, the part, the cells or the cell.

A part of an encode is its q, first frame and number of frames.
A source is described by the first of its lanes.
"""
