"""`evalsuite run --board` as a user runs it: a small real codec, a board and a dataset of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from json_schema import published_schema, violations
from run_bench import Bench

from evalsuite.results.board import load_board
from evalsuite.results.conformance import deviations
from evalsuite.results.load import read_run

DATASET = """version = "1"
description = "two clips"
"""
SEQUENCE = """[[sequences]]
name = "clip{index}"
width = {width}
height = 48
frame_rate = "25"
start = 0
frames = 6
matrix = "bt709"
range = "limited"
tags = ["test"]
licence = "none"
sha256 = "{sha256}"
[[sequences.sources]]
path = "{path}"
sha256 = "{sha256}"
"""
BOARD = """name = "small"
version = 3
title = "Small"
question = "Which toy?"
description = "For tests"
dataset = "own.toml"
frames = "all"
targets = {{ bpp = [0.5, 1, 1.5, 2] }}
intra_period = 16
threads = 1
structure = "any"
max_delay = "any"
anchor = "toy"
headline = ["psnr_y"]
[metrics]
psnr_y = "1"
psnr_yuv = "1"
{sequences}"""
PINNED = """[[sequences]]
name = "clip{index}"
sha256 = "{sha256}"
colour = "bt709 limited"
"""


class BoardBench(Bench):
    """A bench with a board, in another folder than the one that is stood in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        digests = [hashlib.sha256(Path(clip).read_bytes()).hexdigest() for clip in self.clips]
        self.board = folder / "boards" / "small.toml"
        self.board.parent.mkdir()
        self.board.write_text(
            BOARD.format(sequences="".join(PINNED.format(index=i, sha256=sha) for i, sha in enumerate(digests)))
        )
        (folder / "boards" / "own.toml").write_text(
            DATASET
            + "".join(
                SEQUENCE.format(index=i, width=64 + 16 * i, sha256=sha, path=clip)
                for i, (sha, clip) in enumerate(zip(digests, self.clips, strict=True))
            )
        )

    def by_board(self, *more: str, codecs: str = "toytwo") -> list[str]:
        return ["run", "--board", str(self.board), "--codecs", codecs, "--store", "store", "--jobs", "2", *more]

    def refused(self, *more: str, codecs: str = "toytwo") -> str:
        told = self.run(*self.by_board(*more, codecs=codecs), expect=2)
        assert self.logged("encode") == 0  # whatever is wrong is told before anything is encoded
        return told.stderr

    def change(self, before: str, after: str) -> None:
        text = self.board.read_text()
        assert before in text
        self.board.write_text(text.replace(before, after))


@pytest.fixture
def bench(tmp_path: Path) -> BoardBench:
    return BoardBench(tmp_path)


def test_a_run_by_a_board_is_an_entry(bench: BoardBench) -> None:
    done = bench.run(*bench.by_board())
    assert "entry of board small, version 3" in done.stdout
    summary = bench.summary()
    request = summary["request"]
    board = load_board(str(bench.board))
    assert request["board"] == {"name": "small", "version": 3, "sha256": board.sha256}
    assert request["codecs"] == ["toytwo", "toy"]  # the anchor comes with them
    assert (request["anchor"], request["intra_period"], request["sequences"]) == ("toy", 16, ["clip0", "clip1"])
    assert sorted({row["target_bpp"] for row in summary["rate_match"]}) == pytest.approx([0.5, 1, 1.5, 2])
    assert violations(summary, (schema := published_schema()), schema) == []
    assert deviations(board, read_run(bench.folder / "results")) == []


def test_what_agrees_with_the_board_may_be_said(bench: BoardBench) -> None:
    agreeing = ["--dataset", "own.toml", "--match", "2,1.5,1,0.5bpp", "--metrics", "psnr_yuv,psnr_y", "--anchor", "toy"]
    agreeing += ["--intra-period", "16", "--threads", "1", "--sequences", "clip1,clip0", "--profile", "none"]
    done = bench.run(*bench.by_board(*agreeing, "--json", codecs="toy,toytwo"))
    document = json.loads(done.stdout)
    assert (document["deviations"], document["request"]["board"]["name"]) == ([], "small")
    assert document["request"]["codecs"] == ["toy", "toytwo"]


