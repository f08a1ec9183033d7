"""Stands for LPIPS, whose weights not every machine has."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.training.adversary import CHANNELS


class Pyramid(nn.Module):
    """Random features of VGG's sizes."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        for level, count in enumerate((*CHANNELS, 16)):
            self.register_buffer(f"kernel{level}", torch.randn(count, 3, 3, 3, generator=generator) / 5)

    def features(self, pictures: Tensor) -> list[Tensor]:
        kernels = enumerate(self.buffers())
        return [functional.conv2d(functional.avg_pool2d(pictures, 2**n), k, padding=1).relu() for n, k in kernels]

    def between(self, reference: list[Tensor], other: list[Tensor]) -> Tensor:
        pairs = zip(reference, other, strict=True)
        return torch.stack([(one - two).square().mean(dim=(1, 2, 3)) for one, two in pairs]).sum(dim=0)

    def forward(self, reference: Tensor, other: Tensor) -> Tensor:
        return self.between(self.features(reference), self.features(other))
