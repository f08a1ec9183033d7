"""Token statistics of a tokenized codec, as its own `info` command reports them for a bitstream.

They describe what the bits were spent on. None of them is better high or low, so none makes a BD-rate.
"""

from __future__ import annotations

import math

import numpy as np

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Family, NotMeasured, Report, Setting, View
from evalsuite.types import MetricInfo, Series, VideoFormat

_SOURCE = "the codec's own report on the bitstream (the recipe's `info` command)"
_NONE = "the codec reports no tokens"
_TRAPS = (
    "Padded tokens are tokens: they are coded and count. A token that is masked takes no bits but is still drawn, so "
    "the token rate does not fall with masking; the rate of sent tokens does."
)


def _info(name: str, unit: str, definition: str, largest: float = math.inf, version: str = "1") -> MetricInfo:
    return MetricInfo(
        name=name,
        family="tokens",
        unit=unit,
        higher_is_better=None,
        version=version,
        definition=definition,
        source=_SOURCE,
        range=(0, largest),
        needs=("report",),
        traps=_TRAPS,
        per_frame=False,
        hdr=True,
    )


INFOS = (
    _info("tokens_per_frame", "tokens", "tokens of the bitstream, masked ones too, over its frames"),
    _info("token_rate", "tokens/s", "tokens of the bitstream, masked ones too, per second of video"),
    _info("sent_token_rate", "tokens/s", "tokens that are sent (not masked) per second of video"),
    _info(
        "token_density",
        "tokens/Mpixel",
        "tokens, masked ones too, per megapixel of the source",
        version="2",
    ),
    _info("bits_per_token", "bit", "bits of the token payload over all tokens, masked ones too"),
    _info("masked_share", "", "share of the tokens that are not sent: both sides take the context model's guess", 1),
    _info("discrete_share", "", "token payload over token and latent payload; the rest of the payload is latents", 1),
    _info("codebook_perplexity", "codes", "2 to the entropy in bits of the histogram of tokens"),
)

NAMES = tuple(info.name for info in INFOS)


class _ReportMeter:
    """Takes no frame: the codec has said everything by the time there are any."""

    def __init__(self, report: Report, names: tuple[str, ...], format: VideoFormat) -> None:
        self.child_cpu_s = 0.0
        self._report = report
        self._names = names
        self._megapixels = format.width * format.height / 1e6

    def push(self, source: View, decoded: View) -> None:
        """Nothing to take from frames."""

    def finish(self) -> list[Series]:
        """One series of one value for each name.

        Raises:
            EvalError: the codec's command fails, or does not report one of them.
        """
        report = self._report()
        self.child_cpu_s, told = report.usage.cpu_s, report.values
        if not told:
            return [Series(name, "not_applicable", reason=_NONE) for name in self._names]
        # A codec knows the size that it coded, which scaling and padding make another one than the source's.
        if "tokens_per_frame" in told:
            told = {**told, "token_density": told["tokens_per_frame"] / self._megapixels}
        missing = [name for name in self._names if name not in told]
        if missing:
            raise MetricError(
                "the codec's report lacks token statistics",
                expected=", ".join(self._names),
                got=f"nothing of {', '.join(missing)}",
                fix="let the recipe's `info` command print them as numbers in one JSON object",
            )
        return [Series(name, "ok", np.array([told[name]], np.float64)) for name in self._names]

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _ReportMeter:
    if setting.report is None:
        raise NotMeasured("not_applicable", _NONE)
    return _ReportMeter(setting.report, names, setting.format)


FAMILY = Family(infos=INFOS, open=_open, smallest={}, check=str)
