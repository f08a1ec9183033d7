"""Datasets: manifests with every kind of mistake, and sequences that are exactly the frames of their files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_ffmpeg
from sample_videos import digest, known_frames, manifest

from evalsuite.assets import PackageSource, cache_dir
from evalsuite.errors import AssetError, MediaError, RecipeError, RequestError
from evalsuite.sources.dataset import from_file, load_dataset, prepare, prepared_file
from evalsuite.sources.prepare import y4m_path
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import stated
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, write_y4m
from evalsuite.types import Colour, Frame, VideoFormat


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def assert_same(path: Path, expected: list[Frame]) -> None:
    found = list(open_video(path))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def y4m(tmp_path: Path) -> Path:
    format = VideoFormat(64, 48)
    path = tmp_path / "noise.y4m"
    write_y4m(path, format, Fraction(25), known_frames(format, 8), Colour("bt601"))
    return path


@pytest.fixture
def lossless(tmp_path: Path, y4m: Path) -> Path:
    """A container whose decoded frames are known: FFV1 keeps every bit."""
    path = tmp_path / "noise.mkv"
    run_ffmpeg("-i", y4m, "-c:v", "ffv1", path)
    return path


class TestPrepare:
    def test_the_frames_are_those_of_the_file(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless))).sequences[0]
        sequence = prepare(entry)
        assert_same(sequence.path, known_frames(VideoFormat(64, 48), 8))
        assert sequence.sha256 == digest(sequence.path)
        assert (sequence.name, sequence.dataset, sequence.frames) == ("noise", "mine", 8)
        assert sequence.frame_rate == 25
        assert sequence.tags == ("noise",)
        assert sequence.licence == "CC0-1.0"
        assert sequence.origin == str(lossless)

    def test_start_and_frames_are_indices_of_the_file(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless, start="3", frames="4"))).sequences[0]
        assert_same(prepare(entry).path, known_frames(VideoFormat(64, 48), 8)[3:7])
        assert_same(prepare(entry, 2).path, known_frames(VideoFormat(64, 48), 8)[3:5])

    def test_a_cut_has_a_file_and_a_digest_of_its_own(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless))).sequences[0]
        whole, cut = prepare(entry), prepare(entry, 3)
        assert cut.frames == 3
        assert cut.sha256 == digest(cut.path) != whole.sha256
        assert_same(cut.path, known_frames(VideoFormat(64, 48), 8)[:3])

    def test_trap09_timestamps_are_ignored(self, tmp_path: Path, y4m: Path) -> None:
        # A variable frame rate: by time, frames would have to be repeated or dropped.
        path = tmp_path / "jumpy.mkv"
        gaps = "setpts='if(lt(N,4),N,N*7)/25/TB'"
        run_ffmpeg("-i", y4m, "-vf", gaps, "-fps_mode", "passthrough", "-c:v", "ffv1", path)
        times = [frame.pts for frame in _decoded(path)]
        assert len({b - a for a, b in pairwise(times)}) > 1
        assert_same(from_file(path).path, known_frames(VideoFormat(64, 48), 8))
        # ffmpeg's fifth frame is at 28 / 25 s, the last at 49 / 25 s.
        assert from_file(path).unsteady == "frame 7 at 1.960 s in place of 0.280 s"
        assert from_file(path, frames=4).unsteady == ""

    @pytest.mark.parametrize("name", ["even.mkv", "even.mp4", "even.avi", "even.webm"])
    @pytest.mark.parametrize("rate", ["25", "30000/1001", "60000/1001", "12.5"])
    def test_a_constant_rate_is_seen_as_one(self, tmp_path: Path, name: str, rate: str) -> None:
        path = tmp_path / name
        codec = "libvpx" if name.endswith("webm") else "libx264"
        run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r={rate}", "-frames:v", "40", "-c:v", codec, path)
        assert from_file(path).unsteady == ""

    def test_another_rate_than_the_mean_of_mp4(self, tmp_path: Path) -> None:
        # Every fourth frame of 30 a second: 7.5, but that the last one is as short as it was.
        path = tmp_path / "fourth.mp4"
        source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=2", "-vf", "select='not(mod(n,4))'"]
        run_ffmpeg(*source, "-fps_mode", "vfr", "-pix_fmt", "yuv420p", "-c:v", "libx264", path)
        sequence = from_file(path)
        assert sequence.frame_rate != Fraction(15, 2)
        assert sequence.unsteady.startswith("frame 14 at 1.867 s in place of")

    def test_trap10_the_last_frames_of_a_reordered_stream_are_there(self, tmp_path: Path, y4m: Path) -> None:
        path = tmp_path / "reordered.mp4"
        run_ffmpeg("-i", y4m, "-c:v", "libx264", "-qp", "0", "-bf", "3", path)
        assert from_file(path).frames == 8
        assert_same(from_file(path).path, known_frames(VideoFormat(64, 48), 8))

    @pytest.mark.parametrize(("width", "height"), [(63, 47), (1, 1), (17, 2)])
    def test_odd_sizes(self, tmp_path: Path, width: int, height: int) -> None:
        format = VideoFormat(width, height)
        path = tmp_path / "odd.y4m"
        write_y4m(path, format, Fraction(30000, 1001), known_frames(format, 3))
        sequence = from_file(path, frames=2)
        assert sequence.format == format
        assert_same(sequence.path, known_frames(format, 3)[:2])

    def test_a_sequence_of_one_frame(self, tmp_path: Path) -> None:
        format = VideoFormat(32, 32)
        path = tmp_path / "still.y4m"
        write_y4m(path, format, Fraction(1), known_frames(format, 1))
        assert from_file(path).frames == 1
        entry = load_dataset(
            str(manifest(tmp_path, path, width="32", height="32", frame_rate='"1"', frames="1"))
        ).sequences[0]
        assert prepare(entry).frames == 1

    def test_a_crop_takes_the_samples_as_they_are(self, tmp_path: Path, lossless: Path) -> None:
        changes = {"filter": '"crop=32:16:8:10"', "width": "32", "height": "16"}
        entry = load_dataset(str(manifest(tmp_path, lossless, **changes))).sequences[0]
        expected = [
            (y[10:26, 8:40], cb[5:13, 4:20], cr[5:13, 4:20]) for y, cb, cr in known_frames(VideoFormat(64, 48), 8)
        ]
        assert_same(prepare(entry).path, expected)

    def test_scaling_is_that_of_the_pinned_ffmpeg(self, tmp_path: Path, lossless: Path) -> None:
        steps = "scale=32:24:flags=bicubic+accurate_rnd+full_chroma_int+bitexact"
        changes = {"filter": f'"{steps}"', "width": "32", "height": "24"}
        sequence = prepare(load_dataset(str(manifest(tmp_path, lossless, **changes))).sequences[0])
        # -cpuflags 0: what is pinned must not depend on the processor's vector instructions.
        options = ["-vf", steps, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
        reference = run_ffmpeg("-cpuflags", "0", "-i", lossless, *options)
        assert b"".join(plane.tobytes() for frame in open_video(sequence.path) for plane in frame) == reference

    def test_made_once(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless))).sequences[0]
        first = prepare(entry).path.stat()
        again = prepare(entry).path.stat()
        assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)

    def test_a_prepared_file_that_was_changed_is_made_again(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless))).sequences[0]
        path = prepare(entry).path
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        prepare(entry)
        assert path.read_bytes() == good

    def test_a_pinned_digest_is_kept_to(self, tmp_path: Path, lossless: Path) -> None:
        found = prepare(load_dataset(str(manifest(tmp_path, lossless))).sequences[0])
        pinned = manifest(tmp_path, lossless, sha256=f'"{found.sha256}"')
        assert prepare(load_dataset(str(pinned)).sequences[0]).path == found.path
        # The same pin for other frames: a manifest that was changed by half.
        changed = manifest(tmp_path, lossless, sha256=f'"{found.sha256}"', start="1", frames="7")
        with pytest.raises(AssetError, match="did not come out as pinned") as caught:
            prepare(load_dataset(str(changed)).sequences[0])
        assert found.sha256 in str(caught.value)

    def test_a_source_that_changed_is_refused(self, tmp_path: Path, lossless: Path) -> None:
        path = manifest(tmp_path, lossless)
        lossless.write_bytes(lossless.read_bytes() + b"\0")
        with pytest.raises(AssetError, match="not the expected one"):
            prepare(load_dataset(str(path)).sequences[0])

    def test_a_source_that_is_the_sequence_is_used_where_it_is(self, tmp_path: Path, y4m: Path, cache: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, y4m, sha256=f'"{digest(y4m)}"'))).sequences[0]
        assert prepare(entry).path == y4m
        assert not cache.exists()
        assert_same(prepare(entry, 3).path, known_frames(VideoFormat(64, 48), 8)[:3])

    @pytest.mark.parametrize(
        "changes", [{"width": "62"}, {"height": "64"}, {"frame_rate": '"30"'}, {"frames": "7", "sha256": "THE"}]
    )
    def test_a_manifest_that_says_something_else_is_refused(
        self, tmp_path: Path, y4m: Path, lossless: Path, changes: dict[str, str]
    ) -> None:
        source = y4m if "sha256" in changes else lossless
        changes = {key: f'"{digest(y4m)}"' if value == "THE" else value for key, value in changes.items()}
        with pytest.raises(RecipeError, match="does not describe its sequence") as caught:
            prepare(load_dataset(str(manifest(tmp_path, source, **changes))).sequences[0])
        assert "mine/noise" in str(caught.value)

    def test_more_frames_than_the_source_has(self, tmp_path: Path, lossless: Path) -> None:
        with pytest.raises(MediaError, match="too few frames") as caught:
            prepare(load_dataset(str(manifest(tmp_path, lossless, frames="9"))).sequences[0])
        assert caught.value.got == "8"

    def test_more_frames_than_the_entry_has(self, tmp_path: Path, lossless: Path) -> None:
        entry = load_dataset(str(manifest(tmp_path, lossless))).sequences[0]
        for frames in (0, -1, 9):
            with pytest.raises(RequestError, match="does not have that many"):
                prepare(entry, frames)

    def test_two_processes_make_it_once(self, tmp_path: Path, lossless: Path, cache: Path) -> None:
        path = manifest(tmp_path, lossless)
        program = (
            "import sys; from evalsuite.sources.dataset import *;"
            "print(prepare(load_dataset(sys.argv[1]).sequences[0]).path.stat().st_ino)"
        )
        both = [subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) for _ in range(2)]
        inodes = {process.communicate(timeout=60)[0] for process in both}
        assert [process.returncode for process in both] == [0, 0]
        assert len(inodes) == 1
        assert not list(cache.rglob("*.part"))

    def test_a_cache_that_cannot_be_written_is_named(
        self, tmp_path: Path, lossless: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "blocked").write_bytes(b"")
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "blocked" / "cache"))
        with pytest.raises(AssetError, match="cannot be written"):
            from_file(lossless)

    def test_a_full_disk_leaves_nothing_behind(self, tmp_path: Path, lossless: Path, cache: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        path = from_file(lossless).path
        path.unlink()
        note = next(path.parent.glob("*.sha256"))
        note.with_suffix(".part").symlink_to("/dev/full")  # the kernel answers every write with ENOSPC
        with pytest.raises(AssetError, match="disk is full"):
            from_file(lossless)
        assert not path.exists()
        assert from_file(lossless).path == path


class TestFiles:
    def test_y4m_is_used_where_it_is(self, y4m: Path, cache: Path) -> None:
        sequence = from_file(y4m)
        assert (sequence.path, sequence.frames, sequence.sha256) == (y4m, 8, digest(y4m))
        assert (sequence.name, sequence.dataset) == ("noise", "files")
        assert from_file(y4m, frames=8).path == y4m
        assert not cache.exists()

    def test_raw_video_needs_a_geometry(self, tmp_path: Path) -> None:
        format = VideoFormat(48, 32)
        path = tmp_path / "raw.yuv"
        path.write_bytes(b"".join(plane.tobytes() for frame in known_frames(format, 4) for plane in frame))
        sequence = from_file(path, geometry=Geometry(48, 32, Fraction(50)))
        assert sequence.frame_rate == 50
        assert_same(sequence.path, known_frames(format, 4))
        with pytest.raises(MediaError, match="does not say its geometry"):
            from_file(path)
        with pytest.raises(MediaError, match="whole number of frames"):
            from_file(path, geometry=Geometry(48, 34, Fraction(50)))

    @pytest.mark.parametrize("pixel_format", ["gray", "yuv420p10le", "yuv422p", "yuv444p16le", "gray12le"])
    def test_depth_and_chroma_are_the_files_own(self, tmp_path: Path, y4m: Path, pixel_format: str) -> None:
        path = tmp_path / "some.mkv"
        run_ffmpeg("-i", y4m, "-pix_fmt", pixel_format, "-c:v", "ffv1", path)
        sequence = from_file(path)
        assert sequence.format == VideoFormat(64, 48, *PIXEL_FORMATS[pixel_format])
        assert_same(sequence.path, list(open_video(path)))

    def test_rgb_is_refused(self, tmp_path: Path, y4m: Path) -> None:
        path = tmp_path / "full.mkv"
        run_ffmpeg("-i", y4m, "-pix_fmt", "gbrp", "-c:v", "ffv1", path)
        with pytest.raises(MediaError, match="not supported"):
            from_file(path)

    def test_a_foreign_file(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.mp4"
        path.write_bytes(b"these are notes, no video" * 100)
        with pytest.raises(MediaError, match="not a video"):
            from_file(path)

    def test_an_empty_or_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.y4m").write_bytes(b"")
        with pytest.raises(MediaError, match="empty"):
            from_file(tmp_path / "empty.y4m")
        with pytest.raises(MediaError, match="cannot read"):
            from_file(tmp_path / "missing.y4m")

    def test_a_y4m_without_frames(self, tmp_path: Path) -> None:
        path = tmp_path / "none.y4m"
        write_y4m(path, VideoFormat(16, 16), Fraction(25), [])
        with pytest.raises(MediaError, match="no frame"):
            from_file(path)

    @pytest.mark.parametrize("missing", [1, 700, 4000])
    def test_a_truncated_y4m(self, y4m: Path, missing: int) -> None:
        y4m.write_bytes(y4m.read_bytes()[:-missing])
        with pytest.raises(MediaError, match="ends inside frame"):
            from_file(y4m)

    def test_a_truncated_container(self, tmp_path: Path, y4m: Path) -> None:
        path = tmp_path / "cut.mp4"
        run_ffmpeg("-i", y4m, "-c:v", "libx264", "-qp", "10", "-movflags", "+faststart", path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(MediaError):
            from_file(path)

    def test_more_frames_than_the_file_has(self, y4m: Path, lossless: Path) -> None:
        for path in (y4m, lossless):
            with pytest.raises(MediaError, match="too few frames"):
                from_file(path, frames=9)

    def test_colour_is_what_the_user_says_then_what_the_file_says(self, tmp_path: Path, y4m: Path) -> None:
        path = tmp_path / "tagged.mp4"
        tags = ["-colorspace", "bt709", "-color_range", "pc"]
        run_ffmpeg("-i", y4m, "-c:v", "libx264", "-qp", "0", *tags, path)
        assert from_file(path).colour == Colour("bt709", full_range=True)
        assert from_file(path, stated=stated("bt601", "limited")).colour == Colour("bt601")
        assert from_file(y4m).colour == Colour("bt601")

    @pytest.mark.parametrize(
        ("stem", "name"), [("a b", "a_b"), ("..", "video"), ("ümlaut", "mlaut"), ("x'; rm -rf", "x_rm_-rf")]
    )
    def test_names_are_safe(self, tmp_path: Path, y4m: Path, stem: str, name: str) -> None:
        path = y4m.rename(tmp_path / f"{stem}.y4m")
        assert from_file(path, frames=1).name == name


def test_what_was_prepared_is_found_again() -> None:
    # As written by the version before there was more to a colour than matrix and range.
    notes = {
        "carphone": "carphone-561f6e010abe2059.sha256",
        "face": "face-ee09c049cd8bc2c8.sha256",
        "city": "city-e974b40ea9ec5416.sha256",
        "bikes": "bikes-37326cb4b0047150.sha256",
        "bunny": "bunny-81d88494f937776e.sha256",
        "jump": "jump-408e6b25bc492a00.sha256",
    }
    for entry in load_dataset("demo").sequences:
        note = cache_dir() / "sequences" / notes[entry.name]
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{entry.sha256}  file\n")
        y4m_path(entry.name, entry.sha256).touch()
        assert prepared_file(entry) == (y4m_path(entry.name, entry.sha256), entry.sha256)


class TestDemo:
    def test_it_is_what_the_documentation_promises(self) -> None:
        dataset = load_dataset("demo")
        assert [entry.name for entry in dataset.sequences] == ["carphone", "face", "city", "bikes", "bunny", "jump"]
        for entry in dataset.sequences:
            assert 1.8 <= entry.frames / entry.frame_rate <= 2.2
            assert all(isinstance(source, PackageSource) for source in entry.sources)
            assert entry.sha256
            assert entry.licence
            assert entry.tags

    @pytest.mark.network
    @pytest.mark.parametrize("name", ["carphone", "face", "city", "bikes", "bunny", "jump"])
    def test_its_frames_are_those_that_ffmpeg_decodes(
        self, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        shared = tmp_path_factory.getbasetemp() / "demo-cache"
        monkeypatch.setenv("EVALSUITE_CACHE", str(shared))
        entry = next(entry for entry in load_dataset("demo").sequences if entry.name == name)
        try:
            sequence = prepare(entry)
        except AssetError as error:
            if "index" not in str(error):
                raise
            pytest.skip(f"needs a package registry: {error.what}")
        source = next((shared / "files").glob(f"{entry.sources[0].sha256[:16]}-*"))
        steps = f"trim=start_frame={entry.start}:end_frame={entry.start + entry.frames}"
        steps += f",{entry.filter}" if entry.filter else ""
        options = ["-vf", steps, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
        reference = run_ffmpeg("-i", source, *options)
        found = b"".join(plane.tobytes() for frame in open_video(sequence.path) for plane in frame)
        assert hashlib.sha256(found).hexdigest() == hashlib.sha256(reference).hexdigest()
        assert len(found) == sequence.frames * sequence.format.frame_bytes


def _decoded(path: Path) -> list[Any]:
    import av

    with av.open(str(path)) as container:
        return list(container.decode(video=0))
