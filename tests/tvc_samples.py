"""Small models and videos for the tests of tvc."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tvc.config import ModelConfig
from tvc.entropy import Writer
from tvc.model import TVC
from tvc.video import Format, Frame
from tvc.weights import load, save

TINY = ModelConfig(
    widths=(12, 16, 24),
    encoder_blocks=(1, 1, 1),
    decoder_blocks=(1, 1, 1),
    latent_widths=(8, 8, 8),
    control_widths=(8, 8, 8),
    refine_width=8,
    predictor_width=24,
    predictor_layers=1,
    predictor_heads=2,
    context_width=16,
)

UNEVEN = ModelConfig(
    widths=(8, 12, 16),
    encoder_blocks=(1, 1, 1),
    decoder_blocks=(1, 1, 1),
    latents=8,
    latent_widths=(4, 6, 8),
    control_widths=(4, 6, 8),
    refine_width=4,
    predictor_width=12,
    predictor_layers=2,
    predictor_heads=2,
    predictor_window=4,
    context_width=8,
)
"""No two widths of the trunk are equal, so that none can stand for another; two layers, so that windows shift."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For the modules that import it: networks this small only lose by threads, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_weights(path: Path, config: ModelConfig = TINY, seed: int = 0) -> TVC:
    """Write random weights whose tokens, latents and probabilities are uneven; returns the model as it loads."""
    torch.manual_seed(seed)
    model = TVC(config)
    with torch.no_grad():
        for name, parameter in model.encoder.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(0.06 if name.startswith("latents") else 2)
        for layer in model.discrete_context.logits:
            layer.weight.mul_(12)
            layer.bias.normal_(0, 3)
        for parameter in model.decoder.parameters():
            if not parameter.any():  # the zero-initialised ends: without them streams would not reach the pixels
                parameter.normal_(0, 0.05)
    save(model, path, {})
    return load(path)


def moving(width: int, height: int, frames: int, seed: int = 0) -> list[Frame]:
    """A drifting pattern with noise."""
    rng = np.random.default_rng(seed)
    shapes = Format(width, height, Fraction(25)).shapes
    waves = [rng.uniform(0.02, 0.4, 2) for _ in shapes]
    result = []
    for t in range(frames):
        planes = []
        for (rows, columns), (fy, fx) in zip(shapes, waves, strict=True):
            y, x = np.mgrid[:rows, :columns]
            plane = (
                128 + 90 * np.sin(fy * (y + 2 * t) + seed) * np.cos(fx * (x + t)) + rng.normal(0, 6, (rows, columns))
            )
            planes.append(plane.clip(0, 255).astype(np.uint8))
        result.append((planes[0], planes[1], planes[2]))
    return result


class Recorder:
    """A writer that keeps what it was told of each symbol."""

    def __init__(self) -> None:
        self._writer = Writer()
        self.counts: list[list[int]] = []

    def code(self, counts, symbols):
        self.counts += counts.tolist()
        return self._writer.code(counts, symbols)
