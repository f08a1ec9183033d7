"""SSIM and MS-SSIM of luma, as libvmaf defines them: its windows, borders, downsampling and constants.

libvmaf's own `float_ssim` and `float_ms_ssim` cost six times what its VMAF does: every window is a loop over samples,
and what depends on the source alone is computed again for each decoded sequence. Here OpenCV filters, the two metrics
share their finest scale, and the source's statistics serve every decoded sequence. The scores are libvmaf's to 1e-5:
tests hold them to it for all depths, sizes and scales.
Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13(4), 2004;
Wang, Simoncelli and Bovik, "Multi-scale Structural Similarity for Image Quality Assessment", Asilomar 2003.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.types import MetricInfo

Picture = NDArray[np.float32]
"""(height, width), in levels of 8 bits, whatever the depth."""

# 11 samples of a Gaussian of deviation 1.5, in the six digits that libvmaf has them.
_WINDOW = np.array([0.001028, 0.007599, 0.036001, 0.109361, 0.213006, 0.266012], np.float32)
_WINDOW = np.concatenate((_WINDOW, _WINDOW[-2::-1]))
_MARGIN = len(_WINDOW) // 2

# Low-pass of the 9/7 biorthogonal wavelet, likewise.
_WAVELET = np.array([0.026727, -0.016828, -0.078201, 0.266846, 0.602914], np.float32)
_WAVELET = np.concatenate((_WAVELET, _WAVELET[-2::-1]))

# (K1 L)² and (K2 L)² with K1 = 0.01, K2 = 0.03, L = 255.
_C1, _C2 = np.float32(6.5025), np.float32(58.5225)

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of contrast and structure at each scale of MS-SSIM; luminance counts at the last scale alone."""

_BY = "agrees with libvmaf's {} to 1e-5"

_INFOS = (
    MetricInfo(
        name="ssim",
        family="fidelity",
        unit="",
        higher_is_better=True,
        version="float_ssim 2",
        definition="structural similarity of luma, 11x11 Gaussian window, after downsampling by round(min side / 256)",
        source=f"Wang et al., IEEE TIP 13(4), 2004; {_BY.format('float_ssim')}",
        range=(-1, 1),
        needs=("luma",),
        log_domain_ceiling=1,
        traps="Implementations differ in downsampling and window: 0.9464 without, 0.9920 with, on one 720p pair.",
    ),
    MetricInfo(
        name="ms_ssim",
        family="fidelity",
        unit="",
        higher_is_better=True,
        version="float_ms_ssim 2",
        definition="multi-scale structural similarity of luma, five scales",
        source=f"Wang et al., Asilomar 2003; {_BY.format('float_ms_ssim')}",
        range=(0, 1),
        needs=("luma",),
        log_domain_ceiling=1,
        traps="Five scales of an 11-sample window need 176 samples on the shorter side.",
    ),
)


@dataclass(frozen=True, slots=True)
class _Local:
    """A picture and its weighted mean and variance in each window that fits into it."""

    picture: Picture
    mean: Picture
    variance: Picture


def _blur(picture: Picture) -> Picture:
    """Weighted mean over the windows that fit: 10 samples fewer on each axis."""
    blurred = cv2.sepFilter2D(picture, cv2.CV_32F, _WINDOW, _WINDOW)
    return blurred[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]  # type: ignore[return-value]


def _local(picture: Picture) -> _Local:
    mean = _blur(picture)
    variance = _blur(cv2.multiply(picture, picture)) - mean * mean  # type: ignore[arg-type]
    return _Local(picture, mean, np.maximum(variance, 0, out=variance))


def _luma(view: View) -> Picture:
    shift = view.setting.format.bit_depth - 8
    return view.frame[0].astype(np.float32) * np.float32(1 / (1 << shift))


