"""ColorVideoVDP, fed frame by frame, against the package's own prediction from whole arrays."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from conftest import moving_frames

from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import View
from evalsuite.metrics.cvvdp import DISPLAYS, FAMILY, Setting, model
from evalsuite.metrics.registry import select
from evalsuite.types import Colour, Frame, Transfer, VideoFormat

FORMAT = VideoFormat(97, 64)


@pytest.fixture
def package() -> Any:
    if problem := FAMILY.check():
        pytest.skip(f"cvvdp is not installed: {problem}")
    model(DISPLAYS["sdr"])  # loads what the package needs, in an order that works
    import pycvvdp

    return pycvvdp


@pytest.mark.parametrize("first", ["", "import distutils.core"])
def test_the_package_loads_beside_the_standard_librarys_distutils(first: str) -> None:
    if problem := FAMILY.check():
        pytest.skip(f"cvvdp is not installed: {problem}")
    if sys.version_info >= (3, 12):
        pytest.skip("the standard library has no distutils any more")
    code = (
        "import sys; sys.meta_path = [one for one in sys.meta_path if 'Distutils' not in type(one).__name__]\n"
        f"{first}\nfrom evalsuite.metrics.cvvdp import model; model('standard_4k')"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def frames(count: int, amount: float) -> list[Frame]:
    """Moving frames with noise that comes and goes."""
    rng = np.random.default_rng(1)
    return [
        tuple(
            np.clip(plane + rng.normal(0, amount * (index % 3), plane.shape), 0, 255).astype(np.uint8)
            for plane in frame
        )
        for index, frame in enumerate(moving_frames(FORMAT, count))
    ]


@pytest.mark.parametrize(
    ("transfer", "rate", "count"),
    [("sdr", Fraction(25), 12), ("sdr", Fraction(30000, 1001), 2), ("pq", Fraction(50), 9), ("hlg", Fraction(24), 9)],
)
def test_streamed_scores_are_the_packages(package: Any, transfer: Transfer, rate: Fraction, count: int) -> None:
    setting = Setting(FORMAT, Colour("bt709", transfer=transfer), rate)
    source, decoded = frames(count, 0), frames(count, 9)
    result = measure(source, setting, {"it": iter(decoded)}, select("cvvdp"))["it"]
    assert isinstance(result, Measured)
    (series,) = result.series
    metric = package.cvvdp(display_name=DISPLAYS[transfer], quiet=True, device=torch.device("cpu"))
    test, reference = (np.stack([View(frame, setting).rgb() for frame in video]) for video in (decoded, source))
    expected, _ = metric.predict(test, reference, dim_order="FCHW", frames_per_second=float(rate))
    np.testing.assert_allclose(series.values, [expected.item()], atol=1e-5)


def test_one_frame_is_a_still_picture(package: Any) -> None:
    setting = Setting(FORMAT, Colour("bt709"), Fraction(25))
    source, decoded = frames(3, 0)[2:], frames(3, 9)[2:]
    result = measure(source, setting, {"it": iter(decoded)}, select("cvvdp"))["it"]
    assert isinstance(result, Measured)
    metric = package.cvvdp(display_name=DISPLAYS["sdr"], quiet=True, device=torch.device("cpu"))
    expected, _ = metric.predict(View(decoded[0], setting).rgb(), View(source[0], setting).rgb(), dim_order="CHW")
    np.testing.assert_allclose(result.series[0].values, [expected.item()], atol=1e-5)
