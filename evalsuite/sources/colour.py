"""YCbCr to RGB and back: one explicit conversion for every metric that wants RGB, and for every codec that codes it.

Matrix and range come with the sequence, never from a default of a library. Chroma of 4:2:0 and 4:2:2 has MPEG-2 siting
(H.273 chroma location type 0: co-sited horizontally, in 4:2:0 midway vertically), upsampled and downsampled linearly;
4:0:0 is grey. RGB is not rounded, so that 10-bit sources keep their precision. Checked against zimg (FFmpeg's zscale)
within one level.

RGB is R'G'B', code values as the signal has them: no transfer function is undone. So the RGB of PQ and HLG is no SDR
display's, and metrics that take it for a picture say that they do not apply.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import MediaError
from evalsuite.types import Colour, Frame, Plane

LUMA_WEIGHTS = {
    # (Kr, Kb): ITU-R BT.601-7 section 2.5.1, BT.709-6 section 3, BT.2020-2 table 4 (non-constant luminance).
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}

RGB_VERSION = 2
"""Raised whenever `to_rgb` could give another picture: part of the key of every score and feature of RGB."""

_BAND_SAMPLES = 1 << 17
"""Luma samples that are converted at a time, so that what one step writes is still in the cache for the next."""


def _downsample(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma resolution to chroma's, by a triangle over twice the spacing: (height, width) to halves, rounded up."""
    height, width = plane.shape
    # One sample of margin before, and as many after as make the last output's taps; edges are repeated.
    tall = np.pad(plane, ((1, 2 + height % 2), (0, 0)), mode="edge")
    rows = -(-height // 2)
    above, upper, lower, below = (tall[tap : tap + 2 * rows : 2] for tap in range(4))
    half = np.float32(0.375) * (upper + lower) + np.float32(0.125) * (above + below)
    wide = np.pad(half, ((0, 0), (1, 1 + width % 2)), mode="edge")
    columns = -(-width // 2)
    left, centre, right = (wide[:, tap : tap + 2 * columns : 2] for tap in range(3))
    small: NDArray[np.float32] = np.float32(0.5) * centre + np.float32(0.25) * (left + right)
    return small


def _levels(full_range: bool, bit_depth: int) -> tuple[int, int, int]:
    """Code value of black, and of the spans from black to white and of a chroma difference from -1/2 to 1/2."""
    shift, peak = bit_depth - 8, (1 << bit_depth) - 1
    return (0, peak, peak) if full_range else (16 << shift, 219 << shift, 224 << shift)


def is_convertible(colour: Colour) -> bool:
    """Whether there is a conversion to RGB for this matrix."""
    return colour.matrix in LUMA_WEIGHTS


def _luma_weights(colour: Colour) -> tuple[float, float]:
    if not is_convertible(colour):
        raise MediaError(
            "there is no conversion between this matrix and RGB",
            expected=", ".join(LUMA_WEIGHTS),
            got=colour.matrix,
            fix="convert the video first, or state the matrix with --matrix if the file is wrong",
        )
    return LUMA_WEIGHTS[colour.matrix]


def to_rgb(frame: Frame, colour: Colour, bit_depth: int) -> NDArray[np.float32]:
    """RGB in [0, 1], (3, height, width), float32, clipped.

    Args:
        frame: planar 4:0:0, 4:2:0, 4:2:2 or 4:4:4.
        colour: matrix and range of the code values.
        bit_depth: 8 to 16.

    Raises:
        MediaError: the matrix is one that nothing here converts.

    Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 (matrices, quantisation); ITU-T H.273.
    """
    zero, luma_span, chroma_span = _levels(colour.full_range, bit_depth)
    kr, kb = _luma_weights(colour)
    height, width = frame[0].shape
    rgb = np.empty((3, height, width), np.float32)
    chroma = [
        _Upsampled(_scaled(plane, 1 << (bit_depth - 1), 2 * (1 - weight) / chroma_span), (height, width))
        for plane, weight in zip(frame[1:], (kb, kr), strict=False)
    ]
    rows = max(2, _BAND_SAMPLES // width // 2 * 2)
    for top in range(0, height, rows):
        band = rgb[:, top : top + rows]
        if chroma:
            blue_difference, red_difference = chroma
            red, green, blue = band
            red_difference.write(red, top)
            blue_difference.write(blue, top)
            np.multiply(red, np.float32(-kr / (1 - kr - kb)), out=green)
            green -= blue * np.float32(kb / (1 - kr - kb))
        else:
            band.fill(0)
        band += _scaled(frame[0][top : top + rows], zero, 1 / luma_span)
        np.clip(band, 0, 1, out=band)
    return rgb


def _scaled(plane: Plane, zero: int, factor: float) -> NDArray[np.float32]:
    scaled = plane.astype(np.float32)
    # In place: a temporary of a frame costs more than its arithmetic. Exact, as integers of 16 bits are in float32.
    scaled -= np.float32(zero)
    scaled *= np.float32(factor)
    return scaled


class _Upsampled:
    """A plane at chroma resolution that is read at luma resolution, some rows at a time."""

    def __init__(self, plane: NDArray[np.float32], luma_shape: tuple[int, int]) -> None:
        self._tall, self._wide = (full > small for full, small in zip(luma_shape, plane.shape, strict=True))
        # Beyond an edge its samples go on.
        self._plane = np.pad(plane, ((self._tall, self._tall), (0, self._wide)), mode="edge")

    def write(self, target: NDArray[np.float32], top: int) -> None:
        """Fill `target` with the rows from `top`, which is even, on."""
        rows = self._rows(top, len(target))
        if not self._wide:
            target[:] = rows
            return
        even, odd = target[:, 0::2], target[:, 1::2]
        even[:] = rows[:, : even.shape[1]]
        between = rows[:, :-1] + rows[:, 1:]
        between *= np.float32(0.5)
        odd[:] = between[:, : odd.shape[1]]

    def _rows(self, top: int, count: int) -> NDArray[np.float32]:
        if not self._tall:
            return self._plane[top : top + count]
        pairs = (count + 1) // 2
        around = self._plane[top // 2 : top // 2 + pairs + 2]
        near, far = np.float32(0.75) * around[1:-1], np.float32(0.25) * around
        rows = np.empty((2 * pairs, around.shape[1]), np.float32)
        np.add(near, far[:-2], out=rows[0::2])
        np.add(near, far[2:], out=rows[1::2])
        return rows[:count]


def from_rgb(rgb: NDArray[np.float32], colour: Colour, bit_depth: int) -> Frame:
    """Planar 4:2:0 of an RGB frame, rounded to whole code values: the inverse of `to_rgb`.

    Args:
        rgb: (3, height, width), float; values outside [0, 1] are clipped first, and NaN is black.
        colour: matrix and range of the code values.
        bit_depth: 8 to 16.

    Raises:
        MediaError: the matrix is one that nothing here converts.

    Source: as `to_rgb`; chroma is filtered by zimg's bilinear kernel for this siting.
    """
    zero, luma_span, chroma_span = _levels(colour.full_range, bit_depth)
    peak, middle = (1 << bit_depth) - 1, 1 << (bit_depth - 1)
    kr, kb = _luma_weights(colour)
    red, green, blue = np.clip(np.nan_to_num(rgb.astype(np.float32)), 0, 1)
    luma = np.float32(kr) * red + np.float32(1 - kr - kb) * green + np.float32(kb) * blue

    def rounded(plane: NDArray[np.float32], offset: int, span: int) -> Plane:
        codes = np.floor(plane * np.float32(span) + np.float32(offset + 0.5)).clip(0, peak)
        samples: Plane = codes.astype(np.uint8 if bit_depth == 8 else np.uint16)
        return samples

    return (
        rounded(luma, zero, luma_span),
        rounded(_downsample((blue - luma) / np.float32(2 * (1 - kb))), middle, chroma_span),
        rounded(_downsample((red - luma) / np.float32(2 * (1 - kr))), middle, chroma_span),
    )
