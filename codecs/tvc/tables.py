"""Probabilities for the range coder as integer counts: the same on every machine, because nothing here is a float sum.

The two tables, powers of two and the normal distribution, are made by integer arithmetic of any length, not by a
library's `exp` or `erf`, whose last bit differs from machine to machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

TOTAL = 1 << 16
"""What the counts of one symbol's distribution add up to."""

OCTAVE = 32
"""Units of a logit that double a probability."""

SCALE_OCTAVE = 8
"""Scale bins that double a Gaussian's deviation."""

SCALES = 65
"""Bins of the deviation, from 2**-4 to 2**4 quantisation steps."""

FRACTIONS = 16
"""Positions of a Gaussian's mean between two whole numbers."""

REACH = 31
"""Largest distance of a coded latent from its whole mean."""

_EXP_ONE = 1 << 20
_EXP_RANGE = 20 * OCTAVE

_CHANCE_PARTS = 64
"""In so many parts the chance is given that a level moves."""

_CDF_STEP = 64
"""Entries of the normal table per deviation."""
_CDF_END = 6
"""Deviations beyond which the table is flat: the mass there is below 2e-9."""
_CDF_ONE = 1 << 32
_SQRT_2PI = 2506628274631000502415765284811045253006986740609938316629923576342293654607841974946595838378057266
"""sqrt(2 pi) * 10**99."""


def softmax_counts(logits: Ints) -> Ints:
    """Counts in proportion to 2**(logit / 32), each at least 1, summing to 65,536.

    Args:
        logits: (N, symbols), fewer than 1,024 symbols.
    """
    depth = np.minimum(logits.max(axis=1, keepdims=True) - logits, _EXP_RANGE)
    powers: Ints = _powers()[depth]
    return _counts(powers)


@cache
def gaussian_counts() -> Ints:
    """Counts of every Gaussian that the continuous stream uses: (SCALES, FRACTIONS, 2 * REACH + 1).

    Entry [b, f, r] is the count of a symbol at distance r - REACH from the whole mean, where the mean lies
    (f - FRACTIONS / 2) / FRACTIONS beside it and the deviation is 2**((b - 32) / 8).
    """
    normal = _normal()
    # The inverse deviations in units of 2**-12: 2**((32 - b) / 8).
    inverse = np.array([root(8, 32 - b + 12 * 8) for b in range(SCALES)])
    edges = FRACTIONS * np.arange(-REACH, REACH + 2) - FRACTIONS // 2  # in units of 1/16
    shifts = np.arange(FRACTIONS) - FRACTIONS // 2
    # In units of 2**-16 deviations: (SCALES, FRACTIONS, edges).
    z = (edges - shifts[:, None]) * inverse[:, None, None]
    below = np.clip(z + (_CDF_END << 16), 0, (2 * _CDF_END << 16) - 1)
    index, rest = below // (65536 // _CDF_STEP), below % (65536 // _CDF_STEP)
    cdf = normal[index] + (normal[index + 1] - normal[index]) * rest // (65536 // _CDF_STEP)
    mass = np.diff(cdf, axis=-1).reshape(SCALES * FRACTIONS, -1)
    return _counts(mass >> 12).reshape(SCALES, FRACTIONS, -1)


@cache
def near_counts(levels: int, twice: int | None, decay: tuple[int, int]) -> Ints:
    """Counts (1, levels) of a level that is likely to be near to an expected one; all the same where there is none.

    Args:
        levels: how many there are.
        twice: the expected level, times two; beyond the ends it counts as the end.
        decay: numerator and denominator of how likely a level is beside one that is half a level nearer.
    """
    if twice is None:
        return _counts(np.ones((1, levels), np.int64))
    middle = min(max(twice, 0), 2 * levels - 2)
    distances = [abs(2 * level - middle) for level in range(levels)]
    return _counts(np.array([[(decay[0] ** far << 20) // decay[1] ** far for far in distances]]))


@cache
def moved_counts(levels: int) -> Ints:
    """Counts of a level by what it was: (64, levels, levels).

    Entry [c, b] is of a level that was b and moves with a chance of c / 64, by d levels with a weight of 3**-d.
    """
    number = np.arange(levels)
    moves = np.array([(1 << 20) // 3**move if move else 0 for move in range(levels)])[np.abs(number[:, None] - number)]
    chances = np.arange(_CHANCE_PARTS)[:, None, None]
    stays = (_CHANCE_PARTS - chances) * moves.sum(axis=1)[:, None] * np.eye(levels, dtype=np.int64)
    return _counts((chances * moves + stays).reshape(-1, levels)).reshape(_CHANCE_PARTS, levels, levels)


def steps(index: int) -> tuple[int, int]:
    """A quantisation step of 2**(index / 8), and its inverse, as fixed-point integers.

    Returns:
        The step in units of 2**-8 and the inverse step in units of 2**-15.
    """
    return root(8, index + 8 * 8), root(8, -index + 15 * 8)


def _counts(weights: Ints) -> Ints:
    symbols = weights.shape[1]
    counts: Ints = 1 + weights * (TOTAL - symbols) // weights.sum(axis=1, keepdims=True)
    rows = np.arange(len(counts))
    # What the divisions dropped goes to the likeliest symbol, the first of them where two are equal.
    counts[rows, weights.argmax(axis=1)] += TOTAL - counts.sum(axis=1)
    return counts


@cache
def _powers() -> Ints:
    """2**20 * 2**(-d / 32), rounded, for d = 0..639; 0 at the end."""
    return np.array([root(OCTAVE, 20 * OCTAVE - d) for d in range(_EXP_RANGE)] + [0])


def root(degree: int, exponent: int) -> int:
    """2**(exponent / degree), rounded to a whole number, exactly."""
    guess = round(2 ** (exponent / degree))
    while (2 * guess - 1) ** degree > 1 << (exponent + degree):
        guess -= 1
    while (2 * guess + 1) ** degree <= 1 << (exponent + degree):
        guess += 1
    return guess


@cache
def _normal() -> Ints:
    """The normal distribution function from -6 to 6 in steps of 1/64, in units of 2**-32."""
    one = 1 << 128
    half = []
    for i in range(_CDF_END * _CDF_STEP + 1):
        # Abramowitz and Stegun 26.2.10: sum of (-1)**n z**(2n + 1) / (n! 2**n (2n + 1)), over sqrt(2 pi).
        power, total, n = one * i // _CDF_STEP, 0, 0
        while power:
            total += (-1) ** n * power // (2 * n + 1)
            n += 1
            power = power * i * i // (_CDF_STEP * _CDF_STEP * 2 * n)
        half.append(round_shift(total * 10**99 // _SQRT_2PI, 128 - 32))
    upper = np.array(half) + _CDF_ONE // 2
    return np.concatenate((_CDF_ONE - upper[:0:-1], upper))


def round_shift(value: int, bits: int) -> int:
    """`value / 2**bits`, rounded half up."""
    return (value + (1 << (bits - 1))) >> bits
