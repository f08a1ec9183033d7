"""What the report says, and what it does not claim."""

from __future__ import annotations

import math
import re

import pytest
from report_page import build, plain
from report_sample import FACTORS, REASONS, SEQUENCES, failure, write_sample

from evalsuite.report import findings, text
from evalsuite.report.comparisons import Group
from evalsuite.report.model import Metric
from evalsuite.results.bdrate import BDResult
from evalsuite.results.bdrows import bd_row, mean_row


def test_headline_is_the_known_bd_rate(tmp_path):
    # (20 + 25 + 27 + 30 + 33) / 5 = 27
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF."
    assert "Mean of 5 sequences: +27.0 %, 95 % interval +2" in made.text
    assert "single sequences +20.0 to +33.0 %" in made.text


def test_headline_the_other_way_round(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", factors=dict.fromkeys(SEQUENCES, 0.8)))
    assert made.heading() == "x265 needs 20 % fewer bits than vvenc for the same VMAF."


def test_trap26_headline_makes_no_claim_where_refused(tmp_path):
    shift = {("x265", name): 0.001 for name in SEQUENCES}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", shift=shift))
    assert made.heading() == "No claim for x265 against vvenc at the same VMAF."
    assert "Refused on 5 sequences." in made.text
    assert "fewer bits by" not in made.text
    assert "more bits by" not in made.text
    assert made.row("VMAF")[1] == "refused"


@pytest.mark.parametrize(("others", "told"), [(8, "no claim by M0, M1"), (9, "no claim by 9 metrics")])
def test_many_metrics_without_a_claim_are_counted(tmp_path, others, told):
    metrics = ["vmaf", *(f"m{index}" for index in range(others))]
    shift = {("x265", "face"): 0.001}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], metrics=metrics, shift=shift))
    assert f"By the other metrics: {told}" in made.text


def test_where_bits_cannot_be_compared_quality_at_the_same_bitrate_is_told():
    metric = Metric("vmaf", "vmaf", "VMAF", "", True, 2)
    refused = BDResult("refused", "the quality ranges do not overlap", quality=44.75, overlap=0.0)
    rows = tuple(bd_row("vmaf", "tvc", "x265", name, refused) for name in ("a", "b"))
    evidence = findings._evidence(Group(metric, "x265", "tvc", mean_row(rows), rows))
    assert evidence == (
        "Refused on 2 sequences. At the same bitrate x265 scores +44.75 in VMAF against tvc (↑ higher is better), "
        "mean of 2 sequences."
    )


def test_a_refused_metric_says_why_once_and_shows_its_quality(tmp_path):
    low_delay = {"vvenc": {"structure": "low delay"}}
    shift = {("x265", name): 0.2 for name in ("face", "bikes")}
    run = write_sample(tmp_path / "run", sequences=["face", "bikes"], shift=shift, costs=low_delay)
    made, _ = build(tmp_path, run)
    row = made.row("VMAF", "refused")
    assert "the quality ranges overlap by" in row[2]
    assert "like with like" in made.row("face")[-1]
    assert "like with like" not in row[2]  # it stands with the findings, and in the rows of the sequences
    # At one rate, a straight line over the logarithm of it: 45 a decade.
    expected = sum(45 * math.log10(0.2 / FACTORS[name]) for name in ("face", "bikes")) / 2
    assert plain(row[3]).removesuffix("2 of 2").replace("\u2212", "-") == f"{expected:.2f}"
    assert plain(row[-1]) == "0 of 2"


def test_trap26_a_refused_sequence_is_named_and_not_in_the_mean(tmp_path):
    # Without face: (20 + 27 + 30 + 33) / 4 = 27.5
    made, _ = build(tmp_path, write_sample(tmp_path / "run", shift={("x265", "face"): 0.001}))
    assert "Mean of 4 of 5 sequences (refused: face): +27.5 %" in made.text
    assert re.search(r"face refused: [^.]*overlap", made.text)
    assert made.row("VMAF")[7].startswith("4 of 5, without face")


def test_trap28_an_interval_that_holds_zero_is_no_claim(tmp_path):
    factors = {"carphone": 0.7, "face": 1.2, "street": 0.9, "bikes": 1.3, "bunny": 1.0}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", factors=factors))
    assert made.heading() == "No clear difference in bits between x265 and vvenc for the same VMAF."
    assert "which holds zero" in made.text


def test_trap28_few_sequences_that_disagree_are_no_claim(tmp_path):
    factors = {"carphone": 0.9, "face": 1.2}
    run = write_sample(tmp_path / "run", sequences=["carphone", "face"], factors=factors)
    made, _ = build(tmp_path, run)
    assert made.heading() == "No clear difference in bits between x265 and vvenc for the same VMAF."
    assert "too few for an interval, single sequences −10.0 to +20.0 %, which disagree" in made.text


def test_one_sequence_says_that_it_is_one(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["carphone"]))
    assert made.heading() == "x265 needs 20 % more bits than vvenc for the same VMAF."
    assert "One sequence only, carphone: +20.0 %; one has no interval." in made.text


