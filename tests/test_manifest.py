"""Dataset manifests: what a right one means, and that every mistake in a wrong one is named."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_videos import known_frames, manifest

from evalsuite.assets import ArchiveSource, LocalSource, PackageSource, UrlSource
from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.sources.dataset import load_dataset
from evalsuite.sources.manifest import SequenceEntry, parse_manifest
from evalsuite.sources.y4m import Geometry, write_y4m
from evalsuite.types import Colour, VideoFormat

SHA = "0" * 64
KEYS = st.sampled_from(
    [
        *("version", "sequences", "name", "width", "frames", "sources", "raw", "filter", "pixel_format", "transfer"),
        *("primaries", "mastering_display", "content_light", "red", "max_cll_cd_m2"),
    ]
)


@pytest.fixture
def y4m(tmp_path: Path) -> Path:
    format = VideoFormat(64, 48)
    path = tmp_path / "noise.y4m"
    write_y4m(path, format, Fraction(25), known_frames(format, 8))
    return path


def test_the_three_kinds_of_source(tmp_path: Path) -> None:
    data = {
        "version": "1",
        "sequences": [
            {
                "name": "one",
                "width": 16,
                "height": 16,
                "frame_rate": 25,
                "frames": 2,
                "matrix": "bt709",
                "range": "full",
                "licence": "CC0-1.0",
                "sources": [
                    {"path": "../videos/one.y4m", "sha256": SHA},
                    {"url": "https://host/one.y4m", "sha256": SHA, "size": 5},
                    {
                        "package": "videos",
                        "version": "1.0",
                        "archive": "videos-1.0.tar.gz",
                        "archive_sha256": SHA,
                        "path": "videos-1.0/one.y4m",
                        "sha256": SHA,
                    },
                ],
            }
        ],
    }
    dataset = parse_manifest(data, tmp_path / "datasets" / "some.toml")
    local, url, package = dataset.sequences[0].sources
    assert dataset.name == "some"
    assert local == LocalSource(tmp_path / "videos" / "one.y4m", SHA)
    assert url == UrlSource("https://host/one.y4m", SHA, 5)
    assert isinstance(package, PackageSource)
    assert dataset.sequences[0].colour == Colour("bt709", full_range=True)
    assert dataset.sequences[0].frame_rate == 25


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", None, "`name` is missing"),
        ("name", '"../evil"', "`name` is not valid"),
        ("name", "7", "`name` is not valid"),
        ("width", None, "`width` is missing"),
        ("width", "0", "`width` is not valid"),
        ("width", "true", "`width` is not valid"),
        ("width", "1e9", "`width` is not valid"),
        ("height", "999999", "`height` is not valid"),
        ("frame_rate", "29.97", "`frame_rate` is not valid"),
        ("frame_rate", '"30/0"', "`frame_rate` is not valid"),
        ("frame_rate", '"1e999999999"', "`frame_rate` is not valid"),
        ("frame_rate", '"-25"', "`frame_rate` is not valid"),
        ("frames", "0", "`frames` is not valid"),
        ("start", "-1", "`start` is not valid"),
        ("matrix", None, "`matrix` is missing"),
        ("matrix", '"bt2020c"', "`matrix` is not valid"),
        ("transfer", '"smpte2084"', "`transfer` is not valid"),
        ("primaries", '"bt2021"', "`primaries` is not valid"),
        ("pixel_format", '"nv12"', "`pixel_format` is not valid"),
        ("raw", '{ width = 64, height = 48, frame_rate = 25, pixel_format = "rgb24" }', "`pixel_format` is not valid"),
        ("mastering_display", "{ red = [0.7] }", "`red` is not valid"),
        ("mastering_display", "{ red = [0.7, 1.1] }", "`red` is not valid"),
        ("mastering_display", "{ rad = [0.7, 0.3] }", "`rad` is unknown"),
        ("mastering_display", "{ luminance_cd_m2 = [0, 20000] }", "`luminance_cd_m2` is not valid"),
        ("content_light", "{ max_cll_cd_m2 = 1000 }", "`max_fall_cd_m2` is missing"),
        ("content_light", "{ max_cll_cd_m2 = 1000.5, max_fall_cd_m2 = 1 }", "`max_cll_cd_m2` is not valid"),
        ("range", '"tv"', "`range` is not valid"),
        ("tags", '"noise"', "`tags` is not valid"),
        ("tags", "[1]", "`tags` is not valid"),
        ("licence", None, "`licence` is missing"),
        ("licence", '" "', "`licence` is not valid"),
        ("sha256", '"abc"', "`sha256` is not valid"),
        ("filter", '"movie=/etc/passwd"', "`filter` is not valid"),
        ("filter", '"scale=64:48,negate"', "`filter` is not valid"),
        ("filter", '"crop=64:48:1:0"', "`filter` is not valid"),
        ("filter", '"scale=32:24"', "another size"),
        ("raw", '"yes"', "`raw` is not valid"),
        ("raw", "{ width = 64 }", "`height` is missing"),
        ("lisence", '"CC0"', "`lisence` is unknown"),
        ("source_sha256", None, "`sha256` is missing"),
        ("source_sha256", '"ABC"', "`sha256` is not valid"),
        ("source_size", "0", "`size` is not valid"),
        ("source_path", None, "does not say where"),
        ("source_url", '"ftp://host/x"', "`url` is not valid"),
        ("source_package", '"videos"', "`version` is missing"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, y4m: Path, field: str, value: str | None, expected: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(expected)) as caught:
        load_dataset(str(manifest(tmp_path, y4m, **{field: value})))
    message = str(caught.value)
    assert "mine.toml" in message
    assert "noise" in message or field == "name"


def test_a_misspelt_field_suggests_the_right_one(tmp_path: Path, y4m: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_dataset(str(manifest(tmp_path, y4m, lisence='"CC0"')))
    assert "licence" in str(caught.value.fix)


def minimal(**changes: Any) -> dict[str, Any]:
    """A manifest of one sequence as little as can be; `changes` are of the sequence."""
    sequence = {"name": "one", "width": 16, "height": 16, "sources": [{"url": "https://host/one.y4m"}], **changes}
    defaults = {"matrix": "bt709", "range": "limited", "licence": "CC0-1.0"}
    return {"version": "1", "defaults": defaults, "sequences": [sequence]}


def parsed(data: dict[str, Any]) -> SequenceEntry:
    return parse_manifest(data, Path("/some/set.toml")).sequences[0]


def test_what_is_not_published_may_be_left_out() -> None:
    entry = parsed(minimal())
    assert entry.sources == (UrlSource("https://host/one.y4m"),)
    assert (entry.frames, entry.frame_rate, entry.samples_known, entry.files) == (None, None, True, ())
    assert not parsed(minimal(pixel_format="told")).samples_known


def test_a_file_in_an_archive_at_an_address() -> None:
    told = {"url": "https://host/a.7z", "path": "in/one.yuv", "size": 9, "archive_sha256": SHA, "archive_size": 5}
    entry = parsed(minimal(sources=[told, {"url": "https://mirror/one.yuv"}]))
    assert entry.sources[0] == ArchiveSource("https://host/a.7z", "in/one.yuv", "", 9, SHA, 5)
    assert entry.siblings == entry.sources[:1]


def test_defaults_are_of_every_sequence_that_says_nothing_else() -> None:
    data = minimal()
    data["defaults"] |= {"tags": ["all"], "frame_rate": 25, "raw": True}
    data["sequences"].append({**data["sequences"][0], "name": "two", "tags": ["own"], "frame_rate": 50})
    one, two = parse_manifest(data, Path("/some/set.toml")).sequences
    assert (one.tags, one.frame_rate, one.raw) == (("all",), 25, Geometry(16, 16, Fraction(25)))
    assert (two.tags, two.frame_rate, two.raw) == (("own",), 50, Geometry(16, 16, Fraction(50)))


def test_what_is_said_of_the_whole_set() -> None:
    data = {**minimal(), "publication": "P, 2026", "terms": "T", "obtain": "O"}
    del data["sequences"][0]["sources"]
    dataset = parse_manifest(data, Path("/some/set.toml"))
    assert (dataset.publication, dataset.terms, dataset.obtain) == ("P, 2026", "T", "O")
    assert (dataset.sequences[0].sources, dataset.sequences[0].obtain) == ((), "O")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"raw": True}, "does not tell its frame rate"),
        ({"raw": True, "frame_rate": 25, "pixel_format": "told"}, "does not tell its frame rate and pixel format"),
        ({"raw": False}, "`raw` is not valid"),
        ({"filter": "scale=16:16", "pixel_format": "told"}, "a filter has to know the pixel format"),
        ({"files": "one.yuv"}, "`files` is not valid"),
        ({"sources": []}, "`sources` is not valid"),
        ({"sources": [{"url": "https://host/a.zip", "path": "../one.yuv"}]}, "`path` is not valid"),
        ({"sources": [{"url": "https://host/a.zip", "path": "/one.yuv"}]}, "`path` is not valid"),
        ({"sources": [{"url": "https://host/a.zip", "sha256": ""}]}, "`sha256` is not valid"),
        ({"sources": [{"url": "https://host/a.zip", "archive_sha256": SHA}]}, "`archive_sha256` is unknown"),
        ({"sources": [{"path": "one.yuv"}]}, "`sha256` is missing"),
    ],
)
def test_mistakes_in_what_is_left_open(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(expected)):
        parsed(minimal(**changes))


@pytest.mark.parametrize("member", ["/etc/passwd", "../x", "a/../../x", "a//b", "C:\\x", "."])
def test_a_path_in_an_archive_stays_inside(tmp_path: Path, y4m: Path, member: str) -> None:
    changes = {
        "source_package": '"videos"',
        "source_version": '"1"',
        "source_archive": '"videos-1.tar.gz"',
        "source_archive_sha256": f'"{SHA}"',
        "source_path": f"'{member}'",
    }
    with pytest.raises(RecipeError, match="`path` is not valid"):
        load_dataset(str(manifest(tmp_path, y4m, **changes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "`version` is missing"),
        ('version = "1"', "`sequences` is missing"),
        ('version = "1"\nsequences = []', "`sequences` is not valid"),
        ('version = "1"\nsequences = [1]', "`sequences` is not valid"),
        ("version = ", "not valid TOML"),
        ("\xff", "not valid TOML"),
    ],
)
def test_files_that_are_no_manifest(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecipeError, match=re.escape(expected)):
        load_dataset(str(path))


def test_two_sequences_of_one_name(tmp_path: Path, y4m: Path) -> None:
    path = manifest(tmp_path, y4m)
    once = path.read_text()
    path.write_text(once + "\n" + once.split("\n", 1)[1])
    with pytest.raises(RecipeError, match="two sequences are called noise"):
        load_dataset(str(path))


def test_an_unknown_dataset_suggests_the_near_miss() -> None:
    with pytest.raises(RequestError) as caught:
        load_dataset("demoo")
    assert "did you mean demo" in str(caught.value.fix)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
        max_leaves=20,
    )
)
def test_nothing_but_named_errors_comes_out(value: Any) -> None:
    data = value if isinstance(value, dict) else {"version": "1", "sequences": [value]}
    with pytest.raises(EvalError):
        parse_manifest(data, Path("/nowhere/fuzz.toml"))
