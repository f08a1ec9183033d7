"""Orthonormal Haar analysis of a slot: 4x4 luma and 2x2 chroma over four frames become 96 channels.

A fixed, exactly invertible front end (Haar 1910; used so by Cosmos Tokenizer, arXiv 2501.03575) that
takes the first factor of four in space and time from the networks.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from tvc.config import HAAR_CHANNELS, SLOT_FRAMES

Planes = tuple[Tensor, Tensor, Tensor]
"""Y (B, 4, H, W), Cb and Cr (B, 4, H/2, W/2) of one slot, float, (code - 128) / 128."""


@cache
def _matrices(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The 4-point and the 2-point orthonormal Haar transform, rows are basis vectors; made once for each device."""
    root = 0.5**0.5
    rows = ((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, -0.5, -0.5), (root, -root, 0, 0), (0, 0, root, -root))
    with torch.inference_mode(False):
        four, two = torch.tensor(rows), torch.tensor(((root, root), (root, -root)))
        return four.to(device, dtype), two.to(device, dtype)


def analyse(planes: Planes) -> Tensor:
    """Planes with H and W multiples of 4 -> (B, 96, H/4, W/4)."""
    y, cb, cr = planes
    batch, _, height, width = y.shape
    h4, h2 = _matrices(y.device, y.dtype)
    blocks = y.reshape(batch, SLOT_FRAMES, height // 4, 4, width // 4, 4)
    luma = torch.einsum("at,bi,cj,ntyixj->nabcyx", h4, h4, h4, blocks)  # (B, 4, 4, 4, H/4, W/4)
    parts = [luma.reshape(batch, 64, height // 4, width // 4)]
    for plane in (cb, cr):
        blocks = plane.reshape(batch, SLOT_FRAMES, height // 4, 2, width // 4, 2)
        chroma = torch.einsum("at,bi,cj,ntyixj->nabcyx", h4, h2, h2, blocks)  # (B, 4, 2, 2, H/4, W/4)
        parts.append(chroma.reshape(batch, 16, height // 4, width // 4))
    return torch.cat(parts, dim=1)


def synthesise(coefficients: Tensor) -> Planes:
    """The exact inverse of `analyse`: (B, 96, h, w) -> planes with H = 4h, W = 4w."""
    batch, channels, h, w = coefficients.shape
    if channels != HAAR_CHANNELS:
        raise ValueError(f"{HAAR_CHANNELS} channels are needed, not {channels}")
    h4, h2 = _matrices(coefficients.device, coefficients.dtype)
    luma, cb, cr = torch.split(coefficients, [64, 16, 16], dim=1)
    blocks = luma.reshape(batch, 4, 4, 4, h, w)
    y = torch.einsum("at,bi,cj,nabcyx->ntyixj", h4, h4, h4, blocks).reshape(batch, SLOT_FRAMES, 4 * h, 4 * w)

    def chroma(part: Tensor) -> Tensor:
        spread = torch.einsum("at,bi,cj,nabcyx->ntyixj", h4, h2, h2, part.reshape(batch, 4, 2, 2, h, w))
        return spread.reshape(batch, SLOT_FRAMES, 2 * h, 2 * w)

    return y, chroma(cb), chroma(cr)


def usual_sizes() -> Tensor:
    """About the root mean square of each coefficient in natural video: (1, 96, 1, 1).

    A product over the axes of what was measured on the training material. Networks read and write
    coefficients in these units, or the mean brightness would drown everything else.
    """
    time = torch.tensor((1.0, 0.4, 0.25, 0.25))
    fine, coarse = torch.tensor((1.0, 0.4, 0.2, 0.2)), torch.tensor((1.0, 0.3))
    luma = torch.einsum("a,b,c->abc", time, fine, fine).flatten()
    chroma = 0.14 * torch.einsum("a,b,c->abc", time, coarse, coarse).flatten()
    luma[0], chroma[0] = 4.0, 0.7
    return torch.cat((luma, chroma, chroma)).reshape(1, -1, 1, 1)
