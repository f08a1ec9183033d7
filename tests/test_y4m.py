from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip, moving_frames, run_ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import MediaError
from evalsuite.sources.y4m import Geometry, RawReader, Y4MReader, join_planes, parse_header, write_y4m
from evalsuite.types import Colour, VideoFormat


@pytest.mark.parametrize(("width", "height", "depth"), [(16, 16, 8), (17, 15, 8), (1, 1, 8), (35, 21, 10), (8, 6, 16)])
def test_what_is_written_is_read_back(tmp_path: Path, width: int, height: int, depth: int) -> None:
    format = VideoFormat(width, height, depth)
    frames = list(moving_frames(format, 3))
    path = tmp_path / "clip.y4m"
    assert write_y4m(path, format, Fraction(30000, 1001), frames, Colour("bt709", full_range=True)) == 3
    reader = Y4MReader(path)
    assert (reader.format, reader.frame_rate, reader.full_range) == (format, Fraction(30000, 1001), True)
    for written, read in zip(frames, reader, strict=True):
        for a, b in zip(written, read, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (175, 143)])
def test_ffmpeg_reads_the_same_frames(tmp_path: Path, width: int, height: int) -> None:
    path = make_clip(tmp_path / "clip.y4m", width, height, 4)
    raw = run_ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    assert raw == b"".join(join_planes(frame) for frame in Y4MReader(path))


def test_a_file_that_ends_inside_a_frame_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.y4m", 32, 32, 5)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MediaError, match="ends inside frame 4"):
        list(Y4MReader(path))


def test_rubbish_between_frames_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.y4m", 32, 32, 2)
    path.write_bytes(path.read_bytes() + b"trailing rubbish")
    with pytest.raises(MediaError, match="frame 2 does not begin"):
        list(Y4MReader(path))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"YUV4MPEG2 W16 H16 F25:1 Ip C444\n", "chroma"),
        (b"YUV4MPEG2 W16 H16 F25:1 It C420\n", "interlaced"),
        (b"YUV4MPEG2 W16 F25:1\n", "lacks"),
        (b"YUV4MPEG2 W16 H16 F25:0\n", "lacks"),
        (b"YUV4MPEG2 W0 H16 F25:1\n", "out of range"),
        (b"YUV4MPEG2 W999999 H999999 F25:1\n", "out of range"),
        (b"RIFF....AVI ", "not a YUV4MPEG2"),
    ],
)
def test_what_a_header_must_not_say(header: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        parse_header(header, "test")


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_any_header_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        format, rate, _ = parse_header(b"YUV4MPEG2 " + data + b"\n", "fuzz")
    except MediaError:
        return
    assert format.width >= 1
    assert rate > 0


def test_a_raw_file_must_be_whole_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(16 * 16 * 3 // 2 * 3))
    assert RawReader(path, Geometry(16, 16, Fraction(25))).frames == 3
    with pytest.raises(MediaError, match="whole number of frames"):
        RawReader(path, Geometry(16, 18, Fraction(25)))
    with pytest.raises(MediaError, match="pixel format"):
        RawReader(path, Geometry(16, 16, Fraction(25), "nv12"))
