"""Scene cuts of a video, as FFmpeg's filter `scdet` finds them.

Of each frame the mean absolute difference of luma from the frame before, as a share of all levels; its score is that
share, or how much it differs from the share of the frame before where that is less: fast motion has large differences
that go on, a cut has one. Fades and dissolves have neither. Of a cut through a blended frame both changes count if they
are large, of a flash of light its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.types import Frame, Plane

VERSION = "1"
"""Changes whenever a score could."""

THRESHOLD = 8.0
"""Score from which a frame begins a scene, in percent.

The least of the values that FFmpeg's documentation calls good, 8 to 14. Of the 23 cuts in the files of the dataset
`registry` it finds all but one, which goes through a blended frame, and nothing else; FFmpeg's default of 10 misses two
more. The adaptive detector of PySceneDetect 0.7.2 finds them all, and three that are none.
"""


def cut_scores(frames: Iterable[Frame], bit_depth: int) -> NDArray[np.float64]:
    """Score of each frame as the first of a scene, in percent; 0 for the first of all.

    Args:
        frames: planar, luma first, (height, width), unsigned integers; all of one size.
        bit_depth: of the samples.

    Returns:
        (frames,), from 0 to 100.

    Source: FFmpeg n9.0.2, libavfilter/vf_scdet.c, but for the second frame, which is compared with the third.
    """
    changes = np.array(list(_changes(frames, bit_depth)))
    earlier = np.roll(changes, 1)
    # FFmpeg takes it that nothing moved before the first frame: motion that goes on would be a cut.
    earlier[1:2] = changes[2] if len(changes) > 2 else 0
    scores: NDArray[np.float64] = np.minimum(changes, np.abs(changes - earlier))
    return scores


def _changes(frames: Iterable[Frame], bit_depth: int) -> Iterator[float]:
    """Mean absolute difference from the frame before, in percent of all levels; 0 for the first."""
    before: Plane | None = None
    for frame in frames:
        luma = frame[0]
        total = 0.0 if before is None else cv2.norm(luma, before, cv2.NORM_L1)
        yield 100 * total / (luma.size * 2**bit_depth)
        before = luma


def cuts(scores: NDArray[np.float64]) -> tuple[int, ...]:
    """Indices of the frames that begin a scene, but for the first of all."""
    return tuple(int(index) for index in np.flatnonzero(scores >= THRESHOLD))
