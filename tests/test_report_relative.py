"""The change of rate over quality in the report: curves, crossings, noise, and what is said of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from report_page import Page, build, plain, rendered
from report_sample import FACTORS, SEQUENCES, write_sample

from evalsuite.report import findings
from evalsuite.report.comparisons import Group, groups
from evalsuite.report.merge import merge
from evalsuite.report.model import Metric
from evalsuite.results.bdrate import BDResult, bd_rate
from evalsuite.results.bdrows import bd_row, mean_row
from evalsuite.results.load import read_run

FIVE = (0.01, 0.02, 0.04, 0.08, 0.16)
STEEP = 1.25
VMAF = Metric("vmaf", "vmaf", "VMAF", "", True, 2)


def pair(data: dict[str, Any], metric: str, test: str = "x265", anchor: str = "vvenc") -> dict[str, Any]:
    """The curves of a pair, by sequence."""
    return {
        one["sequence"]: one["curve"]
        for one in data["relative"]
        if (one["metric"], one["test"], one["anchor"]) == (metric, test, anchor)
    }


def crossing(sequence: str, start: float, slope: float) -> float:
    """Where a curve that is STEEP times as steep meets the anchor's: scores are straight lines over log-rate."""
    return start + slope * math.log10(FACTORS[sequence]) / (1 - 1 / STEEP)


def test_a_known_saving_is_a_flat_curve(tmp_path):
    _, data = build(tmp_path, write_sample(tmp_path / "run"))
    assert data["relativeAnchors"] == ["vvenc"]
    for metric in ("vmaf", "lpips"):
        curves = pair(data, metric)
        for sequence, factor in FACTORS.items():
            assert curves[sequence]["percents"] == pytest.approx([100 * (factor - 1)] * len(curves[sequence]["scores"]))
            assert curves[sequence]["crossings"] == []
            assert "no crossing" in curves[sequence]["said"]
    worst, best = (pair(data, "lpips")["carphone"]["scores"][at] for at in (0, -1))
    assert worst > best  # from the worst quality to the best


@pytest.mark.parametrize(("metric", "start", "slope"), [("vmaf", 35.0, 45.0), ("lpips", 0.42, -0.21)])
def test_crossings_are_where_straight_lines_meet(tmp_path, metric, start, slope):
    steep = {("x265", "face"): STEEP}
    made, data = build(tmp_path, write_sample(tmp_path / "run", steep=steep))
    curve = pair(data, metric)["face"]
    expected = crossing("face", start, slope)
    assert curve["crossings"] == [pytest.approx(expected, abs=0.02 * abs(slope))]
    at = curve["scores"].index(curve["crossings"][0])
    assert curve["percents"][at] == 0, "the line that is drawn goes through the crossing"
    assert curve["percents"][0] == pytest.approx(25, abs=0.5)
    assert curve["percents"][-1] == pytest.approx(100 * (10 ** (math.log10(1.25) - 0.2 * math.log10(8)) - 1), abs=0.5)
    assert plain(made.row("VMAF")[-1]).endswith("curves cross on 1 of 5 sequences")
    assert "Curves cross on 1 of 5 sequences: at single qualities the change is −17.5 to +33.0 %." in made.text
    assert "at single qualities −17.5 to +25.0 %, 1 crossing" in made.row("face")[-1]
    assert "crossing" not in made.row("street")[-1]


def test_curves_are_those_of_the_rows_whatever_was_dropped(tmp_path):
    """A point with an infinite score, and one that is worse than a cheaper one, are in neither."""
    run = read_run(write_sample(tmp_path / "run", sequences=["face"], metrics=["psnr_y"], targets=(*FIVE, 0.32)))
    points = run.points.copy()
    means = points["statistic"] == "mean"
    first, second, third = points.index[means & (points["codec"] == "x265")][:3]
    points.loc[first, ["score", "status"]] = [math.inf, "infinite"]
    points.loc[third, "score"] = points.loc[second, "score"] - 1
    ((key, curve),) = merge([dataclasses.replace(run, points=points)]).relative.items()
    assert key == ("psnr_y", "vvenc", "x265", "face")
    sides = [points[means & (points["codec"] == codec)] for codec in ("vvenc", "x265")]
    direct = bd_rate(*(side[name] for side in sides for name in ("bpp", "score")), higher_is_better=True)
    assert direct.dropped_test == {"score infinite": 1, "not better than a cheaper point": 1}
    assert list(curve.percents) == list(direct.relative.percents)
    assert list(curve.scores) == list(direct.relative.scores)


def test_what_was_refused_has_its_reason_in_place_of_a_curve(tmp_path):
    _, data = build(tmp_path, write_sample(tmp_path / "run", shift={("x265", "face"): 0.001}))
    curve = pair(data, "vmaf")["face"]
    assert list(curve) == ["gap"]
    assert curve["gap"].startswith("refused: the quality ranges overlap by")


