"""Sharpness kept: how much of the source's edges and detail is left, at three scales.

Gradient energy (Tenengrad: Krotkov, IJCV 1(3), 1987) against the source's, of luma and of its half and quarter, so that
each band is one octave of detail. Energy alone rewards noise and ringing, so the headline counts only what stands where
the source's edges stand and points their way: the slope of the decoded gradients on the source's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from evalsuite.metrics.base import Family, Setting, View
from evalsuite.metrics.signals import Signal, luma
from evalsuite.metrics.sparse import Pair, Row, SparseMeter
from evalsuite.types import MetricInfo

BANDS = ("fine", "medium", "coarse")
"""Gradients of luma at full size, at half and at a quarter."""

_FLAT = 0.5
"""Root mean square of the source's gradient, in levels of 8 bits a sample, below which a band has no edges to keep."""

_SMALLEST = 16
_SOURCE = "ours; gradient energy after Krotkov, Focusing, IJCV 1(3), 1987 (Tenengrad), by OpenCV's Sobel and pyrDown"
_EMPTY = "the source has no edges: its gradient is below half a level of 8 bits a sample"

_INFOS = (
    MetricInfo(
        name="sharpness",
        family="sharpness",
        unit="",
        higher_is_better=True,
        version="1",
        definition="edge strength kept: the slope k of the decoded gradients on the source's, "
        "sum(g_s . g_d) / sum(g_s . g_s), folded to min(k, 1/k) and no less than 0; mean of three bands; per frame",
        source=_SOURCE,
        range=(0, 1),
        needs=("luma",),
        traps="Noise neither raises nor lowers it, sharpening beyond the source lowers it, and detail that was made up "
        "elsewhere does not count. It falls with blur and compression; it is not a measure of noise.",
        hdr=True,
    ),
    *(
        MetricInfo(
            name=f"sharpness_{band}",
            family="sharpness",
            unit="",
            higher_is_better=None,
            version="1",
            definition=f"gradient energy of decoded luma over the source's, square root, {scale}; per frame",
            source=_SOURCE,
            range=(0, math.inf),
            needs=("luma",),
            traps="1 is as much as the source has. Below it detail is lost; above it there is noise, ringing or "
            "sharpening, so it has no direction.",
            hdr=True,
        )
        for band, scale in zip(BANDS, ("at full size", "at half size", "at quarter size"), strict=True)
    ),
)


@dataclass(frozen=True, slots=True)
class Gradient:
    """Of one band: in levels of 8 bits a sample."""

    across: Signal
    down: Signal
    energy: float
    """Sum of squares of both."""


def gradients(view: View) -> tuple[Gradient, ...]:
    """Of the three bands, finest first."""
    return view.derive("gradients", lambda: tuple(_gradient(plane) for plane in _octaves(luma(view))))


def _octaves(plane: Signal) -> list[Signal]:
    planes = [plane]
    for _ in BANDS[1:]:
        planes.append(np.asarray(cv2.pyrDown(planes[-1]), np.float32))
    return planes


def _gradient(plane: Signal) -> Gradient:
    # Sobel's weights add up to 8: a slope of one level a sample is 1.
    across, down = (
        np.asarray(cv2.Sobel(plane, cv2.CV_32F, *order, scale=1 / 8), np.float32) for order in ((1, 0), (0, 1))
    )
    return Gradient(across, down, cv2.norm(across, cv2.NORM_L2SQR) + cv2.norm(down, cv2.NORM_L2SQR))


def energy_kept(source: Gradient, decoded: Gradient) -> float | None:
    """Root of decoded over source energy; None where the source is flat."""
    return None if _is_flat(source) else math.sqrt(decoded.energy / source.energy)


def slope(source: Gradient, decoded: Gradient) -> float | None:
    """Of the decoded gradients on the source's, by least squares; None where the source is flat."""
    if _is_flat(source):
        return None
    apart = cv2.norm(source.across, decoded.across, cv2.NORM_L2SQR) + cv2.norm(
        source.down, decoded.down, cv2.NORM_L2SQR
    )
    return (source.energy + decoded.energy - apart) / (2 * source.energy)


def _is_flat(gradient: Gradient) -> bool:
    return gradient.energy < _FLAT**2 * gradient.across.size


def _kept(slopes: list[float]) -> float | None:
    folded = [min(k, 1 / k) if k > 0 else 0.0 for k in slopes]
    return sum(folded) / len(folded) if folded else None


def _score(pair: Pair) -> dict[str, float | None]:
    bands = list(zip(gradients(pair.source), gradients(pair.decoded), strict=True))
    scores = {f"sharpness_{band}": energy_kept(*both) for band, both in zip(BANDS, bands, strict=True)}
    slopes = [k for k in (slope(*both) for both in bands) if k is not None]
    return {**scores, "sharpness": _kept(slopes)}


def _open(_setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    def score(pair: Pair) -> Row:
        scores = _score(pair)
        return tuple(scores[name] for name in names)

    return SparseMeter(names, score, _EMPTY)


FAMILY = Family(infos=_INFOS, open=_open, smallest={info.name: _SMALLEST for info in _INFOS}, check=str)
