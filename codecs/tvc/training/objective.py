"""What a batch of crops teaches under a stage: the loss, coded as the codec codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tvc.config import SLOT_FRAMES
from tvc.haar import Planes
from tvc.integer import through
from tvc.latent_context import dequantised
from tvc.model import TVC, DecoderState
from tvc.operating import MULTIPLIER, POINTS, Kind, kind_of
from tvc.resampling import resized
from tvc.tables import TOTAL
from tvc.tokenizer import EncoderState
from tvc.training.losses import Distortion, Look
from tvc.training.stages import LATENT_BITS, STEPS, Stage

Logs = dict[str, Tensor]

_FINE_STEP = 2.0
"""Latents in steps up to this one are held to full fidelity."""
_THRESHOLDS = [point.threshold / TOTAL for point in POINTS if point.threshold is not None]
_CROSS_ENTROPY = 0.05
_ALONG = 0.02
"""Weight of a token's bits, and with `LATENT_BITS` of its latents', for context models that learn beside the rest."""
_LONG_STREAM = 0.25
"""Share of batches that start inside a long stream: states must stay sound over hours, crops hold three slots."""


def slots_of(planes: Planes) -> list[Planes]:
    """Planes of n slots -> n times the planes of one."""
    y, cb, cr = (torch.split(plane, SLOT_FRAMES, dim=1) for plane in planes)
    return list(zip(y, cb, cr, strict=True))


class Draw(NamedTuple):
    """What chance says about a batch. Numbers are tensors where the same operations serve other numbers later.

    Attributes:
        kind: what is sent.
        rounds: how many rounds of its own frames, backwards and forwards, come before: 0 to 3.
        step: of the latents.
        threshold: tokens surer than this probability are masked.
        fidelity: factor on sample errors.
        rate: weight of the latents' bits per pixel, for this step and so far through the stage.
        looks: where the perceptual distance looks in each slot; None: it does not.
    """

    kind: Kind
    rounds: int
    step: float | Tensor
    threshold: float | Tensor
    fidelity: float | Tensor
    rate: float | Tensor
    looks: tuple[Look | None, ...]


class State(NamedTuple):
    """What the slots before left behind: nothing at first.

    Attributes:
        encoder: as `Encoder` gives it.
        decoder: as `TVC.reconstruct` gives it.
        codes1: (B, D, h, w) of the slot before.
        codes2: of the slot before that.
        latents: (B, C, h, w) of the slot before, dequantised; None where none were sent.
    """

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
        mask: (B, 1, h, w) bool, True where the codes are guesses.
        logits: the predictor's, or None.
        state: for the next slot.
    """

    planes: Planes
    places: Tensor
    latents: Tensor | None
    mask: Tensor
    logits: Tensor | None
    state: State


