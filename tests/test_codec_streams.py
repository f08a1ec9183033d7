"""What the shipped codecs write and read back: real streams, judged by independent parsers and decoders."""

from __future__ import annotations

import itertools
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import make_clip, moving_frames
from sample_recipes import STANDARD, edited, point, sequence_of
from sample_streams import DEMUXERS, FRAMES, PERIOD, cut_clip, decoded_frames, independent_frames, source_frames, stream

from evalsuite.codec.bitstream import units
from evalsuite.codec.check import check_codec
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import encode
from evalsuite.errors import EvalError, ProcessError, RequestError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, OperatingPoint, Sequence, VideoFormat


@pytest.fixture
def clip() -> Sequence:
    return cut_clip()


@pytest.mark.parametrize("name", STANDARD)
def test_decoded_frames_are_as_many_as_large_and_in_the_order_of_the_source(name: str, clip: Sequence) -> None:
    source = source_frames(clip.path)
    decoded = decoded_frames(load_recipe(name), stream(name).path, clip)
    assert len(decoded) == FRAMES
    for index, planes in enumerate(decoded):
        assert [plane.shape for plane in planes] == [(80, 96), (40, 48), (40, 48)]
        near = range(max(0, index - 2), min(FRAMES, index + 3))
        errors = {other: np.mean((source[other][0].astype(float) - planes[0]) ** 2) for other in near}
        assert min(errors, key=errors.__getitem__) == index
        assert 10 * np.log10(255**2 / errors[index]) > 20


