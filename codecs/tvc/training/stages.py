"""The stages of training: which parts learn from what.

1. discrete: encoder, FSQ and decoder trunk, no masks, no latents.
2. latents: latents, control branch and their context model alone, first by sample errors: they learn slowly under a
   perceptual loss. What is decoded without latents stays as it was.
3. decoder: they, the decoder and the predictor, on the frozen tokens.
4. continuous: they and the rest; half of the batches go without latents.
5. masks: decoder and predictor learn to live with guesses.
6. joint: 4 and 5 at once, for budgets too short for one after the other.
7. context: the integer context models, on the frozen tokens and latents of the model.
8. adversarial: the control branch alone, with an adversary beside LPIPS (adversary.py). Everything else is frozen: what
   is sent stays as it was, and so does what is decoded without latents.
9. whole: everything at once, with the bits of the tokens in the loss: for a GPU and large batches.

A context model that is among the parts learns along from what is coded: nothing else hears that loss, and its weight is
small so that it takes no part in the limit on the gradient's length. With `discrete_context` learning, the encoder
hears what its tokens cost.

Tokens are those that the encoder sends with the context model at hand, and masked where it masks them: a model whose
context model has not been trained masks nothing, so `context` comes before masks too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from tvc.model import TVC


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as `--stage` names it.
        parts: the modules of the model that learn.
        latents: share of batches that carry the continuous stream.
        masks: share of the other batches that carry masks.
        fidelity: factor on sample errors where latents are sent: what is not made up is what they are for. It falls
            with latents in steps above 2, which tell little.
        rate: weight of the continuous stream's bits per pixel at its end, for latents in steps of 1, and in proportion
            to the step: where bits are few, each is worth more. It grows from zero, see `_ramp`.
        tokens: weight of the bits of a token.
        adversary: length of the adversary's gradient, as a multiple of that of LPIPS; 0: there is none.
    """

    name: str
    parts: tuple[str, ...]
    latents: float = 0.0
    masks: float = 0.0
    fidelity: float = 1.0
    rate: float = 0.0
    tokens: float = 0.0
    adversary: float = 0.0

    @property
    def hears_bits(self) -> bool:
        """Whether the encoder can be told what its tokens cost."""
        return {"encoder", "discrete_context"} <= set(self.parts)


CONTEXTS = ("discrete_context", "continuous_context")
"""The context models, by name."""

STAGES = {
    stage.name: stage
    for stage in (
        Stage("discrete", ("encoder", "decoder")),
        Stage("latents", ("encoder.latents", "decoder.control", "continuous_context"), latents=1.0, rate=1.0),
        Stage(
            "decoder",
            ("encoder.latents", "decoder", "predictor", "continuous_context"),
            latents=0.55,
            masks=0.55,
            rate=1.0,
            fidelity=4.0,
        ),
        Stage("continuous", ("encoder", "decoder", "continuous_context"), latents=0.5, rate=0.3),
        Stage("masks", ("decoder", "predictor"), latents=0.3, masks=0.8),
        Stage(
            "joint",
            ("encoder", "decoder", "predictor", "continuous_context"),
            latents=0.3,
            masks=0.35,
            rate=0.3,
        ),
        Stage("context", ("discrete_context", "continuous_context"), latents=1.0),
        Stage("adversarial", ("decoder.control",), latents=1.0, fidelity=3.0, adversary=0.7),
        Stage(
            "whole",
            ("encoder", "decoder", "predictor", *CONTEXTS),
            latents=0.45,
            masks=0.5,
            rate=4.0,
            tokens=0.04,
            fidelity=3.0,
        ),
    )
}

STEPS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Quantisation steps of the latents that training draws from."""

_CATCH_UP = {
    "predictor.gate": 20.0,
    "predictor.": 2.0,
    "encoder.latents.": 2.0,
    "decoder.control.": 2.0,
    "continuous_context.": 4.0,
    "discrete_context.": 4.0,
}
"""Factors on the learning rate, by the beginning of a parameter's name: these join a trunk that is trained. The gate is
six numbers that must go from 0 to about 1."""

LATENT_BITS = 0.3
"""Weight of the latents' bits beside those of the tokens, for the context models."""


def parameters(model: TVC, stage: Stage) -> list[dict[str, Any]]:
    """Groups of the parameters that the stage trains, each with `scale`, its factor on the learning rate.

    Every other parameter is frozen.
    """
    model.requires_grad_(False)
    modules = dict(model.named_modules())
    for name in stage.parts:
        if name in modules:
            modules[name].requires_grad_(True)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factors = (factor for start, factor in _CATCH_UP.items() if name.startswith(start))
            # Where there are only context models to learn, the learning rate is that of the tokens'.
            alone = stage.name == "context" and name.startswith("discrete_context.")
            groups.setdefault(1.0 if alone else next(factors, 1.0), []).append(parameter)
    return [{"params": members, "scale": scale} for scale, members in groups.items()]
