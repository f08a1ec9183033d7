"""How metrics agree with people: correlations against scipy, fits with a known answer, intervals over contents."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import bootstrap, pearsonr, rankdata, spearmanr

from evalsuite.study.intervals import interval, tail
from evalsuite.study.joining import Joined, MetricScores
from evalsuite.study.validation import MIN_STIMULI, Logistic, draws, fit_logistic, measures, validate


def joined(judged, contents: int = 6, **metrics) -> Joined:
    """Stimuli in turn over the contents; a metric whose name ends in `_down` is better when lower."""
    judged = np.asarray(judged, dtype=np.float64)
    return Joined(
        judged,
        tuple(f"c{place % contents}" for place in range(len(judged))),
        tuple(
            MetricScores(name, "", not name.endswith("_down"), np.asarray(x, dtype=np.float64))
            for name, x in metrics.items()
        ),
    )


@pytest.fixture
def noisy():
    rng = np.random.default_rng(5)
    x = rng.uniform(20, 45, 48)
    return x, 1 + 4 / (1 + np.exp(-(x - 33) / 3)) + rng.normal(0, 0.3, 48)


def test_an_exact_logistic_is_recovered():
    x = np.linspace(20, 50, 40)
    truth = Logistic(low=1.2, span=3.5, middle=33.0, width=2.5)
    found = fit_logistic(x, truth(x))
    for name in ("low", "span", "middle", "width"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=1e-5)
    (one,) = validate(joined(truth(x), m=x))
    assert one.srocc == pytest.approx(1)
    assert one.plcc == pytest.approx(1)
    assert one.rmse == pytest.approx(0, abs=1e-6)


def test_figures_are_scipys(noisy):
    x, y = noisy
    (one,) = validate(joined(y, m=x))
    fitted = one.fit(x)
    assert one.srocc == pytest.approx(spearmanr(x, y).statistic)
    assert one.plcc == pytest.approx(pearsonr(fitted, y).statistic)
    assert one.rmse == pytest.approx(math.sqrt(((y - fitted) ** 2).sum() / (48 - 4)))


def test_the_fit_is_the_best_in_the_mean_square(noisy):
    x, y = noisy
    fit = fit_logistic(x, y)
    error = ((y - fit(x)) ** 2).sum()
    for change in ("low", "span", "middle", "width"):
        for factor in (0.98, 1.02):
            values = {name: getattr(fit, name) for name in ("low", "span", "middle", "width")}
            values[change] *= factor
            assert ((y - Logistic(**values)(x)) ** 2).sum() > error


def test_lower_is_better_is_turned(noisy):
    x, y = noisy
    up, down = validate(joined(y, m=x, m_down=-x))
    assert (up.srocc, up.plcc, up.rmse) == (down.srocc, down.plcc, down.rmse)
    wrong = validate(joined(y, m_down=x))[0]
    assert wrong.srocc == pytest.approx(-up.srocc)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_resample_counts_a_stimulus_as_often_as_it_is_drawn(noisy, which):
    x, y = noisy
    x = np.round(x)  # with ties
    counts = draws([f"c{place % 6}" for place in range(48)], 20, 3)
    fitted = 0.1 * x
    found = measures(x, y, fitted, counts)[which]
    for count, value in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(48), count.astype(int))
        expected = (
            spearmanr(x[rows], y[rows]).statistic,
            pearsonr(fitted[rows], y[rows]).statistic,
            math.sqrt(((y - fitted)[rows] ** 2).sum() / (len(rows) - 4)),
        )
        assert value == pytest.approx(expected[which])


def test_a_resample_draws_whole_contents():
    contents = ["a", "b", "a", "c", "c", "c"]
    counts = draws(contents, 500, 1)
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(6), abs=0.15)


def test_intervals_are_scipys_where_each_stimulus_is_its_own_content(noisy):
    x, y = noisy
    (one,) = validate(joined(y, contents=48, m=x))

    def statistic(x, y):
        return pearsonr(rankdata(x), rankdata(y)).statistic

    expected = bootstrap(
        (x, y),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        confidence_level=1 - 2 * tail(48, 4000),
        method="percentile",
        rng=1,
    ).confidence_interval
    assert one.srocc_ci == pytest.approx(tuple(expected), abs=0.02)


def test_intervals_of_a_mean_are_hesterbergs():
    from evalsuite.results.stats import mean_interval

    values = np.random.default_rng(6).normal(0, 1, 12)
    means = np.random.default_rng(7).multinomial(12, np.full(12, 1 / 12), 20_000) @ values / 12
    assert interval(means, 12) == pytest.approx(mean_interval(values), abs=0.02)


def test_contents_that_agree_within_themselves_have_wider_intervals():
    rng = np.random.default_rng(8)
    y = rng.normal(0, 1, 96)
    x = np.where(np.arange(96) // 12 % 2, rng.normal(0, 1, 96), y)  # works on every other content
    by_content = Joined(y, tuple(f"c{k // 12}" for k in range(96)), (MetricScores("m", "", True, x),))
    by_stimulus = Joined(y, tuple(f"c{k}" for k in range(96)), by_content.metrics)
    wide, narrow = (one[0].srocc_ci for one in map(validate, (by_content, by_stimulus)))
    assert wide[1] - wide[0] > 1.3 * (narrow[1] - narrow[0])


def test_below_five_contents_there_is_no_interval(noisy):
    x, y = noisy
    (one,) = validate(joined(y, contents=4, m=x))
    assert one.srocc is not None
    assert (one.srocc_ci, one.plcc_ci, one.rmse_ci, one.level_with_best) == (None, None, None, None)
    assert "5 contents" in one.reasons[0]


def test_metrics_that_cannot_be_told_apart_are_marked(noisy):
    x, y = noisy
    rng = np.random.default_rng(9)
    best, like, worse = validate(
        joined(y, contents=8, best=x, like=x + rng.normal(0, 1.0, 48), worse=x + rng.normal(0, 30, 48))
    )
    assert (best.metric, best.level_with_best, best.behind_best) == ("best", True, (0, 0))
    assert (like.metric, like.level_with_best) == ("like", True)
    assert (worse.metric, worse.level_with_best) == ("worse", False)
    assert worse.behind_best[0] > 0


def test_paired_differences_tell_what_overlapping_intervals_do_not():
    rng = np.random.default_rng(11)
    y = rng.normal(0, 1, 120)
    hard = np.repeat(rng.uniform(0.2, 2, 10), 12)  # contents on which every metric is worse
    noise = rng.normal(0, 1, 120) * hard
    a = y + 0.5 * noise
    b = y + 0.65 * noise
    data = Joined(
        y, tuple(f"c{k // 12}" for k in range(120)), (MetricScores("a", "", True, a), MetricScores("b", "", True, b))
    )
    first, second = validate(data)
    assert second.srocc_ci[1] > first.srocc_ci[0]  # they overlap
    assert second.level_with_best is False


def test_a_constant_metric_is_refused_by_name():
    (one,) = validate(joined(np.arange(12.0), m=np.full(12, 7.0)))
    assert (one.srocc, one.plcc, one.rmse, one.fit) == (None, None, None, None)
    assert "all equal" in one.reasons[0]
    (one,) = validate(joined(np.full(12, 3.0), m=np.arange(12.0)))
    assert "people's scores are all equal" in one.reasons[0]


def test_few_stimuli_are_refused_by_name():
    (one,) = validate(joined(np.arange(MIN_STIMULI - 1.0), m=np.arange(MIN_STIMULI - 1.0)))
    assert one.srocc is None
    assert f"{MIN_STIMULI} are needed" in one.reasons[0]


def test_a_fit_that_fails_is_said_and_gives_no_number():
    x = np.arange(12.0)
    (one,) = validate(joined(-x, m=x))
    assert one.srocc == pytest.approx(-1)
    assert (one.plcc, one.rmse, one.fit) == (None, None, None)
    assert "the logistic fit fails" in one.reasons[0]


def test_scores_that_are_missing_are_counted(noisy):
    x, y = noisy
    with_gaps = np.where(np.arange(48) % 7 == 0, np.nan, x)
    with_gaps[1] = np.inf
    one = validate(joined(y, m=with_gaps))[0]
    assert one.stimuli == 40
    assert "no finite score on 8 of 48 stimuli" in one.reasons[0]
    there = np.isfinite(with_gaps)
    assert one.srocc == pytest.approx(spearmanr(x[there], y[there]).statistic)


@settings(max_examples=60)
@given(
    arrays(np.float64, 12, elements=st.floats(-50, 50) | st.sampled_from([math.nan, math.inf, 1.0])),
    arrays(np.float64, 12, elements=st.floats(1, 5)),
)
def test_any_scores_give_numbers_or_a_reason(x, y):
    (one,) = validate(joined(y, m=x), resamples=50)
    assert (one.srocc is None) <= bool(one.reasons)
    for value in (one.srocc, one.plcc, one.rmse):
        assert value is None or math.isfinite(value)
    if one.srocc is not None:
        assert -1 - 1e-9 <= one.srocc <= 1 + 1e-9
