"""Which sequences are meant: names, files, tags and what is measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.choice import choose
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import MediaError, RequestError
from evalsuite.files import sha256_of
from evalsuite.sources.tags import Stated
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import VideoFormat

FORMAT = VideoFormat(40, 24, chroma="400")
TAGS = {"still": ["night", "faces"], "grainy": ["night"], "cut": ["faces", "day"], "plain": []}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sequences of six frames: one that stands still, one with noise, one with a cut, one of a single colour."""
    folder = tmp_path_factory.mktemp("choice")
    rng = np.random.default_rng(0)
    frames = {
        "still": [np.tile(np.arange(40, dtype=np.uint8) * 4, (24, 1))] * 6,
        "grainy": [np.rint(rng.normal(120, 6, (24, 40))).astype(np.uint8) for _ in range(6)],
        "cut": [np.full((24, 40), level, np.uint8) for level in (40, 40, 40, 200, 200, 200)],
        "plain": [np.full((24, 40), 90, np.uint8)] * 6,
    }
    lines = ['version = "1"', 'description = "made up"']
    for name, planes in frames.items():
        path = folder / f"{name}.y4m"
        write_y4m(path, FORMAT, Fraction(25), [(plane,) for plane in planes])
        lines += [
            *("[[sequences]]", f'name = "{name}"', "width = 40", "height = 24", 'frame_rate = "25"', "frames = 6"),
            *('pixel_format = "gray"', 'matrix = "bt601"', 'range = "limited"', f"tags = {TAGS[name]}"),
            *('licence = "CC0-1.0"', f'sha256 = "{sha256_of(path)}"'),
            *("[[sequences.sources]]", f'path = "{path.name}"', f'sha256 = "{sha256_of(path)}"'),
        ]
    (folder / "made.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "made.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))


def names(dataset: Path, *wanted: str, frames: int | None = None) -> list[str]:
    features = FeatureCache(dataset.parent / "features")
    found = choose(wanted, str(dataset), geometry=None, stated=Stated(), frames=frames, features=features)
    return [sequence.name for sequence in found]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], ["still", "grainy", "cut", "plain"]),
        (["plain", "still"], ["plain", "still"]),
        (["tag:faces"], ["still", "cut"]),
        (["tag:faces+night"], ["still"]),
        (["tag:faces+tag:night"], ["still"]),
        (["tag: faces + night"], ["still"]),
        (["tag:day", "tag:night"], ["cut", "still", "grainy"]),
        (["tag:faces", "tag:night"], ["still", "cut", "grainy"]),
        (["tag:faces", "plain", "cut"], ["plain", "cut", "still"]),
        (["trait:cuts"], ["cut"]),
        (["trait:noisy"], ["grainy"]),
        (["tag:night+trait:low-motion"], ["still"]),
        (["trait:low-motion+tag:faces"], ["still", "cut"]),
        (["trait:low-motion+cuts"], ["cut"]),
    ],
)
def test_what_is_meant(dataset: Path, wanted: list[str], expected: list[str]) -> None:
    assert names(dataset, *wanted) == expected


def test_a_trait_is_of_the_frames_that_are_used(dataset: Path) -> None:
    assert names(dataset, "trait:cuts", frames=4) == ["cut"]
    with pytest.raises(RequestError, match="no sequence of the dataset made is trait:cuts"):
        names(dataset, "trait:cuts", frames=3)


