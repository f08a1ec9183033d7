import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.results.stats import MIN_SEQUENCES, RESAMPLES, SEED, mean_interval, summarise

percents = st.lists(st.floats(-99, 1000), min_size=5, max_size=40)


@given(percents)
def test_interval_is_scipys_percentile_bootstrap(values):
    interval = mean_interval(values)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    assert interval == pytest.approx(tuple(theirs), rel=1e-12, abs=1e-12)


def test_interval_has_the_width_of_the_bootstrap_distribution():
    """The mean of n resampled values has standard deviation s / sqrt(n), and is nearly normal for 200 of them."""
    values = np.random.default_rng(7).normal(-10, 3, 200)
    low, high = mean_interval(values)
    half = 1.959964 * values.std() / math.sqrt(200)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.05 * half)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


@pytest.mark.parametrize("count", range(MIN_SEQUENCES))
def test_no_interval_below_five_sequences(count):
    assert mean_interval([1.0] * count) is None


def test_equal_values_have_an_interval_of_one_point():
    assert mean_interval([2.5] * 5) == (2.5, 2.5)


def test_same_numbers_same_interval():
    values = [1.3, -4.1, 2.7, 8.9, -3.2, 0.4, 1.1, -7.7]
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=SEED + 1)


@given(percents)
def test_interval_lies_within_the_values(values):
    low, high = mean_interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_summary_of_known_numbers():
    summary = summarise([-10.0, -20, 5, 0])
    assert (summary.count, summary.mean, summary.median) == (4, -6.25, -5.0)
    assert (summary.lowest, summary.highest, summary.interval) == (-20, 5, None)
    assert (summary.wins, summary.win_rate) == (2, 0.5)
    assert summary.log_mean == pytest.approx(100 * ((0.9 * 0.8 * 1.05) ** 0.25 - 1))


def test_mean_of_log_ratios_is_fair_to_both_sides():
    summary = summarise([100.0, -50.0])  # twice the rate, half the rate
    assert summary.mean == 25
    assert summary.log_mean == pytest.approx(0, abs=1e-12)


@given(percents)
def test_log_mean_never_exceeds_mean(values):
    summary = summarise(values)
    assert summary.log_mean <= summary.mean + 1e-6  # geometric and arithmetic mean


def test_no_sequence_has_no_summary():
    assert summarise([]) is None


@pytest.mark.filterwarnings("error")
def test_a_saving_of_everything_does_not_break_the_rest():
    assert summarise([-100.0, 0]).log_mean == -100


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_trap23_nan_is_left_out_by_name_not_by_accident(bad):
    with pytest.raises(ValueError, match="leave the others out by name"):
        summarise([1.0, bad])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, 2, 3, 4, 5, bad])
