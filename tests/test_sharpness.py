"""Sharpness kept: closed forms, and what must not be rewarded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
from conftest import moving_frames, run_ffmpeg
from sample_carphone import FORMAT, SETTING, carphone
from temporal_samples import blur, deep, deep_setting, means, noise, scores

from evalsuite.metrics.base import Setting
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, VideoFormat

BANDS = "sharpness_fine,sharpness_medium,sharpness_coarse"
NAMES = f"sharpness,{BANDS}"


def contrast(frames: list[Frame], factor: float) -> list[Frame]:
    return [(np.rint((frame[0] - 32768.0) * factor + 32768).astype(np.uint16), *frame[1:]) for frame in frames]


def sharpened(frames: list[Frame], amount: float) -> list[Frame]:
    def sharp(plane: np.ndarray) -> np.ndarray:
        plane = plane.astype(np.float32)
        return np.clip(plane + amount * (plane - cv2.GaussianBlur(plane, (0, 0), 1.5)), 0, 65535).astype(np.uint16)

    return [(sharp(frame[0]), *frame[1:]) for frame in frames]


def test_identity_is_one_in_every_band() -> None:
    frames = carphone(3)
    for series in scores(NAMES, frames, frames, SETTING).values():
        assert series.values.tolist() == [1, 1, 1]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.2])
def test_gradients_that_are_scaled_are_kept_by_that_factor(factor: float) -> None:
    source = contrast(deep(carphone(2)), 0.5)
    found = means(NAMES, source, contrast(source, factor), deep_setting(FORMAT))
    for band in BANDS.split(","):
        assert found[band] == pytest.approx(factor, rel=1e-3)
    # Too much is as bad as too little.
    assert found["sharpness"] == pytest.approx(min(factor, 1 / factor), rel=1e-3)


def test_bands_agree_with_gradients_by_another_implementation() -> None:
    source, decoded = carphone(1), carphone(1, "distorted")

    def energy(plane: np.ndarray) -> float:
        return sum(np.square(scipy.ndimage.sobel(plane, axis, mode="mirror") / 8).sum() for axis in (0, 1))

    def half(plane: np.ndarray) -> np.ndarray:
        taps = np.array([1, 4, 6, 4, 1]) / 16
        for axis in (0, 1):
            plane = scipy.ndimage.correlate1d(plane, taps, axis, mode="mirror")
        return plane[::2, ::2]

    found = means(BANDS, source, decoded, SETTING)
    planes = [frames[0][0].astype(np.float64) for frames in (decoded, source)]
    for band in BANDS.split(","):
        assert found[band] == pytest.approx(np.sqrt(energy(planes[0]) / energy(planes[1])), rel=1e-5)
        planes = [half(plane) for plane in planes]


def test_the_more_blur_the_less_is_left_and_the_finest_goes_first() -> None:
    source, setting = deep(carphone(3)), deep_setting(FORMAT)
    found = [means(NAMES, source, blur(source, sigma), setting) for sigma in (0.5, 1, 2, 4)]
    for name in NAMES.split(","):
        falling = [one[name] for one in found]
        assert 1 > falling[0] > falling[1] > falling[2] > falling[3] > 0
    for one in found:
        assert one["sharpness_fine"] < one["sharpness_medium"] < one["sharpness_coarse"]


def test_the_more_compression_the_less_is_left(tmp_path: Path) -> None:
    source = carphone(6)
    path = tmp_path / "source.y4m"
    write_y4m(path, FORMAT, Fraction(30), source, SETTING.colour)
    falling = [1.0]
    for crf in (25, 35, 45):
        coded = tmp_path / f"{crf}.mkv"
        run_ffmpeg("-i", path, "-c:v", "libx264", "-crf", str(crf), coded)
        falling.append(means("sharpness", source, list(open_video(coded)), SETTING)["sharpness"])
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 0.8


def test_trap_noise_does_not_pass_for_sharpness() -> None:
    source, setting = deep(carphone(2)), deep_setting(FORMAT)
    soft = blur(source, 2)
    grainy = noise(soft, 8)
    plain, noisy = (means(NAMES, source, frames, setting) for frames in (soft, grainy))
    assert noisy["sharpness_fine"] > 1.2 * plain["sharpness_fine"]  # energy is fooled
    assert noisy["sharpness"] == pytest.approx(plain["sharpness"], abs=0.01)  # the headline is not


def test_trap_sharpening_beyond_the_source_is_not_rewarded() -> None:
    source, setting = deep(carphone(2)), deep_setting(FORMAT)
    falling = [means("sharpness", source, sharpened(source, amount), setting)["sharpness"] for amount in (0, 0.5, 1, 2)]
    assert falling == sorted(falling, reverse=True)
    assert means("sharpness_fine", source, sharpened(source, 1), setting)["sharpness_fine"] > 1.2


def test_trap_edges_elsewhere_do_not_count() -> None:
    source = carphone(1)
    mirrored = [tuple(np.ascontiguousarray(plane[::-1]) for plane in frame) for frame in source]
    found = means(NAMES, source, mirrored, SETTING)
    assert found["sharpness_fine"] == pytest.approx(1)
    assert found["sharpness"] < 0.3


def test_flat_frames_have_no_sharpness_to_keep() -> None:
    frames = list(moving_frames(FORMAT, 3))
    flat = tuple(np.full_like(plane, 90) for plane in frames[0])
    found = scores(NAMES, [frames[0], flat, frames[2]], frames, SETTING)
    for series in found.values():
        assert series.frames is not None
        assert series.frames.tolist() == [0, 2]
    assert {series.status for series in scores(NAMES, [flat], [flat], SETTING).values()} == {"not_applicable"}


@pytest.mark.parametrize("depth", [10, 16])
def test_bit_depth_does_not_move_the_scores(depth: int) -> None:
    factor = ((1 << depth) - 1) / 255

    def deeper(frames: list[Frame]) -> list[Frame]:
        return [tuple(np.rint(plane * factor).astype(np.uint16) for plane in frame) for frame in frames]

    source, decoded = carphone(2), carphone(2, "distorted")
    setting = Setting(VideoFormat(176, 144, depth), SETTING.colour, SETTING.frame_rate)
    found = means(NAMES, deeper(source), deeper(decoded), setting)
    assert found == pytest.approx(means(NAMES, source, decoded, SETTING), rel=1e-3)


def test_smallest_and_odd_sizes() -> None:
    for size, status in (((15, 40), "too_small"), ((16, 16), "ok"), ((17, 31), "ok")):
        setting = Setting(VideoFormat(*size), Colour("bt709"), Fraction(25))
        source, decoded = (list(moving_frames(setting.format, 1, seed)) for seed in (0, 1))
        assert {series.status for series in scores(NAMES, source, decoded, setting).values()} == {status}
