from __future__ import annotations

from pathlib import Path

import av
import pytest
from conftest import make_clip, run_ffmpeg
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.codec.bitstream import Container, Standard, access_unit_bytes, payload_bytes, units
from evalsuite.errors import MediaError


def write(folder: Path, data: bytes) -> Path:
    path = folder / "stream.bin"
    path.write_bytes(data)
    return path


def ivf(*frames: bytes, header_bytes: int = 32) -> bytes:
    header = b"DKIF\0\0" + header_bytes.to_bytes(2, "little") + b"VP90"
    return header.ljust(header_bytes, b"\0") + b"".join(
        len(frame).to_bytes(4, "little") + bytes(8) + frame for frame in frames
    )


def test_ivf_counts_frames_and_not_its_own_headers(tmp_path: Path) -> None:
    # Worked by hand from libvpx's ivfenc.c: 32 bytes of header, 12 before each frame.
    path = write(tmp_path, ivf(b"abc", b"", b"defgh"))
    assert path.stat().st_size == 32 + 3 * 12 + 8
    assert payload_bytes(path, "ivf") == 8
    assert [unit.size_bytes for unit in units(path, "ivf", "vp9")] == [3, 0, 5]


def test_a_longer_ivf_header_is_honoured(tmp_path: Path) -> None:
    assert payload_bytes(write(tmp_path, ivf(b"abc", header_bytes=40)), "ivf") == 3


@pytest.mark.parametrize("container", ["annexb", "obu", "none"])
def test_every_byte_of_other_streams_counts(tmp_path: Path, container: Container) -> None:
    assert payload_bytes(write(tmp_path, b"\0\0\1\x09\x10"), container) == 5


@pytest.mark.parametrize(
    "data",
    [b"", b"DKIF", ivf(b"abc")[:-1], ivf(b"abc") + b"\5", b"RIFF" + ivf(b"abc")[4:], b"DKIF" + bytes(40), ivf()],
    ids=["empty", "short", "cut", "tail", "foreign", "no header length", "no frame"],
)
def test_a_damaged_ivf_file_is_an_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MediaError, match="damaged or truncated"):
        payload_bytes(write(tmp_path, data), "ivf")


def test_nal_units_of_three_and_four_byte_start_codes(tmp_path: Path) -> None:
    # Types from the tables of H.264, H.265 and H.266: 6, 39 and 23 are (prefix) SEI.
    h264 = b"\0\0\0\1\x67\xaa\0\0\1\x06\x05\0\0\0\1\x65\xbb\xcc"
    found = units(write(tmp_path, h264), "annexb", "h264")
    assert [(unit.kind, unit.size_bytes, unit.extra) for unit in found] == [(7, 2, ""), (6, 2, "SEI"), (5, 3, "")]
    hevc = b"\0\0\1\x40\x01\x0c\0\0\1\x4e\x01\x05"
    assert [(unit.kind, unit.extra) for unit in units(write(tmp_path, hevc), "annexb", "hevc")] == [
        (32, ""),
        (39, "SEI"),
    ]
    vvc = b"\0\0\1\x00\x79\x0c\0\0\1\x00\xb9\x05"
    assert [(unit.kind, unit.extra) for unit in units(write(tmp_path, vvc), "annexb", "vvc")] == [(15, ""), (23, "SEI")]


def test_obus_with_extension_and_long_sizes(tmp_path: Path) -> None:
    # AV1 specification 5.3: type in bits 3-6, extension flag bit 2, size flag bit 1; sizes are leb128.
    data = b"\x12\x00" + b"\x0a\x02\xaa\xbb" + b"\x36\x08\xc8\x01" + bytes(200) + b"\x2a\x01\x00"
    found = units(write(tmp_path, data), "obu", "av1")
    assert [(unit.kind, unit.size_bytes, unit.extra) for unit in found] == [
        (2, 1, ""),
        (1, 3, ""),
        (6, 202, ""),
        (5, 2, "metadata"),
    ]


@pytest.mark.parametrize(
    ("container", "standard", "data"),
    [
        ("obu", "av1", b"\x12\x00\x0a\x05\xaa"),
        ("obu", "av1", b"\x10\x00"),
        ("obu", "av1", b"\x92\x00"),
        ("obu", "av1", b"\x0a" + b"\xff" * 9),
        ("annexb", "hevc", b"no start code"),
        ("annexb", "hevc", b""),
        ("annexb", "hevc", b"\0\0\1"),
        ("annexb", "hevc", b"junk\0\0\1\x40\x01"),
    ],
)
def test_damaged_units_are_errors(tmp_path: Path, container: Container, standard: Standard, data: bytes) -> None:
    with pytest.raises(MediaError, match="damaged or truncated"):
        units(write(tmp_path, data), container, standard)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be read"):
        payload_bytes(tmp_path / "none.ivf", "ivf")


@pytest.mark.parametrize(
    ("encoder", "container", "standard", "format"),
    [
        (["libx264"], "annexb", "h264", "h264"),
        (["libx265", "-x265-params", "log-level=none"], "annexb", "hevc", "hevc"),
        (["libsvtav1", "-preset", "12"], "obu", "av1", "obu"),
        (["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"], "ivf", "vp9", "ivf"),
    ],
)
def test_payload_is_what_an_independent_demuxer_hands_to_a_decoder(
    tmp_path: Path, encoder: list[str], container: Container, standard: Standard, format: str
) -> None:
    clip, path = make_clip(tmp_path / "clip.y4m", 96, 80, 6), tmp_path / "stream.bin"
    run_ffmpeg("-i", clip, "-c:v", *encoder, "-f", format, path)
    with av.open(str(path), format=format) as stream:
        packets = [packet.size for packet in stream.demux(video=0) if packet.size]
    assert payload_bytes(path, container) == sum(packets)
    assert len(packets) == 6
    found = units(path, container, standard)
    assert sum(unit.size_bytes for unit in found) <= sum(packets)


def test_sei_of_an_encoder_that_writes_it_is_seen(tmp_path: Path) -> None:
    clip, path = make_clip(tmp_path / "clip.y4m", 96, 80, 3), tmp_path / "stream.h264"
    run_ffmpeg("-i", clip, "-c:v", "libx264", "-f", "h264", path)
    sei = [unit for unit in units(path, "annexb", "h264") if unit.extra == "SEI"]
    assert b"x264 - core" in path.read_bytes()
    assert len(sei) == 1
    assert sei[0].size_bytes > 500


@given(
    st.binary(max_size=300), st.sampled_from(["annexb", "obu", "ivf", "none"]), st.sampled_from(["h264", "hevc", "vvc"])
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, container: Container, standard: Standard
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    for prefix in (b"", b"\0\0\1", b"DKIF\0\0\x20\0"):
        path.write_bytes(prefix + data)
        try:
            found = units(path, container, standard)
            counted = payload_bytes(path, container)
            frames = access_unit_bytes(path, container, standard)
        except MediaError:
            continue
        assert counted <= len(prefix + data)
        assert frames is None or sum(frames) == counted
        assert sum(unit.size_bytes for unit in found) <= len(prefix + data)
