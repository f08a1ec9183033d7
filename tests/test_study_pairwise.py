"""Bradley-Terry scores: closed forms, recovered strengths, and votes that have no answer."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from study_samples import votes_csv, write

from evalsuite.errors import MetricError, RequestError
from evalsuite.study.csvfile import read_table
from evalsuite.study.pairwise import MIN_SUBJECTS, analyse_votes, fit, no_solution
from evalsuite.study.stimuli import Stimulus
from evalsuite.study.votes import Vote, Votes, read_votes

pytest.importorskip("choix", reason="missing: the Python package choix (pip install 'evalsuite[study]')")


def comparisons(strengths: np.ndarray, each: int, subjects: int, seed: int = 0, ties: float = 0.0) -> Votes:
    """Votes drawn from the model, every pair `each` times by every subject."""
    rng = np.random.default_rng(seed)
    items = [Stimulus(f"i{place}", "scene", f"i{place}", target_bpp=0.01) for place in range(len(strengths))]
    votes = []
    for subject in range(subjects):
        for a in range(len(items)):
            for b in range(a):
                for _ in range(each):
                    wins = rng.random() < 1 / (1 + math.exp(strengths[b] - strengths[a]))
                    choice = "tie" if rng.random() < ties else "a" if wins else "b"
                    votes.append(Vote(f"s{subject}", items[a], items[b], choice))
    return Votes(tuple(votes))


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (10, 10), (1, 99), (7.5, 2.5)])
def test_two_items_have_the_log_of_the_odds(wins, losses):
    high, low = fit(np.array([[0, wins], [losses, 0]]))
    assert high - low == pytest.approx(math.log(wins / losses), abs=1e-7)
    assert high + low == pytest.approx(0, abs=1e-12)


def test_known_strengths_are_recovered_from_expected_votes():
    strengths = np.array([-1.2, -0.3, 0.1, 1.4])
    wins = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    np.fill_diagonal(wins, 0)
    assert fit(100 * wins) == pytest.approx(strengths - strengths.mean(), abs=1e-6)


def test_the_fit_agrees_with_a_logistic_regression():
    from scipy.optimize import minimize

    wins = np.random.default_rng(4).integers(1, 12, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    found = minimize(lambda s: (wins * np.logaddexp(0, s[None, :] - s[:, None])).sum(), np.zeros(5), tol=1e-12).x
    assert fit(wins) == pytest.approx(found - found.mean(), abs=1e-4)


def test_ties_count_half_for_each():
    a, b = (Stimulus(name, "scene", name) for name in "ab")
    votes = [Vote(f"s{place}", a, b, choice) for place, choice in enumerate(["a", "a", "b", "tie", "tie"])]
    (found,) = analyse_votes(Votes(tuple(votes)))
    assert found.ties == 2
    assert found.scores[0] - found.scores[1] == pytest.approx(math.log(3 / 2), abs=1e-7)


def test_a_prior_is_votes_on_each_side_of_each_compared_pair():
    a, b = (Stimulus(name, "scene", name) for name in "ab")
    votes = Votes(tuple(Vote(f"s{place}", a, b, "a") for place in range(9)))
    (found,) = analyse_votes(votes, prior=0.5)
    assert found.scores[0] - found.scores[1] == pytest.approx(math.log(9.5 / 0.5), abs=1e-6)


def test_a_lead_that_the_prior_alone_bounds_has_no_interval():
    a, b = (Stimulus(name, "scene", name) for name in "ab")
    (found,) = analyse_votes(Votes(tuple(Vote(f"s{place}", a, b, "a") for place in range(9))), prior=0.5)
    assert (found.intervals, found.reason) == (
        None,
        "100 % of the resamples have a lead that nothing but the prior bounds",
    )
    mixed = Votes(tuple(Vote(f"s{place}", a, b, "ab"[vote]) for place in range(9) for vote in (0, 0, 1)))
    (found,) = analyse_votes(mixed, prior=0.5)
    assert found.intervals is not None


def test_an_item_that_always_wins_has_no_score():
    wins = np.array([[0, 5, 5], [0, 0, 2], [0, 3, 0]], dtype=float)
    assert "no bound" in no_solution(wins)
    with pytest.raises(RequestError, match="no bound"):
        fit(wins)


def test_votes_that_fall_apart_are_refused(tmp_path):
    path = write(tmp_path / "v.csv", votes_csv({("p", "q"): 3, ("q", "p"): 2, ("r", "t"): 1, ("t", "r"): 1}))
    (found,) = analyse_votes(read_votes([read_table(path)]))
    assert found.scores is None
    assert "2 parts" in found.reason
    (found,) = analyse_votes(read_votes([read_table(path)]), prior=0.5)
    assert found.scores is None  # a prior connects nothing


def test_rates_are_apart_unless_votes_link_them():
    a, b = (Stimulus(f"{name}1", "scene", name, target_bpp=0.01) for name in "ab")
    c, d = (Stimulus(f"{name}2", "scene", name, target_bpp=0.02) for name in "ab")
    within = [Vote(f"s{k}", x, y, "ab"[k % 2]) for k in range(4) for x, y in ((a, b), (c, d))]
    assert [one.target_bpp for one in analyse_votes(Votes(tuple(within)))] == [0.01, 0.02]
    linked = [*within, *(Vote(f"s{k}", a, c, "ab"[k % 2]) for k in range(4))]
    (found,) = analyse_votes(Votes(tuple(linked)))
    assert found.target_bpp is None
    assert len(found.items) == 4


def test_sequences_are_scales_of_their_own():
    strengths = np.array([0.5, 0.0, -0.5])
    first = comparisons(strengths, 2, 20)
    other = [Vote(v.subject, *(Stimulus(i.name, "other", i.codec) for i in (v.a, v.b)), v.choice) for v in first.votes]
    found = analyse_votes(Votes((*first.votes, *other)))
    assert [one.sequence for one in found] == ["scene", "other"]
    assert found[0].scores == pytest.approx(found[1].scores)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    strengths = np.array([0.8, 0.1, -0.9])
    held = 0
    for seed in range(30):
        (found,) = analyse_votes(comparisons(strengths, 2, 24, seed), resamples=200)
        items = [int(item.name[1:]) for item in found.items]
        held += sum(low <= strengths[place] <= high for place, (low, high) in zip(items, found.intervals, strict=True))
    # 95 % of 90 are 85.5; a bootstrap of 24 subjects is a little narrow.
    assert 76 <= held <= 90


def test_few_subjects_have_no_interval():
    (found,) = analyse_votes(comparisons(np.zeros(2), 10, MIN_SUBJECTS - 1))
    assert found.scores is not None
    assert found.intervals is None
    assert "subjects" in found.reason


def test_an_interval_without_a_bound_is_not_given():
    a, b = (Stimulus(name, "scene", name) for name in "ab")
    votes = [Vote(f"s{place}", a, b, "b" if place == 0 else "a") for place in range(8)]
    (found,) = analyse_votes(Votes(tuple(votes)))
    assert found.scores is not None
    assert found.intervals is None
    # Resamples without that one subject are (7/8)^8 = 34 % of all.
    assert int(found.reason.split(" %")[0]) == pytest.approx(34, abs=5)


def test_resamples_that_fall_apart_are_not_called_leads():
    a, b, c = (Stimulus(name, "scene", name) for name in "abc")
    votes = [Vote(f"s{place}", a, b, choice) for place in range(4) for choice in "ab"]
    votes += [Vote("s4", b, c, choice) for choice in "ab"]
    (found,) = analyse_votes(Votes(tuple(votes)))
    assert found.intervals is None
    # Without the one who saw c, (4/5)^5 = 33 %; of that one alone, 1/5^5.
    assert found.reason.endswith("% of the resamples fall into parts that no vote connects")
    assert int(found.reason.split(" %")[0]) == pytest.approx(33, abs=5)


def test_the_same_seed_gives_the_same_interval():
    votes = comparisons(np.array([0.4, -0.1, -0.3]), 3, 12)
    first, again, other = (analyse_votes(votes, resamples=60, seed=seed)[0].intervals for seed in (1, 1, 7))
    assert first == again
    assert first != other


def test_a_wrong_prior_is_refused():
    for prior in (-1, math.nan, 1e9):
        with pytest.raises(RequestError, match="--prior"):
            analyse_votes(comparisons(np.zeros(2), 1, 3), prior=prior)


def test_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "choix", None)
    with pytest.raises(MetricError, match="choix, which cannot be imported"):
        analyse_votes(comparisons(np.zeros(2), 1, 3))


@settings(max_examples=60)
@given(arrays(np.float64, st.integers(2, 5).map(lambda n: (n, n)), elements=st.sampled_from([0.0, 0.5, 1.0, 7.0])))
def test_any_votes_give_finite_scores_or_a_reason(wins):
    np.fill_diagonal(wins, 0)
    if no_solution(wins):
        with pytest.raises(RequestError):
            fit(wins)
        return
    scores = fit(wins)
    assert np.isfinite(scores).all()
    # At the maximum each item has won as often as its scores expect.
    expected = ((wins + wins.T) / (1 + np.exp(scores[None, :] - scores[:, None]))).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), abs=1e-4)
