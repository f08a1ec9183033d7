"""One report from several runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_page import build
from report_sample import SEQUENCES, failure, write_sample

from evalsuite.report.merge import distinct_labels, merge
from evalsuite.results.load import read_run


def test_runs_of_the_same_codecs_become_one_table(tmp_path):
    one = write_sample(tmp_path / "one", sequences=["carphone", "face"])
    two = write_sample(tmp_path / "two", sequences=["street", "bikes", "bunny"])
    made, data = build(tmp_path, one, two)
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF."
    assert "Mean of 5 sequences: +27.0 %" in made.text
    assert [codec["name"] for codec in data["codecs"]] == ["vvenc", "x265"]
    assert "Run one" in made.text
    assert "Run two" in made.text


def test_runs_with_different_anchors_have_a_table_for_each(tmp_path):
    factors = dict.fromkeys(SEQUENCES, 1.1)
    one = write_sample(tmp_path / "one", codecs=["a", "b"], factors=factors)
    two = write_sample(tmp_path / "two", codecs=["c", "d"], factors=factors)  # the same numbers under other names
    made, _ = build(tmp_path, one, two)
    assert "Mean BD-rate against a;" in made.text
    assert "Mean BD-rate against c;" in made.text
    for pair in (("b", "a"), ("d", "a"), ("b", "c"), ("d", "c")):
        assert "{} needs 10 % more bits than {}".format(*pair) in made.text
    assert "No clear difference in bits between c and a" in made.text


def test_runs_of_one_codec_each_are_held_against_the_first(tmp_path):
    one = write_sample(tmp_path / "main", codecs=["a"], factors=dict.fromkeys(SEQUENCES, 1.0))
    two = write_sample(tmp_path / "branch", codecs=["b"], factors=dict.fromkeys(SEQUENCES, 1.0))
    made, _ = build(tmp_path, one, two)
    assert "No clear difference in bits between b and a" in made.text


def test_trap05_of_two_bitstreams_at_one_q_the_later_is_shown_whole(tmp_path):
    one = write_sample(tmp_path / "one", codecs=["a", "b"], metrics=["vmaf"])
    two = write_sample(tmp_path / "two", codecs=["b"], metrics=["lpips"])  # first here: other sizes than in run one
    _, data = build(tmp_path, one, two)
    rates = {codec: [point["bpp"] for point in data["points"] if point["codec"] == codec] for codec in "ab"}
    assert sorted(rates["a"]) == sorted(rates["b"])
    scored = [point["codec"] for point, score in zip(data["points"], data["scores"]["vmaf"], strict=True) if score]
    assert set(scored) == {"a"}


def test_what_failed_before_it_had_a_bitstream_is_told_of_the_codec_that_failed(tmp_path):
    def run(name, **options):
        return write_sample(tmp_path / name, codecs=["a", "b"], sequences=["face"], metrics=["vmaf"], **options)

    failed = [failure(codec=codec, sequence="face", q=q, cell_key="") for codec, q in (("a", 40.0), ("b", 34.0))]
    broken = read_run(run("one", failures=failed))
    lost = broken.points["cell_key"].isin(["a|0|face|40.0", "b|1|face|34.0"])
    nothing = {"cell_key": "", "status": "failed", "score": None, "bpp": None, "kbps": None, "bytes": None}
    points = broken.points.copy()
    for column, value in nothing.items():
        points.loc[lost, column] = value
    broken = replace(broken, points=points)
    assert [(one["codec"], one["q"]) for one in merge([broken]).failures] == [("a", 40.0), ("b", 34.0)]
    assert merge([broken, read_run(run("two"))]).failures == ()


def test_metrics_of_two_runs_stand_at_the_same_points(tmp_path):
    one = write_sample(tmp_path / "one", metrics=["vmaf"])
    two = write_sample(tmp_path / "two", metrics=["lpips"])
    _, data = build(tmp_path, one, two)
    assert len(data["points"]) == 40
    assert all(score["mean"] for name in ("vmaf", "lpips") for score in data["scores"][name])


@pytest.mark.parametrize(
    "facts",
    [
        {"binary_sha256": {"ffmpeg": "e" * 64}},
        {"files": {"weights.npz": "f" * 64}},
        {"threads": 2},
    ],
)
def test_trap05_a_codec_that_changed_is_kept_apart(tmp_path, facts):
    one = write_sample(tmp_path / "one", codecs=["x265"], facts={"files": {"weights.npz": "0" * 64}})
    two = write_sample(tmp_path / "two", codecs=["x265"], facts={"files": {"weights.npz": "0" * 64}, **facts})
    _, data = build(tmp_path, one, two)
    assert [codec["name"] for codec in data["codecs"]] == ["x265 (one)", "x265 (two)"]
    assert {point["codec"] for point in data["points"]} == {"x265 (one)", "x265 (two)"}


def test_trap17_a_metric_in_two_versions_is_two_metrics(tmp_path):
    one = write_sample(tmp_path / "one", metrics=["vmaf"])
    two = write_sample(tmp_path / "two", metrics=["vmaf"], metric_facts={"version": "2"})
    made, data = build(tmp_path, one, two)
    assert [metric["name"] for metric in data["metrics"]] == ["vmaf (one)", "vmaf (two)"]
    assert data["start"] == "vmaf (one)"
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF (one)."


def test_folders_of_the_same_name_are_numbered(tmp_path):
    one = write_sample(tmp_path / "a" / "run", codecs=["x265"])
    two = write_sample(tmp_path / "b" / "run", codecs=["x265"], facts={"preset": "slow"})
    _, data = build(tmp_path, one, two)
    assert [codec["name"] for codec in data["codecs"]] == ["x265 (run #1)", "x265 (run #2)"]


def test_the_same_run_twice_changes_nothing(tmp_path):
    run = write_sample(tmp_path / "run")
    _, once = build(tmp_path, run)
    _, twice = build(tmp_path, run, run)
    assert once == twice


@given(
    st.lists(st.tuples(st.sampled_from("rst"), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12).map(
        lambda entries: list({(run, name): (run, name, what) for run, name, what in entries}.values())
    )
)
def test_labels_are_equal_exactly_where_name_and_identity_are(entries):
    labels = distinct_labels(entries)
    for run, name, identity in entries:
        for other_run, other_name, other_identity in entries:
            same = (name, identity) == (other_name, other_identity)
            assert (labels[run, name] == labels[other_run, other_name]) == same
