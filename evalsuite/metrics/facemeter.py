"""Matches the faces of decoded frames with those of their source: what every face metric is computed from.

Only frames in which the source shows a reference face are looked at, so content without faces costs no detection in
decoded frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Arrays, View
from evalsuite.metrics.detection import Boxes, Tally, match
from evalsuite.metrics.detectors import REFERENCE_SIDE, Detector, Recogniser, reduction
from evalsuite.types import Series

FALSE_ALARM_EVERY = 10
"""Frames with faces for each false alarm that `face_recall` allows: 0.1 per picture, one of the rates that face and
pedestrian detectors are compared at (Dollár et al., "Pedestrian Detection", IEEE TPAMI 2012)."""

PRECISION_SCORE = 0.6
"""Score from which `face_precision` takes a candidate for a face: the default of OpenCV's `FaceDetectorYN`."""

PROFILE = 0.1
"""A face whose eyes are nearer to each other than this part of its box's width is seen from the side: the distance is
no measure of its size, and its landmarks have no error."""

_NO_FACE = "the source shows no face that is sure enough and large enough"
_NONE_MATCHED = "none of the faces found in the decoded frames can be measured: face_matched says how many are found"
_NO_CANDIDATE = f"nothing in the decoded frames is taken for a face (score {PRECISION_SCORE:g} or above)"


@dataclass(frozen=True, slots=True)
class _References:
    """Which of the source's candidates are to be found, and which need not be."""

    faces: Arrays
    sure: NDArray[np.bool_]

    @property
    def boxes(self) -> Boxes:
        return self.faces["boxes"][self.sure]

    @property
    def ignored(self) -> Boxes:
        return self.faces["boxes"][~self.sure]

    @property
    def landmarks(self) -> NDArray[np.float32]:
        return self.faces["landmarks"][self.sure]


class FaceMeter:
    """Matches the faces of decoded frames with the source's.

    Args:
        detector: finds the faces of both.
        figures: the names asked for, by what they are: `ap50`, `recall`, `precision`, `matched`, `nme`, `identity`.
        recogniser: tells faces apart; needed for `identity` only.
    """

    child_cpu_s = 0.0

    def __init__(self, detector: Detector, figures: dict[str, str], recogniser: Recogniser | None = None) -> None:
        self._detector = detector
        self._figures = figures
        self._recogniser = recogniser
        self._tally = Tally()
        self._frames = 0
        self._per_frame: dict[str, dict[int, float]] = {"matched": {}, "nme": {}, "identity": {}}

    def push(self, source: View, decoded: View) -> None:
        """Find the faces of the next frame pair and compare them."""
        wanted = self._references(source)
        count = len(wanted.boxes)
        if not count:
            return
        self._frames += 1
        candidates = self._detector.faces(decoded)
        found = match(wanted.boxes, wanted.ignored, candidates["boxes"], candidates["scores"])
        # A face that is new in the decoded frame, and too small to be asked for in the source, is no error.
        small = candidates["boxes"][:, 2:].min(axis=1) < REFERENCE_SIDE / reduction(source)
        counts = (found >= 0) | ~small
        self._tally.add(count, found[counts], candidates["scores"][counts])
        hits = np.flatnonzero(found >= 0)
        self._per_frame["matched"][source.index] = len(hits) / count
        if "nme" in self._figures and len(hits):
            errors = landmark_errors(
                wanted.landmarks[found[hits]], candidates["landmarks"][hits], wanted.boxes[found[hits]]
            )
            if len(errors):
                self._per_frame["nme"][source.index] = float(errors.mean())
        if self._recogniser is not None and len(hits):
            before = self._source_embeddings(source, wanted, self._recogniser)[found[hits]]
            after = self._recogniser.embeddings(decoded, candidates["landmarks"][hits])
            self._per_frame["identity"][source.index] = float(cosines(before, after).mean())

    def _references(self, source: View) -> _References:
        def compute() -> _References:
            faces = self._detector.faces(source)
            large = faces["boxes"][:, 2:].min(axis=1) >= REFERENCE_SIDE / reduction(source)
            return _References(faces, large & (faces["scores"] >= self._detector.reference_score))

        return source.derive(("face references", self._detector.name), compute)

    def _source_embeddings(self, source: View, wanted: _References, recogniser: Recogniser) -> NDArray[np.float32]:
        # Whose they are hangs on which faces are references, too.
        which = f"{self._detector.reference_score:g} {REFERENCE_SIDE}"
        version = f"{recogniser.version} of {self._detector.version} {which}"
        kept = source.recall("identity", version, lambda: {"it": recogniser.embeddings(source, wanted.landmarks)})
        return kept["it"]

    def finish(self) -> list[Series]:
        """One series for each name."""
        return [self._series(name, figure) for figure, name in self._figures.items()]

    def close(self) -> None:
        """Nothing is held."""

    def _series(self, name: str, figure: str) -> Series:
        if not self._tally.references:
            return Series(name, "not_applicable", reason=_NO_FACE)
        if figure in self._per_frame:
            scores = self._per_frame[figure]
            if not scores:
                return Series(name, "not_applicable", reason=_NONE_MATCHED)
            return Series(name, "ok", np.array(list(scores.values())), frames=np.array(list(scores), np.int64))
        curve = self._tally.curve()
        value: float | None
        if figure == "ap50":
            value = curve.average_precision()
        elif figure == "recall":
            value = curve.recall(self._frames // FALSE_ALARM_EVERY)
        else:
            value = curve.precision(PRECISION_SCORE)
        if value is None:
            return Series(name, "not_applicable", reason=_NO_CANDIDATE)
        return Series(name, "ok", np.array([value]))


def landmark_errors(source: NDArray[Any], decoded: NDArray[Any], boxes: Boxes) -> NDArray[np.float64]:
    """Mean distance of the landmarks of each face over the distance between its eyes; faces in profile are left out.

    Args:
        source: (n, 5, 2), the eyes first.
        decoded: (n, 5, 2), of the same faces.
        boxes: (n, 4), of the faces in the source.

    Returns:
        (m,), m <= n.
    """
    apart = np.linalg.norm(source[:, 0] - source[:, 1], axis=-1).astype(np.float64)
    moved = np.linalg.norm(source - decoded, axis=-1).mean(axis=-1)
    frontal = apart > PROFILE * boxes[:, 2]
    return np.asarray(moved[frontal] / apart[frontal])


def cosines(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine between the rows of one array and those of another; exactly 1 for equal rows.

    Args:
        first: (n, d).
        second: (n, d).

    Returns:
        (n,), from -1 to 1.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    # The root of the product, not the product of roots: a number over the root of its square is 1 to the last bit.
    return np.asarray((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1)))
