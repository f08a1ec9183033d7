"""No difference between a run and a board goes unsaid, and no result is taken for one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from board_samples import ANYTHING, board_of, conforming
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.results.board import Board
from evalsuite.results.conformance import deviations
from evalsuite.results.load import RunResults

BOARD = board_of()


def test_a_conforming_run_is_an_entry() -> None:
    assert deviations(BOARD, conforming(BOARD)) == []


def test_a_run_without_a_stamp_is_judged_by_what_was_done() -> None:
    for stamp in (None, {"name": "another", "version": 1, "sha256": ""}):
        run = conforming(BOARD)
        run.summary["request"]["board"] = stamp
        assert deviations(BOARD, run) == []


def test_a_rate_far_from_its_target_is_a_result() -> None:
    run = conforming(BOARD)
    run.points["bpp"] *= 3
    for row in run.summary["rate_match"]:
        row["bpp"], row["deviation_percent"] = 3 * row["bpp"], 203.0
    assert deviations(BOARD, run) == []


def test_one_point_may_serve_two_targets() -> None:
    run = conforming(BOARD)
    run.summary["rate_match"][1]["q"] = 30.0  # x265 on carphone reaches the higher of the two alone
    at = run.points.query("codec == 'x265' and sequence == 'carphone' and q == 31").index
    assert deviations(BOARD, replace(run, points=run.points.drop(index=at))) == []


def failed(run: RunResults) -> RunResults:
    """The run, with tvc on city failed from the beginning, and shown."""
    lane = (run.points["codec"] == "tvc") & (run.points["sequence"] == "city")
    points = run.points.copy()
    points.loc[lane, ["q", "bpp", "target_bpp", "score"]] = np.nan
    points.loc[lane, "status"] = "failed"
    summary = copy.deepcopy(run.summary)
    summary["rate_match"] = [r for r in summary["rate_match"] if (r["codec"], r["sequence"]) != ("tvc", "city")]
    summary["failures"] = [{"codec": "tvc", "sequence": "city", "q": None, "stage": "encode", "message": "it ended"}]
    summary["outcomes"] = {"failed": 1}
    return replace(run, points=points, summary=summary)


def test_a_failure_that_is_shown_is_no_deviation() -> None:
    assert deviations(BOARD, failed(conforming(BOARD))) == []


def test_a_failure_that_is_hidden_is() -> None:
    left_out = failed(conforming(BOARD))
    left_out.summary["failures"] = []
    assert "tvc on city: nothing was matched to 0.01 bpp" in deviations(BOARD, left_out)
    assert "failures: 1 were counted, 0 are listed" in deviations(BOARD, left_out)
    run = failed(conforming(BOARD))
    without = replace(run, points=run.points[run.points["status"] != "failed"])
    assert deviations(BOARD, without) == ["tvc on city: a failure that results.parquet does not show"]


def test_the_difference_is_said_in_words() -> None:
    run = conforming(BOARD)
    run.points.loc[run.points["codec"] == "tvc", "rate_source"] = "estimate"
    run.summary["sequences"][1]["sha256"] = "c" * 64
    run.summary["metrics"] = run.summary["metrics"][1:]
    assert deviations(BOARD, run) == [
        f"sequence city: source sha256 {'c' * 30}…{'c' * 29}, the board has {'b' * 64}",
        "codec tvc: rate source estimate, the board has file",
        "metric psnr_y: missing",
    ]


OTHER: dict[str, object] = {
    "codec": "x264",
    "sequence": "face",
    "dataset": "files",
    "width": 178,
    "height": 146,
    "frames": 59,
    "q": 29.0,
    "target_bpp": 0.03,
    "metric": "ssim",
    "metric_version": "2",
    "intra_period": 33,
    "delay": 30,
    "threads": 2,
    "rate_source": "published",
    "source_sha256": "e" * 64,
}
"""By column of results.parquet that the protocol is about, another value."""


@given(row=st.integers(0, len(conforming(BOARD).points) - 1), column=st.sampled_from(sorted(OTHER)))
def test_any_change_of_a_row_is_found(row: int, column: str) -> None:
    run = conforming(BOARD)
    if column == "metric" and run.points.loc[row, "statistic"] != "mean":
        return  # of a metric that the board has not asked for there may be more
    run.points.loc[row, column] = OTHER[column]
    assert deviations(BOARD, run)


@given(row=st.integers(0, len(conforming(BOARD).points) - 1), column=st.sampled_from(["intra_period", "delay"]))
def test_what_a_row_does_not_tell_is_found(row: int, column: str) -> None:
    run = conforming(BOARD)
    run.points[column] = run.points[column].astype("Int64")
    run.points.loc[row, column] = None
    assert deviations(BOARD, run)


@given(row=st.integers(0, len(conforming(BOARD).points) - 1))
def test_any_row_of_a_mean_that_is_left_out_is_found(row: int) -> None:
    run = conforming(BOARD)
    if run.points.loc[row, "statistic"] == "mean":
        assert deviations(BOARD, replace(run, points=run.points.drop(index=row)))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [one for key, item in value.items() for one in _paths(item, (*path, key))]
    if isinstance(value, list):
        return [one for index, item in enumerate(value) for one in _paths(item, (*path, index))]
    return [path]


NOT_JUDGED = {"bpp", "deviation_percent", "encodes", "frame_rate"}
"""Of the summary: results, and what the digest of the source vouches for where targets are in bpp."""


@given(path=st.sampled_from([p for p in _paths(conforming(BOARD).summary) if p[-1] not in NOT_JUDGED]))
def test_any_change_of_the_summary_is_found(path: tuple[Any, ...]) -> None:
    if path in [("codecs", 0, "structure"), ("codecs", 1, "structure"), ("request", "board", "name")]:
        return  # any structure is admitted, and by another board's stamp no run is judged
    run = conforming(BOARD)
    inner: Any = run.summary
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    inner[path[-1]] = f"{old}x" if isinstance(old, str) else True if old is False else old + 1
    assert deviations(BOARD, run)


@given(data=st.data())
def test_whatever_is_left_out_of_a_list_of_the_summary_is_found(data: st.DataObject) -> None:
    run = conforming(BOARD)
    key = data.draw(st.sampled_from(["codecs", "sequences", "metrics", "rate_match"]))
    run.summary[key].pop(data.draw(st.integers(0, len(run.summary[key]) - 1)))
    assert deviations(BOARD, run)


@given(path=st.sampled_from(_paths(conforming(BOARD).summary)), value=ANYTHING)
def test_a_summary_of_anything_is_judged(path: tuple[Any, ...], value: object) -> None:
    run = conforming(BOARD)
    inner: Any = run.summary
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    deviations(board_of(targets={"kbps": [2, 3]}), run)


@pytest.mark.parametrize(
    ("board", "change", "said"),
    [
        (board_of(structure=["low delay"]), {}, "codec tvc: structure low-delay, the board admits low delay"),
        (board_of(max_delay=3), {}, "codec tvc: delay of 29 frames, the board admits 3"),
        (board_of(version=3), {}, "board: made for version 2 of small, this is version 3"),
        (BOARD, {"hull": True}, "request: hulls of variants were made codecs"),
        (BOARD, {"anchor": "tvc"}, "request: anchor tvc, the board has x265"),
        (BOARD, {"board": {**BOARD.stamp, "sha256": "0"}}, "board: made for another protocol that calls itself"),
    ],
)
def test_what_else_is_said(board: Board, change: dict[str, Any], said: str) -> None:
    run = conforming(BOARD)
    run.summary["request"].update(change)
    assert [line for line in deviations(board, run) if line.startswith(said)]


def test_a_metric_that_the_machine_lacks_is_a_deviation() -> None:
    run = conforming(BOARD)
    row = (run.points["metric"] == "vmaf") & (run.points["sequence"] == "city") & (run.points["codec"] == "tvc")
    run.points.loc[row, ["status", "reason"]] = ["unavailable", "no libvmaf"]
    assert deviations(BOARD, run) == ["metric vmaf: unavailable (no libvmaf): tvc on city"]
    run.points.loc[row, ["status", "reason"]] = ["not_applicable", "no face"]
    assert deviations(BOARD, run) == []


def test_rates_in_kbps_are_those_of_each_sequence() -> None:
    # 0.01 bpp of 176x144 at 30000/1001 frames per second are 7.596 kbps.
    board = board_of(targets={"kbps": [0.01 * 176 * 144 * 30000 / 1001 / 1000, 0.02 * 176 * 144 * 30000 / 1001 / 1000]})
    run = conforming(board)
    assert deviations(board, run) == []
    run.summary["sequences"][0]["frame_rate"] = "25"
    assert "x265 on carphone: matched to 0.02 bpp, which is no target of the board" in deviations(board, run)
