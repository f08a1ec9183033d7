"""Spatial and temporal information of a video: how much detail it has, and how much of it moves.

ITU-T P.910 in its editions before 07/2022: of each frame's luma the standard deviation of its gradient (Sobel) and of
its difference from the frame before; of a video the largest of each. Later editions put a display model before it and
come to other numbers. These are the ones in the literature, and those of siti-tools with `--legacy`.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.types import Frame

VERSION = "2"
"""Changes whenever a number could."""


def si_ti(
    frames: Iterable[Frame], bit_depth: int, *, full_range: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spatial information of each frame, and temporal information of each but the first, in levels of 8 bits.

    Black is brought to 0 and white to 255, whatever depth and range code them; what lies beyond them is not cut off. PQ
    and HLG are taken as they are coded.

    Args:
        frames: planar, luma first, (height, width), unsigned integers; all of one size.
        bit_depth: of the samples.
        full_range: whether black is 0 and white 2**bit_depth - 1, not 16 and 235 of 8 bits.

    Returns:
        SI, (frames,), and TI, (frames - 1,). SI is empty below 3 samples on a side, where there is no gradient.

    Source: ITU-T P.910 (04/2008); checked against siti-tools 0.6.0 and FFmpeg's filter `siti`.
    """
    white = 2**bit_depth - 1 if full_range else 219 * 2 ** (bit_depth - 8)
    spatial: list[float] = []
    temporal: list[float] = []
    before: NDArray[np.float32] | None = None
    for frame in frames:
        # Whole numbers up to 24 bits are exact: so are gradients and differences of all depths.
        luma = frame[0].astype(np.float32)
        if min(luma.shape) > 2:
            across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
            # The outermost samples have neighbours on one side only.
            # By NumPy, since the last digit of OpenCV's magnitude depends on where in memory the picture lies.
            gradient = np.sqrt(across * across + down * down)[1:-1, 1:-1]
            spatial.append(float(gradient.std(dtype=np.float64)))
        if before is not None:
            temporal.append(float((luma - before).std(dtype=np.float64)))
        before = luma
    return np.array(spatial) * 255 / white, np.array(temporal) * 255 / white
