"""Metrics against scores whose zero is that of their group, with ties and gaps: closed forms, scipy, simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from evalsuite.study.grouping import centred, levelled
from evalsuite.study.joining import Joined, MetricScores
from evalsuite.study.pairwise import analyse_votes
from evalsuite.study.stimuli import Stimulus
from evalsuite.study.validation import draws, measures, validate
from evalsuite.study.votes import Vote, Votes


def grouped(judged, size: int, **metrics) -> Joined:
    """Groups of `size` stimuli, each a content of its own."""
    groups = tuple(f"g{place // size}" for place in range(len(judged)))
    return Joined(
        np.asarray(judged, dtype=np.float64),
        groups,
        tuple(MetricScores(name, "", True, np.asarray(x, dtype=np.float64)) for name, x in metrics.items()),
        groups,
    )


def less_means(scores: np.ndarray, size: int) -> np.ndarray:
    table = scores.reshape(-1, size)
    return (table - table.mean(axis=1, keepdims=True)).ravel()


def test_a_metric_and_people_are_compared_within_groups():
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, 30), rng.normal(0, 1, 30)
    level = np.repeat(rng.normal(0, 50, 10), 3)
    (one,) = validate(grouped(y, 3, m=x + level), resamples=50)
    assert one.srocc == pytest.approx(spearmanr(less_means(x, 3), less_means(y, 3)).statistic)


@pytest.mark.parametrize(("size", "count"), [(2, 60), (3, 40)])
def test_rmse_is_that_of_the_noise_whatever_the_size_of_groups(size, count):
    """With n - 4 in place of n - 4 - groups it would be about 0.35 and 0.4."""
    squares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(40, 5, size * count)
        y = 0.2 * x + np.repeat(rng.normal(0, 2, count), size) + rng.normal(0, 0.5, size * count)
        (one,) = validate(grouped(y, size, m=x), resamples=10)
        squares.append(one.rmse**2)
    assert math.sqrt(np.mean(squares)) == pytest.approx(0.5, rel=0.05)


def test_a_resample_has_as_many_means_as_groups():
    rng = np.random.default_rng(4)
    x, y = less_means(rng.normal(0, 1, 36), 3), less_means(rng.normal(0, 1, 36), 3)
    counts = draws([f"c{place // 6}" for place in range(36)], 20, 3)  # two groups in each content
    found = measures(x, y, 0.1 * x, counts, np.full(36, 1 / 3))[2]
    for count, value in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(36), count.astype(int))
        groups = count[::3].sum()
        assert value == pytest.approx(math.sqrt(((y - 0.1 * x)[rows] ** 2).sum() / (len(rows) - 4 - groups)))


def test_rmse_that_has_no_degree_of_freedom_left_is_not_given():
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, 8)
    (one,) = validate(grouped(x + rng.normal(0, 0.1, 8), 2, m=x))
    assert (one.rmse, one.rmse_ci) == (None, None)
    assert one.srocc is not None
    assert "8 stimuli for a fit of 4 parameters and 4 means" in one.reasons[0]


def test_scores_that_are_tied_but_for_rounding_share_a_rank():
    rng = np.random.default_rng(6)
    judged = rng.integers(0, 4, 40) / 3
    x = rng.normal(0, 1, 40)
    expected = spearmanr(x, judged).statistic
    for seed in range(5):
        shaken = judged + np.random.default_rng(seed).normal(0, 1e-9, 40)
        (one,) = validate(Joined(shaken, tuple(f"c{k}" for k in range(40)), (MetricScores("m", "", True, x),)))
        assert one.srocc == pytest.approx(expected, abs=1e-12)


def test_the_order_of_votes_does_not_change_ranks():
    pytest.importorskip("choix", reason="missing: the Python package choix (pip install 'evalsuite[study]')")
    rng = np.random.default_rng(5)
    votes, metric = [], {}
    for scene in (f"c{place}" for place in range(8)):
        items = [Stimulus(codec, scene, codec) for codec in "ABC"]
        metric |= {item: rng.normal() for item in items}
        for a, b in itertools.combinations(items, 2):
            wins = rng.choice([5, 6])
            votes += [Vote(f"s{place}", a, b, "a" if place < wins else "b") for place in range(10)]
    found = set()
    for seed in range(4):
        shuffled = [votes[place] for place in np.random.default_rng(seed).permutation(len(votes))]
        scored = [
            (score, metric[item], one.sequence)
            for one in analyse_votes(Votes(tuple(shuffled)), resamples=10)
            for item, score in zip(one.items, one.scores, strict=True)
        ]
        y, x, groups = zip(*scored, strict=True)
        data = Joined(np.array(y), groups, (MetricScores("m", "", True, np.array(x)),), groups)
        found.add(round(validate(data, resamples=10)[0].srocc, 12))
    assert len(found) == 1


def test_a_metric_that_differs_equally_in_all_groups_is_tied_in_all():
    rng = np.random.default_rng(7)
    level = rng.uniform(20, 50, 12)
    x = np.column_stack([level, level + rng.choice([0.1, 0.3], 12)]).ravel()
    y = rng.normal(0, 1, 24)
    (one,) = validate(grouped(y, 2, m=x), resamples=10)
    expected = spearmanr(less_means(x, 2).round(9), less_means(y, 2)).statistic
    assert one.srocc == pytest.approx(expected, abs=1e-12)


def test_levels_are_those_of_neighbours():
    scores = np.array([3.0, 1.0, 1.0 + 1e-9, 2.0, 3.0 - 1e-9])
    assert rankdata(levelled(scores, 1e-6)).tolist() == [4.5, 1.5, 1.5, 3, 4.5]
    assert levelled(np.array([]), 1e-6).tolist() == []
    assert centred(np.array([1.0, 5.0, 3.0]), ["a", "b", "a"]).tolist() == [-1, 0, 1]


def test_the_best_is_told_on_the_stimuli_that_both_have():
    """The same metric twice, once without scores where both fail: neither is better."""
    rng = np.random.default_rng(1)
    quality = rng.uniform(1, 5, 96)
    hard = np.arange(96) % 8 >= 4
    a = quality + np.where(hard, 3, 0.3) * rng.normal(0, 1, 96)
    b = np.where(hard, np.nan, a)
    noisy = a + rng.normal(0, 0.8, 96)
    contents = tuple(f"c{k // 8}" for k in range(96))
    metrics = tuple(MetricScores(name, "", True, x) for name, x in (("gaps", b), ("noisy", noisy), ("whole", a)))
    best, gaps, worse = validate(Joined(quality, contents, metrics))
    assert (best.metric, best.level_with_best, best.behind_best) == ("whole", True, (0, 0))
    assert gaps.srocc > best.srocc + 0.2
    assert (gaps.metric, gaps.level_with_best, gaps.behind_best) == ("gaps", True, (0, 0))
    assert worse.metric == "noisy"


def test_a_best_metric_with_gaps_is_compared_where_it_has_scores():
    rng = np.random.default_rng(3)
    quality = rng.uniform(1, 5, 96)
    good = quality + rng.normal(0, 0.1, 96)
    good[::8] = np.nan
    other = quality + rng.normal(0, 1.0, 96)
    there = np.isfinite(good)
    contents = tuple(f"c{k // 8}" for k in range(96))
    best, worse = validate(
        Joined(quality, contents, (MetricScores("other", "", True, other), MetricScores("good", "", True, good)))
    )
    assert (best.metric, worse.metric, worse.level_with_best) == ("good", "other", False)
    low, high = worse.behind_best
    lead = spearmanr(good[there], quality[there]).statistic - spearmanr(other[there], quality[there]).statistic
    assert low < lead < high
    assert worse.reasons == ("compared with good on the 84 stimuli that both have",)


def test_one_missing_score_leaves_the_rest_of_its_group():
    rng = np.random.default_rng(8)
    y = rng.normal(0, 1, 30)
    x = y + rng.normal(0, 1, 30)
    x[4] = np.inf
    (one,) = validate(grouped(y, 3, m=x), resamples=10)
    assert one.stimuli == 29
    assert one.reasons == ("no finite score on 1 of 30 stimuli",)
    there = np.isfinite(x)
    of = (np.arange(30) // 3)[there]
    means = [np.array([side[there][of == g].mean() for g in of]) for side in (x, y)]
    assert one.srocc == pytest.approx(spearmanr(x[there] - means[0], y[there] - means[1]).statistic)


def test_what_is_left_alone_in_its_group_is_counted():
    rng = np.random.default_rng(9)
    x = rng.normal(0, 1, 20)
    x[[0, 6]] = np.nan
    (one,) = validate(grouped(x + rng.normal(0, 1, 20), 2, m=x), resamples=10)
    assert one.stimuli == 16
    assert one.reasons[:2] == (
        "no finite score on 2 of 20 stimuli",
        "nothing left in their group to compare 2 stimuli with",
    )
