"""Opinion scores: the values that sureal publishes, and models whose answer is known."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kurtosis
from sureal_published import BIAS, INCONSISTENCY, MOS, SHA256, SOS

from evalsuite.errors import EvalError, MetricError, RequestError
from evalsuite.study.opinion import MIN_SUBJECTS, MIN_VOTES, MODELS, analyse_ratings, correlations_with_mean
from evalsuite.study.ratings import Ratings
from evalsuite.study.stimuli import Stimulus
from evalsuite.study.votes import read_scores

pytest.importorskip("sureal", reason="missing: the Python package sureal (pip install 'evalsuite[study]')")


def ratings(scores) -> Ratings:
    array = np.asarray(scores, dtype=np.float64)
    array = array if array.ndim == 3 else array[:, :, None]
    return Ratings(
        tuple(Stimulus(f"t{row}") for row in range(array.shape[0])),
        tuple(f"s{column}" for column in range(array.shape[1])),
        array,
    )


@pytest.fixture
def sample(golden):
    path = golden / "sureal_sample_data.csv"
    if not path.is_file():
        pytest.skip("sureal_sample_data.csv is not here (../shared/golden)")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return read_scores([path])


def test_sample_data_give_the_published_scores(sample):
    found = analyse_ratings(sample, "p910")
    assert [one.mos for one in found.opinions] == pytest.approx(MOS, abs=1e-9)
    # The published SOS is the standard deviation of the score; the interval is that of a normal distribution.
    assert [one.ci95 for one in found.opinions] == pytest.approx([1.95996 * sos for sos in SOS], abs=1e-9)
    assert [one.bias for one in found.subjects] == pytest.approx(BIAS, abs=1e-9)
    assert [one.inconsistency for one in found.subjects] == pytest.approx(INCONSISTENCY, abs=1e-9)


def test_sample_data_have_five_outliers_that_are_named_and_kept(sample):
    found = analyse_ratings(sample, "p910")
    # The published inconsistency of the first five is 1.6 to 1.8 grades, of all others below 0.9.
    assert min(INCONSISTENCY[:5]) > 1.6
    assert max(INCONSISTENCY[5:]) < 0.9
    assert [bool(one.remarks) for one in found.subjects] == [True] * 5 + [False] * 21
    assert sum(one.votes for one in found.opinions) == 79 * 26 - 1


def test_a_plain_mean_has_the_textbook_interval():
    found = analyse_ratings(ratings([[1, 2, 3, 4], [5, 5, 4, np.nan]]), "mos")
    assert [one.mos for one in found.opinions] == pytest.approx([2.5, 14 / 3])
    deviation = np.std([1, 2, 3, 4], ddof=1)
    assert found.opinions[0].ci95 == pytest.approx(1.95996 * deviation / 2)
    assert [one.votes for one in found.opinions] == [4, 3]
    assert found.subjects[0].bias is None


def test_bias_is_taken_off():
    quality, bias = np.linspace(2, 4, 9), np.array([0.6, -0.6, 0.2, -0.2])
    for model in ("p910", "p913"):
        found = analyse_ratings(ratings(quality[:, None] + bias), model)
        assert [one.mos for one in found.opinions] == pytest.approx(quality, abs=1e-6)
        assert [one.bias for one in found.subjects] == pytest.approx(bias, abs=1e-6)


def test_what_a_model_leaves_out_is_said(sample):
    found = analyse_ratings(sample, "bt500")
    out = [one.name for one in found.subjects if "left out by the model" in one.remarks]
    assert out == ["column 1", "column 2"]
    # By hand: the mean of the others.
    assert found.opinions[0].mos == pytest.approx(np.nanmean(sample.scores[0, 2:]))
    assert found.opinions[0].votes == 24


def test_a_single_vote_has_no_interval():
    found = analyse_ratings(ratings([[4, np.nan, np.nan], [2, 3, 1], [1, 4, 2]]), "mos")
    assert (found.opinions[0].mos, found.opinions[0].ci95, found.opinions[0].votes) == (4, None, 1)


@pytest.mark.parametrize("model", ["p910", "p913", "bt500"])
def test_one_subject_or_one_stimulus_is_refused(model):
    with pytest.raises(RequestError, match="tells subjects from stimuli") as error:
        analyse_ratings(ratings([[1], [2], [3]]), model)
    assert "at least 2 subjects" in str(error.value)
    with pytest.raises(RequestError, match="tells subjects from stimuli"):
        analyse_ratings(ratings([[1, 2, 3]]), model)


def test_one_subject_has_a_plain_mean():
    assert [one.mos for one in analyse_ratings(ratings([[1], [2]]), "mos").opinions] == [1, 2]


def test_a_subject_with_a_single_vote_does_not_become_the_score():
    scores = np.random.default_rng(0).integers(1, 6, (8, 5)).astype(float)
    scores[1:, 4] = np.nan
    with pytest.raises(RequestError, match="trust nobody else") as error:
        analyse_ratings(ratings(scores), "p910")
    assert "s4" in str(error.value)
    assert "--model mos" in str(error.value)
    assert "leave" not in str(error.value)


def test_votes_that_are_all_equal_are_remarked_and_have_no_correlation():
    scores = np.random.default_rng(1).integers(1, 6, (8, 5)).astype(float)
    scores[:, 2] = 3
    one = analyse_ratings(ratings(scores), "mos").subjects[2]
    assert one.correlation is None
    assert "all votes are equal" in one.remarks


def test_unanimous_stimuli_do_not_make_outliers():
    rng = np.random.default_rng(2)
    scores = np.vstack([np.full((10, 12), 5.0), rng.integers(2, 5, (10, 12))])
    found = analyse_ratings(ratings(scores), "mos")
    assert not any("BT.500" in remark for one in found.subjects for remark in one.remarks)
    assert "10 stimuli" in analyse_ratings(ratings(scores), "bt500").remarks[0]


def beyond(scores: np.ndarray) -> list[bool]:
    """BT.500-14 A1-2.3.1, written from the text: shares are of the votes that a subject gave.

    Where all agree, every vote is as far from the mean as no deviation: those stimuli hold no outlier.
    """
    above, below = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for row in scores:
        votes = row[~np.isnan(row)]
        if np.ptp(votes) == 0:
            continue
        mean, deviation = votes.mean(), votes.std()
        reach = deviation * (2 if 2 <= kurtosis(votes, fisher=False) <= 4 else np.sqrt(20))
        above += (row >= mean + reach).sum(axis=1)
        below += (row <= mean - reach).sum(axis=1)
    total = (~np.isnan(scores)).sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        return list(((above + below) / total > 0.05) & (abs((above - below) / (above + below)) < 0.3))


@pytest.mark.parametrize("repeated", [False, True])
def test_subjects_are_rejected_by_the_votes_they_gave(repeated):
    out = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        scores = np.full((40, 20, 2), np.nan)
        scores[:, :, 0] = np.clip((rng.uniform(1.5, 4.5, (40, 1)) + rng.normal(0, 0.6, (40, 20))).round(), 1, 5)
        wild = rng.random(40) < 0.3
        scores[wild, 0, 0] = rng.integers(1, 6, wild.sum())
        scores[20:, 0] = np.nan  # who votes at random sees half of the stimuli
        if repeated:
            scores[0, 5, 1] = scores[0, 5, 0]
        else:
            scores = scores[:, :, :1]
        expected = beyond(scores)
        found = analyse_ratings(ratings(scores), "bt500")
        assert ["left out by the model" in one.remarks for one in found.subjects] == expected
        kept = scores[:, ~np.array(expected)]
        assert [one.mos for one in found.opinions] == pytest.approx(np.nanmean(kept, axis=(1, 2)))
        assert [one.votes for one in found.opinions] == (~np.isnan(kept)).sum(axis=(1, 2)).tolist()
        out += expected[0]
    assert out > 3


def test_unanimous_stimuli_reject_nobody_and_hide_nobody():
    """As of hidden references, on which all vote 5."""
    out = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        scores = np.clip((rng.uniform(1.5, 4.5, (22, 1)) + rng.normal(0, 0.5, (22, 16))).round(), 1, 5)
        scores[:, 1] = rng.integers(1, 6, 22)
        scores = np.vstack([np.full((2, 16), 5.0), scores])
        expected = beyond(scores[:, :, None])
        found = analyse_ratings(ratings(scores), "bt500")
        assert ["left out by the model" in one.remarks for one in found.subjects] == expected
        kept = scores[:, ~np.array(expected)]
        assert [one.mos for one in found.opinions] == pytest.approx(kept.mean(axis=1))
        out.append(expected)
    assert sum(one[1] for one in out) > 3
    assert max(map(sum, out)) < 4


def panel(seed: int, stimuli: int, subjects: int) -> tuple[np.ndarray, np.ndarray]:
    """Votes (stimuli, subjects) of subjects with bias and noise of their own, in grades; and the true scores."""
    rng = np.random.default_rng(seed)
    quality, bias = rng.uniform(1.5, 4.5, stimuli), rng.normal(0, 0.3, subjects)
    votes = quality[:, None] + bias + rng.uniform(0.4, 0.9, subjects) * rng.normal(0, 1, (stimuli, subjects))
    return np.clip(votes.round(), 1, 5), quality + bias.mean()


@pytest.mark.parametrize("model", ["p910", "p913"])
def test_intervals_at_the_smallest_design_hold_nine_in_ten(model):
    held = []
    for seed in range(40):
        scores, truth = panel(seed, MIN_VOTES, MIN_SUBJECTS)
        try:
            found = analyse_ratings(ratings(scores), model)
        except RequestError:
            continue
        held += [abs(one.mos - true) <= one.ci95 for one, true in zip(found.opinions, truth, strict=True)]
    assert len(held) > 30 * MIN_VOTES
    assert 0.88 < np.mean(held) < 0.95


@pytest.mark.parametrize(("stimuli", "subjects"), [(MIN_VOTES - 1, 24), (48, MIN_SUBJECTS - 1)])
@pytest.mark.parametrize("model", ["p910", "p913"])
def test_intervals_of_smaller_designs_are_not_given(model, stimuli, subjects):
    scores, _ = panel(4, stimuli, subjects)
    found = analyse_ratings(ratings(scores), model)
    assert {one.ci95 for one in found.opinions} == {None}
    assert f"no interval for {stimuli} stimuli: those of {model} are too narrow" in found.remarks[-1]
    assert None not in {one.ci95 for one in analyse_ratings(ratings(scores), "mos").opinions}


def test_a_stimulus_that_few_saw_has_no_interval():
    scores, _ = panel(5, 40, 16)
    scores[7, 5:] = np.nan
    found = analyse_ratings(ratings(scores), "p910")
    assert [place for place, one in enumerate(found.opinions) if one.ci95 is None] == [7]


def test_correlation_is_pearsons():
    from scipy.stats import pearsonr

    scores = np.random.default_rng(3).uniform(1, 5, (20, 6))
    expected = [pearsonr(column, scores.mean(axis=1)).statistic for column in scores.T]
    assert correlations_with_mean(scores[:, :, None]) == pytest.approx(expected)


def test_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sureal", None)
    with pytest.raises(MetricError, match="sureal, which cannot be imported") as error:
        analyse_ratings(ratings([[1, 2], [3, 4]]))
    assert "evalsuite[study]" in str(error.value)


@settings(max_examples=40)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 2)),
        elements=st.sampled_from([1.0, 2.0, 3.0, 5.0, np.nan]),
    ),
    st.sampled_from(MODELS),
)
def test_any_votes_give_numbers_or_a_refusal(scores, model):
    try:
        found = analyse_ratings(ratings(scores), model)
    except EvalError:
        return
    assert np.isfinite([one.mos for one in found.opinions]).all()
    assert all(one.ci95 is None or np.isfinite(one.ci95) for one in found.opinions)
    for one in found.subjects:
        assert all(value is None or np.isfinite(value) for value in (one.bias, one.inconsistency, one.correlation))
