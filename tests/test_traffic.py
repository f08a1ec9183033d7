"""Traffic figures: closed forms, a simulated buffer, and the packets of real streams."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import moving_frames
from hypothesis import given
from hypothesis import strategies as st
from sample_recipes import point, sequence_of
from sample_streams import DEMUXERS, FRAMES, stream

from evalsuite.codec.bitstream import access_unit_bytes
from evalsuite.codec.packets import packets
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import encode
from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import MediaError, ProcessError
from evalsuite.metrics.base import Packets, Setting
from evalsuite.metrics.pooling import pool
from evalsuite.metrics.registry import infos, select
from evalsuite.metrics.traffic import due_bits, smallest_bucket, statistics
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import CodecReport, Colour, Packet, Series, Usage, VideoFormat

NAMES = ("peak_to_mean", "peak_kbps", "vbv_bits", "vbv_seconds", "frame_dispersion")
FORMAT = VideoFormat(50, 34)
SETTING = Setting(FORMAT, Colour("bt709"), Fraction(25))


def nothing() -> CodecReport:
    raise AssertionError("nobody should ask")


def measured(ask: Packets | None, frames: int = 5) -> dict[str, Series]:
    video = list(moving_frames(FORMAT, frames))
    given = {} if ask is None else {"it": ask}
    wanted = select(",".join((*NAMES, "frame_bits")))
    result = measure(video, SETTING, {"it": iter(video)}, wanted, packets=given)["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def test_a_constant_rate_has_no_peaks() -> None:
    found = statistics([800] * 50, Fraction(25))
    assert found == {
        "peak_to_mean": 1.0,
        "peak_kbps": 20.0,  # 25 frames of 800 bits a second
        "vbv_bits": 800.0,  # one frame
        "vbv_seconds": pytest.approx(1 / 25),
        "frame_dispersion": 0.0,
    }


def test_one_large_frame_by_hand() -> None:
    # 900 bits, then nine of 100: the mean is 180. The bucket holds 900, then falls by 180 - 100 with each frame.
    bits = [900, *[100] * 9]
    found = statistics(bits, Fraction(5))
    assert found["peak_to_mean"] == 5
    assert found["peak_kbps"] == pytest.approx(1.3)  # 900 + 4 x 100 in a second of five frames
    assert found["vbv_bits"] == 900
    assert found["vbv_seconds"] == pytest.approx(1.0)  # 900 bits at 5 x 180 a second
    assert found["frame_dispersion"] == pytest.approx(240**2 / 180)  # deviations 720 and nine times -80


def test_two_bursts_in_a_row_add_up() -> None:
    # The mean is 40: the second burst falls into what the first one has left.
    assert smallest_bucket([100, 100, 0, 0, 0]) == 160


def test_a_second_is_a_second_at_odd_rates_and_in_short_videos() -> None:
    assert statistics([1000] * 90, Fraction(30000, 1001))["peak_kbps"] == pytest.approx(30000 / 1001)
    assert statistics([1000, 3000], Fraction(25))["peak_kbps"] == pytest.approx(2000 * 25 / 1000)
    assert statistics([1000, 3000], Fraction(1, 2))["peak_kbps"] == pytest.approx(1.5)


def test_a_packet_of_several_frames_falls_due_at_the_first() -> None:
    assert due_bits((Packet(10, 3), Packet(5), Packet(7, 2))) == [80, 0, 0, 40, 56, 0]


def test_bits_of_frames_are_those_that_fall_due_and_have_a_mean_alone() -> None:
    series = measured(lambda: (Packet(10, 2), Packet(5, 3)))["frame_bits"]
    assert series.values.tolist() == [80, 0, 40, 0, 0]
    assert series.frames is None
    info = infos()["frame_bits"]
    assert (info.per_frame, info.higher_is_better, info.unit) == (True, None, "bit")
    assert [(one.statistic, one.score) for one in pool(series, info)] == [("mean", 8 * 15 / 5)]


@pytest.mark.parametrize("name", ["x264", "vp9"])
def test_bits_of_frames_are_those_of_ffmpegs_packets(name: str) -> None:
    encoded, recipe = stream(name), load_recipe(name)
    series = measured(lambda: packets(recipe, encoded.path, nothing), FRAMES)["frame_bits"]
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        assert series.values.tolist() == [8 * packet.size for packet in container.demux(video=0) if packet.size]
    assert series.values.mean() == pytest.approx(8 * encoded.payload_bytes / FRAMES, rel=1e-12)


def plays(bits: list[int], size: Fraction) -> bool:
    """Whether a decoder's buffer of this size, full at the start and filled at the mean rate, never lacks a frame."""
    mean = Fraction(sum(bits), len(bits))
    fullness = size
    for frame in bits:
        if frame > fullness:
            return False
        fullness = min(fullness - frame + mean, size)
    return True


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any))
def test_the_bucket_is_the_smallest_that_works(bits: list[int]) -> None:
    size = smallest_bucket(bits)
    assert plays(bits, size)
    assert not plays(bits, size - Fraction(1, len(bits)))
    assert max(bits) <= size <= sum(bits)


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    st.fractions(Fraction(1), Fraction(120), max_denominator=1001),
)
def test_figures_keep_to_their_ranges_and_scale_with_size(sizes: list[int], rate: Fraction) -> None:
    once, twice = statistics(sizes, rate), statistics([2 * size for size in sizes], rate)
    for name in NAMES:
        low, high = infos()[name].range
        assert low - 1e-12 <= once[name] <= high
    assert twice["peak_to_mean"] == pytest.approx(once["peak_to_mean"])
    assert twice["vbv_seconds"] == pytest.approx(once["vbv_seconds"])
    for name in ("peak_kbps", "vbv_bits", "frame_dispersion"):
        assert twice[name] == pytest.approx(2 * once[name])


