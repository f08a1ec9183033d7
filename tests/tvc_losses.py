"""Streams of tvc of which parts are lost, for its tests."""

from __future__ import annotations

import numpy as np
from tvc_samples import moving

import tvc
from tvc.model import TVC
from tvc.video import Frame

Ranges = list[tuple[int, int]]


def stream(model: TVC, q: int, *, frames: int = 36, period: int = 16, slots: int = 2) -> bytes:
    return tvc.encode(
        moving(48, 32, frames, seed=q), 25, q=q, intra_period=period, packet_slots=slots, scale=1, model=model
    )


def without(data: bytes, lost: Ranges, fill: int = 0) -> bytes:
    """The stream with lost ranges filled with one value."""
    damaged = bytearray(data)
    for start, end in lost:
        damaged[start:end] = bytes([fill]) * (end - start)
    return bytes(damaged)


def delivered(data: bytes, lost: Ranges, model: TVC) -> tuple[list[Frame], list[bool]]:
    frames, marks = zip(*tvc.receive(without(data, lost), lost, model=model), strict=True)
    return list(frames), list(marks)


def equal(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
