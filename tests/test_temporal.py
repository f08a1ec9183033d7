"""Temporal metrics: the table that tells them apart, other implementations, closed forms."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
import scipy.ndimage
from conftest import moving_frames
from sample_carphone import FORMAT, SETTING, carphone
from temporal_samples import (
    blur,
    deep,
    deep_setting,
    flicker,
    flicker_levels,
    freeze,
    lpips_weights,
    means,
    noise,
    scores,
)

from evalsuite.metrics.base import Arrays, Setting, View
from evalsuite.metrics.flow import motion_into, occluded
from evalsuite.metrics.registry import infos
from evalsuite.metrics.sparse import ONE_FRAME
from evalsuite.types import Colour, Frame, VideoFormat

SMALL = Setting(VideoFormat(96, 64), Colour("bt709"), Fraction(25))
PANEL = "warp_error,flicker,frame_diff_mad,tof,tlpips"
DISTORTIONS: dict[str, Callable[[list[Frame]], list[Frame]]] = {
    "blur": blur,
    "freeze": freeze,
    "flicker": flicker,
    "noise": lambda frames: noise(frames, 5),
}


def shifted(format: VideoFormat, count: int, step: tuple[int, int]) -> list[Frame]:
    """A smooth texture that moves by whole samples (x, y) a frame."""
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.random((format.height + 64, format.width + 64)).astype(np.float32), (0, 0), 3)
    texture = (texture - texture.min()) / np.ptp(texture) * 255
    frames = []
    for index in range(count):
        x, y = 32 - index * step[0], 32 - index * step[1]
        luma = texture[y : y + format.height, x : x + format.width].astype(np.uint8)
        grey = np.full((format.chroma_height, format.chroma_width), 128, np.uint8)
        frames.append((luma, grey, grey))
    return frames


def test_golden_table_of_warping_errors() -> None:
    """40 frames of carphone, x1e-4: source 2.53; of the frames blur 0.32, freeze 10.54, flicker 6.51; of the error
    signal 2.01, 9.72, 4.01. With the inconsistent flow alone masked we are within 1 %; the published mask leaves out
    motion boundaries too, which takes up to a tenth off.
    """
    source, setting = deep(carphone(40)), deep_setting(FORMAT)
    own = {"blur": 0.32, "freeze": 10.54, "flicker": 6.51}
    of_error = {"blur": 2.01, "freeze": 9.72, "flicker": 4.01}
    for name in own:
        found = means("warp_error,warp_error_ratio", source, DISTORTIONS[name](source), setting)
        assert found["warp_error"] == pytest.approx(of_error[name], rel=0.1)
        assert found["warp_error_ratio"] == pytest.approx(own[name] / 2.53, rel=0.1)


def test_trap20_every_distortion_is_punished_and_none_is_rewarded() -> None:
    lpips_weights()
    source, setting = deep(carphone(12)), deep_setting(FORMAT)
    honest = means(PANEL, source, noise(source, 1), setting)
    for name, distort in DISTORTIONS.items():
        found = means(PANEL, source, distort(source), setting)
        assert found["warp_error"] > 3 * honest["warp_error"], name
        assert any(found[metric] > 5 * honest[metric] for metric in found), name
        assert all(value > 0 for value in found.values()), name


def test_trap20_published_warping_error_rewards_blur_so_it_has_no_direction() -> None:
    source, setting = deep(carphone(10)), deep_setting(FORMAT)
    assert means("warp_error_ratio", source, blur(source), setting)["warp_error_ratio"] < 0.3
    assert infos()["warp_error_ratio"].higher_is_better is None


@pytest.mark.parametrize("name", PANEL.split(","))
def test_the_more_noise_the_worse(name: str) -> None:
    lpips_weights()
    source, setting = deep(carphone(6)), deep_setting(FORMAT)
    rising = [means(name, source, noise(source, levels), setting)[name] for levels in (0.5, 2, 8)]
    assert 0 < rising[0] < rising[1] < rising[2]


def test_identity_is_nought_and_the_first_frame_has_no_score() -> None:
    lpips_weights()
    frames = carphone(4)
    found = scores(f"{PANEL},warp_error_ratio", frames, frames, SETTING)
    assert found.pop("warp_error_ratio").values.tolist() == [1]
    for series in found.values():
        assert series.frames is not None
        assert series.frames.tolist() == [1, 2, 3]
        assert series.values.tolist() == [0, 0, 0]


def test_one_frame_is_not_applicable() -> None:
    lpips_weights()
    frames = list(moving_frames(SMALL.format, 1))
    for series in scores(f"{PANEL},warp_error_ratio", frames, frames, SMALL).values():
        assert (series.status, series.reason) == ("not_applicable", ONE_FRAME)


def test_too_small_is_said() -> None:
    setting = Setting(VideoFormat(30, 31), Colour("bt709"), Fraction(25))
    frames = list(moving_frames(setting.format, 2))
    found = scores(f"{PANEL},warp_error_ratio", frames, frames, setting)
    assert {name for name, series in found.items() if series.status == "too_small"} == {
        "warp_error",
        "warp_error_ratio",
        "tof",
        "tlpips",
    }
    assert found["flicker"].status == found["frame_diff_mad"].status == "ok"


@pytest.mark.parametrize("size", [(48, 48), (49, 63), (177, 145)])
def test_every_size_above_the_limit_is_measured(size: tuple[int, int]) -> None:
    lpips_weights()
    setting = Setting(VideoFormat(*size), Colour("bt709"), Fraction(25))
    source, decoded = (list(moving_frames(setting.format, 3, seed)) for seed in (0, 1))
    for series in scores(PANEL, source, decoded, setting).values():
        assert series.status == "ok"
        assert np.isfinite(series.values).all()


@pytest.mark.parametrize("depth", [10, 12, 16])
def test_bit_depth_does_not_move_the_scores(depth: int) -> None:
    lpips_weights()
    source, decoded = (list(moving_frames(SMALL.format, 3, seed)) for seed in (0, 1))
    full = Setting(SMALL.format, Colour("bt709", full_range=True), Fraction(25))
    peak = (1 << depth) - 1

    def deeper(frames: list[Frame]) -> list[Frame]:
        return [tuple(np.rint(plane * (peak / 255)).astype(np.uint16) for plane in frame) for frame in frames]

    shallow = means(f"{PANEL},warp_error_ratio", source, decoded, full)
    setting = Setting(VideoFormat(96, 64, depth), full.colour, full.frame_rate)
    found = means(f"{PANEL},warp_error_ratio", deeper(source), deeper(decoded), setting)
    for name, value in found.items():
        # Neutral chroma of 8 bits lies between two codes of more: RGB moves by part of a level.
        assert value == pytest.approx(shallow[name], rel=0.03 if name in {"tof", "tlpips"} else 0.005), name


def test_luma_metrics_take_luma_alone() -> None:
    setting = Setting(VideoFormat(96, 64, chroma="400"), Colour("bt709"), Fraction(25))
    source, decoded = ([frame[:1] for frame in moving_frames(SMALL.format, 3, seed)] for seed in (0, 1))
    colour = [list(moving_frames(SMALL.format, 3, seed)) for seed in (0, 1)]
    names = "warp_error,warp_error_ratio,flicker,frame_diff_mad"
    assert means(names, source, decoded, setting) == means(names, *colour, SMALL)


# --- warp_error


def naive_warp_error(source: list[Frame], decoded: list[Frame]) -> list[float]:
    """By the definition: Lai et al.'s mask and warp, without OpenCV's sampling and without rounding the flow."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = []
    for (first, second), (was, now) in zip(pairwise(source), pairwise(decoded), strict=True):
        forward = search.calc(first[0], second[0], None)
        backward = search.calc(second[0], first[0], None)
        rows, columns = np.mgrid[: first[0].shape[0], : first[0].shape[1]].astype(np.float64)
        there = np.stack([rows + forward[..., 1], columns + forward[..., 0]])

        def sample(plane: np.ndarray, there: np.ndarray = there) -> np.ndarray:
            return scipy.ndimage.map_coordinates(plane.astype(np.float64), there, order=1, mode="nearest")

        back = np.dstack([sample(backward[..., 0]), sample(backward[..., 1])])
        length = (forward**2).sum(-1)
        hidden = ((forward + back) ** 2).sum(-1) > 0.01 * (length + (back**2).sum(-1)) + 0.5
        right, below = (np.diff(forward, axis=axis, append=np.take(forward, [-1], axis)) for axis in (1, 0))
        hidden |= (right**2 + below**2).sum(-1) > 0.01 * length + 0.002
        residual = sample(now[0].astype(int) - second[0]) - (was[0].astype(int) - first[0])
        found.append(1e4 * np.square(residual / 255)[~hidden].mean())
    return found


