"""CIEDE2000 colour difference of whole frames, in decibels.

libvmaf has it too, but its RGB is not that of the video: it takes Cb and Cr for the U and V of analogue television (V
times 1.28033 where BT.709 has Cr times 1.5748), every video for BT.709 in limited range, and misplaces the chroma of
4:2:2. It takes five times as long. Here the colours are those of the sequence; from libvmaf's own colours the same
score follows, which a test shows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Family, FrameMeter, View
from evalsuite.types import MetricInfo

Lab = NDArray[np.float32]
"""CIE L*, a*, b* of pixels, (3, pixels)."""

_INFO = MetricInfo(
    name="ciede2000",
    family="fidelity",
    unit="dB",
    higher_is_better=True,
    version="1",
    definition="45 - 20 log10 of the mean over pixels of the CIEDE2000 colour difference with kL, kC, kH = 0.65, 1, 4; "
    "colours by the sequence's own matrix and range, taken for sRGB, D65; per frame",
    source="CIE 142-2001; Sharma et al., Color Res. Appl. 30(1), 2005; weights of Yang et al., ICIP 2012, and decibels "
    "as libvmaf's `ciede`; own arithmetic, checked against Sharma's pairs and libvmaf",
    range=(0, math.inf),
    needs=("rgb",),
    traps="A mean over pixels: it knows no texture, no masking and no position. libvmaf's `ciede` has "
    "paler colours (it takes Cb and Cr for U and V, all of it for BT.709): its scores differ by some tenths of a dB. "
    "Colours outside sRGB are clipped to it. Identical frames are infinite.",
)

_WEIGHTS = (0.65, 1.0, 4.0)
"""kL, kC, kH for video, by Yang et al., as in libvmaf's ciede.c."""

# Linear sRGB to XYZ over the white point D65 (IEC 61966-2-1; Lindbloom).
_TO_XYZ = np.array(
    [
        [0.4124564390896921 / 0.95047, 0.357576077643909 / 0.95047, 0.18043748326639894 / 0.95047],
        [0.21267285140562248, 0.715152155287818, 0.07217499330655958],
        [0.019333895582329317 / 1.08883, 0.119192025881303 / 1.08883, 0.9503040785363677 / 1.08883],
    ],
    np.float32,
)
_BAND = 1 << 15
"""Pixels at a time: what is computed on the way then stays in the processor's cache."""


def lab(rgb: NDArray[np.float32]) -> Lab:
    """CIE L*a*b* of sRGB pixels, (3, pixels) in [0, 1]."""
    # IEC 61966-2-1: a straight line near black.
    knee = np.float32(0.04045)
    linear = np.where(rgb > knee, ((np.maximum(rgb, knee) + np.float32(0.055)) / np.float32(1.055)) ** 2.4, rgb / 12.92)
    xyz = _TO_XYZ @ linear
    # CIE 15: a straight line near black, of slope 24389/27 below 216/24389.
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 / 116) * xyz + np.float32(16 / 116))
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)))


def difference(first: Lab, second: Lab, weights: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> NDArray[np.float32]:
    """CIEDE2000 of pairs of colours.

    Args:
        first: (3, pixels).
        second: likewise.
        weights: kL, kC, kH.

    Returns:
        (pixels,), at least 0.

    Source: Sharma et al. 2005, equations 2 to 22; names as there.
    """
    (l_1, a_1, b_1), (l_2, a_2, b_2) = first, second
    chroma_mean = (np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2
    seventh = chroma_mean**7
    stretch = 1.5 - 0.5 * np.sqrt(seventh / (seventh + np.float32(25.0**7)))
    a_1, a_2 = stretch * a_1, stretch * a_2
    c_1, c_2 = np.hypot(a_1, b_1), np.hypot(a_2, b_2)
    h_1, h_2 = np.arctan2(b_1, a_1), np.arctan2(b_2, a_2)
    grey = (c_1 * c_2) == 0
    # Hues are angles: of two ways round the shorter one, and between the two.
    turn = h_2 - h_1
    turn -= np.float32(2 * np.pi) * np.rint(turn / np.float32(2 * np.pi))
    turn[grey] = 0
    hue = np.where(grey, h_1 + h_2, h_1 + turn / 2)
    c_mean, l_mean = (c_1 + c_2) / 2, (l_1 + l_2) / 2
    t = (
        1
        - np.float32(0.17) * np.cos(hue - np.float32(np.pi / 6))
        + np.float32(0.24) * np.cos(2 * hue)
        + np.float32(0.32) * np.cos(3 * hue + np.float32(np.pi / 30))
        - np.float32(0.20) * np.cos(4 * hue - np.float32(np.pi * 63 / 180))
    )
    middle = (l_mean - 50) ** 2
    lightness = (l_2 - l_1) / (weights[0] * (1 + np.float32(0.015) * middle / np.sqrt(20 + middle)))
    chroma = (c_2 - c_1) / (weights[1] * (1 + np.float32(0.045) * c_mean))
    tint = 2 * np.sqrt(c_1 * c_2) * np.sin(turn / 2) / (weights[2] * (1 + np.float32(0.015) * c_mean * t))
    seventh = c_mean**7
    degrees = np.degrees(hue) % 360
    bend = np.float32(np.pi / 3) * np.exp(-(((degrees - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(seventh / (seventh + np.float32(25.0**7))) * np.sin(bend)
    squared = lightness**2 + chroma**2 + tint**2 + rotation * chroma * tint
    result: NDArray[np.float32] = np.sqrt(np.maximum(squared, 0))
    return result


def _lab_of(view: View) -> Lab:
    def compute() -> Lab:
        rgb = view.rgb().reshape(3, -1)
        return np.concatenate([lab(rgb[:, start : start + _BAND]) for start in range(0, rgb.shape[1], _BAND)], axis=1)

    return view.derive("ciede2000 lab", compute)


def ciede2000(source: View, decoded: View) -> tuple[float]:
    """The colour difference of one frame pair in dB; identical frames give inf."""
    first, second = _lab_of(source), _lab_of(decoded)
    pixels = first.shape[1]
    total = 0.0
    for start in range(0, pixels, _BAND):
        band = slice(start, start + _BAND)
        total += float(difference(first[:, band], second[:, band], _WEIGHTS).sum(dtype=np.float64))
    return (math.inf if total == 0 else 45 - 20 * math.log10(total / pixels),)


FAMILY = Family(infos=(_INFO,), open=lambda _, names: FrameMeter(names, ciede2000), smallest={}, check=str)
