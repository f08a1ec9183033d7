"""PSNR of the planes as decoded: per frame, and of the mean squared error of the whole sequence as HM has it.

libvmaf has PSNR too, but it caps identical frames at a made-up 60 dB (8 bit) and takes no frame that its other
features refuse; the squared error of integers is exact, so it is computed here and checked against libvmaf.
"""

from __future__ import annotations

import math

import numpy as np

from evalsuite.metrics.base import Family, Setting, View
from evalsuite.types import Chroma, MetricInfo, Plane, Series, VideoFormat

_SOURCE = "ITU-T J.247 Annex; JVET-AJ2010 (common test conditions); integer squared error, checked against libvmaf"
_TRAPS = (
    "The mean over frames of per-frame PSNR (JVET, DCVC) is not the PSNR of the mean squared error. "
    "Peak is 2^bits - 1; HM's 255 << (bits - 8) gives 0.0255 dB less at 10 bit. Identical frames are infinite."
)


def mse(source: Plane, decoded: Plane) -> float:
    """Mean squared error of two planes of the same shape, exact for integers up to 16 bit."""
    difference = source.astype(np.int32) - decoded
    flat = difference.ravel()
    # Squares of 16-bit differences overflow 32 bits: sum in 64.
    return float(np.einsum("i,i->", flat, flat, dtype=np.int64)) / flat.size


def psnr(error: float, bit_depth: int) -> float:
    """PSNR in dB of a mean squared error; no error gives inf."""
    peak = (1 << bit_depth) - 1
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


_WEIGHTS: dict[Chroma, tuple[int, ...]] = {"400": (1,), "420": (4, 1, 1), "422": (2, 1, 1), "444": (1, 1, 1)}
"""Of the planes in HM's YUV-PSNR: their shares of the samples (HM-18.0, TEncAnalyze::calculateCombinedValues)."""


def _info(
    plane: str, definition: str, *, per_frame: bool = True, source: str = _SOURCE, traps: str = _TRAPS
) -> MetricInfo:
    return MetricInfo(
        name=f"psnr_{plane}",
        family="fidelity",
        unit="dB",
        higher_is_better=True,
        version="1",
        definition=definition,
        source=source,
        range=(0, math.inf),
        needs=("luma",) if plane == "y" else ("yuv",),
        traps=traps,
        per_frame=per_frame,
        hdr=True,
    )


_INFOS = (
    _info("y", "10 log10(peak² / MSE) of the luma plane, per frame"),
    _info("cb", "10 log10(peak² / MSE) of the Cb plane, per frame"),
    _info("cr", "10 log10(peak² / MSE) of the Cr plane, per frame"),
    _info("yuv", "(6 psnr_y + psnr_cb + psnr_cr) / 8, per frame"),
    _info(
        "yuv_mse",
        "10 log10(peak² / MSE) with MSE = (4 Y + Cb + Cr) / 6 of the planes' means over all frames; the weights are "
        "the planes' shares of the samples, in 4:2:2 (2 Y + Cb + Cr) / 4, in 4:4:4 (Y + Cb + Cr) / 3, in 4:0:0 Y alone",
        per_frame=False,
        source="HM's YUV-PSNR (TEncAnalyze::calculateCombinedValues), with the peak 2^bits - 1; closed form",
        traps="Not the mean of per-frame PSNR: one bad frame weighs as much as its error, not as its decibels. HM's "
        "own figure has the peak 255 << (bits - 8): 0.0255 dB less at 10 bit. Infinite only where every frame is.",
    ),
)
_LUMA_ONLY = ("psnr_y", "psnr_yuv_mse")
"""What is defined without chroma."""


class _PlaneMeter:
    """Squared errors of each plane of each frame; all figures come from them."""

    child_cpu_s = 0.0

    def __init__(self, format: VideoFormat, names: tuple[str, ...]) -> None:
        self._names = names
        self._bit_depth = format.bit_depth
        self._weights = _WEIGHTS[format.chroma]
        self._planes = 1 if names == ("psnr_y",) else len(self._weights)
        self._errors: list[list[float]] = []

    def push(self, source: View, decoded: View) -> None:
        """Take the errors of the next frame pair."""
        planes = zip(source.frame[: self._planes], decoded.frame[: self._planes], strict=True)
        self._errors.append([mse(mine, theirs) for mine, theirs in planes])

    def finish(self) -> list[Series]:
        """One series for each name; without chroma, those of chroma do not apply."""
        return [self._series(name) for name in self._names]

    def _series(self, name: str) -> Series:
        planes = list(zip(*self._errors, strict=True))
        if len(self._weights) == 1 and name not in _LUMA_ONLY:
            return Series(name, "not_applicable", reason="4:0:0 has no chroma")
        if name == "psnr_yuv_mse":
            error = float(np.average(np.mean(planes, axis=1), weights=self._weights))
            return Series(name, "ok", np.array([psnr(error, self._bit_depth)]))
        scores = [np.array([psnr(error, self._bit_depth) for error in plane]) for plane in planes]
        if name == "psnr_yuv":
            return Series(name, "ok", (6 * scores[0] + scores[1] + scores[2]) / 8)
        return Series(name, "ok", scores[("psnr_y", "psnr_cb", "psnr_cr").index(name)])

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _PlaneMeter:
    return _PlaneMeter(setting.format, names)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
