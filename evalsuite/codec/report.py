"""What a codec itself tells about a bitstream: numbers and packets in the JSON that its `info` command prints."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import TypeGuard

from evalsuite.codec import hosted
from evalsuite.codec.recipe import Recipe
from evalsuite.errors import MediaError
from evalsuite.process import Running
from evalsuite.types import CodecReport, Packet, Part, Usage

LARGEST_BYTES = 16 << 20
"""More than this is no report: hours of video, at about 200 bytes for each packet."""


def report(recipe: Recipe, bitstream: Path, *, timeout: float | None) -> CodecReport:
    """The finite numbers of the one JSON object that the recipe's `info` command prints, by name.

    Members that are no numbers, truth values, infinities and NaN are left out. `packet_bytes` and `packet_frames` are
    lists of whole numbers: of each packet in the order of transmission. `frame_tokens` is one: of the sent tokens that
    fall due at each frame. `parts` are objects of `offset`, `bytes` and `class`, which cover the file in its order. A
    recipe without `info` reports nothing.

    Args:
        recipe: the codec that wrote the bitstream.
        bitstream: the file.
        timeout: seconds until the command's process group is killed; None for no limit.

    Raises:
        ProcessError: the program is missing, fails, or runs too long.
        MediaError: there is no bitstream; what the command prints is not one JSON object, or more than 16 MiB.
    """
    if not recipe.info:
        return CodecReport({}, Usage(0, 0))
    if not bitstream.is_file():
        raise MediaError("there is no bitstream to report on", where=bitstream)
    if recipe.python:
        cost, told = hosted.info(recipe, bitstream, timeout)
        return CodecReport({name: value for name, value in told.items() if math.isfinite(value)}, cost)
    command = recipe.info_command(bitstream)
    with Running(command, timeout=timeout, stdout=subprocess.PIPE) as running:
        printed = running.stdout.read(LARGEST_BYTES + 1)
        if len(printed) > LARGEST_BYTES:
            raise _unreadable(recipe, f"more than {LARGEST_BYTES} bytes")
        usage = running.finish()
    try:
        # Python reads NaN and Infinity, and counts digits before it gives up: both are a number that cannot be used.
        found = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise _unreadable(recipe, f"{printed[:100]!r} ({error})") from error
    if not isinstance(found, dict):
        raise _unreadable(recipe, repr(found)[:100])
    values = {name: value for name, member in found.items() if (value := _finite(member)) is not None}
    parts = _parts(recipe, found, bitstream.stat().st_size)
    return CodecReport(values, usage, _packets(recipe, found), parts, _frame_tokens(recipe, found))


def _frame_tokens(recipe: Recipe, found: dict[str, object]) -> tuple[int, ...]:
    listed = found.get("frame_tokens", [])
    if not _counts(listed, 0):
        raise _unreadable(recipe, "`frame_tokens` that is not a list of whole numbers")
    return tuple(listed)


def _packets(recipe: Recipe, found: dict[str, object]) -> tuple[Packet, ...]:
    sizes, frames = found.get("packet_bytes", []), found.get("packet_frames", [])
    if not (_counts(sizes, 0) and _counts(frames, 1) and len(sizes) == len(frames)):
        raise _unreadable(recipe, "`packet_bytes` and `packet_frames` that are not lists of as many whole numbers")
    return tuple(Packet(size, count) for size, count in zip(sizes, frames, strict=True))


def _parts(recipe: Recipe, found: dict[str, object], size: int) -> tuple[Part, ...]:
    listed = found.get("parts", [])
    parts: list[Part] = []
    end = 0
    for one in listed if isinstance(listed, list) else [None]:
        members = [one.get(name) for name in ("offset", "bytes", "class")] if isinstance(one, dict) else []
        match members:
            case [int(offset), int(count), str(kind)] if offset == end and count > 0:
                parts.append(Part(count, kind))
                end += count
            case _:
                raise _unreadable(recipe, "`parts` that are not offset, bytes and class of piece after piece")
    if parts and end != size:
        raise _unreadable(recipe, f"`parts` of {end} bytes in a file of {size}")
    return tuple(parts)


def _counts(member: object, least: int) -> TypeGuard[list[int]]:
    return isinstance(member, list) and all(type(item) is int and item >= least for item in member)


def _finite(member: object) -> float | None:
    if isinstance(member, bool) or not isinstance(member, int | float):
        return None
    try:
        value = float(member)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _unreadable(recipe: Recipe, got: str) -> MediaError:
    return MediaError(
        f"the report of {recipe.name} on a bitstream cannot be read",
        where=recipe.path,
        expected="one JSON object on stdout",
        got=got,
        fix="correct `info` in the recipe",
    )
