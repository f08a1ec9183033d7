"""How much of a source moves at each frame: what bits and tokens over time are to be held against.

Temporal information of ITU-T P.910 before 07/2022, frame by frame: see `evalsuite.sources.siti`. The figure of a
whole sequence is the largest of these.
"""

from __future__ import annotations

import numpy as np

from evalsuite.metrics.base import Family, Setting
from evalsuite.metrics.describing import describing
from evalsuite.metrics.sparse import ONE_FRAME, Pair, SparseMeter

_INFO = describing(
    "source_ti",
    "levels",
    "standard deviation of the change of the source's luma from the frame before, black at 0 and white at 255",
    family="content",
    source="ITU-T P.910 (04/2008), before the maximum over frames; checked against siti-tools 0.6.0",
    needs="range",
    traps="Of the source alone: the same for every codec and rate. A cut is a change as large as any motion.",
    per_frame=True,
)


def _open(setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    depth = setting.format.bit_depth
    white = 2**depth - 1 if setting.colour.full_range else 219 * 2 ** (depth - 8)

    def change(pair: Pair) -> tuple[float | None]:
        before = pair.source.previous
        if before is None:
            return (None,)
        difference = pair.source.frame[0].astype(np.float32) - before.frame[0].astype(np.float32)
        return (float(difference.std(dtype=np.float64)) * 255 / white,)

    return SparseMeter(names, change, ONE_FRAME)


FAMILY = Family(infos=(_INFO,), open=_open, smallest={}, check=str)
