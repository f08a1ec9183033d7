"""Scores of single frames: the table and the data of the page `time`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_frames import scores, with_frames
from report_page import Page, document
from report_sample import write_sample

from evalsuite.errors import StoreError
from evalsuite.report import timeline
from evalsuite.report.build import build_report
from evalsuite.report.data import shown_sequences
from evalsuite.report.merge import merge
from evalsuite.results.load import read_run

METRICS = ("psnr_y", "vmaf", "lpips")


def sample(folder: Path, frames: dict[str, Any] | None = None, **changes: Any) -> Path:
    return with_frames(write_sample(folder, metrics=METRICS, **changes), **(frames or {}))


def read(index: Path) -> Page:
    return Page(index.with_name("time.html").read_text(encoding="utf-8"))


def data(index: Path, metric: str, sequence: int = 0) -> list[dict[str, Any]]:
    place = document(index.parent, "time")["metrics"].index(metric)
    return document(index.parent, f"time-{sequence}-{place}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("time")
    odd = {("x265", "psnr_y"): {5: np.inf, 9: np.nan}}
    frames = {"odd": odd, "later": ["lpips"], "without_scores": [("x265", "vmaf")]}
    return build_report([sample(folder / "run", frames)], folder / "report")


def test_the_table_names_the_worst_frames(tmp_path):
    page = read(build_report([sample(tmp_path / "run")], tmp_path / "report"))
    # At 0.01 bpp vvenc scores 35 on carphone; the last drop of 60 frames is the deepest.
    worst = scores(35.0, 60)
    assert page.row("carphone") == [
        "carphone",
        "0.01 bpp, 7.6 kbps",
        "vvenc",
        "35.00",
        "33.20",
        f"{worst.min():.2f}",
        "41",
    ]
    assert int(worst.argmin()) == 41
    assert page.row("0.04")[0] == "0.04 bpp, 30.4 kbps"
    rates = [row[0] if len(row) == 6 else row[1] for row in page.rows[1:] if row[0]]
    assert not any(rate.startswith(("0.02", "0.08")) for rate in rates)


def test_there_is_no_page_without_frames(tmp_path):
    index = build_report([write_sample(tmp_path / "run")], tmp_path / "report")
    assert not index.with_name("time.html").exists()
    assert not list(index.parent.glob("data/time*"))
    assert "time.html" not in document(index.parent, "report")["pages"]


def test_the_data_have_every_frame(report):
    rates = data(report, "psnr_y")
    assert [rate["target"] for rate in rates] == [0.01, 0.02, 0.04, 0.08]
    assert rates[0]["title"].replace("\u202f", " ") == "0.01 bpp, 7.6 kbps"
    anchor, test = rates[0]["cells"]
    assert (anchor["codec"], test["codec"]) == (0, 1)
    assert anchor["scores"] == pytest.approx(scores(30.0, 60), abs=0.005)
    assert "frames" not in anchor
    assert anchor["worst"][0] == [41, round(scores(30.0, 60).min(), 2)]
    assert (anchor["mean"], anchor["p5"]) == (30.0, 29.64)
    # What has no place on an axis has its text.
    assert (test["scores"][5], test["scores"][9]) == ("∞", "–")
    assert all(frame not in (5, 9) for frame, _ in test["worst"])


def test_frames_that_a_metric_does_not_apply_to_are_left_out(report):
    cell = data(report, "lpips")[0]["cells"][0]
    assert cell["frames"] == list(range(1, 60))
    assert len(cell["scores"]) == 59
    # Lower is better: the worst frame is the highest.
    assert cell["worst"][0][1] == max(cell["scores"])


def test_a_codec_without_frames_says_so(report):
    anchor, test = data(report, "vmaf")[0]["cells"]
    assert "gap" not in anchor
    assert test["gap"] == "no scores of single frames"


def test_scores_that_failed_have_their_reason(tmp_path):
    run = sample(tmp_path / "run", gaps={("lpips", "carphone"): "unavailable"})
    index = build_report([run], tmp_path / "report")
    cell = data(index, "lpips")[0]["cells"][0]
    assert cell["gap"] == "unavailable: the LPIPS weights could not be fetched: no network"


def test_a_codec_that_the_others_were_matched_to_stands_with_them(tmp_path):
    run = sample(tmp_path / "run", targets=(0.01, 0.02, 0.04))
    results = read_run(run)
    results.points.loc[results.points["codec"] == "vvenc", "target_bpp"] = np.nan
    found = merge([results])
    names = shown_sequences(found)
    document = next(own for name, own in timeline.documents(found, names) if name == "time-0-0")
    assert [[cell["codec"] for cell in rate["cells"]] for rate in document] == [[0, 1]] * 3
    # Their bits are where the documents of traffic have them: at the same target.
    assert [cell["place"] for cell in document[0]["cells"]] == [0, 0]


def test_a_later_run_of_a_metric_of_another_version_is_another(tmp_path):
    first = sample(tmp_path / "first")
    second = with_frames(write_sample(tmp_path / "second", metrics=METRICS, metric_facts={"version": "2"}))
    found = merge([read_run(first), read_run(second)])
    assert len(timeline.per_frame(found)) == 6
    for metric in timeline.per_frame(found):
        assert len(timeline.read(found, metric)) == 40


def test_a_missing_file_is_an_error(tmp_path):
    run = sample(tmp_path / "run")
    (run / "frames.parquet").unlink()
    with pytest.raises(StoreError):
        build_report([run], tmp_path / "report")


# ---------------------------------------------------------------- bounds


def test_thinning_keeps_the_extremes_of_every_stretch():
    values = np.sin(np.arange(1000) / 7)
    values[[123, 777]] = -5, 5
    values[400] = np.nan
    kept = timeline.thinned(values, 100)
    assert len(kept) <= 100
    assert {123, 777} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    # No stretch is without a frame.
    assert np.diff(kept).max() <= 2 * 20
    assert timeline.thinned(values, 1000).tolist() == list(range(1000))
    assert timeline.thinned(np.full(50, np.nan), 10).tolist() == [0, 10, 20, 30, 40]


def test_a_long_sequence_is_thinned_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "MOST_FRAMES", 20)
    index = build_report([sample(tmp_path / "run")], tmp_path / "report")
    cell = data(index, "vmaf")[0]["cells"][0]
    assert cell["thinned"]
    assert len(cell["scores"]) <= 20
    assert cell["worst"][0][0] == 41
    assert 41 in cell["frames"]
    assert "Of more than 20 frames the best and the worst of every stretch are drawn" in read(index).text


def test_a_large_report_has_three_rates_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "MOST_VALUES", 3000)
    index = build_report([sample(tmp_path / "run", targets=(0.01, 0.02, 0.03, 0.04, 0.08))], tmp_path / "report")
    assert [rate["target"] for rate in data(index, "vmaf")] == [0.01, 0.03, 0.08]
    assert "only the lowest, the middle and the highest rate" in read(index).text
    total = sum(
        len(cell["scores"])
        for name in ("psnr_y", "vmaf", "lpips")
        for sequence in range(5)
        for rate in data(index, name, sequence)
        for cell in rate["cells"]
    )
    assert total <= 3000


def test_a_small_report_is_whole(report):
    assert not any(one.get("id") == "left-out" for _, one in read(report).tags)
