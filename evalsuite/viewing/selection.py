"""What pictures of a run are to be made, held to a size; and a digest of all that they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from evalsuite import types
from evalsuite.errors import EvalError
from evalsuite.sources.colour import RGB_VERSION
from evalsuite.viewing.choice import LeftOut, Rate, choose_frames, choose_rates, fit
from evalsuite.viewing.material import Material
from evalsuite.viewing.stills import check_picture, how_converted

STILLS_BYTES = 100e6
"""What all stills of a run may have together, about."""

VERSION = 1
"""Raised whenever the same selection could give other files."""

_BYTES_PER_SAMPLE = 0.9
"""Of lossless stills, about: 0.44 to 1.26 on the demo sequences."""


@dataclass(slots=True)
class Selection:
    """What is to be shown."""

    rates: list[Rate] = field(default_factory=list)
    """Each with its frames; those of a sequence follow each other, the one with clips last."""
    sources: dict[str, types.Sequence] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def digest(self, **more: Any) -> str:
        """Of all that the files depend on, together with `more`."""
        told = {
            "version": [VERSION, RGB_VERSION],
            "rates": [asdict(rate) for rate in self.rates],
            "sources": {name: [one.sha256, how_converted(one)] for name, one in self.sources.items()},
            "left_out": [asdict(one) for one in self.left_out],
            **more,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def select(material: Material, metrics: Sequence[str]) -> Selection:
    """Choose rates and frames of every sequence of a run.

    Args:
        material: gives the run, and its sources as far as they can be had.
        metrics: frames are chosen by the first of these that has scores of frames, else by the first of the run.

    Raises:
        StoreError: the scores of frames cannot be read.
    """
    run, chosen = material.run, Selection()
    for name in dict.fromkeys(run.points["sequence"]):
        found, missed = choose_rates(run, name)
        chosen.left_out += missed
        if not found:
            continue
        try:
            source = material.sequence(name)
            check_picture(source)
        except EvalError as error:
            chosen.left_out.append(LeftOut(name, "", in_a_line(error)))
            continue
        chosen.sources[name] = source
        # One rate tells what is typical: pictures are large.
        chosen.rates += [choose_frames(rate, run, metrics, typical=rate is found[-1]) for rate in found]
    sizes = {name: one.format.width * one.format.height for name, one in chosen.sources.items()}
    costs = {name: _BYTES_PER_SAMPLE * samples for name, samples in sizes.items()}
    chosen.rates, missed = fit(chosen.rates, costs, STILLS_BYTES)
    chosen.left_out += missed
    return chosen


def in_a_line(error: EvalError) -> str:
    """An error as the reason that something is not shown."""
    got = "" if error.got is None else f": {str(error.got).splitlines()[0][:200]}"
    return f"{error.what}{got}"
