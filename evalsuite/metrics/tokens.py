"""Token statistics of a tokenized codec, as its own `info` command reports them for a bitstream.

They describe what the bits were spent on. None of them is better high or low, so none makes a BD-rate.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Family, NotMeasured, Report, Setting, View
from evalsuite.metrics.describing import describing
from evalsuite.types import Series

_SOURCE = "the codec's own report on the bitstream (the recipe's `info` command)"
_NONE = "the codec reports no tokens"
_TRAPS = (
    "Padded tokens are tokens: they are coded and count. A codec that codes frames at another size than their own, as "
    "tvc does by its rate, has as many tokens as that size has. A token that is masked takes no bits but is still "
    "drawn, so the token rate does not fall with masking; the rate of sent tokens does."
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
"""Those of the default panel where a codec reports tokens."""

FRAME_TOKENS = "frame_tokens"

_FRAMES = _info(
    FRAME_TOKENS,
    "tokens",
    "sent tokens that fall due at each frame, in the order of transmission",
    per_frame=True,
    traps="A tokenizer codes several frames together: their tokens count at the first one, the others have 0. Compare "
    "sums over as many frames. A frame's number is its place in the stream.",
)


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


def _each_frame(tokens: tuple[int, ...], frames: int) -> Series:
    if not tokens:
        return Series(FRAME_TOKENS, "not_applicable", reason="the codec does not tell the tokens of each frame")
    if len(tokens) != frames:
        reason = f"the codec's report has tokens of {len(tokens)} frames, and {frames} were decoded"
        return Series(FRAME_TOKENS, "failed", reason=reason)
    return Series(FRAME_TOKENS, "ok", np.array(tokens, np.float64))


class _TokensMeter:
    """Counts frames; the codec is asked at the end.

    Args:
        report: asks it.
        names: of the figures wanted.
        megapixels: of a frame of the source.
    """

    def __init__(self, report: Report, names: tuple[str, ...], megapixels: float) -> None:
        self.child_cpu_s = 0.0
        self._report = report
        self._names = names
        self._megapixels = megapixels
        self._frames = 0

    def push(self, source: View, decoded: View) -> None:  # noqa: ARG002 - every meter is given both
        """Count a frame."""
        self._frames += 1

    def finish(self) -> list[Series]:
        """One series for each name: of one value, or of `frame_tokens` one for each frame.

        Raises:
            EvalError: the codec's command fails, or does not report what it should.
        """
        report = self._report()
        self.child_cpu_s = report.usage.cpu_s
        figures = tuple(name for name in self._names if name != FRAME_TOKENS)
        found = {series.metric: series for series in _read(figures, self._megapixels, report.values)}
        if FRAME_TOKENS in self._names:
            found[FRAME_TOKENS] = _each_frame(report.frame_tokens, self._frames)
        return [found[name] for name in self._names]

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _TokensMeter:
    if setting.report is None:
        raise NotMeasured("not_applicable", _NONE)
    return _TokensMeter(setting.report, names, setting.format.width * setting.format.height / 1e6)


FAMILY = Family(infos=(*INFOS, _FRAMES), open=_open, smallest={}, check=str)
