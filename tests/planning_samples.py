"""Rate points that are known in closed form, for the tests of planning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.planning.points import FRAME_BITS, RatePoint
from evalsuite.results.load import RunResults

DIRECTIONS = {"vmaf": True, "psnr_y": True, "lpips": False}


class _Run(RunResults):
    """A run that has the bits of frames of one point and nothing else."""

    __slots__ = ("_bits",)

    def __init__(self, key: str, bits: Sequence[float]) -> None:
        super().__init__(Path(), pd.DataFrame(), {})
        object.__setattr__(self, "_bits", (key, bits))

    def frames(self, *, metric: str | None = None, cell_key: str | None = None) -> pd.DataFrame:
        key, bits = self._bits  # type: ignore[attr-defined]
        assert metric == FRAME_BITS
        return pd.DataFrame({"cell_key": [key] * len(bits), "frame": np.arange(len(bits)), "score": bits})


def rate_point(
    codec: str = "x265",
    sequence: str = "face",
    *,
    kbps: float = 100.0,
    means: Mapping[str, float] | None = None,
    higher_is_better: Mapping[str, bool] | None = None,
    bits: Sequence[float] = (),
    traits: Iterable[str] = (),
    frame_rate: float = 25.0,
    **changes: Any,
) -> RatePoint:
    """A point; its run holds `bits`, of each frame, where any are given."""
    means = {"vmaf": 90.0} if means is None else means
    known = DIRECTIONS if higher_is_better is None else higher_is_better
    key = f"{codec} {sequence} {kbps}"
    fields: dict[str, Any] = {
        "codec": codec,
        "sequence": sequence,
        "traits": frozenset(traits),
        "q": 30.0,
        "kbps": kbps,
        "bpp": kbps / 1e4,
        "frame_rate": frame_rate,
        "frames": len(bits) or 50,
        "means": means,
        "infinite": frozenset(),
        "worst": frozenset(),
        "higher_is_better": {name: known[name] for name in means if name in known},
        "versions": dict.fromkeys(means, "1"),
        "reasons": {},
        "decode": {},
        "facts": {},
        "cell_key": key,
        "runs": (_Run(key, bits),),
    }
    return RatePoint(**fields | changes)
