"""tOF: whether the decoded frames move as the source does, by the difference of their optical flows.

Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation" (TecoGAN), ACM TOG 39(4),
2020, as the authors' code computes it: Farneback's flow of 8-bit grey, cropped, and the mean length of the difference.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Family, Setting, View
from evalsuite.metrics.farneback import Planes, expand, flow
from evalsuite.metrics.signals import OPENCV
from evalsuite.metrics.sparse import Pair, Row, SparseMeter, change_meter
from evalsuite.types import MetricInfo

# Kept flow is rounded to this part of a sample, which moves the score by less than 1e-4 samples.
_STEPS = 256

_VERSION = f"1 farneback {_STEPS} opencv {OPENCV}"

_SMALLEST = 48

_INFO = MetricInfo(
    name="tof",
    family="temporal",
    unit="px",
    higher_is_better=False,
    version="1 opencv 5",
    definition="mean length of the difference between the optical flows of decoded and source, from the frame before, "
    "without the published margin of 8 to 23 samples a side; Farneback's flow of 8-bit grey; per frame from the second "
    "on",
    source="Chu et al. (TecoGAN), ACM TOG 39(4), 2020; flow as OpenCV's "
    "calcOpticalFlowFarneback(0.5, 3, 15, 3, 5, 1.2, 0)",
    range=(0, math.inf),
    needs=("rgb",),
    traps="Blind to flicker of brightness, which moves nothing. The paper names a 1-norm, its code takes the Euclidean "
    "length, as this does. The code leaves out two frames at either end of a sequence; here all are scored.",
)


def _flow(view: View, before: View) -> NDArray[np.int16]:
    """Flow from the frame before, cropped, in parts of a sample: (2, height, width)."""

    def compute() -> dict[str, NDArray[np.int16]]:
        planes = np.stack(flow(_expansion(before), _expansion(view)))
        before.forget("expansion")
        kept = planes[:, margins(planes.shape[1]), margins(planes.shape[2])] * np.float32(_STEPS)
        limit = np.iinfo(np.int16)
        return {"flow": np.rint(kept).clip(limit.min, limit.max).astype(np.int16)}

    return view.recall("farneback", _VERSION, compute)["flow"]


def _expansion(view: View) -> list[Planes]:
    def compute() -> list[Planes]:
        return expand(np.asarray(cv2.cvtColor(view.rgb8(), cv2.COLOR_RGB2GRAY), np.uint8))

    return view.derive("expansion", compute)


def margins(side: int) -> slice:
    """What the published crop keeps of a side: the largest multiple of 32 that leaves 8 samples at either end."""
    kept = (side - 16) // 32 * 32
    start = (side - kept) // 2
    return slice(start, start + kept)


def tof(before: Pair, now: Pair) -> float:
    """Mean length in samples of the difference between the flows of source and decoded."""
    source = _flow(now.source, before.source)
    across, down = np.subtract(_flow(now.decoded, before.decoded), source, dtype=np.float32)
    return cv2.mean(cv2.magnitude(across, down))[0] / _STEPS


def _open(_setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    def score(before: Pair, now: Pair) -> Row:
        return (tof(before, now),)

    return change_meter(names, score)


FAMILY = Family(infos=(_INFO,), open=_open, smallest={"tof": _SMALLEST}, check=str)
