"""What tests share: golden data, made-up video, and the pinned ffmpeg."""

from __future__ import annotations

import os

# As workers have them; read when the libraries are loaded. Several threads on small frames wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from http_server import Server, running_server
from hypothesis import settings
from report_browser import Tab, launched, silent_tabs
from typer.testing import CliRunner

from evalsuite import download
from evalsuite.cli.bd import bd
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Chroma, Colour, Frame, VideoFormat

# How long an example takes says more of the machine than of the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright."""
    with launched() as chromium:
        yield chromium


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Makes tabs of the browser, as `report_browser.silent_tabs` does."""
    with silent_tabs(browser) as make:
        yield make


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server of this machine, which does what it is told to."""
    with running_server() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder to stand in, with a folder for datasets and an empty cache; downloads are soon tried again."""
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    (tmp_path / "here" / "datasets").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a tiny model of tvc."""
    from tvc_samples import tiny_weights  # takes PyTorch along

    path = tmp_path_factory.mktemp("tvc") / "tiny.safetensors"
    tiny_weights(path)
    return path


@pytest.fixture(scope="module")
def model(weights: Path) -> Any:
    """The tiny model of tvc."""
    from tvc.weights import load

    return load(weights)


@pytest.fixture
def golden() -> Path:
    """The folder of reference data that nobody in this project made."""
    if not GOLDEN.is_dir():
        pytest.skip("golden data is not here (../shared/golden)")
    return GOLDEN


def moving_frames(format: VideoFormat, count: int, seed: int = 0) -> Iterator[Frame]:
    """Frames with texture, edges and motion: a stand-in where any content will do."""
    rng = np.random.default_rng(seed)
    peak = (1 << format.bit_depth) - 1
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    tile = rng.random((64, 64))
    for index in range(count):
        planes = []
        for plane, (height, width) in enumerate(format.plane_shapes):
            rows, columns = np.mgrid[:height, :width]
            smooth = 0.5 + 0.3 * np.sin((columns + 2 * index) / 9 + plane) * np.cos(rows / 7)
            texture = tile[(rows + index) % 64, (columns + 2 * index) % 64]
            planes.append(np.clip((0.75 * smooth + 0.25 * texture) * peak, 0, peak).astype(dtype))
        yield tuple(planes)


def make_clip(
    path: Path, width: int, height: int, frames: int, *, bit_depth: int = 8, chroma: Chroma = "420", seed: int = 0
) -> Path:
    """A Y4M file of moving frames at 25 frames per second, limited range."""
    format = VideoFormat(width, height, bit_depth, chroma)
    write_y4m(path, format, Fraction(25), moving_frames(format, frames, seed), Colour("bt709"))
    return path


def run_ffmpeg(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """Standard output of the pinned ffmpeg: another implementation to compare with."""
    command = [str(ffmpeg_path()), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.fixture
def run_bd(tmp_path: Path) -> Callable[..., str]:
    """`evalsuite bd` on two CSVs given as text: its standard output."""
    app = typer.Typer()
    app.command()(bd)

    def run(anchor: str, test: str, *options: str) -> str:
        paths = [tmp_path / "anchor.csv", tmp_path / "test.csv"]
        for path, text in zip(paths, (anchor, test), strict=True):
            path.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(app, [*map(str, paths), *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run
