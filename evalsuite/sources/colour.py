"""YCbCr to RGB and back: one explicit conversion for every metric that wants RGB, and for every codec that codes it.

Matrix and range come with the sequence, never from a default of a library. Chroma is 4:2:0 with MPEG-2 siting (H.273
chroma location type 0: co-sited horizontally, midway vertically), upsampled and downsampled linearly. RGB is not
rounded, so that 10-bit sources keep their precision. Checked against zimg (FFmpeg's zscale) within one level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalsuite.types import Colour, Frame, Plane

LUMA_WEIGHTS = {
    # (Kr, Kb): ITU-R BT.601-7 section 2.5.1 and ITU-R BT.709-6 section 3.
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
}


def _upsample(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Chroma at luma resolution: (ceil(h/2), ceil(w/2)) to (height, width)."""
    above = np.concatenate((plane[:1], plane[:-1]))
    below = np.concatenate((plane[1:], plane[-1:]))
    tall = np.empty((2 * plane.shape[0], plane.shape[1]), np.float32)
    tall[0::2] = 0.75 * plane + 0.25 * above
    tall[1::2] = 0.75 * plane + 0.25 * below
    right = np.concatenate((tall[:, 1:], tall[:, -1:]), axis=1)
    wide = np.empty((tall.shape[0], 2 * tall.shape[1]), np.float32)
    wide[:, 0::2] = tall
    wide[:, 1::2] = 0.5 * (tall + right)
    return wide[:height, :width]


def _scaled(plane: Plane, zero: int, span: int) -> NDArray[np.float32]:
    return (plane.astype(np.float32) - np.float32(zero)) * np.float32(1 / span)


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


def to_rgb(frame: Frame, colour: Colour, bit_depth: int) -> NDArray[np.float32]:
    """RGB in [0, 1], (3, height, width), float32, clipped.

    Args:
        frame: planar 4:2:0.
        colour: matrix and range of the code values.
        bit_depth: 8 to 16.

    Source: ITU-R BT.601-7, BT.709-6 (matrices, quantisation); ITU-T H.273.
    """
    zero, luma_span, chroma_span = _levels(colour.full_range, bit_depth)
    middle = 1 << (bit_depth - 1)
    height, width = frame[0].shape
    luma = _scaled(frame[0], zero, luma_span)
    blue = _upsample(_scaled(frame[1], middle, chroma_span), height, width)
    red = _upsample(_scaled(frame[2], middle, chroma_span), height, width)
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    kg = 1 - kr - kb
    rgb = np.empty((3, height, width), np.float32)
    rgb[0] = luma + np.float32(2 * (1 - kr)) * red
    rgb[2] = luma + np.float32(2 * (1 - kb)) * blue
    rgb[1] = luma - np.float32(2 * (1 - kb) * kb / kg) * blue - np.float32(2 * (1 - kr) * kr / kg) * red
    return np.clip(rgb, 0, 1, out=rgb)


def from_rgb(rgb: NDArray[np.float32], colour: Colour, bit_depth: int) -> Frame:
    """Planar 4:2:0 of an RGB frame, rounded to whole code values: the inverse of `to_rgb`.

    Args:
        rgb: (3, height, width), float; values outside [0, 1] are clipped first, and NaN is black.
        colour: matrix and range of the code values.
        bit_depth: 8 to 16.

    Source: as `to_rgb`; chroma is filtered by zimg's bilinear kernel for this siting.
    """
    zero, luma_span, chroma_span = _levels(colour.full_range, bit_depth)
    peak, middle = (1 << bit_depth) - 1, 1 << (bit_depth - 1)
    kr, kb = LUMA_WEIGHTS[colour.matrix]
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
