"""What `evalsuite bd` says beside the number: change over quality, crossings, noise, intervals."""

import json

import bjontegaard
import numpy as np
import pytest

from evalsuite.results.stats import mean_interval

SCORES = (30.0, 33.0, 35.5, 37.5, 39.0)
RATES = (100, 200, 400, 800, 1600)
CROSSING = tuple(rate * 2 ** (2 * (score - 30) / 9 - 1) for rate, score in zip(RATES, SCORES, strict=True))
"""Half the anchor's rate at 30 dB and twice at 39, straight in log-rate: they cross at 34.5 dB."""


@pytest.fixture
def answer(run_bd):
    return lambda anchor, test, *options: json.loads(run_bd(anchor, test, "--json", *options))


def sheet(*curves, header="kbps,psnr") -> str:
    """One curve, or (sequence, rates) pairs."""
    if isinstance(curves[0], str):
        rows = [
            f"{name},{rate},{score}"
            for name, rates in zip(curves[::2], curves[1::2], strict=True)
            for rate, score in zip(rates, SCORES, strict=True)
        ]
        return "\n".join([f"sequence,{header}", *rows]) + "\n"
    return "\n".join([header, *(f"{rate},{score}" for rate, score in zip(curves[0], SCORES, strict=True))]) + "\n"


def times(factor):
    return tuple(rate * factor for rate in RATES)


def test_one_number_hides_a_crossing_and_the_document_does_not(answer):
    found = answer(sheet(RATES), sheet(CROSSING))
    assert abs(found["bd_rate_percent"]) < 1.5
    assert found["change"] == pytest.approx([-50, 100])
    assert found["crossings"] == [pytest.approx(34.5, abs=0.1)]
    relative = found["relative"]
    assert len(relative["scores"]) == len(relative["percents"]) == 65
    assert (relative["scores"][0], relative["scores"][-1]) == (30, 39)
    assert (relative["percents"][0], relative["percents"][-1]) == (pytest.approx(-50), pytest.approx(100))


def test_noise_floor_is_that_of_interleaved_points(answer):
    scores, rates = np.array(SCORES), np.array(RATES, dtype=float)
    halves = [0, 1, 3, 4], [0, 2, 4]
    assert len(halves[1]) == 3, "PCHIP takes three points; the package asks for the same number on both sides"
    theirs = bjontegaard.bd_rate(
        *(side[half] for half in halves for side in (rates, scores)), method="pchip", require_matching_points=False
    )
    found = answer(sheet(RATES), sheet(times(0.9)))
    assert found["noise_floor"] == pytest.approx(abs(theirs), rel=1e-6)


def test_each_sequence_has_its_curve_and_the_mean_its_intervals(answer):
    names = ("a", "b", "c", "d", "e")
    factors = (0.9, 0.8, 0.7, 0.95, None)
    anchor = sheet(*(part for name in names for part in (name, RATES)))
    test = sheet(
        *(
            part
            for name, factor in zip(names, factors, strict=True)
            for part in (name, times(factor) if factor else CROSSING)
        )
    )
    found = answer(anchor, test)
    by_name = {row["sequence"]: row for row in found["sequences"]}
    assert by_name["a"]["relative"]["percents"] == pytest.approx([-10] * 65)
    assert (by_name["a"]["crossings"], by_name["a"]["change"]) == ([], pytest.approx([-10, -10]))
    assert len(by_name["e"]["crossings"]) == 1
    mean = found["mean"]
    assert mean["crossings"] == 1, "of the mean: on how many sequences"
    percents, qualities = (
        np.array([row[key] for row in found["sequences"]]) for key in ("bd_rate_percent", "bd_quality")
    )
    assert mean["interval"] == pytest.approx(mean_interval(percents))
    assert mean["quality"] == pytest.approx(qualities.mean())
    assert mean["quality_interval"] == pytest.approx(mean_interval(qualities))
    logs = mean_interval(np.log1p(percents / 100))
    assert mean["log_interval"] == pytest.approx([100 * np.expm1(bound) for bound in logs])
    assert found["noise_floor"] == pytest.approx(np.mean([row["noise_floor"] for row in found["sequences"]]))
    assert found["change"] == pytest.approx([-50, 100])


def test_what_was_refused_has_no_curve(answer):
    found = answer(sheet(RATES), "kbps,psnr\n100,30\n")
    assert (found["relative"], found["crossings"], found["noise_floor"], found["change"]) == (None, [], None, None)


def test_the_table_says_it_below_in_eighty_columns(run_bd):
    text = run_bd(sheet(RATES), sheet(CROSSING))
    said = " ".join(text.split())
    assert "change of the rate at single qualities -50.00 to +100.00 %" in said
    assert "the curves cross at 34.5" in said
    assert "noise floor 0." in said or "noise floor 1." in said
    assert max(map(len, text.splitlines())) <= 80
    sequences = [part for name in ("one", "two") for part in (name, RATES)]
    text = run_bd(sheet(*sequences), sheet("one", CROSSING, "two", times(0.9)))
    said = " ".join(text.split())
    assert "the curves cross on 1 of 2 sequences: one at 34.5" in said
    assert "mean noise floor" in said
    assert max(map(len, text.splitlines())) <= 80
    assert "the curves do not cross" in " ".join(run_bd(sheet(RATES), sheet(times(0.9))).split())


def test_trap28_below_the_noise_of_its_points_is_said(run_bd):
    assert "the BD-rate is below the noise of its points" in " ".join(run_bd(sheet(RATES), sheet(times(1.001))).split())
    assert "below the noise" not in run_bd(sheet(RATES), sheet(times(1.5)))


def test_four_points_say_that_their_noise_is_unknown(run_bd):
    four = "kbps,psnr\n100,30\n200,33\n400,35\n800,36\n"
    assert "noise floor n/a: it needs five points a side" in " ".join(run_bd(four, four).split())
