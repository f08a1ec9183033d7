"""What cells will cost: held to numpy's regression, and to what can be said by hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.costs import _RIDGE, CostModel, EncodeCost, measure_bytes
from evalsuite.types import Colour, Sequence, VideoFormat


def sequence(width: int = 100, height: int = 10, frames: int = 4) -> Sequence:
    return Sequence("s", "d", Path("s.y4m"), "", VideoFormat(width, height), Fraction(25), frames, Colour("bt709"))


def cost(q: float, cpu_s: float, codec: str = "a", pixels: int = 4000, frames: int = 4, peak: int = 0) -> EncodeCost:
    return EncodeCost(codec, pixels, frames, q, cpu_s, cpu_s, peak)


def test_an_encoder_that_halves_its_time_every_ten_steps_is_foreseen() -> None:
    known = [cost(q, 8 * 2 ** (-q / 10)) for q in range(0, 51, 5)]
    model = CostModel(known)
    # The ridge draws the slope a little towards none: by its share of the sum of squares of q.
    for q in (3.0, 27.0, 48.0):
        assert model.encode_s("a", sequence(), q) == pytest.approx(8 * 2 ** (-q / 10), rel=0.02)
    # Twice the samples take twice the time.
    assert model.encode_s("a", sequence(200), 25) == pytest.approx(2 * model.encode_s("a", sequence(), 25))


@given(st.lists(st.tuples(st.integers(0, 63), st.floats(0.01, 1e4)), min_size=2, max_size=20))
def test_the_line_is_numpys_ridge_regression(points: list[tuple[int, float]]) -> None:
    model = CostModel([cost(q, seconds) for q, seconds in points])
    q, y = np.array([q for q, _ in points], float), np.log([seconds / 4000 for _, seconds in points])
    # Ridge by least squares with one more row, on centred data.
    rows = np.append(q - q.mean(), np.sqrt(_RIDGE))[:, None]
    slope = np.linalg.lstsq(rows, np.append(y - y.mean(), 0.0), rcond=None)[0][0]
    assert model.encode_s("a", sequence(), 30) == pytest.approx(4000 * np.exp(y.mean() + slope * (30 - q.mean())), 1e-6)


def test_one_encode_tells_the_level_and_no_slope() -> None:
    model = CostModel([cost(30, 5.0)])
    assert model.encode_s("a", sequence(), 10) == model.encode_s("a", sequence(), 50) == pytest.approx(5.0)


def test_of_what_is_not_known_the_larger_is_the_longer() -> None:
    model = CostModel()
    assert model.encode_s("b", sequence(200), 30) > model.encode_s("b", sequence(), 30) > 0
    assert not model.knows("b")


def test_memory_is_that_of_the_largest_frames_and_grows_with_them() -> None:
    model = CostModel(
        [cost(30, 1, peak=50, pixels=4000), cost(30, 1, peak=90, pixels=8000), cost(40, 1, peak=80, pixels=8000)]
    )
    assert model.encode_bytes("a", sequence(100)) == 90  # smaller than the largest known: never less
    assert model.encode_bytes("a", sequence(200)) == 90
    assert model.encode_bytes("a", sequence(400)) == 180
    assert model.encode_bytes("unknown", sequence(400)) > 100_000_000


def test_figures_that_say_nothing_are_left_out() -> None:
    model = CostModel([cost(30, 0.0), EncodeCost("a", 0, 0, 30, 5.0, 5.0, 100)])
    assert not model.knows("a")
    assert model.encode_bytes("a", sequence()) > 100_000_000


def test_measuring_1080p_takes_what_the_benchmark_says() -> None:
    assert measure_bytes(sequence(1920, 1080), 1) == pytest.approx(2.1e9, rel=0.1)
    assert measure_bytes(sequence(1920, 1080), 2) > measure_bytes(sequence(1920, 1080), 1)
