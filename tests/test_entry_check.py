"""Every way that an entry can be wrong is a listed fault, and none is a traceback."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from publish_samples import HOSTILE, add, board_of, edited, sha, signed, unchecked, write_run

from evalsuite.results.entries import check_entries
from evalsuite.results.entry import Entry, read_manifest
from evalsuite.results.entry_check import check_entry
from evalsuite.results.layout import POINTS_SCHEMA

BOARD = board_of()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    entries = add(folder / "entries", BOARD, folder, {"tvc": 0.8})
    return {one.manifest.codec: one for one in entries}


@pytest.fixture
def copied(good, tmp_path):
    """A copy of the entry of tvc, to be spoiled."""
    folder = tmp_path / "small" / good["tvc"].folder.name
    shutil.copytree(good["tvc"].folder, folder)
    return Entry(folder, good["tvc"].manifest)


def said(entry, board=BOARD):
    faults = check_entry(entry.folder, board)
    assert all(fault.entry == f"{board.name}/{entry.folder.name}" and fault.fix for fault in faults)
    return "\n".join(fault.text for fault in faults)


def test_a_copy_is_as_good(copied):
    assert said(copied) == ""


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["results.parquet", "frames.parquet", "bd_rate.csv", "summary.json", "entry.json"])
def test_a_file_that_is_missing_changed_or_a_link(copied, tmp_path, name):
    path = copied.folder / name
    kept = path.read_bytes()
    path.unlink()
    assert f"{name} is missing" in said(copied)
    path.symlink_to(tmp_path / "elsewhere")
    assert f"{name} is not a file" in said(copied)
    (tmp_path / "elsewhere").write_bytes(kept)
    assert f"{name} is not a file" in said(copied)
    path.unlink()
    path.mkdir()
    assert f"{name} is not a file" in said(copied)
    path.rmdir()
    path.write_bytes(kept + b" ")
    assert said(copied) or name == "entry.json"
    path.write_bytes(b"x")
    assert said(copied)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert "the most is" in said(copied)


def test_a_file_that_does_not_belong_there(copied):
    (copied.folder / "run.sh").write_text("echo")
    assert "'run.sh' does not belong there" in said(copied)


def test_a_folder_that_is_a_link(copied, tmp_path):
    link = copied.folder.parent / "link"
    link.symlink_to(copied.folder)
    assert said(Entry(link, copied.manifest)) == "not a folder"


def test_what_lies_beside_entries(good, copied, tmp_path):
    shutil.copytree(good["x265"].folder, copied.folder.parent / good["x265"].folder.name)
    (copied.folder.parent / "notes.txt").write_text("x")
    (tmp_path / "unknown").mkdir()
    (tmp_path / ".gitkeep").touch()
    count, faults = check_entries(tmp_path, [BOARD], all_boards=True)
    assert count == 2
    assert {(one.entry, one.text) for one in faults} == {
        ("small/notes.txt", "not an entry"),
        ("unknown", "there is no board of this name"),
    }
    assert check_entries(tmp_path, [board_of(name="other")], all_boards=False) == (0, [])
    assert check_entries(tmp_path / "nowhere", [BOARD], all_boards=True) == (0, [])


# ---------------------------------------------------------------- the manifest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"codec": "x264"}, "not of x264 and x265"),
        ({"codec_version": "9"}, "codec_version is 9"),
        ({"date": "2999-01-01T00:00:00Z"}, "has not come yet"),
        ({"preset": "slow"}, "preset is slow"),
        ({"dataset": "other"}, "dataset is other"),
        ({"identity": "0" * 64}, "identity is 0000"),
        ({"id": "tvc-1.0-00000000"}, "must be called tvc-1.0-00000000"),
        ({"anchor": "x264"}, "another anchor"),
        ({"sequences": ("face",)}, "sequences is face"),
        ({"evalsuite": "9.9"}, "evalsuite is 9.9"),
        ({"board": {"name": "small", "version": 2, "sha256": "0" * 64}}, "board is"),
        ({"board": {"name": "small", "version": 3, "sha256": "0" * 64}}, "which has version 2"),
        ({"board": {"name": "other", "version": 2, "sha256": "0" * 64}}, "lies among those of small"),
    ],
)
def test_a_manifest_that_says_something_else(copied, change, expected):
    changed = edited(copied, manifest=lambda one: replace(one, **change))
    assert expected in said(changed)


def test_a_folder_with_another_name(copied):
    moved = copied.folder.rename(copied.folder.parent / "tvc-1.0-00000000")
    assert f"the folder must be called {copied.manifest.id}" in said(Entry(moved, copied.manifest))


def test_unknown_keys_are_refused(copied):
    document = json.loads((copied.folder / "entry.json").read_text())
    (copied.folder / "entry.json").write_text(json.dumps({**document, "script": 1}))
    assert "'script', which is not known" in said(copied)
    (copied.folder / "entry.json").write_text(json.dumps(document))
    assert "'script' is not known" in said(edited(copied, summary=lambda one: {**one, "script": 1}))


def test_paths_in_file_names_are_refused(copied):
    document = json.loads((copied.folder / "entry.json").read_text())
    document["files"]["../../secret"] = document["files"]["bd_rate.csv"]
    (copied.folder / "entry.json").write_text(json.dumps(document))
    assert "which is not known" in said(copied)


def test_an_entry_of_an_earlier_protocol_is_held_to_all_but_the_protocol(copied):
    newer = board_of(version=3, threads=2)
    assert said(copied, newer) == ""
    edited(copied, points=lambda one: one.assign(bpp=one["bpp"] * 2))
    assert "bpp" in said(copied, newer)


def test_a_protocol_that_is_not_kept(copied):
    assert "another protocol that calls itself version 2" in said(copied, board_of(threads=2))


def test_a_codec_that_was_not_measured_is_no_entry(tmp_path):
    gaps = {("tvc", name): "failed" for name in BOARD.metrics}
    entry = unchecked(write_run(tmp_path / "run", BOARD, {"tvc": 0.8}, gaps=gaps), "tvc", tmp_path / "small")
    assert "nothing of tvc was measured" in said(entry)


# ---------------------------------------------------------------- numbers


def points(**columns):
    """Change values of the rows of the first rate point of tvc on face."""

    def change(table):
        rows = (table["codec"] == "tvc") & (table["sequence"] == "face") & (table["q"] == 40)
        for column, value in columns.items():
            table.loc[rows, column] = value(table.loc[rows, column]) if callable(value) else value
        return table

    return change


def of_metric(name, statistic, value):
    def change(table):
        rows = (table["codec"] == "tvc") & (table["metric"] == name) & (table["statistic"] == statistic)
        table.loc[rows, "score"] = value(table.loc[rows, "score"]) if callable(value) else value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (points(bytes=1), "bpp 0.01, but"),
        (points(bpp=0.02), "bpp 0.02, but 0.01 by its size"),
        (points(kbps=1.0), "kbps 1, but"),
        (points(frame_rate=24.0), "frame_rate 24, but 25"),
        (points(encode_wall_s=0.0), "encode_wall_s must be above 0"),
        (points(decode_wall_s=-1.0), "decode_wall_s must be above 0"),
        (points(encode_cpu_s=np.inf), "encode_cpu_s must be 0 or more"),
        (points(bitstream_sha256="a file"), "bitstream_sha256 holds what is no sha256"),
        (points(bitstream_sha256=None), "bitstream_sha256 holds what is no sha256"),
        (points(bitstream_sha256=lambda one: [sha("x"), *one[1:]]), "disagree about bitstream_sha256"),
        (points(preset="slow"), "preset slow in results.parquet"),
        (points(codec_version="2"), "version 2 in results.parquet"),
        (points(threads=2), "codec tvc: threads 2"),
        (points(source_sha256=sha("x")), "source sha256"),
        (of_metric("vmaf", "mean", 100.5), "vmaf mean is 100.5, outside 0 to 100"),
        (of_metric("psnr_y", "mean", -1.0), "psnr_y mean is -1, outside 0 to inf"),
        (of_metric("vmaf", "worst", lambda one: one + 30), "vmaf worst is better than its mean"),
        (of_metric("vmaf", "mean", lambda one: one + 0.001), "by its frames"),
        (of_metric("vmaf", "mean", 70.0), "vmaf is 70 at all of 5 rates"),
        (of_metric("psnr_y", "mean", lambda one: 70 - one), "psnr_y falls by 12.0"),
        (of_metric("ssim", "mean", 1.0), "ssim is 1, but psnr_y is not infinite"),
    ],
)
def test_numbers_that_cannot_be_true(copied, change, expected):
    assert expected in said(edited(copied, points=change))


def test_perfect_frames_are_perfect_by_all(copied):
    def perfect(table):
        rows = (table["codec"] == "tvc") & (table["metric"] == "psnr_y")
        table.loc[rows, ["score", "status"]] = [np.inf, "infinite"]
        return table

    found = said(edited(copied, points=perfect))
    assert "psnr_y is infinite, but ssim is not 1" in found
    assert "psnr_y is infinite, but vmaf is below 90" in found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one.assign(score=one["score"] + 0.01), "by its frames"),
        (lambda one: one.iloc[:0], "without frames in frames.parquet"),
        (lambda one: one[one["metric"] != "ssim"], "tvc on face: ssim without frames"),
        (lambda one: one.assign(frame=one["frame"] + 1), "a frame beyond the number of frames"),
        (lambda one: one.assign(frame=0), "a frame stands there twice"),
        (lambda one: one.assign(cell_key="x"), "bitstreams that results.parquet does not have"),
    ],
)
def test_frames_that_are_not_those_of_the_means(copied, change, expected):
    assert expected in said(edited(copied, frames=change))


def summary_of(path, value):
    def change(summary):
        inner = summary
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return summary

    return change


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("bd_rate", 0, "bd_rate_percent"), -30.0, "bd_rate_percent of psnr_y, tvc on bikes is -30.0, by the points"),
        (("bd_rate", 5, "ci_low"), None, "ci_low of psnr_y, tvc on * is None"),
        (("bd_rate", 0, "reason"), "so there", "reason of psnr_y, tvc on bikes"),
        (("bd_rate",), [], "bd_rate has 0 rows, the points make 18"),
        (("rate_match", 0, "bpp"), 0.5, "0.5 bpp in summary.json, 0.01 in results.parquet"),
        (("rate_match", 0, "deviation_percent"), 5.0, "5 % is not how far"),
        (("rate_match", 0, "q"), 1e400, "Infinity is not JSON"),
        (("codecs", 0, "recipe_sha256"), "x", "its digest is no sha256"),
        (("codecs", 0, "name"), "x264", "not of tvc and x265"),
        (("run", "finished"), "yesterday", "run.finished"),
        (("run", "finished"), "2026-03-02T00:00:00Z", "date is"),
        (("sequences", 0, "frame_rate"), "1e999999999", "is no frame rate"),
        (("sequences", 0, "width"), 10**400, ""),
        (("sequences",), [], "no sequences"),
        (("metrics", 0, "range"), ["low", "high"], "not number or null"),
        (("request", "board"), None, "made by no board"),
        (("outcomes", "failed"), 3, "3 were counted, 0 are listed"),
        (("schema",), 99, "schema 99"),
        (("run",), {}, "has no started"),
        (("run", "machine"), HOSTILE, "not object"),
        (("run", "commit"), "\ud800", "no Unicode"),
    ],
)
def test_summaries_that_cannot_be_true(copied, path, value, expected):
    changed = edited(copied, summary=summary_of(path, value))
    assert said(changed)
    assert expected in said(changed)


def test_a_table_of_rates_that_is_not_the_summarys(copied):
    path = copied.folder / "bd_rate.csv"
    path.write_text(path.read_text().replace("vmaf", "vnaf"), newline="")
    assert "bd_rate.csv is not the bd_rate of summary.json" in said(signed(copied))


# ---------------------------------------------------------------- tables that are traps


def trap(copied, table, **how):
    pq.write_table(table, copied.folder / "results.parquet", **how)
    summary = json.loads((copied.folder / "summary.json").read_text())
    return edited(copied, summary=lambda one: summary)


def test_a_small_file_with_a_huge_table(copied):
    table = pq.read_table(copied.folder / "results.parquet")
    many = pa.concat_tables([table.slice(0, 1)] * 3000).combine_chunks()
    long = many.set_column(
        many.schema.get_field_index("reason"),
        POINTS_SCHEMA.field("reason"),
        pa.array(["x" * 500_000] * len(many), pa.string()),
    )
    changed = trap(copied, long, compression="zstd", use_dictionary=True)
    assert (copied.folder / "results.parquet").stat().st_size < 4 << 20
    assert "bytes of text" in said(changed)


def test_a_table_with_more_rows_than_any_board_has(copied):
    table = pq.read_table(copied.folder / "results.parquet").slice(0, 1)
    many = table.take(pa.array(np.zeros(1_000_001, dtype=np.int64)))
    assert "1000001 rows" in said(trap(copied, many, compression="zstd"))


def test_a_table_of_other_columns(copied):
    assert "does not have the columns" in said(trap(copied, pa.table({"x": [1]})))


def test_a_name_that_is_markup_is_text(copied):
    assert said(edited(copied, manifest=lambda one: replace(one, note=HOSTILE, by=HOSTILE))) == ""
    assert read_manifest(copied.folder).note == HOSTILE
