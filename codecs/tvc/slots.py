"""One slot through a coder: the same walk writes, reads and measures, so the two sides cannot drift apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tvc.checkerboard import halves
from tvc.detail import Strengths, cells, of_cells
from tvc.entropy import Coder, Tally
from tvc.latent_context import LATENT_ONE
from tvc.levels import UNTOLD, Told, code_levels
from tvc.masking import Bools, Guess, code_flags, guess, worth_sending
from tvc.model import TVC
from tvc.operating import Point
from tvc.tables import REACH, TOTAL, Ints, steps

_LARGEST_SYMBOL = 1 << 14

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _exact(method: _Method) -> _Method:
    """Context models count the same everywhere: also within an autocast of the caller's."""
    return cast("_Method", torch.inference_mode()(torch.autocast("cpu", enabled=False)(method)))


class Memory(NamedTuple):
    """What a coder sees of earlier slots; None, or no levels, where there is none.

    Attributes:
        codes1: of the slot before, (1, D, h, w).
        codes2: of the slot before that.
        latents: of the slot before, dequantised, (1, C, h, w).
        told: of the detail of the slot before.
        corrected: where the slot before had corrections (`tvc.masking`), (h, w).
    """

    codes1: Tensor | None = None
    codes2: Tensor | None = None
    latents: Tensor | None = None
    told: Told = UNTOLD
    corrected: Bools | None = None


