"""PSNR of the planes as decoded, per frame.

libvmaf has PSNR too, but it caps identical frames at a made-up 60 dB (8 bit) and takes no frame that its other
features refuse; the squared error of integers is exact, so it is computed here and checked against libvmaf.
"""

from __future__ import annotations

import math

import numpy as np

from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.types import MetricInfo, Plane

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


def _info(plane: str, definition: str) -> MetricInfo:
    return MetricInfo(
        name=f"psnr_{plane}",
        family="fidelity",
        unit="dB",
        higher_is_better=True,
        version="1",
        definition=definition,
        source=_SOURCE,
        range=(0, math.inf),
        needs=("yuv",),
        traps=_TRAPS,
        hdr=True,
    )


_INFOS = (
    _info("y", "10 log10(peak² / MSE) of the luma plane, per frame"),
    _info("cb", "10 log10(peak² / MSE) of the Cb plane, per frame"),
    _info("cr", "10 log10(peak² / MSE) of the Cr plane, per frame"),
    _info("yuv", "(6 psnr_y + psnr_cb + psnr_cr) / 8, per frame"),
)


def _open(setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    depth = setting.format.bit_depth

    def score(source: View, decoded: View) -> tuple[float, ...]:
        y, cb, cr = (psnr(mse(s, d), depth) for s, d in zip(source.frame, decoded.frame, strict=True))
        scores = {"psnr_y": y, "psnr_cb": cb, "psnr_cr": cr, "psnr_yuv": (6 * y + cb + cr) / 8}
        return tuple(scores[name] for name in names)

    return FrameMeter(names, score)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
