"""How a study looks in a real browser: pixels, screens, full screen, names, contrast: chromium through playwright."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_browser import PHONE, check_phone, eventually
from study_browser import SCREEN, begin, make_double, make_pairs, page_of, to_vote, votes_kept, walk

from evalsuite.sources.reader import open_video
from evalsuite.study.stimuli import read_key
from evalsuite.study.votes import read_scores


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return make_pairs(tmp_path_factory)


@pytest.fixture(scope="module")
def double(tmp_path_factory) -> Path:
    return make_double(tmp_path_factory)


@pytest.mark.parametrize(("ratio", "viewport"), [(1, (1280, 800)), (2, (641, 401)), (1.5, (853, 533))])
def test_pixels_of_the_clip_are_pixels_of_the_screen(tab, double, ratio, viewport):
    size = dict(zip(("width", "height"), viewport, strict=True))
    page = page_of(tab(viewport=size, device_scale_factor=ratio, screen=size), double)
    begin(page)
    # Held on some frame of the reference: the first clip of a trial.
    eventually(page, "document.querySelector('.clip.shown')?.currentTime > 0.1")
    page.evaluate("document.querySelector('.clip.shown').pause()")
    page.wait_for_timeout(200)
    box = page.evaluate("(() => { const b = document.querySelector('.clip.shown').getBoundingClientRect();"
                        " return [b.x, b.y, b.width, b.height] })()")  # fmt: skip
    x, y, width, height = (side * ratio for side in box)
    # The browser keeps lengths in 64ths of a pixel of its own.
    assert (width, height) == pytest.approx((176, 144), abs=0.05)
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(float)
    assert picture[2, 2].tolist() == [128, 128, 128]
    told = json.loads((double / "page" / "data.js").read_text().removeprefix("window.evalsuiteStudy = ").rstrip(";\n"))
    clip = double / "page" / told["clips"][told["trials"][0]["source"]]["file"]
    luma = 16 + (picture @ [0.299, 0.587, 0.114]) * 219 / 255
    # Where half a pixel is rounded to is the browser's affair; that nothing is scaled or blurred is not.
    best = min(
        (
            np.abs(luma[top : top + 144, left : left + 176] - frame[0])
            for frame in open_video(clip)
            for top in range(round(y) - 1, round(y) + 2)
            for left in range(round(x) - 1, round(x) + 2)
        ),
        key=np.mean,
    )
    # Colours that RGB cannot hold are cut, which moves luma: all others are exact to rounding.
    assert np.median(best) < 0.5
    assert np.mean(best) < 1


def test_a_screen_that_is_too_small_is_said_and_marked(tab, double):
    small = {"width": 150, "height": 320}
    page = page_of(tab(viewport=small, screen=small), double)
    assert "150 × 320 pixels, and the largest scene 176 × 144" in page.inner_text("#warnings")
    page.fill("#subject", "s1")
    page.check("#consent")
    page.click("#start")
    ratings = read_scores([walk(page, "5 Enter")], read_key(double / "key.json"))
    assert ratings.remarks[0] == "2 of 2 votes were given on sequences that the screen was too small for"


SMALL, LARGE = {"width": 150, "height": 120}, {"width": 1280, "height": 800}


def test_a_window_that_is_small_only_before_a_clip_or_at_the_vote_is_not_marked(tab, double):
    page = page_of(tab(viewport=SMALL), double)
    begin(page)
    page.set_viewport_size(LARGE)  # as full screen does, a moment after the click
    to_vote(page)
    page.set_viewport_size(SMALL)
    page.wait_for_timeout(200)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    (vote,) = votes_kept(page)
    assert (vote["shown_scale"], vote["viewport"], vote["device_pixel_ratio"]) == (1, "1280x800", 1)


def test_a_window_that_is_small_while_a_clip_plays_is_marked(tab, double):
    page = page_of(tab(viewport=LARGE), double)
    begin(page)
    eventually(page, "document.querySelector('.clip.shown')?.currentTime > 0.05")
    page.set_viewport_size({"width": 88, "height": 800})
    eventually(page, "innerWidth === 88")
    # What is undone before a frame is drawn, nobody sees; nor is the page told.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.set_viewport_size(LARGE)
    to_vote(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    (vote,) = votes_kept(page)
    assert (vote["shown_scale"], vote["viewport"]) == (0.5, "88x800")  # the clip is 176 wide


def test_full_screen_is_told_of_while_clips_play(tab, double):
    page = page_of(tab(), double)
    begin(page)
    eventually(page, "document.fullscreenElement !== null && document.querySelector('.clip.shown')")
    page.evaluate("document.exitFullscreen()")
    to_vote(page)
    page.keyboard.press("f")
    eventually(page, "document.fullscreenElement !== null")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    to_vote(page)
    page.keyboard.press("f")
    eventually(page, "document.fullscreenElement === null")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    eventually(page, f"{SCREEN} === 'done'")
    assert [vote["fullscreen"] for vote in votes_kept(page)] == [0, 1]


def test_a_phone_is_warned_and_can_be_used(tab, double):
    page = page_of(tab(viewport=PHONE, screen=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3), double)
    assert "looks like a phone" in page.inner_text("#warnings")
    check_phone(page)
    page.fill("#subject", "s1")
    page.tap("#consent")
    page.tap("#start")
    to_vote(page)
    check_phone(page)
    assert page.locator("#confirm").is_disabled()
    page.tap(".choice >> nth=1")
    page.tap("#confirm")
    to_vote(page)


def test_full_screen_on_a_key(tab, pairs):
    page = page_of(tab(), pairs)
    begin(page)
    eventually(page, "document.fullscreenElement !== null")
    to_vote(page)
    page.keyboard.press("f")
    eventually(page, "document.fullscreenElement === null")
    page.keyboard.press("f")
    eventually(page, "document.fullscreenElement !== null")


def test_names_for_screen_readers_and_contrast(tab, pairs):
    page = page_of(tab(), pairs)
    nameless = """[...document.querySelectorAll('button, input, section, video')]
        .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
                       || e.labels?.length)).map(e => e.outerHTML.slice(0, 100))"""
    assert page.evaluate(nameless) == []
    colours = page.evaluate(
        "(() => { const s = getComputedStyle(document.documentElement);"
        " return ['--ink', '--grey', '--panel', '--dark', '--light'].map(n => s.getPropertyValue(n).trim()) })()"
    )

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ink, grey, panel, dark, light = map(luminance, colours)
    assert colours[1] == "#808080"
    for low, high in ((ink, grey), (ink, panel), (dark, light)):
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, 1.4.3
    begin(page)
    to_vote(page)
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.activeElement.closest('fieldset') !== null")
