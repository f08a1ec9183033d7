"""Sources beyond 8-bit 4:2:0 through whole commands: what is carried, what is measured, and what is not."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip, moving_frames, run_ffmpeg
from json_schema import published_schema, violations
from run_bench import Bench
from sample_videos import hdr10_video

from evalsuite.engine.compare import compare_files
from evalsuite.errors import RequestError
from evalsuite.metrics.registry import infos, select
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, join_planes, write_y4m
from evalsuite.types import Status, VideoFormat

HDR10_IN_JSON = {
    "colour": "bt2020 limited pq",
    "transfer": "pq",
    "primaries": "bt2020",
    "mastering_display": {
        "red": [0.708, 0.292],
        "green": [0.17, 0.797],
        "blue": [0.131, 0.046],
        "white": [0.3127, 0.329],
        "luminance_cd_m2": [0.005, 1000],
    },
    "content_light": {"max_cll_cd_m2": 1000, "max_fall_cd_m2": 400},
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def statuses(bench: Bench) -> dict[str, str]:
    points = bench.points()
    means = points[points["statistic"] == "mean"]
    return dict(zip(means["metric"], means["status"], strict=True))


def run(bench: Bench, codec: str, *more: str, metrics: str = "psnr_y,psnr_cb,lpips", expect: int = 0) -> str:
    done = bench.run(
        *("run", "--codecs", codec, "--match", "none", "--store", "store", "--jobs", "1", "--metrics", metrics, *more),
        expect=expect,
    )
    return done.stderr


def test_an_hdr10_source_is_coded_in_10_bit_and_its_metadata_is_carried(bench: Bench) -> None:
    hdr10_video(bench.folder / "hdr.mp4")
    run(bench, "x265:10bit", "--sequences", "hdr.mp4")
    summary = bench.summary()
    assert violations(summary, published_schema(), published_schema()) == []
    (sequence,) = summary["sequences"]
    assert {key: sequence[key] for key in HDR10_IN_JSON} == HDR10_IN_JSON
    assert (sequence["bit_depth"], sequence["chroma"]) == (10, "420")
    assert statuses(bench) == {"psnr_y": "ok", "psnr_cb": "ok", "lpips": "not_applicable"}
    points = bench.points()
    assert points[(points["metric"] == "psnr_y") & (points["statistic"] == "mean")]["score"].max() > 35
    assert set(points[points["metric"] == "lpips"]["reason"]) == {"it is defined for SDR, this is PQ"}


def test_what_is_said_of_a_file_is_part_of_a_scores_key_where_it_bears_on_it(bench: Bench) -> None:
    path = make_clip(bench.folder / "deep.y4m", 64, 48, 3, bit_depth=10)
    arguments = (bench, "x265:10bit", "--sequences", str(path), "--transfer")
    run(*arguments, "pq", metrics="psnr_y,vmaf")
    assert statuses(bench) == {"psnr_y": "ok", "vmaf": "not_applicable"}
    run(*arguments, "sdr", metrics="psnr_y,vmaf")
    assert statuses(bench) == {"psnr_y": "ok", "vmaf": "ok"}
    outcomes = bench.summary()["outcomes"]
    assert (outcomes["encodes"], outcomes["encodes_cached"]) == (0, 5)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "chroma"), [("x265", "gray", "not_applicable"), ("x264:10bit", "yuv422p10le", "ok")]
)
def test_a_raw_source_of_any_chroma(bench: Bench, codec: str, pixel_format: str, chroma: Status) -> None:
    format = VideoFormat(65, 49, *PIXEL_FORMATS[pixel_format])
    (bench.folder / "raw.yuv").write_bytes(b"".join(map(join_planes, moving_frames(format, 3))))
    geometry = ("--size", "65x49", "--fps", "25", "--pixel-format", pixel_format)
    run(bench, codec, "--sequences", "raw.yuv", *geometry, "--matrix", "bt709", "--range", "limited")
    assert bench.summary()["sequences"][0]["colour"] == "bt709 limited"
    assert statuses(bench)["psnr_y"] == "ok"
    assert statuses(bench)["psnr_cb"] == chroma


def test_a_codec_that_does_not_take_a_format_says_so_before_anything_starts(bench: Bench) -> None:
    path = make_clip(bench.folder / "deep.y4m", 64, 48, 3, bit_depth=10)
    said = run(bench, "x265", "--sequences", str(path), expect=2)
    assert "does not take this pixel format" in said
    assert "name x265:10bit" in said
    assert not (bench.folder / "store").exists()
    said = run(
        bench, "kvazaar", "--sequences", str(make_clip(bench.folder / "c.y4m", 64, 48, 3, chroma="444")), expect=2
    )
    assert "got: yuv444p" in said


def test_the_colour_of_a_dataset_is_in_its_manifest(bench: Bench) -> None:
    assert "its manifest" in run(bench, "x265", "--dataset", "demo", "--matrix", "bt709", expect=2)


def test_measure_says_what_the_source_is(bench: Bench) -> None:
    path = str(hdr10_video(bench.folder / "hdr.mkv"))
    done = bench.run("measure", path, path, "--metrics", "psnr_y,vmaf", "--json")
    document = json.loads(done.stdout)
    format = {"width": 64, "height": 64, "pixel_format": "yuv420p10le", "frame_rate": "25"}
    assert document["source"] == {**format, **HDR10_IN_JSON}
    assert document["scores"]["vmaf"]["status"] == "not_applicable"
    stated = ("--matrix", "bt709", "--range", "full", "--transfer", "sdr")
    document = json.loads(bench.run("measure", path, path, "--metrics", "psnr_y,vmaf", "--json", *stated).stdout)
    assert document["source"]["colour"] == "bt709 full"
    assert document["scores"]["vmaf"]["status"] == "ok"


def test_metrics_of_rgb_say_that_a_matrix_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.1", "-vf", "format=yuv444p10le,setparams=colorspace=bt2020c"]
    run_ffmpeg(*source, "-c:v", "ffv1", path)
    names = {info.name for info in infos().values() if "rgb" in info.needs}
    by_name = {one.metric: one for one in compare_files(path, path, select(",".join([*names, "psnr_y"]))).series}
    assert by_name.pop("psnr_y").status == "ok"
    assert {one.status for one in by_name.values()} == {"not_applicable"}
    assert {one.reason for one in by_name.values()} == {
        "it needs RGB, and there is no conversion from the matrix bt2020c"
    }


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_metrics_that_are_of_sdr_say_so(tmp_path: Path, transfer: str) -> None:
    path = make_clip(tmp_path / "deep.y4m", 64, 64, 2, bit_depth=10)
    wanted = tuple(info for info in select("all") if not info.hdr)
    series = compare_files(path, path, wanted, transfer=transfer).series
    assert {one.status for one in series} == {"not_applicable"}
    assert {one.reason for one in series} == {f"it is defined for SDR, this is {transfer.upper()}"}


def test_a_geometry_of_files_that_say_their_own_is_refused(tmp_path: Path) -> None:
    geometry = Geometry(64, 48, Fraction(60), "yuv420p")
    told, raw = tmp_path / "clip.y4m", tmp_path / "clip.yuv"
    frames = list(moving_frames(geometry.format(), 2))
    write_y4m(told, geometry.format(), Fraction(30), frames)
    raw.write_bytes(b"".join(map(join_planes, frames)))
    with pytest.raises(RequestError, match="of raw files, and none is named"):
        compare_files(told, told, select("psnr_y"), geometry)
    assert np.isposinf(compare_files(told, raw, select("psnr_y"), geometry).series[0].values).all()


@pytest.mark.parametrize(("pixel_format", "chroma"), [("gray16le", "not_applicable"), ("yuv444p12le", "ok")])
def test_a_raw_pair_of_any_chroma_is_compared(tmp_path: Path, pixel_format: str, chroma: Status) -> None:
    geometry = Geometry(33, 17, Fraction(25), pixel_format)
    path = tmp_path / "clip.yuv"
    path.write_bytes(b"".join(map(join_planes, moving_frames(geometry.format(), 2))))
    result = compare_files(path, path, select("psnr_y,psnr_cb,psnr_rgb"), geometry, matrix="bt2020")
    assert result.setting.format == geometry.format()
    assert str(result.setting.colour) == "bt2020 limited"
    by_name = {one.metric: one for one in result.series}
    assert by_name["psnr_cb"].status == chroma
    for name in ("psnr_y", "psnr_rgb"):
        assert np.isposinf(by_name[name].values).all()