def _decimate(picture: Picture, factor: int) -> Picture:
    """Box-filtered and subsampled as libvmaf does before SSIM, edges mirrored."""
    # An odd side gets one sample more, even where that lies beyond the edge.
    height, width = (side // factor + side % 2 for side in picture.shape)
    wide = cv2.copyMakeBorder(picture, 0, factor, 0, factor, cv2.BORDER_REFLECT)
    anchor = (factor // 2, factor // 2)
    boxed = cv2.blur(wide, (factor, factor), anchor=anchor, borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(boxed[::factor, ::factor][:height, :width], np.float32)


def _halve(picture: Picture) -> Picture:
    """The next coarser scale of MS-SSIM."""
    low = cv2.sepFilter2D(picture, cv2.CV_32F, _WAVELET, _WAVELET, borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(low[::2, ::2], np.float32)


def _at_scale(view: View, scale: int) -> _Local:
    """Statistics of the luma halved `scale` times."""

    def compute() -> _Local:
        return _local(_luma(view) if scale == 0 else _halve(_at_scale(view, scale - 1).picture))

    return view.derive(("ssim", scale), compute)


def _downsampled(view: View) -> _Local:
    """Statistics of what SSIM looks at."""
    factor = max(1, int(min(view.frame[0].shape) / 256 + 0.5))
    if factor == 1:
        return _at_scale(view, 0)
    return view.derive("ssim downsampled", lambda: _local(_decimate(_luma(view), factor)))


def _luminance(a: _Local, b: _Local) -> Picture:
    ratio = (2 * a.mean * b.mean + _C1) / (a.mean * a.mean + b.mean * b.mean + _C1)
    return ratio.astype(np.float32, copy=False)


def _covariance(a: _Local, b: _Local) -> Picture:
    covariance: Picture = _blur(cv2.multiply(a.picture, b.picture)) - a.mean * b.mean  # type: ignore[arg-type]
    # The window's digits sum to a little more than 1, so that where a picture is flat the covariance comes out below 0
    # and the variance as 0: libvmaf takes both for 0.
    flat = (a.variance * b.variance <= 0) & (covariance < 0)
    covariance[flat] = 0
    return covariance


def ssim(source: View, decoded: View) -> float:
    """SSIM of the luma of one frame pair; 1 for identical frames.

    Args:
        source: a frame of at least 11 samples a side.
        decoded: likewise.

    Source: Wang et al. 2004, equation 13; libvmaf `float_ssim`.
    """
    a, b = _downsampled(source), _downsampled(decoded)
    # Contrast times structure, with the deviations cancelled.
    similar = (2 * _covariance(a, b) + _C2) / (a.variance + b.variance + _C2)
    return float(np.mean(similar * _luminance(a, b), dtype=np.float64))


def ms_ssim(source: View, decoded: View) -> float:
    """MS-SSIM of the luma of one frame pair; 1 for identical frames.

    Args:
        source: a frame of at least 176 samples a side.
        decoded: likewise.

    Source: Wang et al. 2003, equation 7; libvmaf `float_ms_ssim`.
    """
    score = 1.0
    for scale, exponent in enumerate(_EXPONENTS):
        a, b = _at_scale(source, scale), _at_scale(decoded, scale)
        deviations = np.sqrt(a.variance * b.variance)
        contrast = (2 * deviations + _C2) / (a.variance + b.variance + _C2)
        structure = (_covariance(a, b) + _C2 / 2) / (deviations + _C2 / 2)
        means = (np.mean(part, dtype=np.float64) for part in (contrast, structure))
        # The mean structure of pictures that are each other's negative is below 0, which has no such power.
        score *= math.prod(max(float(mean), 0.0) ** exponent for mean in means)
    luminance = float(np.mean(_luminance(a, b), dtype=np.float64))
    return score * math.pow(luminance, _EXPONENTS[-1])


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    functions = {"ssim": ssim, "ms_ssim": ms_ssim}
    return FrameMeter(names, lambda source, decoded: tuple(functions[name](source, decoded) for name in names))


FAMILY = Family(infos=_INFOS, open=_open, smallest={"ssim": 17, "ms_ssim": 176}, check=str)
