"""PSNR-HVS, VMAF and CAMBI: what libvmaf gives for what it is fed, in every format."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames
from metric_samples import by_ffmpeg, noisy_pair, scores, setting_of

from evalsuite.engine.compare import compare_files
from evalsuite.metrics.registry import infos, select
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Chroma, VideoFormat

NAMES = "psnr_hvs,vmaf,vmaf_neg,cambi"
GRAPH = (
    "[0:v][1:v]libvmaf=log_fmt=json:log_path=/dev/stdout:feature='name=psnr_hvs|name=cambi'"
    ":model='version=vmaf_v0.6.1\\:name=vmaf|version=vmaf_v0.6.1neg\\:name=vmaf_neg'"
)


def test_golden_src01_pair_is_what_a_bare_command_gives(golden: Path) -> None:
    files = [golden / f"src01_hrc0{number}_576x324.yuv420p10le.yuv" for number in (0, 1)]
    result = compare_files(*files, select(NAMES), Geometry(576, 324, Fraction(24), "yuv420p10le"))
    found = {series.metric: series.values for series in result.series}
    # By FFmpeg's libvmaf filter on the two files, with features psnr_hvs and cambi.
    assert found["psnr_hvs"][:2] == pytest.approx([36.894033, 33.062349], abs=1e-5)
    assert found["cambi"][:2] == pytest.approx([0.930441, 0.962341], abs=1e-5)
    assert found["vmaf"].mean() == pytest.approx(82.564225, abs=1e-4)


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_formats_that_libvmaf_takes_are_handed_over_as_they_are(tmp_path: Path, chroma: Chroma, depth: int) -> None:
    format = VideoFormat(240, 180, depth, chroma)
    source, decoded = noisy_pair(format, 2)
    log = json.loads(by_ffmpeg(GRAPH, format, decoded, source, tmp_path))
    found = scores(NAMES, source, decoded, setting_of(format))
    for name in NAMES.split(","):
        expected = [frame["metrics"][name] for frame in log["frames"]]
        np.testing.assert_allclose(found[name].values, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("depth", "sent"), [(9, 10), (14, 16)])
def test_other_depths_are_shifted_without_loss(depth: int, sent: int) -> None:
    format = VideoFormat(240, 180, depth)
    source, decoded = noisy_pair(format, 2)
    larger = [[tuple(plane << (sent - depth) for plane in frame) for frame in frames] for frames in (source, decoded)]
    expected = scores("vmaf,cambi", *larger, setting_of(VideoFormat(240, 180, sent)))
    found = scores("vmaf,cambi", source, decoded, setting_of(format))
    for name in ("vmaf", "cambi"):
        np.testing.assert_array_equal(found[name].values, expected[name].values)


def test_luma_alone_scores_as_with_any_chroma() -> None:
    source, decoded = noisy_pair(VideoFormat(241, 181), 3)
    with_chroma = scores("vmaf,cambi", source, decoded, setting_of(VideoFormat(241, 181)))
    luma = [[frame[:1] for frame in frames] for frames in (source, decoded)]
    format = VideoFormat(241, 181, 8, "400")
    found = scores("vmaf,cambi,psnr_hvs", *luma, setting_of(format))
    for name in ("vmaf", "cambi"):
        np.testing.assert_array_equal(found[name].values, with_chroma[name].values)
    assert (found["psnr_hvs"].status, found["psnr_hvs"].reason) == (
        "not_applicable",
        "it is defined on luma and chroma, and 4:0:0 has no chroma",
    )


@pytest.mark.parametrize(("size", "scored"), [((640, 18), False), ((1280, 96), False), ((640, 80), True)])
def test_trap19_a_strip_has_no_banding_score_and_costs_the_others_nothing(size: tuple[int, int], scored: bool) -> None:
    """libvmaf ends by a signal on the first two: it writes beyond its coarsest picture."""
    format = VideoFormat(*size)
    found = scores("vmaf,psnr_hvs,cambi", *noisy_pair(format, 2), setting_of(format))
    assert {name: found[name].status for name in ("vmaf", "psnr_hvs")} == {"vmaf": "ok", "psnr_hvs": "ok"}
    assert found["cambi"].status == ("ok" if scored else "too_small")


def test_what_one_metric_cannot_costs_the_others_nothing() -> None:
    deep = VideoFormat(240, 180, 16)
    found = scores(NAMES, *noisy_pair(deep, 2), setting_of(deep))
    assert {name: one.status for name, one in found.items()} == {
        "psnr_hvs": "not_applicable",
        "vmaf": "ok",
        "vmaf_neg": "ok",
        "cambi": "ok",
    }
    small = VideoFormat(208, 200)
    found = scores(NAMES, *noisy_pair(small, 2), setting_of(small))
    assert found["cambi"].status == "too_small"
    assert "216 samples on the longer side" in found["cambi"].reason
    assert found["psnr_hvs"].status == "ok"
    grey = VideoFormat(208, 200, 8, "400")
    found = scores("psnr_hvs,cambi", *noisy_pair(grey, 2), setting_of(grey))
    assert {name: one.status for name, one in found.items()} == {"psnr_hvs": "not_applicable", "cambi": "too_small"}


def test_an_error_that_is_not_there_is_infinite_not_null() -> None:
    format = VideoFormat(64, 64)
    frames = list(moving_frames(format, 2))
    assert np.isposinf(scores("psnr_hvs", frames, frames, setting_of(format))["psnr_hvs"].values).all()


def test_cambi_sees_banding_and_nothing_else() -> None:
    format = VideoFormat(640, 360)
    grey = np.full((180, 320), 128, np.uint8)
    # Sixteen levels over the width: bands of 40 samples, one level apart, are what the eye finds in a sky.
    ramp = np.broadcast_to(np.linspace(40, 56, 640), (360, 640))
    noise = np.random.default_rng(5).normal(0, 2, ramp.shape)
    pictures = {
        "dithered": np.rint(ramp + np.random.default_rng(4).uniform(-0.5, 0.5, ramp.shape)),
        "bands": np.rint(ramp),
        "noise on bands": np.rint(np.rint(ramp) + noise),
    }
    frames = {name: (picture.astype(np.uint8), grey, grey) for name, picture in pictures.items()}
    found = {
        name: scores("cambi", [frames["dithered"]], [frame], setting_of(format))["cambi"].values[0]
        for name, frame in frames.items()
    }
    assert found["bands"] > 5 * found["dithered"]
    assert found["bands"] > 5 * found["noise on bands"]
    assert infos()["cambi"].higher_is_better is False


@pytest.mark.parametrize("name", ["psnr_hvs", "vmaf", "vmaf_neg"])
def test_more_noise_is_never_better(name: str) -> None:
    format = VideoFormat(192, 176)
    means = [
        scores(name, *noisy_pair(format, 2, amount), setting_of(format))[name].values.mean()
        for amount in (0.01, 0.03, 0.1)
    ]
    assert means[0] > means[1] > means[2]
