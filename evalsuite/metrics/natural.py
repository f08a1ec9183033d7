"""Natural scene statistics: how a picture's locally normalised luma is distributed, in the way of BRISQUE and NIQE.

Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP 21(12), 2012;
Lasmar, Stitou, Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", ICIP 2009 (the fits).
Constants as in the authors' MATLAB releases.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

from evalsuite.metrics.base import View

Floats = NDArray[np.float64]

WINDOW = 7

SHIFTS = ((0, 1), (1, 0), (1, 1))
"""Neighbours whose products both metrics look at, by rows and columns, before the second diagonal."""

_ROUNDING = 1e-9

# Taps of MATLAB's bicubic kernel (a = -1/2) stretched by two, as imresize does it when it halves a picture.
_HALF = np.array([-0.01171875, -0.03515625, 0.11328125, 0.43359375, 0.43359375, 0.11328125, -0.03515625, -0.01171875])


def luma8(view: View) -> Floats:
    """Luma as a picture of 8 bits has it: (height, width), whole levels from black at 0 to white at 255."""

    def compute() -> Floats:
        shift = view.setting.format.bit_depth - 8
        if view.setting.colour.full_range:
            black, white = 0, (256 << shift) - 1
        else:
            black, white = 16 << shift, 235 << shift
        levels = (view.frame[0].astype(np.float64) - black) * (255 / (white - black))
        return np.rint(np.clip(levels, 0, 255, out=levels), out=levels)

    return view.derive("luma8 expanded", compute)


def normalised(luma: Floats, border: int) -> Floats:
    """Mean-subtracted, contrast-normalised coefficients, of the shape of `luma`.

    Args:
        luma: (height, width), 0 to 255.
        border: how OpenCV continues the picture: BRISQUE's release takes zeros, NIQE's the nearest sample.
    """
    weights = cv2.getGaussianKernel(WINDOW, 7 / 6, cv2.CV_64F)
    mean = cv2.sepFilter2D(luma, -1, weights, weights, borderType=border)
    square = cv2.sepFilter2D(luma * luma, -1, weights, weights, borderType=border)
    coefficients: Floats = (luma - mean) / (np.sqrt(np.abs(square - mean * mean)) + 1)
    # Flat areas are exactly 0, neither side of it: else the fits would count the signs of rounding errors.
    coefficients[np.abs(coefficients) < _ROUNDING] = 0
    return coefficients


def halved(luma: Floats) -> Floats:
    """The picture at half its size, rounded up, as MATLAB's imresize makes it: bicubic, antialiased, mirrored edges."""
    height, width = luma.shape
    rows, columns = -(-height // 2), -(-width // 2)
    padded = cv2.copyMakeBorder(luma, 3, 4, 3, 4, cv2.BORDER_REFLECT)
    tall = sum(tap * padded[offset : offset + 2 * rows : 2] for offset, tap in enumerate(_HALF))
    small: Floats = sum(tap * tall[:, offset : offset + 2 * columns : 2] for offset, tap in enumerate(_HALF))
    return small


@functools.cache
def _shapes() -> tuple[Floats, Floats]:
    """Shape parameters of a generalised Gaussian, and E|x|^2 / E[x^2] of each; both ascend."""
    alpha = np.arange(0.2, 10.001, 0.001)
    return alpha, gamma(2 / alpha) ** 2 / (gamma(1 / alpha) * gamma(3 / alpha))


def _nearest_shape(ratio: Floats) -> Floats:
    alpha, ratios = _shapes()
    above = np.clip(np.searchsorted(ratios, ratio), 1, len(ratios) - 1)
    closer = above - (ratio - ratios[above - 1] < ratios[above] - ratio)
    return np.where(np.isfinite(ratio), alpha[closer], np.nan)


def symmetric_fit(samples: Floats) -> tuple[Floats, Floats]:
    """Generalised Gaussian by moments: shape and variance, of the last axis; NaN where all samples are 0."""
    variance = np.mean(samples**2, axis=-1)
    with np.errstate(invalid="ignore"):
        return _nearest_shape(np.abs(samples).mean(axis=-1) ** 2 / variance), variance


def skewed_fit(samples: Floats) -> tuple[Floats, Floats, Floats]:
    """Asymmetric generalised Gaussian by moments: shape, left and right standard deviation, of the last axis.

    NaN where no sample is below or none above 0.
    """
    negative, positive = np.minimum(samples, 0), np.maximum(samples, 0)
    below, above = (negative**2).sum(axis=-1), (positive**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(below / np.count_nonzero(negative, axis=-1))
        right = np.sqrt(above / np.count_nonzero(positive, axis=-1))
        size = samples.shape[-1]
        absolute = (positive.sum(axis=-1) - negative.sum(axis=-1)) / size
        skew = left / right
        ratio = absolute**2 / ((below + above) / size) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return _nearest_shape(ratio), left, right


def mean_of(shape: Floats, left: Floats, right: Floats) -> Floats:
    """The mean of an asymmetric generalised Gaussian."""
    return (right - left) * spread_of(shape) * gamma(2 / shape) / gamma(1 / shape)


def spread_of(shape: Floats) -> Floats:
    """A generalised Gaussian's scale for a standard deviation of 1."""
    return np.sqrt(gamma(1 / shape) / gamma(3 / shape))
