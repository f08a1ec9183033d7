"""The packets of a bitstream, wherever their sizes can be told: from its format, or from the codec's own report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evalsuite.codec.bitstream import access_unit_bytes
from evalsuite.codec.recipe import Recipe
from evalsuite.types import CodecReport, Packet


def packets(recipe: Recipe, bitstream: Path, report: Callable[[], CodecReport]) -> tuple[Packet, ...]:
    """What is sent, in order; together it is what counts as rate. Empty where nobody can tell.

    Args:
        recipe: the codec that wrote the bitstream.
        bitstream: the file.
        report: asks the codec; only where the format is the codec's own.

    Raises:
        MediaError: the bitstream is damaged where frames begin or end.
        EvalError: the codec's command fails.
    """
    if recipe.rate_source == "estimate":
        return ()
    sizes = access_unit_bytes(bitstream, recipe.container, recipe.standard)
    return report().packets if sizes is None else tuple(Packet(size) for size in sizes)
