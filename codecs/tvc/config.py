"""The shape of a tvc model: one frozen record that travels inside the weights file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from tvc.errors import WeightsError

SLOT_FRAMES = 4
"""Frames that one slot of tokens stands for."""

TOKEN_PIXELS = 16
"""Height and width in luma samples of the block that one token stands for."""

TOKEN_BLOCKS = 4
"""Haar blocks along the side of a token."""

HAAR_CHANNELS = 96
"""64 coefficients of Y, 16 of Cb and 16 of Cr: one 4x4 block over the four frames of a slot."""

Precision = Literal["float32", "bfloat16"]
"""What encoder, decoder and predictor compute in; the context models are integers either way."""


@dataclass(frozen=True)
class ModelConfig:
    """Widths, depths and switches of every network.

    Attributes:
        levels: FSQ levels per dimension of a token.
        latents: channels of the continuous latents.
        widths: feature channels at 1/4, 1/8 and 1/16 resolution.
        encoder_blocks: residual blocks of the encoder at 1/4, 1/8 and 1/16.
        decoder_blocks: residual blocks of the decoder at 1/4, 1/8 and 1/16.
        latent_widths: feature channels of the encoder's latents branch at 1/4, 1/8 and 1/16.
        control_widths: feature channels of the control branch at 1/4, 1/8 and 1/16.
        refine_width: channels of the refinement after synthesis.
        predictor_width: channels of the masked-token transformer.
        predictor_layers: its layers.
        predictor_heads: its attention heads.
        predictor_window: tokens along one side of its attention window.
        context_width: channels of the integer context models.
        temporal: features of the previous slot are mixed in (off: every slot stands alone).
        continuous: the continuous stream and the control branch exist.
        predictor: the masked-token transformer exists.
        refine: the refinement after synthesis exists.
        checkerboard: the context models code a slot in two halves (off: in one).
    """

    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    latents: int = 32
    widths: tuple[int, int, int] = (96, 192, 256)
    encoder_blocks: tuple[int, int, int] = (1, 1, 2)
    decoder_blocks: tuple[int, int, int] = (1, 2, 2)
    latent_widths: tuple[int, int, int] = (48, 96, 128)
    control_widths: tuple[int, int, int] = (48, 96, 128)
    refine_width: int = 32
    predictor_width: int = 192
    predictor_layers: int = 4
    predictor_heads: int = 6
    predictor_window: int = 8
    context_width: int = 96
    temporal: bool = True
    continuous: bool = True
    predictor: bool = True
    refine: bool = True
    checkerboard: bool = True

    def to_json(self) -> str:
        """One line of JSON, the same for equal configs on every machine."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The config that `to_json` wrote.

        Raises:
            WeightsError: not JSON, or names or kinds of values that a config does not have.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise WeightsError("the model's configuration is not JSON", got=text[:80]) from error
        defaults = asdict(cls())
        if not isinstance(values, dict) or set(values) != set(defaults):
            raise WeightsError(
                "the model's configuration has other entries than this version knows",
                expected=", ".join(sorted(defaults)),
                got=", ".join(sorted(values)) if isinstance(values, dict) else type(values).__name__,
                fix="use weights made by this version of tvc",
            )
        config = cls(
            **{field.name: _like(field.name, values[field.name], defaults[field.name]) for field in fields(cls)}
        )
        config.check()
        return config

    def check(self) -> None:
        """Raises WeightsError where a size is not one that a network can be built with."""
        sizes = (
            *self.levels,
            self.latents,
            *self.widths,
            *self.encoder_blocks,
            *self.decoder_blocks,
            *self.latent_widths,
            *self.control_widths,
            self.refine_width,
            self.predictor_width,
            self.predictor_layers,
            self.predictor_heads,
            self.predictor_window,
            self.context_width,
        )
        bounded = all(1 <= size <= 1024 for size in sizes) and all(count >= 2 for count in self.levels)
        if not bounded or not 1 <= len(self.levels) <= 16:
            raise WeightsError("a size in the model's configuration is out of range", expected="1 to 1024", got=sizes)
        if self.predictor_width % self.predictor_heads:
            raise WeightsError(
                "the predictor's width is not a multiple of its heads",
                got=f"{self.predictor_width} and {self.predictor_heads}",
            )


def _like(name: str, value: Any, default: Any) -> Any:
    """The value in the default's type, or WeightsError."""
    if isinstance(default, tuple):
        whole = isinstance(value, list) and all(type(item) is int for item in value)
        if whole and (name == "levels" or len(value) == len(default)):
            return tuple(value)
    elif type(value) is type(default):
        return value
    raise WeightsError(f"the model's configuration has a wrong {name}", expected=type(default).__name__, got=value)
