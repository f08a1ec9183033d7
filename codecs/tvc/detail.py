"""Detail: what the decoder's frames have lost of the source's finest contrast is given back.

A decoder that was trained on the mean of what may have been there draws too softly, now more, now less. So the encoder
says how strong the two finest octaves of luma are in the source, and the decoder amplifies its own towards that: the
shape is the decoder's, the strength the source's. (Audio codecs keep the energy of bands so: Valin et al., "The Opus
codec", AES 135, 2013.) Floating point: it reaches pixels only, never the entropy decoder.

The octaves are those of an a trous wavelet transform with a cubic B-spline (Starck and Murtagh, "Astronomical Image and
Data Analysis", 2006): differences of ever smoother pictures, all of the size of the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

OCTAVES = 2
LEVELS = 64
"""Strengths are told in so many levels; the lowest one tells nothing."""
_STEPS = 8
"""Levels by which strengths differ that are an octave apart."""
_WEAKEST = 2.0**-2
"""Root of the mean square at level 0, in units of 8-bit samples."""

Kind = Literal["tokens", "masked", "latents"]
"""What a slot was decoded from: tokens alone, tokens of which some are masked, tokens with latents."""

_SHARES: dict[Kind, tuple[float, ...]] = {"latents": (0.8,), "tokens": (0.7, 0.6), "masked": (0.4, 0.8)}
"""What is given back of the lost strength of each octave: not all of it, for what is drawn wrong is amplified too."""
_LARGEST_GAIN = 1.5
_TINY = 2.0**-10


def strengths(luma: Tensor) -> tuple[float, ...]:
    """How strong the octaves are, in levels before rounding and without bounds.

    Args:
        luma: (T, H, W) float, (code - 128) / 128.

    Returns:
        OCTAVES of them, finest first.
    """
    return tuple(_STEPS * math.log2(128 * _strength(octave) / _WEAKEST) for octave in _octaves(luma))


def restored(luma: Tensor, levels: tuple[int, ...], kind: Kind) -> Tensor:
    """Decoded luma of a slot with more of the source's detail; where it has as much, nothing changes.

    Args:
        luma: (1, T, H, W), at the size of the video.
        levels: OCTAVES of them, what `strengths` says of the source, rounded to 0 ... 63; of 0 nothing is given back.
        kind: what it was decoded from.

    Returns:
        (1, T, H, W).
    """
    result = luma
    # Shares first: octaves without one are not computed.
    for share, level, octave in zip(_SHARES[kind], levels, _octaves(luma[0]), strict=False):
        if level:
            told = _WEAKEST / 128 * 2 ** (level / _STEPS)
            result = result + min(max(share * (told / _strength(octave) - 1), 0.0), _LARGEST_GAIN) * octave
    return result


def _octaves(luma: Tensor) -> Iterator[Tensor]:
    """The octaves (T, H, W), finest first, each computed when it is asked for."""
    for octave in range(OCTAVES):
        smooth = _smoothed(luma, 2**octave)
        yield luma - smooth
        luma = smooth


def _smoothed(luma: Tensor, spacing: int) -> Tensor:
    """(T, H, W) filtered by 1 4 6 4 1 both ways, taps `spacing` samples apart, edges repeated."""
    for axis, edges in ((1, (0, 0, 2 * spacing, 2 * spacing)), (2, (2 * spacing, 2 * spacing, 0, 0))):
        padded = functional.pad(luma[:, None], edges, mode="replicate")[:, 0]
        taps = [padded.narrow(axis, tap * spacing, luma.shape[axis]) for tap in range(5)]
        luma = (taps[0] + taps[4]).add_(taps[1] + taps[3], alpha=4).add_(taps[2], alpha=6).mul_(1 / 16)
    return luma


def _strength(octave: Tensor) -> float:
    # In float64 the order of summation, and so the number of threads, makes no difference that a sample could show.
    power = float((octave * octave).sum(dtype=torch.float64)) / octave.numel()
    return max(math.sqrt(power), _TINY)
