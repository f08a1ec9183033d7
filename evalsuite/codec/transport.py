"""A bitstream on its way through a channel: cut into network packets, some of which are lost or changed.

What a receiver can do without is at risk; what it cannot start without (parameter sets, headers) is sure to arrive, as
what is sent again until it does. A NAL unit is cut into as many packets as it needs and arrives whole or not at all, as
by RFC 6184 and 7798; a temporal unit of AV1 or a frame of VP9 likewise. Of a format of its own, the codec's report says
what its parts are, and its decoder is told which bytes are missing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalsuite.codec.bitstream import Standard, access_units, nal_units
from evalsuite.codec.channel import CHANNEL, Channel
from evalsuite.codec.command import Command
from evalsuite.codec.receiver import DECODERS, FRAME_LISTS, shown_frames
from evalsuite.codec.recipe import Recipe
from evalsuite.errors import MediaError, RequestError
from evalsuite.sources.y4m import header
from evalsuite.types import CodecReport, Part, Sequence, VideoFormat

HEADER = "header"
"""The class of what is sure to arrive."""
KEY, OTHER = "key", "other"
"""Classes of frames: random-access points, and all the rest."""

_PARAMETER_SETS: dict[Standard, frozenset[int]] = {"h264": frozenset({7, 8, 13}), "hevc": frozenset({32, 33, 34})}
_NEVER_CHANGED: frozenset[Standard] = frozenset({"hevc"})
"""Standards whose decoder shows memory that nobody wrote where a slice is damaged: such a slice is thrown away, as a
receiver does that checks what it gets, so that the same loss always gives the same pictures."""

_CHANGED_BYTES = 3
"""Of a packet that arrives damaged."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What arrived of a bitstream."""

    received: Path
    lost: Path
    """What the decoder is told beside it."""
    packets: int
    """Network packets that could be hit."""
    hit: int


@dataclass(frozen=True, slots=True)
class _Unit:
    """What arrives whole or not at all, or piece by piece."""

    data: bytes
    kind: str
    whole: bool


def through(recipe: Recipe, channel: Channel) -> Recipe:
    """The codec with a channel between its encoder and its decoder: another codec, of the same bitstreams.

    Raises:
        RequestError: its recipe does not say how it is sent, or has no packets of the channel's class.
    """
    if recipe.transport is None:
        raise RequestError(
            f"the codec {recipe.name} cannot be sent over a channel that loses packets",
            where=recipe.path,
            expected="a recipe with [transport]",
            fix="leave the codec out, or say in its recipe how it is sent (docs/loss.md)",
        )
    classes = recipe.transport.classes or (KEY, OTHER)
    if channel.only not in ("", *classes):
        raise RequestError(
            f"the codec {recipe.name} has no packets of the class {channel.only!r}",
            expected=" or ".join(classes),
            fix="leave class= out, or give another one",
        )
    return replace(recipe, name=f"{recipe.name}{CHANNEL}{channel.label}", channel=channel)


def receive_command(recipe: Recipe, sent: Sent, format: VideoFormat, frames: int, threads: int) -> Command:
    """The full argument list that decodes what arrived to Y4M on stdout.

    Args:
        recipe: one with a channel.
        sent: what arrived.
        format: of the sequence.
        frames: number of frames of the sequence.
        threads: for the decoder.
    """
    if recipe.transport is None or not recipe.transport.decode:
        # One thread, whatever is asked for: what a damaged stream decodes to must not depend on it.
        # -P: a file of the user's that is named like a module is none.
        return (sys.executable, "-P", "-m", "evalsuite.codec.receiver", str(sent.received), str(sent.lost))
    coded = recipe.coded_format(format)
    return recipe.filled(recipe.transport.decode, sent.received, coded, frames, threads, lost=str(sent.lost))


def send(
    recipe: Recipe, bitstream: Path, sequence: Sequence, folder: Path, sha256: str, ask: Callable[[], CodecReport]
) -> Sent:
    """Send a bitstream through the recipe's channel.

    Args:
        recipe: one with a channel.
        bitstream: the file.
        sequence: what was coded, for what the receiver must give.
        folder: takes what arrived.
        sha256: of the bitstream: the same one always meets the same losses.
        ask: what the codec reports on the bitstream; asked where its format is its own.

    Raises:
        EvalError: the bitstream cannot be taken apart.
        OSError: a file cannot be read or written.
    """
    if recipe.channel is None:
        raise ValueError("there is no channel to send through")
    frames = access_units(bitstream, recipe.container, recipe.standard)
    received, lost = folder / f"received.{recipe.extension}", folder / "lost.txt"
    if frames is None:
        classes = recipe.transport.classes if recipe.transport else ()
        units = list(_parts(bitstream, ask().parts, classes))
        arrived, packets, hit = _through(units, recipe.channel, sha256)
        received.write_bytes(b"".join(data for data, _ in arrived))
        lost.write_text("".join(f"{start} {end}\n" for start, end in _holes(arrived)), encoding="ascii")
        return Sent(received, lost, packets, hit)
    shown = shown_frames(DECODERS[recipe.standard], frames)
    if len(shown) != len(frames):
        raise MediaError(
            "the bitstream does not show one picture for each that is sent",
            where=bitstream,
            expected=f"{len(frames)} pictures",
            got=f"{len(shown)}",
        )
    key = {one.unit for one in shown if one.key}
    units, owners = [], []
    for number, frame in enumerate(frames):
        for unit in _frame(frame, recipe.standard, KEY if number in key else OTHER, bitstream):
            units.append(unit)
            owners.append(number)
    arrived, packets, hit = _through(units, recipe.channel, sha256, recipe.standard)
    display = {one.unit: place for place, one in enumerate(shown)}
    _write_frames(received, lost, recipe, sequence, _per_frame(arrived, owners, len(frames)), display, key)
    return Sent(received, lost, packets, hit)


