"""The streaming pass: source and decoded sequences in step, by index, every frame scored once.

The source is read once for any number of decoded sequences, so that what depends on the source alone (RGB, network
features) is computed once. Two frames of each are in memory at a time, whatever the length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from evalsuite.errors import EvalError, MetricError, ShapeError
from evalsuite.metrics.base import Deliveries, Family, Meter, NotMeasured, Packets, Recall, Report, Setting, View
from evalsuite.metrics.registry import family_of
from evalsuite.sources.colour import is_convertible
from evalsuite.types import Frame, MetricInfo, Series


@dataclass(slots=True)
class Measured:
    """What one decoded sequence scored."""

    frames: int
    series: list[Series]
    cost_s: dict[str, float] = field(default_factory=dict)
    """CPU seconds spent on each family, by the family's first metric."""


class Unavailable:
    """Metrics that could not be had: not asked for again for a while, as a dead network may take a minute to say so.

    Args:
        again_s: seconds until they are.
    """

    def __init__(self, again_s: float = 300.0) -> None:
        self._again_s = again_s
        self._found: dict[str, tuple[float, Series]] = {}

    def __getitem__(self, metric: str) -> Series | None:
        """What was told of it not long ago; None: it may be there."""
        since, series = self._found.get(metric, (-math.inf, None))
        return series if time.monotonic() - since < self._again_s else None

    def add(self, series: Iterable[Series]) -> None:
        """Remember those whose status says so."""
        found = ((one.metric, (time.monotonic(), one)) for one in series if one.status == "unavailable")
        self._found.update(found)


class _GuardedMeter:
    """A meter whose failure costs its own metrics and nothing else."""

    def __init__(self, family: Family, names: tuple[str, ...], setting: Setting) -> None:
        self.names = names
        self.cost_s = 0.0
        self._failure: Series | None = None
        self._meter: Meter | None = None
        try:
            self._meter = family.open(setting, names)
        except NotMeasured as reason:
            self._failure = Series("", reason.status, reason=_with_fix(reason))
        except Exception as error:  # a metric may be anybody's code: its fault is a result, not the end of the run
            self._failure = _failed(error)

    def push(self, source: View, decoded: View) -> None:
        if self._meter is None:
            return
        started = time.thread_time()
        try:
            self._meter.push(source, decoded)
        except Exception as error:  # as above
            self._failure = _failed(error)
            self.close()
        self.cost_s += time.thread_time() - started

    def finish(self) -> list[Series]:
        if self._meter is not None:
            try:
                series = self._meter.finish()
                if {one.metric for one in series} != set(self.names):
                    # The store would not know their versions, and what is missing would be measured again for ever.
                    given = ", ".join(one.metric for one in series) or "nothing"
                    raise MetricError(f"it was asked for {', '.join(self.names)} and gave {given}")
                self.cost_s += self._meter.child_cpu_s
                return series
            except Exception as error:  # as above
                self._failure = _failed(error)
            finally:
                self.close()
        return self.failed

    @property
    def failed(self) -> list[Series]:
        """What there is instead of scores; nothing while it may still have some."""
        if self._meter is not None:
            return []
        failure = self._failure or Series("", "failed")
        return [Series(name, failure.status, reason=failure.reason) for name in self.names]

    def close(self) -> None:
        if self._meter is not None:
            meter, self._meter = self._meter, None
            meter.close()


def _with_fix(error: EvalError) -> str:
    return f"{error.what} ({error.fix})" if error.fix else error.what


def _failed(error: Exception) -> Series:
    text = error.what if isinstance(error, EvalError) else f"{type(error).__name__}: {error}"
    return Series("", "failed", reason=text)


