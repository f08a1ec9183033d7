"""`evalsuite codecs`: what each subcommand prints and exits with."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sample_recipes import REFERENCE, STANDARD, edited, script_recipe
from toy_codec import install
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.codec.recipe import load_recipe
from evalsuite.ffmpeg import ffmpeg_path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with a place for recipes."""
    recipes = tmp_path / "here" / "codecs" / "recipes"
    recipes.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return recipes


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["codecs", *arguments])
    assert result.exit_code == code, result.output
    return result


def document(*arguments: str, code: int = 0) -> Any:
    """What `--json` prints: nothing but one document on stdout."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_every_command_has_an_example_in_its_help() -> None:
    for command in ("list", "show", "check"):
        assert f"Example: evalsuite codecs {command}" in " ".join(run(command, "--help").output.split())


def test_list_names_every_shipped_codec_with_its_version() -> None:
    rows = {row["name"]: row for row in document("list")}
    assert set(rows) == {*STANDARD, *REFERENCE, "tvc"}
    for name, row in rows.items():
        assert row["q"]["min"] <= row["q"]["ladder"][0] < row["q"]["ladder"][-1] <= row["q"]["max"]
        if name in REFERENCE and not row["available"]:
            assert f"EVALSUITE_{name.upper()}" in row["needs"]
            continue
        assert row["available"] is True
        assert row["needs"] == ""
        assert row["version"] == load_recipe(name).version()
    shown = run("list").stdout
    assert all(name in shown for name in rows)
    assert max(map(len, shown.splitlines())) <= 80


def test_list_says_what_a_codec_needs_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = script_recipe(monkeypatch, folder, name="absent")
    (folder / recipe.binary).unlink()
    (folder / "broken.toml").write_text("name = 3")
    rows = {row["name"]: row for row in document("list")}
    assert rows["absent"]["available"] is False
    assert recipe.binary in rows["absent"]["needs"]
    assert "put it on PATH or set EVALSUITE_ABSENT" in rows["absent"]["needs"]
    assert rows["broken"]["available"] is False
    assert "`container` is missing" in rows["broken"]["needs"]
    assert rows["x265"]["available"] is True
    assert "absent" in run("list").stdout


def test_a_recipe_of_the_folder_wins_over_the_shipped_one(folder: Path) -> None:
    edited("x265", folder, ('preset = "slow"', 'preset = "mine"'))
    assert {row["name"]: row for row in document("list")}["x265"]["preset"] == "mine"


def test_show_prints_the_command_lines_that_are_run() -> None:
    shown = run("show", "vp9").stdout
    lines = [line.strip() for line in shown.splitlines() if line.strip().startswith(str(ffmpeg_path()))]
    recipe = load_recipe("vp9")
    commands = [recipe.first_pass, recipe.encode, recipe.decode, recipe.version_command]
    assert [tuple(shlex.split(line)[1:]) for line in lines] == [command[1:] for command in commands]
    told = document("show", "vp9")
    assert told["commands"]["encode"][0] == str(ffmpeg_path())
    assert told["schema"] == 1
    assert "two passes" in shown.lower()


def test_show_tells_scaling_and_the_report_command() -> None:
    half = document("show", "x265:half")
    assert half["scale"] == {"divisor": 2, "filter": "lanczos"}
    assert "1/2 of width and height" in run("show", "x265:half").stdout
    tvc = document("show", "tvc")
    assert (tvc["scale"], tvc["check_psnr_y"]) == (None, 18)
    assert tvc["commands"]["info"][1:] == ["info", "{input}", "--json", "--threads", "1"]
    assert "full size" in run("show", "tvc").stdout


def test_show_works_where_the_program_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = script_recipe(monkeypatch, folder, name="absent")
    (folder / recipe.binary).unlink()
    told = document("show", "absent")
    assert told["available"] is False
    assert told["commands"]["encode"][0] == "{binary}"


def test_an_unknown_codec_is_a_wrong_request_with_a_near_miss() -> None:
    result = run("show", "x256", code=2)
    assert "unknown codec" in result.stderr
    assert "x265" in result.stderr
    assert result.stdout == ""


def test_check_encodes_and_decodes() -> None:
    told = document("check", "x264", "svtav1")
    assert [row["status"] for row in told["codecs"]] == ["ok", "ok"]
    for row in told["codecs"]:
        assert row["psnr_y"] > 35
        assert 500 < row["bytes"] < 8 * 176 * 144
        assert row["notes"] == []
    assert "x264" in run("check", "x264").stdout


def test_check_all_takes_every_codec() -> None:
    missing = {row["name"] for row in document("list") if not row["available"]}
    told = document("check", "all")
    assert [row["name"] for row in told["codecs"]] == sorted([*STANDARD, *REFERENCE, "tvc"])
    assert {row["name"] for row in told["codecs"] if row["status"] == "missing"} == missing
    assert {row["name"] for row in told["codecs"] if row["status"] == "ok"} == {*STANDARD, "tvc", *REFERENCE} - missing


def test_check_all_fails_for_a_recipe_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = script_recipe(monkeypatch, folder, name="absent")
    (folder / absent.binary).unlink()
    monkeypatch.setattr("evalsuite.codec.recipe.available", lambda: ["absent"])
    assert document("check", "all")["codecs"][0]["status"] == "missing"
    (folder / "broken.toml").write_text("name = 3")
    (folder / "based.toml").write_text('base = "nowhere"\nname = "based"')
    monkeypatch.setattr("evalsuite.codec.recipe.available", lambda: ["absent", "based", "broken"])
    told = document("check", "all", code=2)["codecs"]
    assert [row["status"] for row in told] == ["missing", "failed", "failed"]


def test_check_of_a_missing_program_ends_with_2_and_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, folder, name="absent")
    (folder / recipe.binary).unlink()
    result = run("check", "absent", "x264", code=2)
    assert f"the program {recipe.binary} is not on this machine" in result.stderr
    assert "EVALSUITE_ABSENT" in result.stderr
    assert "ok" in result.stdout  # x264 was checked nevertheless
    assert "1 of 2 work" in result.stderr


def test_check_notices_frames_that_are_not_the_sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A codec that gives the negative back: everything runs, and nothing is right.
    script = """
