"""Sequences whose manifest leaves something open: found on first use, pinned, and never anything else from then on."""

from __future__ import annotations

import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from http_server import Server
from sample_archives import sevenzip, sha256, tar, wheel
from sample_videos import known_frames

from evalsuite import resources
from evalsuite.assets import LocalSource
from evalsuite.errors import AssetError, MediaError, RecipeError, RequestError
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.sources.pinning import portable
from evalsuite.sources.reader import open_video
from evalsuite.sources.registering import register
from evalsuite.sources.y4m import join_planes, write_y4m
from evalsuite.types import Frame, VideoFormat

FORMAT = VideoFormat(64, 48)
FRAMES = known_frames(FORMAT, 8)
RAW = b"".join(map(join_planes, FRAMES))

pytestmark = pytest.mark.usefixtures("project")


def y4m(frames: list[Frame] = FRAMES, format: VideoFormat = FORMAT, rate: Fraction = Fraction(25)) -> bytes:
    path = Path("made.y4m")
    write_y4m(path, format, rate, frames)
    data = path.read_bytes()
    path.unlink()
    return data


def manifest(*sources: str, name: str = "some", more: str = "", frames: str = "frames = 8", rate: str = '"25"') -> None:
    """./datasets/NAME.toml with one sequence."""
    text = f"""
version = "1"
obtain = "Ask for it at the publishers' page"
[[sequences]]
name = "noise"
width = 64
height = 48
{frames}
{f"frame_rate = {rate}" if rate else ""}
matrix = "bt601"
range = "limited"
licence = "CC0-1.0"
{more}
{f"sources = [{', '.join(sources)}]" if sources else ""}
"""
    Path("datasets", f"{name}.toml").write_text(text, encoding="utf-8")


def url_of(url: str) -> str:
    return f'{{ url = "{url}" }}'


def entry(name: str = "some") -> SequenceEntry:
    return load_dataset(name).sequences[0]


def lock(path: str = "datasets/some.lock") -> Any:
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def frames_of(path: Path) -> bytes:
    return b"".join(map(join_planes, open_video(path)))


def test_the_first_use_pins_source_and_sequence(server: Server) -> None:
    data = y4m()
    url = server.add("/noise.y4m", data)
    manifest(url_of(url))
    sequence = prepare(entry())
    assert sequence.sha256 == sha256(data)  # a Y4M file of the whole sequence is used as it stands
    assert sequence.path.read_bytes() == data
    (pinned,) = lock()["sequences"]
    (source,) = pinned.pop("sources")
    told = {"name": "noise", "sha256": sha256(data), "pixel_format": "yuv420p", "frame_rate": "25", "frames": 8}
    assert pinned == told
    assert (source["url"], source["sha256"], source["size"]) == (url, sha256(data), len(data))
    assert prepare(entry()).path == sequence.path
    assert server.asked["/noise.y4m"] == 1


def test_another_content_upstream_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = y4m(), y4m(FRAMES[::-1])
    url = server.add("/noise.y4m", old)
    manifest(url_of(url))
    prepare(entry())
    server.add("/noise.y4m", new)
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(AssetError, match="another file than expected") as caught:
        prepare(entry())
    for part in (sha256(old), sha256(new), "some.lock", "/noise.y4m"):
        assert part in str(caught.value)
    Path("datasets/some.lock").unlink()  # meant
    assert prepare(entry()).sha256 == sha256(new)


