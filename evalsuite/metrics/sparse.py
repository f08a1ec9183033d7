"""Meters for scores that some frames do not have: of a change from frame to frame, or of content that may be absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evalsuite.metrics.base import View
from evalsuite.types import Series

Row = tuple[float | None, ...]
"""One value for each name; None where the metric does not apply to the frame."""

ONE_FRAME = "compares each frame with the one before: there is none"


class Pair(NamedTuple):
    """A source frame and what was decoded of it."""

    source: View
    decoded: View


class SparseMeter:
    """A meter for metrics that are a function of one frame pair and need not apply to every frame.

    Args:
        names: the metrics, in the order of the values that `score` returns.
        score: one value for each name.
        absent: why a metric has no score where no frame gave one.
    """

    child_cpu_s = 0.0

    def __init__(self, names: tuple[str, ...], score: Callable[[Pair], Row], absent: str) -> None:
        self._names = names
        self._score = score
        self._absent = absent
        self._rows: list[Row] = []

    def push(self, source: View, decoded: View) -> None:
        """Score the next frame pair."""
        self._rows.append(self._score(Pair(source, decoded)))

    def finish(self) -> list[Series]:
        """One series for each name, of the frames that it applies to."""
        return [self._series(name, column) for column, name in enumerate(self._names)]

    def close(self) -> None:
        """Nothing is held."""

    def _series(self, name: str, column: int) -> Series:
        kept = [(frame, row[column]) for frame, row in enumerate(self._rows) if row[column] is not None]
        if not kept:
            return Series(name, "not_applicable", reason=self._absent)
        values = np.array([value for _, value in kept], np.float64)
        return Series(name, "ok", values, frames=np.array([frame for frame, _ in kept], np.int64))


def change_meter(names: tuple[str, ...], score: Callable[[Pair, Pair], Row], absent: str = ONE_FRAME) -> SparseMeter:
    """A meter for metrics of the change between two frames; the first frame has no score.

    Args:
        names: the metrics, in the order of the values that `score` returns.
        score: of the pair before and this pair, one value for each name.
        absent: why a metric has no score where no frame gave one.
    """
    nothing: Row = (None,) * len(names)

    def of_change(now: Pair) -> Row:
        before = pair_before(now)
        return nothing if before is None else score(before, now)

    return SparseMeter(names, of_change, absent)


def pair_before(now: Pair) -> Pair | None:
    """The frame pair before this one; None for the first."""
    source, decoded = now.source.previous, now.decoded.previous
    return None if source is None or decoded is None else Pair(source, decoded)
