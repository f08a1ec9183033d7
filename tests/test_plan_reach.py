"""The cheapest point that reaches a target, and what is said where none does."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_samples import rate_point
from report_sample import write_sample

from evalsuite.errors import RequestError
from evalsuite.planning.attarget import at_target
from evalsuite.planning.points import rate_points
from evalsuite.planning.reach import Missed, Target, cheapest, parse_target
from evalsuite.results.load import read_run

LADDER = [
    rate_point("x265", "face", kbps=kbps, means={"vmaf": vmaf, "lpips": lpips, "token_rate": 100})
    for kbps, vmaf, lpips in [(10, 40, 0.5), (20, 60, 0.4), (40, 80, 0.2), (80, 95, 0.1)]
]


@pytest.mark.parametrize(
    ("targets", "kbps"),
    [(["vmaf=60"], 20), (["vmaf=60.1"], 40), (["lpips=0.4"], 20), (["lpips=0.39"], 40), (["vmaf=50", "lpips=0.2"], 40)],
    ids=str,
)
def test_the_lowest_rate_that_reaches_every_target(targets: list[str], kbps: float) -> None:
    reach = cheapest(LADDER, [parse_target(one) for one in targets])
    assert reach.points["x265", "face"].kbps == kbps
    assert not reach.missed


def test_what_is_not_reached_is_named_with_the_best_there_is() -> None:
    points = [*LADDER, rate_point("tvc", "face", kbps=5, means={"vmaf": 30.0}), rate_point("tvc", "room", means={})]
    reach = cheapest(points, [Target("vmaf", 96)])
    assert reach.points == {}
    assert reach.missed == (
        Missed("x265", "face", Target("vmaf", 96), 95),
        Missed("tvc", "face", Target("vmaf", 96), 30),
        Missed("tvc", "room", Target("vmaf", 96), None),
    )
    assert str(reach.missed[1]) == "tvc on face: the best vmaf there is is 30"
    assert str(reach.missed[2]) == "tvc on room: vmaf was not measured"
    # Of several targets it is the one that fails; for lower-is-better the best is the smallest.
    (one,) = cheapest(LADDER, [Target("vmaf", 80), Target("lpips", 0.05)]).missed
    assert (one.target.metric, one.best) == ("lpips", 0.1)


def test_a_lossless_point_reaches_every_target_of_fidelity() -> None:
    lossy = [rate_point(kbps=kbps, means={"psnr_y": score}) for kbps, score in ((10, 30.0), (20, 37.0))]
    lossless = rate_point(
        kbps=80, means={}, infinite=frozenset({"psnr_y"}), higher_is_better={}, versions={"psnr_y": "1"}
    )
    points = [*lossy, replace(lossless, higher_is_better={"psnr_y": True})]
    assert cheapest(points, [Target("psnr_y", 37)]).points["x265", "face"].kbps == 20
    assert cheapest(points, [Target("psnr_y", 39)]).points["x265", "face"].kbps == 80


def test_targets_that_only_different_points_reach() -> None:
    points = [
        rate_point(kbps=1, means={"vmaf": 90.0, "lpips": 0.5}),
        rate_point(kbps=2, means={"vmaf": 50.0, "lpips": 0.1}),
    ]
    (one,) = cheapest(points, [Target("vmaf", 80), Target("lpips", 0.2)]).missed
    assert (one.target, one.best) == (Target("vmaf", 80), 90)
    assert str(one) == "x265 on face: each target is reached, but all by no one point"


def test_a_metric_that_nobody_measured_or_that_does_not_judge_is_refused() -> None:
    with pytest.raises(RequestError, match=r"no rate point has the metric 'vmax'[\s\S]*did you mean vmaf"):
        cheapest(LADDER, [Target("vmax", 80)])
    with pytest.raises(RequestError, match="token_rate describes"):
        cheapest(LADDER, [Target("token_rate", 80)])


def test_a_profile_of_other_terms_is_another_metric(tmp_path: Path) -> None:
    run = read_run(write_sample(tmp_path, codecs=["x265"], sequences=["face", "bikes"], metrics=["vmaf"]))
    points = run.points.assign(reason=run.points["reason"].astype(object))
    points.loc[points["sequence"] == "bikes", "reason"] = "without text_cer (text_cer: no text)"
    whole = rate_points([replace(run, points=points)])
    assert {point.sequence: dict(point.reasons) for point in whole} == {
        "face": {},
        "bikes": {"vmaf": "without text_cer (text_cer: no text)"},
    }
    # What does not apply to one sequence is left out there, for all codecs.
    assert cheapest(whole, [Target("vmaf", 1)]).points.keys() == {("x265", "face"), ("x265", "bikes")}
    other = [replace(point, codec="tvc", reasons={}) for point in whole]
    with pytest.raises(RequestError, match=r"vmaf on bikes of different terms[\s\S]*with all metrics against without"):
        cheapest([*whole, *other], [Target("vmaf", 1)])


@pytest.mark.parametrize("text", ["", "vmaf", "vmaf=", "=80", "vmaf=nan", "vmaf=inf", "vmaf=8o", "vmaf>80"])
def test_what_is_not_a_target_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="is not a target"):
        parse_target(text)


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        target = parse_target(text)
    except RequestError:
        return
    assert target.metric
    assert math.isfinite(target.value)


@given(st.from_regex(r"[a-z][a-z0-9_:]{0,20}", fullmatch=True), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
def test_a_target_reads_as_it_is_written(metric: str, value: float) -> None:
    assert parse_target(str(Target(metric, value))) == Target(metric, value)


@given(
    st.lists(st.tuples(st.floats(1, 100), st.floats(0, 100)), min_size=1, max_size=8), st.floats(0, 100), st.booleans()
)
def test_nothing_cheaper_reaches_it(ladder: list[tuple[float, float]], value: float, higher: bool) -> None:
    points = [rate_point(kbps=kbps, means={"m": score}, higher_is_better={"m": higher}) for kbps, score in ladder]
    reach = cheapest(points, [Target("m", value)])
    enough = [kbps for kbps, score in ladder if (score >= value if higher else score <= value)]
    if enough:
        assert reach.points["x265", "face"].kbps == min(enough)
    else:
        scores = [score for _, score in ladder]
        assert reach.missed[0].best == (max(scores) if higher else min(scores))


def test_a_frame_that_comes_back_as_it_was_does_not_make_a_point_lossless(tmp_path: Path) -> None:
    """Four of five points have one identical frame: the mean is infinite, and the worst frame has what it has."""
    run = read_run(write_sample(tmp_path / "run", codecs=["x265"], sequences=["face"], metrics=["psnr_y"]))
    points = run.points.copy()
    mean, worst = (points["statistic"] == name for name in ("mean", "worst"))
    points.loc[mean, ["score", "status"]] = [math.inf, "infinite"]
    lowest = points.loc[worst, "score"].max()
    target = [Target("psnr_y", lowest + 1)]
    assert not cheapest(rate_points([replace(run, points=points)]), target).points
    points.loc[worst, ["score", "status"]] = [math.inf, "infinite"]
    assert cheapest(rate_points([replace(run, points=points)]), target).points


def test_one_point_with_an_identical_frame_is_one_of_the_curve(tmp_path: Path) -> None:
    """The same run, but that the black frame comes back as it was at one point alone: no other formula."""
    run = read_run(write_sample(tmp_path / "run", codecs=["x265"], sequences=["face"], metrics=["psnr_y"]))
    points = run.points.copy()
    best = points.loc[points["bpp"] == points["bpp"].max(), "cell_key"].iloc[0]
    mean = (points["statistic"] == "mean") & (points["cell_key"] == best)
    scores = points.loc[points["statistic"] == "mean", "score"]
    points.loc[mean, ["score", "status"]] = [math.inf, "infinite"]
    found = rate_points([replace(run, points=points)])
    target = Target("psnr_y", float(scores.min()))
    assert cheapest(found, [target]).points
    # Worst frames and means are no one curve.
    assert at_target(found, Target("psnr_y", float(scores.median())), higher_is_better=True)["kbps"] is None
    whole = rate_points([run])
    assert at_target(whole, Target("psnr_y", float(scores.median())), higher_is_better=True)["kbps"] is not None


def test_times_of_two_decodes_are_not_mixed() -> None:
    timed = rate_point(decode={"cpu_s": 1.0, "streams": 1.0, "latency_p95_s": 0.01})
    again = rate_point(decode={"cpu_s": 2.0, "streams": 0.0})
    assert again.after(timed).decode == again.decode
    assert rate_point(decode={"cpu_s": 2.0}).after(timed).decode == timed.decode


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("preset", "ultrafast", "two different codecs named x265"),
        ("codec_version", "9.9", "two different codecs named x265"),
        ("source_sha256", "f" * 64, "two different sequences named face"),
        ("frames", 7, "two different sequences named face"),
    ],
)
def test_one_name_of_two_in_several_runs_is_refused(tmp_path: Path, column: str, value: object, words: str) -> None:
    run = read_run(write_sample(tmp_path / "run", codecs=["x265"], sequences=["face"]))
    other = replace(run, points=run.points.assign(**{column: value}))
    assert rate_points([run, run])
    rebuilt = {**run.summary, "codecs": [{**run.summary["codecs"][0], "recipe_sha256": "another"}]}
    with pytest.raises(RequestError, match="two different codecs named x265"):
        rate_points([run, replace(run, summary=rebuilt)])
    with pytest.raises(RequestError, match=words) as refused:
        rate_points([run, other])
    assert column in str(refused.value)
