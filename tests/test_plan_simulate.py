"""Sums of many streams: what is drawn against distributions that are known, and the closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from evalsuite.planning.simulate import Source, draw, instants, moments, normal_quantile, quantile, window_rates

SCALE = 1000.0


def compound_poisson(rate: float, values: Sequence[int], most: int) -> np.ndarray:
    """Probabilities of 0 to `most` of the sum of Poisson many equally likely values: Panjer's recursion (1981)."""
    share = np.bincount(values, minlength=most + 1) / len(values)
    found = np.zeros(most + 1)
    found[0] = math.exp(-rate * (1 - share[0]))
    steps = np.arange(1, most + 1)
    for total in steps:
        used = steps[:total]
        found[total] = rate / total * np.sum(used * share[used] * found[total - used])
    return found


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=40),
    st.sampled_from([24.0, 25.0, 30000 / 1001]),
    st.floats(0.001, 9),
)
def test_rates_over_a_window_of_a_loop(bits: list[int], frame_rate: float, window_s: float) -> None:
    window = max(1, round(window_s * frame_rate))
    expected = [
        sum(bits[(start + ahead) % len(bits)] for ahead in range(window)) * frame_rate / window
        for start in range(len(bits))
    ]
    found = window_rates(bits, frame_rate, window_s)
    assert found == pytest.approx(np.array(expected), rel=1e-9, abs=1e-6)
    assert found.mean() == pytest.approx(np.mean(bits) * frame_rate, rel=1e-9)


@pytest.mark.parametrize(
    ("streams", "fixed", "rates", "exact"),
    [
        (2000, False, [SCALE] * 50, stats.poisson(2000)),
        (40, False, [SCALE] * 50, stats.poisson(40)),
        (3, False, [SCALE] * 50, stats.poisson(3)),
        (300, True, [0.0, SCALE], stats.binom(300, 0.5)),
        (20, True, [0.0] * 30 + [SCALE] * 10, stats.binom(20, 0.25)),
        (300, False, [0.0] * 30 + [SCALE] * 10, stats.poisson(75)),
        (200_000, True, [0.0] * 30 + [SCALE] * 10, stats.binom(200_000, 0.25)),
    ],
    ids=["many", "some", "few", "on-off", "bursts", "bursts-by-chance", "bursts-of-many"],
)
def test_sums_of_which_the_distribution_is_known(streams: float, fixed: bool, rates: list[float], exact: Any) -> None:
    sources = [Source(np.array(rates), 2.0)]
    drawn, tokens = draw(sources, streams, np.array([1.0]), fixed=fixed, seed=(7,))
    assert drawn.mean() == pytest.approx(SCALE * exact.mean(), abs=5 * SCALE * exact.std() / math.sqrt(len(drawn)))
    for share in (0.5, 0.95, 0.99):
        found, error = quantile([drawn], share)
        assert found == pytest.approx(SCALE * exact.ppf(share), abs=4 * error + SCALE, rel=0)
    # Not only at quantiles: the whole distribution is that.
    counts = np.round(drawn / SCALE)
    edges = np.unique(exact.ppf(np.linspace(0.1, 0.9, 9)))
    seen = np.diff(np.concatenate([[0], [(counts <= edge).sum() for edge in edges], [len(counts)]]))
    chances = np.diff(np.concatenate([[0.0], exact.cdf(edges), [1.0]]))
    assert stats.chisquare(seen, chances * len(counts)).pvalue > 1e-4
    number = tokens / 2
    assert (np.unique(number).tolist() == [streams]) if fixed else number.var() == pytest.approx(streams, rel=0.25)


