"""Bad input for BD-rate, by name: each a named refusal or flag, and never a number that nobody may read as one.

Every case goes through the function, through the table of a run's results, and through the command.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_page import build
from report_sample import write_sample
from test_tables import rows, star, table
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.errors import StoreError
from evalsuite.results.bdrate import bd_rate
from evalsuite.results.load import read_run
from evalsuite.results.tables import bd_table

GOLDEN = Path(__file__).parents[2] / "shared/golden/vtm-17.0_yuv420_lowdelay_ip-1.json"

RATES = (0.01, 0.02, 0.04, 0.08, 0.16)
SCORES = (30.0, 33.0, 35.5, 37.5, 39.0)
LPIPS = (0.5, 0.4, 0.3, 0.22, 0.16)


@dataclass(frozen=True)
class Bad:
    """A test codec's points that do not carry a comparison with RATES and SCORES."""

    said: str
    rates: tuple[float, ...] = RATES
    scores: tuple[float, ...] = SCORES
    anchor_scores: tuple[float, ...] = SCORES
    flagged: bool = False
    """Enough good points are left: there is a number, and what was dropped is said beside it."""


CASES = {
    "one point": Bad("1 usable of 1 points, at least 4 are needed", RATES[:1], SCORES[:1]),
    "two points": Bad("2 usable of 2 points, at least 4 are needed", RATES[:2], SCORES[:2]),
    "duplicate rates": Bad("4 same rate, worse score", (0.02,) * 5),
    "one duplicate rate": Bad("dropped 1 same rate, worse score", (*RATES, 0.04), (*SCORES, 35.0), flagged=True),
    "the same point five times": Bad("4 repeated", (0.02,) * 5, (33.0,) * 5),
    "NaN": Bad("5 score missing (NaN)", scores=(math.nan,) * 5),
    "one NaN": Bad("dropped 1 score missing (NaN)", (*RATES, 0.32), (*SCORES, math.nan), flagged=True),
    "infinite PSNR": Bad("5 score infinite", scores=(math.inf,) * 5),
    "one infinite PSNR": Bad("dropped 1 score infinite", (*RATES, 0.32), (*SCORES, math.inf), flagged=True),
    "reversed metric direction": Bad("is the metric's direction right?", scores=LPIPS, anchor_scores=LPIPS),
    "disjoint curves": Bad("the quality ranges overlap by 0%", scores=tuple(score + 20 for score in SCORES)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def check(case: Bad, status: str, percent: float | None, reason: str) -> None:
    assert case.said in reason
    assert status == ("flagged" if case.flagged else "refused")
    assert (percent is None) == (not case.flagged)
    assert percent is None or percent == pytest.approx(0, abs=1e-9), "what is left is the anchor's own curve"


@each_case
def test_the_function_says_it(case):
    result = bd_rate(RATES, case.anchor_scores, case.rates, case.scores, higher_is_better=True)
    check(case, result.status, result.percent, result.reason)
    assert (result.relative is None) == (result.percent is None)


def status_of(score: float) -> str:
    return "nan" if math.isnan(score) else "infinite" if math.isinf(score) else "ok"


def results(case: Bad, sequence: str = "s0") -> list[dict[str, Any]]:
    anchor = rows("anchor", sequence, RATES, case.anchor_scores)
    statuses = [status_of(score) for score in case.scores]
    return [*anchor, *rows("test", sequence, case.rates, case.scores, status=statuses)]


@each_case
def test_the_table_of_a_run_says_it(case):
    one, mean = bd_table(table(results(case)), "anchor")
    check(case, one.status, one.bd_rate_percent, one.reason)
    assert (mean.bd_rate_percent is None) == (one.bd_rate_percent is None)
    assert mean.noise_floor is None or case.flagged
    assert mean.ci_low is None


@each_case
def test_one_bad_sequence_is_named_and_not_in_the_mean(case):
    good = [*rows("anchor", "good", RATES, SCORES), *rows("test", "good", [0.9 * rate for rate in RATES], SCORES)]
    mean = star(bd_table(table(results(case, "bad"), good), "anchor"))
    expected = -5 if case.flagged else -10
    assert mean.bd_rate_percent == pytest.approx(expected)
    assert f"{'flagged' if case.flagged else 'refused'}: bad" in mean.reason


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def answer(tmp_path) -> Callable[[str, str], dict[str, Any]]:
    def answer(anchor: str, test: str) -> dict[str, Any]:
        for name, text in (("anchor", anchor), ("test", test)):
            (tmp_path / f"{name}.csv").write_text(text)
        invoke("bd", tmp_path / "anchor.csv", tmp_path / "test.csv")  # the table neither
        found: dict[str, Any] = json.loads(invoke("bd", tmp_path / "anchor.csv", tmp_path / "test.csv", "--json"))
        return found

    return answer


def sheet(rates: tuple[float, ...], scores: tuple[float, ...], header: str = "bpp,psnr", more: str = "") -> str:
    lines = (f"{rate},{score}{more}" for rate, score in zip(rates, scores, strict=True))
    return "\n".join([header, *lines]) + "\n"


@each_case
def test_the_command_says_it(case, answer):
    found = answer(sheet(RATES, case.anchor_scores), sheet(case.rates, case.scores))
    check(case, found["status"], found["bd_rate_percent"], found["reason"])
    assert (found["relative"] is None) == (found["bd_rate_percent"] is None)


# What points alone cannot tell: sequences, frames, versions.


def test_different_sequence_sets(answer):
    data = table(rows("anchor", "a"), rows("anchor", "b"), rows("test", "b"), rows("test", "c"))
    by_name = {row.sequence: row for row in bd_table(data, "anchor")}
    assert by_name["a"].reason == "the test codec has no points here"
    assert by_name["c"].reason == "the anchor has no points here"
    assert {by_name[name].status for name in "ac"} == {"refused"}
    assert by_name["*"].reason == "holds 1 of 3 sequences; refused: a, c"
    header = "bpp,psnr,sequence"
    anchor = sheet(RATES, SCORES, header, ",a") + sheet(RATES, SCORES, header, ",b").split("\n", 1)[1]
    found = answer(anchor, anchor.replace(",a\n", ",c\n"))
    assert {row["sequence"]: row["status"] for row in found["sequences"]} == {"a": "refused", "b": "ok", "c": "refused"}
    assert found["reason"] == "holds 1 of 3 sequences; refused: a, c"


@pytest.mark.parametrize(
    ("column", "values"), [("frames", (48, 96)), ("width", (640, 320)), ("source_sha256", ("ab", "cd"))]
)
def test_different_content(answer, column, values):
    ours, theirs = values
    data = table(rows("anchor", "s", **{column: ours}), rows("test", "s", **{column: theirs}))
    (one, mean) = bd_table(data, "anchor")
    assert (one.status, mean.bd_rate_percent) == ("refused", None)
    assert one.reason == f"not the same content: {column} {ours} against {theirs}"
    header = f"bpp,psnr,{column}"
    found = answer(sheet(RATES, SCORES, header, f",{ours}"), sheet(RATES, SCORES, header, f",{theirs}"))
    assert (found["status"], found["bd_rate_percent"]) == ("refused", None)
    assert found["reason"] == f"not the same content or metric: {column} {ours} against {theirs}"


def test_one_curve_of_two_frame_counts(answer):
    header = "bpp,psnr,frames"
    mixed = sheet(RATES, SCORES, header, ",48").replace("30.0,48", "30.0,96")
    found = answer(mixed, sheet(RATES, SCORES, header, ",48"))
    assert (found["status"], found["bd_rate_percent"]) == ("refused", None)
    assert "frames 48/96 against 48" in found["reason"]


def test_what_a_file_does_not_say_is_not_held_against_it(answer):
    header = "bpp,psnr,frames"
    for other in (sheet(RATES, SCORES), sheet(RATES, SCORES, header, ","), sheet(RATES, SCORES, header, ",48.0")):
        assert answer(sheet(RATES, SCORES, header, ",48"), other)["bd_rate_percent"] == 0


def test_runs_of_different_metric_versions(answer, tmp_path):
    data = table(rows("anchor", "s"), rows("test", "s", metric_version="2"))
    with pytest.raises(StoreError, match="disagree about metric_version"):
        bd_table(data, "anchor")
    header = "bpp,psnr,metric_version"
    found = answer(sheet(RATES, SCORES, header, ",1"), sheet(RATES, SCORES, header, ",2"))
    assert (found["status"], found["bd_rate_percent"]) == ("refused", None)
    assert found["reason"].endswith("metric_version 1 against 2")
    # A report keeps the scores apart, and compares within one version only.
    runs = [
        write_sample(tmp_path / name, codecs=[*codecs], metrics=["vmaf"], metric_facts={"version": version})
        for name, codecs, version in (("old", ["vvenc", "x265"], "1"), ("new", ["vvenc", "x264"], "2"))
    ]
    _, data = build(tmp_path, *runs)
    assert [metric["name"] for metric in data["metrics"]] == ["vmaf (old)", "vmaf (new)"]
    compared: dict[tuple[str, str], set[bool]] = {}
    for one in data["relative"]:
        compared.setdefault((one["metric"], one["test"]), set()).add("gap" in one["curve"])
    assert compared["vmaf (old)", "x265"] == {False}
    assert compared["vmaf (new)", "x264"] == {False}
    assert not any(
        False in gaps for (metric, test), gaps in compared.items() if (metric, test) == ("vmaf (old)", "x264")
    )


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"missing: {GOLDEN.name}, the published points of VTM-17.0")
def test_published_points_of_53_sequences_are_finite_and_explained(tmp_path):
    """Even against odd QPs of VTM-17.0, imported by the command: one codec, so hardly a difference anywhere."""
    published = json.loads(GOLDEN.read_text())
    for start, name in ((0, "even"), (1, "odd")):
        part = {
            dataset: {sequence: dict(sorted(points.items())[start::2]) for sequence, points in sequences.items()}
            for dataset, sequences in published.items()
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
        told = ("--structure", "low delay", "--intra-period", "-1", "--delay", "0", "--internal-bit-depth", "10")
        invoke(
            "import", tmp_path / f"{name}.json", "--format", "dcvc", "--codec", name, *told, "--out", tmp_path / name
        )
    _, data = build(tmp_path, tmp_path / "even", tmp_path / "odd")
    points = [read_run(tmp_path / name).points for name in ("even", "odd")]
    found = bd_table(pd.concat(points), "even")
    metrics = {row.metric for row in found}
    assert "psnr_y" in metrics
    for metric in metrics:
        own = [row for row in found if row.metric == metric and row.sequence != "*"]
        assert len(own) == 53
        for row in own:
            assert row.reason, "published numbers are labelled, at the least"
            assert row.status == ("flagged" if row.bd_rate_percent is not None else "refused")
            numbers = (
                row.bd_rate_percent,
                row.bd_quality,
                row.overlap,
                row.noise_floor,
                row.change_low,
                row.change_high,
            )
            assert all(math.isfinite(number) for number in numbers if number is not None)
            assert "published, not re-run" in row.reason or row.bd_rate_percent is None
        (mean,) = [row for row in found if row.metric == metric and row.sequence == "*"]
        assert mean.sequences >= 52
        assert mean.ci_low <= mean.bd_rate_percent <= mean.ci_high
        # A codec against itself: intervals over sequences do not know that all of them have the same QPs.
        assert mean.below_noise
    curves = [one["curve"] for one in data["relative"] if one["metric"] == "psnr_y"]
    assert len(curves) == 53
    assert sum("percents" in curve for curve in curves) >= 52
