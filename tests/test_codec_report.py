"""What a codec tells about a bitstream: numbers from one JSON object, or a clear failure."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from conftest import make_clip
from sample_recipes import point, script_recipe, sequence_of

from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.report import LARGEST_BYTES, report
from evalsuite.codec.run import encode
from evalsuite.errors import EvalError, MediaError, ProcessError
from evalsuite.types import Packet, Part

INFO = 'info = ["{binary}", "info", "{input}"]'


@pytest.fixture
def bitstream(tmp_path: Path) -> Path:
    path = tmp_path / "a stream.bin"
    path.write_bytes(bytes(123))
    return path


def telling(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> Recipe:
    return script_recipe(monkeypatch, folder, f"import json, os, pathlib, subprocess, sys, time\n{code}", extra=INFO)


def test_finite_numbers_are_told_and_nothing_else(
    bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = (
        '"schema": 1, "rate": 2.5, "negative": -1e-3, "yes": true, "no": false, "text": "3", "none": null, '
        '"list": [1], "table": {"a": 1}, "nan": NaN, "inf": Infinity, "large": 1e999, "huge": 1' + "0" * 400
    )
    recipe = telling(
        monkeypatch,
        tmp_path,
        f"size = pathlib.Path(sys.argv[2]).stat().st_size\nprint('''{{{members}, \"bytes\": %d}}''' % size)",
    )
    assert report(recipe, bitstream, timeout=20).values == {"schema": 1, "rate": 2.5, "negative": -0.001, "bytes": 123}


def test_packets_are_told_in_two_lists(bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = telling(monkeypatch, tmp_path, 'print(\'{"packet_bytes": [100, 23], "packet_frames": [4, 1]}\')')
    told = report(recipe, bitstream, timeout=20)
    assert told.packets == (Packet(100, 4), Packet(23, 1))
    assert told.values == {}


@pytest.mark.parametrize(
    "lists",
    [
        {"packet_bytes": [1]},
        {"packet_bytes": [1, 2], "packet_frames": [1]},
        {"packet_bytes": [-1], "packet_frames": [1]},
        {"packet_bytes": [1], "packet_frames": [0]},
        {"packet_bytes": [1.5], "packet_frames": [1]},
        {"packet_bytes": [True], "packet_frames": [1]},
        {"packet_bytes": 3, "packet_frames": 3},
    ],
)
def test_packets_that_are_none_are_refused(
    bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: dict[str, object]
) -> None:
    recipe = telling(monkeypatch, tmp_path, f"print(json.dumps({lists!r}))")
    with pytest.raises(MediaError, match="cannot be read"):
        report(recipe, bitstream, timeout=20)


def test_parts_cover_the_file_in_its_order(bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = bitstream.stat().st_size
    parts = [{"offset": 0, "bytes": 1, "class": "header"}, {"offset": 1, "bytes": size - 1, "class": "tokens"}]
    recipe = telling(monkeypatch, tmp_path, f"print(json.dumps({{'parts': {parts!r}}}))")
    assert report(recipe, bitstream, timeout=20).parts == (Part(1, "header"), Part(size - 1, "tokens"))


@pytest.mark.parametrize(
    "parts",
    [
        "all",
        [1],
        [{"offset": 0, "bytes": 1}],
        [{"offset": 0, "bytes": 1, "class": "header"}],  # not all of the file
        [{"offset": 1, "bytes": 2, "class": "header"}],
        [{"offset": 0, "bytes": 0, "class": "header"}],
        [{"offset": 0, "bytes": 1.5, "class": "header"}],
        [{"offset": 0, "bytes": 1, "class": 7}],
    ],
)
def test_parts_that_are_none_are_refused(
    bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: object
) -> None:
    recipe = telling(monkeypatch, tmp_path, f"print(json.dumps({{'parts': {parts!r}}}))")
    with pytest.raises(MediaError, match="cannot be read"):
        report(recipe, bitstream, timeout=20)


def test_a_recipe_without_info_reports_nothing(bitstream: Path) -> None:
    assert report(load_recipe("x265"), bitstream, timeout=20).values == {}


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "print('tokens: 3')",
        "print('[1, 2]')",
        "print('3')",
        'print(\'{"a": 1} {"b": 2}\')',
        "print('{\"a\": 1')",
        "sys.stdout.buffer.write(bytes([0xff, 0xfe, 0x80]))",
        "print('[' * 200000)",
        f"print(json.dumps({{'a': 'x' * {LARGEST_BYTES}}}))",
        "print('{\"a\": ' + '9' * 10000 + '}')",
    ],
)
def test_what_is_not_one_json_object_is_a_failure(
    code: str, bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = telling(monkeypatch, tmp_path, code)
    with pytest.raises(MediaError, match="the report of fake on a bitstream cannot be read") as caught:
        report(recipe, bitstream, timeout=20)
    assert caught.value.expected == "one JSON object on stdout"
    assert caught.value.where == recipe.path
    assert len(str(caught.value)) < 2000


def test_a_failing_command_is_a_failure_with_its_last_words(
    bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = telling(monkeypatch, tmp_path, 'print(\'{"a": 1}\')\nsys.exit("not a stream of mine")')
    with pytest.raises(ProcessError, match="exited with code 1") as caught:
        report(recipe, bitstream, timeout=20)
    assert caught.value.stderr_tail == "not a stream of mine"
    assert caught.value.command[1:] == ("info", str(bitstream))


@pytest.mark.parametrize("output", ["", "os.close(1)", "while True: print('x' * 1000)"])
def test_a_command_that_does_not_end_is_killed_with_its_children(
    output: str, bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    code = f"""
child = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL)
pathlib.Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
{output}
time.sleep(300)
"""
    recipe = telling(monkeypatch, tmp_path, code)
    started = time.monotonic()
    with pytest.raises(EvalError, match=r"killed with its process group|cannot be read"):
        report(recipe, bitstream, timeout=2)
    assert time.monotonic() - started < 20
    time.sleep(0.2)
    for pid in map(int, pids.read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_missing_bitstream_or_program_is_said(
    bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = telling(monkeypatch, tmp_path, "print('{}')")
    with pytest.raises(MediaError, match="no bitstream to report on"):
        report(recipe, tmp_path / "none", timeout=20)
    (tmp_path / recipe.binary).unlink()
    with pytest.raises(ProcessError, match="is not on this machine"):
        report(recipe, bitstream, timeout=20)


def test_tvc_tells_its_tokens(tmp_path: Path) -> None:
    recipe = load_recipe("tvc")
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 60, 60, 5), 5)
    encoded = encode(recipe, sequence, point(recipe, 2, -1), tmp_path / "s.tvc", timeout=120)
    told = report(recipe, encoded.path, timeout=120).values
    # Coded at 1.75 times its size: one token for every 16x16 block of 105x105, rounded, and slot of four frames.
    assert told["tokens"] == 49 * 2
    assert told["tokens_per_frame"] == pytest.approx(49 * 2 / 5)
    assert told["token_rate"] == pytest.approx(49 * 2 / 5 * 25)
    assert told["bytes"] == encoded.file_bytes