def test_headline_falls_back_to_psnr_then_to_what_there_is(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "a", metrics=["psnr_y", "psnr_yuv"]))
    assert made.heading().endswith("for the same PSNR-YUV.")
    made, _ = build(tmp_path, write_sample(tmp_path / "b", metrics=["lpips"]))
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same LPIPS."


def test_a_change_too_small_to_show_is_no_claim(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", factors=dict.fromkeys(SEQUENCES, 1.0002)))
    assert made.heading() == "No clear difference in bits between x265 and vvenc for the same VMAF."
    assert "holds zero" not in made.text


def test_trap27_lower_is_better_keeps_its_sign(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run"))
    assert made.row("LPIPS")[1] == "+27.0 %"
    lpips = next(metric for metric in data["metrics"] if metric["name"] == "lpips")
    assert lpips["direction"] == "↓ lower is better"


def test_several_codecs_are_listed_with_the_fewest_bits_first(tmp_path):
    factors = dict.fromkeys(SEQUENCES, 1.1)
    made, _ = build(tmp_path, write_sample(tmp_path / "run", codecs=["a", "b", "c"], factors=factors))
    assert made.heading() == "a, b and c: bits needed for the same quality"
    assert made.text.index("b needs 10 % more bits than a") < made.text.index("c needs 21 % more bits than a")


def test_one_codec_is_shown_without_a_comparison(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", codecs=["x265"]))
    assert made.heading() == "Rate and quality of x265"
    assert len(data["points"]) == len(SEQUENCES) * 4
    assert "BD-rate" not in made.heading()


def test_settings_that_are_not_equal_are_named(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "internal bit depth (vvenc: 10; x265: 8)" in made.text


def test_rate_match_shows_target_reached_and_distance(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "x265 : 20 of 20 points within 3 % of the target, furthest +0.4 %; 2.0 encodes for each point" in made.text
    row = next(row for row in made.rows if [plain(c) for c in row[:3]] == ["bunny", "0.01000", "0.01004"])
    assert [plain(cell) for cell in row[3:]] == ["+0.4 %", "40", "2"]


@pytest.mark.parametrize(
    ("status", "word"),
    [("too_small", "too small"), ("unavailable", "unavailable"), ("not_applicable", "not applicable")],
)
def test_trap19_trap21_a_missing_score_is_a_word_with_its_reason(tmp_path, status, word):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("ms_ssim", "carphone"): status}))
    links = [attributes for tag, attributes in made.tags if tag == "a" and attributes.get("class") == "gap"]
    assert len(links) == 8
    assert {link["title"] for link in links} == {REASONS.get(status, "")}
    row = made.row("MS-SSIM", word.split()[0])
    assert row[1:] == [word, REASONS.get(status, "–"), "carphone", "8"]
    missing = [score for score in data["scores"]["ms_ssim"] if score["mean"] is None]
    assert len(missing) == 8
    assert missing[0]["gap"].startswith(word)


def test_trap23_infinite_scores_are_shown_and_not_drawn(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("psnr_y", "face"): "infinite"}))
    drawn = [score for score in data["scores"]["psnr_y"] if score["mean"] is None]
    assert len(drawn) == 8
    assert drawn[0]["statistics"]["mean"] == "∞"
    assert any("∞" in cell for row in made.rows for cell in row)
    assert made.row("PSNR-Y", "infinite")[4] == "8"


def test_trap23_nan_is_named(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("lpips", "*"): "nan"}))
    assert made.row("LPIPS", "not")[1] == "not a number"
    assert data["scores"]["lpips"][0]["mean"] is None


def test_failures_come_before_every_table(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", failures=[failure(), failure(q=None, stage="decode")]))
    assert "Failures (2)" in made.text
    for words in ("exit status 187", "ffmpeg -i 'two words.y4m'", "[libx265] unknown option", "decode failed"):
        assert words in made.text
    names = [
        tag for tag, attributes in made.tags if tag == "table" or attributes.get("aria-labelledby") == "failed-title"
    ]
    assert names[0] == "section"


def test_without_failures_none_is_said(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "failures none" in made.text
    assert "Failures (" not in made.text


def test_provenance_has_every_command_and_what_to_type(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", run={"dirty": True}))
    assert "git checkout 0123456789abcdef0123456789abcdef01234567" in made.text
    assert "evalsuite run --codecs vvenc,x265 --out 'two words'" in made.text
    assert "uncommitted changes" in made.text
    assert made.text.count("ffmpeg -i 'in put.y4m' -c:v") == 40
    for fact in (
        "Example CPU 3000",
        "n9.0.2",
        "c" * 64,
        "CC0",
        "package example 1.0, data/clip.mp4",
        "face" + "x" * 60,
    ):
        assert fact in made.text


def test_every_score_of_the_curves_is_in_the_table(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run"))
    cells = {plain(cell).split(" ")[0] for row in made.rows for cell in row}
    for metric in data["metrics"]:
        for score in data["scores"][metric["name"]]:
            shown = text.score(score["mean"], metric["decimals"])
            assert any(cell.startswith(shown) for cell in cells)