def test_every_option_that_contradicts_the_board_is_named(bench: BoardBench) -> None:
    contrary = ["--dataset", "demo", "--match", "toy", "--metrics", "psnr_y", "--anchor", "toytwo", "--frames", "3"]
    contrary += ["--intra-period", "32", "--threads", "2", "--profile", "auto", "--hull", "--fps", "30", "clip0"]
    told = bench.refused(*contrary)
    for said in (
        "board small, version 3",
        "--match: toy was given, the board has 0.5,1.0,1.5,2.0bpp",
        "--metrics: psnr_y was given, the board has psnr_y,psnr_yuv",
        "--anchor: toytwo was given, the board has toy",
        "--frames: 3 was given, the board has all",
        "--intra-period: 32 was given, the board has 16",
        "--threads: 2 was given, the board has 1",
        "--profile: auto was given, the board has none",
        "--sequences: clip0 was given, the board has clip0,clip1",
        "--hull",
        "--fps: it is of files",
        "--dataset: demo was given",
    ):
        assert said in told, f"{said!r} is not in\n{told}"


def test_the_default_of_an_option_contradicts_where_it_is_typed(bench: BoardBench) -> None:
    assert "--intra-period: 32 was given, the board has 16" in bench.refused("--intra-period", "32")


def test_another_version_of_a_metric_is_refused(bench: BoardBench) -> None:
    bench.change('psnr_y = "1"', 'psnr_y = "0.9"')
    assert "metric psnr_y: version: 1 here, 0.9 on the board" in bench.refused()


def test_another_source_is_refused(bench: BoardBench) -> None:
    digest = hashlib.sha256(Path(bench.clips[1]).read_bytes()).hexdigest()
    bench.change(digest, "f" * 64)
    assert f"sequence clip1: source sha256: {digest} here, {'f' * 64} on the board" in bench.refused()


def test_another_colour_is_refused(bench: BoardBench) -> None:
    bench.change("bt709 limited", "bt601 limited")
    assert "sequence clip0: colour: bt709 limited here, bt601 limited on the board" in bench.refused()


def test_a_codec_that_the_board_does_not_admit_is_refused(bench: BoardBench) -> None:
    bench.change('max_delay = "any"', "max_delay = 3")
    bench.change('structure = "any"', 'structure = ["low delay"]')
    told = bench.refused()
    assert "codec toytwo: structure intra only, the board admits low delay" in told
    assert "codec toy: delay unknown, the board admits 3" in told


def test_a_profile_whose_metrics_are_not_pinned_is_refused(bench: BoardBench) -> None:
    bench.change("[metrics]", '[profiles]\nsport = "0"\n[metrics]')
    told = bench.refused()
    assert "metric lpips: a profile of the board is made of it, and the board does not pin it" in told
    assert "metric profile:sport: version: " in told


def test_unknown_boards_and_bad_files_are_refused_by_name(bench: BoardBench) -> None:
    told = bench.run("run", "--board", "ultra-lo", expect=2).stderr
    assert "did you mean ultra-low" in told
    bench.change("anchor =", "ankor =")
    assert "the field `anchor` is missing" in bench.refused()


def test_failed_cells_are_shown_and_end_with_3(bench: BoardBench) -> None:
    done = bench.run(*bench.by_board(), expect=3, TOY_FAULT="fail")
    assert "FAILED toytwo clip0" in done.stderr
    assert "entry of board small, version 3" in done.stdout
    assert bench.summary()["outcomes"]["failed"] > 0
    assert deviations(load_board(str(bench.board)), read_run(bench.folder / "results")) == []


def test_without_a_board_the_summary_says_so(bench: BoardBench) -> None:
    bench.run(*bench.arguments("--match", "none", codecs="toy", clips=1))
    assert bench.summary()["request"]["board"] is None