def test_files_stand_first_and_a_file_may_be_called_like_a_choice(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("own.y4m", "tag:faces"):
        write_y4m(tmp_path / name, FORMAT, Fraction(25), [(np.full((24, 40), 50, np.uint8),)])
    assert names(dataset, "tag:day", "own.y4m") == ["own", "cut"]
    assert names(dataset, "tag:faces") == ["tag_faces"]


def test_a_choice_is_no_path(dataset: Path) -> None:
    # A word with a dot or a slash looks like one.
    with pytest.raises(RequestError, match=r"there is no tag 'a/b\.c'"):
        names(dataset, "tag:a/b.c")


@pytest.mark.parametrize(
    ("wanted", "what", "expected", "fix"),
    [
        ("tag:face", "there is no tag 'face' of the dataset made", "one of day, faces, night", "did you mean faces?"),
        ("tag:faces+snow", "there is no tag 'snow'", "one of day, faces, night", "known: day, faces, night"),
        ("trait:noise", "there is no trait 'noise'", "cuts, detailed, faces, high-motion", "did you mean noisy?"),
        ("tag:day+night", "no sequence of the dataset made is tag:day+night", "every condition", "datasets show made"),
        ("tag:day+trait:noisy", "is tag:day+trait:noisy", "every condition", "datasets describe made"),
        ("tag:", "does not say which sequences", "tag:faces+night", None),
        ("tag:faces+", "does not say which sequences", "tag:faces+night", None),
        ("tag:faces+size:720p", "does not say which sequences", "tag:faces+night", None),
    ],
)
def test_a_choice_of_none_is_refused_with_what_there_is(
    dataset: Path, wanted: str, what: str, expected: str, fix: str | None
) -> None:
    with pytest.raises(RequestError) as caught:
        names(dataset, wanted)
    assert what in caught.value.what
    assert expected in str(caught.value.expected)
    assert fix is None or fix in str(caught.value.fix)


def test_a_dataset_without_tags_says_so(dataset: Path, tmp_path: Path) -> None:
    untagged = tmp_path / "untagged.toml"
    lines = (line for line in dataset.read_text(encoding="utf-8").splitlines() if not line.startswith("tags"))
    untagged.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        names(untagged, "tag:faces")
    assert "but there are none" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        (["plane"], "neither a file nor a sequence of the dataset made"),
        (["still", "still"], "two sequences have the same name: still"),
        (["./none.y4m"], "none.y4m"),
    ],
)
def test_names_that_are_nothing_or_there_twice_are_refused(dataset: Path, wanted: list[str], what: str) -> None:
    with pytest.raises(Exception, match=what):
        names(dataset, *wanted)


def test_one_content_in_two_colours_is_refused(dataset: Path) -> None:
    """What is known of frames is filed by what they are: in another colour they would take each other's scores."""
    text = dataset.read_text(encoding="utf-8")
    entry = next(part for part in text.split("[[sequences]]") if 'name = "still"' in part)
    for name, full in (("again", False), ("full", True)):
        other = entry.replace('name = "still"', f'name = "{name}"')
        text += f"\n[[sequences]]{other.replace('limited', 'full') if full else other}"
    changed = dataset.with_name("colours.toml")
    changed.write_text(text, encoding="utf-8")
    assert names(changed, "still", "again") == ["still", "again"]
    with pytest.raises(RequestError, match="in other colours: still and full"):
        names(changed, "still", "full")


PIECES = ["tag:", "trait:", "night", "day", "cuts", "noisy", "+", ":", " ", "/."]
MEANT = {"night": {"still", "grainy"}, "day": {"cut"}, "cuts": {"cut"}, "noisy": {"grainy"}}


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_any_text_is_what_all_its_words_mean_or_a_refusal(dataset: Path, text: str) -> None:
    wanted = f"tag:{text}"
    try:
        found = names(dataset, wanted)
    except RequestError:
        return
    words = [part.rpartition(":")[2].strip() for part in wanted.split("+")]
    assert set(found) == set.intersection(*(MEANT[word] for word in words))


def test_a_sequence_with_a_dot_in_its_name_can_be_named(dataset: Path, tmp_path: Path) -> None:
    dotted = dataset.parent / "dotted.toml"
    text = dataset.read_text(encoding="utf-8")
    dotted.write_text(text.replace('name = "still"', 'name = "talk.v1"'), encoding="utf-8")
    assert names(dotted, "talk.v1") == ["talk.v1"]
    with pytest.raises(MediaError, match="talk"):
        names(dotted, "talk.v2")
