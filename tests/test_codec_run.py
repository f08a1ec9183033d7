"""Running any codec: what is returned, and what is refused or reported when something goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import make_clip
from sample_recipes import failing, point, script_recipe, sequence_of
from sample_streams import cut_clip, decoded_frames, source_frames, stream

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import encode
from evalsuite.errors import MediaError, ProcessError, RequestError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import Y4MReader
from evalsuite.types import OperatingPoint, Sequence, VideoFormat


@pytest.fixture
def clip() -> Sequence:
    return cut_clip()


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


def test_two_passes_are_one_encode_and_their_files_are_gone() -> None:
    encoded = stream("vp9")
    first, second = encoded.commands
    assert (first[first.index("-pass") + 1], second[second.index("-pass") + 1]) == ("1", "2")
    assert Path(second[-1]).name == encoded.path.name
    assert encoded.usage.cpu_s > 0
    assert list(encoded.path.parent.iterdir()) == [encoded.path]


def test_an_encoder_that_outlives_a_killed_worker_writes_nowhere_that_counts(tmp_path: Path) -> None:
    # The first attempt moves its finished stream to {output}, as some encoders do, when the second one is long done.
    clip, output = make_clip(tmp_path / "clip.y4m", 32, 32, 2), tmp_path / "out" / "s.bin"
    slow = f"""
import os, pathlib, sys, time
if sys.argv[1] == "encode":
    first, output = not os.path.exists({str(tmp_path / "begun")!r}), pathlib.Path(sys.argv[3])
    pathlib.Path({str(tmp_path / "begun")!r}).write_text(str(os.getpid()))
    while first and not os.path.exists({str(tmp_path / "go on")!r}): time.sleep(0.02)
    output.with_suffix(".part").write_bytes(b"late" if first else b"good")
    output.with_suffix(".part").replace(output)
    pathlib.Path({str(tmp_path / "moved")!r}).write_text(str(first))
"""
    worker = f"""
import pathlib, pytest
from sample_recipes import failing, point, script_recipe, sequence_of
from evalsuite.codec.run import encode
with pytest.MonkeyPatch.context() as patch:
    recipe = script_recipe(patch, pathlib.Path({str(tmp_path)!r}), {slow!r})
    encode(recipe, sequence_of(pathlib.Path({str(clip)!r}), 2), point(recipe), pathlib.Path({str(output)!r}))
"""
    command, env = [sys.executable, "-c", worker], {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    killed = subprocess.Popen(command, env=env)
    wait_for(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text() != "")
    killed.kill()
    killed.wait()
    orphan = psutil.Process(int((tmp_path / "begun").read_text()))
    subprocess.run(command, env=env, check=True)
    assert output.read_bytes() == b"good"
    (tmp_path / "go on").touch()
    wait_for(lambda: (tmp_path / "moved").read_text() == "True")
    wait_for(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    assert output.read_bytes() == b"good"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    with pytest.raises(ProcessError, match="wrote nothing, 3 times"):
        encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    assert not (tmp_path / "s.bin").exists()


def test_an_encoder_that_writes_nothing_now_and_then_is_run_again(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"
    once = (
        f'open({str(tries)!r}, "a").write("x"); first = len(open({str(tries)!r}).read()) == 1; '
        'time.sleep(4) if first else pathlib.Path(sys.argv[3]).write_bytes(b"bits")'
    )
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"encode {once}"))
    encoded = encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    assert (tries.read_text(), encoded.path.read_bytes()) == ("xx", b"bits")
    # The time is that of the encode that gave the stream.
    assert encoded.usage.wall_s < 4


def test_each_try_of_an_encoder_begins_without_what_the_last_one_left(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ffmpeg without -y: it makes an empty file, and the next time it is in its way."""
    recipe = script_recipe(monkeypatch, tmp_path, failing("encode pathlib.Path(sys.argv[3]).touch(exist_ok=False)"))
    with pytest.raises(ProcessError, match="wrote nothing, 3 times"):
        encode(recipe, clip, point(recipe), tmp_path / "s.bin")


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
