"""Verdicts of the gate on runs with known changes."""

import math
from functools import partial

import numpy as np
import pytest
from gate_samples import RATES, SEQUENCES, judge, only, rate_rule, rows, write_run

from evalsuite.errors import RequestError
from evalsuite.results.gate.gate import run_gate
from evalsuite.results.gate.rules import load_gate
from evalsuite.results.load import FrameScores
from evalsuite.types import Failure


@pytest.fixture
def judged(tmp_path):
    return partial(judge, tmp_path)


def test_same_results_pass(judged):
    result = judged(rows(), rows(), rate_rule(), rate_rule("lpips"), rate_rule(over="each", allowed=5))
    assert result.verdict == "pass"
    assert [one.value for one in result.judgements] == [0, 0, 0]
    assert result.missing == ()


@pytest.mark.parametrize("metric", ["vmaf", "psnr_yuv", "lpips"])
@pytest.mark.parametrize(("factor", "verdict"), [(1.02, "fail"), (1.005, "pass"), (0.9, "pass")])
def test_rate_on_all_sequences(judged, metric, factor, verdict):
    one = only(judged(rows(), rows(factor), rate_rule(metric)))
    assert one.verdict == verdict
    assert one.value == pytest.approx(100 * (factor - 1))
    assert one.interval == pytest.approx((one.value, one.value))
    assert one.sequences == 6


def test_an_interval_that_holds_the_limit_is_undecided_and_says_what_would_decide(judged):
    factors = dict(zip(SEQUENCES, (1.0, 1.03, 0.99, 1.05, 1.0, 1.01), strict=True))
    one = only(judged(rows(), rows(factors), rate_rule()))
    assert one.verdict == "undecided"
    assert one.value == pytest.approx(100 * (np.mean(list(factors.values())) - 1))
    low, high = one.interval
    assert low < 1 < high
    assert one.more_sequences > 0


def test_below_five_sequences_a_mean_is_undecided(judged):
    few = SEQUENCES[:3]
    one = only(judged(rows(sequences=few), rows(1.1, sequences=few), rate_rule()))
    assert (one.verdict, one.interval, one.more_sequences) == ("undecided", None, 2)


def test_no_difference_at_all_passes_with_any_number_of_sequences(judged):
    assert only(judged(rows(sequences=("face",)), rows(sequences=("face",)), rate_rule())).verdict == "pass"


def test_one_bad_sequence_fails_the_limit_of_each_but_not_the_mean(judged):
    each, mean = judged(rows(), rows({"city": 1.2}), rate_rule(over="each", allowed=5), rate_rule(allowed=1)).judgements
    assert each.verdict == "fail"
    assert each.values[0].sequence == "city"
    assert each.value == pytest.approx(20)
    assert mean.verdict == "undecided"


def test_a_limit_of_each_is_undecided_where_the_points_do_not_tell(judged):
    """One of five points is far off: leaving it out changes the number."""
    after = rows({"city": 1.06})
    for row in after:
        if row["sequence"] == "city" and row["q"] == 28:
            row["bpp"] *= 1.3
    one = only(judged(rows(), after, rate_rule(over="each", allowed=5)))
    assert one.verdict == "undecided"
    assert one.more_points > 0
    assert one.values[0].half_width > abs(one.value - 5)


def test_a_failure_is_shown_by_the_sequence_that_is_surely_beyond(judged):
    after = rows({"city": 1.10, "face": 1.11})
    for row in after:
        row["bpp"] *= 1.3 if (row["sequence"], row["q"]) == ("city", 28) else 1
    one = only(judged(rows(), after, rate_rule(over="each", allowed=5)))
    assert max(one.values, key=lambda value: value.value).sequence == "city"
    assert (one.verdict, one.reason, one.values[0].sequence) == ("fail", "beyond the limit: face", "face")
    assert (one.value, one.interval) == (pytest.approx(11), pytest.approx((11, 11)))