@pytest.mark.parametrize("rate", [2.0, 30.0])
def test_sums_of_unequal_frames(rate: float) -> None:
    values = [0, 1, 1, 2, 9, 3, 3, 5]
    chances = compound_poisson(rate, values, 400)
    assert chances.sum() == pytest.approx(1)
    below = np.cumsum(chances)
    source = Source(SCALE * np.array(values, float), math.nan)
    drawn, tokens = draw([source], rate, np.array([1.0]), fixed=False, seed=(3,))
    assert np.isnan(tokens).all()
    for share in (0.5, 0.95, 0.99):
        found, error = quantile([drawn], share)
        assert found == pytest.approx(SCALE * np.searchsorted(below, share), abs=4 * error + SCALE)
    mean, deviation = moments(
        np.array([source.rates.mean()]), np.array([np.mean(source.rates**2)]), np.array([rate]), np.ones((1, 1)), False
    )
    exact = np.sum(chances * np.arange(401))
    assert mean[0] == pytest.approx(SCALE * exact)
    assert deviation[0] == pytest.approx(SCALE * math.sqrt(np.sum(chances * np.arange(401) ** 2) - exact**2))


def test_moments_of_a_fixed_number_are_those_of_all_cases() -> None:
    one, two = np.array([1.0, 5.0, 6.0]), np.array([2.0, 4.0])
    # Two streams, each of the first row with 0.3: every pair of states, by its chance.
    states, chances = np.concatenate([one, two]), np.array([0.1, 0.1, 0.1, 0.35, 0.35])
    sums, together = np.add.outer(states, states).ravel(), np.outer(chances, chances).ravel()
    mean, deviation = moments(
        np.array([one.mean(), two.mean()]),
        np.array([np.mean(one**2), np.mean(two**2)]),
        np.array([2.0, 0.0]),
        np.array([[0.3, 0.3], [0.7, 0.7]]),
        True,
    )
    expected = np.sum(sums * together)
    assert mean == pytest.approx(np.array([expected, 0]))
    assert deviation == pytest.approx(np.array([math.sqrt(np.sum(sums**2 * together) - expected**2), 0]))


@given(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.01, 1e5)), min_size=1, max_size=24),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_the_quantile_of_a_mixture_of_normals(hours: list[tuple[float, float]], share: float) -> None:
    mean, deviation = np.array(hours).T
    found = float(normal_quantile(mean, deviation, share))
    ends = [edge(mean + sign * 12 * deviation) for edge, sign in ((min, -1), (max, 1))]
    exact = optimize.brentq(lambda x: stats.norm(mean, deviation).cdf(x).mean() - share, *ends)
    # To the resolution of numbers: a narrow hour rises by more than 1e-9 from one to the next.
    beside = 4 * np.spacing(np.abs(mean).max() + 12 * deviation.max())
    before, after = (stats.norm(mean, deviation).cdf(found + step).mean() for step in (-beside, beside))
    assert before - 1e-12 <= share <= after + 1e-12
    if stats.norm(mean, deviation).pdf(exact).mean() * deviation.max() > 1e-3:  # elsewhere many values are a quantile
        assert found == pytest.approx(exact, rel=1e-6, abs=1e-3)


def test_hours_without_streams_are_certain() -> None:
    mean, deviation = np.array([0.0] * 23 + [100.0]), np.array([0.0] * 23 + [5.0])
    assert normal_quantile(mean, deviation, 0.95) == pytest.approx(0)
    assert normal_quantile(mean, deviation, 0.99) == pytest.approx(stats.norm(100, 5).ppf(1 - 0.01 * 24))


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), min_size=1, max_size=5))
def test_a_quantile_over_hours_is_numpys_weighted_one(hours: list[list[float]]) -> None:
    arrays = [np.array(one) for one in hours]
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in arrays])
    for share in (0.503, 0.951, 0.9907):
        expected = np.quantile(np.concatenate(arrays), share, weights=weights, method="inverted_cdf")
        assert quantile(arrays, share)[0] == expected


def test_the_error_of_a_quantile_is_that_of_order_statistics() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=4000) for _ in range(4)]
    _, error = quantile(samples, 0.99)
    exact = math.sqrt(0.99 * 0.01 / 16000) / stats.norm.pdf(stats.norm.ppf(0.99))
    assert error == pytest.approx(exact, rel=0.25)


def test_the_number_of_instants_keeps_to_the_work() -> None:
    sources = [Source(np.arange(300.0), math.nan)] * 10
    assert instants(sources, np.full(10, 0.01)) == 20_000
    assert instants(sources, np.full(10, 100.0)) == 5_000
    assert instants(sources, np.full(10, 1e7)) == 500