class _Track:
    """One decoded sequence on its way through the meters of every family."""

    def __init__(
        self, frames: Iterator[Frame], setting: Setting, infos: Iterable[MetricInfo], absent: Unavailable
    ) -> None:
        self._frames = frames
        self._setting = setting
        self._settled: list[Series] = []
        self._meters: list[_GuardedMeter] = []
        self._previous: View | None = None
        self.count = 0
        self.error: EvalError | None = None
        by_family: dict[int, tuple[Family, list[str]]] = {}
        for info in infos:
            family = family_of(info.name)
            side, needed = min(setting.format.width, setting.format.height), family.smallest.get(info.name, 1)
            if setting.colour.transfer != "sdr" and not info.hdr:
                reason = f"it is defined for SDR, this is {setting.colour.transfer.upper()}"
                self._settled.append(Series(info.name, "not_applicable", reason=reason))
            elif "rgb" in info.needs and not is_convertible(setting.colour):
                reason = f"it needs RGB, and there is no conversion from the matrix {setting.colour.matrix}"
                self._settled.append(Series(info.name, "not_applicable", reason=reason))
            elif side < needed:
                reason = f"needs {needed} samples on the shorter side, this has {side}"
                self._settled.append(Series(info.name, "too_small", reason=reason))
            elif known := absent[info.name]:
                self._settled.append(known)
            else:
                by_family.setdefault(id(family), (family, []))[1].append(info.name)
        try:
            for family, names in by_family.values():
                self._meters.append(_GuardedMeter(family, tuple(names), setting))
                absent.add(self._meters[-1].failed)
        except BaseException:
            self.close()
            raise

    def push(self, source: View) -> None:
        """Read the next decoded frame and score it; an error ends this track only."""
        if self.error is not None:
            return
        try:
            frame = next(self._frames, None)
            if frame is None:
                raise ShapeError(
                    f"the decoded sequence ends after {self.count} frame{'s' * (self.count != 1)}",
                    expected="as many frames as the source",
                    got=f"{self.count}",
                )
            self._check(frame, source.frame)
        except EvalError as error:
            self._fail(error)
            return
        decoded = View(frame, self._setting, self.count, self._previous)
        for meter in self._meters:
            meter.push(source, decoded)
        self._previous = decoded
        self.count += 1

    def finish(self) -> Measured | EvalError:
        """Make sure that nothing follows the last frame, and collect the scores."""
        if self.error is None:
            try:
                if next(self._frames, None) is not None:
                    raise ShapeError(
                        "the decoded sequence has more frames than the source",
                        expected=f"{self.count} frames",
                        got="at least one more",
                    )
            except EvalError as error:
                self._fail(error)
        if self.error is not None:
            return self.error
        series = [*self._settled, *(one for meter in self._meters for one in meter.finish())]
        return Measured(self.count, series, {meter.names[0]: meter.cost_s for meter in self._meters})

    def _check(self, decoded: Frame, source: Frame) -> None:
        shapes = [plane.shape for plane in decoded], [plane.shape for plane in source]
        if shapes[0] != shapes[1] or decoded[0].dtype != source[0].dtype:
            raise ShapeError(
                f"decoded frame {self.count} is not like its source frame",
                expected=f"planes {shapes[1]} of {source[0].dtype}",
                got=f"planes {shapes[0]} of {decoded[0].dtype}",
            )

    def _fail(self, error: EvalError) -> None:
        self.error = error
        self.close()

    def close(self) -> None:
        for meter in self._meters:
            meter.close()


def measure(
    source: Iterable[Frame],
    setting: Setting,
    decoded: Mapping[str, Iterator[Frame]],
    infos: Iterable[MetricInfo],
    reports: Mapping[str, Report] | None = None,
    features: Recall | None = None,
    packets: Mapping[str, Packets] | None = None,
    deliveries: Mapping[str, Deliveries] | None = None,
    unavailable: Unavailable | None = None,
) -> dict[str, Measured | EvalError]:
    """Score any number of decoded sequences against one source in a single pass.

    Args:
        source: the source frames, in order.
        setting: format, colour and frame rate, the same for source and decoded.
        decoded: by any key, the decoded frames in order.
        infos: the metrics to measure.
        reports: by the same keys, how to ask the codec about the bitstream; none where it says nothing.
        features: where costly features of the source are kept between passes.
        packets: by the same keys, how to take the bitstream apart; none where there is none.
        deliveries: by the same keys, what became of it on its way, known at the end; none where there is no channel.
        unavailable: what earlier passes could not get, and what this one cannot.

    Returns:
        For each key the scores, or the error that ended it: a frame count or geometry that differs from the source's is
        an error, never a trim; the others go on.

    Raises:
        MediaError: the source itself cannot be read to its end.
    """
    wanted = tuple(infos)
    absent = unavailable or Unavailable()
    tracks: dict[str, _Track] = {}
    try:
        for key, frames in decoded.items():
            own = replace(
                setting,
                report=(reports or {}).get(key),
                packets=(packets or {}).get(key),
                delivery=(deliveries or {}).get(key),
            )
            tracks[key] = _Track(frames, own, wanted, absent)
        view: View | None = None
        for index, frame in enumerate(source):
            view = View(frame, setting, index, view, features)
            for track in tracks.values():
                track.push(view)
        return {key: track.finish() for key, track in tracks.items()}
    finally:
        for track in tracks.values():
            track.close()
