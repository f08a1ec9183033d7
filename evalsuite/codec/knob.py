"""The knob of a codec, and the intra periods it has: which operating points it can be given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import RequestError
from evalsuite.types import OperatingPoint

QP_PER_OCTAVE = 6.0
"""The step of quantisers doubles every six QP in H.264 and its heirs, and the rate halves about as often."""


@dataclass(frozen=True, slots=True)
class Knob:
    """The range of a codec's q: lower is better quality."""

    smallest: float
    largest: float
    step: float
    """Smallest change that the encoder answers to."""
    ladder: tuple[float, ...]
    """From about 40 dB down to the lowest rates the codec has; ascending."""
    ladder_bpp: tuple[float, ...] = ()
    """Typical rates at each q of the ladder, descending: the shape that a rate search begins with. Empty: not known."""

    def typical_log2_rate(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log2 of the rate that the codec typically has at each `q`, (n,); its level is of no account.

        Between the steps of the ladder a monotone cubic, beyond them a straight line; without `ladder_bpp` the rate
        halves every six steps, as it does with the QP of H.264 and its heirs.
        """
        if len(self.ladder_bpp) < 2:
            return -q / QP_PER_OCTAVE
        # Imported here because a recipe is loaded far more often than rates are searched.
        from scipy.interpolate import PchipInterpolator

        known, rates = np.array(self.ladder), np.log2(self.ladder_bpp)
        slopes = np.diff(rates) / np.diff(known)
        inside: NDArray[np.float64] = PchipInterpolator(known, rates)(np.clip(q, known[0], known[-1]))
        before, after = np.minimum(q - known[0], 0), np.maximum(q - known[-1], 0)
        rates_at: NDArray[np.float64] = inside + slopes[0] * before + slopes[-1] * after
        return rates_at

    def snap(self, q: float) -> float:
        """The nearest q that the encoder can be given."""
        # 1e-6 is far below any step: it takes the binary noise off, so that equal points have equal keys.
        most = math.floor((self.largest - self.smallest) / self.step + 1e-6)
        steps = min(round((min(max(q, self.smallest), self.largest) - self.smallest) / self.step), most)
        return round(self.smallest + steps * self.step, 6)

    def has(self, q: float) -> bool:
        """Whether the encoder can be given this q."""
        return self.smallest <= q <= self.largest and abs(self.snap(q) - q) <= 1e-6


@dataclass(frozen=True, slots=True)
class IntraPeriods:
    """Which intra periods an encoder can be asked for, and how."""

    infinite: str
    """What stands for `{intra_period}` when only the first frame is intra."""
    min: int = 1
    multiple: int = 1
    offset: int = 0
    """How much farther apart than asked for the intra frames are; 0 but for encoders that count otherwise."""
    fixed: int | None = None
    """The period of a codec that cannot be asked for one: -1 where only the first frame can be decoded alone."""

    def coded(self, asked: int) -> int:
        """The intra period that the codec has where `asked` was asked for."""
        if self.fixed is not None:
            return self.fixed
        return asked if asked == -1 else asked + self.offset


def check_point(codec: str, knob: Knob, intra: IntraPeriods, point: OperatingPoint) -> None:
    """Refuse an operating point that the encoder cannot be given.

    Raises:
        RequestError: q out of range or off the grid, an intra period it does not have, fewer than one thread.
    """
    if not knob.has(point.q):
        raise RequestError(
            f"the codec {codec} has no q {point.q:g}",
            expected=f"{knob.smallest:g} to {knob.largest:g} in steps of {knob.step:g}",
            got=point.q,
        )
    period = point.intra_period
    if period != -1 and (period < max(1, intra.min) or period % intra.multiple):
        multiple = f", a multiple of {intra.multiple}" if intra.multiple > 1 else ""
        raise RequestError(
            f"the codec {codec} cannot put an intra frame every {period} frames",
            expected=f"{max(1, intra.min)} or more{multiple}; or -1 for the first frame only",
            got=period,
            fix="choose another intra period, the same for all codecs",
        )
    if point.threads < 1:
        raise RequestError("the number of threads must be at least 1", got=point.threads)


def switch_frame(q: float, frames: int) -> int:
    """The frame from which an encoder with whole steps uses the next q, so that `q` is the mean over all frames.

    >>> switch_frame(37.25, 60), switch_frame(37, 60)
    (45, 60)
    """
    return frames - round((q - math.floor(q)) * frames)
