"""Timing as it is done in a worker process: a warm-up, and a decode whose frames are read and dropped."""

from __future__ import annotations

import time
from collections.abc import Sequence as ListOf
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.run import encode
from evalsuite.engine.store import StoredDecode
from evalsuite.errors import EvalError
from evalsuite.sources.y4m import Y4MReader, write_y4m
from evalsuite.types import Latency, OperatingPoint, Sequence

Loads = tuple[float | None, float | None]
"""Seconds that an encode and a decode spent on loading a model."""

WARM_UP_FRAMES = 8
"""Frames of the warm-up: enough to start every part of a codec."""

FEWEST_INTERVALS = 10
"""With fewer, a 95th percentile is hardly more than the largest."""

LATE = 0.8
"""A first frame that takes more than this share of the whole decode: the others were ready before it came, or starting
takes so long that the frames cannot tell."""


def warm_up(recipe: Recipe, sequence: Sequence, point: OperatingPoint, folder: Path, timeout: float) -> Loads:
    """Encode and decode the first frames of a sequence, so that programs and models are in the cache of files.

    Args:
        recipe: the codec.
        sequence: the source.
        point: the operating point.
        folder: made, and left to whoever owns its parent.
        timeout: seconds for the encode, and for each frame of the decode.

    Returns:
        Seconds that loading took for the encode and for the decode; None where the codec does not tell.

    Raises:
        EvalError: as `encode` and `decode`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = min(sequence.frames, WARM_UP_FRAMES)
    short = replace(sequence, path=folder / "source.y4m", frames=frames)
    first = islice(Y4MReader(sequence.path), frames)
    write_y4m(short.path, sequence.format, sequence.frame_rate, first, sequence.colour)
    encoded = encode(recipe, short, point, folder / f"stream.{recipe.extension}", timeout=timeout)
    with decode(recipe, encoded.path, short, point, timeout=timeout) as decoder:
        for _ in decoder:
            pass
    return encoded.usage.load_s, decoder.usage.load_s if decoder.usage else None


def time_decode(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, bitstream: Path, timeout: float
) -> StoredDecode:
    """Decode a bitstream with nothing else to do: frames are read as fast as they come, and dropped.

    Args:
        recipe: the codec.
        sequence: gives size and number of frames; its file is not read.
        point: gives the number of threads.
        bitstream: the file.
        timeout: seconds each frame may take.

    Raises:
        EvalError: as `decode`.
    """
    started = time.perf_counter()
    with decode(recipe, bitstream, sequence, point, timeout=timeout) as decoder:
        arrivals = [time.perf_counter() - started for _ in decoder]
    if decoder.usage is None:
        raise EvalError("the decoder ended without telling its cost", where=bitstream)
    return StoredDecode(decoder.usage, decoder.command, latency=latency(arrivals, load_s=decoder.usage.load_s or 0.0))


def latency(arrivals: ListOf[float], load_s: float = 0.0) -> Latency | None:
    """How evenly frames came; None for fewer than `FEWEST_INTERVALS` + 1 of them.

    Args:
        arrivals: when each frame was there, in seconds from the start of the decoder, ascending.
        load_s: how much of that was spent on loading a model.
    """
    if len(arrivals) <= FEWEST_INTERVALS:
        return None
    first, last = arrivals[0], arrivals[-1]
    if first - load_s > LATE * (last - load_s):
        return Latency(first, streams=False)
    intervals = np.diff(arrivals)
    p50, p95, p99 = (float(value) for value in np.percentile(intervals, (50, 95, 99)))
    return Latency(first, True, p50, p95, p99, float(intervals.std()))
