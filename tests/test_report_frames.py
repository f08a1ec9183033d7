"""Pictures of runs in the report: only what is of the run's own cells, under the report's labels, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from frames_sample import TARGET, add_pictures, run_with_pictures, save, still
from report_sample import BREAKOUT, HOSTILE, QUOTES, write_sample

from evalsuite.report.build import build_report
from evalsuite.report.merge import merge
from evalsuite.report.pictures import Pictures, documents, gather, place
from evalsuite.results.load import read_run


def gathered(*folders: Path) -> Pictures:
    runs = [read_run(folder) for folder in folders]
    return gather(runs, merge(runs))


def index_of(folder: Path) -> dict:
    return json.loads((folder / "pictures" / "index.json").read_text())


@pytest.fixture
def run(tmp_path) -> Path:
    return run_with_pictures(tmp_path / "run")


def test_pictures_come_with_points_scores_and_reasons(run):
    shown = gathered(run)
    assert [shot.label for shot in shown.shots] == ["carphone", "face"]
    assert shown.missing == ()
    (rate,) = shown.shots[0].rates
    assert rate.label == "0.04000 bpp"
    assert [side.key for side in rate.sides] == ["source", "vvenc", "x265"]
    assert rate.sides[1].point.target_bpp == TARGET
    assert [(frame.number, frame.why) for frame in rate.frames] == [
        (7, "worst of x265, codecs differ most"),
        (3, "typical"),
    ]
    assert len(shown.files) == 12


def test_the_page_gets_a_document_for_each_sequence(run):
    runs = [read_run(run)]
    report = merge(runs)
    told = dict(documents(gather(runs, report), report))
    assert told["frames"] == {"sequences": ["carphone", "face"]}
    (rate,) = told["frames-0"]["rates"]
    first = rate["frames"][0]
    assert first["score"] == "VMAF 68.00 vvenc, 48.25 x265"
    assert first["scores"] == [
        {"metric": "PSNR-Y", "sign": "↑", "unit": "dB", "values": [None, "∞", "∞"]},
        {"metric": "VMAF", "sign": "↑", "unit": "", "values": [None, "68.00", "48.25"]},
    ]
    assert [one["faces"] for one in first["stills"]] == [[[10.5, 20.0, 30.0, 40.0]]] * 3
    assert all(re.fullmatch(r"pictures/[0-9a-f]{24}\.webp", one["file"]) for one in first["stills"])
    assert rate["clips"] == [None, None, None]


def test_without_pictures_there_is_no_page(tmp_path):
    out = build_report([write_sample(tmp_path / "run")], tmp_path / "report").parent
    assert not (out / "frames.html").exists()
    assert not (out / "pictures").exists()


def test_pictures_of_another_bitstream_or_source_are_not_shown(run):
    index = index_of(run)
    index["cells"][1]["bitstream_sha256"] = "0" * 64
    index["sequences"][1]["sha256"] = "0" * 64
    save(run, index)
    shown = gathered(run)
    assert [shot.label for shot in shown.shots] == ["carphone"]
    assert [side.key for side in shown.shots[0].rates[0].sides] == ["source", "vvenc"]
    assert [(one.what, one.reason.split()[-4:]) for one in shown.missing] == [
        ("x265, carphone", ["that", "is", "shown", "here"]),
        ("face", ["not", "of", "this", "run's", "source"][1:]),
    ]


def test_pictures_of_cells_that_the_run_does_not_have_are_not_shown(run):
    index = index_of(run)
    index["cells"][0]["cell_key"] = "somebody else's"
    save(run, index)
    assert [side.key for side in gathered(run).shots[0].rates[0].sides] == ["source", "x265"]


def test_a_damaged_file_is_left_out_and_named(run):
    index = index_of(run)
    victim = next(one for one in index["stills"] if one["frame"] == 3 and one["cell_key"])
    path = run / "pictures" / victim["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    shown = gathered(run)
    frame = shown.shots[0].rates[0].frames[1]
    assert [one is None for one in frame.stills] == [False, True, False]
    assert any(victim["file"] in one.what and "damaged" in one.reason for one in shown.missing)
    assert victim["file"] not in shown.files


def test_a_frame_without_its_source_is_not_shown(run):
    index = index_of(run)
    victim = next(one for one in index["stills"] if one["frame"] == 7 and not one["cell_key"])
    (run / "pictures" / victim["file"]).unlink()
    assert [frame.number for frame in gathered(run).shots[0].rates[0].frames] == [3]


def test_links_are_not_followed(run, tmp_path):
    index = index_of(run)
    path = run / "pictures" / index["stills"][0]["file"]
    path.rename(tmp_path / "elsewhere.webp")
    path.symlink_to(tmp_path / "elsewhere.webp")
    assert path.name not in gathered(run).files
    moved = (run / "pictures").rename(tmp_path / "moved")
    (run / "pictures").symlink_to(moved)
    shown = gathered(run)
    assert shown.shots == ()
    assert "is a link" in shown.missing[0].reason


def test_a_damaged_index_costs_the_pictures_and_not_the_report(run, tmp_path):
    (run / "pictures" / "index.json").write_text("{")
    out = build_report([run], tmp_path / "report").parent
    assert "not valid JSON" in (out / "frames.html").read_text()
    assert (out / "index.html").is_file()
    assert not (out / "pictures").exists()


def test_files_are_placed_once_and_what_is_stale_goes(run, tmp_path):
    out = build_report([run], tmp_path / "report").parent
    names = {path.name for path in (out / "pictures").iterdir()}
    assert len(names) == 12
    assert (out / "pictures" / sorted(names)[0]).stat().st_nlink == 2  # a link, where the disk allows it
    (out / "pictures" / "stale.webp").write_bytes(b"x")
    (out / "pictures" / sorted(names)[1]).unlink()
    build_report([run], out)
    assert {path.name for path in (out / "pictures").iterdir()} == names
    place(Pictures(), out)
    assert not (out / "pictures").exists()


def test_placing_never_writes_through_a_link(run, tmp_path):
    out, outside = tmp_path / "report", tmp_path / "outside"
    build_report([run], out)
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    shutil.rmtree(out / "pictures")
    (out / "pictures").symlink_to(outside)
    build_report([run], out)
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]
    assert not (out / "pictures").is_symlink()


def test_two_runs_share_the_sequence_and_name_their_rates(tmp_path):
    monday = run_with_pictures(tmp_path / "monday")
    tuesday = run_with_pictures(tmp_path / "tuesday", codecs=("vvenc", "x264"))
    shown = gathered(monday, tuesday)
    assert [shot.label for shot in shown.shots] == ["carphone", "face"]
    assert [rate.label for rate in shown.shots[0].rates] == ["0.04000 bpp (monday)", "0.04000 bpp (tuesday)"]
    assert [side.key for side in shown.shots[0].rates[1].sides] == ["source", "vvenc", "x264"]


def test_a_codec_that_means_two_things_has_the_labels_of_the_report(tmp_path):
    monday = run_with_pictures(tmp_path / "monday")
    tuesday = run_with_pictures(tmp_path / "tuesday", codec_facts={"x265": {"version": "5"}})
    shown = gathered(monday, tuesday)
    # Both runs have the same cells by their keys: the later one's name holds, as for their points.
    assert {side.key for shot in shown.shots for rate in shot.rates for side in rate.sides} <= {
        *("source", "vvenc", "x265 (monday)", "x265 (tuesday)")
    }


def test_a_codec_called_source_can_be_told_from_the_source(tmp_path):
    folder = run_with_pictures(tmp_path / "run", codecs=("vvenc", "source"))
    sides = gathered(folder).shots[0].rates[0].sides
    assert [(side.key, side.name) for side in sides] == [
        ("source", "Source"),
        ("vvenc", "vvenc"),
        ("source (codec)", "source"),
    ]


def test_hostile_names_are_text(tmp_path):
    folder = write_sample(tmp_path / "run", codecs=("vvenc", HOSTILE), sequences=["carphone", QUOTES])
    index = add_pictures(folder, ("carphone", QUOTES))
    index["left_out"] = [{"sequence": QUOTES, "codec": HOSTILE, "reason": BREAKOUT}]
    index["no_faces"] = BREAKOUT
    index["sequences"][0]["converted"] = HOSTILE
    save(folder, index)
    out = build_report([folder], tmp_path / "report").parent
    page = (out / "frames.html").read_text()
    assert "<img src=x" not in page
    assert "alert(2)</script>" not in page
    assert QUOTES not in page  # its quotes are escaped: it ends no attribute
    for path in (out / "data").glob("frames*.js"):
        assert "<" not in path.read_text()


def test_the_gallery_needs_no_script(run, tmp_path):
    out = build_report([run], tmp_path / "report").parent
    page = (out / "frames.html").read_text()
    images = re.findall(r'<img src="(pictures/[0-9a-f]{24}\.webp)" width="(\d+)" height="(\d+)" loading="lazy"', page)
    # The worst frame of source and two codecs, on two sequences.
    assert len(images) == 6
    assert all((out / name).is_file() for name, *_ in images)
    assert images[0][1:] == ("176", "144")
    assert "carphone, frame 7, x265" in page
    assert still(176, 144, 90, 7) == (out / images[0][0]).read_bytes()
    assert not re.search(r"\sstyle=|\son\w+=", page)
