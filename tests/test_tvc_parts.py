"""Lists of lost ranges: read, joined, and refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tvc
from tvc.parts import Lost, read_lost


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 12)), max_size=8), st.integers(0, 39), st.integers(1, 40))
def test_lost_ranges_against_a_set_of_bytes(ranges, start, length):
    end = min(start + length, 50)
    given_ranges = [(first, min(first + size, 50)) for first, size in ranges]
    gone = {place for first, last in given_ranges for place in range(first, last)}
    hit = next((place - start for place in range(start, end) if place in gone), None)
    assert Lost(given_ranges, 50).after(start, end) == hit


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))))
def test_lists_of_lost_ranges_are_read_back(tmp_path_factory, ranges):
    path = tmp_path_factory.getbasetemp() / "lost.txt"
    path.write_text("".join(f"{start} {end}\n" for start, end in ranges), encoding="ascii")
    assert read_lost(path) == ranges


@given(st.text(max_size=40))
def test_any_text_is_ranges_or_a_clear_refusal(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text, encoding="utf-8", newline="")
    if all(re.fullmatch(r"\s*[0-9]{1,18}\s+[0-9]{1,18}\s*", line) for line in text.splitlines()):
        assert len(read_lost(path)) == len(text.splitlines())
    else:
        with pytest.raises(tvc.RequestError, match="lost range"):
            read_lost(path)


@pytest.mark.parametrize("ranges", [[(5, 5)], [(6, 5)], [(-1, 5)], [(0, 51)]])
def test_ranges_outside_the_file_are_refused(ranges):
    with pytest.raises(tvc.RequestError, match="not one of this file"):
        Lost(ranges, 50)


@pytest.mark.parametrize(
    "text",
    ["12", "12 x", "12 13\n\n", "1 2 3", "-1 2", f"1 {'9' * 5000}", "0x1 0x2", "1.0 2.0", "1,2", "\u0661 \u0662"],
)
def test_lines_that_are_no_ranges_are_refused(text, tmp_path):
    (tmp_path / "lost").write_text(text, encoding="utf-8")
    with pytest.raises(tvc.RequestError, match="lost range"):
        read_lost(tmp_path / "lost")
