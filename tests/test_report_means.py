"""Means over sequences: at equal targets, of all sequences, or not at all; and what a mean lets a report say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report_sample import TARGETS, write_sample

from evalsuite.planning.devices import standard_devices
from evalsuite.report import complexity, devices, means
from evalsuite.report.comparisons import groups
from evalsuite.report.merge import merge
from evalsuite.report.traffic import places
from evalsuite.results.bdrate import BDResult
from evalsuite.results.bdrows import bd_row, mean_row
from evalsuite.results.entries_rank import verdict
from evalsuite.results.load import read_run


def matched(folder: Path):
    """A run in which vvenc's own rates were the targets of x265, other ones on every sequence."""
    run = read_run(write_sample(folder))
    points = run.points.copy()
    for number, name in enumerate(sorted(set(points["sequence"]))):
        own = points["sequence"] == name
        points.loc[own, ["bpp", "kbps", "target_bpp"]] *= 1 + 0.1 * number
    points.loc[points["codec"] == "vvenc", "target_bpp"] = np.nan
    return merge([dataclasses.replace(run, points=points)])


def test_the_codec_that_others_were_matched_to_stands_at_their_targets(tmp_path):
    found = matched(tmp_path / "run")
    one = [point for point in found.points if point.sequence == "face"]
    assert [[point.codec for point in held] for held in places(one).values()] == [["vvenc", "x265"]] * len(TARGETS)
    made = means.document(found)
    assert made["words"] == means.EQUAL_RANKS
    assert [(point["codec"], point["lines"][0]) for point in made["points"]] == [
        (codec, f"target {rank}") for codec in ("vvenc", "x265") for rank in range(1, len(TARGETS) + 1)
    ]
    needs = devices.needs(found)
    assert [row.sequences for row in needs.rows] == [5] * len(needs.rows)


def test_a_codec_that_others_are_matched_to_in_one_run_alone_stands_at_their_targets(tmp_path):
    # In the second run x265 is matched to vvenc, so it has targets there and none in the first.
    shared = {"sequences": ["face"], "metrics": ["vmaf"]}
    first = read_run(write_sample(tmp_path / "first", codecs=["x265", "x264"], **shared))
    points = first.points.assign(target_bpp=first.points["target_bpp"].where(first.points["codec"] != "x265"))
    second = read_run(write_sample(tmp_path / "second", codecs=["vvenc", "x265"], targets=[0.015, 0.03], **shared))
    found = merge([dataclasses.replace(first, points=points), second])
    held = {place.target: {point.codec for point in own} for place, own in places(found.points).items()}
    assert all({"x265", "x264"} <= held[target] for target in TARGETS)
    assert None not in held


def test_a_time_that_is_not_known_everywhere_is_no_yes(tmp_path):
    run = read_run(write_sample(tmp_path / "run", codecs=["x265"], costs={"x265": {"decode_cpu_s": 0.01}}))
    fast = dataclasses.replace(standard_devices()[0], speed=1.0)
    assert {row.in_time(fast) for row in devices.needs(merge([run])).rows} == {True}
    unknown = run.points["decode_cpu_s"].mask(run.points["sequence"] == "face")
    rows = devices.needs(merge([dataclasses.replace(run, points=run.points.assign(decode_cpu_s=unknown))])).rows
    assert {row.in_time(fast) for row in rows} == {None}
    slow = dataclasses.replace(fast, speed=1e-9)
    assert {row.in_time(slow) for row in rows} == {False}


def test_targets_that_sequences_share_are_called_equal(tmp_path):
    run = read_run(write_sample(tmp_path / "run", codecs=["vvenc", "x265", "x264"]))
    assert means.document(merge([run]))["words"] == means.EQUAL_TARGETS
    # A codec at its own rates beside those that were matched.
    points = run.points.copy()
    own = points["codec"] == "x264"
    points.loc[own, "target_bpp"] = np.nan
    points.loc[own, ["bpp", "kbps"]] *= 1.3
    found = means.document(merge([dataclasses.replace(run, points=points)]))
    assert found["words"] == means.TARGETS_AND_RANKS


def test_without_targets_points_of_equal_rank_are_brought_together(tmp_path):
    run = read_run(write_sample(tmp_path / "run"))
    points = run.points.assign(target_bpp=np.nan)
    made = means.document(merge([dataclasses.replace(run, points=points)]))
    assert {point["lines"][0] for point in made["points"]} == {f"point {rank}" for rank in range(1, len(TARGETS) + 1)}


def test_a_target_that_a_sequence_lacks_has_no_mean_and_the_reason_is_told(tmp_path):
    run = read_run(write_sample(tmp_path / "run"))
    lacking = (run.points["sequence"] == "face") & (run.points["target_bpp"] == TARGETS[0])
    made = means.document(merge([dataclasses.replace(run, points=run.points[~lacking])]))
    assert (made["points"], made["words"]) == ([], means.NOTHING)


@pytest.mark.parametrize(
    ("percents", "floor", "said", "published"),
    [
        ((-3.0, -2.0), 1.0, "fewer", "fewer"),
        ((-3.0, 2.0), 0.1, "unclear", "undecided"),  # they disagree
        ((-3.0, -2.0), 9.0, "unclear", "undecided"),  # below the noise of the points
        ((-3.0, -2.0), None, "fewer", "unjudged"),  # nothing says how sure that is
        ((-0.01, -0.01, -0.01, -0.01, -0.01), None, "unclear", "undecided"),  # shown as 0.0 %
        ((3.0, 4.0, 3.0, 4.0, 3.0), 1.0, "more", "more"),
        ((3.0, 4.0, 3.0, 4.0, 3.0), 9.0, "unclear", "undecided"),
    ],
)
def test_trap28_a_report_and_a_leaderboard_say_the_same_of_a_mean(percents, floor, said, published):
    rows = [
        bd_row("vmaf", "a", "b", str(place), BDResult("ok", "", percent=percent, noise_floor=floor))
        for place, percent in enumerate(percents)
    ]
    assert (mean_row(rows).verdict, verdict(mean_row(rows))) == (said, published)


def test_trap26_a_mean_over_fewer_sequences_is_on_no_front(tmp_path):
    costs = {"x265": {"decode_cpu_s": 0.01, "encode_cpu_s": 0.01}}
    run = write_sample(tmp_path / "run", costs=costs, shift={("x265", "face"): 0.001})
    found = merge([read_run(run)])
    assert any(group.refused and group.percent is not None for group in groups(found))
    (vvenc, x265) = complexity.standings(found).rows
    assert vvenc.fronts == {"encode": True, "decode": True}
    assert x265.fronts == {"encode": None, "decode": None}
