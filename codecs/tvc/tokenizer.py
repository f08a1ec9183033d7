"""The causal encoder: one slot of four frames, and what it remembers of the slot before, to tokens and latents."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tvc.blocks import Down, TemporalMix, activate, convolution, residuals
from tvc.config import HAAR_CHANNELS, ModelConfig
from tvc.haar import Planes, analyse, usual_sizes

EncoderState = tuple[Tensor, Tensor]
"""Features of the previous slot at 1/8 and 1/16."""


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
        self.latents = convolution(sixteenth, config.latents, activated=True) if config.continuous else None

    def forward(self, frames: Planes, state: EncoderState | None) -> tuple[Tensor, Tensor | None, EncoderState]:
        """Planes of one slot -> activations (B, D, H/16, W/16), latents (B, latents, H/16, W/16), state."""
        x = analyse(frames) / self.sizes  # (B, 96, H/4, W/4)
        coarse = self.shortcut(functional.avg_pool2d(x, 4))  # (B, D, H/16, W/16)
        x = self.at4(self.stem(x))
        x = self.to8(x)  # (B, 192, H/8, W/8)
        if self.mix8 is not None:
            x = self.mix8(x, None if state is None else state[0])
        remembered8 = x = self.at8(x)
        x = self.to16(x)  # (B, 256, H/16, W/16)
        if self.mix16 is not None:
            x = self.mix16(x, None if state is None else state[1])
        remembered16 = x = self.at16(x)
        features = activate(x)
        latents = None if self.latents is None else self.latents(features)
        return self.tokens(features) + coarse, latents, (remembered8, remembered16)
