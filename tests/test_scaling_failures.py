"""Scaled coding when something goes wrong: errors come through as themselves, and nothing is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from conftest import make_clip
from sample_recipes import STORING, point, scaled_recipe, sequence_of

from evalsuite.codec.decoder import Decoder, decode
from evalsuite.codec.run import encode
from evalsuite.errors import ProcessError, ShapeError
from evalsuite.types import Sequence


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test ends with the processes and threads that it began with."""
    before, older = set(threading.enumerate()), psutil.Process(os.getpid()).children()
    yield
    children = set(psutil.Process(os.getpid()).children()) - set(older)
    assert [child for child in children if child.status() != psutil.STATUS_ZOMBIE] == []
    # A timer that was cancelled in this moment needs a moment to end.
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=2)
        assert not thread.is_alive()


def test_a_shorter_source_never_reaches_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    path = make_clip(tmp_path / "clip.y4m", 64, 48, 3)
    for frames, data in ((4, path.read_bytes()), (3, path.read_bytes()[:-10])):
        path.write_bytes(data)
        with pytest.raises(ShapeError, match="another number of frames"):
            encode(recipe, sequence_of(path, frames), point(recipe), tmp_path / "out" / "s.bin")
        assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def clip(tmp_path: Path) -> Sequence:
    return sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, 12), 12)


def misbehaving(what: str) -> str:
    return f"""
import os, pathlib, sys, time
if sys.argv[1] == "encode":
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
elif sys.argv[1] == "decode":
    data, out = pathlib.Path(sys.argv[2]).read_bytes(), sys.stdout.buffer
    frame = 6 + 32 * 24 * 3 // 2
    {what}
"""


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("out.write(data); sys.exit(3)", ProcessError, "exited with code 3"),
        ('out.write(data[:-100]); sys.exit("died")', ProcessError, "exited with code 1"),
        ("out.write(data[:-100])", ProcessError, "else than whole frames"),
        ("out.write(data[:-frame])", ShapeError, "another number of frames than the source"),
        ("out.write(data + data[-frame:])", ShapeError, "another number of frames than the source"),
        ('out.write(data.replace(b" W32 ", b" W16 "))', ShapeError, "another size"),
        ('out.write(data); print("concealing errors", file=sys.stderr)', ProcessError, "reports damage"),
        ("out.write(data[:-frame]); out.flush(); time.sleep(300)", ProcessError, "ran longer than 2 s"),
        ("time.sleep(300)", ProcessError, "ran longer than 2 s"),
        ("pass", ShapeError, "another number of frames than the source"),
    ],
)
def test_what_is_wrong_with_the_decoder_comes_through_as_itself(
    what: str, kind: type[Exception], message: str, clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path, misbehaving(what), extra="decode_errors = 'conceal'")
    encoded = encode(recipe, clip, point(recipe), tmp_path / "s.bin")
    decoder = decode(recipe, encoded.path, clip, point(recipe), timeout=2)
    with pytest.raises(kind, match=message), decoder:
        list(decoder)
    assert decoder.usage is None


def scaler() -> psutil.Process:
    """The FFmpeg process that scales."""
    children = [one for one in psutil.Process(os.getpid()).children() if one.status() != psutil.STATUS_ZOMBIE]
    (found,) = (child for child in children if "zscale" in " ".join(child.cmdline()))
    return found


def after_two_frames(decoder: Decoder, act: Callable[[], None]) -> None:
    """Take all frames, and do something in between."""
    for index, _ in enumerate(decoder):
        if index == 1:
            act()


def test_leaving_early_stops_decoder_and_scaler(
    clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = misbehaving("[(out.write(data[:-6 * frame]), out.flush()), time.sleep(300)]")
    for name, script in (("quick", STORING), ("slow", slow)):
        (tmp_path / name).mkdir()
        recipe = scaled_recipe(monkeypatch, tmp_path / name, script)
        encoded = encode(recipe, clip, point(recipe), tmp_path / "s.bin")
        started = time.monotonic()
        with decode(recipe, encoded.path, clip, point(recipe)) as decoder:
            next(iter(decoder))
            # The quick one may be done with so few frames before anybody looks.
            assert name == "quick" or scaler().is_running()
        assert decoder.usage is None
        assert time.monotonic() - started < 20


def test_a_reader_that_raises_leaves_nothing(clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    encoded = encode(recipe, clip, point(recipe), tmp_path / "s.bin")

    def refuse() -> None:
        raise KeyError

    decoder = decode(recipe, encoded.path, clip, point(recipe))
    with pytest.raises(KeyError), decoder:
        after_two_frames(decoder, refuse)
    with decode(recipe, encoded.path, clip, point(recipe)):
        pass


def test_a_scaler_that_dies_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 640, 480, 60), 60)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    decoder = decode(recipe, encoded.path, sequence, point(recipe), timeout=30)
    with pytest.raises(ProcessError, match="killed by signal 9"), decoder:
        after_two_frames(decoder, lambda: scaler().kill())


def test_a_scaler_that_hangs_is_killed_but_a_slow_reader_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 640, 480, 40), 40)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    with decode(recipe, encoded.path, sequence, point(recipe), timeout=2) as decoder:
        after_two_frames(decoder, lambda: time.sleep(2.5))
    assert decoder.usage is not None
    hung = decode(recipe, encoded.path, sequence, point(recipe), timeout=2)
    with pytest.raises(ProcessError, match="ran longer than 2 s"), hung:
        after_two_frames(hung, lambda: scaler().suspend())
