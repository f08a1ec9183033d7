"""Geometry from file names: those of the field's test sequences, and that no name breaks the parser."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import MediaError
from evalsuite.sources.filenames import Named, parse_name, raw_geometry
from evalsuite.sources.y4m import DEPTHS, Geometry

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", Named(1920, 1080, Fraction(120), 8, "420")),
        ("Beauty_3840x2160_120fps_420_10bit_YUV.yuv", Named(3840, 2160, Fraction(120), 10, "420")),
        ("BasketballDrive_1920x1080_50.yuv", Named(1920, 1080, Fraction(50))),
        ("videoSRC01_1920x1080_30.yuv", Named(1920, 1080, Fraction(30))),
        ("FourPeople_1280x720_60.yuv", Named(1280, 720, Fraction(60))),
        ("akiyo_cif.y4m", Named(352, 288)),
        ("bus_qcif_15fps.y4m", Named(176, 144, Fraction(15))),
        ("bus_qcif_7.5fps.y4m", Named(176, 144, Fraction(15, 2))),
        ("claire_qcif-5.994Hz.y4m", Named(176, 144, Fraction(6000, 1001))),
        ("harbour_4cif.y4m", Named(704, 576)),
        ("mobile_sif.y4m", Named(352, 240)),
        ("Netflix_Boat_4096x2160_60fps_10bit_420.y4m", Named(4096, 2160, Fraction(60), 10, "420")),
        ("ABangkokMarketVidevo_3840x2176_25fps_10bit_420.mp4", Named(3840, 2176, Fraction(25), 10, "420")),
        # 23.976 without its decimals: not 23, and not to be guessed.
        ("ABoatsChaoPhrayaRiverVidevo_3840x2176_23fps_10bit_420.mp4", Named(3840, 2176, None, 10, "420")),
        ("crowd_run_1080p50.y4m", Named(1920, 1080, Fraction(50))),
        ("park_joy_420_720p50.y4m", Named(1280, 720, Fraction(50), None, "420")),
        ("720p5994_stockholm_ter.y4m", Named(1280, 720, 2 * NTSC)),
        ("vidyo1_720p_60fps.y4m", Named(1280, 720, Fraction(60))),
        ("BlueSky_360p25_v2.y4m", Named(640, 360, Fraction(25))),
        ("Campfire_3840x2160_30fps_10bit_420_bt709_videoRange.yuv", Named(3840, 2160, Fraction(30), 10, "420")),
        ("Traffic_2560x1600_30_crop.yuv", Named(2560, 1600, Fraction(30))),
        ("Aerial3200_1920x1080_5994_10bit_420.y4m", Named(1920, 1080, 2 * NTSC, 10, "420")),
        ("PierSeaSide_3840x2160_2997fps_10bit_420_v2.y4m", Named(3840, 2160, NTSC, 10, "420")),
        ("MeridianTalk_sdr_1920x1080p_5994_10bit.y4m", Named(1920, 1080, 2 * NTSC, 10)),
        ("ControlledBurn_1280x720p30_420.y4m", Named(1280, 720, Fraction(30), None, "420")),
        ("H05_BalloonFestival_1920x1080p_25_10b_pq_709_ct2020_420.yuv", Named(1920, 1080, Fraction(25), 10, "420")),
        ("sc_cad_waveform_1920x1080_20_8bit_200_444_r1.yuv", Named(1920, 1080, Fraction(20), 8, "444")),
        ("CT_Cardiac_512x512_12bit_400.yuv", Named(512, 512, None, 12, "400")),
        ("src01_hrc00_576x324.yuv420p10le.yuv", Named(576, 324, None, 10, "420")),
        ("clip-640x360-29.97.yuv", Named(640, 360, NTSC)),
        ("clip 640x360 23.976 fps.yuv", Named(640, 360, Fraction(24000, 1001))),
        ("holiday.yuv", Named()),
        ("2026-11-28 party.mp4", Named()),
        ("", Named()),
    ],
)
def test_names_of_the_field(name: str, said: Named) -> None:
    assert parse_name(name) == said


words = st.text("abcXYZ", min_size=1, max_size=6).filter(lambda word: word.lower() not in ("cif", "sif", "b", "p"))


@given(
    word=words,
    width=st.integers(16, 8192),
    height=st.integers(16, 8192),
    rate=st.sampled_from([(24, "24"), (25, "25fps"), (60, "60"), (120, "120FPS"), (NTSC, "29.97"), (2 * NTSC, "5994")]),
    depth=st.sampled_from([None, *DEPTHS]),
    chroma=st.sampled_from([None, "420", "422", "444", "400"]),
    suffix=st.sampled_from([".yuv", ".y4m", ".mp4", ".YUV", ""]),
)
def test_what_is_put_into_a_name_is_read_from_it(
    word: str, width: int, height: int, rate: tuple[Fraction, str], depth: int | None, chroma: str | None, suffix: str
) -> None:
    parts = [word, f"{width}x{height}", rate[1], *([f"{depth}bit"] if depth else []), *([chroma] if chroma else [])]
    found = parse_name("_".join(parts) + suffix)
    assert (found.width, found.height, found.frame_rate) == (width, height, rate[0])
    assert (found.bit_depth, found.chroma) == (depth, chroma)


@settings(max_examples=500)
@given(st.text(max_size=40) | st.text("0123456789xpXfbit_.-", max_size=30))
def test_no_name_breaks_it(name: str) -> None:
    found = parse_name(name)
    assert found.frame_rate is None or 0 < found.frame_rate <= 300
    assert found.bit_depth in (None, *DEPTHS)
    assert (found.width is None) == (found.height is None)


def test_a_raw_file_is_held_against_its_size(tmp_path: Path) -> None:
    path = tmp_path / "clip_16x16_50.yuv"
    path.write_bytes(bytes(3 * 384))
    assert raw_geometry(path) == Geometry(16, 16, Fraction(50), "yuv420p")
    deep = tmp_path / "clip_16x16_50_10bit_422.yuv"
    deep.write_bytes(bytes(2 * 16 * 16 * 2 * 2))
    assert raw_geometry(deep) == Geometry(16, 16, Fraction(50), "yuv422p10le")


@pytest.mark.parametrize("size", [0, 383, 385, 1000])
def test_a_name_that_contradicts_the_size_says_both(tmp_path: Path, size: int) -> None:
    path = tmp_path / "clip_16x16_50.yuv"
    path.write_bytes(bytes(size))
    with pytest.raises(MediaError, match="contradict each other") as caught:
        raw_geometry(path)
    assert "384 bytes (16x16 yuv420p" in str(caught.value)
    assert f"{size} bytes" in str(caught.value)


@pytest.mark.parametrize(("name", "missing"), [("clip_50.yuv", "size"), ("clip_16x16.yuv", "frame rate")])
def test_half_a_geometry_is_named(tmp_path: Path, name: str, missing: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(384))
    with pytest.raises(MediaError, match=f"does not say its {missing}"):
        raw_geometry(path)
