"""The forest plot of the sequences in a real browser."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, check_phone, eventually, serious
from report_frames import with_information
from report_sample import BREAKOUT, HOSTILE, QUOTES, hostile_run, write_sample

from evalsuite.report.build import build_report

KNOWN = {"carphone": (38.2, 14.1), "face": (44.5, 3.2), "street": (80.1, 21.0), "bikes": (61.0, 44.2)}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    run = write_sample(
        folder / "run",
        codecs=["vvenc", "x265", "x264"],
        targets=(0.01, 0.02, 0.04, 0.06, 0.08),
        shift={("x264", "bunny"): 20.0},
        steep={("x265", "bikes"): 1.3},
    )
    return build_report([with_information(run, KNOWN)], folder / "report").with_name("sequences.html")


def opened(tab: Any, page_file: Path, fragment: str = "", **options: Any) -> Any:
    page = tab(**options).open(page_file, fragment)
    if page.evaluate("document.documentElement.classList.contains('js')"):
        eventually(page, "document.querySelectorAll('#forest tbody tr').length > 0")
    return page


def names(page: Any) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#forest tbody th > :first-child')].map(e => e.textContent)")


def label(page: Any, row: str) -> str:
    """What a row's drawing is called for a screen reader; of the mean where the row is `Mean`."""
    return page.evaluate(
        "name => [...document.querySelectorAll('#forest tr')].find(r => r.cells[0].textContent.startsWith(name))"
        ".querySelector('svg').getAttribute('aria-label')",
        row,
    ).replace("\u202f", " ")


def numbers(page: Any, row: str) -> list[str]:
    """The numbers that are drawn in a row."""
    return page.evaluate(
        "name => [...[...document.querySelectorAll('#forest tr')].find(r => r.cells[0].textContent.startsWith(name))"
        ".querySelectorAll('svg text')].map(t => t.textContent.replace('\u202f', ' '))",
        row,
    )


def marks(page: Any, row: str) -> list[float]:
    return page.evaluate(
        "name => [...[...document.querySelectorAll('#forest tr')].find(r => r.cells[0].textContent.startsWith(name))"
        ".querySelectorAll('use')].map(u => Number(u.getAttribute('x')))",
        row,
    )


def test_every_sequence_has_every_codec_on_one_axis(tab, page_file):
    page = opened(tab, page_file)
    assert names(page) == ["carphone", "face", "street", "bikes", "bunny"]
    assert numbers(page, "carphone") == ["+20.0 %", "+44.0 % †"]  # flagged: the overlap is poor
    assert numbers(page, "Mean")[0].startswith("+21.")
    # One axis: the same percentage is at the same place, a larger one further right.
    carphone, face = marks(page, "carphone"), marks(page, "face")
    assert carphone[0] < face[0] < carphone[1] < face[1]
    assert "x265 +20.0 %, at single qualities +20.0 to +20.0 %, noise floor" in label(page, "carphone")
    assert "95 % interval" in label(page, "Mean")
    cells = page.evaluate("[...document.querySelector('#forest tbody tr').cells].slice(2).map(c => c.textContent)")
    assert cells == ["38.2", "14.1"]
    assert page.evaluate("[...document.querySelectorAll('#forest tbody th small')].map(e => e.textContent)")[:2] == [
        "conferencing",
        "176x144, 29.97 fps, 60 frames",
    ]


def test_what_is_refused_is_said_in_words(tab, page_file):
    page = opened(tab, page_file)
    assert numbers(page, "bunny") == ["+33.0 %"]
    why = page.evaluate("document.querySelector('#forest tbody tr:last-child .why').textContent")
    assert why.startswith("x264: refused: the quality ranges overlap by 0%")
    assert "x264: 4 of 5 sequences" in page.inner_text("#forest tfoot")


def test_anchor_and_metric_are_chosen_and_in_the_address(tab, page_file):
    page = opened(tab, page_file)
    page.select_option("#forest-controls select[name=anchor]", "x265")
    eventually(page, "document.querySelector('#forest-text').textContent.includes('relative to x265')")
    eventually(page, "document.querySelector('#forest svg[role=img]').getAttribute('aria-label').startsWith('vvenc')")
    assert numbers(page, "carphone")[0] == "−16.7 %"
    page.select_option("#forest-controls select[name=metric]", "lpips")
    eventually(page, "document.querySelector('#forest-text').textContent.includes('LPIPS')")
    again = opened(tab, page_file, page.evaluate("location.hash"))
    assert again.input_value("#forest-controls select[name=anchor]") == "x265"
    assert again.input_value("#forest-controls select[name=metric]") == "lpips"
    assert numbers(again, "carphone")[0] == "−16.7 %"


def test_a_link_shows_what_its_sender_saw(tab, page_file):
    page = opened(tab, page_file, "#metric=psnr_y&anchor=x264&hide=vvenc&sort=ti&scale=linear")
    assert "PSNR-Y relative to x264" in page.inner_text("#forest-text")
    assert "1 of 2 codecs. 1 hidden." in page.inner_text("#forest-text")
    assert names(page) == ["face", "carphone", "street", "bikes", "bunny"]  # bunny has no number: last
    assert len(numbers(page, "face")) == 1
    assert page.is_checked("#forest-controls input[value=linear]")


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("name", ["bikes", "bunny", "carphone", "face", "street"]),
        ("si", ["carphone", "face", "bikes", "street", "bunny"]),
        ("bd", ["carphone", "bunny", "bikes", "face", "street"]),
    ],
)
def test_rows_are_sorted(tab, page_file, key, order):
    page = opened(tab, page_file)
    page.select_option("#forest-controls select[name=sort]", key)
    eventually(page, "location.hash.includes('sort')")
    eventually(page, f"document.querySelector('#forest tbody th').textContent.startsWith('{order[0]}')")
    assert names(page) == order


