"""A real browser for the tests of the report: chromium through playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_NO_CHROMIUM = "missing: chromium (Debian: apt-get install chromium)"
NO_AXE = "missing: the Python package axe-playwright-python"
_NO_PLAYWRIGHT = "missing: the Python package playwright"

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """The browser; what asks for it skips where it, or what drives it, is missing."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason=_NO_PLAYWRIGHT)
    if _CHROMIUM is None:
        pytest.skip(_NO_CHROMIUM)
    with playwright_api.sync_playwright() as running:
        # Containers run tests as root, where chromium has no sandbox.
        chromium = running.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Tab:
    """A browser tab that fails the test on any console message, script error, dialog or request beyond the folder."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, **options})
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._note_request)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(("file://", "blob:", "data:")):
            self.trouble.append(request.url)

    def open(self, page: Path, fragment: str = "") -> Any:
        self.page.goto(f"{page.as_uri()}{fragment}")
        scripts = self.page.evaluate("document.documentElement.classList.contains('js')")
        if scripts and self.page.locator("#chart").count():
            self.page.wait_for_selector("#chart .main-svg")
        return self.page


@contextlib.contextmanager
def silent_tabs(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Makes tabs; none of them may have had trouble by the end."""
    tabs: list[Tab] = []

    def make(**options: Any) -> Tab:
        tabs.append(Tab(browser, **options))
        return tabs[-1]

    yield make
    trouble = [message for tab in tabs for message in tab.trouble]
    for tab in tabs:
        tab.context.close()
    assert trouble == []


def serious(page: Any) -> list[str]:
    """What axe finds on a page that is serious or worse: rule and element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=NO_AXE)
    # What it would fetch to look at style sheets, the page's policy forbids.
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def eventually(page: Any, condition: str) -> None:
    """Wait for a condition; the page's policy forbids playwright's own way, which evaluates text."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def check_phone(page: Any, plots: tuple[str, ...] = ()) -> None:
    """On a phone plots stand one under the other, and nothing runs over."""
    assert len({page.locator(f"#{plot}").bounding_box()["x"] for plot in plots}) <= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def check_light(page: Any, plots: tuple[str, ...]) -> None:
    """A page that was opened in the dark follows the system into the light, plots too."""
    page.emulate_media(color_scheme="light")
    for plot in plots:
        eventually(page, f"document.querySelector('#{plot} .main-svg').style.background.startsWith('rgb(253')")


def drawn(page: Any) -> list[str]:
    """Names of the traces that the chart shows."""
    return page.evaluate("document.getElementById('chart').data.filter(t => t.visible).map(t => t.name)")


def hover(page: Any, trace: int, point: int) -> str:
    """What the chart says at a point of a trace."""
    page.evaluate("Plotly.Fx.unhover('chart')")
    eventually(page, "!document.querySelector('#chart .hovertext')")
    page.wait_for_timeout(100)  # plotly takes hovers at most every 50 ms
    page.evaluate(f"Plotly.Fx.hover('chart', [{{curveNumber: {trace}, pointNumber: {point}}}])")
    page.wait_for_selector("#chart .hovertext")
    # Each line of a label is a tspan of its own.
    return page.evaluate(
        "[...document.querySelectorAll('#chart .hovertext tspan.line')].map(t => t.textContent).join('\\n')"
    )
