"""The decoder: a discrete trunk, and a control branch that adds the continuous stream at three scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.blocks import Residual, TemporalMix, Up, activate, convolution, residuals, zero
from tvc.config import HAAR_CHANNELS, SLOT_FRAMES, TOKEN_BLOCKS, ModelConfig
from tvc.haar import Planes, synthesise, usual_sizes

Features = tuple[Tensor, Tensor, Tensor]
"""Features at 1/16, 1/8 and 1/4."""


class Control(nn.Module):
    """Continuous latents to additions at 1/16, 1/8 and 1/4.

    After ControlNet (Zhang et al., arXiv 2302.05543): each addition passes a zero-initialised
    convolution, so that the trunk starts as it was trained without it. So does the way past the trunk, from each
    latent straight to the coefficients around it: what a transform coder would do, and what is learned first.

    Args:
        config: the model's sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        quarter, eighth, sixteenth = config.widths
        narrow4, narrow8, narrow16 = config.control_widths
        self.stem = convolution(config.latents, narrow16)
        self.at16 = Residual(narrow16)
        self.to8 = Up(narrow16, narrow8)
        self.at8 = Residual(narrow8)
        self.to4 = Up(narrow8, narrow4)
        self.at4 = Residual(narrow4)
        self.zero16 = zero(convolution(narrow16, sixteenth))
        self.zero8 = zero(convolution(narrow8, eighth))
        self.zero4 = zero(convolution(narrow4, quarter))
        self.direct = zero(convolution(config.latents, HAAR_CHANNELS * TOKEN_BLOCKS**2))

    def forward(self, latents: Tensor) -> tuple[Features, Tensor]:
        """Latents (B, latents, h, w) -> additions at 1/16, 1/8 and 1/4, and to the coefficients at 1/4."""
        x16 = self.at16(self.stem(latents))
        x8 = self.at8(self.to8(x16))
        x4 = self.at4(self.to4(x8))
        features = self.zero16(activate(x16)), self.zero8(activate(x8)), self.zero4(activate(x4))
        return features, functional.pixel_shuffle(self.direct(latents), TOKEN_BLOCKS)


class Refine(nn.Module):
    """A light correction after synthesis that smooths the 4x4 grid of the Haar blocks.

    Works on full-resolution samples gathered 2x2 into channels (Y of four frames: 16, chroma: 8), which
    costs a fourth of convolutions over single samples; each 3x3 reaches 6x6 luma samples over all four frames.

    Args:
        width: channels inside.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(6 * SLOT_FRAMES, width)
        self.second = convolution(width, width, activated=True)
        self.last = zero(convolution(width, 6 * SLOT_FRAMES))

    def forward(self, planes: Planes) -> Planes:
        """Planes of one slot -> the same shapes."""
        y, cb, cr = planes
        x = torch.cat((functional.pixel_unshuffle(y, 2), cb, cr), dim=1)  # (B, 24, H/2, W/2)
        x = self.last(activate(self.second(activate(self.first(x)))))
        luma, blue, red = x.split((4 * SLOT_FRAMES, SLOT_FRAMES, SLOT_FRAMES), dim=1)
        return y + functional.pixel_shuffle(luma, 2), cb + blue, cr + red


class Decoder(nn.Module):
    """FSQ values, the mask and optional latents to the planes of one slot.

    Args:
        config: the model's sizes.
    """

    sizes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        quarter, eighth, sixteenth = config.widths
        blocks4, blocks8, blocks16 = config.decoder_blocks
        self.stem = convolution(len(config.levels) + 1, sixteenth)
        self.at16 = residuals(sixteenth, blocks16)
        self.to8 = Up(sixteenth, eighth)
        self.at8 = residuals(eighth, blocks8)
        self.to4 = Up(eighth, quarter)
        self.at4 = residuals(quarter, blocks4)
        # 3x3: a 1x1 head decodes each 4x4 block alone and leaves a grid.
        self.head = convolution(quarter, HAAR_CHANNELS, activated=True)
        # Brightness and colour of a token reach the picture without passing the stack.
        self.shortcut = convolution(len(config.levels), HAAR_CHANNELS, 1)
        self.register_buffer("sizes", usual_sizes(), persistent=False)
        self.mix16 = TemporalMix(sixteenth) if config.temporal else None
        self.mix8 = TemporalMix(eighth) if config.temporal else None
        self.mix4 = TemporalMix(quarter) if config.temporal else None
        self.control = Control(config) if config.continuous else None
        self.refine = Refine(config.refine_width) if config.refine else None

    def forward(
        self, values: Tensor, mask: Tensor, latents: Tensor | None, state: Features | None
    ) -> tuple[Planes, Features]:
        """Decodes one slot.

        Args:
            values: (B, D, h, w) in [-1, 1].
            mask: (B, 1, h, w) float, 1 where the values are a prediction.
            latents: (B, latents, h, w) dequantised, or None: the control branch is off.
            state: features of the previous slot, or None after an intra reset.

        Returns:
            Y (B, 4, 16h, 16w), Cb and Cr (B, 4, 8h, 8w); and this slot's features.
        """
        control, direct = (None, 0) if latents is None or self.control is None else self.control(latents)
        x = self.stem(torch.cat((values, mask), dim=1))  # (B, 256, h, w)
        x = self._mixed(x, self.mix16, state, control, 0)
        remembered16 = x = self.at16(x)
        x = self._mixed(self.to8(x), self.mix8, state, control, 1)  # (B, 192, 2h, 2w)
        remembered8 = x = self.at8(x)
        x = self._mixed(self.to4(x), self.mix4, state, control, 2)  # (B, 96, 4h, 4w)
        remembered4 = x = self.at4(x)
        coarse = functional.interpolate(self.shortcut(values), scale_factor=4.0, mode="bilinear", align_corners=False)
        planes = synthesise((self.head(activate(x)) + coarse + direct).float() * self.sizes)
        if self.refine is not None:
            planes = self.refine(planes)
        return planes, (remembered16, remembered8, remembered4)

    @staticmethod
    def _mixed(
        x: Tensor, mix: TemporalMix | None, state: Features | None, control: Features | None, scale: int
    ) -> Tensor:
        if mix is not None:
            x = mix(x, None if state is None else state[scale])
        return x if control is None else x + control[scale]
