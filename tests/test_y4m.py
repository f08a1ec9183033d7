from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip, moving_frames, run_ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import MediaError
from evalsuite.sources.y4m import (
    CHROMAS,
    DEPTHS,
    PIXEL_FORMATS,
    Geometry,
    RawReader,
    Y4MReader,
    header,
    join_planes,
    parse_header,
    read_raw_frames,
    write_y4m,
)
from evalsuite.types import Colour, Frame, VideoFormat

FORMATS = st.builds(
    VideoFormat,
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(DEPTHS),
    st.sampled_from(CHROMAS),
)

IN_FFMPEGS_Y4M = [name for name in PIXEL_FORMATS if name != "gray14le"]
"""FFmpeg's own Y4M has grey of 9, 10, 12 and 16 bit, but not of 14."""


def assert_equal(found: Frame, expected: Frame) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@given(format=FORMATS, full_range=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=60)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, format: VideoFormat, full_range: bool, seed: int
) -> None:
    frames = list(moving_frames(format, 3, seed))
    path = tmp_path_factory.mktemp("y4m") / "clip.y4m"
    assert write_y4m(path, format, Fraction(30000, 1001), frames, Colour("bt709", full_range)) == 3
    reader = Y4MReader(path)
    assert (reader.format, reader.frame_rate, reader.told.full_range) == (format, Fraction(30000, 1001), full_range)
    for written, read in zip(frames, reader, strict=True):
        assert_equal(read, written)


@given(format=FORMATS)
@settings(max_examples=60)
def test_raw_frames_are_read_back_and_their_size_is_known(format: VideoFormat) -> None:
    frames = list(moving_frames(format, 2))
    data = b"".join(map(join_planes, frames))
    assert len(data) == 2 * format.frame_bytes
    for read, written in zip(read_raw_frames(BytesIO(data), format, "test"), frames, strict=True):
        assert_equal(read, written)


