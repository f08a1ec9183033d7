import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results_samples import frames, point, points, summary

from evalsuite.errors import StoreError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA
from evalsuite.results.load import FrameScores, read_run, write_results
from evalsuite.results.tables import bd_table

FILES = {"results.parquet", "frames.parquet", "bd_rate.csv", "summary.json"}


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    write_results(folder, points(), frames(), summary())
    return folder


def test_round_trip(run):
    assert {path.name for path in run.iterdir()} == FILES
    results = read_run(run)
    assert list(results.points.columns) == POINTS_SCHEMA.names
    expected = pd.DataFrame(points())
    assert results.points["score"].tolist() == expected["score"].tolist()
    assert results.points["bytes"].tolist() == expected["bytes"].tolist()
    assert results.summary["sequences"][0]["frame_rate"] == "30000/1001"
    assert results.summary["failures"][0]["stage"] == "encode"
    assert results.summary["metrics"][0]["range"] == [0, None]


def test_frames_are_read_by_metric_and_cell(run):
    results = read_run(run)
    assert list(results.frames().columns) == FRAMES_SCHEMA.names
    assert len(results.frames()) == 9
    assert results.frames(metric="vmaf")["score"].tolist() == [90, 91, 92]
    assert results.frames(metric="psnr_y", cell_key="vvenc0")["frame"].tolist() == [0, 1, 2]


def test_trap23_nan_and_inf_survive_storage(tmp_path):
    """Infinite, NaN and no score at all stay three different things."""
    rows = [
        point(score=math.inf, status="infinite", reason="identical frames"),
        point(score=math.nan, status="nan", reason="0/0"),
        point(score=None, status="too_small", reason="below 176 pixels"),
        point(score=None, status="not_applicable", reason="no faces"),
        point(score=None, status="unavailable", reason="no weights"),
        point(score=None, status="failed", reason="x265 exited with code 1", q=None, bpp=None, bytes=None),
        point(),
    ]
    write_results(tmp_path, rows, frames(), summary())
    on_disk = pq.read_table(tmp_path / "results.parquet")
    assert on_disk["score"].is_null().to_pylist() == [False, False, True, True, True, True, False]
    read = read_run(tmp_path).points
    assert read["status"].tolist() == [row["status"] for row in rows]
    assert read["reason"].tolist() == [row["reason"] for row in rows]
    assert read["score"][0] == math.inf
    assert math.isnan(read["score"][1])
    assert read["bytes"].dtype == "Int64"
    assert read["bytes"].isna().tolist() == [False] * 5 + [True, False]
    scores = read_run(tmp_path).frames(cell_key="x2650", metric="psnr_y")["score"].tolist()
    assert scores[:2] == [38.0, math.inf]
    assert math.isnan(scores[2])


def test_trap21_frames_without_a_score_have_no_row(tmp_path):
    some = FrameScores("x2650", "x265", "carphone", 30.0, "face_recall", np.array([0.5, math.nan]), np.array([3, 7]))
    write_results(tmp_path, points(), [*frames(), some], summary())
    read = read_run(tmp_path).frames(metric="face_recall")
    assert read["frame"].tolist() == [3, 7]
    assert read["score"][0] == 0.5
    assert math.isnan(read["score"][1])
    assert read_run(tmp_path).frames(metric="vmaf")["frame"].tolist() == [0, 1, 2]