def test_codecs_are_hidden_with_the_keyboard(tab, page_file):
    page = opened(tab, page_file)
    page.focus("#legend button")
    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('hide=x265')")
    eventually(page, "document.querySelector('#forest svg[role=img]').getAttribute('aria-label').startsWith('x264')")
    assert page.evaluate("document.activeElement.dataset.codec") == "x265"
    page.focus("#forest-controls select[name=sort]")
    page.keyboard.press("ArrowDown")
    eventually(page, "location.hash.includes('sort=name')")


def test_half_the_rate_is_as_far_as_twice_on_the_logarithmic_axis(tab, page_file):
    page = opened(tab, page_file)
    places = page.evaluate(
        "['log', 'linear'].map(scale => {const a = new PercentAxis([-50, 100], [], scale, 500);"
        "return [-50, 0, 100].map(p => a.x(p));})"
    )
    assert places[0][1] - places[0][0] == pytest.approx(places[0][2] - places[0][1], abs=0.2)
    assert 2 * (places[1][1] - places[1][0]) == pytest.approx(places[1][2] - places[1][1], abs=0.3)


def test_a_long_range_ends_in_an_arrow(tab, page_file):
    page = opened(tab, page_file)
    held = page.evaluate(
        "(() => {const a = new PercentAxis([10, 20], [-90, 900], 'log', 500);"
        "return [a.holds(-90), a.holds(900), a.holds(10), a.holds(20), a.holds(0)];})()"
    )
    assert held == [False, False, True, True, True]


def test_axes_have_round_ticks(tab, page_file):
    page = opened(tab, page_file)
    for values in ([0.2], [-99, 4000], [3, -4], [250]):
        for scale in ("log", "linear"):
            ticks, at = page.evaluate(
                f"(() => {{const a = new PercentAxis({values}, [], '{scale}', 640);"
                "return [a.ticks, a.ticks.map(t => a.x(t)).sort((p, q) => p - q)];})()"
            )
            assert 0 in ticks
            assert len(ticks) >= 2 or values == [0.2]
            assert all(right - left >= 48 for left, right in itertools.pairwise(at))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_and_colours(tab, page_file, scheme):
    page = opened(tab, page_file, color_scheme=scheme)
    assert serious(page) == []
    fill = page.evaluate("getComputedStyle(document.querySelector('#forest use')).fill")
    wanted = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--c1').trim()")
    red, green, blue = (int(wanted[at : at + 2], 16) for at in (1, 3, 5))
    assert fill == f"rgb({red}, {green}, {blue})"


def test_a_phone_needs_no_scrolling_to_the_side(tab, page_file):
    page = opened(tab, page_file, viewport=PHONE)
    check_phone(page)
    box = page.locator("#forest tbody svg").first.bounding_box()
    assert box["x"] + box["width"] <= PHONE["width"]


def test_it_prints_with_its_plot(tab, page_file):
    page = opened(tab, page_file)
    page.emulate_media(media="print")
    assert page.locator("#forest").is_visible()
    assert not page.locator("#forest-controls").is_visible()


def test_without_javascript_the_tables_are_there(tab, page_file):
    page = opened(tab, page_file, java_script_enabled=False)
    assert not page.locator("#forest").is_visible()
    text = page.inner_text("main").replace("\u202f", " ")
    for said in ("Facts, and BD-rate by VMAF", "+20.0 %", "By content", "Spatial and temporal information"):
        assert said in text
    assert page.locator(".scatter circle").count() == 4


def test_links_of_a_sequence_lead_to_that_sequence(tab, page_file):
    page = tab().open(page_file.with_name("sequence-2.html"))
    eventually(page, "document.querySelector('main a[href^=\"curves.html\"]').href.includes('sequence=street')")
    page.click('main a[href^="curves.html"]')
    page.wait_for_selector("#chart .main-svg")
    assert page.input_value("#controls select[name=sequence]") == "street"
    page.go_back()
    page.click('nav a[href^="sequences.html"]')
    eventually(page, "document.querySelectorAll('#forest tbody tr').length === 5")


def test_hostile_names_are_text(tab, tmp_path):
    index = build_report([hostile_run(tmp_path / "run")], tmp_path / "report")
    page = opened(tab, index.with_name("sequences.html"))
    assert page.locator("#legend button").all_inner_texts() == [HOSTILE, BREAKOUT]
    page.select_option("#forest-controls select[name=metric]", "m" + HOSTILE)
    page.select_option("#forest-controls select[name=anchor]", BREAKOUT)
    eventually(page, "document.querySelector('#forest-text').textContent.includes('</script>')")
    eventually(page, f"[...document.querySelectorAll('#forest th')].some(t => t.textContent.includes({QUOTES!r}))")
    assert HOSTILE in label(page, "carphone")
    assert page.locator("img").count() == 0
