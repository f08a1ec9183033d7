"""Decoding by any codec: what is not all that was coded, or not said to be fine, is a failure."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import make_clip, run_ffmpeg
from sample_recipes import failing, point, script_recipe
from sample_streams import FRAMES, cut_clip, decoded_frames, source_frames, stream

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import MediaError, ProcessError, ShapeError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Sequence


@pytest.fixture
def clip() -> Sequence:
    return cut_clip()


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


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_a_complaint_at_the_beginning_counts_too(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    """Reference decoders have a line for every picture: what is shown of the log is its end."""
    frames = "pathlib.Path(sys.argv[2]).read_bytes()"
    write = f"sys.stdout.buffer.write({frames})" if stream == "stderr" else f"open(sys.argv[3], 'wb').write({frames})"
    words = (
        f'{write}; out = sys.{stream}; print("POC 0 MD5 mismatch", file=out); print("POC 1 fine\\n" * 9000, file=out)'
    )
    recipe = script_recipe(monkeypatch, tmp_path, failing(f"decode {words}"), extra="decode_errors = 'mismatch'")
    if stream == "stdout":
        recipe = replace(recipe, decode=(*recipe.decode, "{output}"))
    with pytest.raises(ProcessError, match="reports damage") as caught:
        decoded_frames(recipe, clip.path, clip)
    assert caught.value.got == "POC 0 MD5 mismatch"


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


def test_leaving_early_stops_the_decoder(clip: Sequence) -> None:
    recipe = load_recipe("x265")
    with decode(recipe, stream("x265").path, clip, point(recipe)) as decoder:
        next(iter(decoder))
    assert decoder.usage is None
    assert not any("-c:v" in child.cmdline() for child in psutil.Process(os.getpid()).children(recursive=True))


def test_decoding_tells_what_it_cost(clip: Sequence) -> None:
    recipe = load_recipe("vvenc")
    with decode(recipe, stream("vvenc").path, clip, point(recipe)) as decoder:
        assert len(list(decoder)) == FRAMES
    assert decoder.usage is not None
    assert 0 < decoder.usage.cpu_s < 30
    assert decoder.command[0] == str(ffmpeg_path())
    assert str(stream("vvenc").path) in decoder.command


def test_a_bitstream_that_is_not_there_is_said(clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe("x265")
    with pytest.raises(MediaError, match="no bitstream"), decode(recipe, tmp_path / "none", clip, point(recipe)):
        pass
