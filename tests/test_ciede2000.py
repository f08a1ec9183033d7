"""CIEDE2000 against the pairs that Sharma et al. published, and against libvmaf."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames
from metric_samples import by_ffmpeg, noisy_pair, scores, setting_of

from evalsuite.metrics.ciede2000 import difference, lab
from evalsuite.types import Chroma, Colour, VideoFormat

SHARMA = [
    # Sharma, Wu, Dalal, Color Research and Application 30(1), 2005, table 1.
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, -1.1848, -84.8006), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0011, -2.4900), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_published_pairs(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    one, other = (np.array(colour, np.float32)[:, None] for colour in (first, second))
    assert difference(one, other)[0] == pytest.approx(expected, abs=1e-4)
    assert difference(other, one)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        # sRGB's corners under D65, as published by Lindbloom's calculator.
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.2408, 80.0925, 67.2032)),
        ((0.0, 1.0, 0.0), (87.7347, -86.1827, 83.1793)),
        ((0.0, 0.0, 1.0), (32.2970, 79.1875, -107.8602)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_lab_of_corners(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    found = lab(np.array(rgb, np.float32)[:, None])[:, 0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_arithmetic_is_libvmafs_once_its_colours_are_taken(tmp_path: Path) -> None:
    """libvmaf takes Cb and Cr for U and V, and does not clip: from RGB made so, its score follows to its last digit."""
    format = VideoFormat(320, 180, 8, "444")
    source, decoded = noisy_pair(format, 2)
    log = json.loads(
        by_ffmpeg(
            "[0:v][1:v]libvmaf=log_fmt=json:log_path=/dev/stdout:feature=name=ciede",
            *(format, decoded, source, tmp_path),
        )
    )
    for frame, pair in zip(log["frames"], zip(source, decoded, strict=True), strict=True):
        colours = []
        for planes in pair:
            y, u, v = (plane.ravel().astype(np.float64) for plane in planes)
            y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
            rgb = np.stack((y + 1.28033 * v, y - 0.21482 * u - 0.38059 * v, y + 2.12798 * u))
            colours.append(lab(rgb.astype(np.float32)))
        mean = difference(colours[0], colours[1], (0.65, 1.0, 4.0)).astype(np.float64).mean()
        assert 45 - 20 * math.log10(mean) == pytest.approx(frame["metrics"]["ciede2000"], abs=1e-4)


def test_one_step_of_grey_by_hand() -> None:
    # Y of 126 and 128 in limited range, no colour: only lightness differs, by kL SL.
    format = VideoFormat(32, 32)
    grey = np.full((16, 16), 128, np.uint8)
    pair = [(np.full((32, 32), value, np.uint8), grey, grey) for value in (126, 128)]
    lightness = []
    for value in (126, 128):
        linear = (((value - 16) / 219 + 0.055) / 1.055) ** 2.4
        lightness.append(116 * linear ** (1 / 3) - 16)
    mean = sum(lightness) / 2
    step = (lightness[1] - lightness[0]) / (0.65 * (1 + 0.015 * (mean - 50) ** 2 / math.sqrt(20 + (mean - 50) ** 2)))
    found = scores("ciede2000", pair[:1], pair[1:], setting_of(format))["ciede2000"].values
    assert found == pytest.approx([45 - 20 * math.log10(step)], abs=1e-3)


@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
def test_every_format_has_a_score_and_identity_is_infinite(chroma: Chroma) -> None:
    format = VideoFormat(50, 34, 10, chroma)
    source, decoded = noisy_pair(format, 2)
    assert np.isfinite(scores("ciede2000", source, decoded, setting_of(format))["ciede2000"].values).all()
    assert np.isposinf(scores("ciede2000", source, source, setting_of(format))["ciede2000"].values).all()


def test_trap6_the_matrix_of_the_sequence_is_used() -> None:
    format = VideoFormat(64, 48)
    source, decoded = list(moving_frames(format, 1)), list(moving_frames(format, 1, seed=5))
    found = [
        scores("ciede2000", source, decoded, setting_of(format, colour=colour))["ciede2000"].values[0]
        for colour in (Colour("bt709"), Colour("bt601"), Colour("bt709", full_range=True))
    ]
    assert len({round(value, 3) for value in found}) == 3
