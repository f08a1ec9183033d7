"""The frames page in a real browser, opened from disk: what it shows, to the pixel, and how it is worked."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import moving_frames
from frames_sample import add_pictures
from report_browser import PHONE, Tab, check_phone, eventually, serious
from report_sample import HOSTILE, QUOTES, write_sample

from evalsuite.report.build import build_report
from evalsuite.types import Colour, Sequence, VideoFormat
from evalsuite.viewing.clips import write_copy

READY = "[...document.querySelectorAll('.stage img')].every(i => i.complete && i.naturalWidth)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    format = VideoFormat(176, 144)
    sequence = Sequence("s", "", Path(), "", format, Fraction(25), 50, Colour("bt709"))
    write_copy(moving_frames(format, 50), sequence, folder / "clip.mp4", 60)
    write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], sequences=["carphone", "face", "bikes"])
    add_pictures(folder / "run", ("carphone", "face"), clip=(folder / "clip.mp4").read_bytes())
    return build_report([folder / "run"], folder / "report").parent


def opened(tab: Any, report: Path, fragment: str = "", **options: Any) -> Any:
    page = tab(**options).page
    page.goto(f"{(report / 'frames.html').as_uri()}{fragment}")
    eventually(page, READY)
    return page


def still(report: Path, page: Any, place: int) -> np.ndarray:
    """The picture that a stage shows, as it is stored: blue, green, red."""
    name = page.evaluate(f"document.querySelectorAll('.stage img')[{place}].getAttribute('src')")
    return cv2.imread(str(report / name)).astype(int)


def seen(page: Any, place: int = 0) -> np.ndarray:
    """The pixels of the screen where a stage is: blue, green, red."""
    page.evaluate("scrollTo(0, document.getElementById('stages').offsetTop - 100)")
    box = page.evaluate(f"JSON.stringify(document.querySelectorAll('.stage')[{place}].getBoundingClientRect())")
    clip = {key: page.evaluate(f"({box}).{key}") for key in ("x", "y", "width", "height")}
    data = page.screenshot(clip=clip)
    return cv2.imdecode(np.frombuffer(io.BytesIO(data).read(), np.uint8), cv2.IMREAD_COLOR).astype(int)


def state(page: Any) -> dict[str, str]:
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")


def chosen(page: Any, name: str) -> str:
    return page.evaluate(f"document.getElementById('frames-form').elements['{name}'].value")


def transforms(page: Any) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('.film')].map(f => f.style.transform)")


def test_opens_with_the_worst_frame_of_two_codecs(tab, report):
    page = opened(tab, report)
    assert [chosen(page, name) for name in ("sequence", "rate", "frame", "left", "right", "mode", "zoom")] == [
        *("carphone", "0.04000 bpp", "7", "vvenc", "x265", "slider", "fit")
    ]
    text = page.inner_text("#frames-text")
    assert text.startswith("carphone, frame 7 at 0.04000 bpp: vvenc left of the divider, x265 right of it.")
    assert "VMAF 68.00 vvenc, 48.25 x265" in text
    assert page.locator("#frame-scores tbody tr").count() == 5
    alts = page.evaluate("[...document.querySelectorAll('.stage img')].map(i => i.alt)")
    assert alts[0] == "vvenc, carphone, frame 7, 1 face found"
    assert page.locator("[style]").count() > 0  # set by script, through style objects
    assert "style=" not in (report / "frames.html").read_text()


def test_a_link_shows_what_its_sender_saw(tab, report):
    link = "#sequence=face&frame=3&left=source&right=x264&mode=side&zoom=2&pan=0.2500,0.7500&faces=no&metric=psnr_y"
    page = opened(tab, report, link)
    assert [chosen(page, name) for name in ("sequence", "frame", "left", "right", "mode", "zoom")] == [
        *("face", "3", "source", "x264", "side", "2")
    ]
    before = transforms(page)
    page.select_option("#frames-form select[name=right]", "vvenc")
    assert state(page)["right"] == "vvenc"
    assert state(page)["metric"] == "psnr_y"  # of other pages
    again = opened(tab, report, page.evaluate("location.hash"))
    assert chosen(again, "right") == "vvenc"
    assert transforms(again) == before
    assert before[0] == before[1] == before[2]


def test_a_link_to_one_codec_has_another_beside_it(tab, report):
    page = opened(tab, report, "#left=x265")
    assert [chosen(page, name) for name in ("left", "right")] == ["x265", "vvenc"]
    assert "x265 left of the divider, vvenc right of it" in page.inner_text("#frames-text")


def test_an_address_that_is_followed_is_what_is_shown_from_then_on(tab, report):
    page = opened(tab, report)
    page.check("#frames-form input[name=zoom][value='2']")
    page.select_option("#frames-form select[name=right]", "x264")
    page.evaluate("location.hash = '#zoom=4&right=x265&mode=side'")
    eventually(page, "document.getElementById('frames-form').elements.zoom.value === '4'")
    page.uncheck("#frames-form input[name=faces]")
    assert [chosen(page, name) for name in ("zoom", "right", "mode")] == ["4", "x265", "side"]
    assert {"zoom": "4", "right": "x265", "mode": "side", "faces": "no"}.items() <= state(page).items()


def test_nonsense_in_a_link_is_ignored(tab, report):
    link = "#sequence=moon&rate=1&frame=99&left=%3Cb%3E&mode=4d&zoom=99&pan=a,b&split=-4&gain=0&shown=x&faces=perhaps"
    page = opened(tab, report, link)
    assert [chosen(page, name) for name in ("sequence", "frame", "left", "mode", "zoom")] == [
        *("carphone", "7", "vvenc", "slider", "fit")
    ]


def test_the_divider_follows_drags_and_keys(tab, report):
    page = opened(tab, report, "#faces=no")
    page.evaluate("scrollTo(0, document.getElementById('stages').offsetTop - 100)")
    box = page.locator(".stage").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, y)
    page.mouse.up()
    assert state(page)["split"] == "25"
    page.focus("#split")
    page.keyboard.press("ArrowRight")
    assert state(page)["split"] == "26"
    assert page.evaluate("document.activeElement.id") == "split"
    page.focus("#stages")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert state(page)["split"] == "22"
    assert page.evaluate("document.querySelectorAll('.stage')[1].style.clipPath") == "inset(0px 0px 0px 22%)"
    # Left of it one codec, right of it the other, each as it is stored.
    pixels = seen(page)
    scale = pixels.shape[1] // 176
    at = scale // 2
    left, right = still(report, page, 0), still(report, page, 1)
    for column, picture in ((20, left), (30, left), (50, right), (140, right)):
        np.testing.assert_array_equal(pixels[100 * scale + at, column * scale + at], picture[100, column])


def test_flip_by_key_and_by_button(tab, report):
    page = opened(tab, report, "#mode=flip&faces=no&zoom=1")
    left, right = still(report, page, 0), still(report, page, 1)
    np.testing.assert_array_equal(seen(page)[40:], left[40:])
    page.focus("#stages")
    page.keyboard.press(" ")
    np.testing.assert_array_equal(seen(page)[40:], right[40:])
    assert state(page)["shown"] == "right"
    assert "x265 shown, vvenc after a flip" in page.inner_text("#frames-text")
    page.click("#flip")
    np.testing.assert_array_equal(seen(page)[40:], left[40:])


def test_differences_are_those_of_the_samples(tab, report):
    page = opened(tab, report, "#mode=difference&zoom=1&gain=4")
    expected = np.minimum(4 * np.abs(still(report, page, 0) - still(report, page, 1)), 255)
    assert np.abs(seen(page) - expected).max() <= 1
    page.select_option("#gain", "1")
    expected = np.abs(still(report, page, 0) - still(report, page, 1))
    assert np.abs(seen(page) - expected).max() <= 1
    page.select_option("#frames-form select[name=right]", "vvenc")
    page.select_option("#gain", "32")
    eventually(page, READY)
    assert seen(page).max() == 0  # of a picture and itself


@pytest.mark.parametrize("ratio", [1, 2])
def test_zoom_goes_to_the_pixel(tab, report, ratio):
    page = opened(tab, report, "#mode=flip&zoom=8&faces=no&pan=0.5,0.5", device_scale_factor=ratio)
    pixels = seen(page)
    picture = still(report, page, 0)
    matrix = page.evaluate("document.querySelector('.film').style.transform")
    x, y = (-float(part.strip(" px)")) * ratio for part in matrix.removeprefix("translate(").split(","))
    rows = (np.arange(pixels.shape[0]) + round(y)) // 8
    columns = (np.arange(pixels.shape[1]) + round(x)) // 8
    inside = slice(60, -10)  # below the name of the codec
    np.testing.assert_array_equal(pixels[inside, 5:-5], picture[np.ix_(rows, columns)][inside, 5:-5])


def test_a_zoomed_picture_is_moved_on_both_sides(tab, report):
    page = opened(tab, report, "#sequence=face&mode=side&zoom=4")
    before = transforms(page)
    box = page.locator(".stage").first.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 80)
    page.mouse.up()
    moved = transforms(page)
    assert moved[0] == moved[1] != before[0]
    assert "pan" in state(page)
    page.focus("#stages")
    page.keyboard.press("ArrowDown")
    assert transforms(page)[0] == transforms(page)[1] != moved[0]
    page.keyboard.press("0")
    assert state(page)["zoom"] == "fit"
    page.keyboard.press("+")
    assert chosen(page, "zoom") == "1"


def test_faces_are_boxed_where_they_are(tab, report):
    page = opened(tab, report, "#zoom=1&mode=side")
    stage, face = page.locator(".stage").first.bounding_box(), page.locator(".face").first.bounding_box()
    assert face["x"] - stage["x"] == pytest.approx(10.5, abs=1)
    assert face["y"] - stage["y"] == pytest.approx(20, abs=1)
    assert face["width"] == pytest.approx(30, abs=2)
    page.uncheck("#frames-form input[name=faces]")
    assert not page.locator(".face").first.is_visible()
    assert state(page)["faces"] == "no"
    page.select_option("#frames-form select[name=sequence]", "face")
    # The images of the sequence before are there until the others have come.
    eventually(page, "!document.querySelector('.face')")
    eventually(page, READY)


def test_frames_and_sides_change_by_keys(tab, report):
    page = opened(tab, report)
    page.focus("#stages")
    page.keyboard.press("]")
    assert chosen(page, "frame") == "3"
    page.keyboard.press("[")
    page.keyboard.press("x")
    assert [chosen(page, name) for name in ("frame", "left", "right")] == ["7", "x265", "vvenc"]
    page.focus("#frame-7")
    page.keyboard.press("ArrowDown")
    assert state(page)["frame"] == "3"
    assert page.evaluate("document.activeElement.id") == "frame-3"


def test_every_control_is_reached_by_tab(tab, report):
    page = opened(tab, report)
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
        )
        reached.append(name)
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        if name == "VIDEO":
            break
    wanted = [
        "sequence",
        "rate",
        "frame-7",
        "left",
        "right",
        "swap",
        "mode",
        "zoom",
        "faces",
        "stages",
        "split",
        "play",
    ]
    assert [name for name in reached if name in wanted] == wanted
    assert "VIDEO" in reached


def test_clips_play_and_pause_together(tab, report):
    page = opened(tab, report)
    eventually(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    assert page.locator("video").count() == 2
    page.click("#play")
    eventually(page, "[...document.querySelectorAll('video')].every(v => v.currentTime > 0.2 && !v.paused)")
    times = page.evaluate("[...document.querySelectorAll('video')].map(v => v.currentTime)")
    assert abs(times[0] - times[1]) < 0.3
    page.click("#play")
    eventually(page, "[...document.querySelectorAll('video')].every(v => v.paused)")
    page.evaluate("document.querySelectorAll('video')[1].currentTime = 1")
    eventually(page, "Math.abs(document.querySelectorAll('video')[0].currentTime - 1) < 0.05")
    assert "near-lossless" in page.inner_text("#clips")
    assert "frames 0 to 4, 45.5 dB (luma)" in page.inner_text("#clips figcaption >> nth=0")


@pytest.mark.parametrize("mode", ["slider", "side", "three", "flip", "difference"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(tab, report, mode, scheme):
    page = opened(tab, report, f"#mode={mode}&sequence=face", viewport=PHONE, color_scheme=scheme)
    check_phone(page)
    box = page.locator(".stage").first.bounding_box()
    assert box["width"] <= PHONE["width"]
    if mode in ("side", "three"):
        other = page.locator(".stage").nth(1).bounding_box()
        assert other["y"] > box["y"] + box["height"] - 1  # below each other


def test_dark_colours(tab, report):
    page = opened(tab, report, color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"


@pytest.mark.parametrize("mode", ["slider", "flip", "difference"])
def test_paper_has_the_pair_beside_each_other(tab, report, mode):
    page = opened(tab, report, f"#mode={mode}&zoom=8&sequence=face")
    page.emulate_media(media="print")
    first, second = (page.locator(".stage img").nth(place).bounding_box() for place in (0, 1))
    assert first["width"] == pytest.approx(second["width"], abs=1)
    assert first["x"] + first["width"] <= second["x"]
    assert first["height"] == pytest.approx(first["width"] * 360 / 640, rel=0.02)
    style = "getComputedStyle(document.querySelectorAll('.stage')[1])"
    assert page.evaluate(f"{style}.clipPath") == "none"
    assert page.evaluate(f"{style}.mixBlendMode") == "normal"
    assert page.evaluate(f"{style}.visibility") == "visible"
    assert page.evaluate("getComputedStyle(document.getElementById('stages')).filter") == "none"


def test_without_script_there_is_a_gallery(tab, report):
    page = tab(java_script_enabled=False).page
    page.goto((report / "frames.html").as_uri())
    assert page.locator(".gallery img").count() == 8
    assert page.locator(".gallery img").first.is_visible()
    assert not page.locator("#frames-form").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser, report, scheme):
    watched = Tab(browser, color_scheme=scheme)  # what axe itself tries on a page ends up in the console
    for mode in ("slider", "three", "flip", "difference"):
        watched.page.goto(f"{(report / 'frames.html').as_uri()}#mode={mode}")
        eventually(watched.page, READY)
        assert serious(watched.page) == []
    watched.context.close()


def test_hostile_names_are_text(tab, tmp_path):
    folder = write_sample(tmp_path / "run", codecs=["vvenc", HOSTILE], sequences=[QUOTES])
    index = add_pictures(folder, (QUOTES,))
    assert index["cells"]
    page = opened(tab, build_report([folder], tmp_path / "report").parent)
    assert [chosen(page, name) for name in ("sequence", "right")] == [QUOTES, HOSTILE]
    assert HOSTILE in page.inner_text("#frames-text")
    assert HOSTILE in page.inner_text("#frame-scores")
    page.click("#swap")
    assert state(page)["left"] == HOSTILE
    assert page.locator("img[src=x]").count() == 0
