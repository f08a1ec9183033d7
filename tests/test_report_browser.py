"""The report in a real browser, opened from disk: chromium through playwright."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from report_browser import PHONE, drawn, eventually, hover, serious
from report_facts import METRICS
from report_sample import plain_report

from evalsuite.results.gate.explain import curves_at


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_report(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def curves(report: Path) -> Path:
    return report.with_name("curves.html")


def axis_title(page: Any, axis: str) -> str:
    return page.evaluate(f"document.querySelector('#chart .{axis}title').textContent")


def test_every_page_opens_from_disk_and_paints_early(tab, report):
    page = tab().open(report)
    assert page.title() == "vvenc, x265 and x264 on 5 sequences · evalsuite"
    for path in sorted(report.parent.glob("*.html")):
        page = tab().open(path)
        eventually(page, "performance.getEntriesByName('first-contentful-paint').length")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < 2000, path.name
        assert page.locator("h1").count() == 1, path.name
        if path.name != "index.html":
            assert page.title().endswith(" · vvenc, x265 and x264 on 5 sequences · evalsuite")
        if path.name == "curves.html":
            assert page.locator("#chart .scatterlayer .trace").count() == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_finding_of_axe(tab, report, scheme):
    parts = ("pair-1.html", "sequence-1.html")  # alike but for their data
    for path in sorted(report.parent.glob("*.html")):
        if path.name.count("-") == 0 or path.name in parts:
            page = tab(color_scheme=scheme).open(path)
            page.wait_for_timeout(300)
            assert serious(page) == [], path.name


def test_hover_shows_everything(tab, curves):
    page = tab().open(curves, "#metric=psnr_yuv&sequence=face")
    label = hover(page, 1, 0)
    for words in (
        "x265",
        "PSNR-YUV: mean ",
        "dB",
        "95 % of frames reach ",
        "worst frame ",
        "q 40",
        "0.01004 bpp",
        "57.83 kbps",
        "14 458 bytes",
        "target 0.01000 bpp, reached +0.4 %",
        "CPU",
    ):
        assert words in re.sub("[\u202f\u00a0]", " ", label)


def test_switches_change_the_curves_and_the_link(tab, curves):
    page = tab().open(curves)
    assert axis_title(page, "y").startswith("VMAF")
    page.select_option("#controls select[name=metric]", "lpips")
    assert "lower is better" in axis_title(page, "y")
    page.select_option("#controls select[name=sequence]", "bunny")
    page.check("#controls input[value=kbps]")
    page.check("#controls input[value=linear]")
    assert axis_title(page, "x") == "rate, kbps"
    page.click("#legend button >> text=x265")
    assert drawn(page) == ["vvenc", "x264"]
    fragment = page.evaluate("location.hash")
    kept = dict(urllib.parse.parse_qsl(fragment[1:]))
    wanted = {"metric": "lpips", "sequence": "bunny", "x": "kbps", "scale": "linear", "hide": "x265"}
    assert wanted.items() <= kept.items()
    # Other pages get it too, and their own parts of it stay.
    assert f"curves.html{fragment}" == page.get_attribute("nav a[aria-current]", "href")
    page.goto(f"{curves.as_uri()}{fragment}&frame=7")
    page.click("nav a >> text=Overview")
    assert {**wanted, "frame": "7"}.items() <= dict(urllib.parse.parse_qsl(page.url.partition("#")[2])).items()

    seen = tab().open(curves, fragment)
    assert axis_title(seen, "x") == "rate, kbps"
    assert "lower is better" in axis_title(seen, "y")
    assert drawn(seen) == ["vvenc", "x264"]
    assert seen.evaluate("document.getElementById('chart').layout.xaxis.type") == "linear"
    assert seen.input_value("#controls select[name=sequence]") == "bunny"


def test_metrics_are_chosen_by_family(tab, curves):
    page = tab().open(curves)
    groups = page.locator("#controls select[name=metric] optgroup")
    assert groups.evaluate_all("found => found.map(group => group.label)") == ["example"]
    assert groups.first.locator("option").count() == len(METRICS)


def test_a_scores_table_keeps_the_codec_in_sight(tab, report):
    page = tab(viewport=PHONE).open(report.with_name("sequence-0.html"))
    box = page.locator("#scores .scroll").first
    box.evaluate("each => { each.scrollLeft = 500 }")
    assert box.locator("tbody th").first.bounding_box()["x"] == pytest.approx(box.bounding_box()["x"], abs=1)


def test_a_section_link_keeps_the_state(tab, report):
    page = tab().open(report.with_name("sequence-0.html"), "#metric=ssim")
    page.click("td a.gap >> nth=0")
    eventually(page, "location.pathname.endsWith('failures.html')")
    assert "metric=ssim" in page.evaluate("location.hash")
    eventually(page, "document.activeElement.id === 'gaps'")
    page.click("nav a >> text=Curves")
    page.wait_for_selector("#chart .main-svg")
    assert axis_title(page, "y").startswith("SSIM")


def test_a_link_of_the_gate_shows_its_metric_and_sequence(tab, report):
    name, fragment = curves_at("psnr_y", "face").split("#")
    page = tab().open(report.with_name(name), f"#{fragment}")
    eventually(page, "document.activeElement.id === 'curves'")
    assert axis_title(page, "y").startswith("PSNR-Y")
    assert page.input_value("select[name=sequence]") == "face"


def test_a_link_with_unknown_names_falls_back(tab, curves):
    page = tab().open(curves, "#metric=nope&sequence=%00&x=furlongs&scale=&hide=nobody&at=nowhere")
    assert axis_title(page, "y").startswith("VMAF")
    assert drawn(page) == ["vvenc", "x265", "x264"]


def test_points_that_cannot_be_drawn_are_named(tab, curves):
    page = tab().open(curves, "#metric=psnr_y&sequence=face")
    said = page.inner_text("#chart-text")
    assert "0 points" in said
    assert "vvenc at q 40, infinite" in said


def test_sequences_fold_out(tab, report):
    page = tab().open(report)
    page.click("#bd details >> nth=0 >> summary")
    page.click("#bd details >> nth=0 >> a")
    page.wait_for_url("**/pair-0.html**")
    rows = page.locator("#bd tr.sequence")
    assert not rows.first.is_visible()
    page.click("#bd .fold >> nth=0")
    assert rows.nth(4).is_visible()
    assert not rows.nth(5).is_visible()
    page.click(".fold-all")
    assert rows.last.is_visible()
    page.click(".fold-all")
    assert not rows.first.is_visible()


def test_keyboard_walk(tab, curves):
    for path in sorted(curves.parent.glob("*.html")):
        page = tab().open(path)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        seen = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            seen.add(
                page.evaluate(
                    """() => { const e = document.activeElement, s = getComputedStyle(e);
                    return [e.tagName, s.outlineStyle, e.checkVisibility()].join(' ') }"""
                )
            )
        assert all(what.split()[1] != "none" and what.endswith("true") for what in seen if "BODY" not in what), (
            path,
            seen,
        )
    page = tab().open(curves)
    page.focus("#controls select[name=metric]")
    page.keyboard.type("LP")
    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('metric=lpips')")
    page.focus("#legend button >> nth=2")
    page.keyboard.press("Space")
    eventually(page, "document.getElementById('chart').data.filter(t => t.visible).length === 2")
    assert drawn(page) == ["vvenc", "x265"]
    assert page.evaluate("document.activeElement.textContent") == "x264"
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"


def test_dark_follows_the_system(tab, curves):
    page = tab(color_scheme="dark").open(curves)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(20, 22, 26)"
    assert page.evaluate("document.querySelector('#chart .main-svg').style.background") == paper
    page.emulate_media(color_scheme="light")
    eventually(page, "document.querySelector('#chart .main-svg').style.background.startsWith('rgb(253')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(tab, report, scheme):
    page = tab(color_scheme=scheme).open(report)
    names = [
        "--paper",
        "--wash",
        "--raised",
        "--alarm-wash",
        "--ink",
        "--quiet",
        "--link",
        "--alarm",
        "--more",
        "--fewer",
    ]
    names += [f"--c{index}" for index in range(8)]
    value = page.evaluate(
        "names => { const s = getComputedStyle(document.documentElement);"
        " return Object.fromEntries(names.map(n => [n, s.getPropertyValue(n).trim()])) }",
        names,
    )

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        dark, light = sorted(luminance(value[name]) for name in (one, other))
        return (light + 0.05) / (dark + 0.05)

    for ground in ("--paper", "--wash", "--raised"):
        for ink in ("--ink", "--quiet", "--link", "--more", "--fewer"):
            assert contrast(ink, ground) >= 4.5  # WCAG 2.2, 1.4.3
    for ink in ("--ink", "--quiet", "--link", "--alarm"):
        assert contrast(ink, "--alarm-wash") >= 4.5
    for index in range(8):
        assert contrast(f"--c{index}", "--paper") >= 3  # WCAG 2.2, 1.4.11


def test_phone_width_scrolls_tables_not_the_page(tab, report):
    for path in sorted(report.parent.glob("*.html")):
        page = tab(viewport=PHONE).open(path)
        page.wait_for_timeout(100)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name
        if path.name == "curves.html":
            assert page.locator("#chart .main-svg").first.bounding_box()["width"] <= PHONE["width"]
    page = tab(viewport=PHONE).open(report.with_name("sequence-0.html"))
    assert page.evaluate("[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth)")


def test_tables_need_no_javascript(tab, report, curves):
    page = tab(java_script_enabled=False).open(curves)
    assert page.get_by_text("The curves need JavaScript").is_visible()
    assert not page.locator("#controls").is_visible()
    page.click("nav a >> text=Overview")
    assert not page.locator("#ranking").is_visible()
    page.click("#bd details >> nth=0 >> summary")
    assert page.locator("#bd1 tr.mean-row").first.is_visible()
    page.click("#bd details >> nth=0 >> a")
    assert not page.locator(".fold-all").first.is_visible()
    assert page.locator("#bd tr.sequence").first.is_visible()
    page.click("nav a >> text=Sequences")
    page.click("main a >> text=carphone >> nth=0")
    assert page.locator("#scores table").first.is_visible()


def test_prints_without_controls_in_light(tab, curves):
    page = tab(color_scheme="dark").open(curves)
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert not page.locator("#controls").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    eventually(page, "document.querySelector('#chart .main-svg').style.background.startsWith('rgb(255')")


@pytest.mark.parametrize("format_", ["svg", "png"])
def test_figure_is_saved_with_its_legend(tab, curves, format_):
    page = tab().open(curves, "#sequence=street")
    with page.expect_download() as download:
        page.click(f"#save-{format_}")
    assert download.value.suggested_filename == f"vmaf-street.{format_}"
    content = Path(download.value.path()).read_bytes()
    if format_ == "svg":
        assert b"x264" in content
        assert b"street" in content
    else:
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000


def test_headings_and_names_for_screen_readers(tab, report):
    for path in sorted(report.parent.glob("*.html")):
        page = tab().open(path)
        page.wait_for_timeout(100)
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
        assert levels[0] == 1, path.name
        assert levels.count(1) == 1, path.name
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), path.name
        nameless = page.evaluate(
            """[...document.querySelectorAll('button, select, input, [role=region], [role=img], table th')]
            .filter(e => e.checkVisibility())
            .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
                           || e.labels?.length)).map(e => e.outerHTML.slice(0, 100))"""
        )
        assert nameless == [], path.name
