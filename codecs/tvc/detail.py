"""Detail: the decoder's frames are given the strength of the source's finest contrast.

A decoder that was trained on the mean of what may have been there draws too softly, here more, there less; and where it
draws a texture that is not there, too strongly. So the encoder says, cell by cell, how strong the two finest octaves of
luma are in the source, and the decoder brings its own towards that: the shape is the decoder's, the strength the
source's. (Audio codecs keep the energy of bands so: Valin et al., "The Opus codec", AES 135, 2013.) Floating point: it
reaches pixels only, never the entropy decoder.

The octaves are those of an a trous wavelet transform with a cubic B-spline (Starck and Murtagh, "Astronomical Image and
Data Analysis", 2006): differences of ever smoother pictures, all of the size of the video.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tvc.operating import Kind
from tvc.tables import Ints

OCTAVES = 2
LEVELS = 20
"""Strengths are told in so many levels: the strongest is beyond what 8-bit samples can have."""
_STEPS = 2
"""Levels by which strengths differ that are an octave apart."""
_WEAKEST = 2.0**-2
"""Root of the mean square at level 0, in units of 8-bit samples; level 0 stands for less, too."""

_SIDES: dict[Kind, int] = {"latents": 3, "tokens": 3, "masked": 4}
"""Tokens along a side of a cell. That of tokens with latents is that of tokens alone: latents may be dropped."""
_SHARES: dict[Kind, tuple[float, ...]] = {"latents": (1.0, 0.5), "tokens": (0.8, 0.8), "masked": (0.6, 0.8)}
"""How far each octave is brought towards its strength in the source: mostly not all the way, for what is drawn wrong is
amplified too."""
_LARGEST_GAIN = 1.5
"""As much is added of an octave at most."""
_TINY = 2.0**-10
"""What is weaker counts as this strong: an eighth of an 8-bit sample."""

Strengths = dict[int, NDArray[np.float32]]
"""By side of the cells in tokens: (OCTAVES, rows, columns), in levels before rounding and without bounds."""


def cells(kind: Kind, tokens: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of cells in a slot of so many rows and columns of tokens."""
    return _cells(_SIDES[kind], tokens)


def of_cells(kind: Kind, measured: Strengths) -> NDArray[np.float32]:
    """What was measured in the cells of a kind; without any where nothing is to be said."""
    return measured.get(_SIDES[kind], np.zeros((OCTAVES, 0, 0), np.float32))


def strengths(luma: Tensor, tokens: tuple[int, int]) -> Strengths:
    """How strong the octaves are, finest first, in cells of every size that there is.

    Args:
        luma: (T, H, W) float, (code - 128) / 128.
        tokens: rows and columns of them.
    """
    powers = [_power(octave) for octave in _octaves(luma)]
    told: Strengths = {}
    for side in sorted(set(_SIDES.values())):
        roots = np.stack([_roots(power, _cells(side, tokens)) for power in powers])
        told[side] = (_STEPS * np.log2(128 / _WEAKEST * roots)).astype(np.float32)
    return told


def restored(luma: Tensor, levels: Ints, kind: Kind) -> Tensor:
    """Decoded luma of a slot with detail as strong as the source's; where it is, nothing changes.

    Args:
        luma: (1, T, H, W), at the size of the video.
        levels: (OCTAVES, rows, columns), what `strengths` says of the source's cells, rounded, 0 ... LEVELS - 1.
        kind: what it was decoded from.

    Returns:
        (1, T, H, W).
    """
    result = luma
    for share, told, octave in zip(_SHARES[kind], levels, _octaves(luma[0]), strict=True):
        own = _roots(_power(octave), (told.shape[0], told.shape[1]))
        gains = np.minimum(share * (_WEAKEST / 128 * 2.0 ** (told / _STEPS) / own - 1), _LARGEST_GAIN)
        # Cells are squares that the picture is divided into: between their middles gains change evenly.
        spread = functional.interpolate(
            torch.from_numpy(gains).float()[None, None], luma.shape[2:], mode="bilinear", align_corners=False
        )
        result = result + spread * octave
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


def _power(octave: Tensor) -> Tensor:
    """Mean square over time (H, W), float64: then the order in which cells are summed shows in no sample."""
    return octave.square().mean(dim=0).double()


def _roots(power: Tensor, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Root of the mean square in each cell: (rows, columns)."""
    pooled: NDArray[np.float64] = functional.adaptive_avg_pool2d(power[None, None], shape)[0, 0].sqrt().numpy()
    return np.maximum(pooled, _TINY)


def _cells(side: int, tokens: tuple[int, int]) -> tuple[int, int]:
    return -(-tokens[0] // side), -(-tokens[1] // side)