import pathlib, sys
if sys.argv[1] == "encode": pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
elif sys.argv[1] == "decode":
    header, *frames = pathlib.Path(sys.argv[2]).read_bytes().split(b"FRAME\\n")
    table = bytes(255 - value for value in range(256))
    sys.stdout.buffer.write(header + b"".join(b"FRAME\\n" + frame.translate(table) for frame in frames))
else: print("codec 1")
"""
    script_recipe(monkeypatch, folder, script, name="negative")
    assert "is not what it encoded" in run("check", "negative", code=2).stderr


@pytest.fixture
def toy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy codec among the recipes of the folder."""
    for name, value in install(folder.parents[1]).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("fault", "got"),
    [
        ("late", "on the whole, a frame is nearer to the source frame before it"),
        ("early", "on the whole, a frame is nearer to the source frame after it"),
        ("swap", "on the whole, a frame is nearer to its own source frame with Cb and Cr swapped"),
        ("exchange", "frame 3 is nearer to the source frame after it"),
    ],
)
@pytest.mark.parametrize("floor", [30, 10])
def test_check_notices_misplaced_frames_whatever_quality_is_expected(
    floor: int, fault: str, got: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "toy.toml"
    path.write_text(f"check_psnr_y = {floor}\n{path.read_text()}")
    assert run("check", "toy").exit_code == 0
    monkeypatch.setenv("TOY_FAULT", fault)
    said = run("check", "toy", code=2).stderr
    assert "what toy decodes is not what it encoded" in said
    assert f"got: {got}" in said


@pytest.mark.usefixtures("toy")
def test_check_expects_the_quality_that_the_recipe_states(folder: Path) -> None:
    # At q 48 the toy codec keeps 2 bits of a sample. Errors of up to 32 that are evenly spread have a mean square of
    # 64² / 12, which is 22.8 dB.
    path = folder / "toy.toml"
    coarse = path.read_text().replace("ladder = [8, 14, 20, 26, 32]", "ladder = [48, 48.5, 49, 50, 51]")
    path.write_text(coarse)
    said = run("check", "toy", code=2).stderr
    assert "PSNR-Y of at least 30 dB at q 48" in said
    path.write_text(f"check_psnr_y = 20\n{coarse}")
    (row,) = document("check", "toy")["codecs"]
    assert row["psnr_y"] == pytest.approx(22.8, abs=1)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("exit@8", "first encode"),
        ("fail@8", "decode"),
        ("drop@8", "decode"),
        ("exit@32", "encode at the lowest quality"),
    ],
)
def test_check_says_which_step_failed(fault: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_FAULT", fault)
    assert run("check", "toy", code=2).stderr.startswith(f"toy: {step}: ")
    assert document("check", "toy", code=2)["codecs"][0]["needs"].startswith(f"{step}: ")


def test_check_says_that_only_the_second_encode_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import pathlib, sys
if sys.argv[1] == "encode":
    seen = pathlib.Path(__file__).with_suffix(".seen")
    if seen.exists(): sys.exit("not twice")
    seen.touch()
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
else: print("codec 1")
"""
    script_recipe(monkeypatch, folder, script, name="once")
    assert run("check", "once", code=2).stderr.startswith("once: second encode: ")


def test_check_remarks_on_sei_and_on_bytes_that_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited("x264", folder, ('"-bsf:v", "filter_units=remove_types=6", ', ""))
    assert document("check", "x264")["codecs"][0]["notes"] == ["the stream holds SEI"]
    script = """
import pathlib, sys, time
if sys.argv[1] == "encode":
    padding = bytes(100 - int(sys.argv[4])) + str(time.time_ns()).encode()
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes() + padding)
elif sys.argv[1] == "decode":
    data = pathlib.Path(sys.argv[2]).read_bytes()
    sys.stdout.buffer.write(data[: data.index(b"\\n") + 1 + 8 * (6 + 176 * 144 * 3 // 2)])
else: print("codec 1")
"""
    script_recipe(monkeypatch, folder, script, name="clock")
    assert document("check", "clock")["codecs"][0]["notes"] == ["two encodes gave different bytes"]


def test_check_notices_a_q_that_does_nothing(folder: Path) -> None:
    edited("x264", folder, ('"-crf", "{q}"', '"-crf", "30", "-metadata", "q={q}"'))
    assert "a higher q gives x264 no lower rate" in run("check", "x264", code=2).stderr


def test_the_worked_example_of_the_docs_works(folder: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "codecs.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (folder / "vp8.toml").write_text(example, encoding="utf-8")
    (row,) = document("check", "vp8")["codecs"]
    assert (row["status"], row["notes"]) == ("ok", [])


def test_show_lists_the_variants_and_takes_them_behind_the_name() -> None:
    told = document("show", "x264:fast:10bit")
    assert (told["name"], told["preset"], told["internal_bit_depth"]) == ("x264:fast:10bit", "faster", 10)
    assert list(told["variants"]) == ["fast", "slow", "lowdelay", "10bit", "half", "quarter"]
    assert told["variants"]["half"] == "at half width and height"
    shown = run("show", "x264").stdout
    assert all(f"{name}:" in shown and text in shown for name, text in told["variants"].items())
    assert document("show", "x264:lowdelay")["delay"] == 0
    assert "no variant 'fats'" in run("show", "x264:fats", code=2).stderr


def test_check_takes_the_variants_where_it_is_told_to() -> None:
    told = document("check", "x264", "svtav1:fast", "--variants")
    expected = ["x264", *(f"x264:{name}" for name in document("show", "x264")["variants"]), "svtav1:fast"]
    assert [row["name"] for row in told["codecs"]] == expected
    failed = [row["name"] for row in told["codecs"] if row["status"] != "ok"]
    assert failed == []
