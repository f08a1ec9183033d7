"""More latents for a trained model, by reduced-rank regression: no training, and a start that training improves on.

Of what the model still gets wrong, which few numbers that are linear in the picture would tell most? Izenman,
"Reduced-rank regression for the multivariate linear model", Journal of Multivariate Analysis 5, 1975, answers in closed
form. Gradients find these directions slowly or not at all: a latent that says
something starts from one that says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tvc.config import HAAR_CHANNELS, TOKEN_BLOCKS, ModelConfig
from tvc.errors import TrainingError
from tvc.haar import analyse, usual_sizes
from tvc.latent_context import dequantised
from tvc.model import TVC
from tvc.resampling import resized
from tvc.training.checkpoint import load_parts
from tvc.training.crops import CropStore, shown_side
from tvc.training.objective import slots_of
from tvc.training.settings import at_least, check_factors

_VALUES = HAAR_CHANNELS * TOKEN_BLOCKS**2
_RIDGE = 3e-3
"""Added to the mean variance of a coefficient: directions that hardly occur are not worth large numbers."""
_STEP = 1.0
"""Quantisation step of the latents that there are."""
_GAIN = 0.29
"""Size of what a latent of 1 adds, in coefficients: about that of the latents that are trained, so that a quantisation
step costs as much in a new one."""


@dataclass(frozen=True)
class GrowSettings:
    """How the regression's data are drawn.

    Attributes:
        batches: of eight crops; a hundred have some fifty blocks for each of the 1,536 values of a block.
        size: side that crops are coded at.
        slots: per crop.
        enlarge: factors that crops are enlarged by, drawn for each batch.
        seed: of the choice of crops.
    """

    batches: int = 130
    size: int = 128
    slots: int = 3
    enlarge: tuple[float, ...] = (1.0,)
    seed: int = 0


def grow(start: dict[str, Any], crops: CropStore, latents: int, settings: GrowSettings) -> dict[str, Any]:
    """A checkpoint's model with more latents; the others, and what is decoded without any, stay as they are.

    The new latents are linear in the coefficients of their block and go straight to its coefficients. The continuous
    context model is left out: it is to be trained.

    Args:
        start: a checkpoint's content, as `loop.read_start` gives it.
        crops: of the training material.
        latents: how many the result has.
        settings: of the data.

    Returns:
        The content of a checkpoint.

    Raises:
        TrainingError: the model has no latents, or as many already; or settings that make no sense.
        WeightsError: more latents than a model can have.
    """
    check_factors(settings.enlarge)
    at_least("batches", settings.batches, 1)
    at_least("seed", settings.seed, 0)
    config = ModelConfig.from_json(start["config"])
    if not config.continuous or latents <= config.latents:
        expected = f"more than {config.latents}" if config.continuous else "a model that has latents"
        raise TrainingError("latents can only be added", got=latents, expected=expected)
    larger = replace(config, latents=latents)
    larger.check()
    model, new = TVC(config), latents - config.latents
    load_parts(model, start["average"])
    analysis, synthesis = regression(*_moments(model.eval(), crops, settings), new)
    straight = torch.zeros(_VALUES, new, 3, 3)
    scales = usual_sizes().reshape(-1, 1).expand(-1, TOKEN_BLOCKS**2).reshape(-1, 1)
    straight[:, :, 1, 1] = _GAIN * synthesis / scales
    state = dict(start["average"])
    head, stem = state["encoder.latents.head.weight"], state["decoder.control.stem.weight"]
    for name, more, axis in (
        ("encoder.latents.shortcut.weight", analysis[:, :, None, None] / _GAIN, 0),
        ("encoder.latents.shortcut.bias", torch.zeros(new), 0),
        ("encoder.latents.head.weight", torch.zeros(new, *head.shape[1:]), 0),
        ("encoder.latents.head.bias", torch.zeros(new), 0),
        ("decoder.control.stem.weight", torch.zeros(len(stem), new, 3, 3), 1),
        ("decoder.control.direct.weight", straight, 1),
    ):
        state[name] = torch.cat((state[name], more), axis)
    kept = {name: value for name, value in state.items() if not name.startswith("continuous_context.")}
    return {"config": larger.to_json(), "average": kept, "step": 0}


@torch.inference_mode()
def _moments(model: TVC, crops: CropStore, settings: GrowSettings) -> tuple[Tensor, Tensor]:
    """Mean products (1536, 1536) of the coefficients h of a block with themselves, and of its errors r with h.

    h are in units of `usual_sizes`, r are not: their squares are those of the samples.
    """
    rng, size = np.random.default_rng(settings.seed), settings.size
    own, errors = (torch.zeros(_VALUES, _VALUES, dtype=torch.float64) for _ in range(2))
    count = 0
    for _ in range(settings.batches):
        shown = shown_side(size, float(rng.choice(settings.enlarge)))
        encoder, decoder = model.new_encoder_state(), model.new_decoder_state()
        for source in slots_of(crops.batch(rng, 8, settings.slots, shown)):
            slot = resized(source, size, size)
            values, latents, encoder = model.tokenize(slot, encoder)
            sent = None if latents is None else dequantised(latents, _STEP)
            decoded, decoder, _ = model.reconstruct(values, None, sent, decoder)
            haar = analyse(slot)
            h, r = _blocks(haar / model.encoder.sizes), _blocks(haar - analyse(decoded))
            own += h.T @ h
            errors += r.T @ h
            count += len(h)
    return own / count, errors / count


def _blocks(haar: Tensor) -> Tensor:
    """Coefficients (B, 96, h, w) -> (blocks, 1536) float64, without the blocks at the crops' edges."""
    inner = functional.pixel_unshuffle(haar, TOKEN_BLOCKS)[:, :, 1:-1, 1:-1]
    return inner.permute(0, 2, 3, 1).flatten(0, 2).double()


def regression(own: Tensor, errors: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Analysis A (rank, n) and synthesis S (n, rank), orthonormal columns, of least mean |r - S A h|^2."""
    ridge = _RIDGE * own.diagonal().mean() * torch.eye(len(own), dtype=own.dtype)
    root = torch.linalg.cholesky(own + ridge)
    # Of whitened coefficients the best map of a rank is the truncated singular value decomposition of the best map.
    whitened = torch.linalg.solve_triangular(root, errors.T, upper=False).T
    left, sizes, right = torch.linalg.svd(whitened, full_matrices=False)
    kept = right[:rank].T * sizes[:rank]
    analysis = torch.linalg.solve_triangular(root.T, kept, upper=True).T
    return analysis.float(), left[:, :rank].float()
