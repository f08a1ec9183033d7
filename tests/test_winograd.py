"""Winograd's minimal filtering against the convolution that it takes the place of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evalsuite.metrics.nets.winograd import Winograd, quicken, toom_cook


@pytest.mark.parametrize("outputs", [2, 4])
def test_one_dimension_is_correlation(outputs: int) -> None:
    a, g, b = toom_cook(outputs)
    rng = np.random.default_rng(outputs)
    signal, kernel = rng.normal(size=6), rng.normal(size=7 - outputs)
    np.testing.assert_allclose(a @ ((g @ kernel) * (b @ signal)), np.correlate(signal, kernel), atol=1e-12)


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (21, 39), (64, 33)])
def test_it_gives_the_convolutions_values(taps: int, size: tuple[int, int]) -> None:
    torch.manual_seed(taps)
    convolution = torch.nn.Conv2d(40, 24, taps, padding=taps // 2).double()
    x = torch.randn(1, 40, *size).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = convolution(x.double())
        got = Winograd(convolution.float())(x)
    assert got.shape == exact.shape
    assert got.stride(1) == 1  # channels last
    assert (got - exact).abs().max() < 2e-5 * exact.abs().max()


def test_only_convolutions_that_gain_are_replaced() -> None:
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 11, stride=4, padding=2),
        torch.nn.Sequential(torch.nn.Conv2d(64, 192, 5, padding=2), torch.nn.ReLU()),
        torch.nn.Conv2d(64, 64, 3, padding=1),
        torch.nn.Conv2d(128, 128, 3, padding=1, stride=2),
        torch.nn.Conv2d(128, 128, 3, padding=1, groups=2),
        torch.nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        torch.nn.Conv2d(128, 128, 3),
        torch.nn.Conv2d(128, 128, 3, padding=1),
    )
    x = torch.randn(1, 64, 31, 17)
    before = layers[1](x).detach()
    quicken(layers)
    replaced = [isinstance(layer, Winograd) for layer in layers]
    assert replaced == [False] * 7 + [True]
    assert isinstance(layers[1][0], Winograd)
    with torch.inference_mode():
        assert (layers[1](x) - before).abs().max() < 2e-5 * before.max()
