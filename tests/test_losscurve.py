"""Quality against loss, on runs whose losses are known in closed form; and a real run with channels."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_sample import write_sample
from run_bench import Bench

from evalsuite.api.results import load
from evalsuite.errors import RequestError
from evalsuite.planning.points import rate_points
from evalsuite.results.load import RunResults, read_run
from evalsuite.results.losscurve import behind_channels, is_channel, losses
from evalsuite.results.stats import mean_interval
from evalsuite.viewing.material import opened

SHIFTS = {"x265": 0.0, "x265@2%": -1.0, "x265@2%+seed=2": -3.0, "x265@5%x3+class=key": -6.0}
CHANNELS = {
    "x265@2%": {"rate": 0.02, "burst": None, "seed": 1, "class": None},
    "x265@2%+seed=2": {"rate": 0.02, "burst": None, "seed": 2, "class": None},
    "x265@5%x3+class=key": {"rate": 0.05, "burst": 3.0, "seed": 1, "class": "key"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one codec behind channels, each of which takes so many dB on every sequence, and half of them more."""
    facts: dict[str, dict[str, Any]] = {
        name: {"loss": {"model": name, "packet_bytes": 1200, "kind": "drop", **told}} for name, told in CHANNELS.items()
    }
    return write_sample(tmp_path / "run", codecs=list(SHIFTS), factors=dict.fromkeys(SEQUENCES, 1.0), codec_facts=facts)


SEQUENCES = ("carphone", "face", "street", "bikes", "bunny")


def shifted(folder: Path) -> RunResults:
    """The run with PSNRs that are q without a channel, and less by what a channel takes behind one."""
    run = read_run(folder)
    points = run.points.copy()
    more = points["sequence"].map({sequence: place * 0.5 for place, sequence in enumerate(SEQUENCES)})
    for name, shift in SHIFTS.items():
        own = (points["codec"] == name) & (points["metric"] == "psnr_y")
        points.loc[own, "score"] = points.loc[own, "q"] + shift * (1 + more[own])
    return replace(run, points=points)


def test_what_is_lost_is_the_difference_to_the_same_points_without_a_channel(folder: Path) -> None:
    found = {(one.rate, one.only): one for one in losses(shifted(folder)) if one.metric == "psnr_y"}
    assert set(found) == {(0.02, ""), (0.05, "key")}
    two, five = found[0.02, ""], found[0.05, "key"]
    # Sequences lose 1, 1.5, ... 3 times as much: 2 times on average; the two seeds 1 and 3 dB.
    assert two.lost == pytest.approx(2 * (1 + 3) / 2)
    assert five.lost == pytest.approx(2 * 6)
    assert two.clean - two.lossy == pytest.approx(two.lost)
    assert (two.seeds, two.sequences, five.seeds, five.burst) == (2, 5, 1, 3.0)
    assert two.interval == pytest.approx(mean_interval([2, 3, 4, 5, 6]))
    assert (two.channel, five.channel) == ("2 %", "5 %, burst 3, key")


def test_shares_are_of_the_points_that_the_qualities_are_of(folder: Path) -> None:
    run = shifted(folder)
    five = "x265@5%x3+class=key"
    means = run.points[run.points["statistic"] == "mean"]
    own = means[(means["codec"] == five) & (means["metric"] == "psnr_y")]
    # The cheapest point of carphone has no score any more, and had all of its packets hit.
    gone = own.sort_values("q").query("sequence == 'carphone'").index[-1]
    shares = own.assign(metric="lost_packets", higher_is_better=None, score=0.1)
    shares.loc[gone, "score"] = 1.0
    points = run.points.copy()
    points.loc[gone, ["score", "status"]] = [None, "not_applicable"]
    run = replace(run, points=pd.concat([points, shares]))
    (found,) = [one for one in losses(run) if (one.metric, one.only) == ("psnr_y", "key")]
    assert found.unscored == 1
    assert found.packets == pytest.approx(0.1)
    assert found.lost == pytest.approx(2 * 6)
    assert found.lost_per_percent == pytest.approx(12 / 10)


