"""tOF against its published code, tLPIPS against the package."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from sample_carphone import SETTING, carphone
from temporal_samples import lpips_weights, means, scores

from evalsuite.metrics import lpips
from evalsuite.metrics.base import View
from evalsuite.types import Frame


def published_tof(source: list[np.ndarray], decoded: list[np.ndarray]) -> list[float]:
    """As TecoGAN's metrics.py has it, of 8-bit grey: its crop of the flow, the Euclidean length, the mean."""

    def flow(frames: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        whole = cv2.calcOpticalFlowFarneback(*frames, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        height, width = (side // 32 * 32 for side in whole.shape[:2])
        while height > whole.shape[0] - 16:
            height -= 32
        while width > whole.shape[1] - 16:
            width -= 32
        y, x = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
        return whole[y : y + height, x : x + width]

    pairs = zip(pairwise(source), pairwise(decoded), strict=True)
    return [float(np.sqrt(np.square(flow(a) - flow(b)).sum(-1)).mean()) for a, b in pairs]


def test_tof_agrees_with_the_published_code() -> None:
    source, decoded = carphone(6), carphone(6, "distorted")
    grey = [
        [cv2.cvtColor(View(frame, SETTING).rgb8(), cv2.COLOR_RGB2GRAY) for frame in frames]
        for frames in (source, decoded)
    ]
    found = scores("tof", source, decoded, SETTING)["tof"].values
    np.testing.assert_allclose(found, published_tof(*grey), rtol=1e-3)


def test_tlpips_agrees_with_the_package() -> None:
    lpips_weights()
    source, decoded = carphone(4), carphone(4, "distorted")

    def changes(frames: list[Frame]) -> list[float]:
        pictures = [torch.from_numpy(View(frame, SETTING).rgb())[None] for frame in frames]
        with torch.inference_mode():
            return [lpips.network()(a, b, normalize=True).item() for a, b in pairwise(pictures)]

    expected = 100 * np.abs(np.subtract(changes(decoded), changes(source)))
    np.testing.assert_allclose(scores("tlpips", source, decoded, SETTING)["tlpips"].values, expected, atol=1e-3)


def test_one_pass_of_the_network_serves_three_metrics() -> None:
    lpips_weights()
    passes = []
    handle = lpips.network().net.register_forward_hook(lambda *_: passes.append(1))
    try:
        means("lpips,tlpips,scene_integrity", carphone(3), carphone(3, "distorted"), SETTING)
    finally:
        handle.remove()
    assert len(passes) == 6
