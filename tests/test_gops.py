"""Encodes in parts: which segments there are, and that their streams together are that of the whole."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import make_clip
from hypothesis import given
from hypothesis import strategies as st
from sample_recipes import sequence_of
from sample_splits import SPLIT, looking_recipe

from evalsuite.codec.gops import Segment, encode_segment, join, plan_segments, verify_split
from evalsuite.codec.part import Split
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.splitcheck import check_split, made_up
from evalsuite.errors import EvalError, ProcessError, RequestError, ShapeError
from evalsuite.types import Colour, OperatingPoint, Sequence, VideoFormat


def point(period: int, q: float = 20) -> OperatingPoint:
    return OperatingPoint(q, period, threads=1)


def unread(frames: int) -> Sequence:
    """A sequence whose file nobody opens."""
    return Sequence(
        "unread", "test", Path("unread.y4m"), "", VideoFormat(16, 16), Fraction(25), frames, Colour("bt709")
    )


def in_parts(recipe: Recipe, sequence: Sequence, at: OperatingPoint, folder: Path, parts: int | None = None) -> bytes:
    segments = plan_segments(recipe, sequence, at, parts)
    encoded = [encode_segment(recipe, sequence, one, at, folder / f"{one.start}.bin") for one in segments]
    return join(recipe, encoded, folder / "joined.bin").path.read_bytes()


@pytest.mark.parametrize(
    ("frames", "period", "parts", "expected"),
    [
        (100, 32, None, [0, 32, 64, 96]),
        (100, 32, 2, [0, 64]),
        (100, 32, 3, [0, 64, 96]),
        (100, 32, 9, [0, 32, 64, 96]),
        (96, 32, None, [0, 32, 64]),
        (100, 32, 1, [0]),
        (32, 32, None, [0]),
        (100, -1, None, [0]),
    ],
)
def test_segments_begin_at_intra_frames(frames: int, period: int, parts: int | None, expected: list[int]) -> None:
    segments = plan_segments(load_recipe("rav1e"), unread(frames), point(period), parts)
    assert [one.start for one in segments] == expected


def test_the_intra_period_is_the_one_that_is_coded() -> None:
    recipe = replace(load_recipe("kvazaar"), split=Split())
    assert [one.start for one in plan_segments(recipe, unread(60), point(16))] == [0, 17, 34, 51]


def test_a_last_intra_frame_belongs_to_the_segment_that_codes_it() -> None:
    assert plan_segments(load_recipe("hm"), unread(65), point(32)) == (Segment(0, 32), Segment(32, 33))
    assert plan_segments(load_recipe("hm"), unread(33), point(32)) == (Segment(0, 33),)
    assert plan_segments(load_recipe("hm:lowdelay"), unread(33), point(32)) == (Segment(0, 32), Segment(32, 1))


@pytest.mark.parametrize("name", ["x265", "tvc", "kvazaar", "svtav1:lowdelay", "ecm"])
def test_who_does_not_say_so_is_not_split(name: str) -> None:
    assert plan_segments(load_recipe(name), unread(640), point(64)) == (Segment(0, 640),)


def test_an_encode_of_no_parts_is_refused() -> None:
    with pytest.raises(RequestError, match="one part or more"):
        plan_segments(load_recipe("rav1e"), unread(64), point(32), 0)


@given(st.integers(1, 3000), st.integers(1, 300), st.integers(1, 50) | st.none(), st.booleans())
def test_every_frame_is_in_one_segment(frames: int, period: int, parts: int | None, next_intra: bool) -> None:
    recipe = replace(load_recipe("rav1e"), split=Split(next_intra=next_intra))
    segments = plan_segments(recipe, unread(frames), point(period), parts)
    assert [frame for one in segments for frame in range(one.start, one.start + one.frames)] == [*range(frames)]
    assert all(one.start % period == 0 for one in segments)
    assert len(segments) <= (parts or frames)
    if next_intra and len(segments) > 1:
        assert segments[-1].frames > 1
    # As even as whole intra periods can be, but for the last segment, which ends where the sequence does.
    assert max(one.frames for one in segments) - min(one.frames for one in segments[:-1] or segments) <= period


@pytest.mark.parametrize("frames", [7, 8, 9, 10, 11, 16, 17, 24, 26])
@pytest.mark.parametrize("q", [20, 20.5, 20.875])
def test_an_encoder_that_looks_around_is_split_without_a_difference(
    frames: int, q: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = looking_recipe(monkeypatch, tmp_path)
    clip = sequence_of(make_clip(tmp_path / "clip.y4m", 16, 16, frames), frames)
    whole = encode(recipe, clip, point(8, q), tmp_path / "whole.bin").path.read_bytes()
    assert in_parts(recipe, clip, point(8, q), tmp_path) == whole
    assert in_parts(recipe, clip, point(8, q), tmp_path, 2) == whole


@pytest.mark.parametrize(
    ("right", "wrong"), [("context = 2", "context = 1"), ("next_intra = true", "next_intra = false")]
)
def test_a_recipe_that_says_too_much_is_caught(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = looking_recipe(monkeypatch, tmp_path, SPLIT.replace(right, wrong))
    clip = sequence_of(make_clip(tmp_path / "clip.y4m", 16, 16, 20), 20)
    with pytest.raises(EvalError, match="not the stream of the whole") as caught:
        verify_split(recipe, clip, point(8), tmp_path)
    assert "from byte" in str(caught.value)
    assert caught.value.where == recipe.path


@pytest.mark.parametrize("name", ["rav1e", "kvazaar:lowdelay", "kvazaar:fast:lowdelay"])
def test_shipped_codecs_that_say_so_give_the_same_stream(name: str, tmp_path: Path) -> None:
    check_split(load_recipe(name), tmp_path, timeout=120)


@pytest.mark.parametrize("name", ["hm", "hm:lowdelay", "vtm", "vtm:lowdelay"])
def test_reference_encoders_give_the_same_stream(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    try:
        recipe.check_available()
    except EvalError as error:
        pytest.skip(error.what)
    period = recipe.intra_periods.min
    # Two intra periods, a frame more, and a q that changes within the second one.
    verify_split(recipe, made_up(tmp_path / "clip.y4m", 2 * period + 2), point(period, 45.25), tmp_path)


@pytest.mark.parametrize(("name", "frame"), [("x265:fast", 16), ("svtav1:lowdelay", 128)])
def test_shipped_codecs_that_do_not_are_told_from_them(name: str, frame: int, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="may be split") as caught:
        check_split(replace(load_recipe(name), split=Split()), tmp_path, timeout=120)
    assert f"which frames from {frame} on are in" in str(caught.value)


def test_parts_are_added_up(tmp_path: Path) -> None:
    recipe, clip, at = load_recipe("kvazaar:fast:lowdelay"), made_up(tmp_path / "clip.y4m", 20), point(8, 30)
    segments = plan_segments(recipe, clip, at)
    encoded = [encode_segment(recipe, clip, one, at, tmp_path / f"{one.start}.h265", 60.0) for one in segments]
    # They travel between processes.
    encoded = pickle.loads(pickle.dumps(encoded))
    joined = join(recipe, encoded, tmp_path / "all" / "joined.h265")
    whole = encode(recipe, clip, at, tmp_path / "whole.h265")
    assert (joined.sha256, joined.file_bytes, joined.payload_bytes) == (
        whole.sha256,
        whole.file_bytes,
        whole.payload_bytes,
    )
    assert joined.usage.cpu_s == pytest.approx(sum(one.usage.cpu_s for one in encoded))
    assert joined.usage.wall_s == pytest.approx(sum(one.usage.wall_s for one in encoded))
    assert joined.usage.peak_rss_bytes == max(one.usage.peak_rss_bytes for one in encoded)
    assert [*joined.commands] == [one.commands[0] for one in encoded]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["clip.y4m", "0.h265", "8.h265", "16.h265", "all", "whole.h265"]
    )


def test_one_segment_is_the_encode_itself(tmp_path: Path) -> None:
    recipe, clip, at = load_recipe("x265:fast"), made_up(tmp_path / "clip.y4m", 8), point(8, 40)
    one = encode_segment(recipe, clip, Segment(0, 8), at, tmp_path / "one.h265")
    whole = encode(recipe, clip, at, tmp_path / "whole.h265")
    assert one.sha256 == whole.sha256
    assert join(recipe, [one], tmp_path / "joined.h265").sha256 == whole.sha256


@pytest.mark.parametrize("segment", [Segment(-8, 8), Segment(8, 0), Segment(8, 9)])
def test_segments_that_are_none_are_refused(segment: Segment, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such segment"):
        encode_segment(load_recipe("rav1e"), unread(16), segment, point(8), tmp_path / "out.obu")


def test_a_codec_that_is_not_split_has_no_segments(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such segment"):
        encode_segment(load_recipe("x265"), unread(16), Segment(0, 8), point(8), tmp_path / "out.h265")


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    recipe, clip = load_recipe("rav1e"), replace(made_up(tmp_path / "clip.y4m", 12), frames=20)
    output = tmp_path / "out" / "stream.obu"
    output.parent.mkdir()
    output.write_bytes(b"of an earlier run")
    with pytest.raises(ShapeError, match="fewer frames"):
        encode_segment(recipe, clip, Segment(8, 12), point(8, 100), output)
    assert list(output.parent.iterdir()) == []
    with pytest.raises(ProcessError, match="cannot be read or written"):
        encode_segment(recipe, replace(clip, path=tmp_path / "gone.y4m"), Segment(8, 12), point(8, 100), output)
    with pytest.raises(RequestError, match="nothing to join"):
        join(recipe, [], output)
    encoded = encode_segment(recipe, clip, Segment(0, 8), point(8, 100), tmp_path / "one.obu")
    encoded.path.unlink()
    with pytest.raises(ProcessError, match="cannot be read or written"):
        join(recipe, [encoded], output)
    assert list(output.parent.iterdir()) == []
