"""Lock files: their text, what they refuse, and that two processes and a broken disk cannot damage one."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.errors import AssetError, EvalError, RecipeError
from evalsuite.sources.lockfile import SequencePin, SourcePin, pin, read_lock, written_path

ONE, TWO = "1" * 64, "2" * 64
URL = "https://host/some.7z"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def member(digest: str = ONE, date: str = "2026-11-28") -> SourcePin:
    return SourcePin(digest, 1866240000, date, URL, "some/Beauty.yuv")


def test_the_text_is_small_and_stable(tmp_path: Path) -> None:
    path = tmp_path / "datasets" / "uvg.lock"
    pin(path, SequencePin("b", (SourcePin(TWO, 7, "2026-11-29", path="../b.y4m"),)))
    pin(path, SequencePin("a", (member(),), TWO, "yuv420p10le", Fraction(30000, 1001), 600))
    lines = path.read_text().splitlines()
    assert all(line.startswith("#") for line in lines[:2])
    assert (
        "\n".join(lines[2:])
        == f"""\
version = 1

[[sequences]]
name = "a"
sha256 = "{TWO}"
pixel_format = "yuv420p10le"
frame_rate = "30000/1001"
frames = 600

[[sequences.sources]]
url = "https://host/some.7z"
path = "some/Beauty.yuv"
sha256 = "{ONE}"
size = 1866240000
date = "2026-11-28"

[[sequences]]
name = "b"

[[sequences.sources]]
path = "../b.y4m"
sha256 = "{TWO}"
size = 7
date = "2026-11-29\""""
    )
    assert sorted(file.name for file in path.parent.iterdir()) == [".uvg.lock.lock", "uvg.lock"]


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (member(),), TWO, "yuv420p", Fraction(25), 8))
    before = path.read_bytes(), path.stat().st_mtime_ns
    pin(path, SequencePin("a", (member(date="2030-01-01"),)))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_more_is_added_to_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (member(),), frame_rate=Fraction(25)))
    mirror = SourcePin(TWO, 5, "2026-11-28", "https://mirror/Beauty.mkv")
    pin(path, SequencePin("a", (mirror,), TWO, frames=600))
    found = read_lock(path)["a"]
    assert (found.sources, found.sha256, found.frame_rate, found.frames) == ((member(), mirror), TWO, 25, 600)


@pytest.mark.parametrize(
    "changed",
    [
        SequencePin("a", (member(TWO),)),
        SequencePin("a", (SourcePin(TWO, 5, "2026-11-29", path="/videos/Beauty.yuv"),)),
        SequencePin("a", (), ONE),
    ],
)
def test_another_content_says_both_digests_where_and_what_to_do(tmp_path: Path, changed: SequencePin) -> None:
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (member(),), TWO))
    before = path.read_bytes()
    with pytest.raises(AssetError, match="not what it was when it was pinned") as caught:
        pin(path, changed)
    for part in (ONE, TWO, str(path), "remove the sequence from the lock file"):
        assert part in str(caught.value)
    assert path.read_bytes() == before


def test_a_mirror_may_have_the_same_frames_in_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (member(),), TWO))
    mirror = SourcePin(TWO, 5, "2026-11-29", "https://mirror/x/Beauty.yuv")
    pin(path, SequencePin("a", (mirror,)))
    assert read_lock(path)["a"].sources == (member(), mirror)


def test_a_local_file_may_move(tmp_path: Path) -> None:
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (SourcePin(ONE, 5, "2026-11-28", path="/old/Beauty.yuv"), member(ONE))))
    pin(path, SequencePin("a", (SourcePin(ONE, 5, "2026-11-29", path="/new/Beauty.yuv"),)))
    assert [one.path for one in read_lock(path)["a"].sources] == ["some/Beauty.yuv", "/new/Beauty.yuv"]


