from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from conftest import make_clip, moving_frames, run_ffmpeg
from sample_recipes import SHIPPED, edited, point, script_recipe, sequence_of

from evalsuite.codec.bitstream import units
from evalsuite.codec.check import check_codec
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import Encoded, decode, encode
from evalsuite.errors import EvalError, MediaError, ProcessError, RequestError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import Y4MReader, write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, Sequence, VideoFormat

FRAMES = 66
CUT = 20
PERIOD = 32

DEMUXERS = {"h264": "h264", "h265": "hevc", "h266": "vvc", "obu": "obu", "ivf": "ivf"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    """Moving frames with a scene cut: an encoder that is left to itself puts an intra frame there."""
    format, path = VideoFormat(96, 80), tmp_path_factory.mktemp("clip") / "cut.y4m"
    before = itertools.islice(moving_frames(format, CUT, seed=1), CUT)
    after = ((255 - luma[::-1], red, blue) for luma, blue, red in moving_frames(format, FRAMES - CUT, seed=2))
    write_y4m(path, format, Fraction(30000, 1001), itertools.chain(before, after), Colour("bt709"))
    return sequence_of(path, FRAMES)


@pytest.fixture(scope="session")
def streams(clip: Sequence, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoded]:
    """The clip once through every shipped codec."""
    folder = tmp_path_factory.mktemp("streams")
    made = {}
    for name in SHIPPED:
        recipe = load_recipe(name)
        made[name] = encode(recipe, clip, point(recipe, 1, PERIOD), folder / f"{name}.{recipe.extension}", timeout=120)
    return made


@cache
def source_frames(path: Path) -> list[Frame]:
    return list(Y4MReader(path))


def decoded_frames(recipe: Recipe, bitstream: Path, sequence: Sequence) -> list[Frame]:
    with decode(recipe, bitstream, sequence, point(recipe), timeout=60) as decoder:
        return list(decoder)


def independent_frames(encoded: Encoded) -> Iterator[tuple[bool, list[np.ndarray]]]:
    """Key flag and planes of every frame, by PyAV's build of FFmpeg's libraries."""
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        for frame in container.decode(video=0):
            planes = []
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                planes.append(rows[:, : plane.width].copy())
            yield frame.key_frame, planes


@pytest.mark.parametrize("name", SHIPPED)
def test_decoded_frames_are_as_many_as_large_and_in_the_order_of_the_source(
    name: str, clip: Sequence, streams: dict[str, Encoded]
) -> None:
    source = source_frames(clip.path)
    decoded = decoded_frames(load_recipe(name), streams[name].path, clip)
    assert len(decoded) == FRAMES
    for index, planes in enumerate(decoded):
        assert [plane.shape for plane in planes] == [(80, 96), (40, 48), (40, 48)]
        near = range(max(0, index - 2), min(FRAMES, index + 3))
        errors = {other: np.mean((source[other][0].astype(float) - planes[0]) ** 2) for other in near}
        assert min(errors, key=errors.__getitem__) == index
        assert 10 * np.log10(255**2 / errors[index]) > 20


@pytest.mark.parametrize("name", SHIPPED)
def test_an_independent_decoder_gives_the_same_samples(name: str, clip: Sequence, streams: dict[str, Encoded]) -> None:
    ours = decoded_frames(load_recipe(name), streams[name].path, clip)
    for mine, (_, theirs) in zip(ours, independent_frames(streams[name]), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_intra_frames_stand_at_the_intra_period_and_nowhere_else(name: str, streams: dict[str, Encoded]) -> None:
    distance = PERIOD + load_recipe(name).intra_periods.offset
    expected = list(range(0, FRAMES, distance))
    keys = [index for index, (key, _) in enumerate(independent_frames(streams[name])) if key]
    assert keys == expected
    report = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-i", streams[name].path, "-vf", "showinfo", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    types = re.findall(r"n: *\d+ .*? type:(\S)", report)
    assert len(types) == FRAMES
    assert [index for index, kind in enumerate(types) if kind == "I"] == expected


def test_only_kvazaar_counts_the_intra_period_otherwise() -> None:
    assert {
        name: load_recipe(name).intra_periods.offset for name in SHIPPED if load_recipe(name).intra_periods.offset
    } == {"kvazaar": 1}


@pytest.mark.parametrize("name", SHIPPED)
def test_an_intra_period_of_minus_one_leaves_only_the_first_frame_intra(
    name: str, clip: Sequence, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    encoded = encode(recipe, clip, point(recipe, -1, -1), tmp_path / f"s.{recipe.extension}", timeout=60)
    assert [index for index, (key, _) in enumerate(independent_frames(encoded)) if key] == [0]


@pytest.mark.parametrize("name", SHIPPED)
def test_trap01_streams_hold_no_sei_no_metadata_and_no_padding(name: str, streams: dict[str, Encoded]) -> None:
    recipe, path = load_recipe(name), streams[name].path
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
    assert re.search("Sequence (Parameter Set|Header)", report)
    assert not re.search("Supplemental|SEI|Metadata|Padding|Filler|Access Unit Delimiter", report)


def test_trap01_that_check_would_see_the_sei_that_x264_writes(clip: Sequence, tmp_path: Path) -> None:
    recipe = edited("x264", tmp_path, ('"-bsf:v", "filter_units=remove_types=6", ', ""))
    encoded = encode(recipe, clip, point(recipe, 3), tmp_path / "s.h264")
    assert "SEI" in {unit.extra for unit in units(encoded.path, "annexb", "h264")}
    assert check_codec(recipe).extras == ("SEI",)


@pytest.mark.parametrize("name", SHIPPED)
def test_trap01_the_rate_is_the_size_of_what_a_decoder_is_given(name: str, streams: dict[str, Encoded]) -> None:
    encoded = streams[name]
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        packets = sum(packet.size for packet in container.demux(video=0))
    assert encoded.payload_bytes == packets
    assert encoded.file_bytes == encoded.path.stat().st_size
    assert encoded.file_bytes - encoded.payload_bytes == (32 + 12 * FRAMES if name == "vp9" else 0)


def test_trap01_an_encoders_log_is_not_believed(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import pathlib, sys
print("encoded 66 frames, 1 byte, 0.01 kbps")
print("bytes=1", file=sys.stderr)
if sys.argv[1] == "encode": pathlib.Path(sys.argv[3]).write_bytes(bytes(12345))
"""
    recipe = script_recipe(monkeypatch, tmp_path, script)
    encoded = encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    assert (encoded.file_bytes, encoded.payload_bytes) == (12345, 12345)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_same_encode_gives_the_same_bytes(
    name: str, clip: Sequence, streams: dict[str, Encoded], tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    again = encode(recipe, clip, point(recipe, 1, PERIOD), tmp_path / "another name.bin", timeout=60)
    assert again.sha256 == streams[name].sha256


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


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(("width", "height", "frames"), [(35, 27, 3), (64, 48, 1)])
def test_odd_sizes_and_single_frames_come_back_whole(
    name: str, width: int, height: int, frames: int, tmp_path: Path
) -> None:
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", width, height, frames), frames)
    recipe = load_recipe(name)
    encoded = encode(recipe, sequence, point(recipe, 0), tmp_path / "s.bin", timeout=60)
    decoded = decoded_frames(recipe, encoded.path, sequence)
    assert len(decoded) == frames
    for source, planes in zip(source_frames(sequence.path), decoded, strict=True):
        for wanted, plane in zip(source, planes, strict=True):
            assert plane.shape == wanted.shape
            # The last column and row are coded like the rest: padding is cut off, not the picture.
            assert np.abs(plane[-1].astype(int) - wanted[-1]).mean() < 12
            assert np.abs(plane[:, -1].astype(int) - wanted[:, -1]).mean() < 12


@pytest.mark.parametrize("full_range", [None, False, True])
@pytest.mark.parametrize("name", SHIPPED)
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


def test_padding_reaches_the_encoder_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = script_recipe(monkeypatch, tmp_path, size_multiple=8)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 35, 27, 2), 2)
    folder = tmp_path / "out"
    encoded = encode(recipe, sequence, point(recipe), folder / "s.bin")
    coded = Y4MReader(encoded.path)
    assert coded.format == VideoFormat(40, 32)
    for padded, source, back in zip(
        coded, source_frames(sequence.path), decoded_frames(recipe, encoded.path, sequence), strict=True
    ):
        for plane, wanted, cropped in zip(padded, source, back, strict=True):
            rows, columns = wanted.shape
            assert np.array_equal(cropped, wanted)
            assert np.array_equal(plane[:rows, :columns], wanted)
            assert (plane[rows:, :columns] == wanted[-1]).all()
            assert (plane[:rows, columns:] == wanted[:, -1:]).all()
    assert [path.name for path in folder.iterdir()] == ["s.bin"]


def test_two_passes_are_one_encode_and_their_files_are_gone(clip: Sequence, streams: dict[str, Encoded]) -> None:
    encoded = streams["vp9"]
    assert len(encoded.commands) == 2
    assert encoded.command[-1] == str(encoded.path)
    assert encoded.usage.cpu_s > 0
    assert {path.suffix for path in encoded.path.parent.iterdir()} == {".h264", ".h265", ".h266", ".obu", ".ivf"}


@pytest.mark.parametrize(
    "name",
    [
        "in put 'q' \"d\" $HOME `id`.y4m",
        "-rf.y4m",
        "a%03d{q}{input}.y4m",
        "пример\n二.y4m",
        "concat:x|y.y4m",
        "x;y&z.y4m",
    ],
)
def test_hostile_names_are_only_names(name: str, tmp_path: Path) -> None:
    sequence = sequence_of(make_clip(tmp_path / name, 32, 32, 2), 2)
    recipe = load_recipe("x264")
    output = tmp_path / "out" / f"{name}.h264"
    encoded = encode(recipe, sequence, point(recipe), output, timeout=30)
    assert encoded.path == output
    assert len(decoded_frames(recipe, output, sequence)) == 2


def test_a_format_or_point_that_the_codec_does_not_take_never_starts_it(clip: Sequence, tmp_path: Path) -> None:
    ten_bit = sequence_of(make_clip(tmp_path / "ten.y4m", 32, 32, 1, bit_depth=10), 1)
    recipe = load_recipe("x265")
    with pytest.raises(RequestError, match="pixel format"):
        encode(recipe, ten_bit, point(recipe), tmp_path / "s.bin")
    with pytest.raises(RequestError, match="has no q"):
        encode(recipe, clip, OperatingPoint(99, 32, 1), tmp_path / "s.bin")
    assert not (tmp_path / "s.bin").exists()


def failing(what: str) -> str:
    return f"""
import os, pathlib, subprocess, sys, time
if sys.argv[1] == {what.split()[0]!r}:
    {what.split(maxsplit=1)[1]}
elif sys.argv[1] == "encode":
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
elif sys.argv[1] == "decode":
    sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes())
"""


def test_trap05_nonzero_exit_is_a_failure_and_an_old_file_never_passes_for_a_new_one(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "s.bin"
    output.write_bytes(b"from an earlier run")
    wrote = 'pathlib.Path(sys.argv[3]).write_bytes(b"part"); sys.exit("out of luck")'
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"encode {wrote}"))
    with pytest.raises(ProcessError, match="exited with code 1") as caught:
        encode(recipe, clip, point(recipe), output)
    assert caught.value.stderr_tail == "out of luck"
    assert caught.value.command[1] == "encode"
    assert not output.exists()


@pytest.mark.parametrize("wrote", ["pass", 'pathlib.Path(sys.argv[3]).write_bytes(b"")'], ids=["nothing", "empty file"])
def test_trap05_an_encoder_that_writes_nothing_has_failed(
    wrote: str, clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.bin").write_bytes(b"from an earlier run")
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"encode {wrote}"))
    with pytest.raises(ProcessError, match="wrote nothing"):
        encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    assert not (tmp_path / "s.bin").exists()


def test_an_encoder_that_writes_half_a_container_has_failed(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = 'pathlib.Path(sys.argv[3]).write_bytes(b"DKIF" + bytes(10))'
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"encode {wrote}"), container="ivf")
    with pytest.raises(MediaError, match="damaged or truncated"):
        encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    assert not (tmp_path / "s.bin").exists()


@pytest.mark.parametrize("stage", ["encode", "decode"])
def test_a_hanging_program_is_killed_with_its_children(
    stage: str, clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    hang = (
        f'child = subprocess.Popen(["sleep", "300"]); '
        f'pathlib.Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{child.pid}}"); time.sleep(300)'
    )
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"{stage} {hang}"))
    started = time.monotonic()

    def work() -> None:
        if stage == "encode":
            encode(recipe, clip, point(recipe), tmp_path / "s.bin", timeout=2)
        with decode(recipe, clip.path, clip, point(recipe), timeout=2) as decoder:
            list(decoder)

    with pytest.raises(ProcessError, match="killed with its process group"):
        work()
    assert time.monotonic() - started < 20
    time.sleep(0.2)
    for pid in map(int, pids.read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not (tmp_path / "s.bin").exists()


def test_a_full_disk_is_a_failed_encode_and_leaves_no_half_stream(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A limit on the file's size makes the pinned ffmpeg's writes fail as a full disk does.
    script = f"""
import os, resource, sys
if sys.argv[1] == "encode":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    os.execv({str(ffmpeg_path())!r}, ["ffmpeg", "-v", "error", "-y", "-i", sys.argv[2], "-f", "h264", sys.argv[3]])
"""
    recipe = script_recipe(monkeypatch, tmp_path, script)
    with pytest.raises(ProcessError, match="exited with code") as caught:
        encode(recipe, clip, point(recipe), tmp_path / "s.bin", timeout=30)
    assert "large" in caught.value.stderr_tail
    assert not (tmp_path / "s.bin").exists()


def test_an_output_folder_that_cannot_be_made_is_said(clip: Sequence, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    recipe = load_recipe("x264")
    with pytest.raises(ProcessError, match="no place to write"):
        encode(recipe, clip, point(recipe), tmp_path / "file" / "s.bin")


def test_a_truncated_source_is_a_failure_where_it_is_padded(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.y4m", 35, 27, 3)
    sequence = sequence_of(path, 3)
    path.write_bytes(path.read_bytes()[:-10])
    recipe = load_recipe("x264")
    with pytest.raises(MediaError, match="ends inside frame 2"):
        encode(recipe, sequence, point(recipe), tmp_path / "s.bin")


def test_a_source_shorter_than_its_sequence_does_not_pass(tmp_path: Path) -> None:
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 32, 32, 3), 4)
    recipe = load_recipe("x264")
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    with pytest.raises(ShapeError, match="another number of frames"):
        decoded_frames(recipe, encoded.path, sequence)


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_trap10_missing_last_frames_and_frames_too_many_are_failures(
    frames: int, clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path)
    other = tmp_path / "other.y4m"
    source = source_frames(clip.path)
    write_y4m(other, clip.format, clip.frame_rate, itertools.islice(itertools.cycle(source), frames))
    with (
        pytest.raises(ShapeError, match="another number of frames") as caught,
        decode(recipe, other, clip, point(recipe)) as decoder,
    ):
        list(decoder)
    assert caught.value.expected == f"{FRAMES} frames"
    assert decoder.usage is None


@pytest.mark.parametrize("name", ["x265", "kvazaar", "x264", "vvenc"])
def test_trap10_a_stream_that_lost_its_last_picture_is_noticed(
    name: str, clip: Sequence, streams: dict[str, Encoded], tmp_path: Path
) -> None:
    data = streams[name].path.read_bytes()
    shorter = tmp_path / "shorter.bin"
    shorter.write_bytes(data[: data.rindex(b"\0\0\1")])
    with pytest.raises(ShapeError, match="another number of frames"):
        decoded_frames(load_recipe(name), shorter, clip)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_stream_is_a_failure(
    name: str, part: float, clip: Sequence, streams: dict[str, Encoded], tmp_path: Path
) -> None:
    data = streams[name].path.read_bytes()
    cut = tmp_path / "cut.bin"
    cut.write_bytes(data[: int(len(data) * part)])
    with pytest.raises((ProcessError, ShapeError)):
        decoded_frames(load_recipe(name), cut, clip)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("content", [b"", b"this is no video. " * 100], ids=["empty", "foreign"])
def test_an_empty_or_foreign_stream_is_a_failure(name: str, content: bytes, clip: Sequence, tmp_path: Path) -> None:
    path = tmp_path / "s.bin"
    path.write_bytes(content)
    with pytest.raises((ProcessError, ShapeError)):
        decoded_frames(load_recipe(name), path, clip)


@pytest.mark.parametrize("name", ["svtav1", "vvenc"])
def test_flipped_bits_are_noticed_where_the_decoder_can(
    name: str, clip: Sequence, streams: dict[str, Encoded], tmp_path: Path
) -> None:
    # Arithmetic-coded data has hardly any redundancy: HEVC and VP9 streams decode to something for most flips, which
    # only the digest of the stream tells. These two decoders notice nearly all.
    data, path = streams[name].path.read_bytes(), tmp_path / "s.bin"
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


def test_a_decoder_that_only_complains_has_failed(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        'sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes()); print("concealing errors", file=sys.stderr)'
    )
    script = failing(f"decode {words}")
    silent = script_recipe(monkeypatch, tmp_path, script)
    assert len(decoded_frames(silent, clip.path, clip)) == FRAMES
    strict = script_recipe(monkeypatch, tmp_path, script, extra="decode_errors = 'conceal'")
    with pytest.raises(ProcessError, match="reports damage") as caught:
        decoded_frames(strict, clip.path, clip)
    assert "concealing errors" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes()[:-100])", "else than whole frames"),
        ('print("not a video")', "else than whole frames"),
        (
            'sys.stdout.buffer.write(b"YUV4MPEG2 W96 H80 F25:1 Ip C420jpeg\\n" + b"x" * 100000)',
            "else than whole frames",
        ),
        ('sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes()[:-100]); sys.exit("died")', "code 1"),
        ("sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes()); sys.exit(3)", "code 3"),
    ],
    ids=["half a frame", "text", "no frames", "died inside a frame", "died at the end"],
)
def test_a_decoder_that_stops_or_dies_is_a_failure(
    words: str, message: str, clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"decode {words}"))
    with pytest.raises(ProcessError, match=message):
        decoded_frames(recipe, clip.path, clip)


def test_decoded_frames_of_another_size_are_refused(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path)
    other = make_clip(tmp_path / "other.y4m", 80, 96, FRAMES)
    with pytest.raises(ShapeError, match="another size") as caught:
        decoded_frames(recipe, other, clip)
    assert str(caught.value.got) == "80x96 yuv420p"


def test_raw_output_is_read_by_the_sequences_size(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "clip.yuv"
    raw.write_bytes(run_ffmpeg("-i", clip.path, "-f", "rawvideo", "-"))
    recipe = script_recipe(monkeypatch, tmp_path)
    path = recipe.path
    path.write_text(path.read_text().replace('decoded = "y4m"', 'decoded = "raw"'))
    decoded = decoded_frames(load_recipe(str(path)), raw, clip)
    for wanted, planes in zip(source_frames(clip.path), decoded, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(wanted, planes, strict=True))


def test_leaving_early_stops_the_decoder(clip: Sequence, streams: dict[str, Encoded]) -> None:
    recipe = load_recipe("x265")
    with decode(recipe, streams["x265"].path, clip, point(recipe)) as decoder:
        next(iter(decoder))
    assert decoder.usage is None
    assert not any("-c:v" in child.cmdline() for child in psutil.Process(os.getpid()).children(recursive=True))


def test_decoding_tells_what_it_cost(clip: Sequence, streams: dict[str, Encoded]) -> None:
    recipe = load_recipe("vvenc")
    with decode(recipe, streams["vvenc"].path, clip, point(recipe)) as decoder:
        assert len(list(decoder)) == FRAMES
    assert decoder.usage is not None
    assert 0 < decoder.usage.cpu_s < 30
    assert decoder.command[0] == str(ffmpeg_path())
    assert str(streams["vvenc"].path) in decoder.command


def test_a_bitstream_that_is_not_there_is_said(clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe("x265")
    with pytest.raises(MediaError, match="no bitstream"), decode(recipe, tmp_path / "none", clip, point(recipe)):
        pass


@pytest.mark.parametrize("name", SHIPPED)
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