def test_many_rules_are_held_to_adjusted_chances(judged):
    """A difference that one rule alone would fail by is not enough as one of many."""
    factors = dict(zip(SEQUENCES, (1.0105, 1.025, 1.015, 1.03, 1.012, 1.018), strict=True))
    alone = only(judged(rows(), rows(factors), rate_rule()))
    assert alone.verdict == "fail"
    # Other rules are far within their limits.
    many = [rate_rule(allowed=50 + n, name=f"other {n}") for n in range(40)]
    one, *_ = judged(rows(), rows(factors), rate_rule(), *many).judgements
    assert one.verdict == "undecided"
    assert one.chance == pytest.approx(min(1, 41 * alone.chance))
    assert "by accident" in one.reason


def test_sequences_by_name_pattern_and_tag(judged):
    after = rows({"face": 1.5, "carphone": 1.5})
    rules = [
        rate_rule(over="each", allowed=5, sequences=["tag:faces"], name="faces"),
        rate_rule(over="each", allowed=5, sequences=["b*", "jump"], name="others"),
        rate_rule(sequences=["tag:screen"], name="none"),
    ]
    faces, others, none = judged(rows(), after, *rules).judgements
    assert (faces.verdict, faces.sequences) == ("fail", 2)
    assert (others.verdict, others.sequences) == ("pass", 3)
    assert (none.verdict, none.reason) == ("undecided", "no sequence is tag:screen")


@pytest.mark.parametrize(
    ("metric", "loss", "verdict"), [("psnr_yuv", 0.5, "fail"), ("psnr_yuv", -0.5, "pass"), ("lpips", 0.05, "fail")]
)
def test_bd_quality_counts_a_loss_as_positive_in_either_direction(judged, metric, loss, verdict):
    shift = -loss if metric == "psnr_yuv" else loss
    rule = {"measure": "bd_quality", "metric": metric, "allowed": 0.01}
    one = only(judged(rows(), rows(shift={metric: shift}), rule))
    assert one.verdict == verdict
    assert one.value == pytest.approx(loss)


def test_trap27_lower_is_better_is_not_flipped(judged):
    better = only(judged(rows(), rows(shift={"lpips": -0.01}), rate_rule("lpips")))
    worse = only(judged(rows(), rows(shift={"lpips": 0.02}), rate_rule("lpips")))
    assert (better.verdict, worse.verdict) == ("pass", "fail")


def test_score_percent_of_a_metric_without_direction_needs_to_be_told_which_way_is_worse(judged):
    before, after = (rows(metrics=("token_rate",), shift={"token_rate": add}) for add in (0, 10))
    rule = {"measure": "score_percent", "metric": "token_rate", "allowed": 2.0}
    assert "no better and worse" in only(judged(before, after, rule)).reason
    more = only(judged(before, after, rule | {"worse": "more"}))
    assert more.verdict == "fail"
    assert more.value == pytest.approx(np.mean([10, 5, 2.5, 1.25, 0.625]))
    assert only(judged(before, after, rule | {"worse": "less"})).verdict == "pass"


def test_absolute_limits(judged):
    most = {"measure": "score", "metric": "token_rate", "at_most": 700.0}
    least = {"measure": "score", "metric": "vmaf", "at_least": 60.0, "over": "each"}
    points = rows(metrics=("token_rate", "vmaf"))
    tokens, vmaf = judged(points, points, most, least).judgements
    assert (tokens.verdict, tokens.value) == ("pass", 620)
    assert (vmaf.verdict, vmaf.value) == ("pass", pytest.approx(65.8))
    tokens, vmaf = judged(points, points, most | {"at_most": 600.0}, least | {"at_least": 70.0}).judgements
    assert (tokens.verdict, vmaf.verdict) == ("fail", "fail")


def test_failures_are_counted(judged):
    failed = [Failure("x265", "face", 30.0, "encode", "it crashed"), Failure("vvenc", "face", 30.0, "encode", "x")]
    rule = {"measure": "failures", "allowed": 0}
    result = judged(rows(), rows(), rule, failures=([], failed))
    assert (only(result).verdict, only(result).value) == ("fail", 1)
    assert only(judged(rows(), rows(), rule, failures=(failed, failed))).verdict == "pass"


