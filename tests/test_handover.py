"""Frames as an encoder wants them and back, and the settings and files of a recipe that say how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import moving_frames
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.codec import recipe_fields as parse
from evalsuite.codec.command import ENCODE_PLACEHOLDERS, settle
from evalsuite.codec.handover import crop, fit, rounded
from evalsuite.sources.y4m import CHROMAS, DEPTHS
from evalsuite.types import Frame, VideoFormat

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""What a TOML file can hold, and None."""


def frame(*rows: list[int], dtype: Any = np.uint8) -> Frame:
    """A frame whose three planes are the same."""
    plane = np.array(rows, dtype)
    return plane, plane.copy(), plane.copy()


def narrowed(samples: list[int], coded: int, wanted: int) -> list[int]:
    """Samples of one row through `rounded`."""
    (found,) = rounded([frame(samples, dtype=np.uint16)], coded, wanted)
    assert {plane.dtype for plane in found} == {np.dtype(np.uint8 if wanted == 8 else np.uint16)}
    assert all(np.array_equal(plane, found[0]) for plane in found)
    return [int(sample) for sample in found[0][0]]


def test_trap12_8_bit_samples_become_four_times_as_large_and_come_back() -> None:
    every = list(range(256))
    source = frame(every)[0], *frame(every[::2])[1:]
    luma, _, _ = fit(source, 8, VideoFormat(256, 1, 10))
    assert luma.dtype == np.uint16
    assert [int(sample) for sample in luma[0]] == [4 * sample for sample in every]
    assert narrowed([4 * sample for sample in every], 10, 8) == every


def test_trap12_halves_are_rounded_up_and_what_is_too_large_is_the_largest() -> None:
    # 0.25, 0.5, 0.75 above 100; then 254.25 and 254.5; then 255.25, 255.5 and 255.75, of which 8 bit has the floor.
    assert narrowed([401, 402, 403], 10, 8) == [100, 101, 101]
    assert narrowed([0, 1, 2, 1017, 1018], 10, 8) == [0, 0, 1, 254, 255]
    assert narrowed([1021, 1022, 1023], 10, 8) == [255, 255, 255]


def test_frames_of_the_wanted_depth_go_through_untouched() -> None:
    frames = [frame([1, 2, 1023], dtype=np.uint16)]
    assert next(rounded(frames, 10, 10)) is frames[0]


@given(st.lists(st.integers(0, 1023), min_size=1, max_size=16))
def test_rounding_is_to_the_nearest_code_value(samples: list[int]) -> None:
    # Whole numbers alone: floor(s / 4 + 1/2) = (s + 2) div 4.
    assert narrowed(samples, 10, 8) == [min((sample + 2) // 4, 255) for sample in samples]


def test_trap13_padding_repeats_the_last_column_and_row_and_is_cut_off_again() -> None:
    source: Frame = (
        np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8),
        np.array([[10, 20], [30, 40]], np.uint8),
        np.array([[50, 60], [70, 80]], np.uint8),
    )
    luma, blue, _ = fit(source, 8, VideoFormat(6, 4, 8))
    assert luma.tolist() == [[1, 2, 3, 3, 3, 3], [4, 5, 6, 6, 6, 6], [7, 8, 9, 9, 9, 9], [7, 8, 9, 9, 9, 9]]
    assert blue.tolist() == [[10, 20, 20], [30, 40, 40]]
    back = crop(fit(source, 8, VideoFormat(6, 4, 8)), VideoFormat(3, 3))
    assert all(np.array_equal(one, other) for one, other in zip(back, source, strict=True))


def test_settings_are_filled_in_and_lists_become_arguments() -> None:
    command = ("{ffmpeg}", "-preset", "{preset}", "{more}", "a={n}:b={preset}", "{none}", "{q}")
    settings = {"preset": "slow", "more": ["-x", "{q}", 3], "n": 2.5, "none": []}
    assert settle(command, settings) == ("{ffmpeg}", "-preset", "slow", "-x", "{q}", "3", "a=2.5:b=slow", "{q}")


@given(
    st.builds(VideoFormat, st.integers(1, 20), st.integers(1, 20), st.sampled_from(DEPTHS), st.sampled_from(CHROMAS)),
    st.integers(0, 4),
    st.integers(1, 8),
)
def test_what_is_fitted_comes_back(format: VideoFormat, deeper: int, multiple: int) -> None:
    depth = min(format.bit_depth + deeper, 16)
    sides = (-(-side // (2 * multiple)) * 2 * multiple for side in (format.width, format.height))
    coded = VideoFormat(*sides, depth, format.chroma)
    source = next(moving_frames(format, 1))
    fitted = fit(source, format.bit_depth, coded)
    assert tuple(plane.shape for plane in fitted) == coded.plane_shapes
    (back,) = rounded([crop(fitted, format)], depth, format.bit_depth)
    for one, other in zip(back, source, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_a_setting_is_filled_in_once() -> None:
    assert settle(("{one}", "x{one}"), {"one": "{two}", "two": "2"}) == ("{two}", "x{two}")


@pytest.mark.parametrize(
    "value",
    [
        3,
        {"Name": 1},
        {"": 1},
        {"a" * 41: 1},
        {"q": 1},
        {"output": "x"},
        {"a": {"b": 1}},
        {"a": [[1]]},
        {"a": None},
        {"a": "\0"},
        {"a": ["x", "\0"]},
    ],
)
def test_wrong_settings_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse.settings(value)


@pytest.mark.parametrize(
    "value", [3, {"Name": "x"}, {"a": 3}, {"a": "/etc/x"}, {"a": "../x"}, {"a": "x/../../y"}, {"a": "x\0"}, {"a": ""}]
)
def test_wrong_files_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse.files(value)


@given(values)
def test_whatever_settings_and_files_hold_is_taken_or_refused(value: object) -> None:
    for parser in (parse.settings, parse.files):
        try:
            found = parser(value)
        except ValueError:
            continue
        assert found == value
        assert not set(found) & set(ENCODE_PLACEHOLDERS) or parser is parse.files
