"""What the baseline has and the candidate lost never passes: each way that it could have is a test."""

import math
from functools import partial

import pytest
from gate_samples import FOUR, SEQUENCES, changed, gate_of, judge, only, rate_rule, rows

from evalsuite.errors import RecipeError, RequestError
from evalsuite.results.gate.write import as_junit
from evalsuite.types import Failure


@pytest.fixture
def judged(tmp_path):
    return partial(judge, tmp_path)


@pytest.mark.parametrize("over", ["mean", "each"])
def test_a_point_that_falls_behind_a_cheaper_one(judged, over):
    """BD-rate leaves such a point out: the best point with the scores of the worst would cost nothing."""
    after = changed(rows(), {"score": 25.0}, sequence=FOUR, metric=["vmaf"], q=[16])
    one = only(judged(rows(), after, rate_rule(over=over, allowed=5)))
    assert one.verdict == "undecided"
    assert "q 16: worse than a cheaper point" in one.reason


def test_a_fall_that_the_baseline_has_too_is_no_loss(judged):
    before = changed(rows(), {"score": 70.0}, metric=["vmaf"], q=[16])
    after = [row | {"q": row["q"] + 1} for row in before]
    assert only(judged(before, after, rate_rule(allowed=5))).verdict == "pass"
    worse = changed(after, {"score": 60.0}, metric=["vmaf"], q=[17], sequence=FOUR)
    one = only(judged(before, worse, rate_rule(allowed=5)))
    assert (one.verdict, "a point: worse than a cheaper point" in one.reason) == ("undecided", True)


def test_a_small_fall_is_noise(judged):
    """Of a metric that hardly rises there: 88 in the baseline, below the 87 of the cheaper point in the candidate."""
    before, after = (
        changed(rows(), {"score": score}, sequence=["jump"], metric=["vmaf"], q=[16]) for score in (88.0, 86.0)
    )
    assert only(judged(before, after, rate_rule(allowed=5))).verdict == "pass"


@pytest.mark.parametrize("status", ["nan", "failed", "not_applicable"])
@pytest.mark.parametrize(
    "rule",
    [
        rate_rule(allowed=5),
        rate_rule(over="each", allowed=5),
        {"measure": "score", "metric": "vmaf", "allowed": 1},
        {"measure": "score", "metric": "vmaf", "at_least": 30, "over": "each"},
        {"measure": "score", "metric": "vmaf", "at_least": 30},
    ],
)
def test_scores_that_are_lost_at_some_points(judged, status, rule):
    lost = {"status": status, "score": math.nan if status == "nan" else None}
    after = changed(rows(), lost, metric=["vmaf"], q=[16], sequence=FOUR)
    one = only(judged(rows(), after, rule))
    assert one.verdict == "undecided"
    assert status in one.reason


@pytest.mark.parametrize("status", ["nan", "failed", "not_applicable"])
def test_an_optional_metric_that_only_the_candidate_lost(judged, status):
    lost = {"status": status, "score": math.nan if status == "nan" else None}
    after = changed(rows(), lost, metric=["vmaf"])
    rules = rate_rule(optional=True), {"measure": "score", "metric": "vmaf", "allowed": 1, "optional": True}
    assert {one.verdict for one in judged(rows(), after, *rules).judgements} == {"undecided"}


def test_an_optional_metric_that_the_baseline_cannot_be_judged_by(judged):
    """Flicker of a neural codec may rise with the rate: there is no curve, on either side."""
    falling = [row | {"score": 100 - row["score"]} for row in rows(metrics=("vmaf",))]
    rules = rate_rule(), rate_rule(optional=True, name="may be")
    must, may = judged(falling, falling, *rules).judgements
    assert (must.verdict, may.verdict) == ("undecided", "skipped")


