"""Recipes made for tests: a codec that is a Python script, and the shipped ones with something changed."""

from __future__ import annotations

import hashlib
import os
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.sources.y4m import Y4MReader
from evalsuite.types import Colour, OperatingPoint, Sequence

STANDARD = ("kvazaar", "libaom", "rav1e", "svtav1", "vp9", "vvenc", "x264", "x265")
"""Encoders of a standard at full size: their streams can be judged by other parsers and decoders."""

SHIPPED = (*STANDARD[:4], "tvc", *STANDARD[4:], "x265:half")
"""All that runs with what the package brings, sorted by name."""

REFERENCE = ("ecm", "hm", "vtm")
"""Reference encoders, which have to be built."""

# A codec that keeps every sample: its stream is the source file.
STORING = """
import pathlib, sys
if sys.argv[1] == "encode":
    source, output = sys.argv[2:4]
    pathlib.Path(output).write_bytes(pathlib.Path(source).read_bytes())
elif sys.argv[1] == "decode":
    sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes())
else:
    print("storing codec 1.2.3")
"""

TEMPLATE = """
name = "{name}"
description = "a codec for tests"
container = "{container}"
extension = "bin"
formats = ["yuv420p"]
size_multiple = {size_multiple}
binary = "{program}"
preset = "none"
structure = "intra only"
rate_control = "other"
internal_bit_depth = 8
encode = ["{{binary}}", "encode", "{{input}}", "{{output}}", "{{q}}"]
decode = ["{{binary}}", "decode", "{{input}}"]
decoded = "y4m"
{extra}
version = ["{{binary}}", "version"]
version_pattern = 'codec (\\S+)'

[q]
min = 0
max = 50
step = 1
ladder = [10, 20, 30, 40, 50]
ladder_bpp = [0.64, 0.16, 0.04, 0.01, 0.0025]

[intra_period]
infinite = "-1"
"""


def script_recipe(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    script: str = STORING,
    *,
    name: str = "fake",
    container: str = "none",
    size_multiple: int = 1,
    extra: str = "",
) -> Recipe:
    """A recipe whose program is the Python script, found on PATH."""
    # Versions are remembered by command for the life of the process: each script has a name of its own.
    program = f"{name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    executable = folder / program
    executable.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    path = folder / f"{name}.toml"
    path.write_text(
        TEMPLATE.format(name=name, container=container, size_multiple=size_multiple, program=program, extra=extra),
        encoding="utf-8",
    )
    return load_recipe(str(path))


def scaled_recipe(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    script: str = STORING,
    *,
    scale: str = "{divisor = 2}",
    extra: str = "",
    size_multiple: int = 1,
) -> Recipe:
    """A recipe as `script_recipe` makes it, of 8 bit and of 10 bit 4:2:0, whose frames are scaled."""
    recipe = script_recipe(monkeypatch, folder, script, size_multiple=size_multiple, extra=f"scale = {scale}\n{extra}")
    path = recipe.path
    path.write_text(path.read_text().replace('["yuv420p"]', '["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le"]'))
    return load_recipe(str(path))


def edited(name: str, folder: Path, *changes: tuple[str, str]) -> Recipe:
    """A shipped recipe with pieces of its text replaced."""
    text = load_recipe(name).path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path))


def sequence_of(path: Path, frames: int) -> Sequence:
    """The sequence in a Y4M file."""
    reader = Y4MReader(path)
    return Sequence(
        name=path.stem,
        dataset="test",
        path=path,
        sha256="",
        format=reader.format,
        frame_rate=Fraction(reader.frame_rate),
        frames=frames,
        colour=Colour("bt709"),
    )


def point(recipe: Recipe, step: int = 1, intra_period: int = 32) -> OperatingPoint:
    """An operating point on the recipe's ladder."""
    return OperatingPoint(q=recipe.knob.ladder[step], intra_period=intra_period, threads=1)


def failing(what: str) -> str:
    """A script that encodes and decodes by copying, but for one of the two: `encode` or `decode`, then Python."""
    return f"""
import os, pathlib, subprocess, sys, time
if sys.argv[1] == {what.split()[0]!r}:
    {what.split(maxsplit=1)[1]}
elif sys.argv[1] == "encode":
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
elif sys.argv[1] == "decode":
    sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes())
"""
