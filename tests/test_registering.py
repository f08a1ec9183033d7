"""Files that have to be got in person: found in a folder, checked, pinned, and then used as any other."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import run_ffmpeg
from http_server import Server
from sample_archives import sha256
from sample_videos import known_frames
from typer.testing import CliRunner

from evalsuite.assets import LocalSource
from evalsuite.cli.datasets import app
from evalsuite.errors import AssetError, MediaError, RequestError
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.registering import expanded
from evalsuite.sources.y4m import join_planes, write_y4m
from evalsuite.types import VideoFormat

SMALL, DEEP = VideoFormat(64, 48), VideoFormat(32, 32, 10)
MANIFEST = """
version = "1"
description = "two sequences"
publication = "Nobody et al., 2026"
terms = "for tests only"
obtain = "Write to the publishers."
defaults.matrix = "bt709"
defaults.range = "limited"
defaults.licence = "as the terms say"
defaults.raw = true
defaults.pixel_format = "yuv420p10le"

sequences = [
    { name = "Walk", width = 64, height = 48, frame_rate = "25", frames = 8, files = ["Walk_64x48_25.yuv"], PLAIN },
    { name = "Night", width = 32, height = 32, frame_rate = "50", files = ["Night_v2.yuv"] },
]
""".replace("PLAIN", 'pixel_format = "yuv420p"')


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one dataset, and an empty cache."""
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here" / "datasets").mkdir(parents=True)
    (tmp_path / "here" / "datasets" / "set.toml").write_text(MANIFEST)
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder as people have it: other files beside those that are wanted, and folders within."""
    (tmp_path / "videos" / "readme.txt").write_text("...")
    (tmp_path / "videos" / "Other_64x48_25.yuv").write_bytes(raw(SMALL, 2))
    (tmp_path / "videos" / "deep" / "walk_64x48_25.YUV").write_bytes(raw(SMALL, 9))
    (tmp_path / "videos" / "Night_v2.yuv").write_bytes(raw(DEEP, 5))
    return tmp_path / "videos"


def raw(format: VideoFormat, frames: int) -> bytes:
    return b"".join(map(join_planes, known_frames(format, frames)))


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def register(folder: Path, code: int = 0) -> dict[str, dict[str, Any]]:
    """The rows of `add FOLDER --for set --json`, by name."""
    return {row["name"]: row for row in json.loads(run("add", folder, "--for", "set", "--json", code=code).stdout)}


def test_a_folder_is_registered_and_the_dataset_then_works(videos: Path) -> None:
    with pytest.raises(AssetError, match="not on this machine") as caught:
        prepare(load_dataset("set").sequences[0])
    assert "Write to the publishers. Then: evalsuite datasets add FOLDER --for set" in str(caught.value.fix)
    rows = register(videos)
    assert {name: (row["status"], Path(row["file"]).name) for name, row in rows.items()} == {
        "Walk": ("ok", "walk_64x48_25.YUV"),
        "Night": ("ok", "Night_v2.yuv"),
    }
    walk, night = (prepare(entry) for entry in load_dataset("set").sequences)
    assert (walk.format, walk.frames, walk.frame_rate) == (SMALL, 8, 25)  # of the nine that the file has
    assert (night.format, night.frames, night.frame_rate) == (DEEP, 5, 50)
    pinned = {one["name"]: one for one in tomllib.loads(Path("datasets/set.lock").read_text())["sequences"]}
    assert pinned["Walk"]["sources"][0]["sha256"] == sha256(raw(SMALL, 9))
    assert pinned["Walk"]["sha256"] == walk.sha256
    assert pinned["Night"]["frames"] == 5
    assert {row["status"] for row in json.loads(run("verify", "set", "--json").stdout)} == {"ok"}


def test_show_says_how_to_get_it_and_list_what_is_missing(videos: Path) -> None:
    shown = run("show", "set").stdout
    for part in ("Nobody et al., 2026", "for tests only", "Write to the publishers.", " all "):
        assert part in shown.replace("\n", " ")
    row = next(one for one in json.loads(run("list", "--json").stdout) if one["name"] == "set")
    assert "2 of 2 sequences in person" in row["needs"]
    register(videos)
    row = next(one for one in json.loads(run("list", "--json").stdout) if one["name"] == "set")
    assert (row["needs"], row["available"]) == ("", True)


def test_a_file_that_changes_afterwards_is_refused(videos: Path) -> None:
    register(videos)
    (videos / "Night_v2.yuv").write_bytes(raw(DEEP, 5)[::-1])
    with pytest.raises(AssetError, match="not the expected one") as caught:
        prepare(load_dataset("set").sequences[1])
    for part in (sha256(raw(DEEP, 5)), sha256(raw(DEEP, 5)[::-1]), "set.lock"):
        assert part in str(caught.value)
    assert "damaged: Night" in run("verify", "set", code=3).stdout
    # To register the other content is no way around it either.
    night = register(videos, code=3)["Night"]
    assert "not what it was when it was pinned" in night["problem"]


def test_a_folder_that_has_moved_is_registered_again(videos: Path, tmp_path: Path) -> None:
    register(videos)
    moved = videos.rename(tmp_path / "moved")
    with pytest.raises(AssetError, match="cannot be read"):
        prepare(load_dataset("set").sequences[0])
    register(moved)
    assert prepare(load_dataset("set").sequences[0]).frames == 8


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("Walk_64x48_25.yuv", raw(SMALL, 7), "7 frames"),
        ("Walk_64x48_25.yuv", raw(SMALL, 16), "twice as long"),
        ("Walk_64x48_25.yuv", raw(SMALL, 8)[:-1], "whole number of frames"),
        ("Walk_64x48_25.y4m", b"YUV4MPEG2 W64 H48 F30:1 Ip\n", "holds no frame"),
        ("Walk_64x48_25.mp4", b"no video", "not a video"),
    ],
)
def test_a_file_that_cannot_be_it_is_refused(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    (tmp_path / "videos" / name).write_bytes(data)
    row = register(tmp_path / "videos", code=3)["Walk"]
    assert row["status"] == "refused"
    assert expected in row["problem"]
    assert not Path("datasets/set.lock").exists()


def test_a_name_that_says_otherwise_is_refused(tmp_path: Path, here: Path) -> None:
    manifest = here / "datasets" / "set.toml"
    manifest.write_text(manifest.read_text().replace("Night_v2.yuv", "Night_32x32_50_8bit.yuv"))
    (tmp_path / "videos" / "Night_32x32_50_8bit.yuv").write_bytes(raw(DEEP, 5))
    row = register(tmp_path / "videos", code=3)["Night"]
    assert "another bit depth" in row["problem"]


def test_two_files_of_one_name_are_not_chosen_between(videos: Path) -> None:
    (videos / "Walk_64x48_25.yuv").write_bytes(raw(SMALL, 8))
    row = register(videos, code=3)["Walk"]
    assert "more than one file" in row["problem"]


def test_a_container_of_the_same_frames_will_do(videos: Path, tmp_path: Path) -> None:
    write_y4m(tmp_path / "walk.y4m", SMALL, Fraction(25), known_frames(SMALL, 8))
    run_ffmpeg("-i", tmp_path / "walk.y4m", "-c:v", "ffv1", videos / "walk.mkv")
    (videos / "deep" / "walk_64x48_25.YUV").unlink()
    assert register(videos)["Walk"]["file"].endswith("walk.mkv")  # found by the name of the sequence
    assert prepare(load_dataset("set").sequences[0]).frames == 8


def test_part_of_a_folder_is_enough(videos: Path) -> None:
    (videos / "Night_v2.yuv").unlink()
    result = run("add", videos, "--for", "set")
    assert "1 of 2 sequences have their file" in result.stderr
    assert "not in the folder: Night" in result.stderr
    result = run("fetch", "set", code=3)
    assert "1 of 2: Walk" in result.stderr or "1 of 1: Walk" in result.stderr
    assert "1 of 2 sequences have to be got in person: Write to the publishers." in result.stderr


def test_a_file_that_is_named_twice_is_one(videos: Path) -> None:
    files = expanded([videos])
    assert len(files) == len(set(files)) > 1
    assert expanded([videos, files[1], videos / "." / files[0].name, videos]) == files
    assert expanded([files[1], videos]) == [files[1], *(one for one in files if one != files[1])]


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path, videos: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(videos, odd)
    assert (
        "refused: Night: the path cannot be written down: it is not UTF-8"
        in run("add", odd, "--for", "set", code=3).output
    )
    assert {row["status"] for row in register(odd, code=3).values()} == {"refused"}
    with pytest.raises(RequestError, match="not UTF-8") as caught:
        run("add", odd / "Night_v2.yuv", "--name", "x", "--size", "32x32", "--fps", "25")
    assert "caf\ufffd" in str(caught.value)
    assert not Path("datasets/x.toml").exists()


def test_requests_that_make_no_sense(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, expected in (
        ([tmp_path / "empty", "--for", "set"], "holds no video file"),
        ([videos, "--for", "demo"], "nothing to register"),
        ([videos, "--for", "sett"], "unknown dataset"),
        ([videos], "say what the files are"),
        ([videos, "--name", "one", "--for", "set"], "say what the files are"),
    ):
        with pytest.raises(RequestError, match=expected):
            run("add", *arguments)
    assert "0 of 2" in run("add", videos / "Other_64x48_25.yuv", "--for", "set", code=3).stderr


class TestFolders:
    def test_a_folder_of_raw_files_becomes_a_dataset(self, videos: Path) -> None:
        (videos / "Night_v2.yuv").rename(videos / "Night_32x32_50fps_10bit_420.yuv")
        run("add", videos, "--name", "mine", "--tag", "test")
        found = {one.name: one for one in map(prepare, load_dataset("mine").sequences)}
        assert {name: (one.format, one.frame_rate, one.frames) for name, one in found.items()} == {
            "Other_64x48_25": (SMALL, 25, 2),
            "walk_64x48_25": (SMALL, 25, 9),
            "Night_32x32_50fps_10bit_420": (DEEP, 50, 5),
        }

    def test_a_name_without_a_geometry_or_a_wrong_one_is_refused(self, videos: Path) -> None:
        with pytest.raises(MediaError, match="does not say its size"):
            run("add", videos, "--name", "mine")
        (videos / "Night_v2.yuv").rename(videos / "Night_32x32_50.yuv")
        (videos / "Night_32x32_50.yuv").write_bytes(raw(DEEP, 5)[:-1])
        with pytest.raises(MediaError, match="contradict each other"):
            run("add", videos, "--name", "mine")
        assert not Path("datasets/mine.toml").exists()


def test_a_copy_at_hand_saves_fetching(server: Server, tmp_path: Path, here: Path) -> None:
    url = server.add("/Walk.yuv", raw(SMALL, 8))
    line = 'files = ["Walk_64x48_25.yuv"]'
    manifest = here / "datasets" / "set.toml"
    manifest.write_text(manifest.read_text().replace(line, f'sources = [{{ url = "{url}" }}]'))
    (tmp_path / "videos" / "walk.yuv").write_bytes(raw(SMALL, 8))
    register(tmp_path / "videos")
    assert prepare(load_dataset("set").sequences[0]).frames == 8
    assert server.asked["/Walk.yuv"] == 0
    (tmp_path / "videos" / "walk.yuv").unlink()
    for path in (tmp_path / "cache" / "sequences").iterdir():
        path.unlink()
    assert prepare(load_dataset("set").sequences[0]).frames == 8
    assert server.asked["/Walk.yuv"] == 1


def test_a_registered_file_that_is_gone_is_missing_though_its_frames_are_here(videos: Path) -> None:
    register(videos)
    dataset = load_dataset("set")
    for entry in dataset.sequences:
        prepare(entry)
    gone = next(source.path for source in dataset.sequences[0].sources if isinstance(source, LocalSource))
    gone.unlink()
    result = run("verify", "set", code=3)
    assert f"missing: {dataset.sequences[0].name} {gone}" in result.stdout
    assert "evalsuite datasets add FOLDER --for set" in result.stderr
    assert "fetch" not in result.stderr


def test_what_was_never_registered_is_not_to_be_fetched() -> None:
    result = run("verify", "set", code=3)
    assert "not registered: Night" in result.stdout
    assert "evalsuite datasets add FOLDER --for set" in result.stderr
    assert "fetch" not in result.stderr