def test_points_that_the_candidate_lacks(judged):
    """Two of five points gone leave three: too few for a curve of the points that pair, not for the baseline's own."""
    gone = [row for row in rows(0.5) if not (row["sequence"] == "bikes" and row["q"] in (16, 22))]
    one = only(judged(rows(), gone, rate_rule()))
    assert one.verdict == "undecided"
    assert "bikes" in one.reason
    one_gone = [row for row in rows() if row["q"] != 40]
    one = only(judged(rows(), one_gone, rate_rule()))
    assert one.verdict == "undecided"
    assert "q 40: not in the candidate" in one.reason


def test_a_sequence_that_failed_whole(judged):
    after = changed(rows(), {"status": "failed", "score": None, "bpp": None, "bytes": None}, sequence=["jump"])
    one = only(judged(rows(), after, rate_rule()))
    assert one.verdict == "undecided"
    assert "jump" in one.reason


def test_a_candidate_that_fails_everywhere_is_judged(judged):
    after = changed(rows(), {"status": "failed", "score": None, "bpp": None, "bytes": None})
    failed = [Failure("x265", name, 40.0, "encode", "it crashed") for name in SEQUENCES]
    result = judged(rows(), after, rate_rule(), {"measure": "failures", "allowed": 0}, failures=([], failed))
    assert [one.verdict for one in result.judgements] == ["undecided", "fail"]
    assert result.judgements[1].value == 6


def test_a_new_failure_is_not_cancelled_by_an_old_one(judged):
    before, after = ([Failure("x265", name, 24.0, "encode", "it crashed")] for name in ("bunny", "bikes"))
    one = only(judged(rows(), rows(), {"measure": "failures", "allowed": 0}, failures=(before, after)))
    assert (one.verdict, one.value) == ("fail", 1)
    assert "new: bikes q 24 at encode" in one.reason


def test_targets_that_all_moved_a_little_pair_in_their_order(judged):
    near = {16: 0.112, 22: 0.106, 28: 0.1, 34: 0.02, 40: 0.01}
    before, after = ([row | {"target_bpp": near[row["q"]] * moved} for row in rows()] for moved in (1, 1.032))
    one = only(judged(before, after, {"measure": "score", "metric": "vmaf", "allowed": 1}))
    assert (one.verdict, one.value) == ("pass", 0)


def test_a_cell_that_failed_on_both_sides_was_not_lost(judged):
    gone = {"status": "failed", "score": None, "bpp": None, "bytes": None}
    both = changed(rows(), gone, q=[40], sequence=FOUR)
    assert only(judged(both, both, rate_rule(allowed=5))).verdict == "pass"
    assert only(judged(rows(), both, rate_rule(allowed=5))).verdict == "undecided"


def test_a_try_of_the_search_that_failed_is_no_point(judged):
    def targeted(points):
        return [row | {"target_bpp": 0.005 * 2 ** ((40 - row["q"]) / 6)} for row in points]

    tried = {"status": "failed", "score": None, "bpp": None, "bytes": None, "cell_key": "", "q": 23.5}
    after = [*targeted(rows()), *(row | tried | {"target_bpp": None} for row in rows() if row["q"] == 22)]
    result = judged(targeted(rows()), after, rate_rule(allowed=5))
    assert only(result).verdict == "pass"
    assert "bikes: q 23.5 failed in the candidate" in result.matches[0].missing
    fewer = [row for row in after if row["q"] != 22]
    one = only(judged(targeted(rows()), fewer, rate_rule(allowed=5)))
    assert (one.verdict, "rate 0.04: not in the candidate" in one.reason) == ("undecided", True)


def test_targets_that_are_near_each_other_pair_with_their_own(judged):
    """Three targets within the tolerance of two targets for one."""
    near = {16: 0.1, 22: 0.104, 28: 0.108, 34: 0.02, 40: 0.01}
    before = [row | {"target_bpp": near[row["q"]]} for row in rows()]
    score = {"measure": "score", "metric": "vmaf", "allowed": 5}
    result = judged(before, [row for row in before if row["q"] != 28], score)
    one = only(result)
    assert (one.verdict, one.value) == ("undecided", 0)
    assert "bikes: rate 0.108: not in the candidate" in result.matches[0].missing


