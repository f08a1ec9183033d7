"""`evalsuite datasets describe`: what it prints and exits with."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from evalsuite.cli.describe import describe_dataset
from evalsuite.engine.content import fetch_detector
from evalsuite.errors import AssetError
from evalsuite.files import sha256_of
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import VideoFormat

FORMAT = VideoFormat(64, 48)
FRAMES = [
    tuple(np.full(shape, level if plane == 0 else 128, np.uint8) for plane, shape in enumerate(FORMAT.plane_shapes))
    for level in (40, 40, 40, 200, 200)
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A sequence with a cut, and one that is not on this machine."""
    try:
        fetch_detector()
    except AssetError as error:
        pytest.skip(f"the face detector cannot be had: {error.what}")
    write_y4m(tmp_path / "cut.y4m", FORMAT, Fraction(25), FRAMES)
    digest = sha256_of(tmp_path / "cut.y4m")
    lines = ['version = "1"', 'description = "made up"']
    for name in ("cut", "gone"):
        lines += [
            *("[[sequences]]", f'name = "{name}"', "width = 64", "height = 48", 'frame_rate = "25"', "frames = 5"),
            *('matrix = "bt601"', 'range = "full"', 'tags = ["grey"]', 'licence = "CC0-1.0"', f'sha256 = "{digest}"'),
            *("[[sequences.sources]]", f'path = "{name}.y4m"', f'sha256 = "{digest}"'),
        ]
    (tmp_path / "made.toml").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "made.toml"


def run(*arguments: str, code: int) -> Result:
    app = typer.Typer()
    app.command()(describe_dataset)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_the_table_has_what_was_found_and_what_cannot_be_read_is_told(dataset: Path) -> None:
    told = run(str(dataset), code=3)
    rows = [line.split() for line in told.stdout.splitlines()]
    # SI, TI, its median, cuts, noise, share of frames with faces, most faces.
    assert ["cut", "0.0", "0.0", "0.0", "1", "0.0", "0%", "0"] in rows
    assert ["gone", *"–––––––"] in rows
    assert "cut: cuts, low-motion" in told.stdout.splitlines()
    assert "1 of 2: cut" in told.stderr
    assert "\ngone: " in told.stderr


def test_json_has_the_numbers(dataset: Path) -> None:
    cut, gone = json.loads(run(str(dataset), "--json", code=3).stdout)
    assert (cut["name"], cut["tags"], cut["cuts"], cut["traits"]) == ("cut", ["grey"], [3], ["cuts", "low-motion"])
    assert (cut["faces_share"], cut["faces_most"], cut["noise"], cut["reason"]) == (0.0, 0, 0.0, "")
    assert (gone["si"], gone["cuts"], gone["traits"]) == (None, None, [])
    assert gone["reason"]


def test_all_that_can_be_read_is_success(dataset: Path) -> None:
    whole = dataset.with_name("whole.toml")
    text = dataset.read_text(encoding="utf-8")
    whole.write_text(text[: text.rindex("[[sequences]]")], encoding="utf-8")
    assert "gone" not in run(str(whole), code=0).output


def test_its_help_has_an_example() -> None:
    assert "Example: evalsuite datasets describe demo" in run("--help", code=0).output