def test_times_are_judged_only_where_they_were_taken_alone_on_one_machine(judged):
    rule = {"measure": "encode_time", "allowed": 10}
    alone = {"encode_ran_alone": True}
    slower = rows(encode_cpu_s=0.5, **alone)
    assert "beside other work" in only(judged(rows(), slower, rule)).reason
    one = only(judged(rows(**alone), slower, rule))
    assert (one.verdict, one.value) == ("fail", pytest.approx(25))
    other = {"processor": "another", "cores": 64, "jobs": 1}
    found = only(judged(rows(**alone), slower, rule, machines=(None, other)))
    assert found.verdict == "undecided"
    assert "same kind of machine" in found.reason


def test_memory_is_of_the_largest_point(judged):
    after = rows()
    after[0]["decode_peak_rss_bytes"] = 60_000_000
    for row in after:
        if row["cell_key"] == after[0]["cell_key"]:
            row["decode_peak_rss_bytes"] = 60_000_000
    rule = {"measure": "decode_memory", "allowed": 10, "over": "each"}
    one = only(judged(rows(), after, rule))
    assert (one.verdict, one.value, one.values[0].sequence) == ("fail", pytest.approx(50), "bikes")
    absolute = {"measure": "decode_memory", "at_most": 50, "over": "each"}
    assert only(judged(rows(), after, absolute)).value == pytest.approx(60)


# ---------------------------------------------------------------- what cannot be judged, by name


def test_only_matched_cells_are_compared_and_the_rest_is_listed(judged):
    before = [row for row in rows(sequences=(*SEQUENCES, "old")) if not (row["sequence"] == "face" and row["q"] == 40)]
    after = [row for row in rows(sequences=(*SEQUENCES, "new")) if not (row["sequence"] == "city" and row["q"] == 16)]
    result = judged(before, after, rate_rule())
    assert set(result.missing) == {
        "old: not in the candidate",
        "new: not in the baseline",
        "face: q 40: not in the baseline",
        "city: q 16: not in the candidate",
    }
    assert only(result).sequences == 6
    assert only(result).value == pytest.approx(0, abs=1e-12)


def test_other_frames_are_refused_by_name(judged):
    after = [row | {"frames": 33 if row["sequence"] == "face" else row["frames"]} for row in rows()]
    result = judged(rows(), after, rate_rule())
    assert result.missing == ("face: 60 frames in the baseline, 33 in the candidate",)
    assert only(result).sequences == 5


def test_other_content_under_one_name_is_refused_by_name(judged):
    after = [row | {"source_sha256": "other" if row["sequence"] == "face" else row["source_sha256"]} for row in rows()]
    (line,) = judged(rows(), after, rate_rule()).missing
    assert line == "face: other content on the two sides (the digests of the sources differ)"


def test_the_same_content_under_another_name_is_matched(judged):
    after = [row | {"sequence": f"new {row['sequence']}"} for row in rows(1.02)]
    one = only(judged(rows(), after, rate_rule()))
    assert (one.verdict, one.sequences) == ("fail", 6)


def test_nothing_in_common_is_an_error(judged):
    with pytest.raises(RequestError, match="nothing in common") as caught:
        judged(rows(sequences=("face",)), rows(sequences=("city",)), rate_rule())
    assert "city: not in the baseline" in str(caught.value)


def test_another_version_of_a_metric_is_refused(judged):
    after = [row | {"metric_version": "2" if row["metric"] == "vmaf" else "1"} for row in rows(1.5)]
    vmaf, psnr = judged(rows(), after, rate_rule(), rate_rule("psnr_yuv")).judgements
    assert (vmaf.verdict, vmaf.value) == ("undecided", None)
    assert "vmaf in two versions: 1 in the baseline, 2 in the candidate" in vmaf.reason
    assert psnr.verdict == "fail"