def test_a_raw_file_becomes_the_pinned_y4m(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(url_of(server.add("/noise.yuv", RAW)), more="raw = true")
    sequence = prepare(entry())
    assert frames_of(sequence.path) == RAW
    (pinned,) = lock()["sequences"]
    assert pinned["sha256"] == sequence.sha256 == sha256(sequence.path.read_bytes()) != sha256(RAW)
    inode = sequence.path.stat().st_ino
    assert prepare(entry()).path.stat().st_ino == inode
    sequence.path.write_bytes(b"changed")
    assert frames_of(prepare(entry()).path) == RAW
    # Under the same pins, a decoder that gives other frames is an error.
    text = Path("datasets/some.lock").read_text().replace(sequence.sha256, "0" * 64)
    Path("datasets/some.lock").write_text(text)
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(AssetError, match="did not come out as pinned") as caught:
        prepare(entry())
    assert "lock file" in str(caught.value.fix)


def test_a_few_frames_pin_the_source_alone(server: Server) -> None:
    manifest(url_of(server.add("/noise.yuv", RAW)), more="raw = true", frames="")
    assert frames_of(prepare(entry(), 3).path) == RAW[: 3 * FORMAT.frame_bytes]
    (pinned,) = lock()["sequences"]
    assert "sha256" not in pinned
    assert pinned["sources"][0]["sha256"] == sha256(RAW)
    assert prepare(entry()).frames == 8
    (pinned,) = lock()["sequences"]
    assert pinned["frames"] == 8
    assert pinned["sha256"]
    assert server.asked["/noise.yuv"] == 1
    with pytest.raises(RequestError, match="does not have that many"):
        prepare(entry(), 9)


def test_what_the_manifest_leaves_to_the_file_is_told_by_it(server: Server) -> None:
    format = VideoFormat(64, 48, 10)
    data = y4m(known_frames(format, 5), format, Fraction(30000, 1001))
    manifest(url_of(server.add("/noise.y4m", data)), more='pixel_format = "told"', frames="", rate="")
    before = entry()
    assert (before.samples_known, before.frame_rate, before.frames) == (False, None, None)
    sequence = prepare(before)
    assert (sequence.format, sequence.frame_rate, sequence.frames) == (format, Fraction(30000, 1001), 5)
    after = entry()
    assert (after.format, after.samples_known, after.frame_rate, after.frames) == (
        format,
        True,
        Fraction(30000, 1001),
        5,
    )


@pytest.mark.parametrize(
    ("format", "rate", "frames"),
    [
        (VideoFormat(48, 64), Fraction(25), 8),
        (VideoFormat(64, 48, 10), Fraction(25), 8),
        (FORMAT, Fraction(30), 8),
        (FORMAT, Fraction(25), 7),
    ],
)
def test_a_manifest_that_does_not_fit_its_file_says_both(
    server: Server, format: VideoFormat, rate: Fraction, frames: int
) -> None:
    manifest(url_of(server.add("/noise.y4m", y4m(known_frames(format, frames), format, rate))))
    with pytest.raises(RecipeError, match="does not describe its file") as caught:
        prepare(entry())
    assert "64x48 yuv420p, 25 frames/s, 8 frames or more" in str(caught.value.expected)
    assert f"{format}, {rate} frames/s, {frames} frames" in str(caught.value.got)
    assert not Path("datasets/some.lock").exists()


def test_a_raw_geometry_that_is_not_the_sequences_is_refused_before_anything_is_pinned(server: Server) -> None:
    manifest(url_of(server.add("/noise.yuv", RAW)), more='raw = { width = 48, height = 64, frame_rate = "25" }')
    with pytest.raises(RecipeError, match="does not describe its file"):
        prepare(entry())
    assert not Path("datasets/some.lock").exists()


def test_what_is_cut_off_is_not_pinned_and_fetched_again(server: Server) -> None:
    data = y4m()
    url = server.add("/noise.y4m", data[:-100])  # with the length that it says, as a broken mirror has it
    manifest(url_of(url))
    with pytest.raises(MediaError, match="ends inside frame 7"):
        prepare(entry())
    assert not Path("datasets/some.lock").exists()
    server.add("/noise.y4m", data)
    assert prepare(entry()).sha256 == sha256(data)


@pytest.mark.parametrize(("suffix", "pack"), [(".7z", sevenzip), (".zip", wheel), (".tar.xz", lambda m: tar(m, "xz"))])
def test_an_archive_is_fetched_once_for_all_that_are_in_it(server: Server, suffix: str, pack: Any) -> None:
    other = known_frames(FORMAT, 4)
    members = {"raw/noise.yuv": RAW, "raw/other.yuv": b"".join(map(join_planes, other)), "terms.txt": b"..."}
    url = server.add(f"/set{suffix}", pack(members))
    size = f", size = {len(RAW)}"
    manifest(f'{{ url = "{url}", path = "raw/noise.yuv"{size} }}', more="raw = true")
    text = Path("datasets/some.toml").read_text()
    second = text.split("[[sequences]]")[1].replace('"noise"', '"other"').replace("frames = 8", "frames = 4")
    second = second.replace("raw/noise.yuv", "raw/other.yuv").replace(size, "")
    Path("datasets/some.toml").write_text(f"{text}\n[[sequences]]{second}")
    one, two = (prepare(entry) for entry in load_dataset("some").sequences)
    assert frames_of(one.path) == RAW
    assert (frames_of(two.path), two.frames) == (b"".join(map(join_planes, other)), 4)
    assert server.asked[f"/set{suffix}"] == 1
    assert [one["sources"][0]["path"] for one in lock()["sequences"]] == ["raw/noise.yuv", "raw/other.yuv"]
    assert all(path.suffix == ".lock" for path in Path("../cache/archives").iterdir())


def test_an_archive_with_a_link_or_a_web_page_in_its_place_is_refused(server: Server) -> None:
    url = server.add("/set.zip", b"<!doctype html>gone")
    manifest(f'{{ url = "{url}", path = "noise.y4m" }}')
    with pytest.raises(AssetError, match="no archive that can be read"):
        prepare(entry())
    server.add("/set.zip", wheel({"../noise.y4m": y4m(), "noise.y4m": y4m()}))
    with pytest.raises(AssetError, match="leads outside"):
        prepare(entry())
    server.add("/set.zip", wheel({"noise.y4m": y4m()}))
    assert prepare(entry()).frames == 8


class TestMirrors:
    def test_a_mirror_takes_over(self, server: Server) -> None:
        data = y4m()
        manifest(url_of(server.url("/gone.y4m")), url_of(server.add("/mirror/noise.y4m", data)))
        assert prepare(entry()).sha256 == sha256(data)
        assert lock()["sequences"][0]["sources"][0]["url"].endswith("/mirror/noise.y4m")

    def lose(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another machine, and the first source is gone."""
        server.add("/noise.yuv", lambda request: request.begin(404, 0))
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))

    def pinned(self, server: Server, mirror: bytes, frames: int | None = None) -> None:
        sources = url_of(server.add("/noise.yuv", RAW)), url_of(server.add("/mirror.yuv", mirror))
        manifest(*sources, more="raw = true")
        prepare(entry(), frames)
        assert server.asked["/mirror.yuv"] == 0

    @pytest.mark.parametrize("frames", [None, 2])
    def test_later_too_if_it_has_the_same_frames(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int | None
    ) -> None:
        self.pinned(server, RAW)
        self.lose(server, tmp_path, monkeypatch)
        assert frames_of(prepare(entry(), frames).path) == RAW[: (frames or 8) * FORMAT.frame_bytes]
        assert len(lock()["sequences"][0]["sources"]) == 2

    @pytest.mark.parametrize("frames", [None, 2])
    def test_but_not_with_other_ones(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int | None
    ) -> None:
        self.pinned(server, RAW[::-1])
        self.lose(server, tmp_path, monkeypatch)
        with pytest.raises(AssetError, match="did not come out as pinned"):
            prepare(entry(), frames)
        assert len(lock()["sequences"][0]["sources"]) == 1

    def test_nor_where_nothing_tells(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pinned(server, RAW[::-1], frames=2)  # so the Y4M file of the whole is not pinned
        self.lose(server, tmp_path, monkeypatch)
        with pytest.raises(AssetError, match="nothing tells whether"):
            prepare(entry(), 2)


class TestWhereTheLockIs:
    def test_beside_a_manifest_that_is_given_by_path(self, server: Server, tmp_path: Path) -> None:
        manifest(url_of(server.add("/noise.y4m", y4m())))
        elsewhere = tmp_path / "elsewhere" / "mine.toml"
        elsewhere.parent.mkdir()
        Path("datasets/some.toml").rename(elsewhere)
        prepare(load_dataset(str(elsewhere)).sequences[0])
        assert (tmp_path / "elsewhere" / "mine.lock").is_file()
        assert not list(Path("datasets").iterdir())

    def shipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The manifest where the package keeps its own."""
        folder = tmp_path / "package"
        folder.mkdir()
        Path("datasets/some.toml").rename(folder / "some.toml")
        monkeypatch.setattr(resources, "_shipped", lambda _kind: folder)
        return folder

    def test_in_the_project_for_one_that_is_shipped(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = y4m()
        manifest(url_of(server.add("/noise.y4m", data)))
        folder = self.shipped(tmp_path, monkeypatch)
        prepare(entry())
        assert lock()["sequences"][0]["sha256"] == sha256(data)
        assert [path.name for path in folder.iterdir()] == ["some.toml"]

    def test_pins_that_are_shipped_count_too(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest(url_of(server.add("/noise.y4m", y4m())))
        folder = self.shipped(tmp_path, monkeypatch)
        prepare(entry())
        Path("datasets/some.lock").rename(folder / "some.lock")
        server.add("/noise.y4m", y4m(FRAMES[::-1]))
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))
        with pytest.raises(AssetError, match="another file than expected"):
            prepare(entry())
        assert not Path("datasets/some.lock").exists()

    def test_a_file_registered_here_comes_before_what_is_shipped(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = y4m()
        manifest(url_of(server.add("/noise.y4m", data)))
        folder = self.shipped(tmp_path, monkeypatch)
        prepare(entry())
        Path("datasets/some.lock").rename(folder / "some.lock")
        Path("noise.y4m").write_bytes(data)
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))
        assert [one.problem for one in register(load_dataset("some"), [Path("noise.y4m")])] == [None]
        assert prepare(entry()).path == Path.cwd() / "noise.y4m"
        assert server.asked["/noise.y4m"] == 1

    def test_another_project_pins_the_same_without_fetching(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = y4m()
        manifest(url_of(server.add("/noise.y4m", data)))
        prepare(entry())
        there = tmp_path / "there" / "datasets"
        there.mkdir(parents=True)
        (there / "some.toml").write_text(Path("datasets/some.toml").read_text())
        monkeypatch.chdir(there.parent)
        assert prepare(entry()).sha256 == sha256(data)
        assert lock()["sequences"][0]["sha256"] == sha256(data)
        assert server.asked["/noise.y4m"] == 1


def test_a_manifest_that_says_everything_has_no_lock(server: Server) -> None:
    data = y4m()
    url = server.add("/noise.y4m", data)
    manifest(f'{{ url = "{url}", sha256 = "{sha256(data)}" }}', more=f'sha256 = "{sha256(data)}"')
    prepare(entry())
    assert entry().lock is None
    assert [path.name for path in Path("datasets").iterdir()] == ["some.toml"]


def test_a_sequence_that_nobody_may_fetch_says_how_to_get_it() -> None:
    manifest(more='files = ["Noise_64x48_25.yuv"]\nraw = true')
    with pytest.raises(AssetError, match="not on this machine") as caught:
        prepare(entry())
    for part in ("some/noise", "Noise_64x48_25.yuv", "Ask for it at the publishers' page", "add FOLDER --for some"):
        assert part in str(caught.value)


def test_an_entry_for_another_machine_is_pinned_and_writes_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(url_of(server.add("/noise.yuv", RAW)), url_of(server.url("/mirror.yuv")), more="raw = true", frames="")
    here = entry()
    sequence = prepare(here)
    sent = portable(here)
    assert (sent.lock, sent.frames, sent.sha256) == (None, 8, sequence.sha256)
    assert [source.sha256 for source in sent.sources] == [sha256(RAW)]
    before = Path("datasets/some.lock").read_bytes()
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another machine"))
    assert prepare(sent).sha256 == sequence.sha256
    assert Path("datasets/some.lock").read_bytes() == before


def test_a_file_of_this_machine_has_its_digest_in_the_manifest() -> None:
    Path("noise.y4m").write_bytes(y4m())
    manifest('{ path = "../noise.y4m" }')
    with pytest.raises(RecipeError, match="`sha256` is missing"):
        entry()
    manifest(f'{{ path = "../noise.y4m", sha256 = "{sha256(y4m())}" }}', frames="")
    assert isinstance(entry().sources[0], LocalSource)
    assert prepare(entry()).frames == 8
    assert lock()["sequences"][0]["frames"] == 8
