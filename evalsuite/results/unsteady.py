"""Sequences whose frames do not come at the rate that their file says: what a second is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def unsteady(sequences: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A sentence for each sequence that is not of a constant frame rate.

    Args:
        sequences: what each is called here, and its entry among the `sequences` of summary.json.

    >>> unsteady([("a", {"unsteady": "frame 9 at 1.800 s in place of 0.300 s", "frame_rate": "30"})])[0]
    'a is not of a constant frame rate (frame 9 at 1.800 s in place of 0.300 s): taken as 30 frames/s throughout.'
    """
    return [
        f"{label} is not of a constant frame rate ({facts['unsteady']}): taken as {facts['frame_rate']} frames/s "
        "throughout."
        for label, facts in sequences
        if facts.get("unsteady")
    ]
