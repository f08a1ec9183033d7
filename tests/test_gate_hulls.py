"""Hulls in the gate: what their variants lost they lost, and their points pair as those of their variants."""

import math
from functools import partial

import pytest
from gate_samples import FOUR, changed, judge, only, rate_rule, rows

from evalsuite.results.hull import hull_rows
from evalsuite.types import Failure


@pytest.fixture
def judged(tmp_path):
    return partial(judge, tmp_path)


def test_failures_of_members_are_a_hulls(judged):
    failed = [Failure("x265:half", "face", 24.0, "encode", "it crashed")]
    points = rows(codec="x265:hull", q=None)
    one = only(judged(points, points, {"measure": "failures", "allowed": 0}, failures=([], failed)))
    assert (one.verdict, one.value) == ("fail", 1)


def with_hull(change=None, **where):
    """Rows of x265 and a cheaper, poorer x265:half, changed, and of their hull."""
    members = [*rows(), *rows(0.8, codec="x265:half", shift={"vmaf": -2.0, "psnr_yuv": -1.0, "lpips": 0.02})]
    members = changed(members, change or {}, **where)
    return [*members, *hull_rows(members, "x265:hull", ["x265", "x265:half"], {"vmaf", "psnr_yuv", "lpips"})]


def test_what_a_member_lost_is_a_hulls(judged):
    """A hull does without the points that have no score, and may be none the worse by those that are left."""
    rule, alone = rate_rule(allowed=5), {"codec": "x265:hull"}
    assert only(judged(with_hull(), with_hull(), rule, **alone)).verdict == "pass"
    lost = {"metric": ["vmaf"], "q": [28], "codec": ["x265"], "sequence": FOUR}
    after = with_hull({"status": "nan", "score": math.nan}, **lost)
    one = only(judged(with_hull(), after, rule, **alone))
    assert one.verdict == "undecided"
    assert "bikes: x265 at q 28: ok in the baseline, nan in the candidate" in one.reason
    # Only of the metric that it lost.
    assert only(judged(with_hull(), after, rate_rule("lpips", allowed=5), **alone)).verdict == "pass"
    gone = {"status": "failed", "score": None, "bpp": None, "bytes": None}
    after = with_hull(gone, q=[28], codec=["x265"], sequence=["jump"])
    one = only(judged(with_hull(), after, rule, **alone))
    assert one.verdict == "undecided"
    assert "jump: x265: q 28 failed in the candidate" in one.reason


def test_a_hull_of_fewer_points_has_lost_none(judged):
    """At equal targets points pair; that another member takes a point's place is no loss."""
    targets = {f"{40 - 6 * step}": 0.005 * 2**step for step in range(5)}
    before, after = (
        [row | {"target_bpp": targets[f"{row['q']:g}"]} for row in members]
        for members in ([*rows(), *rows(1.2, codec="x265:half", shift={"vmaf": shift})] for shift in (1.0, -30.0))
    )
    runs = [[*own, *hull_rows(own, "x265:hull", ["x265", "x265:half"], {"vmaf"})] for own in (before, after)]
    assert len(runs[1]) < len(runs[0])
    assert only(judged(*runs, rate_rule(allowed=50), codec="x265:hull")).verdict == "pass"


def test_a_sequence_that_a_variant_lacks(judged):
    after = [row for row in with_hull() if (row["codec"], row["sequence"]) != ("x265", "bikes")]
    one = only(judged(with_hull(), after, rate_rule(allowed=50), codec="x265:hull"))
    assert one.verdict == "undecided"
    assert "bikes: x265: not in the candidate" in one.reason


def test_a_variant_that_the_candidate_was_run_without(judged):
    alone = [row | {"codec": "x265:hull", "q": None, "codec_version": "hull of x265, x265:fast"} for row in rows()]
    after = [*rows(), *rows(codec="x265:fast"), *alone]
    one = only(judged(with_hull(), after, rate_rule(allowed=50), codec="x265:hull"))
    assert one.verdict == "undecided"
    assert "x265:half: not in the candidate" in one.reason


def test_points_of_a_hull_pair_as_those_of_its_variants(judged):
    """They have no q, and those of the codec that others were matched to have no target."""
    score = {"measure": "score", "metric": "vmaf", "allowed": 1}
    for over in ("mean", "each"):
        assert only(judged(with_hull(), with_hull(), score | {"over": over}, codec="x265:hull")).verdict == "pass"
    lower = [row | {"score": row["score"] - 3 * (row["sequence"] == "jump")} for row in with_hull()]
    one = only(judged(with_hull(), lower, score | {"over": "each"}, codec="x265:hull"))
    assert (one.verdict, one.value) == ("fail", pytest.approx(3))
