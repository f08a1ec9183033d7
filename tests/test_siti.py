"""Spatial and temporal information: closed forms, siti-tools by the authors of the recommendation, and FFmpeg."""

from __future__ import annotations

import importlib
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_ffmpeg
from numpy.typing import NDArray
from sample_carphone import carphone

from evalsuite.sources.siti import si_ti
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, VideoFormat

DTYPES = {8: np.uint8, 10: np.uint16, 12: np.uint16, 16: np.uint16}


def video(luma: NDArray[Any], bit_depth: int) -> list[Frame]:
    """Frames of 4:2:0 with this luma and grey chroma; luma is (frames, height, width)."""
    grey = np.full((luma.shape[1] // 2, luma.shape[2] // 2), 1 << (bit_depth - 1), DTYPES[bit_depth])
    return [(plane.astype(DTYPES[bit_depth]), grey, grey) for plane in luma]


def ends(bit_depth: int, full_range: bool) -> tuple[int, int]:
    """Black and white."""
    return (0, 2**bit_depth - 1) if full_range else (16 << (bit_depth - 8), 235 << (bit_depth - 8))


@pytest.mark.parametrize("bit_depth", [8, 10, 16])
@pytest.mark.parametrize("full_range", [True, False])
def test_an_edge_from_black_to_white_by_hand(bit_depth: int, full_range: bool) -> None:
    black, white = ends(bit_depth, full_range)
    luma = np.full((1, 20, 42), black)
    luma[:, :, 21:] = white
    (si,), ti = si_ti(video(luma, bit_depth), bit_depth, full_range=full_range)
    # Of the 40 columns that have neighbours on both sides, the two at the edge have a gradient of 4 x 255.
    share = 2 / 40
    assert si == pytest.approx(4 * 255 * np.sqrt(share * (1 - share)), rel=1e-6)
    assert len(ti) == 0


@pytest.mark.parametrize(
    ("bit_depth", "full_range", "level"), [(8, True, 1), (10, True, 255 / 1023), (8, False, 255 / 219)]
)
def test_what_changes_between_frames_by_hand(bit_depth: int, full_range: bool, level: float) -> None:
    luma = np.full((3, 8, 8), 100)
    luma[1, :4] += 10  # half of the samples by 10: a deviation of 5
    luma[2] = luma[1] + 7  # all of them alike: none
    si, ti = si_ti(video(luma, bit_depth), bit_depth, full_range=full_range)
    assert ti == pytest.approx([5 * level, 0])
    assert si[0] == 0


def test_what_has_no_gradient_or_no_frame_before_has_no_number() -> None:
    si, ti = si_ti(video(np.zeros((3, 2, 64)), 8), 8, full_range=True)
    assert (len(si), len(ti)) == (0, 2)
    si, ti = si_ti([], 8, full_range=True)
    assert (len(si), len(ti)) == (0, 0)


@pytest.mark.parametrize(("bit_depth", "full_range"), [(8, False), (8, True), (10, False), (12, True)])
def test_siti_tools_agrees(tmp_path: Path, bit_depth: int, full_range: bool) -> None:
    pytest.importorskip("siti_tools", reason="siti-tools (extra dev) is not installed")
    siti = importlib.import_module("siti_tools.siti")
    black, white = ends(bit_depth, full_range)
    rng = np.random.default_rng(5)
    frames = video(rng.integers(black, white, (4, 36, 50), endpoint=True), bit_depth)
    path = tmp_path / "video.y4m"
    write_y4m(path, VideoFormat(50, 36, bit_depth), Fraction(25), frames, Colour("bt709", full_range))
    span = siti.ColorRange.FULL if full_range else siti.ColorRange.LIMITED
    theirs = siti.SiTiCalculator(bit_depth=bit_depth, color_range=span, legacy=True).calculate(str(path))
    ours = si_ti(frames, bit_depth, full_range=full_range)
    for mine, other in zip(ours, theirs, strict=False):
        assert mine == pytest.approx(other, rel=1e-6)


def test_ffmpeg_agrees_on_a_real_sequence(tmp_path: Path) -> None:
    frames = carphone(12)
    path = tmp_path / "video.y4m"
    write_y4m(path, VideoFormat(176, 144), Fraction(30), frames, Colour("bt601"))
    told = run_ffmpeg("-i", path, "-vf", "siti,metadata=mode=print:file=-", "-f", "null", "-").decode()
    spatial, temporal = ([float(one) for one in re.findall(rf"siti\.{name}=(\S+)", told)] for name in ("si", "ti"))
    assert len(spatial) == len(temporal) == 12
    si, ti = si_ti(frames, 8, full_range=False)
    # FFmpeg brings samples to 0..255 in whole levels, and cuts off what is beyond black and white.
    assert si == pytest.approx(spatial, rel=0.01)
    assert ti == pytest.approx(temporal[1:], rel=0.02)
