"""The size of a codec's networks, as its own `info` command reports it for a bitstream."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from evalsuite.metrics.base import Family, NotMeasured, Setting
from evalsuite.metrics.describing import ReportMeter, describing
from evalsuite.types import Series

_NONE = "the codec does not tell"

_info = functools.partial(
    describing,
    family="complexity",
    source="the codec's own report on the bitstream (the recipe's `info` command)",
    needs="report",
    traps="Of networks alone: entropy coding, colour conversion and memory traffic are not in it.",
)

_INFOS = (
    _info("parameters", "", "weights of the codec's networks, encoder and decoder together"),
    _info("encode_kmac_per_pixel", "kMAC", "thousands of multiply-adds of the encoder over luma samples of video"),
    _info("decode_kmac_per_pixel", "kMAC", "thousands of multiply-adds of the decoder over luma samples of video"),
)


def _open(setting: Setting, names: tuple[str, ...]) -> ReportMeter:
    if setting.report is None:
        raise NotMeasured("not_applicable", _NONE)

    def read(told: Mapping[str, float]) -> list[Series]:
        return [
            Series(name, "ok", np.array([told[name]], np.float64))
            if name in told
            else Series(name, "not_applicable", reason=_NONE)
            for name in names
        ]

    return ReportMeter(setting.report, read)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
