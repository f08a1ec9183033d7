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
from evalsuite.types import CodecReport, Colour, Delivery, Frame, MetricInfo, Packet, Series, Status, VideoFormat

T = TypeVar("T")

Report = Callable[[], CodecReport]
"""Asks the codec what it says of a bitstream; an EvalError where it fails."""

Packets = Callable[[], tuple[Packet, ...]]
"""Takes a bitstream apart into what is sent; empty where that cannot be told, an EvalError where it fails."""


Deliveries = Callable[[], Delivery]
"""What became of a bitstream on its way, once all its frames have been taken."""


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
    packets: Packets | None = None
    """The packets of this bitstream; None where there is none."""
    delivery: Deliveries | None = None
    """What became of it on its way; None where it has none behind it."""


Arrays = dict[str, NDArray[Any]]
"""What a feature of a frame is made of, by name."""


class Recall(Protocol):
    """Where features of a source are kept between passes."""

    def get(self, name: str, version: str, index: int, compute: Callable[[], Arrays]) -> Arrays:
        """The feature of frame `index`: as it was kept, else computed and kept."""
        ...


class View:
    """One frame, with the forms that metrics derive from it: each computed once, however many ask.

    Args:
        frame: its planes.
        setting: what is the same for every frame.
        index: of the frame in its sequence.
        previous: the frame before; None for the first.
        features: where costly features are kept; None for frames that are seen once, such as decoded ones.
    """

    def __init__(
        self,
        frame: Frame,
        setting: Setting,
        index: int = 0,
        previous: View | None = None,
        features: Recall | None = None,
    ) -> None:
        self.frame = frame
        self.setting = setting
        self.index = index
        self.previous = previous
        self._features = features
        self._derived: dict[Hashable, Any] = {}
        if previous is not None:
            previous.previous = None  # one step back is kept, not the whole sequence

    def derive(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `compute()`, remembered under `key` as long as this frame is."""
        if key not in self._derived:
            self._derived[key] = compute()
        value: T = self._derived[key]
        return value

    def forget(self, key: Hashable) -> None:
        """Drop what is kept under `key`: for what is large, by the last to ask for it."""
        self._derived.pop(key, None)

    def recall(self, name: str, version: str, compute: Callable[[], Arrays]) -> Arrays:
        """Arrays that depend on this frame and the one before alone; kept on disk where the frame is a source's.

        Args:
            name: of the feature, a word.
            version: changes whenever the arrays could.
            compute: makes them.
        """
        kept = self._features
        if kept is None:
            return self.derive(("recall", name), compute)
        return self.derive(("recall", name), lambda: kept.get(name, version, self.index, compute))

    def rgb(self) -> NDArray[np.float32]:
        """RGB in [0, 1], (3, height, width)."""
        return self.derive("rgb", lambda: to_rgb(self.frame, self.setting.colour, self.setting.format.bit_depth))

    def rgb8(self) -> NDArray[np.uint8]:
        """RGB in whole levels from 0 to 255, (height, width, 3), for what takes pictures of 8 bits."""
        return self.derive("rgb8", self._rgb8)

    def _rgb8(self) -> NDArray[np.uint8]:
        levels = self.rgb().transpose(1, 2, 0) * np.float32(255)
        return np.ascontiguousarray(np.rint(levels).astype(np.uint8))


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