class SlotCoder:
    """Codes the slots of a video in order, and remembers what the context models see of earlier ones.

    Args:
        model: gives the context models.
        height: of a slot, in tokens.
        width: of a slot, in tokens.
    """

    memory: Memory
    """May be put back: a slot can be read again."""

    def __init__(self, model: TVC, height: int, width: int) -> None:
        self._discrete = model.discrete_context
        self._continuous = model.continuous_context
        self._shape = torch.Size((1, len(model.config.levels), height, width))
        self.halves = halves(height, width, model.config.checkerboard)
        """The squares of each half, in coding order."""
        self.reset()

    def reset(self) -> None:
        """Forget earlier slots: the next one is intra."""
        self.memory = Memory()

    def parts(self, point: Point) -> int:
        """In how many goes the tokens of one half are coded: the flags of sure ones, then each dimension."""
        return self._shape[1] + (point.threshold is not None)

    def detail(self, coder: Coder, point: Point, strengths: Strengths | None) -> Ints:
        """Code how strong the detail of a slot is.

        Args:
            coder: writes or reads it.
            point: gives the size of the cells.
            strengths: as `tvc.detail.strengths` gives them; none at all: nothing is said; None to read.

        Returns:
            The levels as the decoder has them, (OCTAVES, rows, columns) of cells; without these: nothing was said.
        """
        wanted = None if strengths is None else of_cells(point.kind, strengths)
        shape = cells(point.kind, (self._shape[2], self._shape[3]))
        told = code_levels(coder, wanted, shape, self.memory.told)
        self.memory = self.memory._replace(told=told)
        return told.levels

    @_exact
    def discrete(
        self,
        coder: Coder,
        point: Point,
        places: Tensor | None,
        multiplier: float = 0.0,
        correction: float = math.inf,
    ) -> tuple[Tensor, Tensor | None]:
        """Code the tokens of a slot.

        Args:
            coder: writes or reads them.
            point: gives the masking threshold.
            places: (1, D, h, w), the codes to write before they are rounded; None to read.
            multiplier: of the bits when a code is chosen, see `rounded`.
            correction: likewise where a guess may do, see `masking.worth_sending`; infinite: it always does.

        Returns:
            The codes as the decoder has them, and the mask (1, 1, h, w) of those that are guesses, or None.
        """
        past = features = self._discrete.past_features(self.memory.codes1, self.memory.codes2, self._shape)
        known = torch.full(self._shape, -1)
        mask = torch.zeros(1, 1, *self._shape[2:], dtype=torch.bool)
        corrected = np.zeros(self._shape[2:], np.bool_)
        before = corrected if self.memory.corrected is None else self.memory.corrected
        for half, squares in enumerate(self.halves):
            if half:
                features = self._discrete.present_features(past, known)
            rows = features[0].permute(1, 2, 0)[squares]  # (N, width)
            wanted = None if places is None else places[0].permute(1, 2, 0)[squares]  # (N, D)
            masked = torch.zeros(len(rows), dtype=torch.bool)
            decoded = torch.zeros(len(rows), self._shape[1], dtype=torch.int64)
            if point.threshold is not None:
                guessed = guess(self._discrete, half, rows, point.threshold)
                prices = multiplier, correction
                worth = None if wanted is None else self._worth(half, rows, guessed, wanted, *prices)
                corrected = code_flags(coder, squares.numpy(), guessed, corrected, before, worth)
                decoded, masked = guessed.codes, guessed.sure & ~torch.from_numpy(corrected)[squares]
            here = None if wanted is None else wanted[~masked]
            decoded[~masked] = self._coded(coder, half, rows[~masked], here, multiplier)
            known[0][:, squares] = decoded.T
            mask[0, 0][squares] = masked
        self.memory = self.memory._replace(codes1=known, codes2=self.memory.codes1, corrected=corrected)
        return known, mask if point.threshold is not None else None

    @_exact
    def continuous(self, coder: Coder, point: Point, codes: Tensor, latents: Tensor | None) -> tuple[Tensor, Ints]:
        """Code the latents of a slot.

        Args:
            coder: writes or reads them.
            point: gives the step; one with a continuous stream.
            codes: of this slot, as the decoder has them.
            latents: (1, C, h, w) float to write; None to read.

        Returns:
            The latents as the decoder has them, and their symbols (h * w, C), in coding order.
        """
        context = self._continuous
        if context is None or point.step_index is None:
            raise ValueError("there is no continuous stream to code")
        step, _ = steps(point.step_index)
        decoded = torch.zeros(1, context.latents, *self._shape[2:])
        previous = torch.zeros_like(decoded) if self.memory.latents is None else self.memory.latents
        # `discrete` has moved the codes of the slot before to second place.
        past = features = context.past_features(codes, previous, self.memory.codes2)
        symbols = []
        for half, squares in enumerate(self.halves):
            if half:
                features = context.present_features(past, decoded, previous * ~squares)
            rows, before = (one[0].permute(1, 2, 0)[squares] for one in (features, previous))
            mean, counts = context.gaussians(half, rows, before, point.step_index)
            places = None
            if latents is not None:
                wanted = (latents[0].permute(1, 2, 0)[squares].double() * (LATENT_ONE / step)).round()
                wanted = wanted.nan_to_num(0).clamp(-_LARGEST_SYMBOL, _LARGEST_SYMBOL)
                # A latent too far from its mean is sent as near as it can be; the decoder's value is what counts.
                places = (wanted.to(torch.int64).numpy() - mean).clip(-REACH, REACH).reshape(-1) + REACH
            coded = coder.code(counts.reshape(-1, counts.shape[-1]), places)
            here = mean + coded.reshape(mean.shape) - REACH  # (N, C)
            decoded[0][:, squares] = torch.from_numpy(here * step).T / LATENT_ONE
            symbols.append(here)
        self.memory = self.memory._replace(latents=decoded)
        return decoded, np.concatenate(symbols)

    def skip_continuous(self) -> None:
        """Note that this slot has no latents."""
        self.memory = self.memory._replace(latents=None)

    def _worth(
        self, half: int, rows: Tensor, guessed: Guess, places: Tensor, multiplier: float, correction: float
    ) -> Bools:
        """Which of the sure tokens the encoder sends all the same."""
        sure = guessed.sure
        tally = Tally()
        codes = self._coded(tally, half, rows[sure], places[sure], multiplier)
        return worth_sending(places[sure], guessed.codes[sure], codes, tally.bits, correction)

    def _coded(self, coder: Coder, half: int, rows: Tensor, places: Tensor | None, multiplier: float) -> Tensor:
        """Codes (N, D) of the tokens that are sent; each dimension sees the earlier ones."""
        codes = torch.zeros(len(rows), self._shape[1], dtype=torch.int64)
        for d in range(self._shape[1]):
            counts = self._discrete.frequencies(half, d, rows, codes)
            chosen = None if places is None else rounded(places[:, d].numpy(), counts, multiplier)
            codes[:, d] = torch.from_numpy(coder.code(counts, chosen))
        return codes


def rounded(places: NDArray[np.float32], counts: Ints, multiplier: float) -> Ints:
    """Codes near their places that cost few bits: rate-distortion optimised quantisation.

    Args:
        places: (N,), codes before rounding.
        counts: (N, levels), what the context model says of them, of 65,536.
        multiplier: squared distance that a bit is worth; 0: the nearest code.

    Returns:
        (N,), the codes of least squared distance plus multiplier times bits.
    """
    distance = np.square(places[:, None].astype(np.float64) - np.arange(counts.shape[1]))
    chosen: Ints = (distance + multiplier * np.log2(TOTAL / counts)).argmin(axis=1)
    return chosen
