"""The packets of a bitstream, wherever their sizes can be told: from its format, or from the codec's own report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evalsuite.codec.bitstream import access_unit_bytes
from evalsuite.codec.recipe import Recipe
from evalsuite.errors import MediaError
from evalsuite.types import CodecReport, Packet


def packets(recipe: Recipe, bitstream: Path, report: Callable[[], CodecReport]) -> tuple[Packet, ...]:
    """What is sent, in order; together it is what counts as rate. Empty where nobody can tell.

    Args:
        recipe: the codec that wrote the bitstream.
        bitstream: the file.
        report: asks the codec; only where the format is the codec's own.

    Raises:
        MediaError: the bitstream is damaged where frames begin or end, or the codec tells of other bytes than it has.
        EvalError: the codec's command fails.
    """
    if recipe.rate_source == "estimate":
        return ()
    sizes = access_unit_bytes(bitstream, recipe.container, recipe.standard)
    if sizes is not None:
        return tuple(Packet(size) for size in sizes)
    told = report().packets
    if told and (total := sum(packet.bytes for packet in told)) != (size := bitstream.stat().st_size):
        raise MediaError(
            f"the packets that {recipe.name} tells of are not its bitstream",
            where=bitstream,
            expected=f"{size} bytes, which are its rate",
            got=f"packets of {total} bytes",
            fix="let its `info` count every byte of the file, headers and index too",
        )
    return told
