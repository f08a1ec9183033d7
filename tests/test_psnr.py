"""PSNR of planes against FFmpeg, of sequences and in RGB against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import moving_frames
from metric_samples import noisy_pair, scores, setting_of

from evalsuite.metrics.registry import infos
from evalsuite.types import Chroma, Colour, Frame, VideoFormat


def flat(value: int, format: VideoFormat) -> Frame:
    return tuple(np.full(shape, value, np.uint8) for shape in format.plane_shapes)


def test_trap14_the_mean_of_psnr_is_not_the_psnr_of_the_mean() -> None:
    format = VideoFormat(32, 32)
    source = [flat(100, format)] * 2
    decoded = [flat(101, format), flat(110, format)]
    found = scores("psnr_y,psnr_yuv,psnr_yuv_mse", source, decoded, setting_of(format))
    # Squared errors 1 and 100: 48.1308 dB and 28.1308 dB; their mean is 50.5.
    assert found["psnr_y"].values == pytest.approx([20 * math.log10(255), 20 * math.log10(25.5)])
    assert found["psnr_yuv_mse"].values == pytest.approx([10 * math.log10(255**2 / 50.5)])
    assert found["psnr_y"].values.mean() - found["psnr_yuv_mse"].values[0] == pytest.approx(7.0329, abs=1e-4)
    assert not infos()["psnr_yuv_mse"].per_frame


def test_trap14_weights_of_planes_differ_and_are_named() -> None:
    format = VideoFormat(32, 32)
    source, decoded = flat(100, format), list(flat(100, format))
    decoded[0] = decoded[0] + np.uint8(2)
    decoded[1] = decoded[1] + np.uint8(4)
    decoded[2] = decoded[2] + np.uint8(8)
    found = scores("psnr_yuv,psnr_yuv_mse", [source], [tuple(decoded)], setting_of(format))
    y, cb, cr = (10 * math.log10(255**2 / error) for error in (4, 16, 64))
    assert found["psnr_yuv"].values == pytest.approx([(6 * y + cb + cr) / 8])
    assert found["psnr_yuv_mse"].values == pytest.approx([10 * math.log10(255**2 / ((4 * 4 + 16 + 64) / 6))])


@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("depth", [8, 16])
def test_psnr_yuv_mse_weighs_every_sample_of_every_frame_alike(chroma: Chroma, depth: int) -> None:
    format = VideoFormat(48, 32, depth, chroma)
    source, decoded = noisy_pair(format, 3)
    everything = [
        np.concatenate([plane.ravel() for frame in frames for plane in frame]).astype(np.float64)
        for frames in (source, decoded)
    ]
    error = np.mean((everything[0] - everything[1]) ** 2)
    found = scores("psnr_yuv_mse", source, decoded, setting_of(format))["psnr_yuv_mse"]
    assert found.values == pytest.approx([10 * math.log10((2**depth - 1) ** 2 / error)], abs=1e-9)


def test_without_chroma_figures_of_chroma_do_not_apply() -> None:
    format = VideoFormat(48, 32, 10, "400")
    source, decoded = noisy_pair(format, 2)
    found = scores("psnr_y,psnr_cb,psnr_cr,psnr_yuv,psnr_yuv_mse", source, decoded, setting_of(format))
    assert {name: one.status for name, one in found.items()} == {
        "psnr_y": "ok",
        "psnr_cb": "not_applicable",
        "psnr_cr": "not_applicable",
        "psnr_yuv": "not_applicable",
        "psnr_yuv_mse": "ok",
    }


def test_psnr_rgb_of_grey_is_that_of_luma_in_its_own_range() -> None:
    # Without colour R = G = B = (Y - 16) / 219: an error of 3 levels is 3 / 219.
    format = VideoFormat(32, 32)
    grey = np.full((16, 16), 128, np.uint8)
    source = (np.full((32, 32), 100, np.uint8), grey, grey)
    decoded = (np.full((32, 32), 103, np.uint8), grey, grey)
    found = scores("psnr_rgb", [source], [decoded], setting_of(format))["psnr_rgb"].values
    assert found == pytest.approx([-20 * math.log10(3 / 219)], abs=1e-4)
    full = scores("psnr_rgb", [source], [decoded], setting_of(format, colour=Colour("bt709", full_range=True)))
    assert full["psnr_rgb"].values == pytest.approx([-20 * math.log10(3 / 255)], abs=1e-4)


def test_psnr_rgb_of_one_chroma_plane_by_the_matrix() -> None:
    # BT.709: Cr moves R by 1.5748 and G by -0.4681 of its own step of 1 / 224.
    format = VideoFormat(32, 32)
    luma, grey = np.full((32, 32), 120, np.uint8), np.full((16, 16), 128, np.uint8)
    found = scores("psnr_rgb", [(luma, grey, grey)], [(luma, grey, grey + np.uint8(4))], setting_of(format))
    error = ((1.5748 * 4 / 224) ** 2 + (0.468124 * 4 / 224) ** 2) / 3
    assert found["psnr_rgb"].values == pytest.approx([-10 * math.log10(error)], abs=1e-3)


@pytest.mark.parametrize("name", ["psnr_y", "psnr_yuv_mse", "psnr_rgb"])
def test_identical_frames_are_infinite(name: str) -> None:
    format = VideoFormat(32, 32)
    frames = list(moving_frames(format, 2))
    assert np.isposinf(scores(name, frames, frames, setting_of(format))[name].values).all()
