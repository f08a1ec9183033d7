"""Flicker: change over time that the source does not have, of blocks' brightness and of every sample.

Both are of the error signal e = decoded - source, so that motion of the source costs nothing and a frozen picture does.
"""

from __future__ import annotations

import cv2
import numpy as np

from evalsuite.metrics.base import Family, Setting
from evalsuite.metrics.signals import Signal, error
from evalsuite.metrics.sparse import Pair, Row, SparseMeter, change_meter
from evalsuite.types import MetricInfo

_BLOCK = 16
"""Samples a side: the macroblock that flicker of coded video was first measured on."""

_TRAPS = (
    "Of the error signal: the flicker of decoded frames alone rewards blur and freezing. An error that does not change "
    "has none of it: read it beside a fidelity score."
)

_INFOS = (
    MetricInfo(
        name="flicker",
        family="temporal",
        unit="levels",
        higher_is_better=False,
        version="1",
        definition="mean over blocks of about 16x16 samples of |DC(e_t) - DC(e_{t-1})|, DC the block's mean of "
        "e = decoded - source, luma in levels of 8 bits (code value x 255 / peak code); per frame from the second on",
        source="after Fan et al., Flickering Reduction in All Intra Frame Coding, JVT-E070, 2002: a block's change "
        "over time against the source's; here the change of its mean, and of every block, not of still ones alone",
        range=(0, 510),
        needs=("luma",),
        traps=_TRAPS,
        hdr=True,
    ),
    MetricInfo(
        name="frame_diff_mad",
        family="temporal",
        unit="levels",
        higher_is_better=False,
        version="1",
        definition="mean absolute difference of the frame differences, |(X_t - X_{t-1}) - (R_t - R_{t-1})| of "
        "decoded X and source R, luma in levels of 8 bits (code value x 255 / peak code); per frame from the second on",
        source="closed form; the frame difference of ITU-T P.910's temporal information, against the source's",
        range=(0, 510),
        needs=("luma",),
        traps=_TRAPS
        + " The difference of the two mean frame differences is another figure: blur and noise cancel in it.",
        hdr=True,
    ),
)


def block_means(signal: Signal) -> Signal:
    """Means of a tiling of the frame into equal blocks nearest to 16x16 samples; every sample counts, once."""
    rows, columns = (max(1, round(side / _BLOCK)) for side in signal.shape)
    return np.asarray(cv2.resize(signal, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def flicker(before: Pair, now: Pair) -> float:
    """Mean absolute change of the blocks' mean error, in levels of 8 bits."""
    earlier, later = _blocks(before), _blocks(now)
    return cv2.norm(earlier, later, cv2.NORM_L1) / later.size


def _blocks(pair: Pair) -> Signal:
    return pair.decoded.derive("error_blocks", lambda: block_means(error(*pair)))


def frame_diff_mad(before: Pair, now: Pair) -> float:
    """Mean absolute change of the error, in levels of 8 bits."""
    later = error(*now)
    return cv2.norm(error(*before), later, cv2.NORM_L1) / later.size


_SCORES = {"flicker": flicker, "frame_diff_mad": frame_diff_mad}


def _open(_setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    def score(before: Pair, now: Pair) -> Row:
        return tuple(_SCORES[name](before, now) for name in names)

    return change_meter(names, score)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
