"""Tokenizers small enough to follow by hand, as TorchScript: means of blocks of R, G and B, in a few levels each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = [7, 5, 3]


class Pooling(nn.Module):
    """(1, 3, T, H, W) -> means (1, 3, t, h, w); a causal one keeps the first frame apart."""

    def __init__(self, temporal: int, spatial: int, causal: bool) -> None:
        super().__init__()
        self.temporal, self.spatial, self.causal = temporal, spatial, causal

    def forward(self, x: Tensor) -> Tensor:
        if not self.causal:
            return self.means(x, self.temporal)
        head = self.means(x[:, :, :1], 1)
        return head if x.shape[2] == 1 else torch.cat((head, self.means(x[:, :, 1:], self.temporal)), 2)

    def means(self, x: Tensor, temporal: int) -> Tensor:
        t, h, w = x.shape[2] // temporal, x.shape[3] // self.spatial, x.shape[4] // self.spatial
        return x.reshape(1, 3, t, temporal, h, self.spatial, w, self.spatial).mean([3, 5, 7])


class Spreading(nn.Module):
    """The way back: every mean stands for its block."""

    def __init__(self, temporal: int, spatial: int, causal: bool) -> None:
        super().__init__()
        self.temporal, self.spatial, self.causal = temporal, spatial, causal

    def forward(self, x: Tensor) -> Tensor:
        x = x.repeat_interleave(self.spatial, 3).repeat_interleave(self.spatial, 4)
        if not self.causal:
            return x.repeat_interleave(self.temporal, 2)
        return torch.cat((x[:, :, :1], x[:, :, 1:].repeat_interleave(self.temporal, 2)), 2)


class DiscreteEncoder(nn.Module):
    """Indices, codes and a loss, as Cosmos's discrete encoders give them."""

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes = (self.pooling(x) + 1) / 2
        red, green, blue = (codes[:, 0] * 6).round(), (codes[:, 1] * 4).round(), (codes[:, 2] * 2).round()
        return (red + 7 * green + 35 * blue).int(), codes, torch.zeros(1)


class DiscreteDecoder(nn.Module):
    """Indices (1, t, h, w) -> (1, 3, T, H, W)."""

    def __init__(self, spreading: Spreading) -> None:
        super().__init__()
        self.spreading = spreading

    def forward(self, indices: Tensor) -> Tensor:
        red, green, blue = (
            indices % 7,
            indices.div(7, rounding_mode="floor") % 5,
            indices.div(35, rounding_mode="floor"),
        )
        return self.spreading(torch.stack((red / 6, green / 4, blue / 2), 1) * 2 - 1)


class ContinuousEncoder(nn.Module):
    """Latents and their moments, as Cosmos's continuous encoders give them."""

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.pooling(x), (torch.zeros(1), torch.zeros(1))


class ImageEncoder(nn.Module):
    """(1, 3, H, W) -> indices (1, h, w)."""

    def __init__(self, encoder: DiscreteEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        indices, codes, loss = self.encoder(x[:, :, None])
        return indices[:, 0], codes[:, :, 0], loss


class ImageDecoder(nn.Module):
    """Indices (1, h, w) -> (1, 3, H, W)."""

    def __init__(self, decoder: DiscreteDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, indices: Tensor) -> Tensor:
        return self.decoder(indices[:, None])[:, :, 0]


def save(module: nn.Module, path: Path) -> Path:
    """Script and save a module."""
    script: Any = torch.jit.script
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script(module.eval()).save(str(path))
    return path


def make(
    folder: Path, temporal: int, spatial: int, *, causal: bool = False, kind: str = "discrete", suffix: str = ""
) -> dict[str, Path]:
    """`encoder.jit` and `decoder.jit` of a kind: discrete, continuous or image."""
    pooling, spreading = Pooling(temporal, spatial, causal), Spreading(temporal, spatial, causal)
    encoder, decoder = {
        "discrete": lambda: (DiscreteEncoder(pooling), DiscreteDecoder(spreading)),
        "continuous": lambda: (ContinuousEncoder(pooling), spreading),
        "image": lambda: (ImageEncoder(DiscreteEncoder(pooling)), ImageDecoder(DiscreteDecoder(spreading))),
    }[kind]()
    return {
        f"encoder{suffix}": save(encoder, folder / f"encoder{suffix}.jit"),
        f"decoder{suffix}": save(decoder, folder / f"decoder{suffix}.jit"),
    }
