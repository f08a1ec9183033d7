"""Scene cuts: known ones, what looks like one, and FFmpeg's filter `scdet`."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sample_carphone import carphone

from evalsuite.sources.scenecuts import cut_scores, cuts
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Frame, VideoFormat

FORMAT = VideoFormat(96, 64)


def scene(count: int, seed: int, level: float) -> list[Frame]:
    """Texture that moves on by two samples a frame, darker or brighter."""
    return [(np.rint(frame[0] * level).astype(frame[0].dtype),) for frame in moving_frames(FORMAT, count, seed)]


def found(frames: list[Frame], bit_depth: int = 8) -> tuple[int, ...]:
    return cuts(cut_scores(frames, bit_depth))


def levels(values: list[float], bit_depth: int = 8) -> list[Frame]:
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    return [(np.full((4, 6), value, dtype),) for value in values]


def test_the_frames_that_begin_a_scene_are_found() -> None:
    assert found([*scene(7, 1, 1.0), *scene(8, 2, 0.3), *scene(2, 3, 0.9), *scene(5, 4, 0.5)]) == (7, 15, 17)


@pytest.mark.parametrize(("bit_depth", "factor"), [(8, 1), (10, 4), (16, 256)])
def test_scores_by_hand(bit_depth: int, factor: int) -> None:
    shown = levels([50 * factor, 60 * factor, 188 * factor, 188 * factor, 60 * factor], bit_depth)
    # Of 256 levels 10, 128, 0 and 128; each, or how much more or less that is than the change before it.
    assert cut_scores(shown, bit_depth) == pytest.approx([0, 100 * 10 / 256, 100 * 118 / 256, 0, 50])


def test_motion_that_goes_on_from_the_first_frame_is_no_cut_and_a_cut_there_is() -> None:
    assert found(scene(3, 1, 1.0)) == ()
    assert found([*scene(1, 1, 0.2), *scene(2, 2, 0.5)]) == (1,)
    assert found([*scene(1, 1, 0.2), *scene(1, 2, 1.0)]) == (1,)


def test_a_flash_of_light_counts_where_it_begins() -> None:
    assert found(levels([50, 50, 250, 50, 50])) == (2,)


@pytest.mark.parametrize(
    "at",
    [
        lambda index, left, right: left * (1 - index / 20) + right * index / 20,
        lambda index, left, _: left * (1 - index / 20),
        lambda index, left, _: np.roll(left, 7 * index, axis=1),
    ],
    ids=["dissolve", "fade", "pan"],
)
def test_what_changes_steadily_is_no_cut(at: Callable[[int, NDArray[np.float64], NDArray[np.float64]], object]) -> None:
    rng = np.random.default_rng(3)
    left, right = np.kron(rng.uniform(16, 235, (8, 12)), np.ones((8, 8))), np.full((64, 96), 200.0)
    frames = [(np.rint(np.asarray(at(index, left, right))).astype(np.uint8),) for index in range(21)]
    assert found(frames) == ()


def test_a_cut_between_two_pans_is_one() -> None:
    rng = np.random.default_rng(4)
    one, other = (np.kron(rng.uniform(*ends, (8, 12)), np.ones((8, 8))) for ends in ((16, 80), (140, 235)))
    frames = [(np.rint(np.roll(picture, 4 * at, 1)).astype(np.uint8),) for picture in (one, other) for at in range(6)]
    assert found(frames) == (6,)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_ffmpeg_gives_the_same_scores(bit_depth: int, tmp_path: Path) -> None:
    format = VideoFormat(96, 64, bit_depth)
    frames = [
        *moving_frames(format, 5, seed=1),
        *(tuple(np.flipud(plane) for plane in one) for one in moving_frames(format, 5, 2)),
    ]
    check_with_ffmpeg(frames, format, tmp_path / "video.y4m")


def test_ffmpeg_gives_the_same_scores_of_a_real_sequence(tmp_path: Path) -> None:
    check_with_ffmpeg(carphone(12), VideoFormat(176, 144), tmp_path / "video.y4m")


def check_with_ffmpeg(frames: list[Frame], format: VideoFormat, path: Path) -> None:
    write_y4m(path, format, Fraction(25), frames)
    told = run_ffmpeg("-i", path, "-vf", "scdet,metadata=mode=print:file=-", "-f", "null", "-").decode()
    theirs = [float(one) for one in re.findall(r"scd\.score=(\S+)", told)]
    ours = cut_scores(frames, format.bit_depth)
    assert len(ours) == len(theirs)
    # They are written with three decimals. To FFmpeg, nothing moves before the first frame.
    assert ours[2:] == pytest.approx(theirs[2:], abs=0.0006)


def test_no_frame_and_one_frame_have_no_cut() -> None:
    assert found([]) == ()
    assert found(levels([255])) == ()


@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))))
def test_scores_are_shares_and_no_more_than_the_change(luma: NDArray[np.uint8]) -> None:
    scores = cut_scores([(plane,) for plane in luma], 8)
    changes = [0.0, *(float(np.abs(b.astype(int) - a).mean()) / 2.56 for a, b in pairwise(luma))]
    assert scores.shape == (len(luma),)
    assert all(0 <= score <= change + 1e-9 for score, change in zip(scores, changes, strict=True))