def test_a_reversed_direction_is_refused(judged):
    after = [row | {"higher_is_better": not row["higher_is_better"], "log_domain_ceiling": None} for row in rows()]
    before = [row | {"log_domain_ceiling": None} for row in rows()]
    one = only(judged(before, after, rate_rule("psnr_yuv")))
    assert (one.verdict, one.value) == ("undecided", None)
    assert "two directions" in one.reason


def test_a_metric_that_is_missing_is_undecided_or_passed_over(judged):
    rule = {"measure": "bd_rate", "metric": "dists", "allowed": 1}
    strict, lenient = judged(rows(), rows(), rule, rule | {"name": "may be missing", "optional": True}).judgements
    assert (strict.verdict, lenient.verdict) == ("undecided", "skipped")
    assert "dists was not measured" in strict.reason


def test_a_metric_that_the_candidate_alone_lacks_is_never_passed_over(judged):
    one = only(judged(rows(), rows(metrics=("vmaf",)), rate_rule("lpips", optional=True)))
    assert (one.verdict, one.reason) == ("undecided", "lpips was not measured in the candidate")


def test_curves_too_far_apart_fail_without_a_number(judged):
    """Disjoint qualities have no BD-rate, but at equal rate the candidate is worse."""
    one = only(judged(rows(), rows(shift={"psnr_yuv": -20.0}), rate_rule("psnr_yuv")))
    assert (one.verdict, one.value) == ("fail", None)
    assert "worse at every rate, by 20 in the mean" in one.reason
    assert only(judged(rows(), rows(shift={"psnr_yuv": 20.0}), rate_rule("psnr_yuv"))).verdict != "fail"


def test_trap26_a_sequence_without_a_number_does_not_pass_unseen(judged):
    """The candidate's curve of one sequence falls: nothing can be said of it, so the rule is not a pass."""
    after = rows()
    for row in after:
        if row["sequence"] == "jump" and row["metric"] == "vmaf":
            row["score"] = 100 - row["score"]
    one = only(judged(rows(), after, rate_rule()))
    assert one.verdict == "undecided"
    assert "jump" in one.reason
    assert one.sequences == 5


def test_a_sequence_that_the_baseline_cannot_be_judged_on_is_left_out_by_name(judged):
    points = rows()
    for row in points:
        if row["sequence"] == "jump" and row["metric"] == "vmaf":
            row["score"] = 100 - row["score"]
    one = only(judged(points, points, rate_rule()))
    assert (one.verdict, one.sequences) == ("pass", 5)
    assert "no value on jump" in one.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_trap23_scores_that_are_no_numbers_are_named(judged, bad):
    status = "nan" if bad != bad else "infinite"
    after = rows()
    for row in after:
        if row["sequence"] == "city" and row["metric"] == "vmaf":
            row |= {"score": bad, "status": status}
    for rule in (rate_rule(), {"measure": "score", "metric": "vmaf", "allowed": 1}):
        one = only(judged(rows(), after, rule))
        assert one.verdict == "undecided"
        assert one.sequences == 5
        assert "city" in one.reason


def test_points_that_do_not_pair_are_compared_as_curves_and_said(judged):
    after = [row | {"q": row["q"] + 1} for row in rows(1.02)]
    result = judged(rows(), after, rate_rule(), {"measure": "score", "metric": "vmaf", "allowed": 1})
    rate, score = result.judgements
    assert (rate.verdict, rate.value) == ("fail", pytest.approx(2))
    assert (score.verdict, score.value) == ("undecided", None)
    assert all("points do not pair" in line for line in result.missing)


