"""Farneback's optical flow as OpenCV computes it, twice as fast: on whole planes, and each frame expanded once.

Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003. Every neighbourhood is taken as a
quadratic polynomial; the flow is what best takes one frame's polynomials to the next one's, over a window, refined from
coarse to fine. The result is that of `cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)` but
for rounding. OpenCV's own goes sample by sample through five coefficients, which vector units cannot use.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Planes = list[Plane]

_HALVINGS = 3
_WINDOW = 15
_ITERATIONS = 3
_RADIUS = 5
_SIGMA = 1.2

_SMALLEST_LEVEL = 32
"""Samples a side that a level of the pyramid has at least."""

_TRUST = np.array([0.14, 0.14, 0.4472, 0.4472, 0.4472], np.float32)
"""Of the samples next to the frame's edge, whose neighbourhood is made up."""

_REGULAR = np.float32(1e-3)
"""Added to determinants, so that flat neighbourhoods have no flow."""


_EDGES = (np.s_[:5], np.s_[-5:], np.s_[5:-5, :5], np.s_[5:-5, -5:])
"""Where the samples next to the frame's edge are."""

_STRIP = 48_000
"""Samples that are worked on at a time: the dozen planes of them stay in a cache, and memory is not asked for anew."""


def _kernels() -> list[tuple[Plane, Plane]]:
    """Rows and columns of the separable filters that give the coefficients of y, x, y², x² and xy."""
    x = np.arange(-_RADIUS, _RADIUS + 1)
    weight = np.exp(-x * x / (2 * _SIGMA**2))
    weight /= weight.sum()
    basis = np.stack([np.ones_like(weight), x, x * x])
    # Moments of the weight in one dimension: of x² and x⁴; in two dimensions they multiply.
    second, fourth = (weight * x**2).sum(), (weight * x**4).sum()
    gram = np.array([[1, second, second], [second, fourth, second**2], [second, second**2, fourth]])
    inverse = np.linalg.inv(gram)
    flat, slope, curve = basis * weight
    # The coefficient of a square takes from the mean and from its own moment; the other square's share is nil.
    square = inverse[0, 1] * flat + inverse[1, 1] * curve
    pairs = ((flat, slope / second), (slope / second, flat), (flat, square), (square, flat), (slope, slope / second**2))
    return [(row.astype(np.float32), column.astype(np.float32)) for row, column in pairs]


_KERNELS = _kernels()


