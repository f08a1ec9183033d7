"""Text metrics: frames with text of known wording, and edit distances from closed forms."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_faces import grey, score

from evalsuite.engine.features import FeatureCache
from evalsuite.metrics import text
from evalsuite.metrics.base import Arrays, View
from evalsuite.metrics.base import Setting as ViewSetting
from evalsuite.types import Colour, Frame, VideoFormat

NAMES = "text_cer,text_recall"
SIGNS = ("Platform 9 departs 10:45", "Mind the gap", "EXIT", "Gate B12")
SETTING = ViewSetting(VideoFormat(480, 320), Colour("bt709"), Fraction(4))


@functools.cache
def signs(*lines: str) -> Frame:
    luma = np.full((320, 480), 60, np.uint8)
    for index, line in enumerate(lines):
        cv2.putText(luma, line, (30, 60 + 70 * index), cv2.FONT_HERSHEY_SIMPLEX, 1, (220,), 2, cv2.LINE_AA)
    return luma, np.full((160, 240), 128, np.uint8), np.full((160, 240), 128, np.uint8)


def blurred(frame: Frame, sigma: float) -> Frame:
    return np.asarray(cv2.GaussianBlur(frame[0], (0, 0), sigma), np.uint8), *frame[1:]


@pytest.fixture
def reader() -> None:
    if absent := text.FAMILY.check():
        pytest.skip(f"the text reader is not installed: {absent}")


def reading(*lines: tuple[str, float, float]) -> Arrays:
    """Lines at a height, with a score, as the reader would give them."""
    return {
        "boxes": np.array([[0, y, 100, 20] for _, y, _ in lines], np.float32).reshape(-1, 4),
        "scores": np.array([score for _, _, score in lines], np.float32),
        "text": np.frombuffer("\n".join(line for line, _, _ in lines).encode(), np.uint8),
    }


@pytest.mark.usefixtures("reader")
def test_the_source_against_itself_is_perfect() -> None:
    frame = signs(*SIGNS)
    series = score(NAMES, (frame,), (frame,), SETTING)
    assert series["text_cer"].values.tolist() == [0]
    assert series["text_recall"].values.tolist() == [1]


@pytest.mark.usefixtures("reader")
def test_what_is_read_is_what_was_written() -> None:
    arrays = text._read(View(signs(*SIGNS), SETTING))
    assert arrays["text"].tobytes().decode().split("\n") == [text.plain(sign) for sign in SIGNS]
    assert (arrays["scores"] > text.REFERENCE_SCORE).all()
    # Each box covers the middle of its line.
    middles = arrays["boxes"][:, 1] + arrays["boxes"][:, 3] / 2
    np.testing.assert_allclose(middles, [50, 120, 190, 260], atol=8)


@pytest.mark.usefixtures("reader")
def test_other_words_and_lost_lines_count_by_their_letters() -> None:
    source = signs("Mind the gap", "Gate B12")
    series = score(NAMES, (source,), (signs("Mind the cap", "Gate B12"),), SETTING)
    letters = len("mindthegap") + len("gateb12")
    assert series["text_cer"].values[0] == pytest.approx(1 / letters)
    assert series["text_recall"].values.tolist() == [0.5]
    series = score(NAMES, (source,), (signs("Mind the gap"),), SETTING)
    assert series["text_cer"].values[0] == pytest.approx(len("gateb12") / letters)
    assert series["text_recall"].values.tolist() == [0.5]


@pytest.mark.usefixtures("reader")
def test_blur_until_nothing_can_be_read() -> None:
    frame = signs(*SIGNS)
    rates = [score("text_cer", (frame,), (blurred(frame, s),), SETTING)["text_cer"].values[0] for s in (1, 4.5, 12)]
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert rates[-1] == 1


@pytest.mark.usefixtures("reader")
def test_two_frames_of_a_second_are_read_and_those_without_text_left_out() -> None:
    plain, shown = signs(), signs(*SIGNS)
    # At 4 frames per second, frames 0, 2, 4 are read; frame 3 is not, though it has text.
    series = score(NAMES, (plain, plain, shown, shown, shown), (plain, plain, shown, plain, plain), SETTING)
    frames = series["text_recall"].frames
    assert frames is not None
    assert frames.tolist() == [2, 4]
    assert series["text_recall"].values.tolist() == [1, 0]
    assert series["text_cer"].values.tolist() == [0, 1]


@pytest.mark.usefixtures("reader")
def test_content_without_text_has_no_score() -> None:
    frame = signs()
    for one in score(NAMES, (frame,), (frame,), SETTING).values():
        assert one.status == "not_applicable"
        assert "no text" in one.reason


@pytest.mark.usefixtures("reader")
def test_what_was_read_in_the_source_is_kept(tmp_path: Path) -> None:
    frames, decoded = (signs(*SIGNS), signs()), grey((signs(*SIGNS), signs()))
    cache = FeatureCache(tmp_path)
    slow = SETTING.__class__(SETTING.format, SETTING.colour, Fraction(2))
    for _ in range(2):
        with cache.source(content="signs") as kept:
            series = score(NAMES, frames, decoded, slow, kept)
            assert series["text_recall"].values.tolist() == [0]
    assert len(list(tmp_path.glob("*-text-*.features"))) == 1


def test_without_the_reader_it_is_unavailable_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "RELEASE", "0.0.1")
    (one,) = score("text_cer", (signs(),), (signs(),), SETTING).values()
    assert one.status == "unavailable"
    assert "pip install" in one.reason


def test_a_frame_is_scored_in_closed_form() -> None:
    source = reading(("abcdefgh", 0, 0.95), ("ijkl", 50, 0.99), ("mnop", 100, 0.5), ("qr", 150, 0.99))
    # One letter wrong, one line lost; a line that is not sure in the source and one that is too short do not count.
    assert text.to_be_read(source).tolist() == [True, True, False, False]
    decoded = reading(("abcdefgx", 2, 0.6), ("mnzz", 100, 0.9), ("new words", 200, 0.99))
    assert text.compare(source, decoded) == (pytest.approx(5 / 12), 0)
    assert text.compare(source, reading()) == (1, 0)
    assert text.compare(source, source) == (0, 1)
    # More letters than there were: an error rate has no upper end.
    assert text.compare(reading(("abc", 0, 1.0)), reading(("uvwxyz", 0, 1.0)))[0] == 2


def test_lines_are_compared_without_case_spaces_and_compatibility_forms() -> None:
    assert text.plain(" Mind  THE gap ") == "mindthegap"
    assert text.plain("Ｇａｔｅ　ﬁ") == "gatefi"


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("flaw", "lawn", 2),
        ("", "", 0),
    ],
)
def test_edits_of_known_pairs(first: str, second: str, distance: int) -> None:
    assert text.edits(first, second) == distance


WORDS = st.text("abc", max_size=6)


@given(WORDS, WORDS, WORDS)
def test_edits_are_a_distance_that_agrees_with_its_recursive_definition(first: str, second: str, third: str) -> None:
    @functools.cache
    def recursive(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        change = recursive(a[1:], b[1:]) + (a[0] != b[0])
        return min(change, recursive(a[1:], b) + 1, recursive(a, b[1:]) + 1)

    assert text.edits(first, second) == recursive(first, second) == text.edits(second, first)
    assert (text.edits(first, second) == 0) == (first == second)
    assert text.edits(first, third) <= text.edits(first, second) + text.edits(second, third)
