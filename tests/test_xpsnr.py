"""XPSNR against FFmpeg's filter, by the metric's own authors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames
from metric_samples import by_ffmpeg, noisy_pair, scores, setting_of

from evalsuite.metrics.pooling import pool
from evalsuite.metrics.registry import infos
from evalsuite.types import Chroma, VideoFormat

PLANES = ("xpsnr_y", "xpsnr_cb", "xpsnr_cr")


def filters_own(text: str) -> tuple[list[list[float]], list[float]]:
    """Decibels of each plane of each frame, and of the sequence, from what the filter writes."""
    frames = [
        [float(value) for value in re.findall(r"XPSNR [yuv]: +([\d.]+|inf)", line)]
        for line in text.splitlines()
        if line.startswith("n:")
    ]
    last = next(line for line in text.splitlines() if line.startswith("XPSNR average"))
    return frames, [float(value) for value in re.findall(r" [yuv]: ([\d.]+|inf)", last)]


@pytest.mark.parametrize(
    ("width", "height", "depth", "chroma", "fps"),
    [
        (352, 288, 8, "420", 25),
        (352, 288, 8, "420", 60),  # second differences in time
        (352, 288, 8, "422", 30),
        (352, 288, 8, "444", 25),
        (352, 288, 8, "400", 25),
        (351, 177, 8, "420", 30),  # blocks that are cut at the edge
        (64, 64, 8, "420", 25),  # blocks of 4
        (30, 20, 8, "420", 25),  # too small for weights
        (20, 400, 8, "420", 25),  # one column of blocks
        (350, 176, 10, "420", 25),
        (320, 180, 12, "444", 50),
        (704, 576, 8, "420", 25),  # too large for smoothing
        (2112, 1200, 8, "420", 25),  # half the resolution for activity
        (2112, 1200, 8, "420", 60),
    ],
)
def test_every_plane_of_every_frame_agrees_with_the_filter(
    tmp_path: Path, width: int, height: int, depth: int, chroma: Chroma, fps: int
) -> None:
    format = VideoFormat(width, height, depth, chroma)
    source, decoded = noisy_pair(format, 3 if width > 1000 else 5)
    log = tmp_path / "log"
    by_ffmpeg(f"[0:v][1:v]xpsnr=stats_file={log}", format, source, decoded, tmp_path, fps)
    frames, average = filters_own(log.read_text())
    names = PLANES[: len(format.plane_shapes)]
    ours = scores(",".join(names), source, decoded, setting_of(format, fps))
    found = np.array([ours[name].values for name in names]).T
    # The filter writes four digits.
    np.testing.assert_allclose(found, frames, rtol=0, atol=6e-5)
    for name, expected in zip(names, average, strict=True):
        pooled = {one.statistic: one.score for one in pool(ours[name], infos()[name])}
        assert pooled["root_mean"] == pytest.approx(expected, abs=6e-5)


def test_at_16_bit_scores_are_those_of_the_same_picture_at_14(tmp_path: Path) -> None:
    # The filter's samples overflow at 16 bit: what is four times as large in both is the same picture.
    small = VideoFormat(352, 288, 14)
    source, decoded = noisy_pair(small, 3)
    larger = [[tuple(plane << 2 for plane in frame) for frame in frames] for frames in (source, decoded)]
    expected = scores("xpsnr_y", source, decoded, setting_of(small))["xpsnr_y"].values
    found = scores("xpsnr_y", larger[0], larger[1], setting_of(VideoFormat(352, 288, 16)))["xpsnr_y"].values
    np.testing.assert_allclose(found, expected, atol=1e-3)  # 65535 is not 4 x 16383


def test_the_headline_is_the_worst_plane() -> None:
    format = VideoFormat(128, 96)
    source, decoded = noisy_pair(format, 3)
    found = scores("xpsnr,xpsnr_y,xpsnr_cb,xpsnr_cr", source, decoded, setting_of(format))
    worst = np.min([found[name].values for name in PLANES], axis=0)
    np.testing.assert_array_equal(found["xpsnr"].values, worst)
    grey = VideoFormat(128, 96, 8, "400")
    source, decoded = noisy_pair(grey, 3)
    found = scores("xpsnr,xpsnr_y,xpsnr_cb", source, decoded, setting_of(grey))
    np.testing.assert_array_equal(found["xpsnr"].values, found["xpsnr_y"].values)
    assert found["xpsnr_cb"].status == "not_applicable"


def test_identical_frames_are_infinite_and_errors_hide_in_busy_places() -> None:
    format = VideoFormat(256, 192)
    frames = list(moving_frames(format, 2))
    assert np.isposinf(scores("xpsnr", frames, frames, setting_of(format))["xpsnr"].values).all()
    rng = np.random.default_rng(3)
    luma = np.full((192, 256), 120, np.uint8)
    luma[:, 128:] += rng.integers(0, 60, (192, 128), np.uint8)
    grey = np.full((96, 128), 128, np.uint8)
    quiet, busy = luma.copy(), luma.copy()
    quiet[48:144, 16:112] += 3
    busy[48:144, 144:240] += 3
    of = {
        name: scores("xpsnr_y,psnr_y", [(luma, grey, grey)], [(test, grey, grey)], setting_of(format))
        for name, test in (("quiet", quiet), ("busy", busy))
    }
    assert of["busy"]["xpsnr_y"].values[0] > of["quiet"]["xpsnr_y"].values[0] + 3
    assert of["busy"]["psnr_y"].values == pytest.approx(of["quiet"]["psnr_y"].values)
