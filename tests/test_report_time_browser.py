"""Frames over time in a real browser."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_frames
from report_browser import PHONE, check_phone, eventually, serious
from report_frames import bits, scores, with_frames
from report_sample import BREAKOUT, HOSTILE, QUOTES, hostile_run, write_sample

from evalsuite.report.build import build_report
from evalsuite.report.data import script


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("time")
    run = write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], metrics=["psnr_y", "vmaf", "lpips"])
    with_frames(run, without_bits=["x264"], later=["lpips"], without_scores=[("x264", "psnr_y")])
    return build_report([run], folder / "report").with_name("time.html")


def opened(tab: Any, page_file: Path, fragment: str = "", **options: Any) -> Any:
    page = tab(**options).open(page_file, fragment)
    if page.evaluate("document.documentElement.classList.contains('js')"):
        eventually(page, "document.querySelectorAll('#frame-table tbody tr').length > 0")
    return page


def traces(page: Any) -> list[tuple[str, str]]:
    """Name and axis of what is drawn."""
    return [tuple(one) for one in page.evaluate("byId('timeline').data.map(t => [t.name, t.yaxis ?? 'y'])")]


def row(page: Any, codec: str) -> list[str]:
    return page.evaluate(
        "name => [...[...document.querySelectorAll('#frame-table tbody tr')]"
        ".find(r => r.cells[0].textContent === name).cells].map(c => c.textContent.replaceAll('\u202f', ' '))",
        codec,
    )


def test_scores_and_bits_are_drawn_over_one_axis(tab, page_file):
    page = opened(tab, page_file)
    assert traces(page) == [("vvenc", "y"), ("x265", "y"), ("x264", "y"), ("vvenc", "y2"), ("x265", "y2")]
    assert page.evaluate("byId('timeline').layout.xaxis.anchor") == "y2"
    size = round(0.01 * 176 * 144 * 60 / 8)
    assert page.evaluate("byId('timeline').data[3].y") == pytest.approx(bits(size, 60) / 1000)
    text = page.inner_text("#time-text")
    assert "order of transmission" in text
    assert "Bits of single frames are not known of x264" in text
    # The score that 95 % of the frames reach, of each codec, and the frame that is read.
    assert page.evaluate("byId('timeline').layout.shapes.length") == 4


@pytest.mark.parametrize("name", ["time", "traffic"])
def test_it_opens_at_the_lowest_rate_that_all_codecs_have(tab, tmp_path, name):
    shared = {"sequences": ["face"], "metrics": ["vmaf"]}
    whole = with_frames(write_sample(tmp_path / "whole", codecs=["vvenc"], **shared))
    short = with_frames(write_sample(tmp_path / "short", codecs=["x265"], targets=[0.02, 0.04], **shared))
    build_report([whole, short], tmp_path / "report")
    page = tab().open(tmp_path / "report" / f"{name}.html")
    eventually(page, f"document.querySelector('#{name}-controls select[name=rate]').value === '0.02'")


def test_a_packet_alone_is_seen_on_the_logarithmic_axis(tab, tmp_path, monkeypatch):
    monkeypatch.setattr(report_frames, "bits", lambda size, frames: np.where(np.arange(frames) % 32, 0, size * 4))
    run = with_frames(write_sample(tmp_path / "run", codecs=["x265"], sequences=["face"], metrics=["vmaf"]))
    build_report([run], tmp_path / "report")
    page = opened(tab, tmp_path / "report" / "time.html")
    sizes = page.evaluate("byId('timeline').data[1].marker.size")
    assert {place for place, size in enumerate(sizes) if size} == {
        place for place in range(len(sizes)) if place % 32 == 0
    }


def test_it_opens_at_the_worst_frame_and_reads_it_side_by_side(tab, page_file):
    page = opened(tab, page_file)
    assert page.input_value("#frame") == "41"
    assert row(page, "vvenc")[:3] == ["vvenc", f"{scores(35.0, 60)[41]:.2f}", str(int(bits(1901, 60)[41]))]
    assert row(page, "x264")[2] == "–"
    assert row(page, "vvenc")[3:5] == ["35.00", "33.20"]
    assert page.inner_text("#frame-caption").replace("\u202f", " ") == "Frame 41 of carphone at 0.01 bpp, 7.6 kbps"


def test_the_keyboard_reads_frame_by_frame(tab, page_file):
    page = opened(tab, page_file)
    assert page.get_by_role("slider", name="Frame", exact=True).get_attribute("id") == "frame"
    page.focus("#frame")
    page.keyboard.press("ArrowRight")
    eventually(page, "document.querySelector('#frame-caption').textContent.startsWith('Frame 42 ')")
    assert row(page, "vvenc")[1] == f"{scores(35.0, 60)[42]:.2f}"
    said = page.get_attribute("#frame", "aria-valuetext")
    assert said.startswith(f"frame 42: vvenc {scores(35.0, 60)[42]:.2f}, ")
    eventually(page, "location.hash.includes('frame=42')")
    assert page.evaluate("byId('timeline').layout.shapes.at(-1).x0") == 42
    page.keyboard.press("Home")
    eventually(page, "document.querySelector('#frame-caption').textContent.startsWith('Frame 0 ')")


def test_pointing_reads_and_pressing_keeps(tab, page_file):
    page = opened(tab, page_file)
    box = page.locator("#timeline .nsewdrag").first.bounding_box()
    at = page.evaluate("byId('timeline')._fullLayout.xaxis.l2p(11)")
    page.mouse.move(box["x"] + at, box["y"] + 40)
    eventually(page, "document.querySelector('#frame-caption').textContent.startsWith('Frame 11 ')")
    assert "frame=" not in page.evaluate("location.hash")
    page.mouse.click(box["x"] + at, box["y"] + 40)
    eventually(page, "location.hash.includes('frame=11')")
    page.mouse.move(2, 2)
    eventually(page, "document.querySelector('#frame').value === '11'")


def test_two_codecs_are_chosen(tab, page_file):
    page = opened(tab, page_file)
    assert page.is_disabled("#time-controls select[name=right]")
    page.select_option("#time-controls select[name=left]", "x264")
    eventually(page, "byId('timeline').data.length === 1")
    page.select_option("#time-controls select[name=right]", "vvenc")
    eventually(page, "byId('timeline').data.length === 3")
    assert [name for name, _ in traces(page)] == ["x264", "vvenc", "vvenc"]
    again = opened(tab, page_file, page.evaluate("location.hash"))
    assert [name for name, _ in traces(again)] == ["x264", "vvenc", "vvenc"]


def test_a_link_shows_what_its_sender_saw(tab, page_file):
    page = opened(tab, page_file, "#metric=lpips&sequence=face&rate=0.04&frame=0&hide=x265&scale=linear")
    assert [name for name, _ in traces(page)] == ["vvenc", "x264", "vvenc"]
    assert page.input_value("#time-controls select[name=rate]") == "0.04"
    assert row(page, "vvenc")[1] == "–"  # the metric begins with the second frame
    assert "LPIPS (↓ lower is better) of each frame of face at 0.04" in page.inner_text("#time-text")
    assert page.evaluate("byId('timeline').layout.yaxis2.type") == "linear"


def test_the_address_is_read_again_where_it_changes(tab, page_file):
    page = opened(tab, page_file)
    page.evaluate("location.hash = '#frame=7&rate=0.08'")
    eventually(page, "document.querySelector('#frame-caption').textContent.startsWith('Frame 7 ')")
    # A rate that a sequence has not: the nearest.
    page.evaluate("location.hash = '#frame=7&rate=0.07'")
    eventually(page, "location.hash.includes('0.07')")
    assert page.input_value("#time-controls select[name=rate]") == "0.08"
    page.evaluate("location.hash = '#frame=100000&metric=nothing&sequence=*'")
    eventually(page, "document.querySelector('#frame').value === '59'")


def test_worst_frames_lead_to_themselves(tab, page_file):
    page = opened(tab, page_file)
    links = page.locator("#frame-table tbody tr").first.locator("a")
    assert links.all_inner_texts()[0].startswith("41 (")
    second = links.nth(1)
    frame = second.inner_text().split(" ")[0]
    second.click()
    eventually(page, f"document.querySelector('#frame-caption').textContent.startsWith('Frame {frame} ')")


def test_worst_frames_that_have_pictures_lead_to_them(tab, tmp_path):
    run = with_frames(write_sample(tmp_path / "run", metrics=["vmaf"]))
    index = build_report([run], tmp_path / "report")
    data = index.parent / "data"
    overall = (data / "report.js").read_text(encoding="utf-8")
    (data / "report.js").write_text(overall.replace('"time.html"', '"time.html","frames.html"'), encoding="utf-8")
    shot = {"label": "0.01000 bpp", "sides": [{"key": "source"}, {"key": "x265"}], "frames": [{"frame": 41}]}
    (data / "frames.js").write_text(script("frames", {"sequences": ["carphone"]}), encoding="utf-8")
    (data / "frames-0.js").write_text(script("frames-0", {"rates": [shot]}), encoding="utf-8")
    page = opened(tab, index.with_name("time.html"))
    links = page.evaluate("[...document.querySelectorAll('#frame-table a')].map(a => a.getAttribute('href'))")
    [picture] = [link for link in links if link.startswith("frames.html#")]
    asked = urllib.parse.parse_qs(picture.split("#")[1])
    wanted = {"sequence": "carphone", "rate": "0.01000 bpp", "frame": "41", "left": "x265"}
    assert {key: asked[key][0] for key in wanted} == wanted
    assert "at" not in asked


def test_a_codec_without_frames_is_named(tab, page_file):
    page = opened(tab, page_file, "#metric=psnr_y")
    assert "Not drawn: x264: no scores of single frames." in page.inner_text("#time-text")
    assert {name for name, _ in traces(page)} == {"vvenc", "x265"}


def test_codecs_are_hidden(tab, page_file):
    page = opened(tab, page_file)
    page.focus("#legend button")
    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('hide=vvenc')")
    eventually(page, "document.querySelectorAll('#frame-table tbody tr').length === 2")
    # All of them: the plot is empty, and says so.
    page.locator("#legend button").nth(1).click()
    page.locator("#legend button").nth(2).click()
    eventually(page, "document.querySelector('#time-text').textContent.includes('no codec')")
    eventually(page, "byId('timeline').data.length === 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_and_colours(tab, page_file, scheme):
    page = opened(tab, page_file, color_scheme=scheme)
    assert serious(page) == []
    wanted = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--c0').trim()")
    assert page.evaluate("byId('timeline').data[0].line.color") == wanted


def test_a_phone_needs_no_scrolling_to_the_side(tab, page_file):
    page = opened(tab, page_file, viewport=PHONE)
    check_phone(page)


def test_without_javascript_the_table_is_there(tab, page_file):
    page = opened(tab, page_file, java_script_enabled=False)
    assert not page.locator("#timeline").is_visible()
    assert page.locator("table.worst tbody tr").count() == 5 * 2 * 3
    assert "The plots need JavaScript" in page.inner_text("main")


def test_a_run_without_bits_says_so(tab, tmp_path):
    run = with_frames(write_sample(tmp_path / "run", metrics=["vmaf"]), without_bits=["vvenc", "x265"])
    page = opened(tab, build_report([run], tmp_path / "report").with_name("time.html"))
    assert "Bits of single frames are not known: they come with the metric frame_bits." in page.inner_text("#time-text")
    assert [axis for _, axis in traces(page)] == ["y", "y"]
    assert not page.locator("#time-scale").is_visible()


def test_hostile_names_are_text(tab, tmp_path):
    run = with_frames(hostile_run(tmp_path / "run"))
    page = opened(tab, build_report([run], tmp_path / "report").with_name("time.html"))
    page.select_option("#time-controls select[name=metric]", "m" + HOSTILE)
    page.select_option("#time-controls select[name=sequence]", QUOTES)
    page.select_option("#time-controls select[name=left]", HOSTILE)
    page.select_option("#time-controls select[name=right]", BREAKOUT)
    eventually(page, f"document.querySelector('#frame-caption').textContent.includes({QUOTES!r})")
    eventually(page, "document.querySelectorAll('#frame-table tbody tr').length === 2")
    assert row(page, HOSTILE)[0] == HOSTILE
    page.evaluate("Plotly.Fx.hover('timeline', [{curveNumber: 0, pointNumber: 3}])")
    page.wait_for_selector("#timeline .hoverlayer text")
    assert HOSTILE in page.text_content("#timeline .hoverlayer")
    assert page.locator("#timeline a, #timeline img, main img").count() == 0