def test_a_metric_that_loses_all_of_its_points_is_told(folder: Path) -> None:
    run = shifted(folder)
    points = run.points.copy()
    gone = (points["codec"] == "x265@5%x3+class=key") & (points["metric"] == "psnr_y")
    points.loc[gone, ["score", "status"]] = [None, "not_applicable"]
    (found,) = [one for one in losses(replace(run, points=points)) if (one.metric, one.only) == ("psnr_y", "key")]
    assert found.unscored == int((gone & (points["statistic"] == "mean")).sum())
    assert (found.lossy, found.lost, found.interval, found.lost_per_percent) == (None, None, None, None)
    (whole,) = [one for one in losses(run) if (one.metric, one.only) == ("psnr_y", "key")]
    assert found.clean == pytest.approx(whole.clean)


def test_channels_of_other_packets_are_other_curves(tmp_path: Path) -> None:
    names = {"x265@2%+packet=500": 500, "x265@2%": 1200, "x265@1%": 1200}
    facts: dict[str, dict[str, Any]] = {
        name: {"loss": {**CHANNELS["x265@2%"], "model": name, "kind": "drop", "packet_bytes": size}}
        for name, size in names.items()
    }
    facts["x265@1%"]["loss"]["rate"] = 0.01
    run = write_sample(tmp_path / "run", codecs=["x265", *names], codec_facts=facts)
    found = [one for one in losses(read_run(run)) if one.metric == "psnr_y"]
    assert [one.channel for one in found] == ["2 %, packet 500", "1 %", "2 %"]
    assert found[1].line == found[2].line != found[0].line


def test_codecs_behind_channels_are_compared_with_nothing(folder: Path, tmp_path: Path) -> None:
    assert behind_channels(read_run(folder).summary) == set(CHANNELS)
    assert {point.codec for point in rate_points([read_run(folder)])} == {"x265"}
    facts = read_run(folder).summary["codecs"]
    behind = {one["name"]: {"loss": one.get("loss")} for one in facts}
    two = write_sample(tmp_path / "two", codecs=["vvenc", *SHIFTS], codec_facts=behind)
    compared = load(two).bd_rate("vvenc")
    assert set(compared["test"]) == {"x265"}
    with pytest.raises(RequestError, match="x265@2% is behind a channel, and takes no part in comparisons"):
        load(two).bd_rate("x265@2%")


def test_a_loss_that_is_no_channel_is_none() -> None:
    assert not any(is_channel(told) for told in (None, "iid:0.1", 3, {}, {"model": "iid:0.1"}))


def test_a_run_without_channels_has_no_losses(tmp_path: Path) -> None:
    assert losses(read_run(write_sample(tmp_path / "run"))) == []