def _parts(bitstream: Path, parts: tuple[Part, ...], classes: tuple[str, ...]) -> Iterator[_Unit]:
    if not parts:
        raise MediaError(
            "the codec does not tell what its bitstream is made of",
            where=bitstream,
            expected="`parts` in what its `info` command prints",
            fix="let it tell them, or take [transport] out of the recipe",
        )
    data, start = bitstream.read_bytes(), 0
    for part in parts:
        end = start + part.bytes
        yield _Unit(data[start:end], part.kind if part.kind in classes else HEADER, whole=False)
        start = end


def _frame(frame: bytes, standard: Standard, kind: str, where: Path) -> Iterator[_Unit]:
    sets = _PARAMETER_SETS.get(standard)
    if sets is None:
        yield _Unit(frame, kind, whole=True)
        return
    for number, nal in nal_units(frame, standard, where):
        yield _Unit(nal, HEADER if number in sets else kind, whole=True)


def _through(
    units: list[_Unit], channel: Channel, sha256: str, standard: Standard = ""
) -> tuple[list[tuple[bytes, bytes]], int, int]:
    """What arrives of each unit, and a mark for each of its bytes; how many packets could be hit, and how many were.

    A byte's mark is 0 where it is as sent, 1 where it is missing, 2 where its packet was changed.
    """
    chance = channel.chance(sha256)
    size = channel.packet_bytes
    at_risk = [unit.kind != HEADER and channel.only in ("", unit.kind) for unit in units]
    counts = [-(-len(unit.data) // size) if risk else 0 for unit, risk in zip(units, at_risk, strict=True)]
    hits = channel.hits(sum(counts), chance)
    arrived, place = [], 0
    for unit, count in zip(units, counts, strict=True):
        hit = np.flatnonzero(hits[place : place + count])
        place += count
        data, marks = bytearray(unit.data), bytearray(len(unit.data))
        for packet in hit.tolist():
            start, end = packet * size, min((packet + 1) * size, len(data))
            if channel.kind == "damage":
                places = chance.whole(start, end, _CHANGED_BYTES)
                for at, change in zip(places, chance.whole(1, 256, _CHANGED_BYTES), strict=True):
                    data[at] ^= change
                marks[start:end] = b"\2" * (end - start)
            else:
                data[start:end] = bytes(end - start)
                marks[start:end] = b"\1" * (end - start)
        if unit.whole and (1 in marks or (2 in marks and standard in _NEVER_CHANGED)):
            data, marks = bytearray(), bytearray(b"\1")
        arrived.append((bytes(data), bytes(marks)))
    return arrived, len(hits), int(hits.sum())


def _holes(arrived: list[tuple[bytes, bytes]]) -> Iterator[tuple[int, int]]:
    """First byte, and the byte after the last one, of what is missing."""
    missing = np.frombuffer(b"".join(marks for _, marks in arrived), np.uint8) == 1
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _per_frame(arrived: list[tuple[bytes, bytes]], owners: list[int], count: int) -> list[tuple[bytes, bool]]:
    """What arrived of each frame, and whether all of it did as it was sent."""
    data = [bytearray() for _ in range(count)]
    intact = [True] * count
    for (piece, marks), owner in zip(arrived, owners, strict=True):
        data[owner] += piece
        intact[owner] &= not any(marks)
    return list(zip(map(bytes, data), intact, strict=True))


def _write_frames(
    received: Path,
    lost: Path,
    recipe: Recipe,
    sequence: Sequence,
    frames: list[tuple[bytes, bool]],
    display: dict[int, int],
    key: set[int],
) -> None:
    """The file that arrived, and what the receiver is told of it, as `evalsuite.codec.receiver` reads them."""
    lines, start = [], 0
    # What depends on something that is missing is no better than what is missing: until the next key frame. Pictures
    # that are sent behind it and shown before it may depend on what was sent before it.
    sound, before, shown_from = True, True, -1
    for number, (data, intact) in enumerate(frames):
        if number in key:
            before, sound, shown_from = sound, True, display[number]
        sound = sound and intact
        good = sound if display[number] >= shown_from else sound and before
        before = before and intact
        lines.append([start, start + len(data), display[number], int(good)])
        start += len(data)
    head = header(recipe.coded_format(sequence.format), sequence.frame_rate).decode("ascii")
    told = {"format": FRAME_LISTS, "decoder": DECODERS[recipe.standard], "header": head, "frames": lines}
    received.write_bytes(b"".join(data for data, _ in frames))
    lost.write_text(json.dumps(told), encoding="ascii")