def test_lossless_that_is_lossless_no_more(judged):
    before = changed(rows(), {"score": math.inf, "status": "infinite"}, metric=["psnr_yuv"], q=[16])
    for rule in (rate_rule("psnr_yuv"), {"measure": "score", "metric": "psnr_yuv", "allowed": 1}):
        one = only(judged(before, rows(), rule))
        assert one.verdict == "undecided"
        assert "infinite in the baseline, ok in the candidate" in one.reason
    assert only(judged(before, before, rule)).verdict == "pass"


def test_lossless_everywhere_has_no_figure_to_hold_to_a_limit(judged):
    after = changed(rows(), {"score": math.inf, "status": "infinite"}, metric=["psnr_yuv"])
    one = only(judged(rows(), after, {"measure": "score", "metric": "psnr_yuv", "at_least": 30}))
    assert (one.verdict, one.reason) == ("undecided", "no value on any sequence: infinite at every point")


def test_a_percentage_of_nothing(judged):
    rule = {"measure": "score_percent", "metric": "lpips", "allowed": 5, "over": "each"}
    before = changed(rows(), {"score": 0.0}, metric=["lpips"], q=[16])
    after = changed(rows(), {"score": 0.5}, metric=["lpips"], q=[16])
    assert only(judged(before, after, rule)).verdict == "undecided"
    assert only(judged(before, before, rule)).verdict == "pass"


PROFILE = {"metric": "profile:conferencing", "unit": "", "log_domain_ceiling": 100.0}


@pytest.mark.parametrize("shift", [3.0, -3.0])
@pytest.mark.parametrize(
    "rule",
    [
        rate_rule("profile:conferencing", allowed=5),
        rate_rule("profile:conferencing", allowed=5, over="each"),
        {"measure": "score", "metric": "profile:conferencing", "allowed": 1},
        {"measure": "score_percent", "metric": "profile:conferencing", "allowed": 1, "over": "each"},
    ],
)
def test_a_term_that_dropped_out_of_a_profile(judged, rule, shift):
    """Without the faces that it lost its score may be higher: that is another formula, not a gain."""
    before = [row | PROFILE for row in rows(metrics=("vmaf",))]
    lost = {"reason": "without identity_cos (identity_cos: no face)"}
    after = [
        row | (lost | {"score": row["score"] + shift} if row["sequence"] == "face" else {"score": row["score"] + 0.1})
        for row in before
    ]
    one = only(judged(before, after, rule))
    assert one.verdict == "undecided"
    assert "not the same formula: with all metrics against without identity_cos" in one.reason


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ({"measure": "score", "metric": "vmaf", "at_least": 10}, None),
        ({"measure": "score", "metric": "vmaf", "at_least": 10}, {"metric_version": "of long ago"}),
        ({"measure": "decode_time", "at_most": 1e6}, {"decode_ran_alone": False}),
    ],
)
def test_a_limit_of_the_candidates_own_figure_does_not_ask_the_baseline(judged, rule, column):
    before = rows(metrics=("psnr_yuv",)) if column is None else [row | column for row in rows()]
    assert only(judged(before, rows(), rule)).verdict == "pass"


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("decode_peak_rss_bytes", {"measure": "decode_memory", "allowed": 10}),
        ("decode_peak_rss_bytes", {"measure": "decode_memory", "at_most": 100, "over": "each"}),
        ("decode_cpu_s", {"measure": "decode_time", "allowed": 10}),
        ("decode_cpu_s", {"measure": "decode_time", "at_most": 100}),
    ],
)
def test_costs_that_were_not_recorded(judged, column, rule):
    after = changed(rows(), {column: None}, sequence=["bikes"], q=[16])
    one = only(judged(rows(), after, rule))
    assert one.verdict == "undecided"
    assert "not recorded" in one.reason


