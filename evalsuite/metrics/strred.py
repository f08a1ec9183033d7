"""ST-RRED: how far the information in decoded frames and in their changes is from the source's.

Soundararajan and Bovik, "Video Quality Assessment by Reduced Reference Spatio-Temporal Entropic Differencing", IEEE
TCSVT 23(4), 2013. Frames are taken in pairs. One oriented band of a steerable pyramid, of the first frame and of the
difference of the two, is modelled as a Gaussian scale mixture on 3x3 blocks; what is compared is the blocks' entropies,
weighted by their local variance. Checked against scikit-video 1.1.11.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Arrays, Family, Setting, View
from evalsuite.metrics.signals import OPENCV, Signal, luma
from evalsuite.types import MetricInfo, Series

_SOURCE = "Soundararajan and Bovik, IEEE TCSVT 23(4), 2013; checked against scikit-video 1.1.11"
_TRAPS = (
    "On luma expanded to 0..255: on code values of limited range it is lower. Frames are taken two by two: an odd last "
    "frame is not looked at. "
)
_PRODUCT = (
    "The product of two means over the sequence, not the mean of products: 0 as soon as either part is, so that "
    "repeating the first frame of each pair, or flicker of brightness alone, scores like the source. Read it beside "
    "trred and flicker."
)


def _info(name: str, definition: str, traps: str = "", *, per_frame: bool = True) -> MetricInfo:
    return MetricInfo(
        name=name,
        family="temporal",
        unit="",
        higher_is_better=False,
        version="2 opencv 5",
        definition=definition,
        source=_SOURCE,
        range=(0, math.inf),
        needs=("luma", "range"),
        traps=_TRAPS + traps,
        per_frame=per_frame,
    )


_INFOS = (
    _info(
        "strred",
        "ST-RRED: mean over frame pairs of srred times mean of trred; of the whole sequence",
        _PRODUCT,
        per_frame=False,
    ),
    _info(
        "strred_ssn",
        "ST-RRED's single-number variant: of entropies averaged over a frame before they are compared, for which the "
        "source need send two numbers a pair; of the whole sequence",
        _PRODUCT,
        per_frame=False,
    ),
    _info(
        "srred",
        "spatial part of ST-RRED: mean over blocks of the absolute difference of weighted entropies of the first frame "
        "of a pair; one score a pair, at its second frame",
    ),
    _info(
        "trred",
        "temporal part of ST-RRED: mean over blocks of the absolute difference of weighted entropies of the difference "
        "between the two frames of a pair; one score a pair, at its second frame",
    ),
)

_SMALLEST = 96
_BLOCK = 3
_NOISE = 0.1
"""Variance of the neural noise, in squared levels of 8 bits."""
_NOTHING = 1e-6
"""Variance, in the same, of what float32 makes of a flat frame, and more."""
_CONSTANT = math.log(2 * math.pi * math.e)
"""Of the entropy of a Gaussian: a natural logarithm beside binary ones, as in the authors' code."""
_VERSION = f"2 opencv {OPENCV}"


def _unfold(quadrant: list[list[float]]) -> NDArray[np.float32]:
    """A filter that is its own mirror image, from its upper left quarter."""
    half = np.array(quadrant, np.float32)
    return np.pad(half, ((0, len(half) - 1), (0, len(half) - 1)), mode="reflect")


# sp5Filters of Simoncelli's matlabPyrTools: the first low-pass, the one before each halving, the first of six bands.
_FIRST = _unfold(
    [
        [0.00341614, -0.01551246, -0.03848215],
        [-0.01551246, 0.05586982, 0.15925570],
        [-0.03848215, 0.15925570, 0.40304148],
    ]
)
_LOW = 2 * _unfold(
    [
        [0.00085404, -0.00244917, -0.00387812, -0.00944432, -0.00962054],
        [-0.00244917, -0.00523281, -0.00661117, 0.00410600, 0.01002988],
        [-0.00387812, -0.00661117, 0.01396746, 0.03277038, 0.03981393],
        [-0.00944432, 0.00410600, 0.03277038, 0.06426333, 0.08169618],
        [-0.00962054, 0.01002988, 0.03981393, 0.08169618, 0.10096540],
    ]
)
_UPPER = np.array(
    [
        [-0.00277643, -0.00496194, -0.01026699, -0.01455399, -0.01026699, -0.00496194, -0.00277643],
        [0.00986904, 0.00893064, -0.01189859, -0.02755155, -0.01189859, 0.00893064, 0.00986904],
        [0.01021852, 0.03075356, 0.08226445, 0.11732297, 0.08226445, 0.03075356, 0.01021852],
    ],
    np.float32,
)
_BAND = np.vstack((_UPPER, np.zeros((1, 7), np.float32), -_UPPER[::-1]))


