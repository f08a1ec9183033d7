"""The plot of the change of rate over quality in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, check_phone, eventually
from report_sample import BREAKOUT, HOSTILE, QUOTES, hostile_run, write_sample

from evalsuite.report.build import build_report

STEEP = {("x265", "face"): 1.25}
"""Makes x265 cross vvenc at VMAF 35 + 45 log10(1.25) / 0.2 = 56.8 on face; on the others it needs a constant factor."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    shift = {("x264", "face"): 0.001}
    run = write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], steep=STEEP, shift=shift)
    return build_report([run], folder / "report").with_name("curves.html")


@pytest.fixture(scope="module")
def two_anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    runs = [write_sample(folder / name, codecs=codecs) for name, codecs in ANCHORED.items()]
    return build_report(runs, folder / "report").with_name("curves.html")


ANCHORED = {"a": ["vvenc", "x265"], "b": ["x264", "svtav1"]}


def lines(page: Any) -> list[dict[str, Any]]:
    eventually(page, "document.querySelector('#relative .main-svg')")
    return page.evaluate(
        "document.getElementById('relative').data.map(t => "
        "({name: t.name, x: [...t.x], y: [...t.y], colour: t.line.color, symbols: t.marker.symbol, "
        "hover: t.hovertext}))"
    )


def said(page: Any) -> str:
    return re.sub("[\u202f\u00a0\\s]+", " ", page.inner_text("#relative-text"))


def test_lines_are_the_known_changes_in_the_colours_of_the_curves(tab, report):
    page = tab().open(report, "#metric=vmaf&sequence=street")
    x265, x264 = lines(page)
    assert x265["y"] == pytest.approx([1.27] * len(x265["y"]), abs=1e-3)
    assert x264["y"] == pytest.approx([1.27**2] * len(x264["y"]), abs=2e-3)
    curves = page.evaluate("document.getElementById('chart').data.map(t => [t.name, t.line.color, t.marker.symbol])")
    assert [[line["name"], line["colour"], line["symbols"][0]] for line in (x265, x264)] == curves[1:]
    (zero,) = page.evaluate("document.getElementById('relative').layout.shapes.map(s => [s.y0, s.y1, s.line.color])")
    assert zero == [1, 1, curves[0][1]], "the line at zero is the anchor's"
    assert "x265: +27.0 to +27.0 %, no crossing; BD-rate +27.0 %" in said(page)
    assert page.text_content("#relative .ytitle") == "← fewer bits   rate against vvenc   more bits →"


def test_a_crossing_is_a_circle_on_the_line_at_zero_and_is_said(tab, report):
    page = tab().open(report, "#metric=vmaf&sequence=face")
    (line,) = lines(page)
    at = line["symbols"].index("circle-open")
    assert (line["x"][at], line["y"][at]) == (pytest.approx(56.8, abs=0.3), 1)
    assert line["y"][0] == pytest.approx(1.25, abs=0.005)
    assert line["y"][-1] < 0.84
    assert "crosses vvenc" in line["hover"][at]
    assert re.search(r"x265: −17\.\d to \+2[45]\.\d %, crosses at 56\.\d\d; BD-rate", said(page))
    # What was refused has its reason here too.
    assert "x264: refused: the quality ranges overlap by" in said(page)


def test_hidden_codecs_metrics_and_axes_are_those_of_the_curves(tab, report):
    page = tab().open(report, "#metric=vmaf&sequence=street")
    page.click("#legend button >> text=x265")
    assert [line["name"] for line in lines(page)] == ["x264"]
    assert "1 hidden." in said(page)
    page.select_option("#controls select[name=metric]", "lpips")
    assert page.text_content("#relative .xtitle").startswith("LPIPS")
    assert lines(page)[0]["x"][0] > lines(page)[0]["x"][-1], "from the worst quality to the best"
    assert page.evaluate("document.getElementById('relative').layout.yaxis.type") == "log"
    page.check("#controls input[value=linear]")
    assert page.evaluate("document.getElementById('relative').layout.yaxis.type") == "linear"
    ticks = page.locator("#relative g.ytick").all_text_contents()
    assert "0\u202f%" in ticks
    assert 3 <= len(ticks) <= 9


