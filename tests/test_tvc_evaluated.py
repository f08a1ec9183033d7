"""What the suite's datasets score is not trained on, and nothing else is refused."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tvc.training.evaluated import evaluated, title

_DATASETS = Path(__file__).parent.parent / "datasets"
_PACKAGED = ("demo", "registry")
_LISTED: dict[str, Any] = json.loads(files("tvc.training").joinpath("evaluated.json").read_text())


def _sequences(name: str) -> list[dict[str, Any]]:
    sequences: list[dict[str, Any]] = tomllib.loads((_DATASETS / f"{name}.toml").read_text())["sequences"]
    return sequences


def _files(sequence: dict[str, Any]) -> list[str]:
    sources = sequence.get("sources", [])
    return [*sequence.get("files", []), *(one[key] for one in sources for key in ("url", "path") if key in one)]


def _published() -> list[str]:
    return sorted(path.stem for path in _DATASETS.glob("*.toml") if path.stem not in _PACKAGED)


def test_the_list_is_that_of_the_datasets() -> None:
    for name in _published():
        told = [one for sequence in _sequences(name) for one in (sequence["name"], *_files(sequence))]
        assert _LISTED["titles"][name] == sorted({title(Path(one).stem)[0] for one in told})
    assert sorted(_LISTED["titles"]) == _published()
    packaged = [sequence for name in _PACKAGED for sequence in _sequences(name)]
    sources = [one["sources"][0] for one in packaged if one["name"] not in _LISTED["trained_on"]]
    listed = {(one["package"], one["file"], one["sha256"]) for one in _LISTED["archived"]}
    assert listed == {(one["package"], Path(one["path"]).name, one["sha256"]) for one in sources}
    assert set(_LISTED["trained_on"]) <= {one["name"] for one in packaged}


def test_every_sequence_is_refused_by_the_name_of_its_file() -> None:
    for name in _published():
        for sequence in _sequences(name):
            for told in _files(sequence):
                assert evaluated("clips/a.mp4", f"somewhere {told}", ""), told


@pytest.mark.parametrize("name", _PACKAGED)
def test_files_of_packages_are_refused_by_name_and_by_digest(name: str) -> None:
    for sequence in _sequences(name):
        (source,) = sequence["sources"]
        told = f"{source['package']}=={source['version']} {source['path']} (t=2s, 4s)"
        refused = sequence["name"] not in _LISTED["trained_on"]
        assert (evaluated("clips/a.mp4", told, "") is not None) == refused
        assert (evaluated("clips/a.mp4", "elsewhere b.mp4", source["sha256"]) is not None) == refused


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("clips/foreman_cif.y4m", "a mirror"),
        ("clips/a.mp4", "media.xiph.org foreman_qcif.y4m"),
        ("clips/Beauty_1920x1080.y4m", "somewhere"),
        ("clips/a.mp4", "UVG Beauty"),
        ("clips/old_town_cross_1080p50.y4m", "somewhere"),
        ("clips/a.mp4", "a mirror of cityCC0.mpg"),
        ("clips/bbb_1.mp4", "somewhere"),
    ],
)
def test_other_names_of_evaluated_sequences_are_refused(file: str, source: str) -> None:
    assert evaluated(file, source, "") is not None


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("clips/a.mp4", "owner/repository@12bbb45678 a.mp4"),
        ("clips/a.mp4", "owner/bikes@123 assets/road.mp4"),
        ("clips/a.mp4", "owner/videos@123 motorbikes.mp4"),
        ("clips/city.mp4", "owner/videos@123 assets/city.mp4"),
        ("clips/demo.mp4", "owner/videos@123 demo.mp4"),
        ("photos/blue-sky.jpg", "Debian wallpapers==1 blue-sky.jpg"),
        ("clips/city_walk_1080p30.mp4", "owner/videos@123 city_walk_1080p30.mp4"),
    ],
)
def test_innocent_files_are_taken(file: str, source: str) -> None:
    assert evaluated(file, source, "") is None
