"""Flicker and frame differences of known size."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from conftest import moving_frames
from sample_carphone import SETTING, carphone
from temporal_samples import flicker_levels, scores

from evalsuite.metrics.base import Setting
from evalsuite.types import Colour, Frame, VideoFormat

SMALL = Setting(VideoFormat(96, 64), Colour("bt709"), Fraction(25))


def grey_frames(count: int) -> list[Frame]:
    return [tuple(np.full_like(plane, 100) for plane in frame) for frame in moving_frames(SMALL.format, count)]


def test_flicker_of_known_size() -> None:
    source = grey_frames(4)
    found = scores("flicker,frame_diff_mad", source, flicker_levels(source, 3), SMALL)
    for series in found.values():
        np.testing.assert_allclose(series.values, 6, rtol=1e-6)


def test_flicker_of_one_block_counts_by_its_share() -> None:
    source = grey_frames(2)
    luma = source[1][0].copy()
    luma[16:32, 32:48] += 24
    found = scores("flicker,frame_diff_mad", source, [source[0], (luma, *source[1][1:])], SMALL)
    for series in found.values():
        np.testing.assert_allclose(series.values, 24 / 24)  # one block of 24


def test_texture_that_changes_around_its_mean_is_no_flicker() -> None:
    source = grey_frames(2)
    checks = (np.indices((64, 96)).sum(0) % 2 * 8 - 4 + source[1][0]).astype(np.uint8)
    found = scores("flicker,frame_diff_mad", source, [source[0], (checks, *source[1][1:])], SMALL)
    np.testing.assert_allclose(found["flicker"].values, 0, atol=1e-5)
    np.testing.assert_allclose(found["frame_diff_mad"].values, 4)


def test_trap20_a_frozen_picture_pays_for_the_change_it_does_not_show() -> None:
    source = carphone(5)
    found = scores("frame_diff_mad", source, source[:1] * 5, SETTING)["frame_diff_mad"].values
    changes = [np.abs(a[0].astype(int) - b[0]).mean() for a, b in pairwise(source)]
    np.testing.assert_allclose(found, changes, rtol=1e-6)
