"""The site in a real browser: every page without a complaint, by keyboard, in the dark, on a phone, without scripts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from publish_samples import HOSTILE, add, board_of, unchecked, write_run
from report_browser import PHONE

from evalsuite.report.site.build import build_site

NO_AXE = "missing: the Python package axe-playwright-python"

BOARD = board_of()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two boards: one with a history and a refusal, one with a hostile codec."""
    folder = tmp_path_factory.mktemp("browsed")
    entries = folder / "entries"
    for day, factor in (("2026-01-01", 0.9), ("2026-02-01", 0.7), ("2026-03-01", 0.75)):
        add(entries, BOARD, folder, {"tvc": factor, "vvenc": 0.8}, day=day, version=f"1.{day[6]}")
    add(entries, BOARD, folder, {"x264": 1.4}, day="2026-02-15", shift={("x264", "city"): -1.5})
    hostile = board_of(name="hostile", title=HOSTILE, question=HOSTILE)
    run = write_run(folder / "hostile", hostile, {HOSTILE: 0.8}, version=HOSTILE, facts={"description": HOSTILE})
    unchecked(run, HOSTILE, entries / "hostile")
    build_site([BOARD, hostile], entries, folder / "site")
    return folder / "site"


def own_pages(site):
    return [path for path in sorted(site.rglob("*.html")) if "report" not in path.relative_to(site).parts]


def width_of(page):
    return page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")


def test_every_page_opens_without_a_complaint(tab, site):
    pages = own_pages(site)
    assert len(pages) > 12
    with_js = tab().page
    for path in pages:
        with_js.goto(path.as_uri())
        assert with_js.title()
        assert with_js.evaluate("document.querySelectorAll('img').length") >= 0
        broken = "[...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)"
        assert with_js.evaluate(broken) == []


def test_no_page_is_wider_than_a_phone(tab, site):
    page = tab(viewport=PHONE).page
    for path in own_pages(site):
        page.goto(path.as_uri())
        wide, seen = width_of(page)
        assert wide <= seen, path
    # A badge has one line, whatever it says.
    page.goto(next(path for path in own_pages(site) if path.parent.name == "codecs").as_uri())
    page.evaluate("document.querySelector('.badges img').width = 800")
    wide, seen = width_of(page)
    assert wide <= seen


def test_tables_are_all_there_without_scripts(tab, site):
    page = tab(java_script_enabled=False).page
    page.goto((site / "small/index.html").as_uri())
    assert page.locator("#ranking-1 tbody tr").count() == 4
    assert page.locator("#ranking-1 tbody tr").first.is_visible()
    assert page.locator("button").count() == 0
    page.goto((site / "small/codecs/tvc.html").as_uri())
    assert page.locator("svg.history").first.is_visible()
    assert page.locator("#history-1 tbody tr").count() == 3


def test_what_has_no_value_stands_last_both_ways(tab, site):
    page = tab().page
    page.goto((site / "small/index.html").as_uri())
    read = "[...document.querySelectorAll('#ranking-1 tbody tr')].map((row) => row.querySelector('.codec').textContent)"
    # x264 has no place, as it is refused on a sequence; the anchor has nothing to save bits on.
    for column, last in ((1, "x264"), (6, "x265"), (7, "x265")):
        button = page.locator(f"#ranking-1 thead th:nth-child({column}) .sort")
        orders = []
        for _ in range(2):
            button.click()
            orders.append(page.evaluate(read))
        assert [order[-1] for order in orders] == [last, last], column
        assert orders[0][:-1] != orders[1][:-1]


def test_columns_are_sorted_by_keyboard(tab, site):
    page = tab().page
    page.goto((site / "small/index.html").as_uri())
    names = "[...document.querySelectorAll('#ranking-1 tbody th a')].map((one) => one.textContent)"
    assert page.evaluate(names) == ["tvc", "vvenc", "x265", "x264"]
    button = page.locator("#ranking-1 thead th:nth-child(2) .sort")
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(names) == ["tvc", "vvenc", "x264", "x265"]
    assert page.locator("#ranking-1 thead th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert page.evaluate(names) == ["x265", "x264", "vvenc", "tvc"]
    page.locator("#ranking-1 thead th:nth-child(3) .sort").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(names)[:2] == ["tvc", "vvenc"]
    assert page.locator("#ranking-1 [aria-sort]").count() == 1


def test_a_reader_walks_from_the_first_page_to_a_number_by_keyboard(tab, site):
    page = tab().page
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for text, ends in ((BOARD.title, "small/index.html"), ("tvc", "codecs/tvc.html"), ("2026-03-01", "index.html")):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").strip() == text:
                break
        seen = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(seen) == "solid"
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.url.endswith(ends)
    assert "tvc" in page.inner_text("h1")


def test_the_interactive_report_opens_from_a_board(tab, site):
    page = tab().page
    page.goto((site / "small/index.html").as_uri())
    page.get_by_role("link", name="Interactive curves").click()
    assert "/small/report/index.html" in page.url
    assert page.inner_text("h1")


def test_a_hostile_name_is_text(tab, site):
    page = tab().page
    page.goto((site / "index.html").as_uri())
    assert HOSTILE in page.inner_text("body")
    assert page.evaluate("[...document.images].filter((one) => one.src.endsWith('/x')).length") == 0
    for path in sorted((site / "hostile").rglob("*.html")):
        if "report" not in path.relative_to(site).parts:
            page.goto(path.as_uri())


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason=NO_AXE)
@pytest.mark.parametrize(("scheme", "viewport"), [("light", None), ("dark", PHONE)], ids=["desktop", "dark-phone"])
def test_axe_finds_nothing_serious(browser, site, scheme, viewport):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    options = {"viewport": viewport} if viewport else {}
    # The policy of the pages forbids what they do not bring along: axe among it.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, **options)
    page = context.new_page()
    found = []
    kinds = {str(path.relative_to(site)).rsplit("/", 2)[0].split("tvc-1")[0]: path for path in own_pages(site)}
    for path in kinds.values():
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.evaluate(axe)
        result = page.evaluate("axe.run()")
        found += [
            (path.name, one["id"], one["impact"], one["nodes"][0]["html"][:200], len(one["nodes"]))
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert found == []


def test_the_dark_has_its_own_colours(tab, site):
    colours = []
    for scheme in ("light", "dark"):
        page = tab(color_scheme=scheme).page
        page.goto((site / "small/index.html").as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