@pytest.mark.parametrize("name", STANDARD)
def test_an_independent_decoder_gives_the_same_samples(name: str, clip: Sequence) -> None:
    ours = decoded_frames(load_recipe(name), stream(name).path, clip)
    for mine, (_, theirs) in zip(ours, independent_frames(stream(name)), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", STANDARD)
def test_intra_frames_stand_at_the_intra_period_and_nowhere_else(name: str) -> None:
    distance = PERIOD + load_recipe(name).intra_periods.offset
    expected = list(range(0, FRAMES, distance))
    keys = [index for index, (key, _) in enumerate(independent_frames(stream(name))) if key]
    assert keys == expected
    report = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-i", stream(name).path, "-vf", "showinfo", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    types = re.findall(r"n: *\d+ .*? type:(\S)", report)
    assert len(types) == FRAMES
    assert [index for index, kind in enumerate(types) if kind == "I"] == expected


def test_only_kvazaar_counts_the_intra_period_otherwise() -> None:
    assert {
        name: load_recipe(name).intra_periods.offset for name in STANDARD if load_recipe(name).intra_periods.offset
    } == {"kvazaar": 1}


@pytest.mark.parametrize("name", ["libaom", "libaom:lowdelay"])
def test_the_shortest_intra_period_of_libaom_is_one_that_it_codes(name: str, tmp_path: Path) -> None:
    """In random access it ends by a signal with 2, once a video is longer than its look-ahead."""
    recipe, frames = load_recipe(name), 40
    shortest = recipe.intra_periods.min
    with pytest.raises(RequestError, match="every"):
        recipe.check_point(point(recipe, 2, shortest - 1))
    clip = sequence_of(make_clip(tmp_path / "source.y4m", 64, 64, frames), frames)
    encoded = encode(recipe, clip, point(recipe, 2, shortest), tmp_path / "stream.obu", timeout=120)
    keys = [index for index, (key, _) in enumerate(independent_frames(encoded)) if key]
    assert keys == list(range(0, frames, shortest))


@pytest.mark.parametrize("name", STANDARD)
def test_an_intra_period_of_minus_one_leaves_only_the_first_frame_intra(
    name: str, clip: Sequence, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    encoded = encode(recipe, clip, point(recipe, -1, -1), tmp_path / f"s.{recipe.extension}", timeout=60)
    assert [index for index, (key, _) in enumerate(independent_frames(encoded)) if key] == [0]


@pytest.mark.parametrize("name", STANDARD)
def test_trap01_streams_hold_no_sei_no_metadata_and_no_padding(name: str) -> None:
    recipe, path = load_recipe(name), stream(name).path
    assert {unit.extra for unit in units(path, recipe.container, recipe.standard)} == {""}
    if recipe.standard == "vp9":
        return
    # The same said by FFmpeg's own parsers.
    report = subprocess.run(
        [
            ffmpeg_path(),
            "-f",
            DEMUXERS[recipe.extension],
            "-i",
            path,
            "-c",
            "copy",
            "-bsf:v",
            "trace_headers",
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    headers = "\n".join(line for line in report.splitlines() if line.startswith("[trace_headers"))
    assert re.search("Sequence (Parameter Set|Header)", headers)
    assert not re.search("Supplemental|SEI|Metadata|Padding|Filler|Access Unit Delimiter", headers)


def test_trap01_that_check_would_see_the_sei_that_x264_writes(clip: Sequence, tmp_path: Path) -> None:
    recipe = edited("x264", tmp_path, ('"-bsf:v", "filter_units=remove_types=6", ', ""))
    encoded = encode(recipe, clip, point(recipe, 3), tmp_path / "s.h264")
    assert "SEI" in {unit.extra for unit in units(encoded.path, "annexb", "h264")}
    assert check_codec(recipe).extras == ("SEI",)


@pytest.mark.parametrize("name", STANDARD)
def test_trap01_the_rate_is_the_size_of_what_a_decoder_is_given(name: str) -> None:
    encoded = stream(name)
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        packets = sum(packet.size for packet in container.demux(video=0))
    assert encoded.payload_bytes == packets
    assert encoded.file_bytes == encoded.path.stat().st_size
    assert encoded.file_bytes - encoded.payload_bytes == (32 + 12 * FRAMES if name == "vp9" else 0)


@pytest.mark.parametrize("name", STANDARD)
def test_the_same_encode_gives_the_same_bytes(name: str, clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    again = encode(recipe, clip, point(recipe, 1, PERIOD), tmp_path / "another name.bin", timeout=60)
    assert again.sha256 == stream(name).sha256


def test_trap03_x265_is_driven_by_one_rate_control_with_the_structure_that_is_stated(
    clip: Sequence, tmp_path: Path
) -> None:
    # With its settings SEI switched on, the stream itself says how it was made.
    recipe = edited("x265", tmp_path, (":info=0:", ":info=1:"))
    encoded = encode(recipe, clip, OperatingPoint(31.5, PERIOD, 1), tmp_path / "s.h265")
    said = encoded.path.read_bytes().split(b"options: ")[1].split(b"\0")[0].decode("ascii", "replace").split()
    for setting in (
        *("rc=crf", "crf=31.5", "keyint=32", "scenecut=0", "no-open-gop", "fps=30000/1001", "rc-lookahead=25"),
        *("frame-threads=1", "no-wpp", "hash=0", "bitdepth=8", "input-res=96x80"),
    ):
        assert setting in said


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize(("width", "height", "frames"), [(35, 27, 3), (57, 63, 2), (20, 40, 1)])
def test_odd_sizes_and_single_frames_come_back_whole(
    name: str, width: int, height: int, frames: int, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[:height, :width]
    wave = (128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)
    half = wave[: (height + 1) // 2, : (width + 1) // 2]
    source = [(np.roll(wave, index, 0), half, 255 - half) for index in range(frames)]
    path = tmp_path / "clip.y4m"
    write_y4m(path, VideoFormat(width, height), Fraction(25), source, Colour("bt709"))
    sequence, recipe = sequence_of(path, frames), load_recipe(name)
    encoded = encode(recipe, sequence, point(recipe, 0), tmp_path / "s.bin", timeout=60)
    decoded = decoded_frames(recipe, encoded.path, sequence)
    assert len(decoded) == frames
    for wanted_planes, planes in zip(source, decoded, strict=True):
        for wanted, plane in zip(wanted_planes, planes, strict=True):
            assert plane.shape == wanted.shape
            # The last column and row are coded like the rest: padding is cut off, not the picture.
            assert np.abs(plane[-1].astype(int) - wanted[-1]).mean() < 6
            assert np.abs(plane[:, -1].astype(int) - wanted[:, -1]).mean() < 6


@pytest.mark.parametrize("full_range", [None, False, True])
@pytest.mark.parametrize("name", STANDARD)
def test_trap06_every_code_value_survives_whatever_range_the_file_claims(
    name: str, full_range: bool | None, tmp_path: Path
) -> None:
    # Flat blocks of all 256 values: a hidden range conversion, or rounding between 8 and 10 bit, moves some of them.
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    luma, chroma = (np.kron(levels, np.ones((side, side), np.uint8)) for side in (16, 8))
    colour = None if full_range is None else Colour("bt709", full_range)
    path = tmp_path / "levels.y4m"
    write_y4m(path, VideoFormat(256, 256), Fraction(25), [(luma, chroma, chroma.T.copy())], colour)
    sequence, recipe = sequence_of(path, 1), load_recipe(name)
    encoded = encode(recipe, sequence, OperatingPoint(recipe.knob.smallest, 32, 1), tmp_path / "s.bin", timeout=60)
    (decoded,) = decoded_frames(recipe, encoded.path, sequence)
    for wanted, plane in zip((luma, chroma, chroma.T), decoded, strict=True):
        assert np.array_equal(wanted, plane)


@pytest.mark.parametrize("name", ["x265", "kvazaar", "x264", "vvenc"])
def test_trap10_a_stream_that_lost_its_last_picture_is_noticed(name: str, clip: Sequence, tmp_path: Path) -> None:
    data = stream(name).path.read_bytes()
    shorter = tmp_path / "shorter.bin"
    shorter.write_bytes(data[: data.rindex(b"\0\0\1")])
    with pytest.raises(ShapeError, match="another number of frames"):
        decoded_frames(load_recipe(name), shorter, clip)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_stream_is_a_failure(name: str, part: float, clip: Sequence, tmp_path: Path) -> None:
    data = stream(name).path.read_bytes()
    cut = tmp_path / "cut.bin"
    cut.write_bytes(data[: int(len(data) * part)])
    with pytest.raises((ProcessError, ShapeError)):
        decoded_frames(load_recipe(name), cut, clip)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("content", [b"", b"this is no video. " * 100], ids=["empty", "foreign"])
def test_an_empty_or_foreign_stream_is_a_failure(name: str, content: bytes, clip: Sequence, tmp_path: Path) -> None:
    path = tmp_path / "s.bin"
    path.write_bytes(content)
    with pytest.raises((ProcessError, ShapeError)):
        decoded_frames(load_recipe(name), path, clip)


@pytest.mark.parametrize("name", ["svtav1", "vvenc"])
def test_flipped_bits_are_noticed_where_the_decoder_can(name: str, clip: Sequence, tmp_path: Path) -> None:
    # Arithmetic-coded data has hardly any redundancy: HEVC and VP9 streams decode to something for most flips, which
    # only the digest of the stream tells. These two decoders notice nearly all.
    data, path = stream(name).path.read_bytes(), tmp_path / "s.bin"
    noticed = 0
    for offset in np.linspace(len(data) // 4, len(data) - 1, 8).astype(int):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        path.write_bytes(damaged)
        try:
            decoded_frames(load_recipe(name), path, clip)
        except EvalError:
            noticed += 1
    assert noticed >= 5


@pytest.mark.parametrize("name", STANDARD)
def test_the_ladder_goes_down_in_rate(name: str, clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    short = sequence_of(make_clip(tmp_path / "clip.y4m", 96, 80, 6), 6)
    sizes = [
        encode(recipe, short, OperatingPoint(q, PERIOD, 1), tmp_path / "s.bin", timeout=60).payload_bytes
        for q in recipe.knob.ladder
    ]
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1"])
def test_a_fractional_q_lies_between_its_neighbours(name: str, clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    sizes = [
        encode(recipe, clip, OperatingPoint(q, PERIOD, 1), tmp_path / "s.bin", timeout=60).payload_bytes
        for q in (40, 40.5, 41)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("rate", [Fraction(1, 10), Fraction(120), Fraction(240)], ids=str)
@pytest.mark.parametrize("name", [*STANDARD, "x264:lowdelay"])
def test_every_frame_comes_back_at_any_frame_rate(name: str, rate: Fraction, tmp_path: Path) -> None:
    """FFmpeg counts the time of a raw stream in 1/25 s if nothing is said, and refuses two frames of one time."""
    format, path = VideoFormat(96, 80), tmp_path / "fast.y4m"
    write_y4m(path, format, rate, itertools.islice(moving_frames(format, 9), 9))
    clip, recipe = sequence_of(path, 9), load_recipe(name)
    made = encode(recipe, clip, point(recipe, 1, PERIOD), tmp_path / f"stream.{recipe.extension}", timeout=120)
    assert len(decoded_frames(recipe, made.path, clip)) == 9
