"""The checkerboard context model of the latents: Gaussians for the range coder, from integer arithmetic alone.

The first half of a slot (`tvc.checkerboard`) sees its tokens and the slot before, the second half also the first half.
Every layer is one of `tvc.integer`: encoder and decoder compute the same counts on any machine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from tvc.checkerboard import TAPS, Trunk, halves_on
from tvc.config import ModelConfig
from tvc.integer import PEAK, UNIT, IntegerLayer, activate, gate, planes, through
from tvc.tables import FRACTIONS, REACH, SCALE_OCTAVE, SCALES, TOTAL, Ints, gaussian_counts, steps

LATENT_ONE = 256
"""Fixed-point units of a dequantised latent: a latent of 1.0."""

_LATENT_UNIT = 16
"""Activation that stands for a latent of 1.0: the context sees latents up to 7.9."""
_LARGEST_MEAN = (1 << 15) - 1
_TAIL = 3.0
"""Where erfc is its asymptote to within 5 %."""


def dequantised(latents: Tensor, step: Tensor | float) -> Tensor:
    """Latents as they come back from quantisation in this step."""
    return torch.round(latents / step) * step


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
        self.past = Trunk(2 * total + 2 * latents, width, (2 * dimensions + latents) * TAPS, 2)
        if config.checkerboard:
            self.kept = IntegerLayer(width, width)
            self.around = IntegerLayer(4 * latents, width, 3, 2 * latents * TAPS)
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
        cut = halves_on(latents.shape[2], latents.shape[3], self.checkerboard, latents.device)
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
