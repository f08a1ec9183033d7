"""The TOML of an audience: what it says, and that whatever is wrong in it is refused by name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.planning.audience import Audience, load_audience, parse_audience
from evalsuite.planning.reach import Target

EXAMPLE = Path(__file__).parents[1] / "examples" / "planning" / "audience.toml"
PLAIN: dict[str, Any] = {"version": "1", "streams": 100, "codecs": ["x265"], "target": "vmaf=80"}


def test_the_example_reads() -> None:
    audience = load_audience(EXAMPLE)
    assert audience.codecs == ("x265", "tvc")
    assert (audience.streams[0], audience.streams[10], len(audience.streams)) == (4000, 100000, 24)
    phone, laptop = audience.mix
    assert (phone.tag, phone.device, set(phone.shares)) == ("faces", "phone", {0.7})
    assert phone.targets == (Target("psnr_y", 27),)
    assert laptop.targets == (Target("psnr_y", 27.5),)
    assert (audience.window_s, audience.fixed, audience.storage_hours) == (1, False, 1000)


def test_what_may_be_left_out() -> None:
    audience = parse_audience(PLAIN, "a.toml")
    assert audience.streams == (100,) * 24
    (row,) = audience.mix
    assert (row.tag, row.device, row.shares, row.title) == ("*", "", (1,) * 24, "all content")
    assert audience.storage_hours is None


def test_shares_by_hour_and_several_targets() -> None:
    day = [0.25] * 12 + [0.75] * 12
    rows = [
        {"tag": "a", "share": day},
        {"tag": "b", "share": [1 - one for one in day], "target": ["vmaf=80", "lpips=0.3"]},
    ]
    audience = parse_audience({**PLAIN, "mix": rows}, "a.toml")
    assert [row.shares[20] for row in audience.mix] == [0.75, 0.25]
    assert audience.mix[1].targets == (Target("vmaf", 80), Target("lpips", 0.3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "2"}, r"`version` is not valid[\s\S]*expected: 1"),
        ({"version": None}, "`version` is missing"),
        ({"stream": 3}, r"`stream` is unknown[\s\S]*did you mean streams"),
        ({"streams": None}, "`streams` is missing"),
        ({"streams": [1] * 23}, r"24: one for each hour \(these are 23\)"),
        ({"streams": [1] * 7 + [-1] + [1] * 16}, r"in hour 7: streams, from 0 to 1e\+09 \(it is -1\)"),
        ({"streams": [1] * 23 + ["many"]}, r"in hour 23: a number \(it is 'many'\)"),
        ({"streams": -5}, "streams, from 0"),
        ({"streams": float("nan")}, "a number"),
        ({"streams": 0}, "some streams in some hour"),
        ({"streams": True}, "a number"),
        ({"streams": 10**400}, "a number"),
        ({"streams": 1.5, "concurrency": "fixed"}, "a whole number of streams"),
        ({"concurrency": "normal"}, r"`concurrency` is not valid[\s\S]*poisson or fixed"),
        ({"codecs": []}, "one codec or more"),
        ({"codecs": ["x265", "x265"]}, "each once"),
        ({"codecs": "x265"}, "a list of texts"),
        ({"target": "vmaf"}, r"`target` is not valid[\s\S]*such as vmaf=80"),
        ({"target": []}, "a target, such as"),
        ({"target": None}, r"no target quality[\s\S]*mix row 1"),
        ({"window_s": 0}, "seconds, from 0.001 to 3600"),
        ({"storage": {"hours": -1}}, "hours, from 0"),
        ({"storage": {"hour": 1}}, "`hours` is missing"),
        ({"storage": 5}, "a table"),
        ({"mix": []}, "one table or more"),
        ({"mix": [{"tag": "a"}]}, r"`share` is missing[\s\S]*mix row 1"),
        ({"mix": [{"share": 0.5}, {"share": 0.4}]}, r"do not sum to 1\n[\s\S]*got: 0.9, of 0.5, 0.4"),
        ({"mix": [{"share": 0.5}, {"share": [0.5] * 9 + [0.6] + [0.5] * 14}]}, "do not sum to 1 in hour 9"),
        ({"mix": [{"share": 1.5}, {"share": -0.5}]}, "a share, from 0 to 1"),
        ({"mix": [{"share": 1, "tags": "a"}]}, r"`tags` is unknown[\s\S]*did you mean tag"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    data = {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}
    with pytest.raises(RecipeError, match=words):
        parse_audience(data, "a.toml")


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        load_audience(tmp_path / "none.toml")
    with pytest.raises(RequestError, match="cannot be read"):
        load_audience(tmp_path)
    for content in (b"streams = ", b"\xff\xfe", b"a = " + b"[" * 5000):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(RecipeError, match="not valid TOML"):
            load_audience(tmp_path / "a.toml")


KEYS = ["version", "streams", "codecs", "target", "window_s", "concurrency", "storage", "mix", "hours", "tag", "share"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("vmaf=80"),
    lambda inner: st.lists(inner, max_size=26) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=40,
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), st.booleans())
def test_any_table_is_an_audience_or_refused(data: dict[str, Any], filled: bool) -> None:
    try:
        audience = parse_audience({**PLAIN, **data} if filled else data, "a.toml")
    except RecipeError:
        return
    _is_sound(audience)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=6), st.lists(st.integers(0, 10**6), min_size=24, max_size=24)
)
def test_any_sound_mix_is_read(weights: list[int], streams: list[int]) -> None:
    data = {**PLAIN, "streams": streams, "mix": [{"share": one / sum(weights)} for one in weights]}
    if not any(streams):
        with pytest.raises(RecipeError):
            parse_audience(data, "a.toml")
        return
    audience = parse_audience(data, "a.toml")
    _is_sound(audience)
    assert list(audience.streams) == streams


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    try:
        data = tomllib.loads(content.decode("utf-8"))
        parse_audience(data, "a.toml")
    except (EvalError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return
    pytest.fail("so few bytes are no audience")


def _is_sound(audience: Audience) -> None:
    assert len(audience.streams) == 24
    assert all(0 <= one < float("inf") for one in audience.streams)
    for hour in range(24):
        assert sum(row.shares[hour] for row in audience.mix) == pytest.approx(1, abs=2e-6)
    assert all(row.targets for row in audience.mix)
