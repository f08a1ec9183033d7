"""The token plots in a real browser: linked to each other, and to what was chosen on other pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, check_light, check_phone, eventually
from report_sample import HOSTILE, hostile_run, write_sample

from evalsuite.report.build import build_report

PLOTS = ("rate-quality", "tokens-quality", "rate-tokens")
SELECT = "#token-controls select[name=tokens]"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    gaps = {("masked_share", "face"): "failed", ("ms_ssim", "carphone"): "too_small"}
    run = write_sample(folder / "run", codecs=["vvenc", "tvc", "x265", "tvc2"], tokenized=["tvc", "tvc2"], gaps=gaps)
    return build_report([run], folder / "report").with_name("traffic.html")


def opened(tab: Any, page: Path, fragment: str = "", **options: Any) -> Any:
    made = tab(**options).open(page, fragment)
    settled(made)
    return made


def settled(page: Any) -> None:
    """The plots are drawn one after the other; the last has its points named when all are done."""
    page.wait_for_selector("#rate-tokens .main-svg")
    eventually(page, "[...document.querySelectorAll('.triangle path.point')].every(p => p.ariaLabel)")


def lines(page: Any) -> list[list[str]]:
    """The codecs of each plot, as their points' names have it."""
    return [
        page.evaluate(
            "id => [...document.querySelectorAll(`#${id} .scatterlayer .trace`)]"
            ".map(t => t.querySelector('path.point').ariaLabel.split(',')[0])",
            plot,
        )
        for plot in PLOTS
    ]


def marked(page: Any) -> list[list[str]]:
    return [
        page.evaluate("id => [...document.querySelectorAll(`#${id} path.marked`)].map(p => p.ariaLabel)", plot)
        for plot in PLOTS
    ]


def test_codecs_without_tokens_are_in_the_first_plot_only(tab, report):
    page = opened(tab, report)
    assert lines(page) == [["vvenc", "tvc", "x265", "tvc2"], ["tvc", "tvc2"], ["tvc", "tvc2"]]
    said = page.inner_text("#tokens-text")
    assert said.startswith("VMAF, rate and sent token rate on carphone: 8 points of tvc and tvc2.")
    assert "vvenc and x265 have no tokens: they are in the first plot only." in said
    assert page.input_value(SELECT) == "sent_token_rate"
    assert len(page.query_selector_all(f"{SELECT} option")) == 8


def test_plots_share_their_axes(tab, report):
    page = opened(tab, report)
    ranges = {
        (plot, axis): page.evaluate(f"document.getElementById('{plot}').layout.{axis}axis.range")
        for plot in PLOTS
        for axis in "xy"
    }
    assert ranges["rate-quality", "y"] == ranges["tokens-quality", "y"]
    assert ranges["rate-quality", "x"] == ranges["rate-tokens", "x"]


def test_a_point_that_is_pointed_at_is_marked_in_every_plot(tab, report):
    page = opened(tab, report)
    point = page.locator("#rate-tokens path.point").nth(5)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    eventually(page, "document.querySelectorAll('.triangle path.marked').length === 3")
    names = marked(page)
    assert names == [[point.get_attribute("aria-label")]] * 3
    assert names[0][0].startswith("tvc2, VMAF: ")
    assert page.locator("#rate-tokens .hovertext").count() == 1
    page.mouse.move(5, 5)
    eventually(page, "!document.querySelector('.triangle path.marked')")


def test_a_point_without_tokens_is_marked_where_it_stands(tab, report):
    page = opened(tab, report)
    page.evaluate("document.querySelector('#rate-quality path.point').focus()")
    assert [len(names) for names in marked(page)] == [1, 0, 0]
    assert marked(page)[0][0].startswith("vvenc, VMAF: 35.00, 0.01000 bpp")


def test_keyboard_walks_the_points(tab, report):
    page = opened(tab, report)
    page.focus(SELECT)
    for _ in range(6):  # metric, sequence and the four codecs
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "rate-quality"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "tokens-quality"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    name = page.evaluate("document.activeElement.ariaLabel")
    assert name.startswith("tvc, ")
    assert "q 28" in name
    assert marked(page) == [[name]] * 3
    page.wait_for_selector("#tokens-quality .hovertext")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert "q 40" in page.evaluate("document.activeElement.ariaLabel")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert "q 40" in page.evaluate("document.activeElement.ariaLabel")
    page.focus(SELECT)
    assert marked(page) == [[], [], []]