def test_paths_are_relative_within_a_tree_that_can_be_moved() -> None:
    assert written_path(Path("/home/me/videos/a.y4m"), Path("/home/me/datasets")) == "../videos/a.y4m"
    assert written_path(Path("/disk/a.y4m"), Path("/home/me/datasets")) == "/disk/a.y4m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version = 2", "another version"),
        ("", "`version` is missing"),
        ("version = 1\n[[sequences]]", "`name` is missing"),
        (f'version = 1\n[[sequences]]\nname = "../a"\nsha256 = "{ONE}"', "`name` is not valid"),
        ('version = 1\n[[sequences]]\nname = "a"\nsha256 = "12"', "`sha256` is not valid"),
        ('version = 1\n[[sequences]]\nname = "a"\nsha265 = "12"', "`sha265` is unknown"),
        ('version = 1\n[[sequences]]\nname = "a"\nframe_rate = 29.97', "`frame_rate` is not valid"),
        ('version = 1\n[[sequences]]\nname = "a"\n[[sequences]]\nname = "a"', "pinned twice"),
        (
            f'version = 1\n[[sequences]]\nname = "a"\nsources = [{{sha256 = "{ONE}", size = 1, date = "2026-11-28"}}]',
            "without `url` or `path`",
        ),
        (
            f'version = 1\n[[sequences]]\nname = "a"\nsources = [{{url = "x", sha256 = "{ONE}", size=1, date="now"}}]',
            "`date` is not valid",
        ),
        ("<<<<<<< HEAD\nversion = 1", "not valid TOML"),
        ("version = \xff", "not valid TOML"),
        ("version = 1" + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_damaged_lock_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "uvg.lock"
    path.write_bytes(text.encode("latin-1"))
    for use in (lambda: read_lock(path), lambda: pin(path, SequencePin("b"))):
        with pytest.raises(RecipeError, match=expected) as caught:
            use()
        assert "uvg.lock" in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(AssetError, match="lock file cannot be written") as caught:
        pin(tmp_path / "blocked" / "uvg.lock", SequencePin("a"))
    assert "may write" in str(caught.value.fix)


def test_a_full_disk_leaves_the_old_one(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "uvg.lock"
    pin(path, SequencePin("a", (member(),)))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # the kernel answers every write beyond with EFBIG
    try:
        with pytest.raises(AssetError, match="lock file cannot be written"):
            pin(path, SequencePin("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [".uvg.lock.lock", "uvg.lock"]


def test_processes_that_pin_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "uvg.lock"
    program = (
        "import sys; from pathlib import Path; from evalsuite.sources.lockfile import *\n"
        "for n in range(20): pin(Path(sys.argv[1]), SequencePin(f'{sys.argv[2]}{n}'))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), letter],
            env={**os.environ, "EVALSUITE_CACHE": str(tmp_path / f"cache of {letter}")},
        )
        for letter in "ab"
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted(read_lock(path)) == sorted(f"{letter}{n}" for letter in "ab" for n in range(20))


digests = st.text("0123456789abcdef", min_size=64, max_size=64)
sources = st.builds(
    SourcePin,
    digests,
    st.integers(0, 2**50),
    st.dates().map(lambda date: date.isoformat()),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: f"https://h/{text}"),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: f"x{text}"),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        SequencePin,
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        st.lists(sources, max_size=2, unique_by=lambda one: one.file).map(tuple),
        st.just("") | digests,
        st.sampled_from(["", "yuv420p", "gray12le"]),
        st.none() | st.builds(Fraction, st.integers(2, 300), st.sampled_from([1, 1001])),
        st.none() | st.integers(1, 10**6),
    )
)
def test_what_is_written_is_read_again(tmp_path: Path, found: SequencePin) -> None:
    path = tmp_path / "some.lock"
    path.unlink(missing_ok=True)
    pin(path, found)
    assert read_lock(path) == {found.name: found}
    assert tomllib.loads(path.read_text(encoding="utf-8"))["version"] == 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 2000), cut=st.integers(0, 20), put=st.binary(max_size=12))
def test_a_lock_file_with_any_damage_is_read_or_named(tmp_path: Path, position: int, cut: int, put: bytes) -> None:
    path = tmp_path / "some.lock"
    path.unlink(missing_ok=True)
    pin(path, SequencePin("a", (member(),), TWO, "yuv420p", Fraction(30000, 1001), 600))
    data = path.read_bytes()
    at = position % len(data)
    path.write_bytes(data[:at] + put + data[at + cut :])
    try:
        pins = read_lock(path)
    except EvalError as error:
        assert "some.lock" in str(error)  # noqa: PT017 - both ends are right
        return
    assert all(isinstance(one, SequencePin) for one in pins.values())
