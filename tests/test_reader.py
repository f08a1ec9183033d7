from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from conftest import make_clip, moving_frames, run_ffmpeg
from hypothesis import given
from hypothesis import strategies as st
from sample_videos import HDR10, hdr10_video

from evalsuite.engine.compare import compare_files
from evalsuite.errors import MediaError, RequestError
from evalsuite.metrics.registry import select
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import PRIMARIES, Stated, Told, resolve_colour, stated, told
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, join_planes
from evalsuite.types import NO_HDR_METADATA, Colour, VideoFormat


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


def _stored(tmp_path: Path, pixel_format: str, format: VideoFormat, codec: str, suffix: str) -> tuple[Path, bytes]:
    """A container whose codec keeps samples as they are, and the samples."""
    raw = b"".join(map(join_planes, moving_frames(format, 3)))
    sides = ["-f", "rawvideo", "-pix_fmt", format.pixel_format, "-s", f"{format.width}x{format.height}"]
    target = tmp_path / f"clip.{suffix}"
    run_ffmpeg(*sides, "-i", "-", "-pix_fmt", pixel_format, "-strict", "-1", "-c:v", codec, target, data=raw)
    return target, raw


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_list_of_files_is_no_video(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "source.y4m", 96, 64, 6)
    run_ffmpeg("-i", tmp_path / "source.y4m", "-c:v", "libx264", tmp_path / "part.ts")
    concat = "ffconcat version 1.0\nfile part.ts\nfile part.ts\n"
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.24,\npart.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(playlist if name.endswith("m3u8") else concat)
    with pytest.raises(MediaError, match="it names other files"):
        open_video(tmp_path / name)


@pytest.mark.parametrize("rate", ["24", "60", "60000/1001"])
@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "264"), ("libx265", "265"), ("mpeg2video", "m2v")])
def test_an_elementary_stream_has_the_rate_that_it_says(tmp_path: Path, codec: str, suffix: str, rate: str) -> None:
    make_clip(tmp_path / "source.y4m", 96, 64, 6)
    target = tmp_path / f"clip.{suffix}"
    run_ffmpeg("-r", rate, "-i", tmp_path / "source.y4m", "-c:v", codec, target)
    reader = open_video(target)
    assert reader.frame_rate == Fraction(rate)
    assert len(list(reader)) == 6


def test_an_elementary_stream_without_a_rate_is_read_and_has_none(tmp_path: Path) -> None:
    source, target = make_clip(tmp_path / "source.y4m", 96, 64, 3), tmp_path / "clip.obu"
    run_ffmpeg("-i", source, "-c:v", "libaom-av1", "-cpu-used", "8", "-f", "obu", target)
    with pytest.raises(MediaError, match="does not say its frame rate"):
        _ = open_video(target).frame_rate
    found = compare_files(source, target, select("psnr_y"))
    assert (found.frames, found.series[0].status) == (3, "ok")


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60000/1001", "120000/1001", "25/2", "50", "120"])
def test_rounded_timestamps_do_not_change_the_rate(tmp_path: Path, rate: str) -> None:
    make_clip(tmp_path / "source.y4m", 96, 64, 30)
    run_ffmpeg("-r", rate, "-i", tmp_path / "source.y4m", "-c:v", "libx264", tmp_path / "clip.mkv")
    assert open_video(tmp_path / "clip.mkv").frame_rate == Fraction(rate)


def test_a_rate_that_timestamps_hold_exactly_is_the_files_own(tmp_path: Path) -> None:
    """29.97 is another rate than 30000/1001, which the stream says: an MP4 that counts 1/29970 s has it exactly."""
    make_clip(tmp_path / "source.y4m", 64, 48, 8)
    run_ffmpeg(
        *("-r", "2997/100", "-i", tmp_path / "source.y4m", "-c:v", "libx264"),
        *("-bsf:v", "h264_metadata=tick_rate=60000/1001", "-video_track_timescale", "29970", tmp_path / "clip.mp4"),
    )
    assert open_video(tmp_path / "clip.mp4").frame_rate == Fraction(2997, 100)


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("mpeg2video", "mpg"), ("ffv1", "mkv")])
def test_interlaced_video_is_refused_whatever_it_comes_in(tmp_path: Path, codec: str, suffix: str) -> None:
    source, path, whole = (tmp_path / name for name in ("source.y4m", f"clip.{suffix}", "whole.y4m"))
    make_clip(source, 96, 64, 12)
    woven = ["-vf", "interlace=lowpass=off", "-flags", "+ilme+ildct"]
    run_ffmpeg("-i", source, *woven, "-c:v", codec, path)
    with pytest.raises(MediaError, match="interlaced") as refused:
        open_video(path)
    assert "setfield=prog" in str(refused.value.fix)
    run_ffmpeg("-i", path, "-vf", "setfield=prog", whole)
    assert len(list(open_video(whole))) == 6


