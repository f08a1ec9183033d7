"""Codecs written in Python, through the processes that hold them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import make_clip
from sample_python_codec import python_recipe
from sample_recipes import sequence_of

from evalsuite.codec.check import check_codec
from evalsuite.codec.decoder import decode
from evalsuite.codec.hostpool import Host, close_hosts
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import Encoded, encode
from evalsuite.errors import ProcessError, RequestError, ShapeError
from evalsuite.sources.y4m import PIXEL_FORMATS, Y4MReader, join_planes
from evalsuite.types import Frame, OperatingPoint, Sequence

FRAMES = 3
ROLES = ("encode", "decode")


@pytest.fixture(autouse=True)
def _hosts() -> Iterator[None]:
    yield
    close_hosts()


@pytest.fixture
def clip(tmp_path: Path) -> Sequence:
    return sequence_of(make_clip(tmp_path / "clip.y4m", 35, 27, FRAMES), FRAMES)


def point(q: float = 4, threads: int = 1) -> OperatingPoint:
    return OperatingPoint(q=q, intra_period=-1, threads=threads)


def coded(recipe: Recipe, clip: Sequence, q: float = 4, timeout: float | None = 30) -> Encoded:
    return encode(recipe, clip, point(q), clip.path.parent / f"s{q}.bin", timeout=timeout)


def frames_of(recipe: Recipe, encoded: Encoded, clip: Sequence, timeout: float | None = 30) -> list[Frame]:
    digest = encoded.reconstruction_sha256
    with decode(recipe, encoded.path, clip, point(), timeout=timeout, reconstruction_sha256=digest) as decoder:
        return list(decoder)


def notes(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "log.txt").read_text().splitlines()]


def logged(folder: Path, settings: str = "", extra: str = "") -> Recipe:
    (folder / "log.txt").write_text("")
    return python_recipe(folder, f"{settings}\n[files]\nlog = 'log.txt'\n", extra=extra)


@pytest.mark.parametrize("depth", [8, 10])
def test_frames_come_back_as_the_quantiser_leaves_them(depth: int, tmp_path: Path) -> None:
    clip = sequence_of(make_clip(tmp_path / "clip.y4m", 35, 27, FRAMES, bit_depth=depth), FRAMES)
    recipe = python_recipe(tmp_path)
    encoded = coded(recipe, clip)
    assert encoded.path.read_bytes().startswith(f"35 27 {depth} 420 4 {FRAMES}\n".encode())
    assert encoded.payload_bytes == encoded.path.stat().st_size
    for found, wanted in zip(frames_of(recipe, encoded, clip), Y4MReader(clip.path), strict=True):
        for plane, source in zip(found, wanted, strict=True):
            assert np.array_equal(plane, source // 4 * 4 + 2)


def test_a_model_is_loaded_once_and_told_apart_in_what_a_request_costs(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path, "load = 0.5")
    first, second = coded(recipe, clip, 4).usage, coded(recipe, clip, 8).usage
    assert first.load_s is not None
    assert 0.5 <= first.load_s <= first.wall_s
    assert second.load_s == 0
    assert second.wall_s < 0.5
    # Loading is nobody's coding: only sleeping and writing a small file are left.
    assert first.cpu_s < 0.5
    assert first.peak_rss_bytes > 10e6
    encoded = coded(recipe, clip, 4)
    for load in (True, False):
        with decode(recipe, encoded.path, clip, point()) as decoder:
            assert len(list(decoder)) == FRAMES
        assert decoder.usage is not None
        assert (decoder.usage.load_s or 0) >= 0.5 * load
    assert [line[:2] for line in notes(tmp_path)] == [
        *(["load", "encode"], ["encode", "encode"], ["encode", "encode"], ["encode", "encode"]),
        *(["load", "decode"], ["decode", "decode"], ["decode", "decode"]),
    ]


def test_trap_31_encoder_and_decoder_are_other_processes(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path)
    frames_of(recipe, coded(recipe, clip), clip)
    pids = {role: {line[2] for line in notes(tmp_path) if line[1] == role} for role in ("encode", "decode")}
    assert len(pids["encode"]) == len(pids["decode"]) == 1
    assert not pids["encode"] & pids["decode"]


def test_trap_31_a_codec_that_depends_on_its_process_is_found_out(tmp_path: Path, clip: Sequence) -> None:
    recipe = python_recipe(tmp_path, "fault = 'stateful'\nat = 'decode'\nreconstruct = 'stateful'")
    encoded = coded(recipe, clip)
    assert encoded.reconstruction_sha256
    with pytest.raises(ProcessError, match="gives other frames than the encoder's own reconstruction"):
        frames_of(recipe, encoded, clip)


def test_the_reconstruction_is_compared_and_agrees(tmp_path: Path, clip: Sequence) -> None:
    recipe = python_recipe(tmp_path, "reconstruct = true")
    encoded = coded(recipe, clip)
    found = frames_of(recipe, encoded, clip)
    assert encoded.reconstruction_sha256 == hashlib.sha256(b"".join(map(join_planes, found))).hexdigest()


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p", "gray", "gray10le"])
def test_frames_of_any_chroma_go_in_and_come_back(tmp_path: Path, pixel_format: str) -> None:
    depth, chroma = PIXEL_FORMATS[pixel_format]
    path = make_clip(tmp_path / "clip.y4m", 35, 21, 3, bit_depth=depth, chroma=chroma)
    recipe, clip = python_recipe(tmp_path), sequence_of(path, 3)
    found = frames_of(recipe, coded(recipe, clip, 1), clip)
    for frame, source in zip(found, Y4MReader(path), strict=True):
        for one, other in zip(frame, source, strict=True):
            np.testing.assert_array_equal(one, other)


def test_several_decodes_may_be_open_at_once(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path)
    streams = [coded(recipe, clip, q) for q in (2, 4, 8)]
    with (
        decode(recipe, streams[0].path, clip, point()) as one,
        decode(recipe, streams[1].path, clip, point()) as two,
        decode(recipe, streams[2].path, clip, point()) as three,
    ):
        for frames in zip(one, two, three, Y4MReader(clip.path), strict=True):
            for frame, q in zip(frames, (2, 4, 8), strict=False):
                assert np.array_equal(frame[0], frames[3][0] // q * q + q // 2)


def test_threads_and_device_reach_the_class(tmp_path: Path, clip: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = logged(tmp_path, extra="device = 'meta'")
    encode(recipe, clip, point(threads=3), tmp_path / "s.bin")
    assert notes(tmp_path)[-1][3:] == ["meta", "3"]
    monkeypatch.setenv("EVALSUITE_DEVICE", "cpu")
    other = logged(tmp_path, extra="device = 'meta'")
    encode(other, clip, point(), tmp_path / "s.bin")
    assert notes(tmp_path)[-1][3:] == ["cpu", "1"]
    assert other.identity() != recipe.identity()


def test_what_a_class_prints_is_no_answer(tmp_path: Path, clip: Sequence) -> None:
    for role in ("encode", "decode"):
        recipe = python_recipe(tmp_path, f"fault = 'print'\nat = '{role}'")
        assert len(frames_of(recipe, coded(recipe, clip), clip)) == FRAMES


@pytest.mark.parametrize(
    ("role", "fault", "message", "words"),
    [
        ("encode", "raise", "ValueError: no such luck", "in misbehave"),
        ("encode", "die", "exited with code 7", "last words"),
        ("decode", "raise", "ValueError: no such luck", "in misbehave"),
        ("decode", "die", "exited with code 7", "last words"),
    ],
)
def test_a_class_that_fails_or_dies_fails_its_cell_and_is_replaced(
    role: str, fault: str, message: str, words: str, tmp_path: Path, clip: Sequence
) -> None:
    recipe = logged(tmp_path, f"fault = '{fault}'\nat = '{role}'")
    encoded = coded(recipe, clip) if role == "decode" else None
    for _ in range(2):
        with pytest.raises(ProcessError, match=message) as caught:
            frames_of(recipe, encoded or coded(recipe, clip), clip)
        assert words in caught.value.stderr_tail
    assert (tmp_path / "s4.bin").exists() == (role == "decode")
    assert len({line[2] for line in notes(tmp_path) if line[:2] == ["load", role]}) == 2


def test_loading_is_part_of_the_timeout(tmp_path: Path, clip: Sequence) -> None:
    """A second and a half of loading and half a one of encoding, both within two, take longer together."""
    slow = logged(tmp_path, "load = 1.5\nhold = 'child'")
    with pytest.raises(ProcessError, match="killed with its process group"):
        coded(slow, clip, timeout=2)


@pytest.mark.parametrize("role", ["encode", "decode"])
def test_a_class_that_hangs_is_killed_with_its_children(role: str, tmp_path: Path, clip: Sequence) -> None:
    encoded = coded(python_recipe(tmp_path), clip)
    bad = logged(tmp_path, f"fault = 'hang'\nat = '{role}'")
    started = time.monotonic()
    with pytest.raises(ProcessError, match="killed with its process group"):
        frames_of(bad, coded(bad, clip, timeout=3) if role == "encode" else encoded, clip, timeout=3)
    assert time.monotonic() - started < 20
    time.sleep(0.2)
    for pid in map(int, (tmp_path / "log.txt").read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("short", ShapeError, "another number of frames"),
        ("float", ProcessError, "something else than a frame"),
        ("grow", ProcessError, "unlike the first one"),
    ],
)
def test_frames_that_are_none_are_refused(
    fault: str, kind: type[Exception], message: str, tmp_path: Path, clip: Sequence
) -> None:
    recipe = python_recipe(tmp_path, f"fault = '{fault}'\nat = 'decode'")
    with pytest.raises(kind, match=message):
        frames_of(recipe, coded(recipe, clip), clip)


def test_an_encoder_returns_a_digest_or_nothing(tmp_path: Path, clip: Sequence) -> None:
    recipe = python_recipe(tmp_path, "fault = 'wrong_digest'")
    with pytest.raises(ProcessError, match="something else than a digest"):
        coded(recipe, clip)


@pytest.mark.parametrize(
    ("settings", "message"),
    [("fault = 'raise'\nat = 'load'", "OSError: the weights are not there"), ("depth = 3", "unexpected keyword")],
)
def test_a_model_that_cannot_be_loaded_is_said(settings: str, message: str, tmp_path: Path, clip: Sequence) -> None:
    with pytest.raises(ProcessError, match=message):
        coded(python_recipe(tmp_path, settings), clip)


def test_leaving_early_ends_the_host_and_the_next_decode_has_another(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path)
    encoded = coded(recipe, clip)
    with decode(recipe, encoded.path, clip, point()) as decoder:
        next(iter(decoder))
    assert decoder.usage is None
    first = int(notes(tmp_path)[-1][2])
    assert not psutil.pid_exists(first)
    assert len(frames_of(recipe, encoded, clip)) == FRAMES
    assert int(notes(tmp_path)[-1][2]) != first


def test_a_host_that_was_killed_while_idle_is_replaced(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path)
    coded(recipe, clip)
    psutil.Process(int(notes(tmp_path)[-1][2])).kill()
    time.sleep(0.2)
    coded(recipe, clip)
    assert [line[0] for line in notes(tmp_path)] == ["load", "encode", "load", "encode"]


def test_no_host_outlives_the_process_that_started_it(tmp_path: Path, clip: Sequence) -> None:
    logged(tmp_path, "fault = 'hang'")
    script = f"""
