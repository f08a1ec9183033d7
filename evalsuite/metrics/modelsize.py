"""The size of a codec's networks, as its own `info` command reports it for a bitstream."""

from __future__ import annotations

import math

import numpy as np

from evalsuite.metrics.base import Family, NotMeasured, Report, Setting, View
from evalsuite.types import MetricInfo, Series

_NONE = "the codec does not tell"


def _info(name: str, unit: str, definition: str) -> MetricInfo:
    return MetricInfo(
        name=name,
        family="complexity",
        unit=unit,
        higher_is_better=None,
        version="1",
        definition=definition,
        source="the codec's own report on the bitstream (the recipe's `info` command)",
        range=(0, math.inf),
        needs=("report",),
        traps="Of networks alone: entropy coding, colour conversion and memory traffic are not in it.",
        per_frame=False,
        hdr=True,
    )


_INFOS = (
    _info("parameters", "", "weights of the codec's networks, encoder and decoder together"),
    _info("encode_kmac_per_pixel", "kMAC", "thousands of multiply-adds of the encoder over luma samples of video"),
    _info("decode_kmac_per_pixel", "kMAC", "thousands of multiply-adds of the decoder over luma samples of video"),
)


class _ReportMeter:
    """Takes no frame: the codec has said everything by the time there are any."""

    def __init__(self, report: Report, names: tuple[str, ...]) -> None:
        self.child_cpu_s = 0.0
        self._report = report
        self._names = names

    def push(self, source: View, decoded: View) -> None:
        """Nothing to take from frames."""

    def finish(self) -> list[Series]:
        """One series of one value for each name that the codec tells.

        Raises:
            EvalError: the codec's command fails.
        """
        report = self._report()
        self.child_cpu_s, told = report.usage.cpu_s, report.values
        return [
            Series(name, "ok", np.array([told[name]], np.float64))
            if name in told
            else Series(name, "not_applicable", reason=_NONE)
            for name in self._names
        ]

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _ReportMeter:
    if setting.report is None:
        raise NotMeasured("not_applicable", _NONE)
    return _ReportMeter(setting.report, names)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
