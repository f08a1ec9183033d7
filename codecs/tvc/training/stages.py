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

A context model that is among the parts learns along from what is coded, at the side: its weight is too small to pull at
anything else. With `discrete_context` learning, the encoder hears what its tokens cost.

Tokens are those that the encoder sends with the context model at hand, and masked where it masks them: a model whose
context model has not been trained masks nothing, so `context` comes before masks too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.config import SLOT_FRAMES
from tvc.context import dequantised
from tvc.haar import Planes
from tvc.integer import through
from tvc.model import TVC, DecoderState
from tvc.operating import MULTIPLIER, POINTS
from tvc.resampling import resized
from tvc.tables import TOTAL
from tvc.tokenizer import EncoderState
from tvc.training.losses import Distortion

Logs = dict[str, Tensor]


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

_FINE_STEP = 2.0
"""Latents in steps up to this one are held to full fidelity."""
_THRESHOLDS = [point.threshold / TOTAL for point in POINTS if point.threshold is not None]
_CATCH_UP = {
    "predictor.gate": 40.0,
    "predictor.": 4.0,
    "encoder.latents.": 4.0,
    "decoder.control.": 4.0,
    "continuous_context.": 4.0,
    "discrete_context.": 4.0,
}
"""Factors on the learning rate, by the beginning of a parameter's name: these join a trunk that is trained. The gate is
six numbers that must go from 0 to about 1."""

_CROSS_ENTROPY = 0.05
_ALONG = 0.02
"""Weight of the bits of a token, and as in `context` of its latents, for context models that learn beside the rest."""
LATENT_BITS = 0.3
"""Weight of the latents' bits beside those of the tokens, in the stage `context`."""
_LONG_STREAM = 0.25
"""Share of batches that start inside a long stream: states must stay sound over hours, crops hold three slots."""


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
            groups.setdefault(next(factors, 1.0), []).append(parameter)
    return [{"params": members, "scale": scale} for scale, members in groups.items()]


def slots_of(planes: Planes) -> list[Planes]:
    """Planes of n slots -> n times the planes of one."""
    y, cb, cr = (torch.split(plane, SLOT_FRAMES, dim=1) for plane in planes)
    return list(zip(y, cb, cr, strict=True))


class _State(NamedTuple):
    """What the slots before left behind: nothing at first."""

    encoder: EncoderState | None = None
    decoder: DecoderState | None = None
    codes1: Tensor | None = None
    codes2: Tensor | None = None
    latents: Tensor | None = None


class _Coded(NamedTuple):
    """One slot as it comes out of the decoder.

    Attributes:
        planes: decoded.
        places: (B, D, h, w), codes before rounding.
        latents: (B, C, h, w) before quantisation, or None.
        mask: (B, 1, h, w) float, 1 where the codes are guesses.
        logits: the predictor's, or None.
        state: for the next slot.
    """

    planes: Planes
    places: Tensor
    latents: Tensor | None
    mask: Tensor
    logits: Tensor | None
    state: _State


