"""tvc's tokenizer as TorchScript: RGB to tokens and back, for programs that measure tokenizers.

`encoder.jit` takes (1, 3, T, H, W) in [-1, 1], T a multiple of 4, H and W of 16, and gives tokens (1, T/4, H/16, W/16)
as whole numbers, the first FSQ dimension changing fastest; `decoder.jit` takes these and gives (1, 3, T, H, W). The
first slot of each call is intra. There are no latents, no masks and no entropy coding: q 32 at scale 1 without its
bitstream, with the nearest codes.

RGB is full-range R'G'B' of ITU-R BT.709-6, whose constants stand in the code as numbers because TorchScript takes no
others. Chroma is co-sited horizontally and midway vertically, filtered linearly.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.haar import Planes
from tvc.model import TVC

_EXAMPLE = 64
"""Side of the frames that the networks are traced with; they take any other."""


def export(model: TVC, folder: Path) -> tuple[Path, Path]:
    """Write `encoder.jit` and `decoder.jit`.

    Args:
        model: the weights.
        folder: is made where it is missing.

    Returns:
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _, eighth, sixteenth = model.config.widths
    small, smaller = _EXAMPLE // 8, _EXAMPLE // TOKEN_PIXELS
    planes = (torch.zeros(1, SLOT_FRAMES, _EXAMPLE, _EXAMPLE), *(torch.zeros(1, 4, _EXAMPLE // 2, _EXAMPLE // 2),) * 2)
    past8, past16 = torch.zeros(1, eighth, small, small), torch.zeros(1, sixteenth, smaller, smaller)
    tokens = torch.zeros(1, smaller, smaller, dtype=torch.int64)
    past4 = torch.zeros(1, model.config.widths[0], 2 * small, 2 * small)
    encoder, decoder = folder / "encoder.jit", folder / "decoder.jit"
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is deprecated in PyTorch, and shapes are checked in Python while tracing.
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace
        script: Any = torch.jit.script
        encode_slot = trace(_EncodeSlot(model), (*planes, past8, past16), check_trace=False)
        script(_Encoder(encode_slot, eighth, sixteenth)).save(str(encoder))
        decode_slot = trace(_DecodeSlot(model), (tokens, past16, past8, past4), check_trace=False)
        script(_Decoder(decode_slot, *model.config.widths)).save(str(decoder))
    return encoder, decoder


class _EncodeSlot(nn.Module):
    """Planes of a slot and features of the one before -> tokens (1, h, w), features."""

    def __init__(self, model: TVC) -> None:
        super().__init__()
        self.encoder, self.fsq = model.encoder, model.fsq
        self.register_buffer("basis", _basis(model), persistent=False)

    basis: Tensor

    def forward(
        self, y: Tensor, cb: Tensor, cr: Tensor, past8: Tensor, past16: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        activations, _, (now8, now16) = self.encoder((y, cb, cr), (past8, past16))
        codes = self.fsq.codes(self.fsq(activations))  # (1, D, h, w)
        return (codes * self.basis).sum(1), now8, now16


class _DecodeSlot(nn.Module):
    """Tokens (1, h, w) of a slot and features of the one before -> planes, features."""

    def __init__(self, model: TVC) -> None:
        super().__init__()
        self.decoder, self.fsq = model.decoder, model.fsq
        self.register_buffer("basis", _basis(model), persistent=False)
        self.register_buffer("levels", torch.tensor(model.config.levels).reshape(1, -1, 1, 1), persistent=False)

    basis: Tensor
    levels: Tensor

    def forward(
        self, tokens: Tensor, past16: Tensor, past8: Tensor, past4: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        codes = torch.div(tokens[:, None], self.basis, rounding_mode="floor") % self.levels
        values = self.fsq.values(codes)
        planes, (now16, now8, now4) = self.decoder(
            values, torch.zeros_like(values[:, :1]), None, (past16, past8, past4)
        )
        return (*planes, now16, now8, now4)


class _Encoder(nn.Module):
    """The window, slot by slot; without a slot before, its features are zeros, which the networks take as none."""

    def __init__(self, slot: nn.Module, eighth: int, sixteenth: int) -> None:
        super().__init__()
        self.slot = slot
        self.eighth, self.sixteenth = eighth, sixteenth

    def forward(self, x: Tensor) -> Tensor:
        y, cb, cr = rgb_to_planes(x[0].transpose(0, 1))
        height, width = y.shape[1], y.shape[2]
        past8 = torch.zeros([1, self.eighth, height // 8, width // 8], dtype=x.dtype, device=x.device)
        past16 = torch.zeros([1, self.sixteenth, height // 16, width // 16], dtype=x.dtype, device=x.device)
        found = []
        for first in range(0, y.shape[0], 4):
            last = first + 4
            tokens, past8, past16 = self.slot(
                y[first:last][None], cb[first:last][None], cr[first:last][None], past8, past16
            )
            found.append(tokens)
        return torch.stack(found, dim=1)


class _Decoder(nn.Module):
    """Tokens of a window (1, t, h, w) -> RGB (1, 3, 4t, 16h, 16w)."""

    def __init__(self, slot: nn.Module, quarter: int, eighth: int, sixteenth: int) -> None:
        super().__init__()
        self.slot = slot
        self.quarter, self.eighth, self.sixteenth = quarter, eighth, sixteenth

    def forward(self, tokens: Tensor) -> Tensor:
        height, width = tokens.shape[2], tokens.shape[3]
        past16 = torch.zeros([1, self.sixteenth, height, width], device=tokens.device)
        past8 = torch.zeros([1, self.eighth, 2 * height, 2 * width], device=tokens.device)
        past4 = torch.zeros([1, self.quarter, 4 * height, 4 * width], device=tokens.device)
        frames = []
        for index in range(tokens.shape[1]):
            y, cb, cr, past16, past8, past4 = self.slot(tokens[:, index], past16, past8, past4)
            frames.append(planes_to_rgb(y[0], cb[0], cr[0]))
        return torch.cat(frames).transpose(0, 1)[None]


def _basis(model: TVC) -> Tensor:
    levels = torch.tensor((1, *model.config.levels[:-1]))
    return levels.cumprod(0).reshape(1, -1, 1, 1)


def rgb_to_planes(rgb: Tensor) -> Planes:
    """RGB (T, 3, H, W) in [-1, 1] -> Y (T, H, W), Cb and Cr (T, H/2, W/2), (code - 128) / 128 of limited range."""
    red, green, blue = ((rgb + 1) / 2).unbind(1)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    cb, cr = halve((blue - luma) / 1.8556), halve((red - luma) / 1.5748)
    return (16 + 219 * luma - 128) / 128, 224 * cb / 128, 224 * cr / 128


def planes_to_rgb(y: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    """The inverse of `rgb_to_planes`, clipped: planes -> (T, 3, H, W) in [-1, 1]."""
    luma = (128 * y + 128 - 16) / 219
    cb, cr = double(128 * cb / 224), double(128 * cr / 224)
    red, blue = luma + 1.5748 * cr, luma + 1.8556 * cb
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return (2 * torch.stack((red, green, blue), dim=1) - 1).clamp(-1, 1)


def halve(plane: Tensor) -> Tensor:
    """(T, H, W) -> (T, H/2, W/2): between two rows, on every other column."""
    rows = functional.pad(plane[:, None], [1, 0, 1, 1], mode="replicate")[:, 0]
    tall = 0.375 * (rows[:, 1:-1:2] + rows[:, 2::2]) + 0.125 * (rows[:, 0:-2:2] + rows[:, 3::2])
    return 0.5 * tall[:, :, 1::2] + 0.25 * (tall[:, :, 0:-1:2] + tall[:, :, 2::2])


def double(plane: Tensor) -> Tensor:
    """(T, h, w) -> (T, 2h, 2w), linearly."""
    rows = functional.pad(plane[:, None], [0, 1, 1, 1], mode="replicate")[:, 0]
    middle = 0.75 * rows[:, 1:-1]
    tall = torch.stack((middle + 0.25 * rows[:, :-2], middle + 0.25 * rows[:, 2:]), dim=2).flatten(1, 2)
    here = tall[:, :, :-1]
    return torch.stack((here, 0.5 * (here + tall[:, :, 1:])), dim=3).flatten(2, 3)
