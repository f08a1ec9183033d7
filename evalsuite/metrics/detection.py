"""What detection metrics share: overlap, matching, and figures of a whole sequence from scored hits and false alarms.

The references are what the same detector finds in the source with a high score; the candidates are what it finds in the
decoded frames down to a low one. What it finds in the source between the two is neither: a candidate there is left out,
so that a box near the threshold is no error in either direction, and the source against itself is perfect. This is
COCO's treatment of ignored objects.
Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; Everingham et al., "The PASCAL Visual Object Classes
Challenge", IJCV 2010 (average precision over all points of the curve, as of VOC 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import View

Boxes = NDArray[np.floating[Any]]
"""(n, 4): x and y of the upper left corner, width, height, in samples."""

Scores = NDArray[np.floating[Any]]
"""(n,), of the same boxes."""

OVERLAP = 0.5
"""Intersection over union from which two boxes are of the same thing (PASCAL VOC's, COCO's AP50)."""

FALSE_ALARM = -1
LEFT_OUT = -2

LOOKS_PER_SECOND = 2
"""Frames of a second of video that costly readers look at: text and objects stay for longer than half a second."""


def looked_at(view: View) -> bool:
    """Whether costly readers look at this frame: the first one, and every half second from there."""
    return view.index % max(1, round(view.setting.frame_rate / LOOKS_PER_SECOND)) == 0


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every box of one set with every box of another; 0 where both are empty.

    Args:
        first: (n, 4).
        second: (m, 4).

    Returns:
        (n, m), from 0 to 1.
    """
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    near = np.maximum(a[..., :2], b[..., :2])
    far = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(far - near, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def match(references: Boxes, ignored: Boxes, candidates: Boxes, scores: Scores) -> NDArray[np.int64]:
    """Give every candidate the reference that it finds, greedily and one to one: the best score chooses first.

    Args:
        references: (r, 4), what is to be found.
        ignored: (i, 4), what may be found but need not.
        candidates: (n, 4).
        scores: (n,), of the candidates.

    Returns:
        (n,), for each candidate the index of its reference; `LEFT_OUT` where it finds something ignored; `FALSE_ALARM`.
    """
    found = np.full(len(candidates), FALSE_ALARM, np.int64)
    free = np.ones(len(references), bool)
    with_references, with_ignored = overlaps(candidates, references), overlaps(candidates, ignored)
    # Equal scores are told apart by place: the order in which a detector lists its boxes must not count.
    for index in np.lexsort((*candidates.T, -scores)):
        overlap = np.where(free, with_references[index], 0)
        if overlap.size and overlap.max() >= OVERLAP:
            found[index] = overlap.argmax()
            free[found[index]] = False
        elif (with_ignored[index] >= OVERLAP).any():
            found[index] = LEFT_OUT
    return found


@dataclass(frozen=True, slots=True)
class Curve:
    """Hits and false alarms of all frames as the threshold on the score falls; candidates of one score come together.

    Args:
        scores: (k,), falling: every score that there is.
        hits: (k,), how many candidates of this score or a higher one find a reference.
        false_alarms: (k,), how many do not.
        references: how many there are to be found; at least 1.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.int64]
    false_alarms: NDArray[np.int64]
    references: int

    def average_precision(self) -> float:
        """Area under precision over recall, precision being the best at this recall or a higher one; 0 to 1."""
        if not len(self.scores):
            return 0.0
        precision = self.hits / (self.hits + self.false_alarms)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.diff(self.hits, prepend=0) @ best) / self.references

    def recall(self, false_alarms: int) -> float:
        """Share of the references that is found with at most so many false alarms; 0 to 1."""
        admitted = self.hits[self.false_alarms <= false_alarms]
        return float(admitted[-1]) / self.references if len(admitted) else 0.0

    def precision(self, score: float) -> float | None:
        """Share of the candidates of at least this score that find a reference; None where there is no candidate."""
        count = int(np.count_nonzero(self.scores >= score))
        if not count:
            return None
        return float(self.hits[count - 1] / (self.hits[count - 1] + self.false_alarms[count - 1]))


class Tally:
    """Collects the candidates of frame after frame."""

    def __init__(self) -> None:
        self.references = 0
        self._scores: list[float] = []
        self._hits: list[bool] = []

    def add(self, references: int, found: NDArray[np.int64], scores: Scores) -> None:
        """Take one frame.

        Args:
            references: how many there are to be found in it.
            found: (n,), as `match` gives it.
            scores: (n,), of the same candidates.
        """
        counts = found != LEFT_OUT
        self.references += references
        self._scores += scores[counts].tolist()
        self._hits += (found[counts] >= 0).tolist()

    def curve(self) -> Curve:
        """Of everything so far; asked for only where there are references."""
        scores, hits = np.array(self._scores, np.float64), np.array(self._hits, bool)
        order = np.argsort(-scores, kind="stable")
        scores, hits = scores[order], hits[order]
        ends = np.flatnonzero(np.diff(scores, append=-np.inf)) if len(scores) else np.empty(0, np.int64)
        return Curve(scores[ends], np.cumsum(hits)[ends], np.cumsum(~hits)[ends], self.references)
