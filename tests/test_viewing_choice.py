"""Which frames are shown: matched rates that most codecs reach, and the worst frames first, by hand-made tables."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from frames_sample import with_frames
from report_sample import TARGETS, write_sample

from evalsuite.results.load import RunResults, read_run
from evalsuite.viewing.choice import Chosen, Rate, Why, choose_frames, choose_rates, fit, scores_of

Q = {target: round(40 - 6 * math.log2(target / 0.01), 2) for target in TARGETS}
"""The q of the sample run's points."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunResults:
    folder = tmp_path_factory.mktemp("choice") / "run"
    run = read_run(write_sample(folder, codecs=["vvenc", "x265", "x264"], sequences=["carphone", "face"]))
    run.summary["request"]["anchor"] = "vvenc"
    return run


def changed(run: RunResults, where, **values) -> RunResults:
    points = run.points.copy()
    points.loc[where(points), list(values)] = list(values.values())
    return replace(run, points=points)


def rates_of(run: RunResults, sequence="carphone"):
    rates, left_out = choose_rates(run, sequence)
    return {rate.target_bpp: [cell.codec for cell in rate.cells] for rate in rates}, left_out


def test_the_lowest_and_the_middle_rate(run):
    everyone = ["vvenc", "x265", "x264"]
    assert rates_of(run) == ({0.01: everyone, 0.04: everyone}, [])


def test_a_rate_that_not_every_codec_reaches_gives_way(run):
    far = changed(run, lambda p: (p.codec == "x265") & (p.target_bpp == 0.01), bpp=0.0124)
    assert list(rates_of(far)[0]) == [0.02, 0.04]
    near = changed(run, lambda p: (p.codec == "x265") & (p.target_bpp == 0.01), bpp=0.0109)
    assert list(rates_of(near)[0]) == [0.01, 0.04]


def test_where_no_rate_has_everyone_who_is_missing_is_named(run):
    far = changed(run, lambda p: p.codec == "x265", bpp=1.0)
    rates, left_out = rates_of(far)
    assert rates == {0.01: ["vvenc", "x264"], 0.04: ["vvenc", "x264"]}
    assert [one.reason for one in left_out] == [
        "its nearest point is +9900 % off 0.01 bpp",
        "its nearest point is +2400 % off 0.04 bpp",
    ]


def test_the_codec_that_others_were_matched_to_has_no_targets(run):
    free = changed(run, lambda p: p.codec == "vvenc", target_bpp=math.nan)
    assert rates_of(free) == rates_of(run)


def test_without_targets_the_anchors_rates_count(run):
    free = changed(run, lambda p: p.codec.notna(), target_bpp=math.nan)
    free = changed(free, lambda p: (p.codec == "x264") & (p.q == Q[0.04]), bpp=0.047)
    rates, left_out = rates_of(free)
    assert rates == {0.01: ["vvenc", "x265", "x264"], 0.02: ["vvenc", "x265", "x264"]}
    assert left_out == []


def test_published_points_failures_and_hulls_have_no_pictures(run):
    published = changed(run, lambda p: p.codec == "x264", bitstream_sha256=None)
    rates, left_out = rates_of(published)
    assert rates == {0.01: ["vvenc", "x265"], 0.04: ["vvenc", "x265"]}
    assert [(one.codec, one.reason) for one in left_out] == [("x264", "published, not run: there is no bitstream")]
    failed = changed(run, lambda p: p.codec == "x264", status="failed")
    assert rates_of(failed)[0] == rates
    hull = changed(run, lambda p: p.codec == "x264", q=math.nan)
    assert rates_of(hull)[0] == rates


def chosen(run, scores, preferred=("vmaf",)):
    """Frames and reasons at 0.04 bpp, and by which metric."""
    rates, _ = choose_rates(run, "carphone")
    tables = {(codec, "carphone", metric): values for (codec, metric), values in scores.items()}
    rate = choose_frames(rates[1], with_frames(run, tables, Q[0.04]), preferred)
    told = {one.frame: [(why.kind, why.codec) for why in one.why] for one in rate.frames}
    return told, list(told), rate.metric


