import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.results.stats import (
    MIN_SEQUENCES,
    RESAMPLES,
    SEED,
    chance_of_no_more,
    holm,
    mean_interval,
    sequences_to_decide,
    summarise,
)

percents = st.lists(st.floats(-99, 1000), min_size=5, max_size=40)


@pytest.mark.parametrize("level", [0.9, 0.95])
@given(percents)
def test_interval_is_scipys_percentile_bootstrap_at_hesterbergs_level(level, values):
    """Hesterberg 2015: alpha / 2 becomes Phi(-sqrt(n / (n - 1)) t(alpha / 2, n - 1))."""
    n = len(values)
    quantile = scipy.stats.t.ppf((1 - level) / 2, n - 1)
    expanded = scipy.stats.norm.cdf(math.sqrt(n / (n - 1)) * quantile)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * expanded,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    assert mean_interval(values, level=level) == pytest.approx(tuple(theirs), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [5, 10, 50])
def test_interval_covers_what_it_says(count):
    """Of normal values; the plain percentile bootstrap covers 84 % at five."""
    random = np.random.default_rng(11)
    intervals = [mean_interval(random.normal(0, 1, count)) for _ in range(2000)]
    covered = sum(low <= 0 <= high for low, high in intervals) / 2000
    assert 0.9 <= covered <= 0.97


@given(st.lists(st.floats(-50, 50), min_size=5, max_size=8, unique=True))
def test_beyond_what_resamples_resolve_the_interval_is_students(values):
    level = 0.9999
    theirs = scipy.stats.t.interval(level, len(values) - 1, np.mean(values), scipy.stats.sem(values))
    assert mean_interval(values, level=level) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(percents, st.floats(0.001, 0.2))
def test_chance_is_the_interval_turned_round(values, chance):
    """A limit just below the lower bound of level 1 - 2 p has a chance of at most p, one just above it at least p."""
    spread = np.std(values)
    low, _ = mean_interval(values, level=1 - 2 * chance)
    if spread > 1:
        assert chance_of_no_more(values, low - 0.05 * spread) <= chance + 1e-3
        assert chance_of_no_more(values, low + 0.05 * spread) >= chance - 1e-3


def test_chance_of_values_far_from_the_limit_is_students():
    values = [2.0, 2.1, 1.9, 2.05, 1.95, 2.02]
    theirs = scipy.stats.ttest_1samp(values, 1.0, alternative="greater").pvalue
    assert chance_of_no_more(values, 1.0) == pytest.approx(theirs, rel=1e-9)
    assert chance_of_no_more(values[:4], 1.0) is None


def test_chance_of_equal_values():
    assert chance_of_no_more([2.0] * 5, 1.0) == 0
    assert chance_of_no_more([2.0] * 5, 2.0) == 1


def test_holm_on_the_example_of_the_literature():
    """Four hypotheses as in the article on the Holm-Bonferroni method: 0.01, 0.04, 0.03, 0.005."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_each_alone_and_bonferroni(chances):
    adjusted = holm(chances)
    for own, given_, count in zip(adjusted, chances, [len(chances)] * len(chances), strict=True):
        assert given_ <= own <= min(1, count * given_) + 1e-12


def test_sequences_to_decide_is_where_students_interval_narrows_enough():
    values = [0.5, 1.5, 0.8, 1.4, 0.6]
    more = sequences_to_decide(values, 0.7)
    half = lambda n: scipy.stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)  # noqa: E731
    assert half(5 + more) < np.mean(values) - 0.7 <= half(5 + more - 1)
    assert sequences_to_decide(values, float(np.mean(values))) is None
    assert sequences_to_decide([1.0, 1.1], 0.0) == 3  # five are needed for any interval


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


def test_log_interval_is_the_interval_of_the_logarithms():
    values = [-10.0, -20, 5, 0, 12]
    low, high = mean_interval(np.log1p(np.array(values) / 100))
    assert summarise(values).log_interval == pytest.approx((100 * math.expm1(low), 100 * math.expm1(high)))


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
