from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from evalsuite.results.curve import make_curve


@given(st.lists(st.integers(0, 4), min_size=4, max_size=9))
def test_falling_is_a_negative_rank_correlation_ties_and_all(scores: list[int]) -> None:
    rates = [2.0**i for i in range(len(scores))]
    curve = make_curve(rates, scores, higher_is_better=True, log_domain_ceiling=None)
    correlation = 0 if len(set(scores)) == 1 else spearmanr(rates, scores).statistic
    assert curve.falling == (correlation < -1e-9)
