"""Motion of the source between neighbouring frames, by OpenCV's DIS flow, and what it hides.

The preset is MEDIUM: on carphone its flow leaves a warping error of 2.3e-4 where FAST and ULTRAFAST leave 3.0e-4 and
more, and it is computed once per source. DIS gives the same flow whatever the number of threads.
Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Arrays, View
from evalsuite.metrics.signals import OPENCV, Signal, luma8

Flow = NDArray[np.float32]
"""(height, width, 2): x and y in samples."""

STEPS = 64
"""Flow is rounded to this part of a sample, so that what is kept on disk is what was computed, in half the bytes."""

SMALLEST = 32
"""Samples on the shorter side that DIS needs for a pyramid of patches."""

_VERSION = f"1 dis medium {STEPS} opencv {OPENCV}"


@dataclass(frozen=True, slots=True)
class Motion:
    """From a frame to the next one, on the grid of the first."""

    columns: Signal
    """x in the second frame of each sample of the first: its own place plus the flow."""
    rows: Signal
    """y, likewise."""
    visible: NDArray[np.uint8]
    """(height, width): 1 where the sample is seen in both frames, 0 where it is occluded or the motion breaks."""

    def warp(self, signal: Signal) -> Signal:
        """A signal of the second frame, brought onto the grid of the first. Bilinear; edges are repeated."""
        return _sample(signal, self.columns, self.rows)


def motion_into(view: View, before: View) -> Motion:
    """The motion of the source from the frame before into this one; kept with the source."""
    return view.derive("motion", lambda: _restore(view.recall("motion", _VERSION, lambda: _estimate(before, view))))


def _estimate(before: View, now: View) -> Arrays:
    first, second = luma8(before), luma8(now)
    # Its stub wants a flow to start from, which would change the result.
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward, backward = search.calc(first, second, None), search.calc(second, first, None)
    limit = np.iinfo(np.int16)
    rounded = np.rint(forward * np.float32(STEPS)).clip(limit.min, limit.max).astype(np.int16)
    return {"flow": rounded, "hidden": np.packbits(occluded(forward, backward), axis=1)}


def _restore(kept: Arrays) -> Motion:
    flow, hidden = kept["flow"], kept["hidden"]
    columns, rows = _targets(flow * np.float32(1 / STEPS))
    return Motion(columns, rows, 1 - np.unpackbits(hidden, axis=1, count=flow.shape[1]))


def _targets(flow: Flow) -> tuple[Signal, Signal]:
    """Where the flow leads each sample: x and y, each (height, width)."""
    height, width = flow.shape[:2]
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return flow[..., 0] + columns, flow[..., 1] + rows[:, None]


def _sample(values: Signal | Flow, columns: Signal, rows: Signal) -> NDArray[np.float32]:
    """Values at the given places, bilinear; edges are repeated."""
    sampled = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def occluded(forward: Flow, backward: Flow) -> NDArray[np.bool_]:
    """Where the first of two frames shows what the second hides, or where the motion breaks. (height, width).

    Args:
        forward: flow from the first frame to the second, w_f.
        backward: flow from the second frame to the first; at the target of w_f it is w_b.

    Source: Lai et al., ECCV 2018, after Ruder et al., GCPR 2016: |w_f + w_b|² > 0.01 (|w_f|² + |w_b|²) + 0.5, or
    |grad w_f|² > 0.01 |w_f|² + 0.002, with differences to the next sample as in the authors' code.
    """
    back = _sample(backward, *_targets(forward))
    length = _squared(forward)
    inconsistent = _squared(forward + back) > 0.01 * (length + _squared(back)) + 0.5
    gradient = np.zeros_like(length)
    gradient[:, :-1] += _squared(forward[:, 1:] - forward[:, :-1])
    gradient[:-1] += _squared(forward[1:] - forward[:-1])
    broken: NDArray[np.bool_] = inconsistent | (gradient > 0.01 * length + 0.002)
    return broken


def _squared(flow: Flow) -> NDArray[np.float32]:
    length: NDArray[np.float32] = np.einsum("hwc,hwc->hw", flow, flow)
    return length
