"""Frames of a Y4M file as a file of their own."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_clip
from hypothesis import given
from hypothesis import strategies as st
from sample_recipes import sequence_of

from evalsuite.codec.cutting import cut
from evalsuite.errors import EvalError, MediaError, ShapeError
from evalsuite.sources.y4m import Y4MReader, join_planes

FRAME_BYTES = 16 * 8 * 3 // 2


@pytest.mark.parametrize(("first", "end"), [(0, 5), (0, 1), (2, 4), (4, 5)])
def test_frames_are_those_of_the_file(first: int, end: int, tmp_path: Path) -> None:
    clip = sequence_of(make_clip(tmp_path / "clip.y4m", 16, 8, 5), 5)
    part = cut(clip, first, end, tmp_path / "part.y4m")
    frames = [join_planes(frame) for frame in Y4MReader(clip.path)]
    assert [join_planes(frame) for frame in Y4MReader(part.path)] == frames[first:end]
    assert (part.frames, part.format, part.frame_rate) == (end - first, clip.format, clip.frame_rate)


def test_header_and_marks_are_copied_as_they_are(tmp_path: Path) -> None:
    header = b"YUV4MPEG2 W16 H8 F25:1 Ip A128:117 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n"
    frames = [b"FRAME Ip\n" + bytes([index]) * FRAME_BYTES for index in range(4)]
    path = tmp_path / "clip.y4m"
    path.write_bytes(header + b"".join(frames))
    cut(sequence_of(path, 4), 1, 3, tmp_path / "part.y4m")
    assert (tmp_path / "part.y4m").read_bytes() == header + b"".join(frames[1:3])


def test_files_that_are_shorter_or_damaged_are_told_of(tmp_path: Path) -> None:
    clip = sequence_of(make_clip(tmp_path / "clip.y4m", 16, 8, 5), 6)
    with pytest.raises(ShapeError, match="fewer frames"):
        cut(clip, 4, 6, tmp_path / "part.y4m")
    data = clip.path.read_bytes()
    clip.path.write_bytes(data[:-1])
    with pytest.raises(MediaError, match="ends inside frame 4"):
        cut(clip, 4, 5, tmp_path / "part.y4m")
    clip.path.write_bytes(data.replace(b"FRAME", b"FRAMF"))
    with pytest.raises(MediaError, match="frame 0 does not begin"):
        cut(clip, 4, 5, tmp_path / "part.y4m")


@given(st.data())
def test_any_damage_is_an_error_of_ours_or_whole_frames(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, part = Path(folder, "clip.y4m"), Path(folder, "part.y4m")
        clip = sequence_of(make_clip(path, 16, 8, 3), 3)
        damaged = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
        with suppress(EvalError):
            cut(replace(clip, path=path), 1, 3, part)
            assert sum(1 for _ in Y4MReader(part)) == 2
