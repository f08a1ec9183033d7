"""SSIM and MS-SSIM: ours against libvmaf's, sample by sample of the same files."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg

from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.ssim import ms_ssim, ssim
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, VideoFormat


def libvmaf(folder: Path, format: VideoFormat, source: list[Frame], decoded: list[Frame]) -> list[dict[str, float]]:
    """Scores of every frame by the pinned FFmpeg's libvmaf."""
    for name, frames in (("source", source), ("decoded", decoded)):
        write_y4m(folder / f"{name}.y4m", format, Fraction(25), frames)
    log = folder / "log.json"
    features = "name=float_ssim" + ("|name=float_ms_ssim" if min(format.width, format.height) >= 176 else "")
    run_ffmpeg(
        *("-i", folder / "decoded.y4m", "-i", folder / "source.y4m"),
        *("-lavfi", f"libvmaf=log_fmt=json:log_path={log}:feature='{features}'", "-f", "null", "-"),
    )
    return [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]


def distorted(frames: list[Frame], depth: int) -> list[Frame]:
    """Noise, and one corner flat: where nothing varies the formula has its corner cases."""
    rng = np.random.default_rng(7)
    made = []
    for frame in frames:
        luma = frame[0] + rng.normal(0, 6 << (depth - 8), frame[0].shape)
        luma[:40, :60] = 100 << (depth - 8)
        made.append((np.clip(luma, 0, (1 << depth) - 1).astype(frame[0].dtype), *frame[1:]))
    return made


@pytest.mark.parametrize(
    ("width", "height", "depth"),
    [
        (17, 17, 8),
        (192, 176, 8),
        (351, 177, 8),
        (640, 360, 8),
        (640, 360, 10),
        (352, 288, 12),
        (765, 765, 8),  # downsampled by 3, with one sample beyond the edge
        (1001, 999, 10),  # by 4, odd sides
        (1280, 718, 8),
    ],
)
def test_trap15_agrees_with_libvmaf(tmp_path: Path, width: int, height: int, depth: int) -> None:
    format = VideoFormat(width, height, depth)
    setting = Setting(format, Colour("bt709"), Fraction(25))
    source = list(moving_frames(format, 2))
    decoded = distorted(source, depth)
    expected = libvmaf(tmp_path, format, source, decoded)
    for index, (reference, test) in enumerate(zip(source, decoded, strict=True)):
        a, b = View(reference, setting), View(test, setting)
        assert ssim(a, b) == pytest.approx(expected[index]["float_ssim"], abs=1e-5)
        if min(width, height) >= 176:
            assert ms_ssim(a, b) == pytest.approx(expected[index]["float_ms_ssim"], abs=1e-5)


def test_two_constants_have_a_closed_form() -> None:
    setting = Setting(VideoFormat(192, 192), Colour("bt709"), Fraction(25))
    chroma = np.zeros((96, 96), np.uint8)
    a, b = (View((np.full((192, 192), level, np.uint8), chroma, chroma), setting) for level in (60, 180))
    luminance = (2 * 60 * 180 + 6.5025) / (60**2 + 180**2 + 6.5025)
    assert ssim(a, b) == pytest.approx(luminance, abs=1e-4)
    assert ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-4)


def test_a_negative_has_no_similar_structure() -> None:
    format = VideoFormat(192, 192)
    setting = Setting(format, Colour("bt709"), Fraction(25))
    (frame,) = moving_frames(format, 1)
    negative = (255 - frame[0], *frame[1:])
    a, b = View(frame, setting), View(negative, setting)
    assert -1 <= ssim(a, b) < 0.5
    assert 0 <= ms_ssim(a, b) < 0.5
    assert not math.isnan(ms_ssim(a, b))
