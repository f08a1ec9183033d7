"""Noise: known amounts of it, on pictures that have none of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalsuite.sources.noise import SMALLEST, noise_sigma

SHAPE = (360, 480)


def picture() -> NDArray[np.float64]:
    """Smooth shading with edges of every direction, as a drawing has them; no texture."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    shading = 90 + 40 * np.sin(columns / 60) * np.cos(rows / 45)
    disc = np.hypot(rows - 150, columns - 200) < 90
    bar = np.abs(rows - 0.7 * columns + 40) < 12
    return shading + 50 * disc - 30 * bar


def noisy(sigma: float, clean: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    return clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)


# Edges, which cover a few percent of the picture, move the median a little.
@pytest.mark.parametrize(
    ("clean", "within"), [(np.full(SHAPE, 120.0), 0.03), (picture(), 0.06)], ids=["flat", "picture"]
)
@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 10.0])
def test_a_known_amount_of_noise_is_found(sigma: float, clean: NDArray[np.float64], within: float) -> None:
    luma = np.rint(noisy(sigma, clean)).clip(0, 255).astype(np.uint8)
    # Rounding to whole levels adds a twelfth to the variance.
    assert noise_sigma(luma, 8, full_range=True) == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=within)


@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (10, np.uint16), (16, np.uint16)])
@pytest.mark.parametrize("full_range", [True, False])
def test_levels_are_of_8_bits_from_black_to_white(bit_depth: int, dtype: type, full_range: bool) -> None:
    span = 2**bit_depth - 1 if full_range else 219 * 2 ** (bit_depth - 8)
    luma = np.rint(noisy(4 * span / 255, np.full(SHAPE, span / 2))).astype(dtype)
    assert noise_sigma(luma, bit_depth, full_range=full_range) == pytest.approx(4, rel=0.02)


def test_what_has_no_noise_has_none() -> None:
    rows, columns = np.mgrid[:64, :80]
    assert noise_sigma(np.full((64, 80), 100, np.uint8), 8, full_range=True) == 0
    assert noise_sigma((rows + 2 * columns).astype(np.uint8), 8, full_range=True) == pytest.approx(0, abs=1e-4)
    # Edges and a few lines, as a recording of a screen has them, are no noise either.
    screen = np.full((64, 80), 30, np.uint8)
    screen[10:30, 20:60] = 220
    screen[40, 5:70] = 255
    assert noise_sigma(screen, 8, full_range=True) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("shape", [(SMALLEST - 1, 64), (64, SMALLEST - 1), (1, 1)])
def test_a_picture_too_small_has_no_number(shape: tuple[int, int]) -> None:
    assert noise_sigma(np.zeros(shape, np.uint8), 8, full_range=True) is None


@given(st.integers(SMALLEST, 24), st.integers(SMALLEST, 24), st.integers(0, 2**32 - 1))
def test_twice_the_contrast_is_twice_the_noise(height: int, width: int, seed: int) -> None:
    luma = np.random.default_rng(seed).integers(0, 128, (height, width), dtype=np.uint8)
    once, twice = (noise_sigma(plane, 8, full_range=True) for plane in (luma, luma * 2))
    assert once is not None
    assert twice == pytest.approx(2 * once, rel=1e-4, abs=1e-4)