from pathlib import Path
from test_hosted import coded
from sample_recipes import sequence_of
from evalsuite.codec.recipe import load_recipe
coded(load_recipe({str(tmp_path / "fake.toml")!r}), sequence_of(Path({str(clip.path)!r}), {FRAMES}))
"""
    tests = str(Path(__file__).parent)
    parent = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": tests})
    deadline = time.monotonic() + 30
    while "load" in (said := (tmp_path / "log.txt").read_text()) or not said:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    time.sleep(1.5)
    for pid in map(int, said.split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="/proc/PID/clear_refs is not in this kernel")
@pytest.mark.parametrize("hold", ["own", "child"])
def test_peak_memory_is_that_of_the_request(hold: str, tmp_path: Path, clip: Sequence) -> None:
    # The class, or a child of it, holds q MiB for a moment.
    recipe = python_recipe(tmp_path, f"hold = '{hold}'")
    before, large, after = (coded(recipe, clip, q).usage.peak_rss_bytes for q in (1, 64, 2))
    assert 10e6 < before < large - 50 * 2**20
    assert 10e6 < after < large - 50 * 2**20


def test_decodes_side_by_side_leave_one_host_and_of_many_codecs_the_last_six_stay(
    tmp_path: Path, clip: Sequence
) -> None:
    recipe = logged(tmp_path)
    encoded = coded(recipe, clip)
    with ExitStack() as stack:
        decoders = [stack.enter_context(decode(recipe, encoded.path, clip, point())) for _ in range(3)]
        for frames in zip(*decoders, strict=True):
            assert len(frames) == 3
    pids = {role: [int(line[2]) for line in notes(tmp_path) if line[:2] == ["load", role]] for role in ROLES}
    assert len(pids["decode"]) == 3
    assert sum(map(psutil.pid_exists, pids["decode"])) == 1
    # With its encoder and decoder these are seven: the encoder, which was used first, has to go.
    for number in range(1, 6):
        other = logged(tmp_path, f"load = 0.00{number}")
        coded(other, clip)
        (started,) = (int(line[2]) for line in notes(tmp_path) if line[0] == "load")
        pids["encode"].append(started)
    assert [psutil.pid_exists(pid) for pid in pids["encode"]] == [False, *[True] * 5]
    assert sum(map(psutil.pid_exists, pids["decode"])) == 1
    # One that is used again is the last to go.
    assert len(frames_of(recipe, encoded, clip)) == FRAMES
    coded(recipe, clip)
    assert [psutil.pid_exists(pid) for pid in pids["encode"]] == [False, False, *[True] * 4]
    assert sum(map(psutil.pid_exists, pids["decode"])) == 1


def test_a_host_that_cannot_start_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    before = psutil.Process().num_fds()
    # The error holds on to what the failed call had, so that no collector closes it.
    with pytest.raises(ProcessError, match="cannot start") as caught:
        Host("encode", 1)
    assert psutil.Process().num_fds() == before
    assert caught.tb is not None


def test_a_report_leaves_out_what_is_no_number(tmp_path: Path, clip: Sequence) -> None:
    recipe = python_recipe(tmp_path)
    told = report(recipe, coded(recipe, clip).path, timeout=30)
    assert told.values == {"tokens": 3}


def test_padding_depth_and_scaling_of_recipes_go_with_classes(tmp_path: Path, clip: Sequence) -> None:
    recipe = python_recipe(tmp_path, extra="size_multiple = 16\ncoded_bit_depth = 10\nscale = {divisor = 2}")
    encoded = coded(recipe, clip, 1)
    assert encoded.path.read_bytes().startswith(b"32 16 10 420 1 ")
    luma = frames_of(recipe, encoded, clip)[0][0]
    assert luma.shape == (27, 35)
    assert luma.dtype == np.uint8


def test_the_codec_check_takes_classes(tmp_path: Path) -> None:
    checked = check_codec(python_recipe(tmp_path))
    assert checked.deterministic
    # Quantised by 1 nothing is lost.
    assert checked.psnr_y == np.inf


def test_an_operating_point_out_of_range_never_starts_a_host(tmp_path: Path, clip: Sequence) -> None:
    recipe = logged(tmp_path)
    with pytest.raises(RequestError, match="has no q"):
        coded(recipe, clip, 99)
    assert notes(tmp_path) == []
