"""What a source is like, whatever codes it: part of the record of a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalsuite.engine.features import FeatureCache
from evalsuite.sources.reader import open_video
from evalsuite.sources.siti import VERSION, si_ti
from evalsuite.types import Sequence


@dataclass(frozen=True, slots=True)
class Content:
    """Spatial and temporal information of a source, in levels of 8 bits; None where there is none."""

    si: float | None
    ti: float | None


def content_of(sequence: Sequence, features: FeatureCache) -> Content:
    """The largest spatial and temporal information of any frame; computed once for each source that `features` keeps.

    Raises:
        MediaError: the source cannot be read.
    """
    full_range = sequence.colour.full_range
    with features.source(content=sequence.sha256, range="full" if full_range else "limited") as kept:
        # One record for the whole source: it is a few bytes a frame.
        arrays = kept.get("siti", VERSION, 0, partial(_compute, sequence))
    si, ti = (float(values.max()) if values.size else None for values in (arrays["si"], arrays["ti"]))
    return Content(si, ti)


def _compute(sequence: Sequence) -> dict[str, NDArray[np.float64]]:
    frames = open_video(sequence.path)
    si, ti = si_ti(frames, sequence.format.bit_depth, full_range=sequence.colour.full_range)
    return {"si": si, "ti": ti}
