"""Bits over time and leaky buckets in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, Tab, check_light, check_phone, eventually, serious
from report_sample import HOSTILE, QUOTES, hostile_run, write_sample
from report_streams import one_burst, with_streams
from test_report_hull import HULL, sample, with_hull

from evalsuite.report.build import build_report

PLOTS = ("frame-bits", "sent-bits", "bucket", "delay")
RATE = "#traffic-controls select[name=rate]"
SEQUENCE = "#traffic-controls select[name=sequence]"


def every_second(total: int, frames: int) -> list[int]:
    """Nothing in every second frame, as of packets of two."""
    half = frames // 2
    bits = one_burst(total, half)
    return [size for burst in bits for size in (burst, 0)] + [0] * (frames - 2 * half)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    run = write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], sequences=["carphone", "face"])
    with_streams(run, ["vvenc", "x265"], shape=every_second)
    return build_report([run], folder / "report").with_name("traffic.html")


def opened(tab: Any, page: Path, fragment: str = "", **options: Any) -> Any:
    made = tab(**options).open(page, fragment)
    settled(made)
    return made


def settled(page: Any) -> None:
    """The plots are drawn one after the other; the last has its points named when all are done."""
    page.wait_for_selector("#delay .main-svg")
    named = "[...document.querySelectorAll('#traffic-plots .scatterlayer .trace path.point')].some(p => p.ariaLabel)"
    eventually(page, named)


def said(page: Any) -> str:
    return page.inner_text("#traffic-text")


def names(page: Any, plot: str) -> list[str]:
    return page.evaluate(f"[...new Set(document.getElementById('{plot}').data.map(t => t.name).filter(Boolean))]")


def values(page: Any, plot: str, trace: int, axis: str) -> list[float]:
    # Numbers go to plotly as they are, and it may keep them as typed arrays.
    return page.evaluate(f"[...document.getElementById('{plot}').data[{trace}].{axis}]")


def test_bits_over_time_and_what_they_need(tab, report):
    page = opened(tab, report)
    for plot in PLOTS:
        assert names(page, plot) == ["vvenc", "x265"]
    words = said(page)
    assert words.startswith("Bits on carphone at 0.01\u202fbpp, 7.6\u202fkbps, in the order of transmission.")
    assert "not known of x264" in words
    assert "vvenc: 7.60\u202fkbps, largest frame 7.61\u202fkbit; at the mean rate a bucket of 7.61\u202fkbit" in words
    # Each frame lasts to the next one, and what is sent rises to the whole at the end.
    time = values(page, "frame-bits", 0, "x")
    assert time[:3] == pytest.approx([0, 1001 / 30000, 1001 / 30000])
    assert time[-1] == pytest.approx(60 * 1001 / 30000)
    total = 8 * 1901 / 1000
    assert values(page, "sent-bits", 1, "y")[-1] == pytest.approx(total)
    assert values(page, "sent-bits", 0, "y") == pytest.approx([0, total])
    # The curve of the bucket ends at the largest frame.
    assert values(page, "bucket", 1, "y")[-1] == pytest.approx(values(page, "frame-bits", 0, "y")[0], rel=1e-4)


def test_frames_without_bits_have_no_place_on_a_logarithmic_axis(tab, report):
    page = opened(tab, report)
    assert "Frames without bits are gaps" in said(page)
    assert values(page, "frame-bits", 0, "y")[2] is None
    page.check("#traffic-controls input[value=linear]")
    eventually(page, "document.getElementById('frame-bits').layout.yaxis.type === 'linear'")
    settled(page)
    assert "Frames without bits are gaps" not in said(page)
    assert values(page, "frame-bits", 0, "y")[2] == 0
    assert "scale=linear" in page.evaluate("location.hash")


def test_sequence_rate_and_hidden_codecs_are_in_the_link(tab, report):
    page = opened(tab, report)
    page.select_option(RATE, "0.04")
    eventually(page, "document.querySelector('#traffic-text').textContent.includes('at 0.04')")
    page.select_option(SEQUENCE, "face")
    page.click("#traffic .legend button >> text=vvenc")
    eventually(page, "document.getElementById('delay').data.length === 2")
    fragment = page.evaluate("location.hash")
    for part in ("sequence=face", "rate=0.04", "hide=vvenc"):
        assert part in fragment
    again = opened(tab, report, fragment)
    for seen in (page, again):
        assert seen.input_value(RATE) == "0.04"
        assert seen.input_value(SEQUENCE) == "face"
        assert names(seen, "bucket") == ["x265"]
        assert said(seen).startswith("Bits on face at 0.04\u202fbpp, 230\u202fkbps")
        assert "1 hidden." in said(seen)


def test_an_address_that_changes_changes_the_rate(tab, report):
    page = opened(tab, report, "#rate=0.02&sequence=carphone")
    assert page.input_value(RATE) == "0.02"
    page.evaluate("location.hash = '#rate=0.08&sequence=face'")
    eventually(page, "document.querySelector('#traffic-text').textContent.startsWith('Bits on face at 0.08')")
    page.check("#traffic-controls input[value=linear]")
    assert "rate=0.08" in page.evaluate("location.hash")


@pytest.mark.parametrize(("rate", "shown"), [("0.05", "0.04"), ("1e-9", "0.01"), ("nothing", "0.01"), ("", "0.01")])
def test_a_rate_that_a_sequence_lacks_is_the_nearest_one(tab, report, rate, shown):
    assert opened(tab, report, f"#rate={rate}").input_value(RATE) == shown


def test_a_mean_over_sequences_has_no_traffic_of_its_own(tab, report):
    assert said(opened(tab, report, "#sequence=*")).startswith("Bits on carphone")


def test_keyboard_walks_the_bends_and_marks_both_plots(tab, report):
    page = opened(tab, report)
    page.focus("#traffic .legend li:last-child button")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "bucket"
    name = page.evaluate("document.activeElement.ariaLabel")
    assert name.startswith("vvenc, channel of 7.59")
    assert "bucket 7." in name
    marked = "[...document.querySelectorAll('#traffic-plots path.marked')].map(p => p.closest('.chart').id)"
    assert page.evaluate(marked) == ["bucket", "delay"]
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("x265, channel of ")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.chart').id") == "delay"


def test_hostile_names_stay_text(tab, tmp_path):
    run = with_streams(hostile_run(tmp_path / "run"), ["vvenc", HOSTILE])
    page = opened(tab, build_report([run], tmp_path / "report").with_name("traffic.html"))
    assert page.locator("img").count() == 0
    page.select_option(SEQUENCE, QUOTES)
    eventually(page, "document.querySelector('#traffic-text').textContent.startsWith('Bits on \"')")
    settled(page)
    assert f"{HOSTILE}: " in said(page)
    assert page.evaluate(
        "[...document.querySelectorAll('#bucket path.point')].some(p => p.ariaLabel.startsWith('<img'))"
    )
    assert page.locator("#traffic-plots img, #traffic-plots a, #traffic-text *:not(p, ul, li, strong)").count() == 0


def test_each_section_has_a_legend_of_its_own(tab, tmp_path):
    """A hull has a curve and no traffic of its own."""
    hulled = with_hull(sample(tmp_path / "hulled"))
    run = write_sample(tmp_path / "run", codecs=["tvc"], sequences=["carphone", "face"], tokenized=["tvc"])
    with_streams(run, ["tvc"])
    page = tab().open(build_report([hulled, run], tmp_path / "report").with_name("traffic.html"))
    page.wait_for_selector("#rate-tokens .main-svg")
    page.wait_for_selector("#delay .main-svg")
    eventually(
        page, f"[...document.querySelectorAll('#tokens .legend button')].some(b => b.dataset.codec === '{HULL}')"
    )
    eventually(page, "document.querySelectorAll('#traffic .legend button').length > 0")
    assert HULL not in page.locator("#traffic .legend button").all_inner_texts()


def test_phone_stacks_the_plots_and_nothing_runs_over(tab, report):
    page = opened(tab, report, viewport=PHONE)
    check_phone(page, PLOTS)
    page = tab(viewport=PHONE).open(report.with_name("sequence-0-traffic.html"))
    check_phone(page)


def test_dark_and_light_follow_the_system(tab, report):
    page = opened(tab, report, color_scheme="dark")
    check_light(page, PLOTS)


def test_the_tables_need_no_javascript(tab, report):
    page = tab(java_script_enabled=False).open(report)
    assert not page.locator("#traffic-plots").is_visible()
    assert page.locator("#devices table").is_visible()
    page.click("#sequences a >> text=face")
    assert page.get_by_role("heading", name="Leaky bucket").is_visible()
    assert page.locator("table").count() == 2


def test_without_bits_of_frames_the_page_has_its_tables(tab, tmp_path):
    run = with_streams(write_sample(tmp_path / "run", sequences=["face"]), ["vvenc"], names=["peak_to_mean"])
    page = tab().open(build_report([run], tmp_path / "report").with_name("traffic.html"))
    assert page.get_by_text("No run of this report has the bits of single frames").is_visible()
    assert page.locator(".chart").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser, report, scheme):
    watched = Tab(browser, color_scheme=scheme)  # what axe itself tries on a page ends up in the console
    settled(watched.open(report))
    assert serious(watched.page) == []
    assert serious(watched.open(report.with_name("sequence-0-traffic.html"))) == []
    watched.context.close()
