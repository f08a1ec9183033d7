"""Leaky buckets: what buffer and what start-up delay a stream needs on a channel of a constant rate.

Each frame's bits fall into a bucket at once, a frame's time apart, and the channel's rate leaks out. The smallest
bucket that never spills is, of all runs of frames, the largest sum of bits less what leaks out from the first to the
last of them. As a function of the rate that is the upper envelope of straight lines: convex, falling, piecewise linear.
The same buffer serves a decoder that takes each frame out at once; what it must hold before it begins is the same
maximum over the runs that begin with the first frame. All of it is exact, in whole numbers and fractions.

Source: ITU-T H.264 (08/2021), annex C; J. Ribas-Corbera, P. Chou, S. Regunathan, A Generalized Hypothetical Reference
Decoder for H.264/AVC, IEEE Transactions on Circuits and Systems for Video Technology 13 (2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Envelope:
    """The largest of some falling lines over the leak; made by `bucket` and `start`."""

    lines: tuple[tuple[int, int], ...]
    """Bits, and frames that the channel has meanwhile: the lines that are the largest somewhere, the flattest first."""

    def at(self, leak: Fraction) -> Fraction:
        """Bits needed where so many bits leak out from one frame to the next."""
        # In whole numbers, over the leak's denominator: fractions are slow.
        over, under = leak.numerator, leak.denominator
        return Fraction(max(bits * under - frames * over for bits, frames in self.lines), under)

    @property
    def knots(self) -> list[Fraction]:
        """The leaks at which one line takes over from another, falling."""
        pairs = zip(self.lines, self.lines[1:], strict=False)
        return [Fraction(bits - before, frames - earlier) for (before, earlier), (bits, frames) in pairs]


def bucket(bits: Sequence[int]) -> Envelope:
    """The smallest bucket over the leak.

    At the mean it is `vbv_bits` of the traffic metrics. From the first knot on it is the largest frame.

    Args:
        bits: that fall due at each frame, in the order of transmission; at least one frame.
    """
    sums = _sums(bits)
    return _envelope([int((sums[run:] - sums[:-run]).max()) for run in range(1, len(sums))])


def start(bits: Sequence[int]) -> Envelope:
    """What a decoder must hold before it takes the first frame out, so that none comes late, over the leak.

    Divided by the rate it is the shortest start-up delay, whether the channel pauses when the bucket is full or not.

    Args:
        bits: as of `bucket`.
    """
    return _envelope([int(total) for total in _sums(bits)[1:]])


def bends(bits: Sequence[int], needed: Envelope) -> list[Fraction]:
    """The leaks between which the bucket's curve is straight, rising.

    From the mean, at which all passes in the end, to the largest frame, which is gone before the next one falls in.

    Args:
        bits: of the frames.
        needed: their smallest bucket.
    """
    mean, peak = Fraction(sum(bits), len(bits)), Fraction(max(bits))
    return sorted({mean, peak, *(leak for leak in needed.knots if leak > mean)})


def _sums(bits: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(bits, np.int64))])


def _envelope(sums: Sequence[int]) -> Envelope:
    """The lines `sums[n] - n leak` that are the largest somewhere: the upper convex hull of the points (n, sums[n])."""
    kept: list[tuple[int, int]] = []
    for frames, bits in enumerate(sums):
        while len(kept) > 1 and _needless(kept[-2], kept[-1], (bits, frames)):
            kept.pop()
        kept.append((bits, frames))
    return Envelope(tuple(kept))


def _needless(before: tuple[int, int], line: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether a line is nowhere above both of its neighbours."""
    rise, run = line[0] - before[0], line[1] - before[1]
    return rise * (after[1] - before[1]) <= (after[0] - before[0]) * run
