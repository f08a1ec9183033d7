"""Scene integrity: what it must notice, and that it is a cosine."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import moving_frames
from sample_carphone import FORMAT, SETTING, carphone
from temporal_samples import blur, deep, deep_setting, flicker, lpips_weights, means, noise, scores

from evalsuite.metrics import lpips
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.weights import ALEXNET, convolutions
from evalsuite.types import Colour, Frame, VideoFormat

NAMES = "scene_integrity,scene_integrity_low"


@pytest.fixture(autouse=True)
def _weights() -> None:
    lpips_weights()


def test_identity_is_one() -> None:
    frames = carphone(2)
    # A black frame too: what excites nothing is the same as itself.
    frames.append(tuple(np.full_like(plane, value) for plane, value in zip(frames[0], (16, 128, 128), strict=True)))
    for series in scores(NAMES, frames, frames, SETTING).values():
        np.testing.assert_array_equal(series.values, 1)


def test_it_is_the_cosine_of_alexnets_last_layer() -> None:
    """By plain convolutions with the weights as they are published."""
    weights = convolutions(ALEXNET)

    def deepest(frame: Frame) -> torch.Tensor:
        mean, spread = ([[[value]] for value in values] for values in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
        signal = (torch.from_numpy(View(frame, SETTING).rgb()) * 2 - 1 - torch.tensor(mean)) / torch.tensor(spread)
        signal = signal[None]
        for layer, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))):
            if layer in (1, 2):
                signal = torch.nn.functional.max_pool2d(signal, 3, 2)
            taps, bias = (torch.from_numpy(weights[f"conv{layer}.{kind}"]) for kind in ("weight", "bias"))
            signal = torch.relu(torch.nn.functional.conv2d(signal, taps, bias, stride, padding))
        return signal

    source, decoded = carphone(1), carphone(1, "distorted")
    expected = torch.cosine_similarity(deepest(source[0]), deepest(decoded[0]))
    found = means(NAMES, source, decoded, SETTING)
    assert found["scene_integrity"] == pytest.approx(expected.mean().item(), abs=1e-4)
    assert found["scene_integrity_low"] == pytest.approx(expected.flatten().quantile(0.05).item(), abs=1e-4)


@pytest.mark.parametrize("name", NAMES.split(","))
def test_the_more_blur_or_noise_the_less_is_left(name: str) -> None:
    source, setting = deep(carphone(2)), deep_setting(FORMAT)
    for distorted in (
        [blur(source, sigma) for sigma in (0.7, 1.5, 3)],
        [noise(source, levels) for levels in (2, 6, 18)],
    ):
        falling = [means(name, source, frames, setting)[name] for frames in distorted]
        assert 1 > falling[0] > falling[1] > falling[2] > 0


def test_brightness_leaves_the_scene_whole_and_another_scene_does_not() -> None:
    source, setting = deep(carphone(2)), deep_setting(FORMAT)
    assert means(NAMES, source, flicker(source, 0.04), setting)["scene_integrity"] > 0.98
    other = deep(moving_frames(FORMAT, 2))
    assert means(NAMES, source, other, setting)["scene_integrity"] < 0.4


def test_what_is_lost_in_one_place_shows_in_the_low_end() -> None:
    source = carphone(1)
    luma = source[0][0].copy()
    luma[60:100, 60:100] = luma[60:100, 60:100].mean().astype(np.uint8)  # part of the face is gone
    found = means(NAMES, source, [(luma, *source[0][1:])], SETTING)
    assert 1 - found["scene_integrity_low"] > 2 * (1 - found["scene_integrity"])


def test_one_pass_of_one_network_a_frame() -> None:
    passes = []
    handle = lpips.network().net.register_forward_hook(lambda *_: passes.append(1))
    try:
        means(f"lpips,{NAMES}", carphone(2), carphone(2, "distorted"), SETTING)
    finally:
        handle.remove()
    assert len(passes) == 4


def test_sizes() -> None:
    for size, status in (((31, 64), "too_small"), ((32, 32), "ok"), ((65, 47), "ok")):
        setting = Setting(VideoFormat(*size), Colour("bt709"), Fraction(25))
        source, decoded = (list(moving_frames(setting.format, 1, seed)) for seed in (0, 1))
        assert {series.status for series in scores(NAMES, source, decoded, setting).values()} == {status}
