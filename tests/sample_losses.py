"""Small real bitstreams behind channels, in this process or in others that may hang or crash."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalsuite.codec.channel import Channel
from evalsuite.codec.receiver import CONCEALED, receive
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.transport import send, through
from evalsuite.sources.y4m import join_planes
from evalsuite.types import CodecReport, Frame, Sequence, Usage

Shown = tuple[list[bytes], list[bool]]
"""Frames, and whether each is marked as concealed."""


def told(*_: object) -> CodecReport:
    """Of formats that the suite takes apart itself, nothing is asked."""
    return CodecReport({}, Usage(0, 0))


def received(recipe: Recipe, bitstream: Path, sequence: Sequence, channel: Channel) -> Shown:
    """What the suite's own receiver shows of a bitstream behind a channel."""
    sha256 = hashlib.sha256(bitstream.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        sent = send(through(recipe, channel), bitstream, sequence, Path(folder), sha256, told)
        stream = io.BytesIO()
        receive(sent.received, json.loads(sent.lost.read_text()), stream)
    return parsed(stream.getvalue(), sequence)


def parsed(y4m: bytes, sequence: Sequence) -> Shown:
    """The frames of a Y4M stream, and their marks."""
    frames, marks, at = [], [], y4m.index(b"\n") + 1
    while at < len(y4m):
        end = y4m.index(b"\n", at)
        marks.append(CONCEALED in y4m[at:end].split())
        at = end + 1 + sequence.format.frame_bytes
        frames.append(y4m[end + 1 : at])
    return frames, marks


def random_channels(count: int, seed: int) -> list[Channel]:
    """Channels of every kind with packets that are small beside the frames of a small clip."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        rate, shape = round(chance.uniform(0.02, 0.5), 3), number % 5
        burst = float(chance.randint(1, 5))
        channel = Channel(rate, packet_bytes=100, seed=number)
        found.append(
            [
                channel,
                Channel(rate, burst, bursty=True, packet_bytes=100, seed=number),
                Channel(rate, packet_bytes=100, seed=number, kind="damage"),
                Channel(rate, packet_bytes=100, seed=number, only="key"),
                Channel(1.0, packet_bytes=100, seed=number, kind="damage", only="key"),
            ][shape]
        )
    return found


@dataclass(slots=True)
class Tried:
    """What came of many streams."""

    streams: int
    wrong: Counter[str]
    """`hang`, `crash`, `error`, `frames` (another number of them) and `unmarked` (a frame that differs)."""


def try_all(
    show: Callable[[Channel], Shown], clean: list[bytes], channels: Iterable[Channel], timeout_s: float = 30
) -> Tried:
    """Show every stream in a forked process; one that hangs or crashes is counted, and the rest goes on in another."""
    left, tried = list(channels), Tried(0, Counter())
    fork = multiprocessing.get_context("fork")
    while left:
        ours, theirs = fork.Pipe(duplex=False)
        process = fork.Process(target=_show_all, args=(show, clean, left, theirs))
        process.start()
        theirs.close()
        while left:
            try:
                if not ours.poll(timeout_s):
                    tried.wrong["hang"] += 1
                    process.kill()
                    break
                tried.wrong.update(ours.recv())
            except EOFError:
                tried.wrong["crash"] += 1
                break
            left.pop(0)
            tried.streams += 1
        else:
            process.join()
            continue
        process.join()
        left.pop(0)
        tried.streams += 1
    return tried


def _show_all(show: Callable[[Channel], Shown], clean: list[bytes], channels: list[Channel], pipe: object) -> None:
    for channel in channels:
        try:
            frames, marks = show(channel)
        except Exception:
            pipe.send(["error"])  # type: ignore[attr-defined]
            continue
        wrong = ["frames"] if len(frames) != len(clean) else []
        if any(one != other and not mark for one, other, mark in zip(frames, clean, marks, strict=False)):
            wrong.append("unmarked")
        pipe.send(wrong)  # type: ignore[attr-defined]


def joined(frames: Iterable[Frame]) -> list[bytes]:
    """The bytes of each frame."""
    return [join_planes(frame) for frame in frames]


def differs(one: bytes, other: bytes) -> float:
    """Mean difference of two 8-bit frames, in levels."""
    pair = (np.frombuffer(data, np.uint8).astype(np.int16) for data in (one, other))
    return float(np.abs(np.subtract(*pair)).mean())
