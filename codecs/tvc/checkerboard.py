"""The two halves in which a slot is coded, and what both context models look at it with.

The even and the odd squares of a checkerboard (He et al., "Checkerboard context model for efficient learned image
compression", CVPR 2021).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from tvc.integer import IntegerLayer, activate

TAPS = 9
"""Squares that a 3x3 layer sees."""


def halves(height: int, width: int, checkerboard: bool) -> list[Tensor]:
    """The squares of each half, in coding order: boolean maps (h, w); one map of all squares without a checkerboard."""
    if not checkerboard:
        return [torch.ones(height, width, dtype=torch.bool)]
    odd = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 1
    return [~odd, odd]


@cache
def halves_on(height: int, width: int, checkerboard: bool, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """`halves` on a device, each also as the numbers (n,) of its squares, counted in rows.

    Made once: a GPU need not wait for them, nor the processor for what a map picks there.
    """
    with torch.inference_mode(False):
        maps = halves(height, width, checkerboard)
        return [(one.to(device), one.flatten().nonzero()[:, 0].to(device)) for one in maps]


def at(x: Tensor, squares: Tensor) -> Tensor:
    """(B, C, h, w) at n squares of each map, numbered in rows -> (B * n, C)."""
    return x.flatten(2).index_select(2, squares).transpose(1, 2).flatten(0, 1)


class Trunk(nn.Module):
    """A 3x3 layer into `width` channels, then residual 3x3 layers.

    Args:
        inputs: channels in.
        width: channels out.
        terms: inputs of the first layer's dot products that are not zero, at most.
        layers: residual ones.
    """

    def __init__(self, inputs: int, width: int, terms: int, layers: int) -> None:
        super().__init__()
        self.stem = IntegerLayer(inputs, width, 3, terms)
        self.layers = nn.ModuleList(IntegerLayer(width, width, 3, gain=0.5) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Activations (B, inputs, h, w) -> (B, width, h, w)."""
        x = activate(self.stem(x))
        for layer in self.layers:
            x = activate(x + layer(x))
        return x
