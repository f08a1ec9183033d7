"""Warping error: what is left of a frame's change once the source's motion is taken out.

Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, with flow from the source by OpenCV's DIS. As
published the figure is of the decoded frames themselves; then blur wins, for what is smooth warps well. So the score is
of the error signal, decoded minus source, and the published figure is given beside the source's own, as a ratio.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from evalsuite.metrics.base import Family, Setting, View
from evalsuite.metrics.flow import SMALLEST, Motion, motion_into
from evalsuite.metrics.signals import Signal, error, luma
from evalsuite.metrics.sparse import ONE_FRAME, Pair, pair_before
from evalsuite.types import MetricInfo, Series

_SOURCE = (
    "Lai et al., ECCV 2018, with its occlusion mask; flow: OpenCV DIS (Kroeger et al., ECCV 2016), preset MEDIUM, "
    "of the source's 8-bit luma, rounded to 1/64 sample"
)
_NO_SCORE = "no frame has a sample that is seen in the frame before"
_STILL = "the source has no warping error of its own to compare with"

# A square of levels of 8 bits, as 1e-4 of the square of the full scale.
_SCALE = 1e4 / 255**2

_INFOS = (
    MetricInfo(
        name="warp_error",
        family="temporal",
        unit="1e-4",
        higher_is_better=False,
        version="1 opencv 5",
        definition="mean over samples that are not occluded of (warp(e_t) - e_{t-1})², e = decoded - source of luma "
        "code values over their peak, warped by the source's flow; per frame from the second on",
        source=_SOURCE,
        range=(0, math.inf),
        needs=("luma",),
        traps="Of the error signal, not of the decoded frames: of those, blur has less than the source itself. "
        "Published values are of RGB and by FlowNet2: compare only what one tool measured. An error that moves with "
        "the picture has none of it: read it beside a fidelity score. A frame that is all occluded has no score.",
        hdr=True,
    ),
    MetricInfo(
        name="warp_error_ratio",
        family="temporal",
        unit="",
        higher_is_better=None,
        version="1 opencv 5",
        definition="warping error of the decoded frames over that of the source's: (warp(I_t) - I_{t-1})² of luma, "
        "averaged over samples that are not occluded, then over frames; of the whole sequence",
        source=_SOURCE,
        range=(0, math.inf),
        needs=("luma",),
        traps="1 is as steady as the source. Blur is below 1, flicker and dropped frames are above it: neither end is "
        "better, so it has no direction.",
        per_frame=False,
        hdr=True,
    ),
)


class _WarpMeter:
    """Both figures from one warp of the error signal: warping is linear, so the source's part is added to it."""

    child_cpu_s = 0.0

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._absent = ONE_FRAME
        self._frames: list[int] = []
        self._errors: list[float] = []
        self._own = 0.0
        self._source = 0.0

    def push(self, source: View, decoded: View) -> None:
        """Score the next frame pair against the one before."""
        now = Pair(source, decoded)
        before = pair_before(now)
        if before is None:
            return
        self._absent = _NO_SCORE
        motion = motion_into(source, before.source)
        seen = int(np.count_nonzero(motion.visible))
        if not seen:
            return
        residual = motion.warp(error(*now))
        residual -= error(*before)
        self._frames.append(source.index)
        self._errors.append(_energy(residual, motion) / seen)
        if "warp_error_ratio" in self._names:
            own = source.derive("warp_residual", lambda: motion.warp(luma(source)) - luma(before.source))
            self._source += source.derive("warp_energy", lambda: _energy(own, motion)) / seen
            residual += own
            self._own += _energy(residual, motion) / seen

    def finish(self) -> list[Series]:
        """The series of the names asked for."""
        return [self._error(name) if name == "warp_error" else self._ratio(name) for name in self._names]

    def close(self) -> None:
        """Nothing is held."""

    def _error(self, name: str) -> Series:
        if not self._errors:
            return Series(name, "not_applicable", reason=self._absent)
        return Series(name, "ok", np.array(self._errors) * _SCALE, frames=np.array(self._frames, np.int64))

    def _ratio(self, name: str) -> Series:
        if not self._source:
            return Series(name, "not_applicable", reason=_STILL if self._errors else self._absent)
        return Series(name, "ok", np.array([self._own / self._source]))


def _energy(residual: Signal, motion: Motion) -> float:
    """Sum of squares over visible samples, in double precision."""
    return cv2.norm(residual, cv2.NORM_L2SQR, motion.visible)


def _open(_setting: Setting, names: tuple[str, ...]) -> _WarpMeter:
    return _WarpMeter(names)


FAMILY = Family(
    infos=_INFOS, open=_open, smallest=dict.fromkeys(("warp_error", "warp_error_ratio"), SMALLEST), check=str
)
