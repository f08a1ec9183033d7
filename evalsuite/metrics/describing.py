"""What metrics share that describe a bitstream or a run, and are told by its codec or its records, not by pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from evalsuite.metrics.base import Report, View
from evalsuite.types import MetricInfo, Series


def describing(
    name: str,
    unit: str,
    definition: str,
    *,
    family: str,
    source: str,
    needs: str,
    traps: str,
    range: tuple[float, float] = (0, math.inf),
    version: str = "1",
    per_frame: bool = False,
) -> MetricInfo:
    """A figure, of the whole sequence or of each frame, that has no better or worse and makes no BD-rate."""
    return MetricInfo(
        name=name,
        family=family,
        unit=unit,
        higher_is_better=None,
        version=version,
        definition=definition,
        source=source,
        range=range,
        needs=(needs,),
        traps=traps,
        per_frame=per_frame,
        hdr=True,
    )


class ReportMeter:
    """Takes no frame: the codec has said everything by the time there are any.

    Args:
        report: asks the codec.
        read: the series that what it tells comes to.
    """

    def __init__(self, report: Report, read: Callable[[Mapping[str, float]], list[Series]]) -> None:
        self.child_cpu_s = 0.0
        self._report = report
        self._read = read

    def push(self, source: View, decoded: View) -> None:
        """Nothing to take from frames."""

    def finish(self) -> list[Series]:
        """What was read.

        Raises:
            EvalError: the codec's command fails, or does not report what it should.
        """
        report = self._report()
        self.child_cpu_s = report.usage.cpu_s
        return self._read(report.values)

    def close(self) -> None:
        """Nothing is held."""