def test_ladders_of_two_codecs_that_share_one_q_by_chance_are_compared_as_curves(judged):
    before, after = rows(codec="x264"), [row | {"q": row["q"] - 6 * 4} for row in rows(1.02)]
    assert len({row["q"] for row in before} & {row["q"] for row in after}) == 1
    result = judged(before, after, rate_rule())
    assert (result.judgements[0].verdict, result.judgements[0].value) == ("fail", pytest.approx(2))
    assert all("q of two codecs is not one scale" in line for line in result.missing)
    # Of one codec, what its ladder lacks is lost.
    own = judged(rows(), after, rate_rule())
    assert only(own).verdict == "undecided"
    assert any("not in the candidate" in line for line in own.missing)


def test_target_rates_that_moved_a_little_are_the_same_points(judged):
    before, after = ([row | {"target_bpp": row["bpp"] * factor} for row in rows()] for factor in (1.0, 1.01))
    assert judged(before, after, rate_rule()).missing == ()


def test_published_points_are_a_baseline(judged):
    published = {"rate_source": "published", "source_sha256": "", "q": None, "bytes": None, "codec_version": ""}
    before = [row | published | {"sequence": f"{row['sequence']}_176x144_30.yuv"} for row in rows()]
    one = only(judged(before, rows(1.02), rate_rule()))
    assert (one.verdict, one.sequences) == ("fail", 6)
    assert "published, not re-run" in one.values[0].note


def test_several_codecs_are_all_judged(judged):
    before = rows() + rows(codec="vvenc")
    result = judged(before, rows() + rows(1.05, codec="vvenc"), rate_rule())
    assert {one.codec: one.verdict for one in result.judgements} == {"x265": "pass", "vvenc": "fail"}
    assert [result.title(one) for one in result.judgements] == [
        "rate at equal vmaf (x265)",
        "rate at equal vmaf (vvenc)",
    ]
    assert only(judged(before, before, rate_rule(), codec="vvenc")).codec == "vvenc"


def test_one_codec_under_two_names(judged):
    assert only(judged(rows(codec="x265"), rows(1.02, codec="x265-new"), rate_rule())).verdict == "fail"
    with pytest.raises(RequestError, match="not clear"):
        judged(rows() + rows(codec="x264"), rows(codec="new"), rate_rule())
    with pytest.raises(RequestError, match="no codec 'x266'"):
        judged(rows(), rows(), rate_rule(), codec="x266")


# ---------------------------------------------------------------- explanations


def test_explanation_names_sequences_rates_and_frames(judged):
    after = rows({"city": 1.2}, shift={"vmaf": -0.5})
    before = rows()

    def frames(points, losses):
        return [
            FrameScores(row["cell_key"], "x265", row["sequence"], row["q"], "vmaf", row["score"] - np.array(losses))
            for row in points
            if row["metric"] == "vmaf"
        ]

    result = judged(
        before,
        after,
        rate_rule(over="each", allowed=5),
        frames=(frames(before, [0.0] * 4), frames(after, [0, 9, 1, 3])),
    )
    first = result.explanations[0][0]
    assert first.sequence == "city"
    assert [frame.frame for frame in first.frames] == [1, 3, 2]
    assert first.frames[0].baseline - first.frames[0].candidate == pytest.approx(9.5)
    assert len(first.rates) == len(RATES)
    assert "rate +20.00 %" in first.rates[0]
    assert first.link == "curves.html#at=curves&metric=vmaf&sequence=city"


def test_nothing_is_explained_of_what_passed(judged):
    assert judged(rows(), rows(), rate_rule()).explanations == ((),)


# ---------------------------------------------------------------- the gate does not waver


@pytest.mark.parametrize("seed", range(4))
def test_noise_of_threads_is_no_alarm(tmp_path, seed):
    """Every rate off by 0.3 % at random, some times what threads of encoders do: the standard limit is 1 %."""
    before, after = (write_run(tmp_path / str(n), rows(noise=0.003, seed=2 * seed + n)) for n in range(2))
    rules = [rule for rule in load_gate("standard").rules if rule.metric in ("vmaf", "psnr_yuv", "lpips")]
    result = run_gate(load_gate("standard"), before, after)
    assert {one.verdict for one in result.judgements if one.rule in rules} == {"pass"}
