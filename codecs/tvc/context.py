"""The checkerboard context model of the tokens: the probabilities that the range coder uses, from integers alone.

The first half of a slot (`tvc.checkerboard`) sees the two earlier slots, the second half also the first half. Every
layer is one of `tvc.integer`: encoder and decoder compute the same counts on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tvc.checkerboard import TAPS, Trunk, at, halves_on
from tvc.config import ModelConfig
from tvc.integer import UNIT, IntegerLayer, activate, planes
from tvc.tables import OCTAVE, TOTAL, Ints, softmax_counts


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
        self.past = Trunk(2 * total, width, 2 * dimensions * TAPS, 3)
        self.present = Trunk(width + total, width, (width + dimensions) * TAPS, 2) if config.checkerboard else None
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
            tokens = at(codes, squares)
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
            tokens, wanted, sent = at(codes, squares), at(places, squares), ~at(mask, squares)[:, 0]
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
            tokens, _ = self._chain(half, seen, at(places, squares), multiplier)
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
        cut = halves_on(codes.shape[2], codes.shape[3], self.checkerboard, codes.device)
        for half, (squares, numbers) in enumerate(cut):
            if half:
                features = self.present_features(features, torch.where(squares, -1, codes))
            yield half, numbers, at(features, numbers)

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
