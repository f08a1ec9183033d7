"""Entries that were made up with care: every digest is right, every table follows, and a number is left out or bent."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from publish_samples import add, board_of, edited, sha

from evalsuite.results.board import load_board
from evalsuite.results.entries import check_entries
from evalsuite.results.entry import Entry, read_manifest
from evalsuite.results.entry_anchor import anchor_faults
from evalsuite.results.entry_check import check_entry
from evalsuite.results.load import read_run
from evalsuite.results.plausible_status import implausible_statuses

BOARD = board_of()
ROOT = Path(__file__).parent.parent / "leaderboards"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    add(folder / "entries", BOARD, folder, {"tvc": 0.8})
    return folder / "entries" / "small"


@pytest.fixture
def board_folder(good, tmp_path):
    """A copy of the entries of a board: of tvc, and of the anchor."""
    shutil.copytree(good, tmp_path / "entries" / "small")
    return tmp_path / "entries" / "small"


@pytest.fixture
def copied(board_folder):
    return entry_of(board_folder, "tvc")


def entry_of(folder, codec):
    found = [Entry(path, read_manifest(path)) for path in sorted(folder.iterdir())]
    return next(one for one in found if one.manifest.codec == codec)


def real(board, codec, tmp_path):
    """A copy of a committed entry."""
    entry = entry_of(ROOT / "entries" / board, codec)
    folder = tmp_path / board / entry.folder.name
    shutil.copytree(entry.folder, folder)
    return Entry(folder, entry.manifest)


def said(entry, board=BOARD):
    return "\n".join(fault.text for fault in check_entry(entry.folder, board))


def all_faults(board_folder, board=BOARD):
    _, faults = check_entries(board_folder.parent, [board], all_boards=False)
    return "\n".join(f"{fault.entry.split('/')[1].split('-')[0]}: {fault.text}" for fault in faults)


def rows(table, codec="tvc", *, metric=None, q=None, sequence="face"):
    kept = (table["codec"] == codec) & (table["sequence"] == sequence)
    if metric is not None:
        kept &= table["metric"] == metric
    if q is not None:
        kept &= table["q"] == q
    return kept


def with_(values, codec="tvc", **which):
    def change(table):
        for column, value in values.items():
            kept = rows(table, codec, **which)
            table.loc[kept, column] = value(table.loc[kept, column]) if callable(value) else value
        return table

    return change


# ---------------------------------------------------------------- bitstreams


@pytest.mark.parametrize("column", ["bytes", "width", "height", "frames", "bitstream_sha256", "bpp", "kbps"])
def test_what_every_bitstream_has_is_there(copied, column):
    found = said(edited(copied, points=with_({column: None}), keep_bd=True))
    assert f"tvc on face: a rate point without {column}" in found or f"{column} nan, but" in found


def test_a_size_left_out_everywhere_hides_no_rate(copied):
    def change(table):
        mine = table["codec"] == "tvc"
        table.loc[mine, "bytes"] = None
        table.loc[mine, ["bpp", "kbps"]] *= 0.5
        return table

    assert "a rate point without bytes" in said(edited(copied, points=change))


def test_two_bitstreams_at_one_rate_point(copied):
    def change(table):
        table.loc[rows(table, q=35) & (table["metric"] == "vmaf"), "cell_key"] = sha("other")
        return table

    assert "tvc on face, q 35: one rate point has several bitstreams" in said(edited(copied, points=change))


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize("kept", [lambda frame: frame > 0, lambda frame: frame < 7, lambda frame: frame != 3])
def test_a_mean_is_over_all_frames(copied, kept):
    edited(copied, frames=lambda one: one[kept(one["frame"])])
    assert "tvc on face: psnr_y, ssim, vmaf is over other frames than all of them: 7 of 8" in said(copied)


def test_a_bad_frame_is_not_left_out_as_no_number(copied):
    path = copied.folder / "frames.parquet"
    table = pq.read_table(path)
    scores = np.where(table["frame"].to_numpy() == 3, np.nan, table["score"].to_numpy())
    at = table.schema.get_field_index("score")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(scores)), path)
    edited(copied)
    assert "a score of a frame is no number" in said(copied)


def test_a_change_has_every_frame_but_the_first(tmp_path):
    entry = real("conferencing", "x264:lowdelay", tmp_path)
    edited(entry, frames=lambda one: one[(one["metric"] != "flicker") | (one["frame"] != 20)])
    assert "flicker is over other frames than all of them: 46 of 48" in said(entry, load_board("conferencing"))


@pytest.mark.parametrize("metric", ["identity_cos", "landmark_nme", "face_matched"])
def test_a_face_that_is_found_has_its_scores(tmp_path, metric):
    entry = real("conferencing", "x264:lowdelay", tmp_path)

    def change(table):
        first = table["cell_key"] == table["cell_key"].iloc[0]
        return table[~first | (table["metric"] != metric) | (table["frame"] != 20)]

    edited(entry, frames=change)
    assert f"{metric} leaves out frames that it has" in said(entry, load_board("conferencing"))


def test_where_nothing_counts_the_faces_that_are_found_by_frame_their_curve_does(tmp_path):
    entry = real("ultra-low", "x264", tmp_path)
    keys = set()

    def change(table):
        of_faces = table["metric"] == "identity_cos"
        keys.add(table["cell_key"][of_faces].iloc[0])
        return table[~of_faces | ~table["cell_key"].isin(keys) | (table["frame"] > 20)]

    edited(entry, frames=change)
    found = said(entry, load_board("ultra-low"))
    assert "identity_cos leaves out frames that it has, or has others: 21 of 48" in found


# ---------------------------------------------------------------- profiles


@pytest.mark.parametrize("codec", ["x264:lowdelay", "x265:lowdelay"])
def test_a_profile_is_what_its_formula_says(tmp_path, codec):
    entry = real("conferencing", "x264:lowdelay", tmp_path)
    change = with_({"score": lambda one: one + 2}, codec, metric="profile:conferencing")
    found = said(edited(entry, points=change), load_board("conferencing"))
    assert f"{codec} on face, q" in found
    assert "by its formula" in found


def test_terms_do_not_drop_out_of_a_profile_by_what_it_says(tmp_path):
    entry = real("conferencing", "x264:lowdelay", tmp_path)
    change = with_({"reason": "without lpips (lpips: not today)"}, "x264:lowdelay", metric="profile:conferencing")
    assert "by its formula" in said(edited(entry, points=change), load_board("conferencing"))


def test_a_profile_does_not_stop_to_apply(tmp_path):
    entry = real("conferencing", "x264:lowdelay", tmp_path)
    change = with_(
        {"score": None, "status": "not_applicable", "reason": "only 10 % of the weights have a score; without flicker"},
        "x264:lowdelay",
        metric="profile:conferencing",
    )
    assert "by its formula" in said(edited(entry, points=change), load_board("conferencing"))


# ---------------------------------------------------------------- statuses


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("not_applicable", "tvc on face: vmaf cannot be not_applicable"),
        ("too_small", "640 by 360 samples are not too small for vmaf"),
        ("failed", "tvc on face, q 40: vmaf failed, and no failure is listed"),
    ],
)
def test_a_bad_point_does_not_leave_a_curve_by_its_status(copied, status, expected):
    change = with_({"score": None, "status": status, "reason": "so there"}, metric="vmaf", q=40)
    assert expected in said(edited(copied, points=change))


@pytest.mark.parametrize(
    ("board", "metric", "expected"),
    [
        ("ultra-low", "lpips", "lpips mean is inf, outside 0 to inf"),
        ("streaming", "psnr_yuv", "psnr_yuv is infinite, but none of its planes is"),
    ],
)
def test_a_bad_point_does_not_leave_a_curve_as_endless(tmp_path, board, metric, expected):
    entry = real(board, "svtav1", tmp_path)
    q = read_run(entry.folder).points.query("codec == 'svtav1' and sequence == 'face'")["q"].iloc[0]

    def change(table):
        kept = rows(table, "svtav1", metric=metric, q=q) & (table["statistic"] == "mean")
        table.loc[kept, ["score", "status"]] = [np.inf, "infinite"]
        return table

    assert expected in said(edited(entry, points=change), load_board(board))


def test_no_number_is_no_score(copied):
    run = read_run(copied.folder)
    run.points.loc[rows(run.points, metric="vmaf", q=40), ["score", "status"]] = [np.nan, "nan"]
    assert list(implausible_statuses(run)) == ["tvc on face: vmaf cannot be nan"]


def test_what_is_too_small_is(copied):
    reason = "needs 1000 samples on the shorter side, this has 360"
    change = with_({"score": None, "status": "too_small", "reason": reason}, metric="ssim")
    assert "are not too small for ssim" in said(edited(copied, points=change))


def test_a_failure_is_of_a_whole_bitstream(copied):
    failure = {"codec": "tvc", "sequence": "face", "q": 40.0, "stage": "measure", "message": "x", "cell_key": ""}
    entry = edited(
        copied,
        points=with_({"score": None, "status": "failed", "reason": "measure: x"}, metric="vmaf", q=40),
        summary=lambda one: one["failures"].append({**failure, "command": [], "stderr_tail": ""}),
    )
    assert "tvc on face, q 40: some of its scores failed and others did not" in said(entry)


@pytest.mark.parametrize("metric", ["sent_token_rate", "bits_per_token"])
def test_a_codec_has_tokens_or_it_has_not(tmp_path, metric):
    entry = real("ultra-low", "tvc", tmp_path)
    change = with_({"score": None, "status": "not_applicable", "reason": "the codec reports no tokens"}, metric=metric)
    found = said(edited(entry, points=change), load_board("ultra-low"))
    assert f"{metric} is not_applicable, and has a score elsewhere on codec tvc" in found


def test_a_face_is_lost_only_where_nothing_finds_it(tmp_path):
    entry = real("ultra-low", "x264", tmp_path)
    lost = {"score": None, "status": "not_applicable", "reason": "none of the faces found can be measured"}
    change = with_(lost, "x264", metric="identity_cos")
    found = said(edited(entry, points=change), load_board("ultra-low"))
    assert "identity_cos is not_applicable, and has a score elsewhere on sequence face" in found


# ---------------------------------------------------------------- what metrics are


@pytest.mark.parametrize(
    ("metric", "key", "value"),
    [
        ("vmaf", "unit", "%"),
        ("vmaf", "log_domain_ceiling", None),
        ("vmaf", "family", "tokens"),
        ("vmaf", "range", [0, 1]),
        ("psnr_y", "higher_is_better", False),
    ],
)
def test_a_metric_is_the_installed_one(copied, metric, key, value):
    def points(table):
        if key in table:
            table.loc[table["metric"] == metric, key] = value
        return table

    def summary(document):
        next(one for one in document["metrics"] if one["name"] == metric)[key] = value

    found = said(edited(copied, points=points, summary=summary))
    assert f"metric {metric}: {key} is {value}, version" in found


def test_rows_say_of_a_metric_what_the_summary_does(copied):
    def change(table):
        table.loc[table["metric"] == "vmaf", "log_domain_ceiling"] = 200.0
        return table

    expected = "metric vmaf: log_domain_ceiling 200.0 in results.parquet, 100 in summary.json"
    assert expected in said(edited(copied, points=change))


# ---------------------------------------------------------------- the anchor


def test_entries_beside_that_of_their_anchor(board_folder):
    assert all_faults(board_folder) == ""


def test_the_anchor_has_the_scores_of_its_own_entry(board_folder, copied):
    edited(copied, points=with_({"score": lambda one: one - 0.5}, "x265", metric="vmaf"))
    assert said(copied) == ""
    assert "tvc: anchor x265 on face, q 40: vmaf mean is" in all_faults(board_folder)


def test_the_anchor_has_the_bitstreams_of_its_own_entry(board_folder, copied):
    def change(table):
        mine = table["codec"] == "x265"
        table.loc[mine, "cell_key"] = [sha("new", key) for key in table.loc[mine, "cell_key"]]
        table.loc[mine & (table["metric"] == "vmaf"), "score"] -= 0.5
        return table

    edited(copied, points=change)
    found = all_faults(board_folder)
    assert "tvc: anchor x265: 50 bitstreams more or fewer than in the board's own entry of it" in found
    # Of those whose bytes are the same, scores are told apart by the digest of the bitstream.
    assert "vmaf mean is" in found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe_sha256", sha("x")),
        ("binary_sha256", {"prog": sha("x")}),
        ("files", {"weights": sha("x")}),
    ],
)
def test_the_anchor_is_the_boards(board_folder, copied, key, value):
    def summary(document):
        next(one for one in document["codecs"] if one["name"] == "x265")[key] = value

    edited(copied, summary=summary)
    assert all_faults(board_folder) == f"tvc: anchor x265: another {key} than in the board's own entry of it"


def test_an_anchor_has_an_entry(board_folder):
    shutil.rmtree(entry_of(board_folder, "x265").folder)
    assert all_faults(board_folder) == "tvc: the board has no entry of its anchor x265"
    # Of an earlier protocol it may have none.
    assert all_faults(board_folder, board_of(version=3, threads=2)) == ""


def test_an_older_anchor_is_held_against_by_older_entries_alone(tmp_path):
    entries = tmp_path / "entries"
    add(entries, BOARD, tmp_path, {"tvc": 0.8}, day="2026-03-01")
    add(entries, BOARD, tmp_path, {"vvenc": 0.7}, day="2026-05-01", anchor_version="4.4")
    assert all_faults(entries / "small") == ""
    add(entries, BOARD, tmp_path, {"x264": 1.4}, day="2026-06-01", anchor_version="4.3")
    assert all_faults(entries / "small") == "x264: anchor x265: the board has a newer one since 2026-05-01T10:03:20Z"


def test_anchors_agree_about_one_bitstream(board_folder, tmp_path):
    old = entry_of(board_folder, "x265")
    newer = board_folder / "x265-4.3-00000000"
    shutil.copytree(old.folder, newer)
    change = with_({"score": lambda one: one - 0.5}, "x265", metric="vmaf")
    frames = with_({"score": lambda one: one - 0.5}, "x265", metric="vmaf")
    edited(Entry(newer, old.manifest), points=change, frames=frames)
    late = Entry(newer, replace(old.manifest, date="2026-04-01T00:00:00Z"))
    (fault, *_) = anchor_faults([old, late], BOARD)
    assert fault.text.startswith("anchor x265 on face, q 40: vmaf")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("key", ["codec", "preset", "anchor", "dataset"])
@pytest.mark.parametrize("value", ["=1+1|x", "=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_a_name_is_no_formula(copied, key, value):
    edited(copied, manifest=lambda one: replace(one, **{key: value}))
    assert "which does not match" in said(copied)
