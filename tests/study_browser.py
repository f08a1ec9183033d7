"""A study in a real browser, for the tests: made of real encodes, and gone through by keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_browser import Tab, eventually
from study_samples import real_run

from evalsuite.results.load import read_run
from evalsuite.study.page import Settings, make_study
from evalsuite.study.plan import Method, make_plan
from evalsuite.viewing.material import opened

HOSTILE = '<img src=x onerror="document.title=1">"\'&'
SCREEN = "document.body.dataset.screen"


def make(factory: pytest.TempPathFactory, method: Method, settings: Settings, **choice: Any) -> Path:
    """The folder of a study of the real run."""
    real = real_run(factory)
    run = read_run(real / "run")
    out = factory.mktemp("study") / "made"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALSUITE_CACHE", str(real / "cache"))
        with opened(run, real / "store", 60) as material:
            make_study(make_plan(run, method, **choice), material, out, settings)
    return out


def make_pairs(factory: pytest.TempPathFactory) -> Path:
    """Two comparisons: x264 and x265 on each of two sequences."""
    return make(factory, "pairwise", Settings(), targets=(0.07, 0.053))


def make_double(factory: pytest.TempPathFactory) -> Path:
    """Two ratings, of x265 and of the hidden reference, without training and with a hostile title."""
    settings = Settings(title=HOSTILE, training=0)
    return make(factory, "dcr", settings, codecs=["x265"], sequences=["pristine"], targets=(0.07,))


def page_of(tab: Tab, study: Path) -> Any:
    tab.page.goto((study / "page" / "index.html").as_uri())
    return tab.page


def begin(page: Any, subject: str = "s01") -> None:
    """From the welcome to the first trial, by keyboard."""
    page.focus("#subject")
    page.keyboard.type(subject)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def to_vote(page: Any) -> None:
    eventually(page, f"{SCREEN} === 'vote'")


def votes_kept(page: Any) -> list[dict[str, Any]]:
    """The votes in the browser's storage."""
    found = page.evaluate("localStorage.getItem(`evalsuite-study-${evalsuiteStudy.id}`)")
    return [] if found is None else json.loads(found)["votes"]


def give(page: Any, key: str = "1") -> None:
    """The next vote that counts."""
    to_vote(page)
    page.keyboard.press(key)
    page.keyboard.press("Enter")
    if page.locator("#pause-on").is_visible():
        page.keyboard.press("Enter")
        give(page, key)


def walk(page: Any, keys: str) -> Path:
    """Every trial to the end, with the same keys each; gives the file of votes."""
    with page.expect_download() as download:
        for _ in range(20):
            eventually(page, f"{SCREEN} !== 'play'")
            screen = page.evaluate(SCREEN)
            if screen == "done":
                break
            if screen == "pause":
                page.keyboard.press("Enter")
                continue
            for key in keys.split():
                page.keyboard.press(key)
    path = Path(download.value.path())
    return path.rename(path.with_name(download.value.suggested_filename))
