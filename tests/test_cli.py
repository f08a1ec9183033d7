"""The command line as a whole: start-up, help, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import click
import pytest
import typer
from conftest import make_clip, moving_frames
from typer.testing import CliRunner

import evalsuite
from evalsuite.cli.commands import app
from evalsuite.cli.output import parse_frame_rate
from evalsuite.errors import RequestError
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, VideoFormat

COMMANDS = (
    ["run"],
    ["measure"],
    ["bd"],
    ["gate"],
    ["report"],
    ["import"],
    ["doctor"],
    *([group, "list"] for group in ("codecs", "datasets", "metrics")),
    *([group, "show"] for group in ("codecs", "datasets", "metrics")),
    *([group] for group in ("codecs", "datasets", "metrics", "plan", "store", "study")),
    ["codecs", "check"],
    ["datasets", "fetch"],
    ["datasets", "verify"],
    ["datasets", "add"],
    ["study", "make"],
    ["study", "analyse"],
)


def run(*arguments: str, expect: int = 0, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_help_answers_at_once() -> None:
    # A ratio, since machines differ: the bar is 0.4 s where Python itself starts in 0.03 s.
    def best(*command: str) -> float:
        times = []
        for _ in range(5):
            started = time.monotonic()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            times.append(time.monotonic() - started)
        return min(times)

    assert best("-m", "evalsuite", "--help") < max(0.4, 12 * best("-c", "pass"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    text = run(*command, "--help").stdout
    assert "Example: evalsuite" in " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("module", ["evalsuite.cli.commands", "evalsuite.cli.bd", "evalsuite.report.build"])
def test_numbers_and_pages_never_import_torch(module: str) -> None:
    code = f"import {module}, sys; print([name for name in ('torch', 'lpips', 'torchvision') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_version() -> None:
    assert run("--version").stdout.strip() == evalsuite.__version__


def test_measure_prints_what_scripts_rely_on(tmp_path: Path) -> None:
    a = make_clip(tmp_path / "a.y4m", 160, 96, 3)
    b = make_clip(tmp_path / "b.y4m", 160, 96, 3, seed=5)
    csv = tmp_path / "frames.csv"
    done = run("measure", str(a), str(b), "--metrics", "psnr_y,ms_ssim,vmaf", "--json", "--per-frame", str(csv))
    document = json.loads(done.stdout)
    assert (document["schema"], document["frames"]) == (1, 3)
    psnr = document["scores"]["psnr_y"]
    assert (psnr["unit"], psnr["status"]) == ("dB", "ok")
    assert psnr["worst"] <= psnr["p5"] <= psnr["mean"]
    assert document["scores"]["ms_ssim"]["status"] == "too_small"
    assert "176" in document["scores"]["ms_ssim"]["reason"]
    header, *rows = csv.read_text().splitlines()
    assert header == "frame,psnr_y,vmaf"
    assert len(rows) == 3
    for given in (a, b):
        before = given.read_bytes()
        done = run("measure", str(a), str(b), "--metrics", "psnr_y", "--per-frame", str(given), expect=2)
        assert "this file is read, and would be replaced" in done.stderr
        assert given.read_bytes() == before


def test_measure_tells_identical_from_good(tmp_path: Path) -> None:
    a = make_clip(tmp_path / "a.y4m", 64, 48, 2)
    document = json.loads(run("measure", str(a), str(a), "--metrics", "psnr_y", "--json").stdout)
    assert document["scores"]["psnr_y"]["status"] == "infinite"
    assert "infinite" in run("measure", str(a), str(a), "--metrics", "psnr_y").stdout


def test_measure_names_what_has_no_score_by_reason(tmp_path: Path) -> None:
    a = make_clip(tmp_path / "a.y4m", 64, 48, 2)
    names = "psnr_y,token_rate,masked_share,ms_ssim,peak_kbps"
    done = run("measure", str(a), str(a), "--metrics", names, COLUMNS="80")
    scores, gaps = done.stdout.split("Without a score")
    assert [name for name in names.split(",") if name in scores] == ["psnr_y"]
    lines = " ".join(gaps.split())
    assert "token_rate, masked_share not applicable the codec reports no tokens" in lines
    assert "ms_ssim too small" in lines
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


@pytest.mark.parametrize("name", ["token_rate", "ms_ssim", "encode_fps"])
def test_measure_without_a_single_score_is_not_whole(tmp_path: Path, name: str) -> None:
    a = make_clip(tmp_path / "a.y4m", 64, 48, 2)
    assert run("measure", str(a), str(a), "--metrics", name, expect=3).returncode == 3


@pytest.mark.parametrize(
    ("frames", "size", "words"),
    [(2, (64, 48), "ends after 2 frames"), (4, (64, 48), "more frames"), (3, (62, 48), "differ in format")],
)
def test_trap09_measure_refuses_what_does_not_fit(
    tmp_path: Path, frames: int, size: tuple[int, int], words: str
) -> None:
    a = make_clip(tmp_path / "a.y4m", 64, 48, 3)
    b = make_clip(tmp_path / "b.y4m", *size, frames)
    assert words in run("measure", str(a), str(b), "--metrics", "psnr_y", expect=2).stderr


def test_measure_refuses_colours_that_contradict_each_other(tmp_path: Path) -> None:
    """The source's range would be taken for both, and every figure of RGB would be of other pictures."""
    format = VideoFormat(64, 48)
    for name, full in (("limited", False), ("full", True)):
        frames = moving_frames(format, 3)
        write_y4m(tmp_path / f"{name}.y4m", format, Fraction(25), frames, Colour("bt709", full_range=full))
    command = ("measure", str(tmp_path / "limited.y4m"), str(tmp_path / "full.y4m"), "--metrics", "psnr_rgb")
    assert "say that their colour differs" in run(*command, expect=2).stderr
    assert "infinite" in run(*command, "--range", "limited").stdout


