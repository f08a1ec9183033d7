"""Luma as the temporal metrics and sharpness take it, computed once a frame for all of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import View

Signal = NDArray[np.float32]
"""(height, width), in levels of 8 bits: code value x 255 / peak."""

OPENCV = cv2.__version__
"""Of what the flow and filters are computed by: a part of the versions of kept features."""


def luma(view: View) -> Signal:
    """Code values of luma in levels of 8 bits, unrounded: 0 to 255 whatever the bit depth; range is not expanded."""
    return view.derive("luma_levels", lambda: _levels(view))


def _levels(view: View) -> Signal:
    depth = view.setting.format.bit_depth
    codes = view.frame[0].astype(np.float32)
    return codes if depth == 8 else np.multiply(codes, np.float32(255 / ((1 << depth) - 1)), out=codes)


def luma8(view: View) -> NDArray[np.uint8]:
    """Luma rounded to 8 bits, for what takes 8-bit pictures only. (height, width)."""
    plane = view.frame[0]
    return view.derive("luma8", lambda: plane if plane.dtype == np.uint8 else np.rint(luma(view)).astype(np.uint8))


def error(source: View, decoded: View) -> Signal:
    """Decoded minus source, in levels of 8 bits."""
    return decoded.derive("luma_error", lambda: luma(decoded) - luma(source))


def mean_square(signal: Signal, other: Signal | None = None) -> float:
    """Mean of signal² or, with another, of (signal - other)²; summed in double precision."""
    total = cv2.norm(signal, cv2.NORM_L2SQR) if other is None else cv2.norm(signal, other, cv2.NORM_L2SQR)
    return total / signal.size
