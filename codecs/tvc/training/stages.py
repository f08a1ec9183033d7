"""The stages of training: which parts learn from what.

1. discrete: encoder, FSQ and decoder trunk, no masks, no latents.
2. latents: latents, control branch and their context model alone, first by sample errors: they learn slowly under a
   perceptual loss. What is decoded without latents stays as it was.
3. decoder: they and the decoder, on the frozen tokens.
4. continuous: they and the rest; half of the batches go without latents.
5. masks: up to 70 % of the tokens are guesses; decoder and predictor learn to live with them.
6. joint: 4 and 5 at once, for budgets too short for one after the other.
7. context: the integer context models, on the frozen tokens and latents of the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.config import SLOT_FRAMES
from tvc.context import dequantised
from tvc.haar import Planes
from tvc.integer import through
from tvc.model import TVC, DecoderState
from tvc.operating import MULTIPLIER
from tvc.resampling import resized
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
        masks: share of batches that carry masks.
        fidelity: factor on sample errors where latents are sent: what is not made up is what they are for.
        rate: weight of the continuous stream's bits per pixel at its end; it grows from zero, see `_ramp`.
    """

    name: str
    parts: tuple[str, ...]
    latents: float = 0.0
    masks: float = 0.0
    fidelity: float = 1.0
    rate: float = 0.0


STAGES = {
    stage.name: stage
    for stage in (
        Stage("discrete", ("encoder", "decoder")),
        Stage("latents", ("encoder.latents", "decoder.control", "continuous_context"), latents=1.0, rate=1.0),
        Stage(
            "decoder",
            ("encoder.latents", "decoder", "continuous_context"),
            latents=0.7,
            masks=0.15,
            rate=1.0,
            fidelity=4.0,
        ),
        Stage("continuous", ("encoder", "decoder", "continuous_context"), latents=0.5, rate=0.3),
        Stage("masks", ("decoder", "predictor"), latents=0.5, masks=0.6),
        Stage(
            "joint",
            ("encoder", "decoder", "predictor", "continuous_context"),
            latents=0.3,
            masks=0.25,
            rate=0.3,
        ),
        Stage("context", ("discrete_context", "continuous_context"), latents=1.0),
    )
}

STEPS = (0.5, 1.0, 2.0, 4.0)
"""Quantisation steps of the latents that training draws from."""

_MOST_MASKED = 0.7
_CATCH_UP = {
    "predictor.gate": 40.0,
    "predictor.": 4.0,
    "encoder.latents.": 4.0,
    "decoder.control.": 4.0,
    "continuous_context.": 4.0,
}
"""Factors on the learning rate, by the beginning of a parameter's name: these join a trunk that is trained. The gate is
six numbers that must go from 0 to about 1."""

_CROSS_ENTROPY = 0.05
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


