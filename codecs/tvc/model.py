"""The whole model: encoder, tokens, decoder, masked-token predictor and the two context models."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tvc.config import ModelConfig, Precision
from tvc.context import DiscreteContext
from tvc.fsq import FSQ
from tvc.fusion import Decoder, Features
from tvc.haar import Planes
from tvc.latent_context import ContinuousContext
from tvc.predictor import Predictor
from tvc.tokenizer import Encoder, EncoderState


class DecoderState(NamedTuple):
    """What the decoder remembers of the previous slot."""

    features: Features
    values: Tensor


class TVC(nn.Module):
    """Frames to tokens and latents and back, one slot of four frames at a time.

    Args:
        config: sizes and switches.

    Attributes:
        precision: of `place_slot`, `encode_slot` and `decode_slot`.
    """

    precision: Precision = "float32"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.fsq = FSQ(config.levels)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.predictor = Predictor(config) if config.predictor else None
        self.discrete_context = DiscreteContext(config)
        self.continuous_context = ContinuousContext(config) if config.continuous else None

    def new_encoder_state(self) -> EncoderState | None:
        """The state after an intra reset."""
        return None

    def new_decoder_state(self) -> DecoderState | None:
        """The state after an intra reset."""
        return None

    def tokenize(self, frames: Planes, state: EncoderState | None) -> tuple[Tensor, Tensor | None, EncoderState]:
        """Frames of one slot -> FSQ values (B, D, h, w) with gradients, latents or None, state."""
        activations, latents, state = self.encoder(frames, state)
        return self.fsq(activations), None if latents is None else latents.float(), state

    def reconstruct(
        self, values: Tensor, mask: Tensor | None, latents: Tensor | None, state: DecoderState | None
    ) -> tuple[Planes, DecoderState, Tensor | None]:
        """Values (B, D, h, w), mask (B, 1, h, w) or None, latents or None -> planes, state, predictor's logits."""
        logits = None
        if mask is None:
            masked = values.new_zeros(values.shape[0], 1, *values.shape[2:])
        else:
            masked = mask.to(values.dtype)
            if self.predictor is not None:
                values, logits = self.predictor(values, masked, None if state is None else state.values)
        planes, features = self.decoder(values, masked, latents, None if state is None else state.features)
        return planes, DecoderState(features, values), logits

    @torch.inference_mode()
    def place_slot(self, frames: Planes, state: EncoderState | None) -> tuple[Tensor, Tensor | None, EncoderState]:
        """As `encode_slot`, but with codes as they are before rounding: float (B, D, H/16, W/16)."""
        with self._arithmetic(frames[0].device):
            activations, latents, state = self.encoder(frames, state)
        return self.fsq.places(activations), None if latents is None else latents.float(), state

    @torch.inference_mode()
    def encode_slot(self, frames: Planes, state: EncoderState | None) -> tuple[Tensor, Tensor | None, EncoderState]:
        """Encodes four frames whose height and width are multiples of 16.

        Args:
            frames: Y (B, 4, H, W), Cb and Cr (B, 4, H/2, W/2), (code - 128) / 128.
            state: what the previous call returned, or `new_encoder_state()`.

        Returns:
            Codes int64 (B, D, H/16, W/16), latents float (B, latents, H/16, W/16) or None where the
            model has no continuous stream, and the state for the next slot.
        """
        places, latents, state = self.place_slot(frames, state)
        return places.round().long(), latents, state

    @torch.inference_mode()
    def decode_slot(
        self, codes: Tensor, mask: Tensor | None, latents: Tensor | None, state: DecoderState | None
    ) -> tuple[Planes, DecoderState]:
        """Decodes four frames.

        Args:
            codes: int64 (B, D, h, w); both sides' guess where masked.
            mask: bool (B, 1, h, w), True where the code was not sent; None: all were.
            latents: float (B, latents, h, w), or None: no continuous stream.
            state: what the previous call returned, or `new_decoder_state()`.

        Returns:
            Y (B, 4, 16h, 16w), Cb and Cr (B, 4, 8h, 8w) in about [-1, 1], and the state for the next slot.
        """
        with self._arithmetic(codes.device):
            planes, state, _ = self.reconstruct(self.fsq.values(codes), mask, latents, state)
        return planes, state

    def _arithmetic(self, device: torch.device) -> AbstractContextManager[object]:
        # Float32 is what a caller has, who may be within an autocast of his own.
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()
