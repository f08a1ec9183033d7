"""How noisy a picture is: the standard deviation of its noise, told from its finest diagonal details.

Noise is in all wavelet coefficients alike, edges are in few of them: so the median of the finest diagonal ones is the
noise's, and over 0.6745 its standard deviation, if it is Gaussian. Fine texture that covers half of the picture counts
as noise; what an encoder smoothed away before is not seen.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.types import Plane

VERSION = "1"
"""Changes whenever a number could."""

SMALLEST = 5
"""Samples on the shorter side of a picture that has such a coefficient."""

_ROOT_3 = 3**0.5
_HIGH_PASS = np.array([1 - _ROOT_3, _ROOT_3 - 3, 3 + _ROOT_3, -1 - _ROOT_3]) / (4 * 2**0.5)
"""Wavelet with two vanishing moments (Daubechies, 1988): blind to what is constant or rises evenly."""

_MEDIAN_OF_NORMAL = 0.6744897501960817
"""Half of the values of a standard normal distribution are nearer to zero: its quantile at 3/4."""


def noise_sigma(luma: Plane, bit_depth: int, *, full_range: bool) -> float | None:
    """Standard deviation of the noise of luma, in levels of 8 bits with black at 0 and white at 255.

    Args:
        luma: (height, width), unsigned integers.
        bit_depth: of the samples.
        full_range: whether black is 0 and white 2**bit_depth - 1, not 16 and 235 of 8 bits.

    Returns:
        None below 5 samples on a side.

    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994, section 4.
    """
    if min(luma.shape) < SMALLEST:
        return None
    filtered = cv2.sepFilter2D(luma.astype(np.float32), cv2.CV_32F, _HIGH_PASS, _HIGH_PASS)
    # Every other one, as the transform has them; those that reach beyond an edge are left out.
    details: NDArray[np.float32] = np.abs(np.asarray(filtered, np.float32)[2:-1:2, 2:-1:2])
    white: int = 2**bit_depth - 1 if full_range else 219 * 2 ** (bit_depth - 8)
    return float(np.median(details)) / _MEDIAN_OF_NORMAL * 255 / white
