"""The causal encoder: one slot of four frames, and what it remembers of the slot before, to tokens and latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.blocks import Down, Residual, TemporalMix, activate, convolution, residuals
from tvc.config import HAAR_CHANNELS, TOKEN_BLOCKS, ModelConfig
from tvc.haar import Planes, analyse, usual_sizes

_SPREAD = 3.0
"""Factor on the first latents, whose deviation would be about that of the coefficients: 1."""

EncoderState = tuple[Tensor, Tensor]
"""Features of the previous slot at 1/8 and 1/16."""


class Latents(nn.Module):
    """The encoder's latents branch: what the picture is, seen beside the features that the tokens are made of.

    A branch of its own: what a head on the tokens' features can say is what the tokens say already.

    Args:
        config: the model's sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        quarter, eighth, sixteenth = config.latent_widths
        self.stem = convolution(HAAR_CHANNELS, quarter)
        self.at4 = Residual(quarter)
        self.to8 = Down(quarter, eighth)
        self.at8 = Residual(eighth)
        self.to16 = Down(eighth, sixteenth)
        self.tokens = convolution(config.widths[2], sixteenth, 1, activated=True)
        self.at16 = Residual(sixteenth)
        self.head = convolution(sixteenth, config.latents, activated=True)
        # A linear transform of each block: training starts from there.
        self.shortcut = convolution(HAAR_CHANNELS * TOKEN_BLOCKS**2, config.latents, 1)
        with torch.no_grad():
            # Latents that drown in the noise of their own steps teach the control branch to ignore them.
            self.shortcut.weight.mul_(_SPREAD)

    def forward(self, haar: Tensor, features: Tensor) -> Tensor:
        """Coefficients (B, 96, H/4, W/4), activated features of the tokens -> latents (B, latents, H/16, W/16)."""
        x = self.to8(self.at4(self.stem(haar)))
        x = self.to16(self.at8(x)) + self.tokens(features)
        latents: Tensor = self.head(activate(self.at16(x))) + self.shortcut(
            functional.pixel_unshuffle(haar, TOKEN_BLOCKS)
        )
        return latents


class Encoder(nn.Module):
    """Haar coefficients to FSQ activations and continuous latents at 1/16.

    Causal over slots as in MAGVIT-v2 (arXiv 2310.05737), here by a recurrent state instead of causal
    3-D convolutions, so that a slot costs the same however long the video is.

    Args:
        config: the model's sizes.
    """

    sizes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        quarter, eighth, sixteenth = config.widths
        self.register_buffer("sizes", usual_sizes(), persistent=False)
        self.stem = convolution(HAAR_CHANNELS, quarter)
        self.at4 = residuals(quarter, config.encoder_blocks[0])
        self.to8 = Down(quarter, eighth)
        self.mix8 = TemporalMix(eighth) if config.temporal else None
        self.at8 = residuals(eighth, config.encoder_blocks[1])
        self.to16 = Down(eighth, sixteenth)
        self.mix16 = TemporalMix(sixteenth) if config.temporal else None
        self.at16 = residuals(sixteenth, config.encoder_blocks[2])
        # Brightness, colour and slope reach the tokens without passing the stack: training starts from there.
        self.shortcut = convolution(HAAR_CHANNELS, len(config.levels), 1)
        self.tokens = convolution(sixteenth, len(config.levels), activated=True)
        self.latents = Latents(config) if config.continuous else None

    def forward(self, frames: Planes, state: EncoderState | None) -> tuple[Tensor, Tensor | None, EncoderState]:
        """Planes of one slot -> activations (B, D, H/16, W/16), latents (B, latents, H/16, W/16), state."""
        haar = analyse(frames) / self.sizes  # (B, 96, H/4, W/4)
        coarse = self.shortcut(functional.avg_pool2d(haar, TOKEN_BLOCKS))  # (B, D, H/16, W/16)
        x = self.at4(self.stem(haar))
        x = self.to8(x)  # (B, 192, H/8, W/8)
        if self.mix8 is not None:
            x = self.mix8(x, None if state is None else state[0])
        remembered8 = x = self.at8(x)
        x = self.to16(x)  # (B, 256, H/16, W/16)
        if self.mix16 is not None:
            x = self.mix16(x, None if state is None else state[1])
        remembered16 = x = self.at16(x)
        features = activate(x)
        latents = None if self.latents is None else self.latents(haar, features)
        return self.tokens(features) + coarse, latents, (remembered8, remembered16)
