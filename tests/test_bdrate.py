import json
import math
import pickle
import warnings
from pathlib import Path

import bjontegaard
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evalsuite.errors import RequestError, ShapeError
from evalsuite.results.bdrate import SAMPLES, BDResult, bd_rate

# The example in the README of the package `bjontegaard`: libx265, two presets.
EXAMPLE = (
    [9487.76, 4593.60, 2486.44, 1358.24],
    [40.037, 38.615, 36.845, 34.851],
    [9787.80, 4469.00, 2451.52, 1356.24],
    [40.121, 38.651, 36.970, 34.987],
)
RATES = np.array([100.0, 200, 400, 800, 1600])
SCORES = np.array([30.0, 33, 35.5, 37.5, 39])
METHODS = ("pchip", "akima", "cubic")
GOLDEN = Path(__file__).parents[2] / "shared/golden/vtm-17.0_yuv420_lowdelay_ip-1.json"


def compare(*curves, higher_is_better=True, **options) -> BDResult:
    return bd_rate(*curves, higher_is_better=higher_is_better, **options)


@pytest.mark.parametrize(("method", "percent"), [("cubic", -4.420463), ("pchip", -4.417485), ("akima", -4.425245)])
def test_golden_example(method, percent):
    result = compare(*EXAMPLE, method=method)
    assert result.status == "ok"
    assert result.reason == ""
    assert result.percent == pytest.approx(percent, abs=1e-5)
    assert (result.points_anchor, result.points_test) == (4, 4)


@pytest.mark.parametrize("method", METHODS)
def test_golden_example_agrees_with_bjontegaard(method):
    result = compare(*EXAMPLE, method=method)
    assert result.percent == pytest.approx(bjontegaard.bd_rate(*EXAMPLE, method=method), abs=1e-9)
    assert result.quality == pytest.approx(bjontegaard.bd_psnr(*EXAMPLE, method=method), abs=1e-9)


@st.composite
def curves(draw):
    """A strictly monotone curve of 4 to 8 points: rates, scores."""
    count = draw(st.integers(4, 8))
    steps = st.lists(st.floats(0.05, 1), min_size=count, max_size=count)
    log_rates = draw(st.floats(-0.3, 0.3)) + np.cumsum(draw(steps))
    scores = 30 + draw(st.floats(-1, 1)) + np.cumsum(draw(steps)) * 3
    return 10**log_rates, scores


@pytest.mark.filterwarnings("ignore:Insufficient curve overlap", "ignore:Curves do not overlap")
@settings(max_examples=300, deadline=None)
@given(curves(), curves(), st.sampled_from(METHODS))
def test_random_curves_agree_with_bjontegaard(anchor, test, method):
    result = compare(*anchor, *test, method=method)
    if result.percent is not None:
        theirs = bjontegaard.bd_rate(*anchor, *test, method=method, require_matching_points=False)
        assert result.percent == pytest.approx(theirs, abs=1e-6, rel=1e-8)
    if result.quality is not None:
        theirs = bjontegaard.bd_psnr(*anchor, *test, method=method, require_matching_points=False)
        assert result.quality == pytest.approx(theirs, abs=1e-6, rel=1e-8)


@settings(max_examples=50, deadline=None)
@given(curves(), curves())
def test_overlap_is_the_one_that_bjontegaard_warns_by(anchor, test):
    overlap = compare(*anchor, *test).overlap
    assume(overlap is not None and 0.01 < overlap < 0.99)

    for limit in (overlap + 1e-9, overlap - 1e-9):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            bjontegaard.bd_rate(*anchor, *test, method="pchip", require_matching_points=False, min_overlap=limit)
        assert bool(caught) == (limit > overlap)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25])
