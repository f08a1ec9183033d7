import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from evalsuite.results.bdrate import bd_rate
from evalsuite.results.pchip import pchip

steps = st.lists(st.floats(1e-3, 10), min_size=2, max_size=12)
rises = st.lists(st.floats(-10, 10) | st.just(0.0), min_size=3, max_size=13)


@given(steps, rises)
def test_polynomial_is_scipys(widths, values):
    x = np.cumsum([0.0, *widths[: len(values) - 1]])
    y = np.array(values[: len(x)])
    if len(x) < 3:
        return
    ours, theirs = pchip(x, y), PchipInterpolator(x, y)
    assert ours.x.tolist() == theirs.x.tolist()
    # The highest coefficients are large where points are close: what counts is the curve.
    fine = np.linspace(x[0], x[-1], 97)
    assert ours(fine) == pytest.approx(theirs(fine), rel=1e-9, abs=1e-9)
    low, high = x[0] + 0.1 * (x[-1] - x[0]), x[-1]
    assert float(ours.integrate(low, high)) == pytest.approx(float(theirs.integrate(low, high)), rel=1e-9, abs=1e-9)


def test_monotone_points_have_a_monotone_curve():
    x = np.array([0, 1, 1.1, 5, 9.0])
    curve = pchip(x, np.array([0, 0.1, 5, 5.1, 40]))
    assert (np.diff(curve(np.linspace(0, 9, 1000))) >= 0).all()


def test_slopes_that_overflow_are_refused():
    with pytest.raises(ValueError, match="too close"):
        pchip(np.array([0, 5e-324, 1.0]), np.array([0.0, 1e300, 2e300]))


@pytest.mark.parametrize("method", ["pchip", "akima", "cubic"])
def test_curves_whose_slopes_are_beyond_all_numbers_are_refused(method):
    rates, tiny = [1, 2, 4, 8], [0, 5e-324, 1e-323, 1.5e-323]
    assert bd_rate(rates, tiny, rates, tiny, method=method, higher_is_better=True).status == "refused"
