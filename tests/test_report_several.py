"""One report from several runs of which some failed, lack scores, or have several presets of a codec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from frames_sample import run_with_pictures
from report_sample import TARGETS, failure, write_sample

from evalsuite.errors import StoreError
from evalsuite.report.merge import merge
from evalsuite.report.model import Report
from evalsuite.report.pictures import documents, gather
from evalsuite.report.reach import unreached
from evalsuite.results.load import RunResults, read_run

SHARED = {"codecs": ["vvenc", "x265"], "sequences": ["face", "bikes"], "metrics": ["vmaf"]}


def broken(folder: Path, column: str = "bpp") -> RunResults:
    """A run in which x265 failed on bikes at its lowest rate: before it had a size, or when it was measured."""
    run = read_run(write_sample(folder, **SHARED, failures=[failure(q=40.0)]))
    points = run.points.copy()
    where = (points["codec"] == "x265") & (points["sequence"] == "bikes") & (points["q"] == 40.0)
    assert where.any()
    points.loc[where, "status"] = "failed"
    points.loc[where, "reason"] = "encode failed"
    points.loc[where, ["score", *(["bpp", "kbps", "bytes"] if column == "bpp" else [])]] = np.nan
    return replace(run, points=points)


def bikes(report: Report) -> tuple[str, float | None, int]:
    """Status, BD-rate and number of the points of x265 on bikes."""
    (row,) = (row for row in report.bd_rows if row.sequence == "bikes" and row.test == "x265")
    points = [point for point in report.points if (point.codec, point.sequence) == ("x265", "bikes")]
    percent = None if row.bd_rate_percent is None else round(row.bd_rate_percent, 6)
    return row.status, percent, len(points)


@pytest.mark.parametrize("column", ["bpp", "score"])
@pytest.mark.parametrize("is_later", [True, False])
def test_what_one_run_failed_at_another_one_has(tmp_path, column, is_later):
    good = read_run(write_sample(tmp_path / "good", **SHARED))
    bad = broken(tmp_path / "bad", column)
    found = merge([good, bad] if is_later else [bad, good])
    assert bikes(found) == ("ok", 30.0, len(TARGETS))
    assert found.failures == ()
    assert len(merge([bad]).failures) == 1


def test_a_metric_that_failed_everywhere_is_a_failure(tmp_path):
    good = read_run(write_sample(tmp_path / "good", **(SHARED | {"metrics": ["psnr_y"]})))
    assert len(merge([good, broken(tmp_path / "bad", "score")]).failures) == 1


@pytest.mark.parametrize("is_later", [True, False])
def test_a_missing_score_takes_no_score_away(tmp_path, is_later):
    good = read_run(write_sample(tmp_path / "good", **SHARED))
    gap = read_run(write_sample(tmp_path / "gap", **SHARED, gaps={("vmaf", "*"): "unavailable"}))
    # A mean that is missing beside other statistics is missing too: no score is made of two runs.
    half = read_run(write_sample(tmp_path / "half", **SHARED))
    no_mean = half.points["statistic"] == "mean"
    points = half.points.assign(
        score=half.points["score"].mask(no_mean, np.nan).mask(~no_mean, 1.0),
        status=half.points["status"].mask(no_mean, "unavailable"),
    )
    for other in (gap, replace(half, points=points)):
        found = merge([good, other] if is_later else [other, good])
        assert bikes(found) == ("ok", 30.0, len(TARGETS))
        expected = {(point.codec, point.sequence, point.q): point.scores for point in merge([good]).points}
        assert {(point.codec, point.sequence, point.q): point.scores for point in found.points} == expected


def test_a_preset_has_one_name_in_all_runs(tmp_path):
    plain = read_run(write_sample(tmp_path / "plain", **SHARED))
    points = plain.points
    slow = points[points["codec"] == "x265"].assign(preset="slow", cell_key=lambda rows: rows["cell_key"] + " slow")
    slow = slow.assign(bpp=slow["bpp"] * 0.5)
    entry = next(one for one in plain.summary["codecs"] if one["name"] == "x265")
    matched = [one | {"bpp": one["bpp"] * 0.5} for one in plain.summary["rate_match"] if one["codec"] == "x265"]
    summary = {
        **plain.summary,
        "codecs": [*plain.summary["codecs"], {**entry, "preset": "slow"}],
        "rate_match": [*plain.summary["rate_match"], *matched],
    }
    both = replace(plain, points=pd.concat([points, slow], ignore_index=True), summary=summary)
    for runs in ([plain, both], [both, plain], [both]):
        found = merge(runs)
        assert {codec.label for codec in found.codecs} == {"vvenc", "x265/medium", "x265/slow"}
        assert {point.codec for point in found.points} == {codec.label for codec in found.codecs}
        assert {row["codec"] for row in found.rate_match} <= {codec.label for codec in found.codecs}


def test_a_rate_that_another_run_has_was_reached(tmp_path):
    shared = {"codecs": ["vvenc", "x265"], "sequences": ["face"], "metrics": ["vmaf"]}
    high = read_run(write_sample(tmp_path / "high", **shared, floors={("x265", "face"): 0.018}))
    assert any("did not get below" in said for said in unreached(merge([high])))
    low = read_run(write_sample(tmp_path / "low", **shared, targets=[0.005]))
    low = replace(low, summary={**low.summary, "rate_match": []})
    assert not any("did not get below" in said for said in unreached(merge([high, low])))


def test_trap17_frames_have_the_scores_of_their_own_version(tmp_path):
    one, two = run_with_pictures(tmp_path / "one"), run_with_pictures(tmp_path / "two")
    runs = [read_run(one), read_run(two)]
    metrics = [{**entry, "version": "9"} if entry["name"] == "vmaf" else entry for entry in runs[1].summary["metrics"]]
    runs[1] = replace(runs[1], summary={**runs[1].summary, "metrics": metrics})
    report = merge(runs)
    told = dict(documents(gather(runs, report), report))
    titles = [
        [row["metric"] for row in rate["frames"][0]["scores"] if row["metric"].startswith("VMAF")]
        for rate in told["frames-0"]["rates"]
    ]
    assert titles == [["VMAF (one)"], ["VMAF (two)"]]
    assert [rate["frames"][0]["score"].split(")")[0] for rate in told["frames-0"]["rates"]] == [
        "VMAF (one",
        "VMAF (two",
    ]


@pytest.mark.parametrize("column", ["codec", "sequence"])
def test_points_that_the_summary_does_not_describe_are_refused_by_name(tmp_path, column):
    run = read_run(write_sample(tmp_path / "run", **SHARED))
    points = run.points.assign(**{column: run.points[column].replace({"x265": "x266", "bikes": "unknown"})})
    with pytest.raises(StoreError, match=f"does not describe the {column}") as caught:
        merge([replace(run, points=points)])
    assert caught.value.got in ("x266", "unknown")


@pytest.mark.parametrize(("column", "value"), [("bpp", 0.0), ("kbps", -1.0), ("frames", 0), ("bytes", 0)])
def test_points_of_no_size_are_refused_by_name(tmp_path, column, value):
    run = read_run(write_sample(tmp_path / "run", **SHARED))
    with pytest.raises(StoreError, match=f"{column} of some points is not above zero"):
        merge([replace(run, points=run.points.assign(**{column: value}))])
