"""Numbers as they are written in the report."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.report import text
from evalsuite.report.tables import axis


def value_of(shown: str) -> float:
    return float(shown.replace("\u2212", "-").replace("\u202f", "").removesuffix("%"))


@given(st.floats(-1e6, 1e6))
def test_percent_is_the_number_rounded(value):
    shown = text.percent(value)
    assert abs(value_of(shown) - value) <= 0.05 + 1e-9 * abs(value)
    assert "-" not in shown
    assert value_of(shown) != 0 or shown == "0.0\u202f%"
    assert shown.startswith("+") == (value_of(shown) > 0)


@given(st.floats(1e-9, 1e9))
def test_significant_keeps_four_digits(value):
    shown = text.significant(value)
    assert "e" not in shown
    assert math.isclose(float(shown), value, rel_tol=5.1e-4)


@given(st.lists(st.floats(-500, 500), max_size=20))
def test_strip_axis_holds_every_value_and_zero(values):
    made = axis(values)
    for value in [0.0, *values]:
        assert 0 <= made.x(value) <= 220
    assert made.x(made.low) < made.x(made.high)
    assert 1 <= len(made.ticks) <= 6


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.04, "0.0 s"), (59.94, "59.9 s"), (252, "4 min 12 s"), (3600, "1 h 0 min"), (7325, "2 h 2 min")],
)
def test_durations(seconds, shown):
    assert text.duration(seconds).replace("\u202f", " ") == shown


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ((0.614, 1.026), "+0.61 to +1.03 dB"),
        ((-0.2, 0.004), "−0.20 to 0.00 dB"),
        ((None, 1.0), "–"),
        ((0.0, math.inf), "–"),
    ],
)
def test_intervals_of_differences_have_signs_and_one_unit(bounds, shown):
    assert text.change_interval(*bounds, 2, "dB").replace("\u202f", " ") == shown