def test_the_figure_and_what_other_pages_choose_are_one_state(tab, report):
    page = opened(tab, report, "#x=kbps")
    page.select_option(SELECT, "bits_per_token")
    page.select_option("#token-controls select[name=metric]", "lpips")
    page.select_option("#token-controls select[name=sequence]", "bunny")
    page.click("#tokens .legend button >> text=x265")
    eventually(page, "document.querySelector('#tokens .legend button[aria-pressed=false]') !== null")
    assert page.evaluate("document.activeElement.textContent") == "x265"
    state = dict(pair.split("=") for pair in page.evaluate("location.hash")[1:].split("&"))
    wanted = {"metric": "lpips", "sequence": "bunny", "x": "kbps", "tokens": "bits_per_token", "hide": "x265"}
    assert wanted.items() <= state.items()
    for seen in (page, opened(tab, report, page.evaluate("location.hash"))):
        settled(seen)
        eventually(seen, "document.querySelector('#tokens-text').textContent.startsWith('LPIPS, rate')")
        assert lines(seen) == [["vvenc", "tvc", "tvc2"], ["tvc", "tvc2"], ["tvc", "tvc2"]]
        assert seen.input_value(SELECT) == "bits_per_token"
        titles = [seen.evaluate(f"document.querySelector('#rate-tokens .{axis}title').textContent") for axis in "xy"]
        assert titles == ["rate, kbps", "bits per token, bit"]
        assert seen.evaluate("document.querySelector('#tokens-quality .ytitle').textContent") == "LPIPS ↓"
        assert seen.inner_text("#tokens-text").startswith("LPIPS, rate and bits per token on bunny: 8 points")
    page.click("#tokens .legend button >> text=x265")
    eventually(page, "document.querySelectorAll('#rate-quality .scatterlayer .trace').length === 4")
    settled(page)
    assert lines(page)[0] == ["vvenc", "tvc", "x265", "tvc2"]


def test_an_unknown_figure_falls_back(tab, report):
    page = opened(tab, report, "#tokens=nope")
    assert page.input_value(SELECT) == "sent_token_rate"


def test_what_is_not_drawn_is_named(tab, report):
    page = opened(tab, report, "#tokens=masked_share&sequence=face")
    assert [len(codecs) for codecs in lines(page)] == [4, 0, 0]
    said = page.inner_text("#tokens-text")
    assert "0 points of tvc and tvc2." in said
    assert "Not drawn: masked share of tvc at q 40, failed: the info command ended with status 1; " in said
    page = opened(tab, report, "#metric=ms_ssim")
    assert [len(codecs) for codecs in lines(page)] == [0, 0, 2]


def test_hostile_names_stay_text(tab, tmp_path):
    index = build_report([hostile_run(tmp_path / "run")], tmp_path / "report")
    page = opened(tab, index.with_name("traffic.html"))
    assert lines(page)[1] == [HOSTILE]
    assert page.locator("#tokens img, #tokens-quality a").count() == 0
    assert f"points of {HOSTILE}." in page.inner_text("#tokens-text")


def test_phone_stacks_the_plots(tab, report):
    page = opened(tab, report, viewport=PHONE)
    boxes = [page.locator(f"#{plot}").bounding_box() for plot in PLOTS]
    assert len({box["x"] for box in boxes}) == 1
    assert all(box["width"] <= PHONE["width"] for box in boxes)
    check_phone(page)
    desktop = opened(tab, report)
    assert len({desktop.locator(f"#{plot}").bounding_box()["y"] for plot in PLOTS}) == 1


def test_dark_and_light_follow_the_system(tab, report):
    page = opened(tab, report, color_scheme="dark")
    check_light(page, PLOTS)


def test_the_tables_need_no_javascript(tab, report):
    page = tab(java_script_enabled=False).open(report)
    assert not page.locator(".triangle").is_visible()
    assert page.locator("#tokens").get_by_text("The plots need JavaScript").is_visible()
    page.click("#sequences a >> text=face")
    assert page.get_by_role("heading", name="Tokens", exact=True).is_visible()
    assert page.locator("table").first.is_visible()