def expanded_luma(view: View) -> Signal:
    """Luma from black 0 to white 255, unrounded and unclipped."""
    levels, full = luma(view), view.setting.colour.full_range
    if full:
        return levels
    depth = view.setting.format.bit_depth
    # Above 8 bits a level of 8 bits is not 2^(depth - 8) codes: the peak is 2^depth - 1.
    unit = np.float32(255 * (1 << (depth - 8)) / ((1 << depth) - 1))
    return (levels - 16 * unit) * (255 / (219 * unit))


def oriented_band(picture: Signal) -> Signal:
    """The first band at the fourth level of a steerable pyramid: (height / 8, width / 8)."""

    def filtered(plane: Signal, taps: NDArray[np.float32]) -> Signal:
        return np.asarray(cv2.filter2D(plane, cv2.CV_32F, taps, borderType=cv2.BORDER_REFLECT_101), np.float32)

    low = filtered(picture, _FIRST)
    for _ in range(3):
        low = np.ascontiguousarray(filtered(low, _LOW)[::2, ::2])
    return filtered(low, _BAND)


def entropies(band: Signal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance and entropy of the band's blocks of 3x3, as a Gaussian scale mixture. Each (blocks,)."""
    rows, columns = (side // _BLOCK * _BLOCK for side in band.shape)
    band = band[:rows, :columns].astype(np.float64)
    # The mixture's covariance is of every 3x3 window; its multipliers are of the blocks that tile the band.
    windows = np.lib.stride_tricks.sliding_window_view(band, (_BLOCK, _BLOCK))
    spectrum, axes = np.linalg.eigh(np.cov(windows.reshape(-1, _BLOCK**2), rowvar=False, bias=True))
    tiles = windows[::_BLOCK, ::_BLOCK].reshape(-1, _BLOCK**2)
    # A direction without variance has no information, and cannot be divided by.
    kept = spectrum > max(spectrum[-1] * 1e-12, _NOTHING)
    spectrum, axes = spectrum[kept], axes[:, kept]
    variance = np.square(tiles @ axes) @ (1 / spectrum) / _BLOCK**2
    return variance, np.log2(np.outer(variance, spectrum) + _NOISE).sum(axis=1) + _CONSTANT * len(spectrum)


def information(before: View, view: View) -> Arrays:
    """What the pair of frames tells: `spatial` of the first, `temporal` of their difference. Each (blocks,)."""
    first, second = (oriented_band(expanded_luma(frame)) for frame in (before, view))
    variance, entropy = entropies(first)
    changes, change_entropy = entropies(first - second)
    spatial = entropy * np.log2(1 + variance)
    temporal = change_entropy * np.log2(1 + variance) * np.log2(1 + changes)
    return {"spatial": spatial.astype(np.float32), "temporal": temporal.astype(np.float32)}


class _StrredMeter:
    """Four figures a pair: of either difference, with blocks' signs dropped or averaged first."""

    child_cpu_s = 0.0

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._frames: list[int] = []
        self._rows: list[tuple[float, float, float, float]] = []

    def push(self, source: View, decoded: View) -> None:
        """Score every second frame, with the one before."""
        if source.index % 2 == 0 or source.previous is None or decoded.previous is None:
            return
        reference = recalled(source.previous, source)
        told = recalled(decoded.previous, decoded)
        spatial, temporal = (
            np.subtract(reference[part], told[part], dtype=np.float64) for part in ("spatial", "temporal")
        )
        self._frames.append(source.index)
        self._rows.append((_mean(np.abs(spatial)), _mean(np.abs(temporal)), abs(_mean(spatial)), abs(_mean(temporal))))

    def finish(self) -> list[Series]:
        """One series for each name."""
        if not self._rows:
            reason = "takes frames two by two: there is one"
            return [Series(name, "not_applicable", reason=reason) for name in self._names]
        spatial, temporal, *averaged = np.array(self._rows).T
        frames = np.array(self._frames, np.int64)
        series = {
            "srred": Series("srred", "ok", spatial, frames=frames),
            "trred": Series("trred", "ok", temporal, frames=frames),
            "strred": Series("strred", "ok", np.array([spatial.mean() * temporal.mean()])),
            "strred_ssn": Series("strred_ssn", "ok", np.array([averaged[0].mean() * averaged[1].mean()])),
        }
        return [series[name] for name in self._names]

    def close(self) -> None:
        """Nothing is held."""


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def recalled(before: View, view: View) -> Arrays:
    """The information of the pair; kept with the source."""
    return view.recall("strred", _VERSION, lambda: information(before, view))


def _open(_setting: Setting, names: tuple[str, ...]) -> _StrredMeter:
    return _StrredMeter(names)


FAMILY = Family(infos=_INFOS, open=_open, smallest={info.name: _SMALLEST for info in _INFOS}, check=str)
