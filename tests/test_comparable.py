"""Fairness: what differs between two curves is told, what makes them not like with like is marked."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import write_sample
from run_bench import Bench
from test_tables import RATES, rows, savings, star, table

from evalsuite.report.merge import merge
from evalsuite.report.tables import differences
from evalsuite.results.comparable import PROPERTIES, sequence_key
from evalsuite.results.load import read_run
from evalsuite.results.tables import bd_table


@pytest.mark.parametrize(
    ("column", "value", "unlike"),
    [
        ("structure", "random access", "structure low-delay against random access"),
        ("intra_period", -1, "intra period 32 against -1"),
        ("internal_bit_depth", 10, "internal bit depth 8 against 10"),
        ("delay", 0, "delay in frames 29 against 0"),
        ("rate_source", "estimate", "rate source file against estimate"),
        ("structure", None, "structure low-delay against unknown"),
        ("delay", None, "delay in frames 29 against unknown"),
    ],
)
def test_trap02_what_makes_a_comparison_unfair_is_marked_with_both_values(column, value, unlike):
    (one, mean) = bd_table(savings(0.9, **{column: value}), "anchor")
    assert (one.differs, one.unlike, one.status) == (column, unlike, "flagged")
    assert one.reason.startswith(f"not like with like: {unlike}")
    assert one.bd_rate_percent == pytest.approx(-10)
    assert (mean.differs, mean.unlike) == (column, unlike)
    assert mean.reason.endswith(f"not like with like: {unlike}")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("threads", 4),
        ("preset", "slow"),
        ("rate_control", "qp"),
        ("lookahead", 60),
        ("scale_divisor", 2),
        ("delay", 63),
    ],
)
def test_trap02_what_only_differs_is_told_and_not_marked(column, value):
    (one, mean) = bd_table(savings(0.9, **{column: value}), "anchor")
    assert (one.differs, one.unlike, one.status, one.reason) == (column, "", "ok", "")
    assert (mean.differs, mean.unlike, mean.status) == (column, "", "ok")


def test_trap02_long_values_are_compared_whole_and_shown_short():
    long = "low delay, hierarchical P with four reference frames and an offset of each level of "
    data = savings(0.9, structure=long + "2")
    data.loc[data["codec"] == "anchor", "structure"] = long + "1"
    (one, _) = bd_table(data, "anchor")
    assert one.differs == "structure"
    start, end = "low delay, hierarchical P with", " an offset of each level of "  # 30 and 28 characters
    assert one.unlike == f"structure {start}…{end}1 against {start}…{end}2"
    data["structure"] = long + "1"
    assert bd_table(data, "anchor")[0].differs == ""


def test_trap02_the_report_tells_long_values_apart(tmp_path):
    settings = {name: {"structure": f"{'x' * 70}{name}"} for name in ("vvenc", "x265")}
    codecs = merge([read_run(write_sample(tmp_path, codec_facts=settings))]).codecs
    (found,) = [each for each in differences(codecs) if each.title == "structure"]
    assert found.who == f"vvenc: {'x' * 30}…{'x' * 24}vvenc; x265: {'x' * 30}…{'x' * 25}x265"


def test_trap02_a_mean_over_sequences_with_different_marks_says_which():
    data = table(
        *(rows("anchor", name) for name in ("s0", "s1", "s2")),
        rows("test", "s0", RATES * 0.9),
        rows("test", "s1", RATES * 0.9, intra_period=-1),
        rows("test", "s2", RATES * 0.9, internal_bit_depth=10),
    )
    mean = star(bd_table(data, "anchor"))
    assert mean.bd_rate_percent == pytest.approx(-10)
    assert mean.unlike == (
        "sequences differ in this: s0: like with like; s1: intra period 32 against -1; "
        "s2: internal bit depth 8 against 10"
    )
    assert mean.differs == "intra_period,internal_bit_depth"


def test_trap01_an_estimated_rate_is_said_even_where_both_are_estimated():
    data = savings(0.9)
    data["rate_source"] = "estimate"
    (one, mean) = bd_table(data, "anchor")
    assert (one.unlike, one.anchor_rate, one.test_rate) == ("", "estimate", "estimate")
    assert one.reason == ("anchor: estimated rate, no bitstream; test codec: estimated rate, no bitstream")
    assert (mean.status, mean.anchor_rate, mean.test_rate) == ("flagged", "estimate", "estimate")


PUBLISHED = {"rate_source": "published", "source_sha256": ""}


def test_published_points_are_compared_by_name_size_and_frames():
    (one, _) = bd_table(savings(0.9, **PUBLISHED), "anchor")
    assert one.bd_rate_percent == pytest.approx(-10)
    assert "test codec: published, not re-run" in one.reason
    assert "content matched by name, size and frames, not by digest" in one.reason
    assert one.unlike == "rate source file against published"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("frames", 96, "frames 48 against 96"),
        ("frames", None, "frames 48 against unknown"),
        ("width", 320, "width 640 against 320"),
        ("height", None, "height 360 against unknown"),
    ],
)
def test_trap02_published_points_of_other_or_unknown_content_are_refused(column, value, said):
    (one, mean) = bd_table(savings(0.9, **PUBLISHED, **{column: value}), "anchor")
    assert (one.status, one.reason) == ("refused", f"not the same content: {said}")
    assert mean.sequences == 0


def test_content_that_neither_side_knows_is_not_the_same():
    data = savings(0.9)
    data["source_sha256"], data["frames"] = "", None
    assert bd_table(data, "anchor")[0].reason == "not the same content: frames unknown against unknown"


def test_sequences_that_only_a_publication_has_are_left_out():
    found = bd_table(pd.concat([savings(0.9), table(rows("test", "far", **PUBLISHED))]), "anchor")
    assert [row.sequence for row in found] == ["s0", "*"]
    found = bd_table(pd.concat([savings(0.9), table(rows("test", "far"))]), "anchor")
    assert [row.sequence for row in found] == ["far", "s0", "*"]
    only = table(rows("anchor", "a"), rows("test", "b", **PUBLISHED), rows("test", "c", **PUBLISHED))
    assert [(row.sequence, row.status) for row in bd_table(only, "anchor")] == [("a", "refused"), ("*", "refused")]


def test_trap24_a_published_average_of_curves_is_said_to_be_one():
    (one, _) = bd_table(savings(0.9, **PUBLISHED, tags="averaged"), "anchor")
    assert "the curve is an average over sequences" in one.reason


def test_every_property_is_a_column_that_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "bd-rate.md").read_text()
    for column in PROPERTIES:
        assert f"`{column}`" in text


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", "beauty"),
        ("videoSRC01_1920x1080_30.yuv", "videosrc01"),
        ("Netflix_FoodMarket_4096x2160_60fps_10bit_420.y4m", "netflixfoodmarket"),
        ("park_joy_1080p50.y4m", "parkjoy"),
        ("aspen_1080p_60f", "aspen"),
        ("BQMall_832x480_60", "bqmall"),
        ("Beauty", "beauty"),
        ("carphone", "carphone"),
        ("1080p.yuv", "1080p"),
    ],
)
def test_the_same_sequence_is_found_under_the_names_of_files(name, key):
    assert sequence_key(name) == key


@given(st.text(max_size=40))
def test_any_name_has_a_key_and_a_key_is_its_own(name):
    assert sequence_key(sequence_key(name)) == sequence_key(name)


def test_trap02_a_run_carries_what_each_codec_did_and_marks_what_is_unlike(tmp_path):
    bench = Bench(tmp_path)
    recipe = tmp_path / "codecs" / "recipes" / "toytwo.toml"
    text = recipe.read_text().replace("internal_bit_depth = 8", "internal_bit_depth = 10\nlookahead = 3\ndelay = 3")
    recipe.write_text(text.replace('rate_control = "qp"', 'rate_control = "crf"'))
    done = bench.run(*bench.arguments(clips=1))
    points = bench.points().groupby("codec").first()
    columns = ["structure", "rate_control", "internal_bit_depth", "lookahead", "delay", "scale_divisor", "rate_source"]
    assert points.loc["toytwo", columns].tolist() == ["intra only", "crf", 10, 3, 3, 1, "file"]
    assert points.loc["toy", ["rate_control", "internal_bit_depth"]].tolist() == ["qp", 8]
    assert points["delay"].isna()["toy"]
    marks = "internal bit depth 8 against 10, delay in frames unknown against 3"
    assert f"≠ toytwo against toy: {marks}" in done.stdout
    table = pd.read_csv(tmp_path / "results" / "bd_rate.csv")
    assert set(table["unlike"]) == {marks}
    assert set(table["differs"]) == {"internal_bit_depth,delay,lookahead,rate_control"}
    entry = next(codec for codec in bench.summary()["codecs"] if codec["name"] == "toytwo")
    assert (entry["delay"], entry["lookahead"], entry["rate_source"]) == (3, 3, "file")