def test_the_worst_frames_of_tests_come_first(run):
    told, order, metric = chosen(
        run,
        {
            ("vvenc", "vmaf"): [10, 70, 70, 70, 70, 70, 95],  # the anchor's own worst does not matter
            ("x265", "vmaf"): [60, 50, 40, 61, 62, 63, 64],
            ("x264", "vmaf"): [60, 30, 55, 61, 62, 63, 64],
        },
    )
    assert metric == "vmaf"
    assert order == [1, 2, 0, 3]
    assert told[1] == [("worst", "x264")]
    assert told[2] == [("worst", "x265")]
    assert told[0] == [("differ", "")]
    assert told[3] == [("typical", "")]


def test_the_anchors_worst_frame_comes_after_that_of_the_only_test(run):
    told, order, _ = chosen(run, {("vvenc", "vmaf"): [9, 70, 71, 72], ("x265", "vmaf"): [60, 50, 40, 61]})
    assert order[:2] == [2, 0]
    assert told[0] == [("worst", "vvenc"), ("differ", "")]


def test_one_frame_may_have_several_reasons(run):
    told, order, _ = chosen(
        run, {("vvenc", "vmaf"): [80, 80, 80], ("x265", "vmaf"): [70, 20, 60], ("x264", "vmaf"): [70, 25, 60]}
    )
    assert order[0] == 1
    assert told == {1: [("worst", "x265"), ("worst", "x264"), ("differ", "")], 2: [("typical", "")]}


def test_lower_is_better_where_the_metric_says_so(run):
    scores = {
        ("vvenc", "lpips"): [0.1, 0.1, 0.1],
        ("x265", "lpips"): [0.2, 0.6, 0.3],
        ("x264", "lpips"): [0.2, 0.5, 0.4],
    }
    told, order, metric = chosen(run, scores)
    assert metric == "lpips"  # the preferred one has no scores here
    assert order[0] == 1
    assert ("worst", "x265") in told[1]


def test_frames_without_a_score_and_identical_ones_are_no_trouble(run):
    told, _, _ = chosen(
        run,
        {
            ("vvenc", "vmaf"): [math.inf, math.inf, math.inf],
            ("x265", "vmaf"): [math.nan, 50, 60],
            ("x264", "vmaf"): [math.inf, math.nan, 55],
        },
    )
    assert told[1][0] == ("worst", "x265")
    assert told[2][0] == ("worst", "x264")


def test_codecs_that_score_alike_differ_nowhere(run):
    same = [math.inf, 40, 50]
    told, _, _ = chosen(run, {(codec, "vmaf"): same for codec in ("vvenc", "x265", "x264")})
    assert all(kind != "differ" for reasons in told.values() for kind, _ in reasons)


def test_a_run_without_scores_of_frames_shows_the_first(run):
    assert chosen(run, {}) == ({0: [("typical", "")]}, [0], "")


def test_the_worst_frames_of_all_come_before_other_frames_of_any(run):
    rates = [
        replace(rate, frames=tuple(Chosen(number, (Why("typical"),)) for number in range(3)))
        for name in ("carphone", "face")
        for rate in choose_rates(run, name)[0]
    ]
    every, nothing = fit(rates, {"carphone": 1, "face": 1}, math.inf)
    assert (every, nothing) == (rates, [])
    # Four pictures a frame. Room for five frames: the first of the four rates, then the second of a middle one.
    some, left_out = fit(rates, {"carphone": 1, "face": 1}, 20)
    assert [(one.sequence, one.target_bpp, [frame.frame for frame in one.frames]) for one in some] == [
        ("carphone", 0.01, [0]),
        ("carphone", 0.04, [0, 1]),
        ("face", 0.01, [0]),
        ("face", 0.04, [0]),
    ]
    assert {(one.sequence, one.reason.split()[0]) for one in left_out} == {("carphone", "3"), ("face", "4")}
    only, _ = fit(rates, {"carphone": 1, "face": 1000}, 12)
    assert {one.sequence for one in only} == {"carphone"}


def test_scores_of_frames_are_of_metrics_with_a_direction(run):
    scores = {("x265", "carphone", "vmaf"): [40.0, math.nan, math.inf], ("x265", "carphone", "frame_bits"): [1, 2, 3]}
    rate: Rate = choose_rates(run, "carphone")[0][1]
    cell = next(one for one in rate.cells if one.codec == "x265")
    told = with_frames(run, scores, Q[0.04])
    assert isinstance(told.frames(), pd.DataFrame)
    assert scores_of(told, cell) == {0: {"vmaf": 40.0}, 2: {"vmaf": math.inf}}
