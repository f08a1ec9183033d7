"""Checkerboard context models: the probabilities that the range coder uses, from integer arithmetic alone.

A slot is coded in two halves, the even and the odd squares of a checkerboard (He et al., "Checkerboard context model
for efficient learned image compression", CVPR 2021). The first half sees the two earlier slots, the second half also
the first half. Every layer is one of `tvc.integer`: encoder and decoder compute the same counts on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from tvc.config import ModelConfig
from tvc.integer import PEAK, UNIT, IntegerLayer, activate, gate, planes, through
from tvc.tables import (
    FRACTIONS,
    OCTAVE,
    REACH,
    SCALE_OCTAVE,
    SCALES,
    TOTAL,
    Ints,
    gaussian_counts,
    softmax_counts,
    steps,
)

LATENT_ONE = 256
"""Fixed-point units of a dequantised latent: a latent of 1.0."""

_TAPS = 9
_LATENT_UNIT = 16
"""Activation that stands for a latent of 1.0: the context sees latents up to 7.9."""
_LARGEST_MEAN = (1 << 15) - 1
_TAIL = 3.0
"""Where erfc is its asymptote to within 5 %."""


def halves(height: int, width: int, checkerboard: bool) -> list[Tensor]:
    """The squares of each half, in coding order: boolean maps (h, w); one map of all squares without a checkerboard."""
    if not checkerboard:
        return [torch.ones(height, width, dtype=torch.bool)]
    odd = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 1
    return [~odd, odd]


@cache
def _halves_on(height: int, width: int, checkerboard: bool, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """`halves` on a device, each also as the numbers (n,) of its squares, counted in rows.

    Made once: a GPU need not wait for them, nor the processor for what a map picks there.
    """
    with torch.inference_mode(False):
        maps = halves(height, width, checkerboard)
        return [(one.to(device), one.flatten().nonzero()[:, 0].to(device)) for one in maps]


def _at(x: Tensor, squares: Tensor) -> Tensor:
    """(B, C, h, w) at n squares of each map, numbered in rows -> (B * n, C)."""
    return x.flatten(2).index_select(2, squares).transpose(1, 2).flatten(0, 1)


def dequantised(latents: Tensor, step: Tensor | float) -> Tensor:
    """Latents as they come back from quantisation in this step."""
    return torch.round(latents / step) * step


class _Trunk(nn.Module):
    """A 3x3 layer into `width` channels, then residual 3x3 layers."""

    def __init__(self, inputs: int, width: int, terms: int, layers: int) -> None:
        super().__init__()
        self.stem = IntegerLayer(inputs, width, 3, terms)
        self.layers = nn.ModuleList(IntegerLayer(width, width, 3, gain=0.5) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = activate(self.stem(x))  # (B, width, h, w)
        for layer in self.layers:
            x = activate(x + layer(x))
        return x


class DiscreteContext(nn.Module):
    """Counts of the FSQ codes. The dimensions of a token are coded in order, each seeing the earlier ones.

    Args:
        config: gives levels, width and whether there is a checkerboard.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.levels = config.levels
        self.checkerboard = config.checkerboard
        width, dimensions, total = config.context_width, len(config.levels), sum(config.levels)
        self.width = width
        self.past = _Trunk(2 * total, width, 2 * dimensions * _TAPS, 3)
        self.present = _Trunk(width + total, width, (width + dimensions) * _TAPS, 2) if config.checkerboard else None
        heads = 2 if config.checkerboard else 1
        earlier = [sum(config.levels[:d]) for d in range(dimensions)]
        self.hidden = nn.ModuleList(
            IntegerLayer(width + seen, width, terms=width + d) for _ in range(heads) for d, seen in enumerate(earlier)
        )
        self.logits = nn.ModuleList(
            IntegerLayer(width, count, gain=0.1) for _ in range(heads) for count in config.levels
        )

    def forward(self, codes: Tensor, previous1: Tensor | None, previous2: Tensor | None) -> Tensor:
        """Bits that every code costs; differentiable with respect to the weights.

        Args:
            codes: (B, D, h, w) integers.
            previous1: codes of the slot before, of the same shape; -1 or None where there is none.
            previous2: codes of the slot before that.

        Returns:
            Bits (B, D, h, w) float32.
        """
        bits = torch.zeros(codes.shape, device=codes.device).flatten(2)
        for half, squares, seen in self._halves(codes, previous1, previous2):
            tokens = _at(codes, squares)
            tables = self._tables(half, seen, tokens)
            costs = torch.cat([table.gather(1, tokens[:, d, None]) for d, table in enumerate(tables)], 1)
            bits[:, :, squares] = costs.reshape(len(codes), len(squares), len(self.levels)).transpose(1, 2)
        return bits.reshape(codes.shape)

    def priced(
        self, places: Tensor, codes: Tensor, mask: Tensor, previous1: Tensor | None, previous2: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What is learned from the cost of a slot's codes.

        Args:
            places: (B, D, h, w), codes before rounding.
            codes: (B, D, h, w) as `chosen` gave them.
            mask: (B, 1, h, w) bool, where nothing is sent.
            previous1: codes of the slot before, or None.
            previous2: codes of the slot before that, or None.

        Returns:
            Bits per token, masked ones at no bits, differentiable with respect to the weights; and the same between
            the codes on both sides of each place, linear in the place and differentiable with respect to it alone.
        """
        bits, prices = [], []
        for half, squares, seen in self._halves(codes, previous1, previous2):
            tokens, wanted, sent = _at(codes, squares), _at(places, squares), ~_at(mask, squares)[:, 0]
            for d, table in enumerate(self._tables(half, seen, tokens)):
                bits.append((table.gather(1, tokens[:, d, None])[:, 0] * sent).sum())
                below = wanted[:, d, None].detach().floor().long().clamp(0, self.levels[d] - 2)
                lower, upper = table.detach().gather(1, below), table.detach().gather(1, below + 1)
                between = lower + (upper - lower) * (wanted[:, d, None] - below)
                prices.append((between[:, 0] * sent).sum())
        count = codes[:, 0].numel()
        return torch.stack(bits).sum() / count, torch.stack(prices).sum() / count

    @torch.no_grad()
    def chosen(
        self,
        places: Tensor,
        previous1: Tensor | None,
        previous2: Tensor | None,
        multiplier: float,
        threshold: float | Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Codes as the decoder has them (`SlotCoder.discrete`), in floating point and for a whole batch: for training.

        Args:
            places: (B, D, h, w), codes before rounding.
            previous1: codes (B, D, h, w) of the slot before, or None.
            previous2: codes of the slot before that, or None.
            multiplier: squared distance that a bit is worth.
            threshold: tokens surer than this probability are masked; None: none.

        Returns:
            Codes (B, D, h, w) int64, guesses where masked, and the mask (B, 1, h, w) bool.
        """
        codes = torch.zeros_like(places, dtype=torch.int64).flatten(2)
        mask = torch.zeros_like(places[:, :1], dtype=torch.bool).flatten(2)
        for half, squares, seen in self._halves(codes.reshape(places.shape), previous1, previous2):
            tokens, _ = self._chain(half, seen, _at(places, squares), multiplier)
            if threshold is not None:
                guesses, probability = self._chain(half, seen, None, 1.0)
                sure = probability > threshold
                tokens = torch.where(sure[:, None], guesses, tokens)
                mask[:, 0, squares] = sure.reshape(len(places), -1)
            codes[:, :, squares] = tokens.reshape(len(places), len(squares), len(self.levels)).transpose(1, 2)
        return codes.reshape(places.shape), mask.reshape(places[:, :1].shape)

    def _chain(self, half: int, seen: Tensor, wanted: Tensor | None, multiplier: float) -> tuple[Tensor, Tensor]:
        """Tokens (N, D), each dimension's code in turn, and their probabilities (N,).

        A code is the one of least squared distance from what is wanted (N, D) plus multiplier times bits; the
        likeliest one where nothing is.
        """
        chosen = []
        total = torch.zeros(len(seen), device=seen.device)
        known = self._known(seen, [])
        for d, levels in enumerate(self.levels):
            bits = 16 - self._counts(half, d, seen, known).log2()  # (N, levels)
            cost = multiplier * bits
            if wanted is not None:
                cost = cost + (wanted[:, d, None] - torch.arange(levels, device=seen.device)).square()
            chosen.append(cost.argmin(1))
            total += bits.gather(1, chosen[d][:, None])[:, 0]
            known.scatter_(1, chosen[d][:, None] + sum(self.levels[:d]), float(UNIT))
        return torch.stack(chosen, 1), torch.exp2(-total)

    def _halves(
        self, codes: Tensor, previous1: Tensor | None, previous2: Tensor | None
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Number and squares (n,) of each half, and what is seen there (B * n, width): of `codes` the first half alone.

        They may be filled in between the halves.
        """
        features = self.past_features(previous1, previous2, codes.shape)
        cut = _halves_on(codes.shape[2], codes.shape[3], self.checkerboard, codes.device)
        for half, (squares, numbers) in enumerate(cut):
            if half:
                features = self.present_features(features, torch.where(squares, -1, codes))
            yield half, numbers, _at(features, numbers)

    def past_features(self, previous1: Tensor | None, previous2: Tensor | None, shape: torch.Size) -> Tensor:
        """What the first half sees: (B, width, h, w) activations.

        Args:
            previous1: codes of the slot before, or None.
            previous2: codes of the slot before that, or None.
            shape: of the codes of one slot (B, D, h, w).
        """
        device = self.past.stem.weight.device
        none = torch.full(shape, -1, device=device)
        parts = [planes(none if codes is None else codes, self.levels) for codes in (previous1, previous2)]
        features: Tensor = self.past(torch.cat(parts, 1))
        return features

    def present_features(self, features: Tensor, codes: Tensor) -> Tensor:
        """What the second half sees: (B, width, h, w) activations.

        Args:
            features: of `past_features`.
            codes: (B, D, h, w), -1 on the squares of the second half.
        """
        if self.present is None:
            return features
        seen: Tensor = self.present(torch.cat((features, planes(codes, self.levels)), 1))
        return seen

    def frequencies(self, half: int, dimension: int, features: Tensor, earlier: Tensor) -> Ints:
        """Counts of the codes of one dimension: (N, levels) integers, each row summing to 65,536.

        Args:
            half: 0 or 1.
            dimension: of the token.
            features: (N, width) activations at the N tokens.
            earlier: (N, dimension or more) codes of the token's earlier dimensions.
        """
        known = self._known(features, [earlier[:, d] for d in range(dimension)])
        logits: Ints = self._logits(half, dimension, features, known).detach().to(torch.int64).numpy()
        return softmax_counts(logits)

    def _known(self, features: Tensor, codes: list[Tensor]) -> Tensor:
        """One-hot planes (N, sum(levels)) of the codes (N,) of the first dimensions; what is not known sets none."""
        known = features.new_zeros(len(features), sum(self.levels))
        for d, code in enumerate(codes):
            known.scatter_(1, code[:, None] + sum(self.levels[:d]), float(UNIT))
        return known

    def _logits(self, half: int, dimension: int, features: Tensor, known: Tensor) -> Tensor:
        index = half * len(self.levels) + dimension
        seen = torch.cat((features, known[:, : sum(self.levels[:dimension])]), 1)
        logits: Tensor = self.logits[index](activate(self.hidden[index](seen)))
        return logits

    def _tables(self, half: int, features: Tensor, tokens: Tensor) -> Iterator[Tensor]:
        """Bits (N, levels) of every code of each dimension, where those before are as in tokens (N, D)."""
        known = self._known(features, list(tokens.unbind(1)))
        for d in range(len(self.levels)):
            yield 16 - self._counts(half, d, features, known).log2()

    def _counts(self, half: int, dimension: int, features: Tensor, known: Tensor) -> Tensor:
        """As `frequencies`, with gradients: (N, levels) float."""
        shares = (self._logits(half, dimension, features, known) * (math.log(2) / OCTAVE)).softmax(1)
        return 1 + shares * (TOTAL - self.levels[dimension])


class ContinuousContext(nn.Module):
    """Gaussians of the quantised latents: mean and deviation per channel and square.

    The mean is what the network says plus a share of the same latent in the slot before, by a gate: what stands still
    comes again exactly, which activations of seven bits cannot carry through a stack of layers.

    Args:
        config: gives latents, levels, width and whether there is a checkerboard.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.levels = config.levels
        self.latents = config.latents
        self.checkerboard = config.checkerboard
        width, dimensions, total, latents = config.context_width, len(config.levels), sum(config.levels), config.latents
        # Of the two planes of a latent, positive and negative part, one is zero.
        self.past = _Trunk(2 * total + 2 * latents, width, (2 * dimensions + latents) * _TAPS, 2)
        if config.checkerboard:
            self.kept = IntegerLayer(width, width)
            self.around = IntegerLayer(4 * latents, width, 3, 2 * latents * _TAPS)
            self.present = IntegerLayer(width, width, 3, gain=0.5)
        heads = 2 if config.checkerboard else 1
        self.hidden = nn.ModuleList(IntegerLayer(width, width) for _ in range(heads))
        self.gaussian = nn.ModuleList(IntegerLayer(width, 3 * latents, gain=0.1) for _ in range(heads))

    def forward(
        self,
        latents: Tensor,
        step: Tensor | float,
        codes: Tensor,
        previous: Tensor | None = None,
        previous_codes: Tensor | None = None,
        *,
        noise: bool = False,
    ) -> Tensor:
        """Bits that every latent costs; differentiable.

        Args:
            latents: (B, C, h, w) as the encoder gives them.
            step: quantisation step, a number or (B, 1, 1, 1).
            codes: discrete codes of this slot (B, D, h, w).
            previous: dequantised latents of the slot before (B, C, h, w), or None.
            previous_codes: discrete codes of the slot before, or None.
            noise: latents are not rounded but noise is added, uniform over one step (Ballé, Laparra and Simoncelli
                2017, arXiv 1611.01704): their own gradient needs it. What comes again exactly is then never sure.

        Returns:
            Bits (B, C, h, w) float32.
        """
        step = torch.as_tensor(step, dtype=latents.dtype, device=latents.device)
        rounded = through(latents, dequantised(latents, step))
        coded = latents + (torch.rand_like(latents) - 0.5) * step if noise else rounded
        previous = torch.zeros_like(latents) if previous is None else previous
        features = self.past_features(codes, previous, previous_codes)
        bits = torch.zeros_like(latents)
        cut = _halves_on(latents.shape[2], latents.shape[3], self.checkerboard, latents.device)
        for half, (squares, _) in enumerate(cut):
            if half:
                features = self.present_features(features, rounded * ~squares, previous * ~squares)
            mean, octaves, gates = (part / UNIT for part in self._sums(half, features))  # (B, C, h, w) each
            mean = mean + gates * previous
            octaves = octaves - torch.log2(step)
            bins = (octaves * SCALE_OCTAVE).clamp(-SCALE_OCTAVE * 4, SCALE_OCTAVE * 4)
            if self.gaussian[half].quantised:
                bins = through(bins, torch.floor(bins + 0.5))
            deviation = torch.exp2(bins / SCALE_OCTAVE)
            cost = _smooth_bits if self.training else _coded_bits
            bits = torch.where(squares, cost(((coded - mean) / step).abs(), deviation * math.sqrt(2)), bits)
        return bits

    def past_features(self, codes: Tensor, previous: Tensor, previous_codes: Tensor | None) -> Tensor:
        """What the first half sees: (B, width, h, w) activations.

        Args:
            codes: (B, D, h, w) of this slot.
            previous: dequantised latents of the slot before (B, C, h, w), 0 where there is none.
            previous_codes: codes of the slot before, or None.
        """
        before = torch.full_like(codes, -1) if previous_codes is None else previous_codes
        seen = (planes(codes, self.levels), planes(before, self.levels), self._parts(previous))
        features: Tensor = self.past(torch.cat(seen, 1))
        return features

    def present_features(self, features: Tensor, latents: Tensor, previous: Tensor) -> Tensor:
        """What the second half sees: (B, width, h, w) activations.

        Args:
            features: of `past_features`.
            latents: dequantised (B, C, h, w), 0 on the squares of the second half.
            previous: those of the slot before, 0 on these squares too: whether latents came again is seen around.
        """
        if not self.checkerboard:
            return features
        around = torch.cat((self._parts(latents), self._parts(latents - previous)), 1)
        x = activate(self.kept(features) + self.around(around))
        return activate(x + self.present(x))

    def gaussians(self, half: int, features: Tensor, previous: Tensor, step_index: int) -> tuple[Ints, Ints]:
        """Whole means, and rows of the count table, for each latent.

        Args:
            half: 0 or 1.
            features: (N, width) activations at N squares.
            previous: dequantised latents (N, C) of the slot before there; 0 where there is none.
            step_index: the step is 2**(step_index / 8).

        Returns:
            Means in steps (N, C), and counts (N, C, 2 * REACH + 1) of the symbols at distance -REACH..REACH from them.
        """
        mean, octaves, gates = (part.to(torch.int64).numpy() for part in self._sums(half, features))
        before = (previous * LATENT_ONE).to(torch.int64).numpy()
        # In units of LATENT_ONE.
        mean = np.clip(mean * (LATENT_ONE // UNIT) + (gates * before) // UNIT, -_LARGEST_MEAN, _LARGEST_MEAN)
        _, inverse = steps(step_index)
        # The mean in sixteenths of a step: (mean / 256) * 16 * (inverse / 2**15), rounded.
        sixteenths = (mean * inverse + (1 << 18)) >> 19
        whole = (sixteenths + FRACTIONS // 2) // FRACTIONS
        fraction = sixteenths - whole * FRACTIONS + FRACTIONS // 2
        per_bin = UNIT // SCALE_OCTAVE
        bins = np.clip((octaves + per_bin // 2) // per_bin - step_index + SCALES // 2, 0, SCALES - 1)
        return whole, gaussian_counts()[bins, fraction]

    def _sums(self, half: int, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, deviations in octaves, and gates, in units of 1 / UNIT."""
        sums = self.gaussian[half](activate(self.hidden[half](features)))
        mean, octaves, gates = sums.chunk(3, 1)
        return mean, octaves, gate(gates)

    def _parts(self, latents: Tensor) -> Tensor:
        """Latents as activations: (B, 2 C, h, w), positive parts and negative parts."""
        scaled = latents * _LATENT_UNIT
        if self.past.stem.quantised:
            scaled = through(scaled, torch.trunc(scaled))
        return torch.cat((scaled, -scaled), 1).clamp(0, PEAK)


def _mass(distance: Tensor, scale: Tensor) -> Tensor:
    # Both edges on the lower side of the mean, where erfc does not cancel.
    return 0.5 * (torch.erfc((distance - 0.5) / scale) - torch.erfc((distance + 0.5) / scale))


def _coded_bits(distance: Tensor, scale: Tensor) -> Tensor:
    """Bits of a symbol `distance` steps from the mean as the counts give them, at most 16."""
    return 16 - torch.log2(1 + _mass(distance, scale) * (TOTAL - 2 * REACH - 1))


def _smooth_bits(distance: Tensor, scale: Tensor) -> Tensor:
    """The same without the limit: a gradient must reach deviations that are far too small."""
    tail = (distance - 0.5) / scale
    far = tail > _TAIL
    near_bits = -torch.log2(_mass(torch.where(far, 0, distance), scale))
    tail = torch.where(far, tail, _TAIL)
    # erfc(x) tends to exp(-x * x) / (x sqrt(pi)).
    return torch.where(far, tail.square() / math.log(2) + torch.log2(2 * math.sqrt(math.pi) * tail), near_bits)
