"""Everything that a training run depends on, apart from the material, and what of it makes sense."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import torch

from tvc.bitstream import SCALES
from tvc.config import TOKEN_PIXELS
from tvc.errors import TrainingError
from tvc.training.crops import shown_side
from tvc.training.losses import LossWeights
from tvc.training.stages import STAGES

_LPIPS_SIDE = 16
"""The VGG trunk halves a picture four times."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that a run depends on, apart from the material.

    Attributes:
        stage: which stage, by name.
        steps: length of the stage; the learning rate falls along a cosine to a twentieth.
        batch: crops per step.
        size: side that a crop is coded at, in luma samples.
        enlarge: factors that crops are enlarged by before they are coded, one drawn for each batch: crops of
            `size` / factor, compared at that size. Validation is at the first.
        slots: slots per crop that are unrolled with gradients.
        looks: slots of a crop that LPIPS looks at; they stand for the others. With all of them, and two at least, a GPU
            replays recorded steps.
        lpips_size: side of the square that LPIPS sees.
        learning_rate: at its peak.
        rate: weight of the latents' bits per pixel, times their step; None: the stage's. It should grow with the
            weights of the loss.
        tokens: weight of the bits of a token; None: the stage's.
        fidelity: factor on sample errors where latents are sent; None: the stage's.
        adversary: length of the adversary's gradient as a multiple of that of LPIPS; None: the stage's.
        averaging: decay of the moving average of the weights, which is what is validated and exported.
        validate_every: steps between validations.
        validation_frames: frames per validation clip.
        bfloat16: networks in bfloat16 where autocast holds it safe (never the context models).
        seed: of initial weights, batches, steps, thresholds and noise.
        device: cpu or cuda.
        threads: of PyTorch on the CPU; 0: as many as it likes.
    """

    stage: str
    steps: int
    batch: int = 4
    size: int = 128
    enlarge: tuple[float, ...] = (1.0,)
    slots: int = 2
    looks: int = 1
    lpips_size: int = 80
    learning_rate: float = 5e-4
    rate: float | None = None
    tokens: float | None = None
    fidelity: float | None = None
    adversary: float | None = None
    averaging: float = 0.998
    validate_every: int = 500
    validation_frames: int = 8
    bfloat16: bool = True
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    loss: LossWeights = field(default_factory=LossWeights)

    def check(self, *, lpips: bool) -> None:
        """Raises TrainingError where a setting makes no sense, or the stage does not know it.

        Args:
            lpips: whether there are LPIPS weights.
        """
        if self.stage not in STAGES:
            raise TrainingError("unknown stage", got=self.stage, expected=", ".join(STAGES))
        check_factors(self.enlarge)
        for name in ("steps", "batch", "slots", "validate_every", "validation_frames"):
            at_least(name, getattr(self, name), 1)
        at_least("threads", self.threads, 0)
        at_least("seed", self.seed, 0)
        if self.size < TOKEN_PIXELS or self.size % TOKEN_PIXELS:
            raise TrainingError(
                "crops are coded at whole tokens", got=f"size {self.size}", expected=f"a multiple of {TOKEN_PIXELS}"
            )
        if lpips:
            smallest = min(shown_side(self.size, factor) for factor in self.enlarge)
            at_least("side of what LPIPS sees", min(self.lpips_size, smallest), _LPIPS_SIDE)
        if not 1 <= self.looks <= self.slots:
            raise TrainingError("LPIPS looks at slots of a crop", got=self.looks, expected=f"1 to {self.slots}")
        if self.tokens is not None and not STAGES[self.stage].hears_bits:
            raise TrainingError("the tokens' bits are not in the loss of this stage", got=self.stage)
        if not 0 < self.learning_rate < math.inf:
            raise TrainingError("not a learning rate", got=self.learning_rate, expected="a number above 0")
        factors = {name: getattr(self, name) for name in ("rate", "tokens", "fidelity", "adversary")}
        factors |= {f"weight of {one.name}": getattr(self.loss, one.name) for one in fields(self.loss)}
        for name, value in factors.items():
            if value is not None and not 0 <= value < math.inf:
                raise TrainingError("not a weight in a loss", got=f"{name} {value}", expected="a number from 0 on")
        check_device(self.device)


def at_least(name: str, value: int, least: int) -> None:
    """Raises TrainingError where the named setting is smaller than it can be."""
    if value < least:
        raise TrainingError("a setting is too small", got=f"{name} {value}", expected=f"at least {least}")


def check_factors(factors: tuple[float, ...]) -> None:
    """Raises TrainingError where crops or clips are to be coded at a size that the codec does not have."""
    if not factors or not all(SCALES[0] <= factor <= SCALES[1] for factor in factors):
        expected = f"{SCALES[0]} to {SCALES[1]}"
        raise TrainingError("crops are not coded at such a size", got=factors, expected=expected)


def check_device(name: str) -> None:
    """Raises TrainingError where PyTorch does not know the device, or the machine has none of it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise TrainingError("no such device", got=name, expected="cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError("this machine has no such device", got=name, expected=f"{torch.cuda.device_count()} GPUs")
