"""XPSNR: PSNR whose errors weigh less where the source is busy in space or time.

Helmrich et al., "XPSNR: A Low-Complexity Extension of the Perceptually Weighted Peak Signal-to-Noise Ratio for
High-Resolution Video Quality Assessment", ICASSP 2020. FFmpeg's filter, by the same authors, is the reference. It is
not run: the weights depend on the source alone, so that here they are computed once for all codecs and rates, and the
filter prints four digits, is wrong by 10 dB at 16 bit, where its samples overflow, and takes blocks of at most 12
columns, at the right edge of pictures above HD, for smooth.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Family, Setting, View
from evalsuite.types import MetricInfo, Plane, Series

_SOURCE = (
    "Helmrich et al., ICASSP 2020, and ITU Journal: ICT Discoveries 3(1), 2020; own arithmetic, checked against "
    "FFmpeg's `xpsnr` filter by the same authors"
)
_TRAPS = (
    "The weights know the frame rate: below 32 frames per second activity in time is the change from the last frame, "
    "from 32 on the change of the change. The first frame has nothing before it but black. FFmpeg's overall figure is "
    "the square-mean-root average, here the statistic `root_mean`; the mean of per-frame decibels is higher. Pictures "
    "below about 45x45 samples have plain PSNR."
)

_GAMMA = 2
"""Weight of activity in time against that in space."""

_LARGE = 2048 * 1152
"""Samples of a picture above which activity is looked for at half the resolution."""

_SMALL = 640 * 480
"""Samples of a picture up to which weights are smoothed over neighbours."""

_FAST = 32
"""Frames per second from which activity in time is a second difference."""

_NEAR = np.array([[-1, -2, -1], [-2, 12, -2], [-1, -2, -1]], np.float32)
"""High-pass of pictures up to HD."""

# The same of 2x2 means, as one filter on the full resolution.
_FAR = np.array(
    [
        [0, -1, -1, -1, -1, 0],
        [-1, -2, -3, -3, -2, -1],
        [-1, -3, 12, 12, -3, -1],
        [-1, -3, 12, 12, -3, -1],
        [-1, -2, -3, -3, -2, -1],
        [0, -1, -1, -1, -1, 0],
    ],
    np.float32,
)


def _info(name: str, definition: str) -> MetricInfo:
    return MetricInfo(
        name=name,
        family="fidelity",
        unit="dB",
        higher_is_better=True,
        version="1",
        definition=definition,
        source=_SOURCE,
        # Weights magnify errors where the source is flat: the largest of them are below 0 dB.
        range=(-math.inf, math.inf),
        needs=("luma",) if name == "xpsnr_y" else ("yuv",),
        traps=_TRAPS,
        statistics=("root_mean",),
    )


_PLANE = (
    "10 log10(peak² samples / sum over blocks of weight x squared error) of {}; weights from the source's luma; "
    "per frame"
)
_INFOS = (
    _info("xpsnr", "the least of xpsnr_y, xpsnr_cb and xpsnr_cr, as its authors suggest; in 4:0:0 xpsnr_y; per frame"),
    _info("xpsnr_y", _PLANE.format("luma")),
    _info("xpsnr_cb", _PLANE.format("Cb")),
    _info("xpsnr_cr", _PLANE.format("Cr")),
)
_PLANES = ("xpsnr_y", "xpsnr_cb", "xpsnr_cr")


def block_side(width: int, height: int) -> int:
    """Samples on the side of a block of luma: 128 at UHD; 0 where the picture is too small for weights."""
    return 4 * int(32 * math.sqrt(width * height / (3840 * 2160)) + 0.5)


def _block_sums(values: NDArray[np.float32], down: int, across: int) -> NDArray[np.float64]:
    """Sums over blocks of `down` rows and `across` columns; those at the right and the bottom may be smaller."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], down), axis=0)
    sums: NDArray[np.float64] = np.add.reduceat(rows, np.arange(0, values.shape[1], across), axis=1, dtype=np.float64)
    return sums


def _high_pass(luma: Plane) -> tuple[NDArray[np.float32], int]:
    """The size of the high-passed luma, and how many samples at the border have none."""
    if luma.size <= _LARGE:
        passed, border = cv2.filter2D(luma, cv2.CV_32F, _NEAR, borderType=cv2.BORDER_REPLICATE), 1
    else:
        far = cv2.filter2D(luma, cv2.CV_32F, _FAR, anchor=(2, 2), borderType=cv2.BORDER_REPLICATE)
        # Of each 2x2 samples the first one has the filter's value; the others are 0 and do not count.
        passed, border = np.zeros_like(far), 2
        passed[::2, ::2] = far[::2, ::2]
    return np.abs(passed), border


def _change(history: list[Plane], fast: bool) -> NDArray[np.float32]:
    """The size of the change in time.

    Args:
        history: luma of the frame, of the one before, and of the one before that; black where there was none.
        fast: whether it is the change of the change.
    """
    now, before, earlier = (plane.astype(np.float32) for plane in history)
    change = now - 2 * before + earlier if fast else now - before
    if change.size > _LARGE:
        # Of each 2x2 samples the first one has their sum.
        rows, columns = change.shape
        padded = np.pad(change, ((0, rows % 2), (0, columns % 2)), mode="edge")
        change = np.zeros_like(change)
        change[::2, ::2] = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    size: NDArray[np.float32] = np.abs(change)
    return size


