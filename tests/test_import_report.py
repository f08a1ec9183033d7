"""Published points beside measured ones in a report: joined where they are of the same content, labelled everywhere."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from published_samples import dcvc_document, write_json
from report_page import build, plain
from report_sample import write_sample
from test_cli import run

from evalsuite.report.merge import merge
from evalsuite.results.load import read_run
from evalsuite.results.published.base import Given
from evalsuite.results.published.write import import_published
from evalsuite.results.tables import bd_table

LABEL = "published, not re-run"
FACTS = {"structure": "random access", "intra_period": 48, "internal_bit_depth": 8, "delay": 29}


def published(tmp_path, *names, codec="VTM", folder="vtm", factor=1.0, given=None, **changes):
    """A run folder of published points of these sequence files."""
    file = write_json(tmp_path / f"{folder}.json", dcvc_document(*names, factor=factor, **changes))
    import_published([file], "dcvc", Given(codec=codec, **(FACTS if given is None else given)), tmp_path / folder)
    return tmp_path / folder


def measured(tmp_path, **changes):
    """x265 on bunny (640x360, 48 frames): psnr_y from 30 at 0.01 bpp, 9 dB a decade."""
    return write_sample(tmp_path / "run", codecs=["x265"], sequences=["bunny"], metrics=["psnr_y", "vmaf"], **changes)


def test_published_points_join_the_measured_sequence_of_their_name(tmp_path):
    made, data = build(tmp_path, measured(tmp_path), published(tmp_path, "Bunny_640x360_24.yuv"))
    assert data["sequences"] == ["bunny"]
    assert {point["codec"]: point["sequence"] for point in data["points"]} == {"x265": "bunny", "VTM": "bunny"}
    assert data["codecs"][1]["note"] == LABEL
    assert "relative to the anchor" in made.text
    assert made.heading().endswith(f"than VTM ({LABEL}) for the same PSNR-Y.")
    assert "content matched by name, size and frames, not by digest" in made.text
    assert "rate source published against file" in made.text
    assert made.row("VTM")[0] == f"VTM {LABEL}"


def test_what_was_published_is_an_anchor(tmp_path):
    runs = [read_run(folder) for folder in (measured(tmp_path), published(tmp_path, "Bunny_640x360_24.yuv"))]
    rows = {(row.metric, row.test, row.anchor, row.sequence): row for row in merge(runs).bd_rows}
    row = rows["psnr_y", "x265", "VTM", "bunny"]
    assert (row.anchor_rate, row.test_rate) == ("published", "file")
    assert row.unlike == "rate source published against file"
    # Nobody published a VMAF, and nobody measured the MS-SSIM: there is nothing to refuse.
    assert {metric for metric, *_ in rows} == {"psnr_y"}


def test_trap02_other_frames_are_not_joined_and_that_is_said(tmp_path):
    short = published(tmp_path, "Bunny_640x360_24.yuv", frames=96)
    made, data = build(tmp_path, measured(tmp_path), short)
    assert data["sequences"] == ["bunny", "Bunny_640x360_24.yuv"]
    assert "Bunny_640x360_24.yuv of VTM against bunny: frames 96 against 48." in made.text


def test_trap02_unknown_frames_are_not_taken_for_equal(tmp_path):
    text = "sequence,bpp,psnr_y\n" + "".join(f"bunny,{0.01 * 2**i},{30 + i}\n" for i in range(4))
    (tmp_path / "a.csv").write_text(text)
    import_published([tmp_path / "a.csv"], "csv", Given(codec="paper"), tmp_path / "paper")
    made, _ = build(tmp_path, measured(tmp_path), tmp_path / "paper")
    assert "bunny of paper against bunny: frames unknown against 48, width unknown against 640" in made.text


def test_properties_that_nobody_published_are_unknown_and_mark(tmp_path):
    folder = published(tmp_path, "Bunny_640x360_24.yuv", given={"intra_period": 48})
    made, _ = build(tmp_path, measured(tmp_path), folder)
    assert "structure unknown against random access" in made.text
    assert "internal bit depth unknown against 8" in made.text
    assert "structure (x265: random access; VTM: unknown)" in made.text


def test_a_codec_is_not_joined_with_a_publication_of_its_name(tmp_path):
    folder = published(tmp_path, "Bunny_640x360_24.yuv", codec="x265", folder="paper")
    _, data = build(tmp_path, measured(tmp_path), folder)
    assert [codec["name"] for codec in data["codecs"]] == ["x265 (run)", "x265 (paper)"]


def test_two_publications_of_one_sequence_meet_without_a_measured_one(tmp_path):
    one = published(tmp_path, "Bunny_640x360_24.yuv", codec="one", folder="one")
    two = published(tmp_path, "bunny_640x360_24fps_420.yuv", codec="two", folder="two", factor=0.5)
    rows = merge([read_run(one), read_run(two)]).bd_rows
    (row,) = [row for row in rows if (row.metric, row.test, row.sequence[:5]) == ("psnr_y", "two", "Bunny")]
    assert row.bd_rate_percent == pytest.approx(-50)


def test_published_points_alone_make_a_report(tmp_path):
    made, data = build(tmp_path, published(tmp_path))
    assert made.heading() == f"Rate and quality of VTM ({LABEL})"
    assert len(data["points"]) == 4
    assert "bytes" not in data["points"][0]["lines"][1]


def test_an_estimated_rate_labels_what_is_made_from_it(tmp_path):
    note = "estimated rate, no bitstream"
    facts = {"x265": {"rate_source": "estimate"}}
    run = write_sample(tmp_path / "run", codec_facts=facts)
    made, data = build(tmp_path, run)
    assert [codec["note"] for codec in data["codecs"]] == ["", note]
    assert made.heading() == f"x265 ({note}) needs 27 % more bits than vvenc for the same VMAF."
    assert made.row("x265")[0] == f"x265 {note}"


def test_unlike_comparisons_are_marked_in_the_table(tmp_path):
    run = write_sample(tmp_path / "run", costs={"x265": {"internal_bit_depth": 10}})
    made, _ = build(tmp_path, run)
    assert made.row("VMAF")[1] == "≠ +27.0 %"
    assert plain(made.row("VMAF")[7]).endswith("≠ internal bit depth 8 against 10")


def test_command_reads_and_says_what_is_unknown(tmp_path):
    file, out = str(write_json(tmp_path / "a.json", dcvc_document())), str(tmp_path / "vtm")
    done = run("import", file, "--format", "dcvc", "--codec", "VTM", "--out", out, "--delay", "0")
    assert done.stdout.splitlines()[0] == "VTM: 4 rate points on 1 sequence, published, not re-run"
    assert "unknown, so comparisons will be marked: structure, intra period, internal bit depth;" in done.stderr
    done = run("import", file, "--format", "dcvc", "--out", out, "--json")
    assert json.loads(done.stdout)["codec"] == "a"
    run("import", file, "--format", "dcvc", "--intra-period", "0", "--out", out, expect=2)


def test_command_counts_one_point_as_one(tmp_path):
    (tmp_path / "a.csv").write_text("sequence,bpp,psnr_y\nbunny,0.1,30\n")
    done = run("import", str(tmp_path / "a.csv"), "--format", "csv", "--out", str(tmp_path / "out"))
    assert done.stdout.splitlines()[0] == "a: 1 rate point on 1 sequence, published, not re-run"


@pytest.fixture(scope="module")
def vtm(request, tmp_path_factory):
    from conftest import GOLDEN

    file = GOLDEN / "vtm-17.0_yuv420_lowdelay_ip-1.json"
    if not file.is_file():
        pytest.skip(f"golden data is not here (../shared/golden/{file.name})")
    folder = tmp_path_factory.mktemp("vtm")
    for codec in ("a", "b"):
        import_published([file], "dcvc", Given(codec=codec), folder / codec)
    return [read_run(folder / codec) for codec in ("a", "b")]


@pytest.mark.parametrize(
    ("qp", "bpp", "psnr"), [(22, 0.0659, 43.03), (31, 0.0134, 39.29), (37, 0.0053, 36.88), (49, 0.00084, 31.69)]
)
def test_golden_dcvc_means_on_uvg(vtm, qp, bpp, psnr):
    points = vtm[0].points
    uvg = points[(points["dataset"] == "UVG") & (points["q"] == qp) & (points["metric"] == "psnr_yuv")]
    assert len(uvg) == 7
    assert uvg["bpp"].mean() == pytest.approx(bpp, abs=5e-5 if bpp > 0.001 else 5e-6)
    assert uvg["score"].mean() == pytest.approx(psnr, abs=0.006)


def test_golden_dcvc_has_53_sequences_and_no_difference_to_itself(vtm):
    one, two = vtm
    assert one.points["sequence"].nunique() == 53
    assert len(one.points.drop_duplicates("cell_key")) == 530
    both = pd.concat([one.points, two.points])
    (mean,) = [
        row for row in bd_table(both[both["metric"] == "psnr_yuv"], "a") if row.sequence == "*" and row.test == "b"
    ]
    assert (mean.bd_rate_percent, mean.bd_quality, mean.sequences) == (0, 0, 53)
    assert mean.unlike == ""