def test_fields_that_begin_later_are_refused_too(tmp_path: Path) -> None:
    parts = [tmp_path / "whole.ts", tmp_path / "woven.ts"]
    make_clip(tmp_path / "source.y4m", 96, 64, 12)
    for path, flags in zip(parts, ([], ["-vf", "setfield=tff", "-flags", "+ilme+ildct"]), strict=True):
        run_ffmpeg("-i", tmp_path / "source.y4m", *flags, "-c:v", "libx264", path)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in parts))
    reader = open_video(joined)
    with pytest.raises(MediaError, match="interlaced"):
        list(reader)


@pytest.mark.parametrize("size", [(64, 48), (35, 21)])
@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_every_planar_format_comes_as_it_is(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    format = VideoFormat(*size, *PIXEL_FORMATS[pixel_format])
    path, raw = _stored(tmp_path, pixel_format, format, "ffv1", "mkv")
    reader = open_video(path)
    assert reader.format == format
    assert b"".join(map(join_planes, reader)) == raw


@pytest.mark.parametrize("size", [(64, 48), (34, 22)])
@pytest.mark.parametrize(
    ("stored", "read"),
    [("nv12", "yuv420p"), ("yuv420p10be", "yuv420p10le"), ("yuv444p16be", "yuv444p16le"), ("gray12be", "gray12le")],
)
def test_other_ways_to_store_the_same_samples(tmp_path: Path, stored: str, read: str, size: tuple[int, int]) -> None:
    format = VideoFormat(*size, *PIXEL_FORMATS[read])
    path, raw = _stored(tmp_path, stored, format, "rawvideo", "nut")
    reader = open_video(path)
    assert reader.format == format
    assert b"".join(map(join_planes, reader)) == raw


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_jpegs_ycbcr_is_full_range(tmp_path: Path, chroma: str) -> None:
    path = tmp_path / "clip.avi"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.1", "-pix_fmt", f"yuvj{chroma}p", "-c:v", "mjpeg", path)
    reader = open_video(path)
    raw = run_ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    assert (reader.format.chroma, reader.told.full_range) == (chroma, True)
    assert b"".join(map(join_planes, reader)) == raw


def test_a_truncated_container_is_an_error_not_a_shorter_sequence(tmp_path: Path) -> None:
    path = _mp4(tmp_path, 40, "-movflags", "+faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError):
        list(open_video(path))


def test_what_was_cut_without_coding_is_whole(tmp_path: Path) -> None:
    """The file keeps the frames from the key frame on, and an edit list leaves them out."""
    path, cut = _mp4(tmp_path, 50), tmp_path / "cut.mp4"
    run_ffmpeg("-ss", "0.5", "-i", path, "-c", "copy", cut)
    raw = run_ffmpeg("-i", cut, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    reader = open_video(cut)
    frames = list(reader)
    assert b"".join(map(join_planes, frames)) == raw
    assert reader.frames == len(frames) < 50


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_truncated_matroska_is_an_error_too(tmp_path: Path, suffix: str, codec: str) -> None:
    source, path = make_clip(tmp_path / "source.y4m", 96, 64, 25), tmp_path / f"clip.{suffix}"
    run_ffmpeg("-i", source, "-c:v", codec, path)
    assert len(list(open_video(path))) == 25
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(MediaError, match=r"ends early|decoding fails|is damaged"):
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


@pytest.mark.parametrize("pixel_format", ["gbrp", "yuv411p", "yuv440p", "yuva420p", "rgb24"])
def test_what_is_not_planar_ycbcr_is_refused_by_name(tmp_path: Path, pixel_format: str) -> None:
    path = tmp_path / "clip.nut"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=0.1", "-pix_fmt", pixel_format, "-c:v", "rawvideo", path)
    with pytest.raises(MediaError, match="pixel format") as caught:
        open_video(path)
    assert caught.value.got == pixel_format
    assert "convert it" in str(caught.value.fix)


def test_a_raw_file_whose_name_does_not_tell_is_told_how_to_name_it(tmp_path: Path) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(256)) * 54)
    with pytest.raises(MediaError) as caught:
        open_video(path, Geometry(64, 48, Fraction(25)))
    assert "name it .yuv, .raw or .rgb" in str(caught.value.fix)


@pytest.mark.parametrize("name", ["frames.bin", "download", "frames.v1"])
def test_a_raw_file_of_any_name_is_read_by_its_geometry(tmp_path: Path, name: str) -> None:
    format = VideoFormat(64, 48)
    raw = b"".join(map(join_planes, moving_frames(format, 3)))
    path = tmp_path / name
    path.write_bytes(raw)
    geometry = Geometry(64, 48, Fraction(25))
    reader = open_video(path, geometry, is_raw=True)
    assert b"".join(map(join_planes, reader)) == raw
    # The geometry may be that of a file that is named beside this one.
    for said in (None, geometry):
        with pytest.raises(MediaError, match="not a video that can be read"):
            open_video(path, said)


@pytest.mark.parametrize(("suffix", "is_raw"), [("mkv", False), ("mkv", True), ("nut", False)])
def test_a_container_is_none_whatever_is_said_of_raw_files(tmp_path: Path, suffix: str, is_raw: bool) -> None:
    path, raw = _stored(tmp_path, "yuv420p", VideoFormat(64, 48), "ffv1", suffix)
    reader = open_video(path, Geometry(32, 32, Fraction(25)), is_raw=is_raw)
    assert b"".join(map(join_planes, reader)) == raw


def test_raw_files_need_a_geometry(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(24 * 16 * 3 // 2 * 2))
    with pytest.raises(MediaError, match="geometry"):
        open_video(path)
    assert sum(1 for _ in open_video(path, Geometry(24, 16, Fraction(30)))) == 2


def _colour(path: Path, said: Stated | None = None) -> Colour:
    reader = open_video(path)
    return resolve_colour(reader.format, reader.told, said)


def test_colour_is_what_the_user_says_then_the_file_then_the_convention(tmp_path: Path) -> None:
    tagged = _mp4(tmp_path, 2, "-colorspace", "bt709", "-color_range", "tv")
    assert _colour(tagged) == Colour("bt709", full_range=False)
    assert _colour(tagged, stated("bt601", "full")) == Colour("bt601", full_range=True)
    assert _colour(tagged, stated(transfer="hlg")) == Colour("bt709", transfer="hlg")
    assert _colour(tmp_path / "source.y4m") == Colour("bt601", full_range=False)
    assert _colour(tmp_path / "source.y4m", stated(transfer="pq")) == Colour("bt2020", transfer="pq")
    assert _colour(make_clip(tmp_path / "hd.y4m", 16, 720, 1)).matrix == "bt709"


@pytest.mark.parametrize(
    ("option", "word"), [("--matrix", "bt2020c"), ("--matrix", ""), ("--range", "tv"), ("--transfer", "smpte2084")]
)
def test_what_the_user_says_must_be_a_word_that_is_known(option: str, word: str) -> None:
    words = {"--matrix": "matrix", "--range": "colour_range", "--transfer": "transfer"}
    with pytest.raises(RequestError, match=option):
        stated(**{words[option]: word})


@pytest.mark.parametrize(
    ("trc", "transfer"), [("smpte2084", "pq"), ("arib-std-b67", "hlg"), ("bt709", "sdr"), ("bt2020-10", "sdr")]
)
@pytest.mark.parametrize(
    ("space", "matrix"),
    [
        *(("bt709", "bt709"), ("smpte170m", "bt601"), ("bt470bg", "bt601"), ("bt2020nc", "bt2020")),
        *(("bt2020c", "bt2020c"), ("smpte240m", "smpte240m"), ("ycgco", "ycgco"), ("ictcp", "ictcp")),
    ],
)
def test_tags_of_a_container_are_told(tmp_path: Path, trc: str, transfer: str, space: str, matrix: str) -> None:
    path = tmp_path / "tagged.mkv"
    tags = f"setparams=range=tv:colorspace={space}:color_trc={trc}:color_primaries=bt2020"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.1"]
    run_ffmpeg(*source, "-vf", f"format=yuv420p10le,{tags}", "-c:v", "ffv1", path)
    expected = Told(matrix, False, transfer, "bt2020")  # type: ignore[arg-type] - words of the parameters
    assert open_video(path).told == expected


def test_h273s_numbers_are_those_of_ffmpeg(tmp_path: Path) -> None:
    # FFmpeg names every set of primaries; PyAV gives the numbers.
    for number, name in PRIMARIES.items():
        path = tmp_path / f"{number}.mkv"
        source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.1"]
        run_ffmpeg(*source, "-vf", f"format=yuv420p,setparams=color_primaries={name}", "-c:v", "ffv1", path)
        assert open_video(path).told.primaries == name


@given(*[st.integers(-1, 300)] * 4)
def test_any_numbers_are_told_or_left_out(matrix: int, span: int, transfer: int, primaries: int) -> None:
    said = told(matrix, span, transfer, primaries, NO_HDR_METADATA)
    colour = resolve_colour(VideoFormat(16, 16), said)
    assert colour.full_range == bool(said.full_range)
    assert str(colour).split()[0] == (said.matrix or ("bt601" if colour.transfer == "sdr" else "bt2020"))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "hevc"])
def test_hdr10s_metadata_is_carried(tmp_path: Path, suffix: str) -> None:
    reader = open_video(hdr10_video(tmp_path / f"hdr.{suffix}"))
    assert resolve_colour(reader.format, reader.told) == Colour("bt2020", False, "pq", "bt2020")
    assert reader.told.hdr == HDR10


def test_a_container_with_a_frame_rate_that_no_video_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    options = ("-c:v", "libx264", "-video_track_timescale", "200000")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=200000:d=0.00002", *options, path)
    with pytest.raises(MediaError, match="no video has this frame rate"):
        open_video(path)