class Objective:
    """The loss of a batch under a stage.

    Args:
        model: what is trained.
        stage: under which stage.
        distortion: distance between slots.
        seed: of what is drawn for a batch.
        side: height and width that crops are coded at, in luma samples; None: as they are.
        looks: slots of a crop that the perceptual distance looks at; they stand for the others.
    """

    def __init__(
        self,
        model: TVC,
        stage: Stage,
        distortion: Distortion,
        seed: int = 0,
        side: int | None = None,
        looks: int = 1,
    ) -> None:
        self.model, self.stage, self.distortion, self.side, self.looks = model, stage, distortion, side, looks
        self._random = torch.Generator().manual_seed(seed)

    def seed(self, seed: int) -> None:
        """What is drawn from now on depends on this number alone."""
        self._random.manual_seed(seed)

    def __call__(self, planes: Planes, progress: float, precision: torch.autocast) -> tuple[Tensor, Logs]:
        """The loss of planes (B, 4 * slots, H, W) at `progress` 0 ... 1 through the stage, and what to log."""
        if self.stage.name == "context":
            return self._context(self.coded_slots(planes), precision)
        draw = self.draw(planes, progress)
        state = State()
        for slot in self.before(planes, draw):
            state = self.passed(slot, state, draw, precision)
        return self.loss(planes, state, draw, precision)

    def draw(self, planes: Planes, progress: float) -> Draw:
        """Draws for such planes; `looks` are on the CPU."""
        count = planes[0].shape[1] // SLOT_FRAMES
        with_latents = self._chance(self.stage.latents) and self.model.continuous_context is not None
        step = STEPS[int(self._uniform() * len(STEPS))] if with_latents else 1.0
        masked = not with_latents and self._chance(self.stage.masks)
        looked_at = torch.randperm(count, generator=self._random)[: self.looks].tolist()
        return Draw(
            kind=kind_of(latents=with_latents, masked=masked),
            rounds=1 + int(self._uniform() * 3) if self._chance(_LONG_STREAM) else 0,
            step=step,
            threshold=self._threshold(),
            fidelity=1 + (self.stage.fidelity - 1) * min(1.0, _FINE_STEP / step) if with_latents else 1.0,
            rate=self.stage.rate * _ramp(progress) * step,
            looks=tuple(
                self.distortion.look(planes[0].shape, self._random) if number in looked_at else None
                for number in range(count)
            ),
        )

    def coded_slots(self, planes: Planes) -> list[Planes]:
        """The slots of a batch at the size that they are coded at."""
        return [resized(slot, self.side, self.side) if self.side else slot for slot in slots_of(planes)]

    def before(self, planes: Planes, draw: Draw) -> list[Planes]:
        """The slots that come before those of a batch, at the size that they are coded at."""
        return _lead_in(self.coded_slots(planes), draw.rounds) if draw.rounds else []

    @torch.no_grad()
    def passed(self, slot: Planes, state: State, draw: Draw, precision: torch.autocast) -> State:
        """The state after a slot that nothing is learned from."""
        return self._coded(slot, state, draw, precision).state

    def loss(self, planes: Planes, state: State, draw: Draw, precision: torch.autocast) -> tuple[Tensor, Logs]:
        """The loss of planes (B, 4 * slots, H, W) after what left this state, and what to log."""
        context = self.model.continuous_context
        sources = slots_of(planes)
        total, logs = torch.zeros((), device=planes[0].device), _Sums()
        weight = len(sources) / self.looks
        for source, slot, look in zip(sources, self.coded_slots(planes), draw.looks, strict=True):
            before, coded = state, self._coded(slot, state, draw, precision)
            state = coded.state
            if self.stage.rate and context is not None and coded.latents is not None and draw.kind == "latents":
                cost = context(coded.latents, draw.step, _known(state), before.latents, before.codes1, noise=True)
                bits = cost.sum() / slot[0].numel()  # per sample of luma
                total = total + draw.rate * bits
                logs.add("continuous_bpp", bits)
            total = total + self._along(coded, before, draw, logs)
            # What counts is the picture at its own size.
            shown = resized(coded.planes, *source[0].shape[2:])
            with precision:
                distance, parts = self.distortion(source, shown, look, weight, draw.fidelity)
            total = total + distance
            kind = {"latents": "with_latents_", "masked": "masked_", "tokens": ""}[draw.kind]
            for name, value in parts.items():
                logs.add(kind + name, value)
            if coded.logits is not None:
                mask = coded.mask.float()
                entropy = self._cross_entropy(coded.logits, coded.places.round().long(), mask)
                total = total + _CROSS_ENTROPY * entropy
                logs.add("predictor_nats", entropy)
                logs.add("masked_share", mask.mean())
        return total / len(sources), logs.means()

    def _along(self, coded: _Coded, before: State, draw: Draw, logs: _Sums) -> Tensor:
        """What context models among the parts learn from, and what the encoder hears of the tokens' cost."""
        total, codes = coded.places.new_zeros(()), _known(coded.state)
        if "discrete_context" in self.stage.parts:
            bits, price = self.model.discrete_context.priced(
                coded.places, codes, coded.mask, before.codes1, before.codes2
            )
            logs.add("bits_per_token", bits)
            total = total + _ALONG * bits + self.stage.tokens * price
        context = self.model.continuous_context if "continuous_context" in self.stage.parts else None
        if context is not None and coded.latents is not None and draw.kind == "latents":
            # As they are coded: what comes again exactly is not seen through noise.
            cost = context(coded.latents.detach(), draw.step, codes, before.latents, before.codes1)
            bits = cost.sum() / codes[:, 0].numel()
            logs.add("latent_bits_per_token", bits)
            total = total + _ALONG * LATENT_BITS * bits
        return total

    def _coded(self, slot: Planes, state: State, draw: Draw, precision: torch.autocast) -> _Coded:
        """One slot through encoder, coder and decoder."""
        with precision:
            activations, latents, encoder = self.model.encoder(slot, state.encoder)
        places = self.model.fsq.places(activations)
        masked = draw.kind == "masked"
        codes, mask = self.model.discrete_context.chosen(
            places, state.codes1, state.codes2, MULTIPLIER, draw.threshold if masked else None
        )
        decoded = self.model.fsq.values(codes)
        # A guess does not hang on what the encoder says there.
        values = torch.where(mask, decoded, through(self.model.fsq(activations), decoded))
        latents = None if latents is None else latents.float()
        # Rounded, not with noise: a latent that is small beside its step is then nothing, as when it is coded.
        sent = None if draw.kind != "latents" or latents is None else through(latents, dequantised(latents, draw.step))
        with precision:
            planes, decoder, logits = self.model.reconstruct(
                values, mask.float() if masked else None, sent, state.decoder
            )
        after = State(encoder, decoder, codes, state.codes1, None if sent is None else sent.detach())
        return _Coded(planes, places, latents, mask, logits, after)

    def _context(self, slots: list[Planes], precision: torch.autocast) -> tuple[Tensor, Logs]:
        """Bits per token and per latent of frozen tokens and latents; the slots before them are context."""
        state: EncoderState | None = None
        previous1 = previous2 = previous = None
        total, logs = torch.zeros((), device=slots[0][0].device), _Sums()
        step = STEPS[int(self._uniform() * len(STEPS))]
        before = _lead_in(slots, 1 + int(self._uniform() * 3)) if self._chance(_LONG_STREAM) else []
        for number, slot in enumerate(before + slots):
            with torch.no_grad(), precision:
                activations, latents, state = self.model.encoder(slot, state)
            latents = None if latents is None else latents.float()
            places = self.model.fsq.places(activations)
            # What is coded is what this model makes the encoder choose.
            codes, _ = self.model.discrete_context.chosen(places, previous1, previous2, MULTIPLIER)
            if number >= len(before):
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


def _lead_in(slots: list[Planes], rounds: int) -> list[Planes]:
    """1, 3 or 5 times the slots backwards and forwards in time, ending where the first slot begins."""
    backwards = [_reversed(slot) for slot in reversed(slots)]
    return backwards + (slots + backwards) * (rounds - 1)


def _known(state: State) -> Tensor:
    assert state.codes1 is not None
    return state.codes1


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
