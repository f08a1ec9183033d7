"""PSNR in RGB, per frame: what codecs that work in RGB report."""

from __future__ import annotations

import math

import numpy as np

from evalsuite.metrics.base import Family, FrameMeter, View
from evalsuite.types import MetricInfo

_INFO = MetricInfo(
    name="psnr_rgb",
    family="fidelity",
    unit="dB",
    higher_is_better=True,
    version="1",
    definition="10 log10(1 / MSE) over R, G and B together, in [0, 1], both converted from YCbCr without rounding; "
    "per frame",
    source="closed form; conversion by evalsuite/sources/colour.py, checked against zimg",
    range=(0, math.inf),
    needs=("rgb",),
    traps="Papers round RGB to 8 bits, of the source, the decoded frame or both, and differ in matrix and in how "
    "chroma is enlarged: 0.1 to 1 dB. A codec that is fed RGB has the rounding to YCbCr in its score here.",
)


def psnr_rgb(source: View, decoded: View) -> tuple[float]:
    """PSNR in dB of one frame pair; identical frames give inf."""
    difference = (source.rgb() - decoded.rgb()).ravel()
    # In double precision: float32 sums of millions of small squares lose digits.
    error = float(np.einsum("i,i->", difference, difference, dtype=np.float64)) / difference.size
    return (math.inf if error == 0 else -10 * math.log10(error),)


FAMILY = Family(infos=(_INFO,), open=lambda _, names: FrameMeter(names, psnr_rgb), smallest={}, check=str)