class Objective:
    """The loss of a batch under a stage.

    Args:
        model: what is trained.
        stage: under which stage.
        distortion: distance between slots.
        seed: of steps, thresholds, and in which slot LPIPS looks.
        side: height and width that crops are coded at, in luma samples; None: as they are.
    """

    def __init__(self, model: TVC, stage: Stage, distortion: Distortion, seed: int, side: int | None = None) -> None:
        self.model, self.stage, self.distortion, self.side = model, stage, distortion, side
        self._random = torch.Generator().manual_seed(seed)

    def __call__(self, planes: Planes, progress: float, precision: torch.autocast) -> tuple[Tensor, Logs]:
        """The loss of planes (B, 4 * slots, H, W) at `progress` 0 ... 1 through the stage, and what to log."""
        sources = slots_of(planes)
        slots = [resized(source, self.side, self.side) for source in sources] if self.side else sources
        if self.stage.name == "context":
            return self._context(slots, precision)
        weight = self.stage.rate * _ramp(progress)
        context = self.model.continuous_context
        with_latents = self._chance(self.stage.latents) and context is not None
        step = STEPS[int(self._uniform() * len(STEPS))] if with_latents else None
        masked = not with_latents and self._chance(self.stage.masks)
        threshold = self._threshold() if masked else 1.0
        fidelity = 1.0 if step is None else 1 + (self.stage.fidelity - 1) * min(1.0, _FINE_STEP / step)
        state = _State()
        with torch.no_grad():
            for slot in self._lead_in(slots) if self._chance(_LONG_STREAM) else []:
                state = self._coded(slot, state, step, threshold, precision).state
        total, logs = torch.zeros((), device=planes[0].device), _Sums()
        looked_at = int(self._uniform() * len(slots))
        for number, (source, slot) in enumerate(zip(sources, slots, strict=True)):
            before, coded = state, self._coded(slot, state, step, threshold, precision)
            state = coded.state
            if context is not None and coded.latents is not None and step is not None and weight > 0:
                cost = context(coded.latents, step, state.codes1, before.latents, before.codes1, noise=True)
                bits = cost.sum() / slot[0].numel()  # per sample of luma
                total = total + weight * step * bits
                logs.add("continuous_bpp", bits)
            total = total + self._along(coded, before, step, logs)
            # What counts is the picture at its own size.
            shown = resized(coded.planes, *source[0].shape[2:])
            perceptual = float(len(slots)) if number == looked_at else 0.0
            with precision:
                distance, parts = self.distortion(source, shown, perceptual, fidelity)
            total = total + distance
            kind = "with_latents_" if step is not None else "masked_" if masked else ""
            for name, value in parts.items():
                logs.add(kind + name, value)
            if coded.logits is not None:
                entropy = self._cross_entropy(coded.logits, coded.places.round().long(), coded.mask)
                total = total + _CROSS_ENTROPY * entropy
                logs.add("predictor_nats", entropy)
                logs.add("masked_share", coded.mask.mean())
        return total / len(slots), logs.means()

    def _along(self, coded: _Coded, before: _State, step: float | None, logs: _Sums) -> Tensor:
        """What context models among the parts learn from, and what the encoder hears of the tokens' cost."""
        total, codes = coded.places.new_zeros(()), coded.state.codes1
        assert codes is not None
        if "discrete_context" in self.stage.parts:
            bits, price = self.model.discrete_context.priced(
                coded.places, codes, coded.mask.bool(), before.codes1, before.codes2
            )
            logs.add("bits_per_token", bits)
            total = total + _ALONG * bits + self.stage.tokens * price
        context = self.model.continuous_context if "continuous_context" in self.stage.parts else None
        if context is not None and coded.latents is not None and step is not None:
            # As they are coded: what comes again exactly is not seen through noise.
            cost = context(coded.latents.detach(), step, codes, before.latents, before.codes1)
            bits = cost.sum() / codes[:, 0].numel()
            logs.add(f"latent_bits_step_{step:g}", bits)
            total = total + _ALONG * LATENT_BITS * bits
        return total

    def _coded(
        self, slot: Planes, state: _State, step: float | None, threshold: float, precision: torch.autocast
    ) -> _Coded:
        """One slot through encoder, coder and decoder; latents in this step or none."""
        with precision:
            activations, latents, encoder = self.model.encoder(slot, state.encoder)
        places = self.model.fsq.places(activations)
        codes, mask = self.model.discrete_context.chosen(places, state.codes1, state.codes2, MULTIPLIER, threshold)
        decoded = self.model.fsq.values(codes)
        # A guess does not hang on what the encoder says there.
        values = torch.where(mask, decoded, through(self.model.fsq(activations), decoded))
        latents = None if latents is None else latents.float()
        # Rounded, not with noise: a latent that is small beside its step is then nothing, as when it is coded.
        sent = None if step is None or latents is None else through(latents, dequantised(latents, step))
        guessed = mask.float()
        with precision:
            planes, decoder, logits = self.model.reconstruct(
                values, guessed if threshold < 1 else None, sent, state.decoder
            )
        after = _State(encoder, decoder, codes, state.codes1, None if sent is None else sent.detach())
        return _Coded(planes, places, latents, guessed, logits, after)

    def _context(self, slots: list[Planes], precision: torch.autocast) -> tuple[Tensor, Logs]:
        """Bits per token and per latent of frozen tokens and latents; the slots before them are context."""
        state: EncoderState | None = None
        previous1 = previous2 = previous = None
        total, logs = torch.zeros((), device=slots[0][0].device), _Sums()
        step = STEPS[int(self._uniform() * len(STEPS))]
        lead_in = self._lead_in(slots) if self._chance(_LONG_STREAM) else []
        for number, slot in enumerate(lead_in + slots):
            with torch.no_grad(), precision:
                activations, latents, state = self.model.encoder(slot, state)
            latents = None if latents is None else latents.float()
            places = self.model.fsq.places(activations)
            # What is coded is what this model makes the encoder choose.
            codes, _ = self.model.discrete_context.chosen(places, previous1, previous2, MULTIPLIER)
            if number >= len(lead_in):
                bits = self.model.discrete_context(codes, previous1, previous2).sum() / codes[:, 0].numel()
                logs.add("bits_per_token", bits)
                total = total + bits
                if self.model.continuous_context is not None and latents is not None:
                    cost = self.model.continuous_context(latents, step, codes, previous, previous1)
                    bits = cost.sum() / codes[:, 0].numel()
                    logs.add(f"latent_bits_step_{step:g}", bits)
                    total = total + LATENT_BITS * bits
            previous1, previous2 = codes, previous1
            previous = None if latents is None else dequantised(latents, step)
        return total / len(slots), logs.means()

    def _lead_in(self, slots: list[Planes]) -> list[Planes]:
        """1, 3 or 5 times the slots backwards and forwards in time, ending where the first slot begins."""
        backwards = [_reversed(slot) for slot in reversed(slots)]
        rounds = 1 + int(self._uniform() * 3)
        return backwards + (slots + backwards) * (rounds - 1)

    def _threshold(self) -> float:
        """Of one of the operating points with masks, each as likely."""
        return _THRESHOLDS[int(self._uniform() * len(_THRESHOLDS))]

    def _cross_entropy(self, logits: Tensor, codes: Tensor, mask: Tensor) -> Tensor:
        """Nats per masked token, summed over its dimensions."""
        parts = torch.split(logits, list(self.model.config.levels), dim=1)
        nats = [functional.cross_entropy(part, codes[:, d], reduction="none") for d, part in enumerate(parts)]
        return (torch.stack(nats, dim=1).sum(dim=1, keepdim=True) * mask).sum() / mask.sum().clamp(min=1)

    def _uniform(self) -> float:
        return float(torch.rand((), generator=self._random))

    def _chance(self, share: float) -> bool:
        return self._uniform() < share


def _ramp(progress: float) -> float:
    """0 up to a fifth of the stage, 1 from three fifths on.

    A rate weight from the first step shrinks the latents to nothing before the control branch, which starts
    from zero, has learned to read them.
    """
    return min(1.0, max(0.0, (progress - 0.2) / 0.4))


def _reversed(slot: Planes) -> Planes:
    y, cb, cr = (plane.flip(1) for plane in slot)
    return y, cb, cr


class _Sums:
    """Means of named values over the slots of a batch."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, name: str, value: Tensor) -> None:
        self._values.setdefault(name, []).append(value.detach())

    def means(self) -> Logs:
        return {name: _mean(values) for name, values in self._values.items()}


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
