"""YCbCr to RGB: one explicit conversion for every metric that wants RGB.

Matrix and range come with the sequence, never from a default of a library. Chroma is 4:2:0 with MPEG-2 siting (H.273
chroma location type 0: co-sited horizontally, midway vertically), upsampled linearly. The result is not rounded, so
that 10-bit sources keep their precision. Checked against zimg (FFmpeg's zscale) within one 8-bit level.
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


def to_rgb(frame: Frame, colour: Colour, bit_depth: int) -> NDArray[np.float32]:
    """RGB in [0, 1], (3, height, width), float32, clipped.

    Args:
        frame: planar 4:2:0.
        colour: matrix and range of the code values.
        bit_depth: 8 to 16.

    Source: ITU-R BT.601-7, BT.709-6 (matrices, quantisation); ITU-T H.273.
    """
    shift = bit_depth - 8
    peak = (1 << bit_depth) - 1
    zero, luma_span, chroma_span = (0, peak, peak) if colour.full_range else (16 << shift, 219 << shift, 224 << shift)
    height, width = frame[0].shape
    luma = _scaled(frame[0], zero, luma_span)
    blue = _upsample(_scaled(frame[1], 128 << shift, chroma_span), height, width)
    red = _upsample(_scaled(frame[2], 128 << shift, chroma_span), height, width)
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    kg = 1 - kr - kb
    rgb = np.empty((3, height, width), np.float32)
    rgb[0] = luma + np.float32(2 * (1 - kr)) * red
    rgb[2] = luma + np.float32(2 * (1 - kb)) * blue
    rgb[1] = luma - np.float32(2 * (1 - kb) * kb / kg) * blue - np.float32(2 * (1 - kr) * kr / kg) * red
    return np.clip(rgb, 0, 1, out=rgb)