def block_weights(history: list[Plane], bit_depth: int, *, fast: bool) -> NDArray[np.float64]:
    """The weight of each block: the inverse of its activity.

    Args:
        history: as for `_change`.
        bit_depth: of the samples.
        fast: whether there are 32 frames per second or more.

    Returns:
        (rows, columns) of blocks of `block_side` samples.
    """
    luma = history[0]
    height, width = luma.shape
    side = block_side(width, height)
    passed, border = _high_pass(luma)
    inner = np.zeros((height, width), np.float32)
    inner[border : height - border, border : width - border] = 1
    counted = _block_sums(inner, side, side)
    in_space = _block_sums(np.multiply(passed, inner), side, side) / np.maximum(counted, 1)
    samples = _block_sums(np.ones_like(inner), side, side)
    in_time = _GAMMA * _block_sums(_change(history, fast), side, side) / samples
    activity = np.maximum(in_space + in_time, 1 << (bit_depth - 6))
    # A block that is all border has no activity to speak of.
    weights: NDArray[np.float64] = np.where(counted > 0, 1 / activity, 1.0)
    if luma.size <= _SMALL:
        _smooth(weights)
    return weights


def _smooth(weights: NDArray[np.float64]) -> None:
    """Let no block weigh more than its neighbours to the left, right and top: in place, in the order of the filter."""
    columns = weights.shape[1]
    flat = weights.reshape(-1)
    for index in range(len(flat)):
        column = index % columns
        if column == 0:
            limit = flat[index - 2] if index > 1 else 0.0
        else:
            limit = max(flat[index - 2], flat[index]) if column > 1 else flat[index]
        if index > columns:
            limit = max(limit, flat[index - 1 - columns])
        if index > 0:
            flat[index - 1] = min(flat[index - 1], limit)
    last = len(flat) - 1
    if last > columns:
        flat[last] = min(flat[last], max(flat[last - 1], flat[last - columns]))


def plane_xpsnr(
    source: Plane, decoded: Plane, weights: NDArray[np.float64] | None, luma: tuple[int, int], bit_depth: int
) -> float:
    """XPSNR of one plane in dB; no visible error gives inf.

    Args:
        source: (height, width).
        decoded: likewise.
        weights: of the blocks of luma; None where the picture is too small for them.
        luma: height and width of the luma plane.
        bit_depth: peak is 2**bit_depth - 1.
    """
    height, width = source.shape
    difference = cv2.subtract(source, decoded, dtype=cv2.CV_32F)
    squared: NDArray[np.float32] = cv2.multiply(difference, difference)  # type: ignore[assignment]
    if weights is None:
        weighted = float(squared.sum(dtype=np.float64))
    else:
        side = block_side(luma[1], luma[0])
        sums = _block_sums(squared, side * height // luma[0], side * width // luma[1])
        ratio = luma[0] * luma[1] / (3840 * 2160)
        mean_activity = math.sqrt(16 * 2 ** (2 * bit_depth - 9) / math.sqrt(max(1e-5, ratio)))
        weighted = float((sums * weights).sum()) * mean_activity
    # The reference counts in whole numbers: less than half a squared level in the whole picture is nothing.
    whole = math.floor(weighted + 0.5)
    peak = (1 << bit_depth) - 1
    return 10 * math.log10(height * width * peak * peak / whole) if whole else math.inf


class _XpsnrMeter:
    """Keeps the source's last two luma planes; the weights that come of them serve every decoded sequence."""

    child_cpu_s = 0.0

    def __init__(self, setting: Setting, names: tuple[str, ...]) -> None:
        self._names = names
        self._bit_depth = setting.format.bit_depth
        self._fast = int(setting.frame_rate) >= _FAST
        self._planes = 1 if names == ("xpsnr_y",) else 3
        self._history: list[Plane] = []
        self._scores: list[list[float]] = []

    def push(self, source: View, decoded: View) -> None:
        """Score each plane of the next frame pair."""
        luma = source.frame[0]
        black = np.zeros_like(luma)
        self._history = [luma, *(self._history or [black, black])][:3]
        weights = source.derive("xpsnr weights", self._weights) if block_side(*luma.shape[::-1]) else None
        self._scores.append(
            [
                plane_xpsnr(mine, theirs, weights, luma.shape, self._bit_depth)
                for mine, theirs in zip(source.frame[: self._planes], decoded.frame[: self._planes], strict=True)
            ]
        )

    def _weights(self) -> NDArray[np.float64]:
        return block_weights(self._history, self._bit_depth, fast=self._fast)

    def finish(self) -> list[Series]:
        """One series for each name; without chroma, those of chroma do not apply."""
        scores = np.array(self._scores)
        found = []
        for name in self._names:
            if name == "xpsnr":
                found.append(Series(name, "ok", scores.min(axis=1)))
            elif (plane := _PLANES.index(name)) < scores.shape[1]:
                found.append(Series(name, "ok", scores[:, plane].copy()))
            else:
                found.append(Series(name, "not_applicable", reason="4:0:0 has no chroma"))
        return found

    def close(self) -> None:
        """Nothing is held."""


FAMILY = Family(infos=_INFOS, open=_XpsnrMeter, smallest={}, check=str)