def test_measure_refuses_files_that_are_not_video(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not a video")
    done = run("measure", str(text), str(text), expect=2)
    assert "a.txt" in done.stderr
    assert done.stdout == ""
    assert "cannot read" in run("measure", "none.y4m", "none.y4m", expect=2, cwd=tmp_path).stderr


def test_lists_are_json_with_the_promised_keys() -> None:
    for group in ("codecs", "datasets", "metrics"):
        entries = json.loads(run(group, "list", "--json").stdout)
        assert entries
        for entry in entries:
            assert {"name", "available", "needs", "version"} <= entry.keys()


def test_doctor_reports_every_part() -> None:
    document = json.loads(run("doctor", "--json").stdout)
    assert document["schema"] == 1
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["ffmpeg"]["status"] == "ok"
    assert {"codec x265", "codec vvenc", "cache"} <= checks.keys()
    assert all({"name", "status", "detail", "fix"} <= check.keys() for check in checks.values())


def test_metrics_show_explains(tmp_path: Path) -> None:
    text = run("metrics", "show", "lpips").stdout
    for word in ("definition", "lower is better", "Zhang", "traps"):
        assert word in text
    assert "did you mean lpips" in run("metrics", "show", "lpip", expect=2).stderr


def test_metrics_show_tells_machines_the_same() -> None:
    document = json.loads(run("metrics", "show", "lpips", "--json").stdout)
    assert (document["name"], document["higher_is_better"], document["range"]) == ("lpips", False, [0, None])
    assert "Zhang" in document["source"]
    assert document["bd_rate"] == "on the score"
    profile = json.loads(run("metrics", "show", "profile:sport", "--json").stdout)
    assert (profile["higher_is_better"], profile["range"]) == (True, [0, 100])
    assert "vmaf" in profile["formula"]


@pytest.mark.parametrize("command", [["metrics", "list"], ["codecs", "list"], ["datasets", "list"], ["doctor"]])
def test_tables_fit_80_columns(command: list[str]) -> None:
    lines = run(*command, COLUMNS="80").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    "command",
    [
        ["codecs", "show", "x265"],
        ["codecs", "show", "tvc"],
        ["metrics", "show", "vmaf"],
        ["metrics", "show", "profile:sport"],
    ],
    ids=" ".join,
)
def test_prose_fits_80_columns(command: list[str]) -> None:
    lines = run(*command).stdout.splitlines()
    # What is copied stays in one piece: the path of the recipe, and command lines.
    assert max(len(line) for line in lines if not re.match(r"  (recipe: +)?/", line)) <= 80