@pytest.mark.parametrize("size", [(64, 48), (35, 21)])
@pytest.mark.parametrize("pixel_format", IN_FFMPEGS_Y4M)
def test_ffmpeg_reads_the_same_frames(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    depth, chroma = PIXEL_FORMATS[pixel_format]
    path = make_clip(tmp_path / "clip.y4m", *size, 2, bit_depth=depth, chroma=chroma)
    raw = run_ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", pixel_format, "-")
    assert raw == b"".join(map(join_planes, Y4MReader(path)))


@pytest.mark.parametrize("size", [(64, 48), (35, 21)])
@pytest.mark.parametrize("pixel_format", IN_FFMPEGS_Y4M)
def test_what_ffmpeg_writes_is_read(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    format = VideoFormat(*size, *PIXEL_FORMATS[pixel_format])
    raw = b"".join(map(join_planes, moving_frames(format, 2)))
    (tmp_path / "clip.yuv").write_bytes(raw)
    sides = ["-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{size[0]}x{size[1]}"]
    run_ffmpeg(*sides, "-i", tmp_path / "clip.yuv", "-strict", "-1", tmp_path / "clip.y4m")
    reader = Y4MReader(tmp_path / "clip.y4m")
    assert reader.format == format
    assert b"".join(map(join_planes, reader)) == raw
    assert (
        b"".join(map(join_planes, RawReader(tmp_path / "clip.yuv", Geometry(*size, Fraction(25), pixel_format)))) == raw
    )


@pytest.mark.parametrize(
    ("format", "chroma"),
    [
        # Sides of Cb and Cr, and bytes of a frame: halves of odd sides are rounded up.
        (VideoFormat(5, 3, 8, "400"), (0, 0, 15)),
        (VideoFormat(5, 3, 8, "420"), (3, 2, 15 + 12)),
        (VideoFormat(5, 3, 8, "422"), (3, 3, 15 + 18)),
        (VideoFormat(5, 3, 8, "444"), (5, 3, 45)),
        (VideoFormat(5, 3, 16, "422"), (3, 3, 2 * (15 + 18))),
    ],
)
def test_sizes_of_chroma(format: VideoFormat, chroma: tuple[int, int, int]) -> None:
    assert (format.chroma_width, format.chroma_height, format.frame_bytes) == chroma


def test_the_bytes_of_a_header_are_part_of_a_sequences_identity() -> None:
    # As every prepared sequence was written so far: its digest is pinned in manifests and stored with scores.
    colour = Colour("bt709", transfer="pq", primaries="bt2020")
    assert header(VideoFormat(176, 144), Fraction(25), colour) == (
        b"YUV4MPEG2 W176 H144 F25:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n"
    )
    assert header(VideoFormat(64, 48, 10), Fraction(30000, 1001)) == b"YUV4MPEG2 W64 H48 F30000:1001 Ip A1:1 C420p10\n"


@pytest.mark.parametrize(
    ("field", "rate"),
    [
        ("30000:1001", Fraction(30000, 1001)),
        ("25000000:1000000", Fraction(25)),
        ("1:1000", Fraction(1, 1000)),
        ("100000:1", Fraction(100_000)),
    ],
)
def test_frame_rates_of_a_header(field: str, rate: Fraction) -> None:
    assert parse_header(f"YUV4MPEG2 W32 H32 F{field}\n".encode(), "a.y4m")[1] == rate


@pytest.mark.parametrize(
    "field", ["0:0", "0:1", "-25:1", "25:-1", "9" * 400 + ":1", "1:" + "9" * 400, "100001:1", "1:1001", "1e3:1", "25"]
)
def test_frame_rates_that_no_video_has_are_refused(field: str) -> None:
    with pytest.raises(MediaError, match="frame rate"):
        parse_header(f"YUV4MPEG2 W32 H32 F{field}\n".encode(), "a.y4m")


def test_a_file_that_ends_inside_a_frame_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.y4m", 32, 32, 5)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MediaError, match="ends inside frame 4"):
        list(Y4MReader(path))


@pytest.mark.parametrize(("depth", "most"), [(9, 512), (10, 1024), (12, 60000), (14, 16384)])
@pytest.mark.parametrize("suffix", ["y4m", "yuv"])
def test_samples_of_more_bits_than_the_format_has_are_an_error(
    tmp_path: Path, suffix: str, depth: int, most: int
) -> None:
    """Of another depth, big-endian, or in the upper bits: as they stand they would have scores far out of range."""
    format, path = VideoFormat(16, 16, depth), tmp_path / f"a.{suffix}"
    geometry = Geometry(16, 16, Fraction(25), format.pixel_format)
    planes = [np.zeros(shape, np.uint16) for shape in format.plane_shapes]
    planes[1][3, 2] = most
    if suffix == "y4m":
        write_y4m(path, format, Fraction(25), [tuple(planes)])
        reader: Y4MReader | RawReader = Y4MReader(path)
    else:
        path.write_bytes(join_planes(tuple(planes)))
        reader = RawReader(path, geometry)
    with pytest.raises(MediaError, match=f"frame 0 has samples of more than {depth} bit"):
        list(reader)


def test_rubbish_between_frames_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.y4m", 32, 32, 2)
    path.write_bytes(path.read_bytes() + b"trailing rubbish")
    with pytest.raises(MediaError, match="frame 2 does not begin"):
        list(Y4MReader(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"FRAMExyz\n", "does not begin"),
        (b"FRAME Itti\n", "interlaced"),
        (b"FRAME Ibii\n", "interlaced"),
        (b"FRAME XA I1pi\n", "interlaced"),
        (b"FRAME I1pp\n", ""),
        (b"FRAME Xanything\n", ""),
    ],
)
def test_what_a_frame_line_says_is_held_to(tmp_path: Path, line: bytes, message: str) -> None:
    path = make_clip(tmp_path / "clip.y4m", 32, 32, 2)
    head, first, second = path.read_bytes().split(b"FRAME\n")
    path.write_bytes(b"".join((head, b"FRAME\n", first, line, second)))
    if not message:
        assert len(list(Y4MReader(path))) == 2
        return
    with pytest.raises(MediaError, match=message):
        list(Y4MReader(path))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"YUV4MPEG2 W16 H16 F25:1 Ip C411\n", "chroma"),
        (b"YUV4MPEG2 W16 H16 F25:1 Ip C444alpha\n", "chroma"),
        (b"YUV4MPEG2 W16 H16 F25:1 Ip C420p11\n", "chroma"),
        (b"YUV4MPEG2 W16 H16 F25:1 Ip C\n", "chroma"),
        (b"YUV4MPEG2 W16 H16 F25:1 It C420\n", "interlaced"),
        (b"YUV4MPEG2 W16 F25:1\n", "lacks"),
        (b"YUV4MPEG2 W1_6 H16 F25:1\n", "out of range"),
        (b"YUV4MPEG2 W16 H+16 F25:1\n", "out of range"),
        (b"YUV4MPEG2 W16 W32 H16 F25:1\n", "twice"),
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


FIELDS = st.sampled_from(["W", "H", "F", "I", "A", "C", "X", "XCOLORRANGE="])
WORDS = st.sampled_from(
    ["16", "0", "25:1", "1:0", "p", "t", "mono", "mono12", "422p10", "444", "420jpeg", "FULL", "-3", ""]
)


@given(st.lists(st.tuples(FIELDS, WORDS), max_size=8))
@settings(max_examples=300)
def test_any_fields_parse_or_are_refused(fields: list[tuple[str, str]]) -> None:
    line = " ".join(["YUV4MPEG2 W8 H6 F25:1", *(name + word for name, word in fields)])
    try:
        format, rate, full_range = parse_header(line.encode() + b"\n", "fuzz")
    except MediaError:
        return
    assert header(format, rate, Colour("bt709", bool(full_range)))
    assert format.pixel_format in PIXEL_FORMATS


def test_a_raw_file_must_be_whole_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(16 * 16 * 3 // 2 * 3))
    assert RawReader(path, Geometry(16, 16, Fraction(25))).frames == 3
    with pytest.raises(MediaError, match="whole number of frames"):
        RawReader(path, Geometry(16, 18, Fraction(25)))


@pytest.mark.parametrize("name", ["nv12", "p010le", "rgb24", "yuv420p11le", "yuv420p10be", "gray10", "", "YUV420P"])
def test_raw_files_of_other_pixel_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(16 * 16 * 3))
    with pytest.raises(MediaError, match="pixel format") as caught:
        RawReader(path, Geometry(16, 16, Fraction(25), name))
    assert caught.value.got == name
