"""What coding costs: speed, CPU time, delay and memory.

It is no property of frames: a run takes it from its records of the encode and the decode of each rate point, after the
last of them was timed. How it is measured, and when it can be compared, is told in `docs/timing.md`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from evalsuite.metrics.base import Family, Meter, NotMeasured, Setting
from evalsuite.metrics.describing import describing
from evalsuite.provenance import timed_here
from evalsuite.types import Latency, Series, Timing, Usage

COSTS = "costs"
"""What a metric `needs` that is made of the records of a run."""

_RECORDS = "the records of the encode and the decode of a rate point: wait4, the process tree, arrival of frames"
_TIME = (
    "Of this machine, with the threads that the run gives. CPU seconds of a program hold its start and the loading of "
    "its model. Wall time says something only where nothing else ran: elsewhere it is not applicable."
)


_info = functools.partial(describing, family="complexity", source=_RECORDS, needs=COSTS, traps=_TIME)

_INFOS = (
    _info("encode_fps", "fps", "frames over the wall seconds of the encode, less what loading a model took"),
    _info("decode_fps", "fps", "frames over the wall seconds of the decode, less what loading a model took"),
    _info("encode_cpu_per_frame", "s", "CPU seconds, user and system, of the encoder's process tree over frames"),
    _info("decode_cpu_per_frame", "s", "CPU seconds, user and system, of the decoder's process tree over frames"),
    _info("decode_latency_p50", "s", "median of the time from one decoded frame to the next"),
    _info("decode_latency_p95", "s", "95th percentile of the time from one decoded frame to the next"),
    _info("decode_latency_p99", "s", "99th percentile of the time from one decoded frame to the next"),
    _info("decode_jitter", "s", "standard deviation of the time from one decoded frame to the next"),
    _info("encode_peak_memory", "MB", "resident memory of the encoder's process tree at its peak, in 10^6 bytes"),
    _info("decode_peak_memory", "MB", "resident memory of the decoder's process tree at its peak, in 10^6 bytes"),
    _info("encode_load", "s", "wall seconds that the encoder says loading its model took"),
    _info("decode_load", "s", "wall seconds that the decoder says loading its model took"),
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What is on record of one rate point."""

    frames: int
    encode: Usage
    encode_timing: Timing
    decode: Usage
    decode_timing: Timing
    latency: Latency | None
    """None where the decode was not timed frame by frame."""


def series_of(costs: Costs, names: tuple[str, ...]) -> list[Series]:
    """The named figures of one rate point, each a number or the reason that there is none."""
    figures = {
        **_side("encode", costs.encode, costs.encode_timing, costs.frames),
        **_side("decode", costs.decode, costs.decode_timing, costs.frames),
        **_delays(costs.latency),
    }
    return [
        Series(name, "not_applicable", reason=found)
        if isinstance(found := figures[name], str)
        else Series(name, "ok", np.array([found], np.float64))
        for name in names
    ]


def _side(what: str, usage: Usage, timing: Timing, frames: int) -> dict[str, float | str]:
    """Figures of the encode or the decode, or why there is none."""
    busy = usage.wall_s - (usage.load_s or 0)
    alone: float | str = frames / busy if busy > 0 else "it took no time that can be told"
    if not timing.ran_alone:
        alone = f"the {what} did not run alone: run with --timing"
    elif not timed_here(timing):
        alone = f"the {what} was timed on another machine: run with --timing"
    return {
        f"{what}_fps": alone,
        f"{what}_cpu_per_frame": usage.cpu_s / frames,
        f"{what}_peak_memory": usage.peak_rss_bytes / 1e6 or "it ended before its memory could be looked at",
        f"{what}_load": "the codec does not tell what loading took" if usage.load_s is None else usage.load_s,
    }


def _delays(latency: Latency | None) -> dict[str, float | str]:
    reason = "the decode was not timed frame by frame: run with --timing, and more than 10 frames"
    if latency is not None and not latency.streams:
        reason = "the decoder does not deliver frames as it decodes them"
    names = ("decode_latency_p50", "decode_latency_p95", "decode_latency_p99", "decode_jitter")
    known = (None,) * 4 if latency is None else (latency.p50_s, latency.p95_s, latency.p99_s, latency.jitter_s)
    return {name: reason if seconds is None else seconds for name, seconds in zip(names, known, strict=True)}


def _open(_setting: Setting, _names: tuple[str, ...]) -> Meter:
    raise NotMeasured("not_applicable", "it is of a run that encodes and decodes")


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