def test_warp_error_agrees_with_its_definition() -> None:
    source, decoded = carphone(6), carphone(6, "distorted")
    found = scores("warp_error", source, decoded, SETTING)["warp_error"].values
    np.testing.assert_allclose(found, naive_warp_error(source, decoded), rtol=0.01)


def test_warp_error_ratio_is_of_the_frames_themselves() -> None:
    source, decoded = carphone(6), carphone(6, "distorted")
    residuals = [naive_residual(source, frames) for frames in (decoded, source)]
    found = means("warp_error_ratio", source, decoded, SETTING)["warp_error_ratio"]
    assert found == pytest.approx(residuals[0] / residuals[1], rel=0.01)


def naive_residual(source: list[Frame], frames: list[Frame]) -> float:
    """The mean warping error of the frames themselves: of an error signal that is the frames."""
    shown = [(plane[0].astype(int) + plain[0],) for plane, plain in zip(source, frames, strict=True)]
    return float(np.mean(naive_warp_error(source, shown)))  # type: ignore[arg-type]


def test_motion_of_whole_samples_is_found_and_an_error_that_moves_along_costs_nothing() -> None:
    frames = shifted(SMALL.format, 2, (3, 2))
    before = View(frames[0], SMALL)
    motion = motion_into(View(frames[1], SMALL, 1, before), before)
    inner = np.s_[12:-12, 12:-12]
    rows, columns = np.mgrid[:64, :96]
    assert np.median(motion.columns[inner] - columns[inner]) == pytest.approx(3, abs=0.1)
    assert np.median(motion.rows[inner] - rows[inner]) == pytest.approx(2, abs=0.1)
    darker = [(frame[0] - frame[0] // 8, *frame[1:]) for frame in frames]
    still = [(frame[0] - frames[0][0] // 8, *frame[1:]) for frame in frames]
    along, against = (
        scores("warp_error", frames, decoded, SMALL)["warp_error"].values[0] for decoded in (darker, still)
    )
    assert along < against / 5


def test_occlusion_mask_by_hand() -> None:
    forward = np.zeros((8, 8, 2), np.float32)
    backward = forward.copy()
    assert not occluded(forward, backward).any()
    backward[2, 3] = (0.8, 0)  # 0.64 > 0.01 x 0.64 + 0.5
    backward[5, 3] = (0.7, 0)  # 0.49 < 0.01 x 0.49 + 0.5
    assert np.argwhere(occluded(forward, backward)).tolist() == [[2, 3]]
    forward[:, 4:] = backward[:, 4:] = 0.05  # a step of 0.05 in x and y: 0.005 > 0.002
    assert occluded(forward, -forward)[:, 3].all()
    assert not occluded(forward, -forward)[:, :3].any()


class AllHiddenOnce:
    """Features of a source whose second frame shows nothing of the first."""

    def get(self, name: str, version: str, index: int, compute: Callable[[], Arrays]) -> Arrays:
        features = compute()
        return {**features, "hidden": np.full_like(features["hidden"], 255)} if index == 1 else features


def test_trap_frame_that_is_all_occluded_has_no_score_rather_than_a_perfect_one() -> None:
    source, decoded = carphone(4), carphone(4, "distorted")
    found = scores("warp_error,warp_error_ratio", source, decoded, SETTING, AllHiddenOnce())
    assert found["warp_error"].frames is not None
    assert found["warp_error"].frames.tolist() == [2, 3]
    assert found["warp_error_ratio"].status == "ok"
    of_two = scores("warp_error,warp_error_ratio", source[:2], decoded[:2], SETTING, AllHiddenOnce())
    assert {series.status for series in of_two.values()} == {"not_applicable"}


def test_a_source_without_change_has_no_ratio() -> None:
    frames = list(moving_frames(SMALL.format, 1)) * 3
    found = scores("warp_error,warp_error_ratio", frames, flicker_levels(frames, 4), SMALL)
    assert found["warp_error_ratio"].status == "not_applicable"
    # Luma goes up and down by 4 levels of 255.
    np.testing.assert_allclose(found["warp_error"].values, 1e4 * (8 / 255) ** 2, rtol=1e-5)


def test_flow_is_the_same_whatever_the_number_of_threads() -> None:
    frames = carphone(2)
    threads = cv2.getNumThreads()
    try:
        found = []
        for number in (1, 2, 5):
            cv2.setNumThreads(number)
            before = View(frames[0], SETTING)
            found.append(motion_into(View(frames[1], SETTING, 1, before), before))
    finally:
        cv2.setNumThreads(threads)
    for motion in found[1:]:
        np.testing.assert_array_equal(motion.columns, found[0].columns)
        np.testing.assert_array_equal(motion.visible, found[0].visible)


class Kept:
    """Features as they come back from a file."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, int], bytes] = {}
        self.made = 0

    def get(self, name: str, version: str, index: int, compute: Callable[[], Arrays]) -> Arrays:
        key = name, version, index
        if key not in self.files:
            self.made += 1
            stream = io.BytesIO()
            np.savez(stream, **compute())  # type: ignore[arg-type]
            self.files[key] = stream.getvalue()
        with np.load(io.BytesIO(self.files[key]), allow_pickle=False) as archive:
            return {part: archive[part] for part in archive.files}


def test_kept_features_give_the_scores_of_fresh_ones() -> None:
    lpips_weights()
    source, decoded = carphone(4), carphone(4, "distorted")
    names = f"{PANEL},warp_error_ratio,strred"
    kept = Kept()
    fresh = scores(names, source, decoded, SETTING)
    first = scores(names, source, decoded, SETTING, kept)
    made = kept.made
    second = scores(names, source, decoded, SETTING, kept)
    assert kept.made == made > 0
    for name, series in fresh.items():
        # Equal arrays at other addresses: double sums differ in their last digits.
        np.testing.assert_allclose(first[name].values, series.values, rtol=1e-9)
        np.testing.assert_allclose(second[name].values, series.values, rtol=1e-9)
    # A frame's motion in 16 bits a sample and direction, and a bit for its mask.
    sizes = [len(data) for (name, _, _), data in kept.files.items() if name == "motion"]
    assert max(sizes) < 176 * 144 * 4.25 + 1000
