"""The average curve: only where it is asked for, beside the mean of BD-rates, and labelled."""

import json

import numpy as np
import pytest

from evalsuite.errors import RequestError
from evalsuite.results.average import average_curve
from evalsuite.results.curve import make_curve

RATES = 100 * 2.0 ** np.arange(5)


def curve(rates, scores, **options):
    return make_curve(rates, scores, **{"higher_is_better": True, "log_domain_ceiling": None, **options})


def sheet(*groups) -> str:
    rows = [
        f"{name},{rate},{score}" for name, rates, scores in groups for rate, score in zip(rates, scores, strict=True)
    ]
    return "\n".join(["sequence,kbps,psnr", *rows]) + "\n"


def steep_and_flat(saved: float) -> tuple[str, str]:
    """Two sequences at the same rates: of 5 dB an octave, where the test codec saves `saved` octaves, and of 1 dB."""
    octaves = np.arange(5)
    anchor = sheet(("steep", RATES, 30 + 5 * octaves), ("flat", RATES, 30 + octaves))
    test = sheet(("steep", RATES, 30 + 5 * (octaves + saved)), ("flat", RATES, 30 + octaves))
    return anchor, test


def test_it_is_the_mean_log_rate_and_the_mean_score_of_equal_rank():
    made = average_curve({"a": curve(RATES, RATES / 50), "b": curve(RATES * 4, 8 + RATES / 50)}, "anchor")
    assert 10**made.log_rates == pytest.approx(RATES * 2)
    assert made.scores == pytest.approx(4 + RATES / 50)


def test_a_log_domain_and_a_direction_are_kept():
    lower = {name: curve(RATES, [0.5, 0.4, 0.3, 0.2, 0.1], higher_is_better=False) for name in "ab"}
    assert not average_curve(lower, "anchor").higher_is_better
    vmaf = {"a": curve(RATES, [50, 60, 70, 80, 90], log_domain_ceiling=100.0)}
    assert average_curve(vmaf, "anchor").log_domain_ceiling == 100


def test_trap24_it_is_never_in_place_of_the_mean_and_says_what_rules_it(run_bd):
    """Half an octave saved on the steep sequence is 2.5 dB: of both 1.25 dB, on a curve of 3 dB an octave."""
    sides = steep_and_flat(0.5)
    plain = json.loads(run_bd(*sides, "--json"))
    found = json.loads(run_bd(*sides, "--json", "--average-curve"))
    average = found.pop("average_curve")
    assert found == plain
    assert "average_curve" not in plain
    assert found["bd_rate_percent"] == pytest.approx(100 * (2**-0.5 - 1) / 2)
    assert average["bd_rate_percent"] == pytest.approx(100 * (2 ** (-1.25 / 3) - 1))
    assert average["status"] == "ok"
    assert average["warning"] == (
        "of the average curve: ruled by the sequences whose scores change most with the rate; not the mean of BD-rates"
    )
    text = run_bd(*sides, "--average-curve")
    said = " ".join(text.split())
    assert "of the average curve (ruled by the sequences whose scores change most" in said
    assert "not the mean of BD-rates): -25.0" in said
    assert max(map(len, text.splitlines())) <= 80


def test_other_numbers_of_points_are_refused_by_name(run_bd):
    anchor, test = steep_and_flat(0.5)
    fewer = "\n".join(test.splitlines()[:-1]) + "\n"
    with pytest.raises(RequestError, match="same number of points on every sequence") as caught:
        run_bd(anchor, fewer, "--average-curve")
    assert "steep: 5, flat: 4" in str(caught.value)
    assert run_bd(anchor, fewer), "without the average there is an answer"


def test_other_sequences_and_no_sequences_are_refused_by_name(run_bd):
    anchor, test = steep_and_flat(0.5)
    with pytest.raises(RequestError, match="same sequences in both files"):
        run_bd(anchor, test.replace("flat", "other"), "--average-curve")
    one = "kbps,psnr\n100,30\n200,33\n400,35\n800,36\n"
    with pytest.raises(RequestError, match="no sequence column"):
        run_bd(one, one, "--average-curve")


def test_a_sequence_without_a_curve_is_refused_by_name():
    with pytest.raises(RequestError, match="needs a curve on every sequence"):
        average_curve({"a": curve(RATES, RATES), "b": curve(RATES, -RATES)}, "anchor")