def test_a_known_saving_is_found_exactly(method, factor):
    result = compare(RATES, SCORES, RATES * factor, SCORES, method=method)
    assert result.percent == pytest.approx(100 * (factor - 1), abs=1e-9)
    assert result.overlap == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_known_gain_is_found_exactly(method):
    result = compare(RATES, SCORES, RATES, SCORES + 0.25, method=method)
    assert result.quality == pytest.approx(0.25, abs=1e-9)
    assert result.rate_overlap == 1
    assert result.percent < 0


@pytest.mark.parametrize(("ceiling", "scale"), [(None, 1), (100, 1), (1, 0.01)])
@settings(max_examples=50, deadline=None)
@given(curves(), curves())
def test_swapping_the_sides_inverts_the_ratio(ceiling, scale, anchor, test):
    anchor, test = (anchor[0], anchor[1] * scale), (test[0], test[1] * scale)
    there = compare(*anchor, *test, log_domain_ceiling=ceiling)
    back = compare(*test, *anchor, log_domain_ceiling=ceiling)
    assert there.overlap == back.overlap
    if there.percent is not None:
        assert (1 + there.percent / 100) * (1 + back.percent / 100) == pytest.approx(1, rel=1e-9)
    if there.quality is not None:
        assert there.quality == pytest.approx(-back.quality, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(curves(), curves(), st.sampled_from(METHODS), st.randoms(use_true_random=False))
def test_order_and_unit_of_rate_do_not_matter(anchor, test, method, random):
    plain = compare(*anchor, *test, method=method)
    shuffled = list(zip(*anchor, strict=True))
    random.shuffle(shuffled)
    rates, scores = zip(*shuffled, strict=True)
    other = compare(np.array(rates) / 1000, scores, test[0] / 1000, test[1], method=method)
    assert other.overlap == plain.overlap
    assert (other.percent is None) == (plain.percent is None)
    if plain.percent is not None:
        assert other.percent == pytest.approx(plain.percent, abs=1e-6, rel=1e-8)
    if plain.quality is not None and other.quality is not None:  # rounding may move an overlap of just 50 %
        assert other.quality == pytest.approx(plain.quality, abs=1e-9)


# The saturating curve 100 (1 - exp(-(rate / k)^0.8)): at 0.8 k every quality costs 20 % less, whatever is sampled.
VMAF_ANCHOR = np.array([500.0, 2000, 6000, 12000])
VMAF_TEST = np.array([300.0, 1500, 5000, 10000])


def saturating(rates, k):
    return 100 * (1 - np.exp(-((rates / k) ** 0.8)))


def test_trap25_interpolator():
    sides = VMAF_ANCHOR, saturating(VMAF_ANCHOR, 1000), VMAF_TEST, saturating(VMAF_TEST, 800)
    pchip, cubic = compare(*sides), compare(*sides, method="cubic")
    in_log_domain = compare(*sides, log_domain_ceiling=100)
    assert abs(pchip.percent - -20) < 3
    assert abs(in_log_domain.percent - -20) < 0.5
    assert abs(cubic.percent - -20) > 100, "one cubic over a saturating curve is worse than useless"
    assert cubic.status == "flagged"
    assert "not monotone" in cubic.reason
    assert in_log_domain.quality == pchip.quality, "BD-quality stays in the metric's own unit"


def test_trap26_poor_overlap_is_refused():
    result = compare(RATES, SCORES, RATES, SCORES + 5)  # 30 to 39 against 35 to 44: 4 of 14
    assert result.status == "refused"
    assert result.percent is None
    assert result.overlap == pytest.approx(4 / 14)
    assert "29%" in result.reason
    assert "anchor 30 to 39, test 35 to 44" in result.reason
    assert result.quality == pytest.approx(5), "at equal rates the quality can still be compared"


def test_trap26_disjoint_curves_are_refused():
    result = compare(RATES, SCORES, RATES * 100, SCORES + 20)
    assert (result.status, result.percent, result.quality, result.overlap) == ("refused", None, None, 0)
    assert result.rate_overlap == 0


@pytest.mark.parametrize(("shift", "status"), [(1.2, "ok"), (1.4, "flagged"), (2.9, "flagged"), (3.1, "refused")])
def test_overlap_thresholds(shift, status):
    # 9 dB of range: (9 - shift) / (9 + shift) is 0.765, 0.731, 0.513, 0.488
    assert compare(RATES, SCORES, RATES, SCORES + shift).status == status


def test_poor_rate_overlap_refuses_the_quality_alone():
    result = compare(RATES, SCORES, RATES / 8, SCORES)
    assert result.percent == pytest.approx(-87.5)
    assert result.status == "ok"
    assert result.quality is None
    assert result.rate_overlap == pytest.approx(1 / 7)  # 4 octaves each, 1 in common, 7 together
    assert "BD-quality is refused" in result.reason


@pytest.mark.parametrize("method", METHODS)
def test_trap27_lower_is_better_flipped_once(method):
    lpips = np.array([0.5, 0.4, 0.3, 0.22, 0.16])
    better = compare(RATES, lpips, RATES * 0.8, lpips, higher_is_better=False, method=method)
    worse = compare(RATES, lpips, RATES * 1.25, lpips, higher_is_better=False, method=method)
    assert better.percent == pytest.approx(-20, abs=1e-9)
    assert worse.percent == pytest.approx(25, abs=1e-9)
    assert better.quality < 0 < worse.quality, "in LPIPS' own direction: lower is better"
    negated = compare(RATES, -lpips, RATES * 0.8, -lpips, method=method)
    assert negated.percent == pytest.approx(better.percent, abs=1e-9)
    assert negated.quality == pytest.approx(-better.quality, abs=1e-9)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_reversed_direction_is_suspected(higher_is_better):
    scores = -SCORES if higher_is_better else SCORES
    result = compare(RATES, scores, RATES, scores, higher_is_better=higher_is_better)
    assert result.status == "refused"
    assert "direction" in result.reason


@pytest.mark.parametrize(
    ("rate", "score", "reason"),
    [
        (3200, math.inf, "score infinite"),
        (3200, math.nan, "score missing (NaN)"),
        (0, 20, "rate not positive and finite"),
        (-5, 20, "rate not positive and finite"),
        (math.inf, 50, "rate not positive and finite"),
        (math.nan, 50, "rate not positive and finite"),
        (800, 36, "same rate, worse score"),
        (3200, 38, "not better than a cheaper point"),
        (3200, 39, "not better than a cheaper point"),
    ],
)
def test_unusable_points_are_dropped_by_name(rate, score, reason):
    clean = compare(RATES, SCORES, RATES * 0.9, SCORES)
    result = compare(np.append(RATES, rate), np.append(SCORES, score), RATES * 0.9, SCORES)
    assert result.dropped_anchor == {reason: 1}
    assert result.dropped_test == {}
    assert result.points_anchor == 5
    assert result.percent == clean.percent
    assert result.status == "flagged"
    assert f"anchor: dropped 1 {reason}" in result.reason


def test_a_repeated_point_is_counted_but_harmless():
    result = compare(np.append(RATES, 400), np.append(SCORES, 35.5), RATES, SCORES)
    assert (result.status, result.dropped_anchor, result.percent) == ("ok", {"repeated": 1}, 0)


def test_a_score_at_the_ceiling_is_dropped_in_the_log_domain():
    scores = [40, 60, 80, 90, 100]
    result = compare(RATES, scores, RATES, scores, log_domain_ceiling=100)
    assert result.dropped_test == {"score at its ceiling": 1}
    assert result.percent == 0


def test_log_domain_definition():
    scores = np.array([0.9, 0.95, 0.98, 0.99, 0.995])
    test = RATES * np.array([0.9, 0.85, 0.8, 0.7, 0.6])
    mapped = -10 * np.log10(1 - scores)
    result = compare(RATES, scores, test, scores, log_domain_ceiling=1)
    assert result.percent == pytest.approx(bjontegaard.bd_rate(RATES, mapped, test, mapped, method="pchip"), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_fewer_than_four_points_are_refused(count):
    result = compare(RATES[:count], SCORES[:count], RATES, SCORES)
    assert (result.status, result.percent, result.quality) == ("refused", None, None)
    assert f"anchor: {count} usable of {count} points, at least 4 are needed" in result.reason
    assert "test" not in result.reason


def test_wrong_requests_are_errors():
    with pytest.raises(RequestError, match="did you mean pchip"):
        compare(*EXAMPLE, method="pchirp")
    with pytest.raises(ShapeError, match="do not pair up"):
        compare([1, 2], [1], [1], [1])
    with pytest.raises(ShapeError):
        compare([[1]], [[1]], [1], [1])
    for ceiling, higher in ((0, True), (math.inf, True), (1, False)):
        with pytest.raises(RequestError, match="log domain"):
            compare(*EXAMPLE, higher_is_better=higher, log_domain_ceiling=ceiling)


any_float = st.floats() | st.floats(0.001, 100)
any_side = st.lists(st.tuples(any_float, any_float), max_size=9)


@pytest.mark.filterwarnings("error")
@settings(max_examples=500, deadline=None)
@given(any_side, any_side, st.booleans(), st.sampled_from(METHODS), st.sampled_from([None, 1.0, 100.0]))
def test_any_numbers_give_a_number_or_a_named_refusal(anchor, test, higher, method, ceiling):
    sides = [[point[i] for point in side] for side in (anchor, test) for i in (0, 1)]
    result = compare(*sides, higher_is_better=higher, method=method, log_domain_ceiling=ceiling if higher else None)
    assert result.points_anchor + sum(result.dropped_anchor.values()) == len(anchor)
    assert result.points_test + sum(result.dropped_test.values()) == len(test)
    assert (result.percent is None) == (result.status == "refused")
    assert result.percent is None or (math.isfinite(result.percent) and result.overlap >= 0.5)
    assert result.quality is None or (math.isfinite(result.quality) and result.rate_overlap >= 0.5)
    assert result.status == "ok" or result.reason


def test_results_cross_process_borders():
    result = compare(*EXAMPLE)
    assert pickle.loads(pickle.dumps(result)) == result


def test_trap28_noise_floor_of_published_points():
    """The same codec against itself on interleaved QPs: what is left is the error of the method."""
    if not GOLDEN.is_file():
        pytest.skip("shared/golden/vtm-17.0_yuv420_lowdelay_ip-1.json is absent")
    found: dict[str, list[BDResult]] = {"psnr_y": [], "msssim": []}
    for sequences in json.loads(GOLDEN.read_text()).values():
        for points in sequences.values():
            by_qp = sorted(points.values(), key=lambda point: point["qp"])
            for metric, results in found.items():
                sides = [
                    [point[key] for point in by_qp[first::2]]
                    for first in (0, 1)
                    for key in ("ave_all_frame_bpp", f"ave_all_frame_{metric}")
                ]
                results.append(compare(*sides, log_domain_ceiling=1 if metric == "msssim" else None))
    for metric, results in found.items():
        assert len(results) == 53
        held = [result.percent for result in results if result.percent is not None]
        assert len(held) == 52, "one sequence spends most of its rate on noise at QP 22: no common range"
        (refused,) = [result for result in results if result.percent is None]
        assert refused.overlap < 0.5
        assert "overlap" in refused.reason
        assert np.mean(np.abs(held)) < 1, metric
        assert np.max(np.abs(held)) < 2


def test_relative_curve_of_a_known_saving_is_flat():
    result = compare(RATES, SCORES, RATES * 0.8, SCORES)
    assert result.relative.percents == pytest.approx(np.full(SAMPLES, -20.0))
    assert result.relative.scores[[0, -1]] == pytest.approx([30, 39])
    assert result.relative.crossings == ()


@pytest.mark.parametrize(("scores", "higher"), [(SCORES, True), (100 - SCORES, False)])
def test_one_number_hides_a_crossing(scores, higher):
    """Half the rate at the bottom, twice at the top, a straight line between in log-rate: a BD-rate of nothing."""
    goodness = SCORES if higher else 100 - scores
    factor = 2 ** (2 * (goodness - 30) / 9 - 1)
    result = compare(RATES, scores, RATES * factor, scores, higher_is_better=higher)
    assert result.percent == pytest.approx(0, abs=1.5)
    assert result.relative.percents[[0, -1]] == pytest.approx([-50, 100])
    (crossing,) = result.relative.crossings
    assert crossing == pytest.approx(34.5 if higher else 65.5, abs=0.1)


def test_relative_curve_stays_in_the_metrics_unit_in_the_log_domain():
    vmaf = np.array([60.0, 75, 88, 94, 97])
    result = compare(RATES, vmaf, RATES * 0.9, vmaf, log_domain_ceiling=100)
    assert result.relative.scores[[0, -1]] == pytest.approx([60, 97])
    assert result.relative.percents == pytest.approx(np.full(SAMPLES, -10.0))


@settings(max_examples=50, deadline=None)
@given(curves(), curves(), st.sampled_from(METHODS))
def test_bd_rate_is_the_mean_of_the_relative_curve_in_log_rate(anchor, test, method):
    result = compare(*anchor, *test, method=method)
    if result.percent is None:
        assert result.relative is None
        return
    logs = np.log(np.maximum(1 + result.relative.percents / 100, 1e-12))
    mean = np.trapezoid(logs, dx=1 / (SAMPLES - 1))
    assert 100 * math.expm1(mean) == pytest.approx(result.percent, rel=0.02, abs=0.5)
    assert result.relative.percents.min() - 0.5 <= result.percent <= result.relative.percents.max() + 0.5


def test_identical_curves_do_not_cross():
    assert compare(RATES, SCORES, RATES, SCORES).relative.crossings == ()


def test_noise_floor_of_points_on_one_smooth_curve_is_small():
    """Score and log-rate on a straight line: any half of the points gives the same curve."""
    rates, scores = 100 * 2.0 ** np.arange(8), 30 + 3.0 * np.arange(8)
    assert compare(rates, scores, rates, scores).noise_floor == pytest.approx(0, abs=1e-9)


def test_noise_floor_is_the_bd_rate_of_interleaved_points():
    """By the package `bjontegaard`, whose PCHIP takes any number of points."""
    scores = np.array([30.0, 33.4, 35.1, 37.9, 38.8, 40])
    rates = 100 * 2.0 ** np.arange(6)
    odd, even = [0, 1, 3, 5], [0, 2, 4, 5]
    theirs = bjontegaard.bd_rate(rates[odd], scores[odd], rates[even], scores[even], method="pchip")
    straight = compare(rates, scores, rates, scores)
    assert straight.noise_floor == pytest.approx(abs(theirs), rel=1e-9)


def test_four_points_cannot_tell_their_noise():
    assert compare(*EXAMPLE).noise_floor is None


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden published-RD file is not here")
def test_trap28_noise_floor_is_an_upper_estimate_of_what_other_points_would_give():
    """Five of VTM's ten QPs estimate a floor; the five others give the true one. Of 53 sequences."""
    estimated, true = [], []
    for sequences in json.loads(GOLDEN.read_text()).values():
        for points in sequences.values():
            rows = sorted((p["ave_all_frame_bpp"], p["ave_all_frame_psnr_y"]) for p in points.values())
            rates, scores = np.array(rows).T
            own = compare(rates[::2], scores[::2], rates[::2], scores[::2])
            other = compare(rates[::2], scores[::2], rates[1::2], scores[1::2])
            if own.noise_floor is not None and other.percent is not None:
                estimated.append(own.noise_floor)
                true.append(abs(other.percent))
    assert len(true) >= 50
    assert np.mean(true) <= np.mean(estimated) <= 4 * np.mean(true)