def expand(grey: NDArray[np.uint8]) -> list[Planes]:
    """The polynomial of every neighbourhood at every level, finest first: coefficients of y, x, y², x², xy.

    Args:
        grey: (height, width), 8 bits.
    """
    height, width = grey.shape
    picture = grey.astype(np.float32)
    levels = []
    for halvings in range(_HALVINGS + 1):
        scale = 0.5**halvings
        if halvings and min(height, width) * scale < _SMALLEST_LEVEL:
            break
        sigma = (1 / scale - 1) / 2
        taps = max(round(sigma * 5) | 1, 3)
        level = cv2.GaussianBlur(picture, (taps, taps), sigma)
        level = cv2.resize(level, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        levels.append(
            [
                np.asarray(cv2.sepFilter2D(level, cv2.CV_32F, row, column, borderType=cv2.BORDER_REPLICATE), np.float32)
                for row, column in _KERNELS
            ]
        )
    return levels


def flow(first: list[Planes], second: list[Planes]) -> tuple[Plane, Plane]:
    """Flow from the first frame to the second in samples, x and y, each (height, width).

    Args:
        first: the first frame, as `expand` gives it.
        second: the second frame, likewise.
    """
    across, down = np.zeros_like(first[-1][0]), np.zeros_like(first[-1][0])
    for here, there in zip(reversed(first), reversed(second), strict=True):
        height, width = here[0].shape
        if across.shape != (height, width):
            across, down = (2 * np.asarray(cv2.resize(part, (width, height)), np.float32) for part in (across, down))
        # Four channels are sampled in the time of one.
        packed = np.asarray(cv2.merge(there[:4]), np.float32)
        # Fresh memory costs more than the arithmetic done in it: these serve every iteration.
        equations = [np.empty_like(across) for _ in range(5)]
        means = [np.empty_like(across) for _ in range(5)]
        for _ in range(_ITERATIONS):
            _set_up(equations, here, packed, there[4], across, down)
            for plane, mean in zip(equations, means, strict=True):
                cv2.boxFilter(plane, -1, (_WINDOW, _WINDOW), mean, borderType=cv2.BORDER_REPLICATE)
            _solve(means, across, down)
    return across, down


def _set_up(equations: Planes, here: Planes, packed: Plane, mixed: Plane, across: Plane, down: Plane) -> None:
    """Write the normal equations of each sample's displacement: G11, G12, G22, h1, h2.

    Args:
        equations: five planes to write to.
        here: coefficients of the first frame.
        packed: the first four of the second frame, (height, width, 4).
        mixed: the fifth.
        across: flow so far.
        down: likewise.
    """
    height, width = across.shape
    x_of, y_of = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    for strip in _strips(height, width):
        flow_x, flow_y, own = across[strip], down[strip], [plane[strip] for plane in here]
        places = flow_x + x_of, flow_y + y_of[strip]
        outside = _outside(*places, height, width)
        there = [*cv2.split(_sample(packed, *places)), _sample(mixed, *places)]
        y, x, yy, xx, xy = (np.asarray(plane, np.float32) for plane in there)
        # Where the flow leaves the frame there is nothing to compare with: its own shape, and no slope.
        for slope in (y, x):
            np.put(slope, outside, 0)
        for shape, same in zip((yy, xx, xy), own[2:], strict=True):
            np.put(shape, outside, same.take(outside))
        # In place from here on: most of the time goes into memory, not arithmetic.
        for shape, same, factor in zip((yy, xx, xy), own[2:], (0.5, 0.5, 0.25), strict=True):
            shape += same
            shape *= np.float32(factor)
        for slope, same in ((y, own[0]), (x, own[1])):
            np.subtract(same, slope, out=slope)
            slope *= np.float32(0.5)
        y += yy * flow_y
        y += xy * flow_x
        x += xy * flow_y
        x += xx * flow_x
        g11, g12, g22, h1, h2 = (plane[strip] for plane in equations)
        np.add(yy, xx, out=g12)
        g12 *= xy
        for shape, slope, other, right in ((yy, y, x, h1), (xx, x, y, h2)):
            np.multiply(shape, slope, out=right)
            right += xy * other
        xy *= xy
        for shape, left in ((yy, g11), (xx, g22)):
            np.multiply(shape, shape, out=left)
            left += xy
    trust = _edge_trust(height, width)
    for plane in equations:
        for edge in _EDGES:
            plane[edge] *= trust[edge]


def _solve(means: Planes, across: Plane, down: Plane) -> None:
    """Write the displacement that satisfies the equations best over the window."""
    for strip in _strips(*across.shape):
        g11, g12, g22, h1, h2 = (plane[strip] for plane in means)
        determinant = g11 * g22
        determinant -= g12 * g12
        determinant += _REGULAR
        for own, right, other, out in ((g11, h2, h1, across[strip]), (g22, h1, h2, down[strip])):
            np.multiply(own, right, out=out)
            out -= g12 * other
            out /= determinant


def _strips(height: int, width: int) -> list[slice]:
    """Rows that are worked on at a time: few enough to stay in the processor's cache."""
    rows = max(_STRIP // width, 8)
    return [slice(start, start + rows) for start in range(0, height, rows)]


def _sample(plane: Plane, columns: Plane, rows: Plane) -> Plane:
    return np.asarray(cv2.remap(plane, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _outside(columns: Plane, rows: Plane, height: int, width: int) -> NDArray[np.intp]:
    """Flat indices of the places that are not between four samples of the frame."""
    inside = (columns >= 0) & (columns < width - 1) & (rows >= 0) & (rows < height - 1)
    return np.flatnonzero(~inside)


@functools.lru_cache(maxsize=8)
def _edge_trust(height: int, width: int) -> Plane:
    """What the equations are weighted by: the square of the polynomials' weight."""

    def along(side: int) -> Plane:
        weights = np.ones(side, np.float32)
        weights[: len(_TRUST)] *= _TRUST
        weights[-len(_TRUST) :] *= _TRUST[::-1]
        return weights

    return np.square(np.outer(along(height), along(width)))
