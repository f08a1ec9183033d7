"""The page for planners: what it says of runs that are known in closed form, and in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, serious, silent_tabs
from report_sample import write_sample

from evalsuite.planning.points import rate_points
from evalsuite.planning.reach import Target, cheapest
from evalsuite.report.build import build_report
from evalsuite.report.linechart import Line, line_chart
from evalsuite.report.merge import merge
from evalsuite.report.planner import planner
from evalsuite.results.load import read_run

LOSS = {
    "model": "iid:0.02",
    "rate": 0.02,
    "burst": None,
    "packet_bytes": 1200,
    "seed": 1,
    "kind": "drop",
    "class": None,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two codecs, one of them also behind a channel."""
    return write_sample(
        tmp_path_factory.mktemp("planner") / "run",
        codecs=["vvenc", "x265", "x265@2%"],
        codec_facts={"x265@2%": {"loss": LOSS}},
    )


def test_each_level_is_what_the_cheapest_points_take(run: Path) -> None:
    results = read_run(run)
    found = planner(merge([results]))
    assert found is not None
    assert found.levels
    points = [point for point in rate_points([results]) if point.codec != "x265@2%"]
    for level in found.levels:
        reach = cheapest(points, [Target(found.metric, level.target.value)]).points
        for row in level.rows:
            rates = [point.kbps for (codec, _), point in reach.items() if codec == row.codec]
            assert row.figures["kbps"].mean == pytest.approx(sum(rates) / len(rates))
        assert {row.codec for row in level.rows} == {codec for codec, _ in reach}


def test_a_codec_behind_a_channel_is_in_no_comparison(run: Path) -> None:
    report = merge([read_run(run), read_run(run)])
    assert not any("@" in row.test or "@" in row.anchor for row in report.bd_rows)
    found = planner(report)
    assert found is not None
    assert {one.codec for one in found.losses} == {"x265"}
    assert not any("@" in line for level in found.levels for line in level.said)


def test_the_page_needs_no_scripts_and_fits_a_phone(run: Path, tmp_path: Path, browser: Any) -> None:
    page_file = build_report([run], tmp_path / "report").with_name("planner.html")
    with silent_tabs(browser) as make:
        page = make(viewport=PHONE, java_script_enabled=False).open(page_file)
        assert page.locator("h1").inner_text() == "For planners"
        assert "reaches" in page.locator("section ul li").first.inner_text()
        assert page.locator("#loss .linechart").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        for scheme in ("light", "dark"):
            assert serious(make(color_scheme=scheme).open(page_file)) == []


def test_lines_stand_where_their_values_are() -> None:
    chart = line_chart("score", "loss", [Line("a", 0, ((0.0, 0.0), (4.0, 40.0))), Line("b", 0, ((0.0, 20.0),))])
    left, top, right, bottom = chart.field
    first, second = chart.lines
    assert first.path == f"M{left:.1f} {bottom:.1f}L{right:.1f} {top:.1f}"
    assert [dot[:2] for dot in second.dots] == [(left, (top + bottom) / 2)]
    assert (first.dash, second.dash) == ("none", "6 3")
    steps = line_chart("tokens", "frame", [Line("a", 1, ((0.0, 10.0), (4.0, 20.0)), steps=True)])
    assert steps.lines[0].path == f"M{left:.1f} {(top + bottom) / 2:.1f}H{right:.1f}V{top:.1f}"
