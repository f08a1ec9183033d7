"""Token statistics of a tokenized codec, as its own `info` command reports them for a bitstream.

They describe what the bits were spent on. None of them is better high or low, so none makes a BD-rate.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Family, NotMeasured, Setting
from evalsuite.metrics.describing import ReportMeter, describing
from evalsuite.types import Series

_SOURCE = "the codec's own report on the bitstream (the recipe's `info` command)"
_NONE = "the codec reports no tokens"
_TRAPS = (
    "Padded tokens are tokens: they are coded and count. A token that is masked takes no bits but is still drawn, so "
    "the token rate does not fall with masking; the rate of sent tokens does."
)


_info = functools.partial(describing, family="tokens", source=_SOURCE, needs="report", traps=_TRAPS)

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
    _info(
        "masked_share",
        "",
        "share of the tokens that are not sent: both sides take the context model's guess",
        range=(0, 1),
    ),
    _info(
        "discrete_share",
        "",
        "token payload over token and latent payload; the rest of the payload is latents",
        range=(0, 1),
    ),
    _info("codebook_perplexity", "codes", "2 to the entropy in bits of the histogram of tokens"),
)

NAMES = tuple(info.name for info in INFOS)


def _read(names: tuple[str, ...], megapixels: float, told: Mapping[str, float]) -> list[Series]:
    """One series of one value for each name."""
    if not told:
        return [Series(name, "not_applicable", reason=_NONE) for name in names]
    # A codec knows the size that it coded, which scaling and padding make another one than the source's.
    if "tokens_per_frame" in told:
        told = {**told, "token_density": told["tokens_per_frame"] / megapixels}
    missing = [name for name in names if name not in told]
    if missing:
        raise MetricError(
            "the codec's report lacks token statistics",
            expected=", ".join(names),
            got=f"nothing of {', '.join(missing)}",
            fix="let the recipe's `info` command print them as numbers in one JSON object",
        )
    return [Series(name, "ok", np.array([told[name]], np.float64)) for name in names]


def _open(setting: Setting, names: tuple[str, ...]) -> ReportMeter:
    if setting.report is None:
        raise NotMeasured("not_applicable", _NONE)
    megapixels = setting.format.width * setting.format.height / 1e6
    return ReportMeter(setting.report, functools.partial(_read, names, megapixels))


FAMILY = Family(infos=INFOS, open=_open, smallest={}, check=str)
