"""What a metric is to the engine: a description, and a meter that frames stream through."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import MetricError
from evalsuite.sources.colour import to_rgb
from evalsuite.types import CodecReport, Colour, Frame, MetricInfo, Series, Status, VideoFormat

T = TypeVar("T")

Report = Callable[[], CodecReport]
"""Asks the codec what it says of a bitstream; an EvalError where it fails."""


class NotMeasured(MetricError):  # noqa: N818 - a state that is shown, not a fault
    """A metric has no score here, for a named reason: `status` says which kind."""

    def __init__(self, status: Status, what: str, *, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.status = status


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every frame of a decoded sequence."""

    format: VideoFormat
    colour: Colour
    frame_rate: Fraction
    report: Report | None = None
    """What the codec says of this bitstream; None where it says nothing, or where there is none."""


class View:
    """One frame, with the forms that metrics derive from it: each computed once, however many ask."""

    def __init__(self, frame: Frame, setting: Setting) -> None:
        self.frame = frame
        self.setting = setting
        self._derived: dict[Hashable, Any] = {}

    def derive(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute()`, remembered under `key` as long as this frame is."""
        if key not in self._derived:
            self._derived[key] = compute()
        value: T = self._derived[key]
        return value

    def rgb(self) -> NDArray[np.float32]:
        """RGB in [0, 1], (3, height, width)."""
        return self.derive("rgb", lambda: to_rgb(self.frame, self.setting.colour, self.setting.format.bit_depth))


class Meter(Protocol):
    """Scores one decoded sequence as it streams past, source and decoded in step."""

    child_cpu_s: float
    """CPU seconds of the processes the meter ran; complete after `finish`."""

    def push(self, source: View, decoded: View) -> None:
        """Take the next frame of both."""
        ...

    def finish(self) -> list[Series]:
        """The scores of every metric asked for, after the last frame."""
        ...

    def close(self) -> None:
        """Give back what the meter holds, finished or not."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics that are computed together. A module in `evalsuite.metrics` offers one as `FAMILY`."""

    infos: tuple[MetricInfo, ...]
    open: Callable[[Setting, tuple[str, ...]], Meter]
    """Start measuring the named metrics; raises NotMeasured where that cannot be."""
    smallest: dict[str, int]
    """Smallest side in luma samples, by metric name; below it the score is `too_small`."""
    check: Callable[[], str]
    """Empty where the family can run on this machine, else what is missing and how to get it."""


class FrameMeter:
    """A meter for metrics that are a function of one frame pair.

    Args:
        names: the metrics, in the order of the values that `score` returns.
        score: one value for each name.
    """

    child_cpu_s = 0.0

    def __init__(self, names: tuple[str, ...], score: Callable[[View, View], tuple[float, ...]]) -> None:
        self._names = names
        self._score = score
        self._rows: list[tuple[float, ...]] = []

    def push(self, source: View, decoded: View) -> None:
        """Score the next frame pair."""
        self._rows.append(self._score(source, decoded))

    def finish(self) -> list[Series]:
        """One series for each name."""
        columns = np.array(self._rows, dtype=np.float64).reshape(len(self._rows), len(self._names))
        return [Series(name, "ok", columns[:, index].copy()) for index, name in enumerate(self._names)]

    def close(self) -> None:
        """Nothing is held."""
