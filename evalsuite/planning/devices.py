"""Devices: what a class of them can play in real time, by what is assumed of it.

Times are those of the machine that measured. What a device could do is worked out from its profile, a TOML file that
says how much it is assumed to have: docs/planning.md has the rule and its limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from evalsuite import resources
from evalsuite.planning.figures import decode_cpu_s
from evalsuite.planning.points import RatePoint
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

REALTIME = "realtime"
NO_ACCELERATOR = "none"
ACCELERATORS = (NO_ACCELERATOR, "cuda")

STANDARD = ("phone", "laptop", "desktop")
"""Devices that the report shows, from the slowest to the fastest."""


@dataclass(frozen=True, slots=True)
class Device:
    """A class of devices, by assumption."""

    name: str
    description: str
    budget_ms: float | None
    """That decoding a frame may take on it; None: as long as the frame is shown."""
    speed: float
    """Of one of its cores, relative to a core of the machine that measured."""
    cores: int
    """That the work of a decoder is assumed to be spread over evenly."""
    memory_mb: float | None
    """Million bytes that the decoder may hold; None where that is no matter."""
    accelerator: str
    """One of ACCELERATORS."""

    def budget_s(self, frame_rate: float) -> float:
        """Seconds that decoding a frame may take."""
        return 1 / frame_rate if self.budget_ms is None else self.budget_ms / 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a device plays a rate point in real time."""

    playable: bool | None
    """None where what is known of the point does not tell."""
    reason: str
    """Why not, or what is not known; of what is playable, what was not looked at. May be empty."""

    @property
    def word(self) -> str:
        """The verdict in a word."""
        return {True: "yes", False: "no", None: "unknown"}[self.playable]


def load_device(name: str) -> Device:
    """The device of this name, or in this TOML file.

    Raises:
        RequestError: there is none; suggests near misses.
        RecipeError: its file is wrong.
    """
    path, data = resources.load("devices", name)
    return parse_device(data, str(path))


def standard_devices() -> tuple[Device, ...]:
    """The devices that the report shows."""
    return tuple(load_device(name) for name in STANDARD)


def parse_device(data: dict[str, Any], where: str) -> Device:
    """A device from its TOML.

    Args:
        data: as tomllib reads it.
        where: the file, for messages.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    table = Table(data, where)
    device = Device(
        name=table.take("name", fields.pattern(fields.NAME.pattern, fields.NAME_IN_WORDS)),
        description=table.take("description", fields.text),
        budget_ms=table.take("budget", _budget),
        speed=table.take("speed", _above_zero("a number above 0: its speed over that of a core that measures")),
        cores=table.get("cores", fields.count(1), 1),
        memory_mb=table.get("memory_mb", _above_zero("million bytes, above 0"), None),
        accelerator=table.get("accelerator", fields.choice({one: one for one in ACCELERATORS}), NO_ACCELERATOR),
    )
    table.finish()
    return device


def judge(point: RatePoint, device: Device) -> Verdict:
    """Whether a device plays a rate point: every part of its profile must be enough.

    Args:
        point: as it was measured.
        device: by its profile.
    """
    budget = device.budget_s(point.frame_rate)
    found = [
        *_accelerator(point, device),
        _cpu(point, device, budget),
        *_delay(point, device, budget),
        *_memory(point, device),
    ]
    playable = min((one.playable for one in found), key=_WORST_FIRST.index)
    reasons = (one.reason for one in found if one.playable is playable and one.reason)
    return Verdict(playable, "; ".join(reasons))


_WORST_FIRST = (False, None, True)


def _accelerator(point: RatePoint, device: Device) -> Iterator[Verdict]:
    needed = needed_accelerator(point)
    if needed is None:
        if device.accelerator == NO_ACCELERATOR:
            yield Verdict(None, "this run does not tell whether it was decoded on an accelerator")
    elif needed not in (NO_ACCELERATOR, device.accelerator):
        yield Verdict(False, f"it was decoded on an accelerator ({needed}), which the device does not have")
    if needed != NO_ACCELERATOR and "latency_p95_s" not in point.decode:
        yield Verdict(None, "time on an accelerator is not in the CPU time: run with `--timing`")


def needed_accelerator(point: RatePoint) -> str | None:
    """What its decoder computed on beside the CPU: `none`, `cuda` and the like; None where nobody tells."""
    if told := point.facts.get("device"):
        return NO_ACCELERATOR if told == "cpu" else str(told).partition(":")[0]
    # A command-line decoder computes on the CPU unless its recipe says otherwise; a class may do either.
    return NO_ACCELERATOR if point.facts.get("decode") else None


def _cpu(point: RatePoint, device: Device, budget: float) -> Verdict:
    seconds = decode_cpu_s(point)
    if seconds is None:
        return Verdict(None, "the CPU time of its decoder is not known")
    taken = seconds / (device.speed * device.cores)
    return Verdict(
        taken <= budget, "" if taken <= budget else f"a frame takes {_ms(taken)} to decode, of {_ms(budget)}"
    )


def _delay(point: RatePoint, device: Device, budget: float) -> Iterator[Verdict]:
    if "streams" not in point.decode:
        yield Verdict(True, "by its mean CPU time alone: latency was not timed")
    elif "latency_p95_s" not in point.decode:
        yield Verdict(None, "most of its time passed before the first frame: whether it streams is not known")
    else:
        # A core more does not bring the next frame sooner, as far as anyone has seen.
        taken = point.decode["latency_p95_s"] / device.speed
        reason = "" if taken <= budget else f"the p95 of latency is {_ms(taken)}, of {_ms(budget)}"
        yield Verdict(taken <= budget, reason)


def _memory(point: RatePoint, device: Device) -> Iterator[Verdict]:
    if device.memory_mb is None:
        return
    held = point.decode.get("peak_rss_bytes")
    if held is None:
        yield Verdict(None, "the memory of its decoder is not known")
    else:
        fits = held <= device.memory_mb * 1e6
        yield Verdict(fits, "" if fits else f"it holds {held / 1e6:.0f} MB, of {device.memory_mb:g} MB")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


def _budget(value: object) -> float | None:
    if value == REALTIME:
        return None
    expected = f'"{REALTIME}", or milliseconds of a frame'
    try:
        return _above_zero(expected)(value)
    except ValueError:
        raise ValueError(expected) from None


def _above_zero(expected: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        try:
            number = fields.number(value)
        except ValueError:
            number = 0.0
        if number <= 0:
            raise ValueError(expected)
        return number

    return parse
