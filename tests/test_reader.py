from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from conftest import make_clip, run_ffmpeg

from evalsuite.errors import MediaError
from evalsuite.sources.reader import open_video, resolve_colour
from evalsuite.sources.y4m import Geometry, join_planes
from evalsuite.types import Colour


def _mp4(tmp_path: Path, frames: int = 12, *options: str, size: tuple[int, int] = (96, 64)) -> Path:
    source = make_clip(tmp_path / "source.y4m", *size, frames)
    target = tmp_path / "clip.mp4"
    run_ffmpeg("-i", source, "-c:v", "libx264", "-bf", "3", *options, target)
    return target


@pytest.mark.parametrize("size", [(96, 64), (90, 62)])
def test_a_container_gives_the_frames_that_ffmpeg_gives(tmp_path: Path, size: tuple[int, int]) -> None:
    path = _mp4(tmp_path, 12, size=size)
    raw = run_ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    reader = open_video(path)
    assert reader.frame_rate == 25
    assert reader.frames == 12
    assert b"".join(join_planes(frame) for frame in reader) == raw


def test_ten_bit_samples_keep_their_depth(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.y4m", 64, 48, 3, bit_depth=10)
    target = tmp_path / "clip.mkv"
    run_ffmpeg("-i", source, "-c:v", "ffv1", target)
    assert open_video(target).format.bit_depth == 10
    expected = [join_planes(frame) for frame in open_video(source)]
    assert [join_planes(frame) for frame in open_video(target)] == expected


def test_a_truncated_container_is_an_error_not_a_shorter_sequence(tmp_path: Path) -> None:
    path = _mp4(tmp_path, 40, "-movflags", "+faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError):
        list(open_video(path))


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 50, b"\x00" * 4096])
def test_foreign_and_empty_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        open_video(path)
    assert "clip.mp4" in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot read"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="cannot read"):
        open_video(tmp_path)


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", path)
    with pytest.raises(MediaError, match="no video stream"):
        open_video(path)


def test_4_2_2_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=0.1", "-pix_fmt", "yuv422p", "-c:v", "ffv1", path)
    with pytest.raises(MediaError, match="pixel format"):
        open_video(path)


def test_raw_files_need_a_geometry(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(24 * 16 * 3 // 2 * 2))
    with pytest.raises(MediaError, match="geometry"):
        open_video(path)
    assert sum(1 for _ in open_video(path, Geometry(24, 16, Fraction(30)))) == 2


def test_colour_is_what_the_user_says_then_the_file_then_the_convention(tmp_path: Path) -> None:
    tagged = open_video(_mp4(tmp_path, 2, "-colorspace", "bt709", "-color_range", "tv"))
    assert resolve_colour(tagged) == Colour("bt709", full_range=False)
    assert resolve_colour(tagged, "bt601", full_range=True) == Colour("bt601", full_range=True)
    assert resolve_colour(open_video(tmp_path / "source.y4m")) == Colour("bt601", full_range=False)
    assert resolve_colour(open_video(make_clip(tmp_path / "hd.y4m", 16, 720, 1))).matrix == "bt709"
