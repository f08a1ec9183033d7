"""The manifests of the field's standard sets: complete, and consistent with the names of their files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from evalsuite.assets import ArchiveSource, UrlSource
from evalsuite.sources.dataset import load_dataset
from evalsuite.sources.filenames import parse_name
from evalsuite.sources.manifest import SequenceEntry

SETS = ("uvg", "uvg-4k", "mcl-jcv", "jvet-ctc", "xiph", "aom-ctc", "bvi-dvc")
TO_BE_REGISTERED = ("uvg-4k", "mcl-jcv", "jvet-ctc", "bvi-dvc")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock file of whoever runs the tests, and nothing in the cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))


def entries(name: str) -> dict[str, SequenceEntry]:
    return {entry.name: entry for entry in load_dataset(name).sequences}


def file_names(entry: SequenceEntry) -> list[str]:
    """What the sequence's file is called, as far as the manifest knows."""
    found = list(entry.files)
    for source in entry.sources:
        assert isinstance(source, UrlSource | ArchiveSource)
        found.append(Path(source.path if isinstance(source, ArchiveSource) else source.url).name)
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_set_says_where_it_comes_from_and_under_what_terms(name: str) -> None:
    dataset = load_dataset(name)
    assert dataset.publication
    assert dataset.terms
    assert bool(dataset.obtain) == (name in TO_BE_REGISTERED)
    assert Path(dataset.path).read_text(encoding="utf-8").startswith("# ")  # where the facts come from
    for entry in dataset.sequences:
        assert entry.licence
        assert bool(entry.sources) == (name not in TO_BE_REGISTERED)
        assert file_names(entry)
        assert entry.lock == Path.cwd() / "datasets" / f"{name}.lock"


@pytest.mark.parametrize("name", SETS)
def test_no_manifest_contradicts_the_names_of_its_files(name: str) -> None:
    for entry in entries(name).values():
        for file in file_names(entry):
            named = parse_name(file)
            said = (named.width, named.height, named.bit_depth, named.chroma)
            stated = (entry.format.width, entry.format.height, entry.format.bit_depth, entry.format.chroma)
            samples_known = (True, True, entry.samples_known, entry.samples_known)
            for one, other, known in zip(said, stated, samples_known, strict=True):
                assert not known or one in (None, other), file
            assert None in (named.frame_rate, entry.frame_rate) or named.frame_rate == entry.frame_rate, file


@pytest.mark.parametrize("name", SETS)
def test_no_file_could_be_two_sequences(name: str) -> None:
    names = [file.casefold() for entry in entries(name).values() for file in file_names(entry)]
    assert len(names) == len(set(names))


def test_uvg_is_what_papers_mean_by_it() -> None:
    found = entries("uvg")
    assert list(found) == ["Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySteadyGo", "ShakeNDry", "YachtRide"]
    assert sum(entry.frames or 0 for entry in found.values()) == 6 * 600 + 300
    for entry in found.values():
        assert (str(entry.format), entry.frame_rate) == ("1920x1080 yuv420p", 120)
        assert entry.sources[0].size == (entry.frames or 0) * 3_110_400
    assert len(entries("uvg-4k")) == 16


def test_mcl_jcv_has_thirty_of_five_seconds() -> None:
    found = entries("mcl-jcv")
    assert list(found) == [f"videoSRC{number:02}" for number in range(1, 31)]
    assert all(entry.frames == 5 * (entry.frame_rate or 0) for entry in found.values())
    rates = [entry.frame_rate for entry in found.values()]
    assert [rates.count(Fraction(rate)) for rate in (24, 25, 30)] == [7, 7, 16]


@pytest.mark.parametrize(
    ("tag", "names", "size"),
    [
        ("class-A1", {"Tango2", "FoodMarket4", "Campfire"}, (3840, 2160)),
        ("class-A2", {"CatRobot", "DaylightRoad2", "ParkRunning3"}, (3840, 2160)),
        ("class-B", {"MarketPlace", "RitualDance", "Cactus", "BasketballDrive", "BQTerrace"}, (1920, 1080)),
        ("class-C", {"RaceHorsesC", "BQMall", "PartyScene", "BasketballDrill"}, (832, 480)),
        ("class-D", {"RaceHorses", "BQSquare", "BlowingBubbles", "BasketballPass"}, (416, 240)),
        ("class-E", {"FourPeople", "Johnny", "KristenAndSara"}, (1280, 720)),
        ("class-F", {"BasketballDrillText", "ArenaOfValor", "SlideEditing", "SlideShow"}, None),
        ("hevc-class-A", {"Traffic", "PeopleOnStreet", "NebutaFestival", "SteamLocomotiveTrain"}, (2560, 1600)),
        ("hevc-class-B", {"Kimono", "ParkScene", "Cactus", "BasketballDrive", "BQTerrace"}, (1920, 1080)),
        ("hevc-class-F", {"BasketballDrillText", "ChinaSpeed", "SlideEditing", "SlideShow"}, None),
    ],
)
def test_the_classes_of_jvet(tag: str, names: set[str], size: tuple[int, int] | None) -> None:
    found = {name: entry for name, entry in entries("jvet-ctc").items() if tag in entry.tags}
    assert set(found) == names
    assert size is None or {(one.format.width, one.format.height) for one in found.values()} == {size}
    deep = {"class-A1", "class-A2"}
    if tag in deep:
        assert {entry.format.bit_depth for entry in found.values()} == {10}


def test_the_classes_of_the_aom() -> None:
    found = entries("aom-ctc")
    sizes = {"class-A1": (3840, 2160), "class-A3": (1280, 720), "class-A4": (640, 360)}
    for tag, size in sizes.items():
        assert {(e.format.width, e.format.height) for e in found.values() if tag in e.tags} == {size}
    counts = {
        f"class-{name}": sum(f"class-{name}" in e.tags for e in found.values()) for name in ("A1", "A3", "A4", "A5")
    }
    assert counts == {"class-A1": 8, "class-A3": 8, "class-A4": 6, "class-A5": 4}


def test_bvi_dvc_has_each_name_at_four_sizes() -> None:
    found = entries("bvi-dvc")
    assert len(found) == 4 * 175
    for name, entry in found.items():
        assert {f"{letter}{name[1:]}" for letter in "ABCD"} <= found.keys()
        assert (entry.frames, entry.format.bit_depth) == (64, 10)
        assert entry.format.width == {"A": 3840, "B": 1920, "C": 960, "D": 480}[name[0]]


def test_derfs_collection_is_a_good_selection() -> None:
    found = entries("xiph")
    for tag, at_least in (("qcif", 10), ("cif", 25), ("720p", 10), ("1080p", 20)):
        assert sum(tag in entry.tags for entry in found.values()) >= at_least
    assert {entry.colour.matrix for entry in found.values() if "cif" in entry.tags} == {"bt601"}
    assert {entry.colour.matrix for entry in found.values() if "1080p" in entry.tags} == {"bt709"}