def test_without_a_comparison_there_is_no_second_plot(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", codecs=["x265"]))
    assert (data["relativeAnchors"], data["relative"]) == ([], [])
    assert "relative" not in [attributes.get("id") for _, attributes in made.tags]


def test_several_runs_have_several_anchors(tmp_path):
    runs = [
        write_sample(tmp_path / name, codecs=codecs)
        for name, codecs in (("a", ["vvenc", "x265"]), ("b", ["x264", "x265"]))
    ]
    made, data = build(tmp_path, *runs)
    assert data["relativeAnchors"] == ["vvenc", "x264"]
    assert {one["anchor"] for one in data["relative"]} == {"vvenc", "x264"}
    assert pair(data, "vmaf", "vvenc", "x264")["carphone"]["percents"]
    assert "anchor" in [attributes.get("name") for tag, attributes in made.tags if tag == "select"]


def test_curves_stay_small(tmp_path):
    """Twenty samples or so, three digits: 4,000 curves (8 codecs, 30 sequences, 20 metrics) are under 2 MB."""
    _, data = build(tmp_path, write_sample(tmp_path / "run", steep={("x265", name): STEEP for name in SEQUENCES}))
    curves = [one["curve"] for one in data["relative"]]
    assert all(len(curve["scores"]) == len(curve["percents"]) <= 17 + 2 + len(curve["crossings"]) for curve in curves)
    digits = [f"{abs(percent):.10g}".replace(".", "").strip("0") for curve in curves for percent in curve["percents"]]
    assert max(map(len, digits)) <= 3


def floors(run: Path, floor: float) -> Page:
    """The page of a run whose BD-rates all have this noise floor."""
    results = read_run(run)
    rows = [{**row, "noise_floor": floor} for row in results.summary["bd_rate"]]
    return rendered(dataclasses.replace(results, summary={**results.summary, "bd_rate": rows}))


def test_trap28_a_mean_below_the_noise_of_its_points_is_no_claim(tmp_path):
    made = floors(write_sample(tmp_path / "run"), 27.4)
    assert made.heading() == (
        "No clear difference in bits between x265 and vvenc for the same VMAF: "
        "+27.0 % is below the noise of its points."
    )
    assert "Noise floor of the points 27.4 %." in made.text
    row = made.row("VMAF")
    assert plain(row[1]) == "≈ +27.0 % noise 27.4 %"
    assert plain(row[-1]).endswith("≈ below the noise of its points")
    assert plain(made.row("carphone")[1]) == "≈ +20.0 % noise 27.4 %"
    assert plain(made.row("bunny")[1]) == "+33.0 % noise 27.4 %"


def test_trap28_a_mean_above_its_noise_is_a_claim(tmp_path):
    made = floors(write_sample(tmp_path / "run"), 26.6)
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF."
    assert plain(made.row("VMAF")[1]) == "+27.0 % noise 26.6 %"


def test_the_matrix_marks_what_is_below_the_noise(tmp_path):
    made = floors(write_sample(tmp_path / "run", codecs=["a", "b", "c"], factors=dict.fromkeys(SEQUENCES, 1.1)), 15)
    row = next(row for row in made.rows if plain(row[0]).startswith("VMAF"))
    assert plain(row[1]).startswith("≈ +10.0 %")
    assert plain(row[2]).startswith("+21.0 %")


def test_four_points_say_that_their_noise_is_unknown(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "noise floor needs five points a side" in made.text
    assert "Noise floor of the points" not in made.text


def test_statistics_over_sequences_stand_under_the_mean(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", targets=FIVE))
    logs = [math.log(factor) for factor in FACTORS.values()]
    log_mean = 100 * (math.exp(sum(logs) / len(logs)) - 1)
    for words in (
        "median +27.0 %",
        "sequences +20.0 to +33.0 %",
        "win rate 0 %, bits saved on 0 of 5",
        f"mean of log-ratios +{log_mean:.1f} %, 95 % interval +2",
        "noise floor 0.0 %",
        "at single qualities +20.0 to +33.0 %",
    ):
        assert words in made.text
    assert " to " in made.row("VMAF")[4], "BD-quality has its interval"


def test_one_sequence_has_no_statistics(tmp_path):
    merged = merge([read_run(write_sample(tmp_path / "run", sequences=["face"]))])
    assert [group.statistics for group in groups(merged)] == [[]] * len(groups(merged))


def test_quality_at_the_same_bitrate_has_its_interval():
    refused = [
        bd_row("vmaf", "tvc", "x265", name, BDResult("refused", "no overlap", quality=quality, overlap=0.0))
        for name, quality in zip("abcde", (40.0, 44, 45, 46, 50), strict=True)
    ]
    mean = mean_row(refused)
    evidence = findings._evidence(Group(VMAF, "x265", "tvc", mean, tuple(refused)))
    low, high = mean.quality_ci_low, mean.quality_ci_high
    assert plain(evidence).endswith(f"mean of 5 sequences, 95 % interval +{low:.2f} to +{high:.2f}.")