def test_states_without_a_figure() -> None:
    assert {one.status for one in measured(None).values()} == {"not_applicable"}
    told_nothing = measured(lambda: ())
    assert {one.status for one in told_nothing.values()} == {"not_applicable"}
    assert "does not tell" in told_nothing["vbv_bits"].reason
    others = measured(lambda: (Packet(10, 2), Packet(5, 2)))
    assert {one.status for one in others.values()} == {"failed"}
    assert "another number of frames" in others["vbv_bits"].reason

    def broken() -> tuple[Packet, ...]:
        raise ProcessError("the codec's report did not come")

    assert {one.status for one in measured(broken).values()} == {"failed"}
    assert {one.status for one in measured(lambda: (Packet(10, 2), Packet(5, 3))).values()} == {"ok"}


def test_traffic_describes_and_is_of_the_whole_sequence() -> None:
    for name in NAMES:
        assert infos()[name].higher_is_better is None
        assert not infos()[name].per_frame


@pytest.mark.parametrize(
    "name",
    ["x264", "x265", "x265:lowdelay", "svtav1", "svtav1:lowdelay", "libaom", "rav1e", "vp9", "vvenc", "kvazaar"],
)
def test_access_units_are_what_ffmpegs_parsers_find(name: str) -> None:
    encoded, recipe = stream(name), load_recipe(name)
    sizes = access_unit_bytes(encoded.path, recipe.container, recipe.standard)
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        expected = [packet.size for packet in container.demux(video=0) if packet.size]
    assert sizes is not None
    assert list(sizes) == expected
    assert len(sizes) == FRAMES
    assert sum(sizes) == encoded.payload_bytes
    assert packets(recipe, encoded.path, nothing) == tuple(Packet(size) for size in expected)


def test_pictures_of_several_slices_are_one_frame(tmp_path: Path) -> None:
    from conftest import make_clip, run_ffmpeg

    clip = make_clip(tmp_path / "clip.y4m", 96, 80, 7)
    for encoder, options, format, standard in (
        ("libx264", ["-x264-params", "slices=4:aud=1"], "h264", "h264"),
        ("libx265", ["-x265-params", "slices=2:aud=1:log-level=none"], "hevc", "hevc"),
    ):
        path = tmp_path / f"stream.{format}"
        run_ffmpeg("-i", clip, "-c:v", encoder, *options, "-f", format, path)
        with av.open(str(path), format=format) as container:
            expected = [packet.size for packet in container.demux(video=0) if packet.size]
        assert len(expected) == 7
        assert list(access_unit_bytes(path, "annexb", standard) or ()) == expected  # type: ignore[arg-type]


def test_tvc_tells_its_packets_and_they_are_the_whole_file(tmp_path: Path) -> None:
    frames = 13
    source = tmp_path / "source.y4m"
    write_y4m(source, FORMAT, Fraction(25), moving_frames(FORMAT, frames))
    recipe = load_recipe("tvc")
    encoded = encode(recipe, sequence_of(source, frames), point(recipe, 3, 4), tmp_path / "stream.tvc", timeout=120)
    found = packets(recipe, encoded.path, lambda: report(recipe, encoded.path, timeout=60))
    assert sum(packet.bytes for packet in found) == encoded.payload_bytes
    # An intra frame every four frames: slots of four, the last one filled up.
    assert [packet.frames for packet in found] == [4, 4, 4, 1]


def test_packets_that_nobody_tells_are_none(tmp_path: Path) -> None:
    path = tmp_path / "stream.bin"
    path.write_bytes(b"bits")
    assert packets(load_recipe("tvc"), path, lambda: CodecReport({}, Usage(0, 0))) == ()


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (0, 0)])
def test_packets_that_are_not_the_file_are_refused(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """What is told of the frames is the rate that is counted: an estimate, or less than all of the file, is not."""
    path = tmp_path / "stream.bin"
    path.write_bytes(b"bits")
    told = CodecReport({}, Usage(0, 0), tuple(map(Packet, sizes)))
    with pytest.raises(MediaError, match="are not its bitstream"):
        packets(load_recipe("tvc"), path, lambda: told)


def test_index_of_dispersion_is_numpys() -> None:
    bits = [5, 1, 9, 0, 3]
    assert statistics(bits, Fraction(25))["frame_dispersion"] == pytest.approx(np.var(bits) / np.mean(bits))
