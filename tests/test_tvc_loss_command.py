"""`tvc decode --lost`: frames and marks as from Python, and wrong lists refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tvc_losses import delivered, stream, without
from tvc_samples import one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader
from tvc.parts import placed


def _run(weights: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tvc", *map(str, arguments), "--weights", str(weights)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, check=False, timeout=300, env=environment)
    assert done.returncode == code, done.stderr.decode()
    return done


def test_the_command_marks_frames(weights, model, tmp_path):
    data = stream(model, 32)
    second = list(placed(Reader(data)))[1]
    lost = [(second.discrete, second.end)]
    (tmp_path / "in.tvc").write_bytes(without(data, lost))
    (tmp_path / "lost").write_text(f"{lost[0][0]} {lost[0][1]}\n", encoding="ascii")
    (tmp_path / "none").write_text("", encoding="ascii")
    written = _run(weights, "decode", tmp_path / "in.tvc", "-", "--lost", tmp_path / "lost", "--threads", 1).stdout
    header = written[: written.index(b"\n") + 1]
    assert header.startswith(b"YUV4MPEG2 W48 H32 F25:1 ")
    size = 48 * 32 * 3 // 2
    expected, marks = delivered(data, lost, model)
    position = len(header)
    for frame, concealed in zip(expected, marks, strict=True):
        line = b"FRAME Xconcealed\n" if concealed else b"FRAME\n"
        planes = b"".join(plane.tobytes() for plane in frame)
        assert written[position : position + len(line) + size] == line + planes
        position += len(line) + size
    assert position == len(written)
    raw = tmp_path / "out.yuv"
    _run(weights, "decode", tmp_path / "in.tvc", raw, "--lost", tmp_path / "lost", "--start", 6, "--frames", 5)
    assert raw.read_bytes() == b"".join(plane.tobytes() for frame in expected[6:11] for plane in frame)
    _run(weights, "decode", tmp_path / "in.tvc", raw, "--lost", tmp_path / "lost", "--conceal", "predict")
    predicted = tvc.receive(without(data, lost), lost, conceal="predict", model=model)
    assert raw.read_bytes() == b"".join(plane.tobytes() for frame, _ in predicted for plane in frame)
    (tmp_path / "whole.tvc").write_bytes(data)
    plain = _run(weights, "decode", tmp_path / "whole.tvc", "-").stdout
    assert _run(weights, "decode", tmp_path / "whole.tvc", "-", "--lost", tmp_path / "none").stdout == plain


def test_the_command_refuses_wrong_lists(weights, model, tmp_path):
    data = stream(model, 32)
    (tmp_path / "in.tvc").write_bytes(data)
    (tmp_path / "damaged.tvc").write_bytes(without(data, [(2, 9)]))
    for name, text, message in (
        ("in", "12\n", b"line 1"),
        ("in", f"0 {len(data) + 1}\n", b"not one of this file"),
        ("in", "0 4\n", b"was lost"),
        ("damaged", "", b"not a tvc bitstream"),
    ):
        (tmp_path / "lost").write_text(text, encoding="ascii")
        done = _run(weights, "decode", tmp_path / f"{name}.tvc", "-", "--lost", tmp_path / "lost", code=2)
        assert message in done.stderr
        assert done.stderr.startswith(b"error: ")
        assert b"Traceback" not in done.stderr
        assert not done.stdout
    assert b"cannot be read" in _run(weights, "decode", tmp_path / "in.tvc", "-", "--lost", "missing", code=2).stderr