def test_a_run_with_channels_measures_the_same_bitstreams(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    command = (
        *("run", "--codecs", "x264:lowdelay", "--sequences", bench.clips[0], "--match", "none", "--store", "store"),
        *("--metrics", "psnr_y", "--pictures", "none", "--jobs", "2"),
        *("--loss", "iid:0.3,packet=64", "--loss", "iid:100%,class=other"),
    )
    done = bench.run(*command)
    assert "x264:lowdelay behind channels that lose packets" in done.stdout
    points = bench.points()
    means = points[points["statistic"] == "mean"].pivot_table(
        index="q", columns=["codec", "metric"], values="score", aggfunc="first"
    )
    names = ["x264:lowdelay", "x264:lowdelay@30%+packet=64", "x264:lowdelay@100%+class=other"]
    assert set(points["codec"]) == set(names)
    by_q = points.groupby(["q", "codec"])[["bitstream_sha256", "bytes"]].first().reset_index()
    assert (by_q.groupby("q")[["bitstream_sha256", "bytes"]].nunique() == 1).all(axis=None)
    assert (means[names[2], "lost_packets"] == 1).all()
    # Six frames, of which the first arrives.
    assert means[names[2], "concealed_share"].tolist() == pytest.approx([5 / 6] * 5)
    assert (means[names[0], "psnr_y"] > means[names[2], "psnr_y"]).all()
    frames = pd.read_parquet(tmp_path / "results" / "frames.parquet")
    marks = frames[(frames["codec"] == names[2]) & (frames["metric"] == "concealed")]
    assert marks.groupby("q")["score"].apply(list).tolist() == [[0, 1, 1, 1, 1, 1]] * 5
    clean = points[(points["codec"] == names[0]) & (points["metric"] == "lost_packets")]
    assert set(clean["status"]) == {"not_applicable"}
    summary = bench.summary()
    assert [one["loss"] and one["loss"]["model"] for one in summary["codecs"]] == [
        *(None, "iid:0.3,packet=64", "iid:1,class=other")
    ]
    # Nothing is encoded for a channel, nor kept twice; again, nothing is done at all.
    assert (summary["outcomes"]["cells"], summary["outcomes"]["encodes"]) == (15, 5)
    with sqlite3.connect(tmp_path / "store" / "store.sqlite") as store:
        assert store.execute("SELECT count(*), count(DISTINCT sha256) FROM cells").fetchone() == (15, 5)
    bench.run(*command)
    again = bench.summary()["outcomes"]
    assert (again["encodes"], again["measured"], again["measured_cached"]) == (0, 0, 15)
    pd.testing.assert_frame_equal(bench.points(), points)
    bench.run("store", "check", "store")
    # Its pictures are had again from the store: six frames, of which the first arrived.
    run = read_run(tmp_path / "results")
    cell = points[points["codec"] == names[2]].iloc[0]
    with opened(run, tmp_path / "store", 60) as material:
        pictures = [frame[0] for frame in material.decoded(cell)]
    assert len(pictures) == 6
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


INFO = """
if sys.argv[1] == "info":
    data = pathlib.Path(sys.argv[2]).read_bytes()
    if data.startswith(b"20\\n"):
        sys.exit("the toy codec does not know")
    print('{"parts": [{"offset": 0, "bytes": %d, "class": "a"}]}' % len(data))
elif sys.argv[1] == "encode":"""
SENT = """
info = ["{binary}", "info", "{input}"]
[q]"""
TRANSPORT = """
[transport]
decode = ["{binary}", "decode", "{input}", "{lost}"]
classes = ["a"]
"""


def test_a_bitstream_that_cannot_be_sent_fails_its_own_cell_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    program, recipe = tmp_path / "toycodec", tmp_path / "codecs" / "recipes" / "toy.toml"
    program.write_text(program.read_text().replace('\nif sys.argv[1] == "encode":', INFO))
    recipe.write_text(recipe.read_text().replace("\n[q]", SENT) + TRANSPORT)
    bench.run(*bench.arguments("--match", "none", "--loss", "iid:0.001%", codecs="toy", clips=1), expect=3)
    (failure,) = bench.summary()["failures"]
    assert (failure["codec"], failure["q"], failure["stage"]) == ("toy@0.001%", 20, "decode")
    assert "the toy codec does not know" in failure["stderr_tail"]
    points = bench.points()
    scored = points[(points["status"] == "ok") & (points["metric"] == "psnr_y") & (points["statistic"] == "mean")]
    assert scored.groupby("codec")["q"].apply(sorted).to_dict() == {
        "toy": [8, 14, 20, 26, 32],
        "toy@0.001%": [8, 14, 26, 32],
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--loss", "often"), "is no model"),
        (("--loss", "iid:0.1", "--timing"), "--loss and --timing do not go together"),
        (("--loss", "iid:0.1", "--hull"), "--loss and --hull do not go together"),
        (("--loss", "iid:0.1,class=tokens"), "no packets of the class 'tokens'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    bench = Bench(tmp_path)
    assert said in bench.run("run", "--codecs", "x264", "--sequences", bench.clips[0], *more, expect=2).stderr
    refused = bench.run("run", "--codecs", "toy", "--sequences", bench.clips[0], "--loss", "iid:0.1", expect=2)
    assert "toy cannot be sent over a channel that loses packets" in refused.stderr
