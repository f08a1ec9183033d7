"""Frames with faces in them, and frames that lost something: what task metrics are tested on."""

from __future__ import annotations

import functools
import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Recall, Setting
from evalsuite.metrics.registry import select
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.types import Frame, Plane, Series


@functools.cache
def clip(name: str, count: int, step: int = 8) -> tuple[tuple[Frame, ...], Setting]:
    """Every `step`-th frame of a sequence of the demo dataset; skips by name where it cannot be had."""
    (entry,) = (entry for entry in load_dataset("demo").sequences if entry.name == name)
    try:
        sequence = prepare(entry)
    except AssetError as error:
        pytest.skip(f"the demo sequence {name} cannot be had: {error.got}")
    frames = itertools.islice(open_video(sequence.path), 0, count * step, step)
    return tuple(frames), Setting(sequence.format, sequence.colour, sequence.frame_rate)


def score(
    names: str,
    source: tuple[Frame, ...],
    decoded: tuple[Frame, ...],
    setting: Setting,
    features: Recall | None = None,
) -> dict[str, Series]:
    result = measure(source, setting, {"it": iter(decoded)}, select(names), features=features)["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def coded(frames: tuple[Frame, ...], quality: int) -> tuple[Frame, ...]:
    """As JPEG leaves each plane at this quality."""

    def lose(plane: Plane) -> NDArray[np.uint8]:
        _, data = cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)

    return tuple(tuple(lose(plane) for plane in frame) for frame in frames)


def grey(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """With nothing left in them."""
    return tuple(tuple(np.full_like(plane, 128) for plane in frame) for frame in frames)
