"""The report folder and the command that writes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from report_page import build
from report_sample import write_sample
from typer.testing import CliRunner

from evalsuite.cli.report import report as report_command
from evalsuite.errors import EvalError, RequestError, StoreError
from evalsuite.report.build import build_report, check_run_folder
from evalsuite.results.load import read_run


def test_building_is_repeatable_and_small(tmp_path):
    run = write_sample(tmp_path / "run")
    first = build_report([run], tmp_path / "first").parent
    second = build_report([read_run(run)], tmp_path / "second").parent
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert (first / path).read_bytes() == (second / path).read_bytes()
    assert (first / "index.html").stat().st_size < 400_000
    assert (first / "index.html").stat().st_mode & 0o077 == 0o044


def test_an_existing_report_is_replaced(tmp_path):
    build(tmp_path, write_sample(tmp_path / "one", codecs=["a", "b", "c"]))
    assert (tmp_path / "report" / "pair-1.html").exists()
    made, _ = build(tmp_path, write_sample(tmp_path / "two", codecs=["a", "b"], sequences=["face"]))
    assert made.heading().startswith("b needs")
    names = {path.name for path in (tmp_path / "report").rglob("*")}
    assert {"pair-0.html", "sequence-0.html", "sequence-0.js"} <= names
    assert not {"pair-1.html", "sequence-1.html", "sequence-1.js"} & names


@pytest.mark.parametrize("name", ["site", "run", "run/pictures", "run/data", "run/report"])
def test_a_folder_of_other_files_is_not_a_place_for_a_report(tmp_path, name):
    run = write_sample(tmp_path / "run")
    other = tmp_path / name
    for path in ("index.html", "data/app.js", "pictures/holiday.jpg"):
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        (other / path).write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match="not a report, and it is not empty"):
        build_report([run], other)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_report_that_was_made_before_there_was_a_marker_is_replaced(tmp_path):
    run = write_sample(tmp_path / "run")
    build_report([run], run / "report")
    (run / "report" / "report.json").unlink()
    check_run_folder(run, with_pictures=True)
    assert "x265" in build_report([run], run / "report").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "with_pictures", "words"),
    [
        ("summary.json", False, "no summary of a run"),
        ("results.parquet", False, "no results.parquet of a run"),
        ("frames.parquet", False, "no frames.parquet of a run"),
        ("bd_rate.csv", False, "no bd_rate.csv of a run"),
        ("report/report.json", False, "not a report"),
        ("report/index.html", False, "not a report"),
        ("report/data/app.js", True, "not a report"),
        ("pictures/holiday.jpg", True, "no folder of pictures"),
        ("pictures/index.json", True, "no folder of pictures"),
    ],
)
def test_a_run_replaces_nothing_of_others(tmp_path, name, with_pictures, words):
    other = tmp_path / "own" / name
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    with pytest.raises(RequestError, match=words):
        check_run_folder(tmp_path / "own", with_pictures=with_pictures)
    command = [sys.executable, "-m", "evalsuite", "run", "--codecs", "x264,x265", "--sequences", "carphone"]
    command += ["--frames", "4", "--metrics", "psnr_y", "--pictures", "all" if with_pictures else "none"]
    command += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "own")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]
    assert other.read_text() == "{}"


def test_a_forecast_is_no_report(tmp_path):
    # Its page has the report's styles and scripts.
    (tmp_path / "index.html").write_text('<script src="report.js"></script>\n<script src="data/forecast.js" defer>')
    with pytest.raises(RequestError, match="not a report"):
        build_report([write_sample(tmp_path / "run")], tmp_path)


def test_a_report_of_others_beside_a_summary_of_a_run_is_not_replaced(tmp_path):
    run = write_sample(tmp_path / "run")
    (run / "report").mkdir()
    (run / "report" / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match="not a report"):
        check_run_folder(run, with_pictures=False)


@pytest.mark.parametrize("name", ["summary.json", "results.parquet", "frames.parquet", "bd_rate.csv"])
def test_a_run_that_is_damaged_may_be_made_again(tmp_path, name):
    run = write_sample(tmp_path / "run")
    (run / name).write_bytes((run / name).read_bytes()[:3])
    check_run_folder(run, with_pictures=False)


def test_a_run_takes_the_place_of_a_run(tmp_path):
    run = write_sample(tmp_path / "run")
    build_report([run], run / "report")
    (run / "pictures").mkdir()
    (run / "pictures" / f"{'0' * 24}.webp").write_bytes(b"")
    check_run_folder(run, with_pictures=True)
    check_run_folder(tmp_path / "new", with_pictures=True)


def test_a_summary_that_cannot_be_written_as_text_leaves_the_report_that_was_there(tmp_path):
    build_report([write_sample(tmp_path / "run")], tmp_path / "report")
    before = {path: path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()}
    other = write_sample(tmp_path / "other", codecs=["a", "b"])
    summary = json.loads((other / "summary.json").read_text())
    summary["run"]["versions"]["scipy"] = "\ud800"
    (other / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(StoreError, match="no Unicode"):
        build_report([other], tmp_path / "report")
    assert {path: path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()} == before


def test_plotly_may_be_beside_several_reports(tmp_path):
    index = build_report([write_sample(tmp_path / "run")], tmp_path / "site" / "report", plotly="../plotly.min.js")
    assert 'src="../plotly.min.js"' in (index.parent / "curves.html").read_text(encoding="utf-8")
    assert not (index.parent / "plotly.min.js").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RequestError, match="cannot be written") as caught:
        build_report([write_sample(tmp_path / "run")], tmp_path / "file" / "report")
    assert caught.value.where == tmp_path / "file" / "report"


def test_no_run_is_refused(tmp_path):
    with pytest.raises(RequestError, match="at least one run"):
        build_report([], tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"summary\.json"):
        build_report([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_command_prints_where_the_page_is(tmp_path):
    app = typer.Typer()
    app.command()(report_command)
    run = str(write_sample(tmp_path / "run"))
    done = CliRunner().invoke(app, [run, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()) == tmp_path / "out" / "index.html"
    done = CliRunner().invoke(app, [run, "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(done.stdout) == {"schema": 1, "report": str(tmp_path / "out" / "index.html")}
    done = CliRunner().invoke(app, [str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, EvalError)


def test_building_imports_neither_torch_nor_plotly(tmp_path):
    run = write_sample(tmp_path / "run")
    script = (
        "import sys, pathlib; from evalsuite.report.build import build_report;"
        f"build_report([pathlib.Path({str(run)!r})], pathlib.Path({str(tmp_path / 'out')!r}));"
        "print([name for name in ('torch', 'plotly', 'lpips', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
