"""Overlap, matching and average precision: against another implementation, a published example and closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torchvision.ops import box_iou

from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.detection import FALSE_ALARM, LEFT_OUT, OVERLAP, Curve, Tally, looked_at, match, overlaps
from evalsuite.types import Colour, VideoFormat

NOTHING = np.empty((0, 4))


def boxes(most: int = 6) -> st.SearchStrategy[NDArray[np.float64]]:
    side = st.floats(1, 50, width=32)
    place = st.floats(0, 100, width=32)
    return st.lists(st.tuples(place, place, side, side), max_size=most).map(
        lambda rows: np.array(rows, np.float64).reshape(-1, 4)
    )


def scored(most: int = 6) -> st.SearchStrategy[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    # Few distinct scores, so that there are ties.
    levels = st.sampled_from([0.2, 0.5, 0.9])
    return boxes(most).flatmap(
        lambda b: st.lists(levels, min_size=len(b), max_size=len(b)).map(lambda s: (b, np.array(s, np.float64)))
    )


def curve_of(scores: list[float], hits: list[bool], references: int) -> Curve:
    tally = Tally()
    found = np.where(hits, 0, FALSE_ALARM)
    tally.add(references, found, np.array(scores, np.float64))
    return tally.curve()


@given(boxes(), boxes())
def test_overlap_is_torchvisions(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    def corners(rows: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1))

    np.testing.assert_allclose(overlaps(first, second), box_iou(corners(first), corners(second)).numpy(), atol=1e-9)


def test_overlap_of_known_boxes() -> None:
    square = np.array([[0.0, 0, 2, 2]])
    others = np.array([[0.0, 0, 2, 2], [1, 0, 2, 2], [1, 1, 2, 2], [2, 0, 2, 2], [0, 0, 2, 4]])
    np.testing.assert_allclose(overlaps(square, others), [[1, 1 / 3, 1 / 7, 0, 1 / 2]])
    # A box without area overlaps nothing, itself neither.
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_the_best_score_chooses_first_and_each_reference_is_found_once() -> None:
    references = np.array([[0.0, 0, 10, 10], [20, 0, 10, 10]])
    candidates = np.array([[0.0, 1, 10, 10], [0, 0, 10, 10], [21, 0, 10, 10], [50, 50, 10, 10]])
    found = match(references, NOTHING, candidates, np.array([0.9, 0.8, 0.7, 0.6]))
    # The second fits the first reference better, but the first candidate is surer of it.
    assert found.tolist() == [0, FALSE_ALARM, 1, FALSE_ALARM]


def test_a_candidate_takes_the_reference_that_it_fits_best() -> None:
    references = np.array([[0.0, 0, 10, 10], [2, 0, 10, 10]])
    assert match(references, NOTHING, np.array([[2.0, 0, 10, 10]]), np.array([0.5])).tolist() == [1]


def test_an_overlap_of_a_half_is_enough_and_less_is_not() -> None:
    reference = np.array([[0.0, 0, 10, 10]])
    assert match(reference, NOTHING, np.array([[0.0, 0, 10, 20]]), np.ones(1)).tolist() == [0]
    assert match(reference, NOTHING, np.array([[0.0, 0, 10, 20.1]]), np.ones(1)).tolist() == [FALSE_ALARM]


def test_what_finds_something_ignored_counts_for_nothing() -> None:
    reference, ignored = np.array([[0.0, 0, 10, 10]]), np.array([[40.0, 0, 10, 10]])
    candidates = np.array([[41.0, 0, 10, 10], [0, 0, 10, 10], [39, 0, 10, 10]])
    found = match(reference, ignored, candidates, np.array([0.9, 0.8, 0.7]))
    assert found.tolist() == [LEFT_OUT, 0, LEFT_OUT]
    tally = Tally()
    tally.add(1, found, np.array([0.9, 0.8, 0.7]))
    assert tally.curve().average_precision() == 1


def test_a_reference_is_preferred_to_something_ignored() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    assert match(box, box, box, np.ones(1)).tolist() == [0]


@given(boxes(), boxes(), scored(), st.randoms())
def test_the_order_of_the_candidates_does_not_count(
    references: NDArray[np.float64],
    ignored: NDArray[np.float64],
    candidates: tuple[NDArray[np.float64], NDArray[np.float64]],
    random: st.DrawFn,
) -> None:
    places, scores = candidates
    order = np.array(random.sample(range(len(scores)), len(scores)), np.int64)  # type: ignore[attr-defined]
    shuffled = match(references, ignored, places[order], scores[order])
    pairs = {(*places[i].tolist(), scores[i], int(f)) for i, f in enumerate(match(references, ignored, places, scores))}
    assert {(*places[i].tolist(), scores[i], int(f)) for i, f in zip(order, shuffled, strict=True)} == pairs


@given(boxes(), boxes(), scored())
def test_matching_is_one_to_one_and_only_where_boxes_overlap(
    references: NDArray[np.float64],
    ignored: NDArray[np.float64],
    candidates: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    found = match(references, ignored, *candidates)
    hits = found[found >= 0]
    assert len(set(hits.tolist())) == len(hits)
    assert (overlaps(candidates[0], references)[np.flatnonzero(found >= 0), hits] >= OVERLAP).all()
    assert (overlaps(candidates[0], ignored)[found == FALSE_ALARM] < OVERLAP).all()


@given(st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=5).filter(lambda f: any(map(any, f))))
def test_the_source_against_itself_is_perfect(frames: list[list[bool]]) -> None:
    tally = Tally()
    for frame in frames:
        # Boxes apart from each other, as suppression leaves them; some are sure enough to be references.
        places = np.array([[40.0 * index, 0, 30, 30] for index in range(len(frame))]).reshape(-1, 4)
        sure = np.array(frame, bool)
        scores = np.where(sure, 0.95, 0.3)
        tally.add(int(sure.sum()), match(places[sure], places[~sure], places, scores), scores)
    curve = tally.curve()
    assert curve.average_precision() == 1
    assert curve.recall(0) == 1
    assert curve.precision(0.6) == 1


# Padilla et al., "A Survey on Performance Metrics for Object-Detection Algorithms", IWSSIP 2020: 24 detections of 15
# objects, by falling confidence. Equal ones count in the order of the table there, so they are told apart here.
PUBLISHED = [
    *((0.95, True), (0.9499, False), (0.91, True), (0.88, False), (0.84, False), (0.80, False), (0.78, False)),
    *((0.74, False), (0.71, False), (0.70, True), (0.67, False), (0.62, True), (0.54, True), (0.48, True)),
    *((0.45, False), (0.4499, False), (0.44, False), (0.4399, False), (0.43, False), (0.38, False), (0.35, False)),
    *((0.23, False), (0.18, True), (0.14, False)),
]


def test_average_precision_of_the_published_example() -> None:
    curve = curve_of([s for s, _ in PUBLISHED], [h for _, h in PUBLISHED], 15)
    # 24.56 %: digits are cut there, not rounded.
    assert 0.2456 <= curve.average_precision() < 0.2457
    # The table of the same example: recall and precision as confidence falls.
    assert curve.recall(0) == pytest.approx(1 / 15)
    assert curve.recall(1) == pytest.approx(2 / 15)
    assert curve.recall(8) == pytest.approx(6 / 15)
    assert curve.precision(0.7) == pytest.approx(0.3)
    assert curve.precision(0.48) == pytest.approx(0.4285, abs=1e-4)


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.booleans()), max_size=12),
    st.integers(0, 3),
)
def test_average_precision_is_the_area_under_the_curve(detections: list[tuple[float, bool]], missed: int) -> None:
    references = max(1, sum(hit for _, hit in detections) + missed)
    curve = curve_of([s for s, _ in detections], [h for _, h in detections], references)
    # By the definition, in exact numbers: each step of recall times the best precision at that recall or beyond.
    points = []
    for threshold in sorted({score for score, _ in detections}, reverse=True):
        kept = [hit for score, hit in detections if score >= threshold]
        points.append((Fraction(sum(kept), references), Fraction(sum(kept), len(kept))))
    area, before = Fraction(0), Fraction(0)
    for recall, _ in points:
        area += (recall - before) * max(precision for other, precision in points if other >= recall)
        before = recall
    assert curve.average_precision() == pytest.approx(float(area))
    assert 0 <= curve.average_precision() <= 1 + 1e-12
    recalls = [curve.recall(count) for count in range(len(detections) + 1)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == sum(hit for _, hit in detections) / references


def test_nothing_found_is_no_recall_and_has_no_precision() -> None:
    curve = curve_of([], [], 3)
    assert (curve.average_precision(), curve.recall(0), curve.recall(9)) == (0, 0, 0)
    assert curve.precision(0.5) is None
    assert curve_of([0.4], [True], 1).precision(0.5) is None


@given(arrays.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_candidates_of_one_score_come_together(scores: NDArray[np.float64]) -> None:
    curve = curve_of(scores.tolist(), [True] * len(scores), len(scores))
    assert curve.scores.tolist() == sorted(set(scores.tolist()), reverse=True)
    assert curve.hits.tolist() == [int((scores >= s).sum()) for s in curve.scores]


@pytest.mark.parametrize(
    ("rate", "frames"), [(Fraction(25), 12), (Fraction(30000, 1001), 15), (Fraction(1), 1), (Fraction(60), 30)]
)
def test_two_frames_of_a_second_are_looked_at(rate: Fraction, frames: int) -> None:
    setting = Setting(VideoFormat(32, 32), Colour("bt709"), rate)
    seen = [index for index in range(61) if looked_at(View((), setting, index))]
    assert seen == list(range(0, 61, frames))
