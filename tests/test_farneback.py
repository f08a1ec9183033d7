"""Our Farneback flow against OpenCV's own."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import moving_frames
from sample_carphone import carphone

from evalsuite.metrics.farneback import expand, flow
from evalsuite.types import VideoFormat


def opencv(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def assert_same(first: np.ndarray, second: np.ndarray) -> None:
    found = np.dstack(flow(expand(first), expand(second)))
    apart = np.hypot(*np.moveaxis(found - opencv(first, second), -1, 0))
    # Where the window is nearly flat, rounding decides.
    assert apart.mean() < 1e-4
    assert np.percentile(apart, 99) < 1e-3


def test_agrees_with_opencv_on_carphone() -> None:
    for first, second in pairwise(frame[0] for frame in carphone(12)):
        assert_same(first, second)


@pytest.mark.parametrize("size", [(48, 48), (63, 50), (177, 131), (300, 64), (33, 200)])
def test_agrees_with_opencv_at_every_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    first, second = (frame[0] for frame in moving_frames(VideoFormat(*size), 2))
    noisy = np.clip(second + rng.normal(0, 3, second.shape), 0, 255).astype(np.uint8)
    smooth = [cv2.GaussianBlur(plane, (0, 0), 2) for plane in (first, noisy)]
    assert_same(*smooth)


def test_a_jump_out_of_the_frame_is_treated_like_opencvs() -> None:
    frames = [frame[0] for frame in carphone(60)]
    assert_same(frames[0], np.roll(frames[40], 25, axis=1))


def test_same_frames_move_at_the_far_edges_alone_like_opencvs() -> None:
    # The last row and column count as outside the frame, so something is left to explain there.
    frame = carphone(1)[0][0]
    assert_same(frame, frame)
    assert max(np.abs(part[:80, :112]).max() for part in flow(expand(frame), expand(frame))) < 1e-2


def test_flat_frames_do_not_move() -> None:
    flat = expand(np.full((64, 64), 128, np.uint8))
    for part in flow(flat, flat):
        np.testing.assert_allclose(part, 0, atol=1e-6)