class Objective:
    """The loss of a batch under a stage.

    Args:
        model: what is trained.
        stage: under which stage.
        distortion: distance between slots.
        seed: of steps, masks and the choice of batches.
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
        with_latents = self._chance(self.stage.latents)
        masked = self._chance(self.stage.masks)
        step = STEPS[int(self._uniform() * len(STEPS))]
        encoder, decoder = self._burn_in(slots, precision, step if with_latents else None)
        previous = previous_codes = None
        total, logs = torch.zeros((), device=planes[0].device), _Sums()
        looked_at = int(self._uniform() * len(slots))
        for number, (source, slot) in enumerate(zip(sources, slots, strict=True)):
            with precision:
                values, latents, encoder = self.model.tokenize(slot, encoder)
            sent = None
            if with_latents and latents is not None:
                # Rounded, not with noise: a latent that is small beside its step is then nothing, as when it is coded.
                sent = through(latents, dequantised(latents, step))
                if weight > 0:
                    codes = self.model.fsq.codes(values.detach())
                    bits = self._rate(latents, step, codes, previous, previous_codes) / slot[0][0].numel()
                    total = total + weight * bits
                    logs.add("continuous_bpp", bits)
                    previous_codes = codes
                previous = sent.detach()
            mask = guesses = None
            if masked:
                mask = self._mask(values)
                guesses = self._guesses(values, mask, decoder)
            with precision:
                decoded, decoder, logits = self.model.reconstruct(
                    values if guesses is None else guesses, mask, sent, decoder
                )
                # What counts is the picture at its own size.
                shown = resized(decoded, *source[0].shape[2:])
                perceptual = float(len(slots)) if number == looked_at else 0.0
                fidelity = 1.0 if sent is None else self.stage.fidelity
                distance, parts = self.distortion(source, shown, perceptual, fidelity)
            total = total + distance
            for name, value in parts.items():
                logs.add(("with_latents_" if sent is not None else "") + name, value)
            if logits is not None and mask is not None:
                entropy = self._cross_entropy(logits, values, mask)
                total = total + _CROSS_ENTROPY * entropy
                logs.add("predictor_nats", entropy)
        return total / len(slots), logs.means()

    def _rate(
        self, latents: Tensor, step: float, codes: Tensor, previous: Tensor | None, previous_codes: Tensor | None
    ) -> Tensor:
        """Bits of one slot's latents per crop."""
        context = self.model.continuous_context
        if context is None:
            return latents.new_zeros(())
        bits: Tensor = context(latents, step, codes, previous, previous_codes, noise=True)
        return bits.sum() / latents.shape[0]

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
            codes = self.model.discrete_context.cheap(places, previous1, previous2, MULTIPLIER)
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

    def _burn_in(
        self, slots: list[Planes], precision: torch.autocast, step: float | None
    ) -> tuple[EncoderState | None, DecoderState | None]:
        """States after some slots without gradients, with latents in this step or without, or none."""
        encoder: EncoderState | None = None
        decoder: DecoderState | None = None
        with torch.no_grad(), precision:
            for slot in self._lead_in(slots) if self._chance(_LONG_STREAM) else []:
                values, latents, encoder = self.model.tokenize(slot, encoder)
                sent = None if step is None or latents is None else dequantised(latents, step)
                _, decoder, _ = self.model.reconstruct(values, None, sent, decoder)
        return encoder, decoder

    def _lead_in(self, slots: list[Planes]) -> list[Planes]:
        """1, 3 or 5 times the slots backwards and forwards in time, ending where the first slot begins."""
        backwards = [_reversed(slot) for slot in reversed(slots)]
        rounds = 1 + int(self._uniform() * 3)
        return backwards + (slots + backwards) * (rounds - 1)

    def _mask(self, values: Tensor) -> Tensor:
        """Float (B, 1, h, w): per crop a random share up to 70 %, in patches as confident regions are."""
        batch, _, h, w = values.shape
        share = torch.rand(batch, 1, 1, 1, generator=self._random) * _MOST_MASKED
        fine = torch.rand(batch, 1, h, w, generator=self._random)
        coarse = torch.rand(batch, 1, (h + 2) // 3, (w + 2) // 3, generator=self._random)
        noise = 0.3 * fine + 0.7 * functional.interpolate(coarse, size=(h, w), mode="nearest")
        threshold = torch.stack([n.quantile(float(s)) for n, s in zip(noise.flatten(1), share.flatten(), strict=True)])
        return (noise < threshold[:, None, None, None]).to(values)

    def _guesses(self, values: Tensor, mask: Tensor, decoder: DecoderState | None) -> Tensor:
        """Values as both sides would guess them where masked: right mostly, else the previous slot's or a level off."""
        right = torch.rand(mask.shape, generator=self._random).to(mask) < 0.5 + 0.5 * self._uniform()
        if decoder is not None:
            wrong = decoder.values.detach()
        else:
            codes = self.model.fsq.codes(values.detach())
            most = torch.tensor(self.model.config.levels, device=codes.device).reshape(1, -1, 1, 1) - 1
            off = torch.randint(-1, 2, codes.shape, generator=self._random).to(codes)
            wrong = self.model.fsq.values((codes + off).clamp(min=0).minimum(most))
        return torch.where((mask > 0) & ~right, wrong, values)

    def _cross_entropy(self, logits: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Nats per masked token, summed over its dimensions."""
        codes = self.model.fsq.codes(values.detach())
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
