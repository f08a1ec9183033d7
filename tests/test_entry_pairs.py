"""What entries of a board say of each other: no two of a codec and a date, no codec that is another one's copy."""

from __future__ import annotations

import shutil

import pytest
from publish_samples import add, board_of, edited, unchecked, write_run
from test_entry_forged import all_faults, entry_of, with_

from evalsuite.results.entry import Entry, read_manifest
from evalsuite.results.entry_check import check_entry
from evalsuite.results.entry_files import write_entry
from evalsuite.results.load import read_run

BOARD = board_of()


@pytest.fixture
def board_folder(tmp_path):
    add(tmp_path / "entries", BOARD, tmp_path, {"tvc": 0.8})
    return tmp_path / "entries" / "small"


def again(entry, folder):
    """The entry with its 5th percentiles a millionth higher, which no check can tell from another machine's."""
    scratch = folder / "scratch"
    shutil.copytree(entry.folder, scratch)

    def change(table):
        return table.assign(score=table["score"].where(table["statistic"] != "p5", table["score"] * (1 + 1e-6)))

    edited(Entry(scratch, entry.manifest), points=change)
    (scratch / "entry.json").unlink()
    return write_entry(read_run(scratch), entry.manifest.codec, entry.folder.parent, licence="CC0-1.0")


@pytest.mark.parametrize("codec", ["x265", "tvc"])
def test_two_entries_of_one_codec_and_date(board_folder, tmp_path, codec):
    entry = entry_of(board_folder, codec)
    other = again(entry, tmp_path)
    assert other.manifest.id != entry.manifest.id
    assert check_entry(other.folder, BOARD) == []
    first, _ = sorted((entry.folder.name, other.folder.name))
    expected = f"{codec}: date: 2026-03-01T10:03:20Z is that of another entry of {codec}, {first}"
    assert all_faults(board_folder) == expected


def test_of_two_anchors_of_one_date_the_scores_are_compared(board_folder):
    entry = entry_of(board_folder, "x265")
    other = board_folder / "x265-4.3-ffffffff"
    shutil.copytree(entry.folder, other)
    lower = with_({"score": lambda one: one - 0.5}, "x265", metric="vmaf")
    edited(Entry(other, entry.manifest), points=lower, frames=lower)
    written = write_entry(read_run(_bare(other)), "x265", board_folder, licence="CC0-1.0")
    shutil.rmtree(other)
    assert read_manifest(written.folder).date == entry.manifest.date
    assert "x265: anchor x265 on face, q 40: vmaf mean is" in all_faults(board_folder)


def test_a_codec_is_not_called_as_an_entry_is(board_folder, tmp_path):
    tvc = entry_of(board_folder, "tvc").manifest.id
    add(board_folder.parent, BOARD, tmp_path, {tvc: 0.7, "x265-4.3-00000000": 0.6, "X265": 0.65}, day="2026-04-01")
    assert all_faults(board_folder) == f"tvc: codec {tvc} has the file name of the entry {tvc}"


def _bare(folder):
    (folder / "entry.json").unlink()
    return folder


def test_a_codec_under_another_name_is_no_other_codec(board_folder, tmp_path):
    run = write_run(tmp_path / "copy", BOARD, {"tvc": 0.8}, day="2026-04-01")
    points = run.points
    streams = dict(zip(points["cell_key"], points["bitstream_sha256"], strict=True))
    other = write_run(tmp_path / "other", BOARD, {"better": 0.8}, day="2026-04-01")
    assert not set(other.points["bitstream_sha256"][other.points["codec"] == "better"]) & set(streams.values())
    entry = unchecked(other, "better", board_folder)
    assert all_faults(board_folder) == ""
    of_tvc = points[points["codec"] == "tvc"].drop_duplicates("cell_key")
    theirs = {(row.sequence, row.q): row.bitstream_sha256 for row in of_tvc.itertuples()}

    def change(table):
        mine = table["codec"] == "better"
        keys = zip(table.loc[mine, "sequence"], table.loc[mine, "q"], strict=True)
        table.loc[mine, "bitstream_sha256"] = [theirs[key] for key in keys]
        return table

    edited(entry, points=change)
    shutil.copytree(entry.folder, tmp_path / "scratch")
    shutil.rmtree(entry.folder)
    copy = write_entry(read_run(_bare(tmp_path / "scratch")), "better", board_folder, licence="CC0-1.0")
    assert check_entry(copy.folder, BOARD) == []
    tvc = entry_of(board_folder, "tvc").folder.name
    assert all_faults(board_folder) == f"better: every bitstream of better is one of tvc in {tvc}, and the reverse"