def test_the_anchor_is_chosen_and_kept_in_the_link(tab, two_anchors):
    page = tab().open(two_anchors)
    options = page.locator("#controls select[name=anchor] option").all_inner_texts()
    assert options == ["vvenc", "x264"]
    assert "anchor" not in page.evaluate("location.hash")
    before = lines(page)
    page.select_option("#controls select[name=anchor]", "x264")
    eventually(page, "location.hash.includes('anchor=x264')")
    after = lines(page)
    assert [line["name"] for line in after] != [line["name"] for line in before]
    seen = tab().open(two_anchors, page.evaluate("location.hash"))
    assert lines(seen) == after
    assert seen.input_value("#controls select[name=anchor]") == "x264"
    unknown = tab().open(two_anchors, "#anchor=nobody")
    assert lines(unknown) == before


def test_one_anchor_is_no_choice(tab, report):
    page = tab().open(report, "#metric=ssim&anchor=x265")
    assert page.locator("#controls select[name=anchor]").count() == 0
    assert "relative to vvenc, which is the line at zero" in said(page)


def test_hostile_names_are_text(tab, tmp_path):
    hostile = build_report([hostile_run(tmp_path / "run")], tmp_path / "report").with_name("curves.html")
    page = tab().open(hostile)
    page.select_option("#controls select[name=metric]", "m" + HOSTILE)
    page.select_option("#controls select[name=sequence]", QUOTES)
    eventually(page, "document.getElementById('relative-text').textContent.includes('onmouseover')")
    shown = page.text_content("#relative-text")
    assert HOSTILE in shown
    assert BREAKOUT in shown
    assert QUOTES in shown
    assert page.locator("#relative a, #relative img, #relative-text img, #relative-text script").count() == 0


def test_phone_width_stacks_the_plots(tab, report):
    page = tab(viewport=PHONE).open(report)
    lines(page)
    chart, relative = (page.locator(f"#{name}").bounding_box() for name in ("chart", "relative"))
    assert relative["y"] > chart["y"] + chart["height"]
    assert relative["x"] + relative["width"] <= PHONE["width"]
    check_phone(page)
    wide = tab().open(report)
    lines(wide)
    assert wide.locator("#relative").bounding_box()["y"] == wide.locator("#chart").bounding_box()["y"]


def test_figure_is_saved_with_what_it_is_relative_to(tab, report):
    page = tab().open(report, "#metric=vmaf&sequence=face")
    lines(page)
    with page.expect_download() as download:
        page.click("#save-relative-svg")
    assert download.value.suggested_filename == "vmaf-face-relative.svg"
    content = Path(download.value.path()).read_text(encoding="utf-8")
    assert "face, relative to vvenc" in content
    assert "x265" in content


def test_changes_of_any_size_are_drawn(tab, tmp_path):
    """From nothing left to a billion times the rate: ticks are few, and the page answers."""
    index = build_report([write_sample(tmp_path / "run", sequences=["face"], metrics=["vmaf"])], tmp_path / "report")
    data = index.parent / "data" / "relative-0.js"
    for percents in ("[-100,0,1e11]", "[-99.9999,-99.99,-99]", "[0,0,0]", "[1e-9,2e-9,3e-9]"):
        text = re.sub(
            r'"scores":\[[^\]{]*\],"percents":\[[^\]]*\]', f'"scores":[1,2,3],"percents":{percents}', data.read_text()
        )
        data.write_text(text)
        page = tab().open(index.with_name("curves.html"))
        assert len(lines(page)[0]["y"]) == 3
        assert 1 <= page.locator("#relative g.ytick").count() <= 9
