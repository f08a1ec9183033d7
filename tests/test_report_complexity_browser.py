"""Quality against time and memory in a real browser: the front, its switches and its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, Tab, check_light, check_phone, eventually, serious
from report_sample import BREAKOUT, HOSTILE, hostile_run, write_sample
from test_report_complexity import COSTS

from evalsuite.report.build import build_report

PLOTS = ("bits-encode", "bits-decode", "score-encode", "score-decode")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("complexity")
    run = write_sample(
        folder / "run",
        codecs=list(COSTS),
        sequences=["carphone", "face"],
        metrics=["vmaf", "psnr_y"],
        costs=COSTS,
        gaps={("psnr_y", "face"): "failed"},
    )
    return build_report([run], folder / "report").with_name("complexity.html")


def opened(tab: Any, page: Path, fragment: str = "", **options: Any) -> Any:
    made = tab(**options).open(page, fragment)
    settled(made)
    return made


def settled(page: Any) -> None:
    page.wait_for_selector("#score-decode .main-svg")
    eventually(page, "[...document.querySelectorAll('.linked path.point')].every(p => p.ariaLabel)")


def points(page: Any, plot: str) -> dict[str, tuple[float, float]]:
    """The points of a plot of codecs, by name."""
    found = page.evaluate(
        f"document.getElementById('{plot}').data.filter(t => t.name).map(t => [t.name, t.x[0], t.y[0]])"
    )
    return {name: (x, y) for name, x, y in found}


def front(page: Any, plot: str) -> list[list[float]]:
    trace = f"document.getElementById('{plot}').data.find(t => !t.name)"
    return page.evaluate(f"(() => {{ const t = {trace}; return [[...t.x], [...t.y]]; }})()")


def fronts(page: Any) -> list[str]:
    return page.locator("#bits-text li strong").all_inner_texts()


def test_codecs_stand_by_their_costs_and_the_front_is_marked(tab, report):
    page = opened(tab, report)
    frames = (60 * 50) ** 0.5
    found = points(page, "bits-encode")
    assert found["vvenc"] == pytest.approx((60000 / frames, 0), rel=1e-3)
    assert found["x265"] == pytest.approx((6000 / frames, 22.5), rel=1e-3)  # the mean of 20 and 25
    assert fronts(page) == ["x265 and vvenc", "x264, x265 and vvenc"]
    x, y = front(page, "bits-encode")
    assert x == pytest.approx([6000 / frames, 60000 / frames, 1.25 * 60000 / frames], rel=1e-3)
    assert y == pytest.approx([22.5, 0, 0])
    label = page.evaluate("document.querySelector('#bits-decode path.point').ariaLabel")
    assert "vvenc, the anchor, encode 1,100\u202fms of CPU a frame" in label
    assert "decode peak memory 40\u202fMB, on the front" in label
    named = "[...document.querySelectorAll('#bits-encode .textpoint text')].map(t => t.textContent)"
    assert page.evaluate(named) == ["vvenc", "x265"]


def test_metric_anchor_sequence_cost_and_hidden_codecs_are_in_the_link(tab, report):
    page = opened(tab, report)
    page.select_option("#cost-controls select[name=anchor]", "x265")
    page.select_option("#cost-controls select[name=sequence]", "face")
    page.check("#cost-controls input[value=memory]")
    page.click(".legend button >> text=vvenc")
    eventually(page, "document.querySelector('#bits-text').textContent.includes('1 hidden')")
    fragment = page.evaluate("location.hash")
    for part in ("anchor=x265", "sequence=face", "cost=memory", "hide=vvenc"):
        assert part in fragment
    for seen in (page, opened(tab, report, fragment)):
        settled(seen)
        assert seen.is_checked("#cost-controls input[value=memory]")
        assert seen.input_value("#cost-controls select[name=anchor]") == "x265"
        found = points(seen, "bits-decode")
        assert list(found) == ["x265", "x264"]
        assert found["x265"] == (40, 0)
        assert found["x264"] == pytest.approx((90, 22.5), rel=1e-3)
        assert fronts(seen) == ["x265", "x265"]
        assert seen.inner_text("#score-text").startswith("VMAF and peak memory of every rate point on face")


def test_a_metric_that_refuses_says_why(tab, report):
    page = opened(tab, report, "#metric=psnr_y&sequence=face")
    assert page.input_value("#cost-controls select[name=metric]") == "psnr_y"
    # The anchor alone has a place: no front, and no plot of it.
    assert "against vvenc: there is nothing to compare" in page.inner_text("#bits-text")
    assert fronts(page) == []
    assert not page.is_visible("#cost-plots")
    assert "Without a score: vvenc at q 40; " in page.inner_text("#score-text")
    assert page.evaluate("document.getElementById('score-encode').data.length") == 0
    page.select_option("#cost-controls select[name=sequence]", "carphone")
    eventually(page, "document.getElementById('score-decode').data.length === 3")
    settled(page)
    assert page.evaluate("document.querySelector('#score-encode .ytitle').textContent").startswith("PSNR-Y, dB")
    page.select_option("#cost-controls select[name=metric]", "vmaf")
    eventually(page, "!document.getElementById('cost-plots').hidden")
    settled(page)
    assert len(points(page, "bits-encode")) == 3


def test_keyboard_walks_the_codecs_and_marks_both_plots(tab, report):
    page = opened(tab, report)
    page.focus(".legend li:last-child button")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "bits-encode"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("x265, BD-rate +22.5\u202f%, 2 of 2 sequences")
    marked = "[...document.querySelectorAll('path.marked')].map(p => p.closest('.chart').id)"
    assert page.evaluate(marked) == ["bits-encode", "bits-decode"]
    page.wait_for_selector("#bits-encode .hovertext")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "score-encode"
    assert page.evaluate(marked) == ["score-encode", "score-decode"]


def test_hostile_names_stay_text(tab, tmp_path):
    page = opened(tab, build_report([hostile_run(tmp_path / "run")], tmp_path / "report").with_name("complexity.html"))
    assert page.locator("img").count() == 0
    assert page.locator(".legend button").all_inner_texts() == ["vvenc", HOSTILE, BREAKOUT]
    page.select_option("#cost-controls select[name=metric]", "m" + HOSTILE)
    page.select_option("#cost-controls select[name=anchor]", HOSTILE)
    eventually(page, "document.querySelector('#bits-text').textContent.includes('against <img')")
    settled(page)
    assert page.locator("#quality-cost img, #quality-cost a").count() == 0


def test_phone_stacks_the_plots_and_nothing_runs_over(tab, report):
    page = opened(tab, report, viewport=PHONE)
    check_phone(page, PLOTS)


def test_dark_and_light_follow_the_system(tab, report):
    page = opened(tab, report, color_scheme="dark")
    check_light(page, PLOTS)


def test_the_tables_need_no_javascript(tab, report):
    page = tab(java_script_enabled=False).open(report)
    assert page.locator("#standing table").is_visible()
    assert page.locator("#cost table").first.is_visible()
    assert not page.locator("#cost-plots").is_visible()
    assert page.get_by_text("The plots need JavaScript").is_visible()


def test_one_codec_has_its_tables(tab, tmp_path):
    run = write_sample(tmp_path / "run", codecs=["vvenc"], sequences=["face"])
    page = tab().open(build_report([run], tmp_path / "report").with_name("complexity.html"))
    assert page.locator("#cost table").first.is_visible()
    assert page.locator(".chart").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser, report, scheme):
    watched = Tab(browser, color_scheme=scheme)  # what axe itself tries on a page ends up in the console
    settled(watched.open(report))
    assert serious(watched.page) == []
    watched.context.close()