def test_trap23_json_has_no_inf(tmp_path):
    document = summary()
    document["request"] = {"limits": [math.inf, -math.inf, math.nan, np.float64("inf"), 1.5]}
    write_results(tmp_path, points(), frames(), document)
    text = (tmp_path / "summary.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    assert read_run(tmp_path).summary["request"]["limits"] == [None, None, None, None, 1.5]


def test_rows_that_break_the_contract_are_never_written(tmp_path):
    lacking = point()
    del lacking["kbps"]
    for row, said in (
        (lacking, "kbps"),
        (point(extra=1), "extra"),
        (point(width="wide"), "does not fit"),
        (point(codec=None), "codec has a null"),
    ):
        with pytest.raises(StoreError, match=said):
            write_results(tmp_path / "run", [row], [], summary())
    assert not (tmp_path / "run").exists()


def test_a_summary_that_breaks_the_contract_is_never_written(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for change in ({"bd_rate": [{"metric": "psnr_y"}]}, {"codecs": {}}, {"failures": ["it failed"]}):
        with pytest.raises(StoreError, match="not the summary of a run"):
            write_results(run, points(), frames(), summary() | change)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_no_points_at_all(tmp_path):
    write_results(tmp_path, [], [], summary())
    assert len(read_run(tmp_path).points) == 0
    assert len(read_run(tmp_path).frames()) == 0


def test_bd_rate_csv_is_the_summary_s_table(run):
    with (run / "bd_rate.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == BD_COLUMNS
    for row, told in zip(rows, read_run(run).summary["bd_rate"], strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in told.items()}
    assert [row["sequence"] for row in rows] == ["carphone", "*"]


def test_a_folder_that_looks_like_a_partition(tmp_path):
    write_results(tmp_path / "codec=none", points(), frames(), summary())
    assert set(read_run(tmp_path / "codec=none").points["codec"]) == {"x265", "vvenc"}
    assert list(read_run(tmp_path / "codec=none").frames().columns) == FRAMES_SCHEMA.names


def test_many_frames_are_written_in_batches(tmp_path):
    many = (FrameScores(f"c{i}", "x265", "s", 1.0, "psnr_y", np.arange(500.0)) for i in range(300))
    write_results(tmp_path, points(), many, summary())
    assert pq.ParquetFile(tmp_path / "frames.parquet").num_row_groups == 3
    found = read_run(tmp_path).frames()
    assert len(found) == 150_000
    assert found.groupby("cell_key")["score"].sum().eq(499 * 500 / 2).all()


def test_rewriting_replaces_the_run(run):
    write_results(run, points()[:2], frames()[:1], summary())
    assert {path.name for path in run.iterdir()} == FILES
    assert len(read_run(run).points) == 2
    assert len(read_run(run).frames()) == 3


def test_a_mixture_of_two_runs_is_noticed(run, tmp_path):
    other = tmp_path / "other"
    write_results(other, points()[:2], frames()[:1], summary())
    shutil.copy(other / "results.parquet", run)
    with pytest.raises(StoreError, match="of another run") as error:
        read_run(run)
    assert "to do: make the run again" in str(error.value)


@pytest.mark.parametrize("name", sorted(FILES - {"bd_rate.csv"}))
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(StoreError, match=name):
        read_run(run).frames()


def test_no_folder_and_foreign_folder(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreError, match="not the folder of a finished run"):
            read_run(folder)
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": 2}', '{"schema": 3}', "NaN", "[" * 100_000, "\udcff", '{"schema": NaN}'],
)
def test_foreign_summaries(run, text):
    (run / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=r"summary"):
        read_run(run)


def damaged(run: Path, name: str, content: bytes) -> bool:
    """Whether reading the run raises a StoreError with that content in the file."""
    original = (run / name).read_bytes()
    (run / name).write_bytes(content)
    try:
        results = read_run(run)
        results.frames()
        bd_table(results.points, "x265")
    except StoreError:
        return True
    finally:
        (run / name).write_bytes(original)
    return False


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["results.parquet", "frames.parquet", "summary.json"]), st.data())
def test_truncated_files_are_noticed(run, name, data):
    content = (run / name).read_bytes()
    end = data.draw(st.integers(0, len(content) - 3))  # two bytes: the last brace and newline of the JSON
    assert damaged(run, name, content[:end])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["results.parquet", "frames.parquet"]), st.data())
def test_changed_bytes_are_noticed(run, name, data):
    content = bytearray((run / name).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    assert damaged(run, name, bytes(content))


@pytest.mark.parametrize("name", ["results.parquet", "frames.parquet"])
def test_a_foreign_table_is_refused_even_with_the_right_digest(run, name):
    import hashlib

    path = run / name
    for content in (b"PAR1 but not really PAR1", b""):
        path.write_bytes(content)
        _sign(run, name, hashlib.sha256(content).hexdigest(), len(content))
        with pytest.raises(StoreError, match=f"{name} cannot be read"):
            read_run(run).frames()
    pq.write_table(pa.table({"codec": ["x265"], "psnr": [30.0]}), path)
    _sign(run, name, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    with pytest.raises(StoreError, match="does not have the columns of schema 3"):
        read_run(run).frames()


def _sign(run: Path, name: str, sha256: str, size: int) -> None:
    document = json.loads((run / "summary.json").read_text())
    document["files"][name] = {"bytes": size, "sha256": sha256}
    (run / "summary.json").write_text(json.dumps(document))


def test_full_disk_leaves_the_earlier_run_whole(run):
    """A file size limit is met in the same way as a full disk: a write fails half way."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    program = (
        "import sys, resource; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import results_samples as t; from evalsuite.errors import StoreError\n"
        "from evalsuite.results.load import write_results\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_results(Path(sys.argv[2]), t.points(), t.frames(), t.summary())\n"
        "except StoreError as error: print(error); raise SystemExit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(run)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 7, done.stderr
    assert "the results cannot be written" in done.stdout
    assert "--out" in done.stdout
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_results(tmp_path / "file" / "run", points(), frames(), summary())


def test_read_only_folder(run):
    if os.geteuid() == 0:
        pytest.skip("root writes to read-only folders; needs an ordinary user")
    run.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            write_results(run, points(), frames(), summary())
    finally:
        run.chmod(0o700)
