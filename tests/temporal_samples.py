"""Scoring made-up decoded sequences, and the four distortions that tell temporal metrics apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import cv2
import numpy as np
import pytest

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import AssetError
from evalsuite.metrics import lpips
from evalsuite.metrics.base import Recall, Setting
from evalsuite.metrics.registry import select
from evalsuite.types import Colour, Frame, Plane, Series, VideoFormat


def scores(
    names: str, source: Iterable[Frame], decoded: Iterable[Frame], setting: Setting, features: Recall | None = None
) -> dict[str, Series]:
    result = measure(source, setting, {"it": iter(decoded)}, select(names), features=features)["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def means(names: str, source: Sequence[Frame], decoded: Sequence[Frame], setting: Setting) -> dict[str, float]:
    found = scores(names, source, decoded, setting)
    assert {series.status for series in found.values()} == {"ok"}
    return {name: float(series.values.mean()) for name, series in found.items()}


def lpips_weights() -> None:
    try:
        lpips.network()
    except AssetError as error:
        pytest.skip(f"the weights of AlexNet cannot be had: {error.got}")


def deep(frames: Iterable[Frame]) -> list[Frame]:
    """The same pictures in 16 bits: distortions need not be rounded to levels of 8 bits."""
    return [tuple(plane.astype(np.uint16) * 257 for plane in frame) for frame in frames]


def deep_setting(format: VideoFormat, matrix: str = "bt601") -> Setting:
    """Full range: 257 times an 8-bit code is the same level of full-range 16 bits."""
    return Setting(VideoFormat(format.width, format.height, 16), Colour(matrix, full_range=True), Fraction(30))


def _codes(plane: np.ndarray) -> Plane:
    return np.rint(np.clip(plane, 0, 65535)).astype(np.uint16)


def _blurred(plane: Plane, sigma: float) -> Plane:
    return _codes(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), sigma))


def blur(frames: Sequence[Frame], sigma: float = 2) -> list[Frame]:
    return [tuple(_blurred(plane, sigma) for plane in frame) for frame in frames]


def freeze(frames: Sequence[Frame]) -> list[Frame]:
    """Every second frame shows the one before: half the frame rate."""
    return [frames[index // 2 * 2] for index in range(len(frames))]


def flicker(frames: Sequence[Frame], amount: float = 0.01) -> list[Frame]:
    """Luma goes up and down by `amount` of the full scale."""
    step = 65535 * amount
    return [(_codes(frame[0] + step * (-1.0) ** index), *frame[1:]) for index, frame in enumerate(frames)]


def noise(frames: Sequence[Frame], levels: float) -> list[Frame]:
    """Fresh noise on luma in every frame, of this standard deviation in levels of 8 bits."""
    rng = np.random.default_rng(0)
    return [(_codes(frame[0] + rng.normal(0, 257 * levels, frame[0].shape)), *frame[1:]) for frame in frames]


def flicker_levels(frames: list[Frame], levels: int) -> list[Frame]:
    """The luma up and down by so many levels, frame by frame."""
    return [
        (np.clip(frame[0].astype(int) + levels * (-1) ** index, 0, 255).astype(np.uint8), *frame[1:])
        for index, frame in enumerate(frames)
    ]