def test_better_in_the_mean_is_not_better_everywhere(judged):
    """Too far apart for a BD-rate, better at the bottom and 14 points worse at the top."""
    flat = dict(zip((40, 34, 28, 22, 16), (77, 78, 79, 80, 81.0), strict=True))
    after = [
        row | ({"score": flat[row["q"]]} if row["sequence"] == "bikes" and row["metric"] == "vmaf" else {})
        for row in rows()
    ]
    for over in ("mean", "each"):
        assert only(judged(rows(), after, rate_rule(over=over, allowed=5))).verdict == "undecided"


def test_codecs_of_one_side_are_listed(judged):
    result = judged(rows() + rows(codec="tvc"), rows() + rows(codec="new"), rate_rule())
    assert result.missing == ("the codec tvc: not in the candidate", "the codec new: not in the baseline")


def test_several_presets_of_one_codec_are_refused(judged):
    two = rows() + [row | {"preset": "slow", "cell_key": "slow" + row["cell_key"]} for row in rows()]
    with pytest.raises(RequestError, match="several presets"):
        judged(two, two, rate_rule())


def test_targets_that_look_alike_are_not_one_point(judged):
    points = [row | {"target_bpp": 0.0123401 * (1 + 1e-6 * i)} for i, row in enumerate(rows(metrics=("vmaf",)))]
    result = judged(points, points, rate_rule())
    assert result.missing == ()
    assert only(result).sequences == 6


def test_a_tag_that_the_candidate_lost_still_chooses(judged):
    after = changed(rows({"face": 1.5}), {"tags": ""}, sequence=["face"])
    one = only(judged(rows(), after, rate_rule(over="each", allowed=5, sequences=["tag:faces"])))
    assert (one.verdict, one.sequences) == ("fail", 2)


def test_worse_that_contradicts_the_metric_is_refused(judged):
    rule = {"measure": "score", "metric": "vmaf", "allowed": 1, "worse": "more"}
    assert "higher vmaf is better" in only(judged(rows(), rows(shift={"vmaf": -40}), rule)).reason


@pytest.mark.parametrize(
    ("measure", "field"),
    [
        ({"measure": "bd_rate", "metric": "vmaf"}, {"statistic": "p5"}),
        ({"measure": "bd_rate", "metric": "vmaf"}, {"worse": "more"}),
        ({"measure": "failures"}, {"sequences": ["face"]}),
        ({"measure": "decode_memory"}, {"optional": True}),
    ],
)
def test_a_field_that_would_be_passed_over_is_refused(measure, field):
    with pytest.raises(RecipeError, match="means nothing"):
        gate_of(measure | {"allowed": 0} | field)


@pytest.mark.parametrize(
    "change", [{"structure": "random access"}, {"delay": 64}, {"intra_period": 999}, {"rate_source": "estimate"}]
)
def test_trap02_another_structure_is_another_task(judged, change):
    after = [row | change for row in rows(structure="low delay", delay=0)]
    before = rows(structure="low delay", delay=0)
    one = only(judged(before, after, rate_rule()))
    assert one.verdict == "undecided"
    assert "not like with like" in one.reason
    assert only(judged(before, after, rate_rule(), unlike="allow")).verdict == "pass"


def test_integers_of_hundreds_of_digits_are_no_numbers():
    with pytest.raises(RecipeError, match="`allowed` is not valid"):
        gate_of(rate_rule(allowed=int("9" * 400)))


def test_what_is_missing_stands_in_junit(judged):
    result = judged(rows(), [row for row in rows() if row["q"] != 40], rate_rule())
    assert "q 40: not in the candidate" in as_junit(result)


def test_an_explanation_of_a_cost_that_was_not_recorded(judged):
    after = changed(rows(), {"decode_peak_rss_bytes": None}, q=[16])
    result = judged(rows(), after, {"measure": "decode_memory", "at_most": 1, "over": "each"})
    assert only(result).verdict == "fail"
    assert "no score" in " ".join(result.explanations[0][0].rates)
