"""Published curves in a real browser: labelled in the legend and at every point, and drawn apart from measured ones."""

from __future__ import annotations

from report_browser import PHONE
from test_import_report import LABEL, measured, published

from evalsuite.report.build import build_report


def test_published_curves_are_dashed_and_labelled(tab, tmp_path):
    runs = [measured(tmp_path), published(tmp_path, "Bunny_640x360_24.yuv", "Far_64x64")]
    page = tab(viewport=PHONE).open(
        build_report(runs, tmp_path / "report").with_name("curves.html"), "#metric=psnr_y&sequence=bunny"
    )
    assert page.locator("#legend button").all_inner_texts() == ["x265", f"VTM ({LABEL})"]
    traces = page.evaluate("document.getElementById('chart').data.map(t => [t.line.dash, t.hovertext[0]])")
    assert [dash for dash, _ in traces] == ["solid", "dash"]
    assert traces[1][1].startswith(f"VTM ({LABEL})<br>")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    # Nobody published the frame rate of the other sequence: it has nothing in kbps.
    page.goto(page.url.split("#")[0] + "#metric=psnr_y&sequence=Far_64x64&x=kbps")
    page.wait_for_timeout(200)
    assert "nothing in kbps" in page.locator("#chart-text").inner_text()
