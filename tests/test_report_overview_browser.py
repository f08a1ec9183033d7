"""The overview's ranking and the means of the curves in a real browser."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from report_browser import eventually
from report_sample import write_sample

from evalsuite.report.build import build_report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overview")
    run = write_sample(folder / "run", codecs=["vvenc", "x265", "x264"])
    return build_report([run], folder / "report")


@pytest.fixture(scope="module")
def curves(report: Path) -> Path:
    return report.with_name("curves.html")


def ranking(page: Any) -> list[list[str]]:
    return page.evaluate(
        "[...document.querySelectorAll('#ranking-table tbody tr')]"
        ".map(r => [...r.cells].map(c => c.textContent.trim()))"
    )


def test_any_codec_is_the_anchor_of_the_ranking(tab, report):
    page = tab().open(report)
    eventually(page, "document.querySelectorAll('#ranking-table tbody tr').length === 2")
    assert [[row[0], row[1]] for row in ranking(page)] == [["1", "x265"], ["2", "x264"]]
    assert "x265 needs 27\u202f% more bits than vvenc for the same VMAF." in page.inner_text("#ranking-words")
    page.select_option("#ranking-controls select[name=anchor]", "x264")
    eventually(page, "location.hash.includes('anchor=x264')")
    eventually(page, "document.querySelector('#ranking-table tbody th').textContent === 'vvenc'")
    # Rates relative to x264: each sequence's factor is the inverse of that of x264 to vvenc.
    factors = [1.20, 1.25, 1.27, 1.30, 1.33]
    expected = 100 * (sum(1 / factor**2 for factor in factors) / 5 - 1)
    assert ranking(page)[0][2] == f"\u2212{-expected:.1f}\u202f%"
    assert ranking(page)[0][5:] == ["100\u202f%", "5 of 5"]
    seen = tab().open(report, page.evaluate("location.hash"))
    eventually(seen, "document.querySelector('#ranking-table tbody th')?.textContent === 'vvenc'")
    seen.select_option("#ranking-controls select[name=metric]", "lpips")
    eventually(seen, "document.getElementById('ranking-caption').textContent.includes('LPIPS')")


def test_all_against_all_is_a_matrix_whose_columns_are_anchors(tab, report):
    page = tab().open(report)
    eventually(page, "document.querySelectorAll('#against-all tbody tr').length === 3")
    cells = page.evaluate(
        "[...document.querySelectorAll('#against-all tbody tr')]"
        ".map(r => [...r.cells].map(c => c.firstChild.textContent))"
    )
    assert [row[1 + place] for place, row in enumerate(cells)] == ["same"] * 3
    assert cells[1][1] == "+27.0\u202f%"
    page.focus("#against-all thead button >> nth=1")
    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('anchor=x265')")
    assert page.evaluate("document.activeElement.textContent") == "x265"
    assert page.locator("#against-all thead button >> nth=1").get_attribute("aria-pressed") == "true"


def test_means_over_sequences_have_intervals_and_say_what_they_are_not(tab, curves):
    page = tab().open(curves, "#sequence=*&bars=frames")
    eventually(page, "document.getElementById('chart-text').textContent.includes('never from this')")
    trace = page.evaluate(
        "(({x, y, error_y}) => ({x, y, up: error_y.array}))(document.getElementById('chart').data[0])"
    )
    # The anchor has the targets as its rates, and 35 + 45 log10(bpp / 0.01) on every sequence.
    assert trace["x"] == pytest.approx([0.01, 0.02, 0.04, 0.08])
    assert trace["y"] == pytest.approx([35 + 45 * math.log10(2) * step for step in range(4)])
    assert trace["up"] == pytest.approx([0] * 4, abs=1e-9)
    assert "single sequences" in page.inner_text("#relative-text")


def test_bars_reach_to_what_95_percent_of_frames_reach(tab, curves):
    page = tab().open(curves, "#sequence=face&metric=vmaf")
    assert page.evaluate("document.getElementById('chart').data[0].error_y") is None
    page.check("#controls input[value=frames]")
    eventually(page, "document.getElementById('chart').data[0].error_y")
    down, up = page.evaluate("(e => [e.arrayminus, e.array])(document.getElementById('chart').data[0].error_y)")
    assert down == pytest.approx([0.04 * 45] * 4)
    assert up == [0] * 4


def test_trap26_a_mean_over_fewer_sequences_has_no_place(tab, tmp_path):
    run = write_sample(tmp_path / "run", codecs=["vvenc", "x265", "x264"], shift={("x265", "face"): 0.001})
    page = tab().open(build_report([run], tmp_path / "report"))
    eventually(page, "document.querySelectorAll('#ranking-table tbody tr').length === 2")
    # x265 needs fewer bits than x264 on the sequences that it has, and is not before it.
    assert [row[:2] for row in ranking(page)] == [["1", "x264"], ["–", "x265"]]
    assert ranking(page)[1][6] == "4 of 5"
