"""Finite scalar quantisation (Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv 2309.15505).

Each dimension of a token is bounded to its number of levels and rounded; no codebook is learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPSILON = 1e-3


class FSQ(nn.Module):
    """Rounds bounded activations to `levels[d]` values in dimension d.

    Codes are level indices 0 ... L-1; values are (code - L // 2) / (L // 2), within [-1, 1].

    Args:
        levels: number of levels per dimension.
    """

    reach: Tensor
    offset: Tensor
    shift: Tensor
    centre: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = levels
        count = torch.tensor(levels, dtype=torch.float32).reshape(1, -1, 1, 1)
        reach = (count - 1) * (1 + _EPSILON) / 2
        # An even number of levels has no middle one: the grid is moved by half a level.
        offset = torch.where(count % 2 == 0, 0.5, 0.0)
        self.register_buffer("reach", reach, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("shift", torch.atanh(offset / reach), persistent=False)
        self.register_buffer("centre", torch.div(count, 2, rounding_mode="floor"), persistent=False)

    def forward(self, activations: Tensor) -> Tensor:
        """(B, D, h, w) unbounded -> values (B, D, h, w), rounded with a straight-through gradient."""
        bounded = self._bounded(activations)
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / self.centre

    def places(self, activations: Tensor) -> Tensor:
        """(B, D, h, w) unbounded -> where they lie among the codes, float (B, D, h, w): `forward` takes the nearest."""
        return self._bounded(activations) + self.centre

    def _bounded(self, activations: Tensor) -> Tensor:
        return torch.tanh(activations.float() + self.shift) * self.reach - self.offset

    def codes(self, values: Tensor) -> Tensor:
        """Values (B, D, h, w) on the grid -> codes int64 (B, D, h, w)."""
        return (values * self.centre + self.centre).round().long()

    def values(self, codes: Tensor) -> Tensor:
        """Codes (B, D, h, w) -> values float32 (B, D, h, w)."""
        return (codes - self.centre) / self.centre
