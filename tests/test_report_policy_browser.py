"""What a report must not run or load, in a real browser, opened from disk: chromium through playwright."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest
from report_browser import DESKTOP, Tab, drawn, eventually, hover
from report_sample import BREAKOUT, HOSTILE, QUOTES, hostile_run, plain_report

from evalsuite.report.build import build_report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_report(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return build_report([hostile_run(folder / "run")], folder / "report")


def test_hostile_names_run_nothing_and_are_shown(tab, hostile):
    for path in sorted(hostile.parent.glob("*.html")):
        page = tab().open(path)
        page.wait_for_timeout(100)
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("document.title").endswith(" · evalsuite")
        assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"], path.name
    curves = hostile.with_name("curves.html")
    page = tab().open(curves)
    assert page.locator("#legend button").all_inner_texts() == ["vvenc", HOSTILE, BREAKOUT]
    page.select_option("#controls select[name=metric]", "m" + HOSTILE)
    page.select_option("#controls select[name=sequence]", QUOTES)
    eventually(page, f"document.querySelector('#chart .ytitle').textContent.includes({HOSTILE.upper()!r})")
    assert HOSTILE in hover(page, 1, 0)
    assert BREAKOUT in hover(page, 2, 0)
    assert page.locator("#chart a, #chart img").count() == 0
    page.locator("#legend button").nth(1).click()
    eventually(page, "document.getElementById('chart').data.filter(t => t.visible).length === 2")
    # The state came through the URL unharmed.
    again = tab().open(curves, page.evaluate("location.hash"))
    assert again.input_value("#controls select[name=sequence]") == QUOTES
    assert len(drawn(again)) == 2


def test_policy_blocks_inline_code_and_the_network(browser, report):
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tab = Tab(browser)
    page = tab.open(report)
    page.evaluate(
        """async (url) => {
            const add = (tag, set) => document.body.append(Object.assign(document.createElement(tag), set));
            add("script", {textContent: "document.title = 'inline ran'"});
            add("script", {src: url + "/script"});
            add("img", {src: url + "/image"});
            add("iframe", {src: url + "/frame"});
            document.body.insertAdjacentHTML("beforeend", "<button id=evil onclick='document.title=1'>x</button>");
            document.getElementById("evil").click();
            await fetch(url + "/fetch").catch(() => 0);
            await new Promise(done => setTimeout(done, 300));
        }""",
        f"http://127.0.0.1:{server.server_port}",
    )
    assert page.title().startswith("vvenc")
    assert asked == []
    assert any("Content Security Policy" in message for message in tab.trouble)
    tab.context.close()
    server.shutdown()
