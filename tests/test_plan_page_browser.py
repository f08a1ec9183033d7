"""The page of a forecast in a real browser."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from planning_samples import rate_point
from report_browser import PHONE, Tab, check_light, check_phone, eventually, serious
from report_sample import HOSTILE

from evalsuite.planning.audience import parse_audience
from evalsuite.planning.forecast import forecast
from evalsuite.report.planned.page import write_page

PLOTS = ("bandwidth", "tokens")
STREAMS = [100.0 * (hour + 1) for hour in range(24)]


def made(folder: Path, other: str = "tvc", tag: str = "talk") -> Path:
    """The first codec needs 100 kbit/s a stream, the other half of it."""
    names = [f"s{place}" for place in range(5)]
    first = [rate_point("x265", name, bits=[4000] * 50, traits=[tag]) for name in names]
    means = {"vmaf": 90.0, "sent_token_rate": 3000.0}
    second = [rate_point(other, name, kbps=50.0, bits=[2000] * 50, means=means, traits=[tag]) for name in names]
    missed = rate_point("x265", "storm", means={"vmaf": 12.0}, traits=[tag])
    data = {
        "version": "1",
        "streams": STREAMS,
        "codecs": ["x265", other],
        "target": "vmaf=80",
        "mix": [{"tag": tag, "device": "phone", "share": 1}],
        "storage": {"hours": 10},
    }
    return write_page(forecast([*first, *second, missed], parse_audience(data, "audience.toml")), folder)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("forecast"))


def opened(tab: Any, page: Path, **options: Any) -> Any:
    shown = tab(**options).open(page)
    shown.wait_for_selector("#tokens .main-svg")
    return shown


def values(page: Any, plot: str, trace: int) -> list[float]:
    # Numbers go to plotly as they are, and it may keep them as typed arrays.
    return page.evaluate(f"[...document.getElementById('{plot}').data[{trace}].y]")


def test_bandwidth_and_tokens_by_hour(tab: Any, page_file: Path) -> None:
    page = opened(tab, page_file)
    names = "document.getElementById('{}').data.map(trace => trace.name)"
    assert page.evaluate(names.format("bandwidth")) == ["x265 p99", "x265 mean", "tvc p99", "tvc mean"]
    assert page.evaluate(names.format("tokens")) == ["tvc p99", "tvc mean"]
    assert values(page, "bandwidth", 1) == pytest.approx([0.1 * streams for streams in STREAMS])  # Mbit/s
    assert values(page, "tokens", 1) == pytest.approx([0.003 * streams for streams in STREAMS])  # millions
    peak = 0.1 * (2400 + 2.326 * math.sqrt(2400))
    assert values(page, "bandwidth", 0)[-1] == pytest.approx(peak, rel=0.01)


def test_numbers_and_assumptions_need_no_javascript(tab: Any, page_file: Path) -> None:
    page = tab(java_script_enabled=False).open(page_file)
    assert not page.locator("#bandwidth").is_visible()
    assert page.locator("#hours tbody tr").count() == 24
    assert page.locator("#day tbody tr").count() == 2
    assert page.inner_text("#day tbody tr:first-child td:nth-child(2)") == "125.0"  # 1250 streams on average
    saved = page.inner_text("#savings tbody tr:first-child")
    assert "50.0 % (50.0 to 50.0 %)" in saved
    assert "62.50 Mbit/s" in saved
    assert page.get_by_text("Viewers come and go independently").is_visible()
    assert "x265 on storm: the best vmaf there is is 12" in page.inner_text("main")


def test_hostile_names_stay_text(tab: Any, tmp_path: Path) -> None:
    page = opened(tab, made(tmp_path, other=HOSTILE, tag=HOSTILE))
    assert page.locator("img").count() == 0
    assert f"{HOSTILE} in place of x265" in page.inner_text("header")
    assert page.evaluate("document.getElementById('tokens').data[0].name").startswith("&lt;img")


def test_phone_stacks_the_plots_and_nothing_runs_over(tab: Any, page_file: Path) -> None:
    page = opened(tab, page_file, viewport=PHONE)
    check_phone(page, PLOTS)


def test_a_low_screen_leaves_the_plots_their_height(tab: Any, page_file: Path) -> None:
    page = opened(tab, page_file, viewport={"width": 1280, "height": 100})
    assert page.locator("#bandwidth").bounding_box()["height"] >= 280
    page.set_viewport_size({"width": 700, "height": 60})
    eventually(page, "document.querySelector('#bandwidth .main-svg').clientWidth < 700")


def test_dark_and_light_follow_the_system(tab: Any, page_file: Path) -> None:
    page = opened(tab, page_file, color_scheme="dark")
    check_light(page, PLOTS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser: Any, page_file: Path, scheme: str) -> None:
    watched = Tab(browser, color_scheme=scheme)  # what axe itself tries on a page ends up in the console
    watched.open(page_file).wait_for_selector("#tokens .main-svg")
    assert serious(watched.page) == []
    watched.context.close()