def test_the_formula_of_a_profile_fits_80_columns(tmp_path: Path) -> None:
    clip = str(make_clip(tmp_path / "a.y4m", 64, 48, 2))
    out = run("measure", clip, clip, "--metrics", "psnr_y", "--profile", "streaming").stdout
    assert "profile:streaming = " in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m evalsuite metrics list | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_terminal_without_our_signs_is_no_error() -> None:
    assert "vmaf" in run("metrics", "list", PYTHONIOENCODING="ascii").stdout


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    for name in ("a.y4m", "b.y4m"):
        (tmp_path / name).write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip C420\n")
    assert "no frame" in run("measure", "a.y4m", "b.y4m", "--metrics", "psnr_y", expect=2, cwd=tmp_path).stderr


def test_raw_files_need_size_and_rate(tmp_path: Path) -> None:
    done = run("measure", "a.yuv", "b.yuv", "--size", "64x48", expect=2, cwd=tmp_path)
    assert "half a geometry" in done.stderr


@pytest.mark.parametrize(
    "fps", ["0", "-25", "nan", "inf", "1/0", "1e400", "1e-400", "1e999999999", "9" * 400, "1/1001"]
)
def test_a_frame_rate_that_no_video_has_is_refused(fps: str) -> None:
    with pytest.raises(RequestError, match="--fps is no frame rate"):
        parse_frame_rate(fps)


@pytest.mark.parametrize(
    "command", [["measure", "a.yuv", "a.yuv"], ["import", "a.csv", "--format", "csv"]], ids="".join
)
def test_commands_refuse_such_a_frame_rate_at_once(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "a.csv").write_text("sequence,bpp,psnr_y\nbunny,0.1,30\n")
    done = run(*command, "--size", "64x48", "--fps", "1e999999999", expect=2, cwd=tmp_path)
    assert "--fps is no frame rate" in done.stderr


@pytest.mark.parametrize("content", ["n = " + "9" * 5000, "n = " + "[" * 5000])
def test_a_toml_file_beyond_all_measure_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "deep.toml").write_text(content)
    assert "not valid TOML" in run("datasets", "show", "deep.toml", expect=2, cwd=tmp_path).stderr


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


EVERY = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_says_all_of_what_is_written_for_it(path: tuple[str, ...]) -> None:
    # Words in square brackets would be taken as markup, and vanish.
    def squeezed(text: str) -> str:
        return re.sub(r"[\s│|]", "", text)

    shown = squeezed(CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "250"}).stdout)
    for parameter in EVERY[path].params:
        assert squeezed(getattr(parameter, "help", None) or "") in shown


@pytest.mark.parametrize("command", [("measure",), ("datasets", "add")])
def test_help_says_what_is_taken_where_nothing_is_said(command: tuple[str, ...]) -> None:
    text = " ".join(run(*command, "--help", COLUMNS="200").stdout.replace("│", " ").split())
    assert text.count("Default: as") >= 3


def test_a_wrong_profile_hides_no_metric(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text("x = [")
    assert any(one["name"] == "psnr_y" for one in json.loads(run("metrics", "list", "--json", cwd=tmp_path).stdout))
    listed = " ".join(run("metrics", "list", cwd=tmp_path).stdout.split())
    assert "mine cannot be used: the profile file is not valid TOML" in listed
    assert "streaming" in listed


def test_a_recipe_that_cannot_be_read_is_broken_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / "codecs" / "recipes").mkdir(parents=True)
    (tmp_path / "codecs" / "recipes" / "mine.toml").write_text("name = [")
    looked_at = json.loads(run("doctor", "--json", cwd=tmp_path).stdout)
    statuses = {one["name"]: one["status"] for one in looked_at["checks"]}
    assert statuses["codec mine"] == "broken"
    checked = json.loads(run("codecs", "check", "mine", "--json", cwd=tmp_path, expect=2).stdout)
    assert [row["status"] for row in checked["codecs"]] == ["failed"]
