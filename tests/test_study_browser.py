"""A session of a study in a real browser, opened from disk, gone through by keyboard: chromium through playwright."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from report_browser import Tab, eventually
from study_browser import (
    HOSTILE,
    SCREEN,
    begin,
    give,
    make_double,
    make_pairs,
    page_of,
    to_vote,
    votes_kept,
    walk,
)
from typer.testing import CliRunner

from evalsuite.cli.study import app
from evalsuite.study.stimuli import read_key
from evalsuite.study.votes import read_scores


class Opened(NamedTuple):
    """A further page of a tab."""

    page: Any


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return make_pairs(tmp_path_factory)


@pytest.fixture(scope="module")
def double(tmp_path_factory) -> Path:
    return make_double(tmp_path_factory)


def test_a_session_by_keyboard_ends_in_votes_that_can_be_analysed(tab, pairs):
    page = page_of(tab(), pairs)
    assert "2 trials" in page.inner_text("#length")
    begin(page)
    file = walk(page, "1 Enter")
    key = read_key(pairs / "key.json")
    votes = read_scores([file], key)
    assert votes.subjects == ("s01",)
    assert len(votes.votes) == 2  # the training is not among them
    # "1" is the one that was shown first.
    assert all(vote.choice == vote.first for vote in votes.votes)
    assert {frozenset((vote.a.codec, vote.b.codec)) for vote in votes.votes} == {frozenset(("x264", "x265"))}
    assert {vote.a.sequence for vote in votes.votes} == {"pristine", "distorted"}
    assert "2" in page.inner_text("#done-text")
    arguments = ["analyse", str(file), "--key", str(pairs / "key.json"), "--prior", "0.5", "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["kind"] == "pairwise"
    assert found["first_chosen"] == [2, 2]
    # One vote, half a vote on each side: log(1.5 / 0.5) between the two.
    for one in found["comparisons"]:
        scores = sorted(item["score"] for item in one["items"])
        assert scores[1] - scores[0] == pytest.approx(np.log(3), abs=1e-6)


def test_the_columns_of_the_votes(tab, pairs):
    page = page_of(tab(), pairs)
    begin(page, "s-2.x_y")
    lines = walk(page, "ArrowRight Enter").read_text().splitlines()
    assert lines[0] == (
        "study,subject,trial,time,sequence,a,b,first,choice,replays,shown_scale,late_s,dropped_frames,fullscreen,viewport,"
        "device_pixel_ratio,user_agent"
    )
    cells = [dict(zip(lines[0].split(","), line.split(",", 16), strict=True)) for line in lines[1:]]
    assert [cell["trial"] for cell in cells] == ["1", "2"]
    assert {cell["subject"] for cell in cells} == {"s-2.x_y"}
    assert {(cell["shown_scale"], cell["fullscreen"], cell["device_pixel_ratio"]) for cell in cells} == {
        ("1", "1", "1")
    }
    assert all(cell["dropped_frames"].isdigit() for cell in cells)
    assert all(abs(float(cell["late_s"])) < 5 for cell in cells)
    assert all(cell["choice"] != cell["first"] for cell in cells)
    assert all(cell["user_agent"].startswith('"Mozilla/5.0') for cell in cells)


def test_double_stimulus_by_keyboard(tab, double):
    page = page_of(tab(), double)
    assert page.inner_text("h1") == HOSTILE
    assert page.locator("img").count() == 0
    begin(page)
    to_vote(page)
    assert [text.split("\n") for text in page.locator(".choice").all_inner_texts()] == [
        ["Imperceptible", "5"],
        ["Perceptible, but not annoying", "4"],
        ["Slightly annoying", "3"],
        ["Annoying", "2"],
        ["Very annoying", "1"],
    ]
    # Down the list and up again: 5, 4, 3, 4.
    ratings = read_scores([walk(page, "ArrowDown ArrowDown ArrowDown ArrowUp Enter")], read_key(double / "key.json"))
    assert ratings.scores.flatten().tolist() == [4, 4]
    assert sorted(one.codec for one in ratings.stimuli) == ["source", "x265"]
    assert sum(one.is_source for one in ratings.stimuli) == 1


def test_no_vote_before_both_were_seen_whole(tab, pairs):
    page = page_of(tab(), pairs)
    begin(page)
    shown = []
    # In one step of the page, so that the vote cannot have begun between the look and the keys.
    press_early = """() => {
        if (document.body.dataset.screen !== "play") return null;
        for (const key of ["1", "Enter"]) {
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
        }
        return [...document.querySelectorAll(".clip")].findIndex(clip => clip.matches(".shown"));
    }"""
    while (place := page.evaluate(press_early)) is not None:
        shown.append(place)
        page.wait_for_timeout(10)
    assert {0, 1, -1} == set(shown)
    assert page.evaluate("[...document.querySelectorAll('.clip')].every(c => c.ended)")
    assert page.locator("#choices :checked").count() == 0
    page.keyboard.press("Enter")
    assert page.evaluate(SCREEN) == "vote"


def test_space_plays_again_keeps_the_choice_and_is_counted(tab, double):
    page = page_of(tab(), double)
    begin(page)
    to_vote(page)
    page.keyboard.press("2")
    page.keyboard.press("Space")
    assert page.evaluate(SCREEN) == "play"
    to_vote(page)
    assert page.input_value("#choices :checked") == "2"
    page.keyboard.press("Enter")
    lines = walk(page, "2 Enter").read_text().splitlines()
    at = lines[0].split(",").index("replays")
    assert [line.split(",")[at] for line in lines[1:]] == ["1", "0"]


def test_a_reload_goes_on_where_it_was(tab, pairs):
    page = page_of(tab(), pairs)
    begin(page)
    for _ in range(2):
        to_vote(page)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        if page.locator("#pause-on").is_visible():
            page.keyboard.press("Enter")
        eventually(page, f"{SCREEN} === 'play'")
    page.reload()
    assert page.inner_text("#resume-text") == "s01 has given 1 of 2 votes here."
    assert not page.locator("#begin").is_visible()
    page.click("#go-on")
    votes = read_scores([walk(page, "1 Enter")], read_key(pairs / "key.json"))
    assert len(votes.votes) == 2
    page.click("#next")
    eventually(page, "document.getElementById('begin')?.hidden === false")


def test_two_windows_do_not_lose_votes(tab, pairs):
    first = page_of(tab(), pairs)
    begin(first)
    give(first)
    second = first.context.new_page()
    page_of(Opened(second), pairs)
    assert second.inner_text("#resume-text") == "s01 has given 1 of 2 votes here."
    first.bring_to_front()
    give(first, "2")
    eventually(first, f"{SCREEN} === 'done'")
    kept = votes_kept(first)
    assert len(kept) == 2
    second.bring_to_front()
    with second.expect_download():
        second.click("#go-on")
    # It goes on from what is stored now, which is all.
    assert second.evaluate(SCREEN) == "done"
    assert votes_kept(second) == kept


def test_a_window_that_was_overtaken_stops(tab, pairs):
    first = page_of(tab(), pairs)
    begin(first)
    give(first)
    second = first.context.new_page()
    page_of(Opened(second), pairs)
    second.click("#go-on")
    to_vote(second)
    first.bring_to_front()
    give(first, "2")
    eventually(first, f"{SCREEN} === 'done'")
    kept = votes_kept(first)
    second.bring_to_front()
    second.keyboard.press("1")
    second.keyboard.press("Enter")
    eventually(second, f"{SCREEN} === 'fault'")
    assert "another window or tab" in second.inner_text("#fault-text")
    assert votes_kept(second) == kept


FORBID = """Object.defineProperty(window, 'localStorage', {
    get() { throw new DOMException('no', 'SecurityError'); } })"""
NO_MORE_CLIPS = """document.querySelectorAll('video').forEach(video => Object.defineProperty(video, 'src', {
    set() { this.setAttribute('src', 'clips/none.webm'); } }))"""


def test_without_storage_votes_are_offered_where_the_study_stops(browser, pairs):
    tab = Tab(browser)
    tab.page.add_init_script(FORBID)
    page = page_of(tab, pairs)
    assert "forbids storage" in page.inner_text("#warnings")
    begin(page)
    to_vote(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the training is over
    to_vote(page)
    assert page.inner_text("#progress") == "Trial 1 of 2"
    page.evaluate(NO_MORE_CLIPS)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    eventually(page, f"{SCREEN} === 'fault'")
    assert "does not keep the votes" in page.inner_text("#fault")
    assert not page.locator("#fault-kept").is_visible()
    with page.expect_download() as download:
        page.click("#fault-download")
    votes = read_scores([Path(download.value.path())], read_key(pairs / "key.json"))
    assert len(votes.votes) == 1
    tab.context.close()


def test_a_full_storage_is_said_before_the_study_begins(tab, pairs):
    page = page_of(tab(), pairs)
    assert page.inner_text("#warnings") == ""
    page.evaluate(
        """() => {
            for (let size = 1 << 22; size >= 1; size >>= 1) {
                try { for (let i = 0; ; i++) localStorage.setItem(`fill${size}-${i}`, "x".repeat(size)); } catch {}
            }
        }"""
    )
    page.reload()
    assert "has no room for it" in page.inner_text("#warnings")


@pytest.mark.parametrize("text", ["{}", "5", "[]", '"x"', "nonsense", '{"subject":"a"}', '{"subject":"a","votes":{}}',
                                  '{"subject":"a","votes":[1]}'])  # fmt: skip
def test_what_is_stored_and_no_session_is_as_nothing(tab, pairs, text):
    page = page_of(tab(), pairs)
    page.evaluate("text => localStorage.setItem(`evalsuite-study-${evalsuiteStudy.id}`, text)", text)
    page.reload()
    assert page.locator("#begin").is_visible()
    assert not page.locator("#resume").is_visible()


def test_order_is_the_subjects_own_and_balanced(tab, pairs):
    page = page_of(tab(), pairs)
    found = page.evaluate(
        """() => {
            const trials = [];
            for (let i = 0; i < 5; i++) {
                for (let k = 0; k < 8; k++) trials.push({sequence: "c" + i, a: "a" + k, b: "b" + k});
            }
            const study = {seed: "1", training: 2, trials};
            return ["s1", "s1", "s2", "s3"].map(subject => StudyOrder.session(study, subject));
        }"""
    )
    first, again, *others = found
    assert first == again
    assert len(first) == 42
    assert [trial.get("training", False) for trial in first[:3]] == [True, True, False]
    for session in (first, *others):
        counted = session[2:]
        names = [(trial["sequence"], trial["a"]) for trial in counted]
        assert len(set(names)) == 40
        assert sum(trial["first"] == "a" for trial in counted) == 20
        assert all(one[0] != other[0] for one, other in itertools.pairwise(names))
    assert [trial["a"] for trial in first] != [trial["a"] for trial in others[0]]


def test_over_subjects_each_of_two_comes_first_about_equally_often(tab, pairs):
    page = page_of(tab(), pairs)
    share = page.evaluate(
        """() => {
            const trials = [...Array(9).keys()].map(k => ({sequence: "c" + k % 3, a: "a" + k, b: "b" + k}));
            const first = {};
            for (let i = 0; i < 1000; i++) {
                for (const trial of StudyOrder.session({seed: "1", training: 0, trials}, "s" + i)) {
                    first[trial.a] = (first[trial.a] || 0) + (trial.first === "a");
                }
            }
            return Object.values(first);
        }"""
    )
    assert len(share) == 9
    # Four standard deviations of a fair coin thrown a thousand times are 63.
    assert all(abs(count - 500) < 63 for count in share)


def test_consent_and_a_plain_name_are_needed(tab, pairs):
    page = page_of(tab(), pairs)
    page.fill("#subject", "s01")
    page.keyboard.press("Enter")
    assert page.evaluate(SCREEN) == "welcome"
    page.check("#consent")
    for name in ("", "=cmd", "a,b", 'x"y'):
        page.fill("#subject", name)
        page.click("#start")
        assert page.evaluate(SCREEN) == "welcome"


def test_a_clip_that_is_gone_is_said(browser, pairs, tmp_path):
    broken = shutil.copytree(pairs, tmp_path / "broken")
    for clip in (broken / "page" / "clips").iterdir():
        clip.write_bytes(b"no video")
    tab = Tab(browser)
    page = page_of(tab, broken)
    begin(page)
    eventually(page, f"{SCREEN} === 'fault'")
    assert "cannot be played" in page.inner_text("#fault-text")
    assert page.locator("#fault").get_attribute("role") == "alert"
    tab.context.close()


def test_policy_blocks_inline_code(browser, pairs):
    tab = Tab(browser)
    page = page_of(tab, pairs)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title=1'}))"
    )
    assert page.title() == "Video quality study"
    assert any("Content Security Policy" in message for message in tab.trouble)
    tab.context.close()


def test_the_table_of_votes_is_rfc_4180(tab, pairs):
    page = page_of(tab(), pairs)
    rows = [{"x": 'say "a", b', "y": "two\nlines"}, {"x": None, "y": 0}]
    assert page.evaluate("rows => StudyOrder.csv(rows)", rows) == 'x,y\r\n"say ""a"", b","two\nlines"\r\n,0\r\n'
