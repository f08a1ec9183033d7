"""What every registered metric of frames must hold to: identity, range, direction, size, depth, growing distortions."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import run_ffmpeg
from sample_faces import clip

from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import Setting
from evalsuite.metrics.pooling import Pooled, pool
from evalsuite.metrics.registry import families, infos
from evalsuite.sources.y4m import join_planes, split_planes
from evalsuite.types import Colour, Frame, Plane, Series, VideoFormat

# Told by the codec, by its files or its processes, not by frames: tests of their own hold those.
NOT_OF_FRAMES = {"report", "packets", "costs", "delivery"}
METRICS = {
    name: info
    for name, info in infos().items()
    if not NOT_OF_FRAMES & set(info.needs) and info.family != "content"  # of the source alone
}

WIDTH, HEIGHT = 344, 192
FRAMES = 2

STRENGTHS = {"blur": (1, 3), "noise": (5, 30), "coding": (30, 40)}
"""Deviation of a Gaussian in samples; of noise in levels; QP of x264."""

BEST = {
    **dict.fromkeys(("psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb"), math.inf),
    **dict.fromkeys(("psnr_hvs", "ciede2000", "xpsnr", "xpsnr_y", "xpsnr_cb", "xpsnr_cr"), math.inf),
    **dict.fromkeys(("ssim", "ms_ssim", "sharpness", "scene_integrity", "scene_integrity_low"), 1),
    **dict.fromkeys(("lpips", "lpips_vgg", "dists", "tlpips", "tof", "warp_error", "flicker", "frame_diff_mad"), 0),
    **dict.fromkeys(("strred", "strred_ssn", "srred", "trred", "landmark_nme", "landmark_nme_centerface"), 0),
    **dict.fromkeys(("face_ap50", "face_recall", "face_precision", "face_matched", "identity_cos"), 1),
    **dict.fromkeys(("face_ap50_centerface", "face_recall_centerface", "face_matched_centerface"), 1),
    **dict.fromkeys(("warp_error_ratio", "sharpness_fine", "sharpness_medium", "sharpness_coarse"), 1),
    "ssimulacra2": 100,
    "cvvdp": 10,
    "text_recall": 1,
    "text_cer": 0,
    "object_map50": 1,
}
"""The score of a source against itself. VMAF's regression only comes near 100; the others know no source."""

NO_REFERENCE = {"niqe", "brisque", "cambi"}

GROWING = {
    "blur": {
        *("psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb", "psnr_hvs", "ciede2000", "xpsnr"),
        *("xpsnr_y", "xpsnr_cb", "xpsnr_cr", "ssim", "ms_ssim", "vmaf", "vmaf_neg", "lpips", "lpips_vgg", "dists"),
        *("cvvdp", "ssimulacra2", "sharpness", "scene_integrity", "strred", "strred_ssn", "srred"),
    },
    "noise": {
        *("psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb", "psnr_hvs", "ciede2000", "xpsnr"),
        *("xpsnr_y", "xpsnr_cb", "xpsnr_cr", "ssim", "ms_ssim", "vmaf", "vmaf_neg", "lpips", "lpips_vgg", "dists"),
        *("cvvdp", "ssimulacra2", "scene_integrity", "tlpips", "tof", "warp_error", "flicker", "frame_diff_mad"),
    },
    "coding": {
        *("psnr_y", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb", "psnr_hvs", "ciede2000", "xpsnr", "xpsnr_y", "ssim"),
        *("ms_ssim", "vmaf", "vmaf_neg", "lpips", "lpips_vgg", "dists", "cvvdp", "ssimulacra2", "sharpness"),
        *("scene_integrity", "strred", "srred", "identity_cos"),
    },
}
"""Which metrics never improve as a distortion grows. The others are blind to it, or say so in their traps."""


@functools.cache
def source() -> tuple[tuple[Frame, ...], Setting]:
    """Neighbouring frames with a face, at half their size."""
    frames, setting = clip("face", FRAMES, step=1)
    small = [
        tuple(
            np.asarray(cv2.resize(plane, (WIDTH // part, HEIGHT // part), interpolation=cv2.INTER_AREA), np.uint8)
            for plane, part in zip(frame, (1, 2, 2), strict=True)
        )
        for frame in frames
    ]
    return tuple(small), replace(setting, format=VideoFormat(WIDTH, HEIGHT))


def distort(kind: str, strength: float) -> tuple[Frame, ...]:
    """The source with more of one distortion."""
    frames, setting = source()
    rng = np.random.default_rng(3)

    def blurred(plane: Plane) -> Plane:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), strength), np.uint8)

    def noisy(plane: Plane) -> Plane:
        return np.clip(plane + rng.normal(0, strength, plane.shape), 0, 255).astype(np.uint8)

    if kind == "coding":
        return coded(frames, setting, int(strength))
    change = {"blur": blurred, "noise": noisy}[kind]
    return tuple(tuple(change(plane) for plane in frame) for frame in frames)


def coded(frames: tuple[Frame, ...], setting: Setting, qp: int) -> tuple[Frame, ...]:
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}")
    encode = ("-c:v", "libx264", "-threads", "1", "-qp", str(qp), "-f", "h264", "pipe:1")
    stream = run_ffmpeg(*raw, "-i", "pipe:0", *encode, data=b"".join(map(join_planes, frames)))
    data = run_ffmpeg("-f", "h264", "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1", data=stream)
    size = setting.format.frame_bytes
    return tuple(split_planes(data[start : start + size], setting.format) for start in range(0, len(data), size))


@functools.cache
def results() -> dict[tuple[str, float], dict[str, Series]]:
    """Every metric on every distortion, measured together."""
    frames, setting = source()
    cases = {("none", 0.0): frames}
    cases |= {(kind, level): distort(kind, level) for kind, levels in STRENGTHS.items() for level in levels}
    measured = measure(frames, setting, {str(key): iter(made) for key, made in cases.items()}, METRICS.values())
    found = {}
    for key in cases:
        result = measured[str(key)]
        assert isinstance(result, Measured), result
        found[key] = {series.metric: series for series in result.series}
    return found


def mean(name: str, case: tuple[str, float]) -> Pooled:
    """The mean of a metric; skips where it cannot run here, or has nothing to look at."""
    series = results()[case][name]
    if series.status == "unavailable":
        pytest.skip(f"{name} cannot run here: {series.reason}")
    assert series.status != "failed", series.reason
    if series.status == "not_applicable":
        pytest.skip(f"{name} does not apply to a face without text: {series.reason}")
    return pool(series, METRICS[name])[0]


def test_every_metric_has_its_place_in_this_list() -> None:
    ours = {name for family in families() if _shipped(family.open) for name in (info.name for info in family.infos)}
    known = set(BEST) | NO_REFERENCE | {"vmaf", "vmaf_neg"}
    assert ours & set(METRICS) == known


def _shipped(function: object) -> bool:
    return getattr(function, "__module__", "").startswith("evalsuite.")


@pytest.mark.parametrize("name", METRICS)
def test_identity_has_the_best_score(name: str) -> None:
    pooled = mean(name, ("none", 0.0))
    if name in BEST:
        assert pooled.score == pytest.approx(BEST[name], abs=1e-6)
        assert pooled.status == ("infinite" if math.isinf(BEST[name]) else "ok")
    elif name.startswith("vmaf"):
        assert 90 < pooled.score <= 100


@pytest.mark.parametrize("name", METRICS)
def test_scores_stay_in_range_and_the_best_is_the_source_itself(name: str) -> None:
    info = METRICS[name]
    best = mean(name, ("none", 0.0)).score
    for case in results():
        pooled = mean(name, case)
        low, high = info.range
        assert low <= pooled.score <= high or (pooled.status == "infinite" and math.isinf(high))
        if name not in NO_REFERENCE and info.higher_is_better is not None:
            assert pooled.score <= best + 1e-9 if info.higher_is_better else pooled.score >= best - 1e-9


@functools.cache
def extremes() -> list[Series]:
    """Every metric on what is as far from its source as it can be: negatives, one for the other from frame to frame."""
    _, setting = source()
    setting = replace(setting, colour=Colour("bt709", full_range=True))
    rng = np.random.default_rng(5)
    black, white = (
        tuple(np.full(shape, level, np.uint8) for shape in setting.format.plane_shapes) for level in (0, 255)
    )
    noise: Frame = tuple(rng.integers(0, 256, shape, np.uint8) for shape in setting.format.plane_shapes)
    negative = tuple(255 - plane for plane in noise)
    pairs = ((black, white), (noise, negative), (black, noise), (noise, black))
    found: list[Series] = []
    for one, other in pairs:
        result = measure([one, other] * 2, setting, {"it": iter([other, one] * 2)}, METRICS.values())["it"]
        assert isinstance(result, Measured), result
        found += result.series
    return found


@pytest.mark.parametrize("name", METRICS)
def test_scores_of_extremes_stay_in_range(name: str) -> None:
    low, high = METRICS[name].range
    for series in extremes():
        assert series.status != "failed", series.reason
        if series.metric == name and series.status == "ok":
            numbers = series.values[np.isfinite(series.values)]
            assert ((numbers > low - 1e-6) & (numbers < high + 1e-6)).all(), numbers


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in GROWING.items() for name in sorted(names)])
def test_more_distortion_is_never_better(kind: str, name: str) -> None:
    scores = [mean(name, case).score for case in (("none", 0.0), *((kind, level) for level in STRENGTHS[kind]))]
    for less, more in itertools.pairwise(scores):
        assert less > more if METRICS[name].higher_is_better else less < more


@pytest.mark.parametrize("depth", [10, 16])
def test_depth_does_not_change_what_is_seen(depth: int) -> None:
    frames, setting = source()
    deeper = replace(setting, format=replace(setting.format, bit_depth=depth))

    def deep(made: tuple[Frame, ...]) -> list[Frame]:
        return [tuple(plane.astype(np.uint16) << (depth - 8) for plane in frame) for frame in made]

    case = ("coding", 40)
    decoded = deep(distort(*case))
    # CAMBI filters the dither out of 8-bit pictures that it expects in them: by its definition depth matters.
    metrics = [info for info in METRICS.values() if info.name != "cambi"]
    result = measure(deep(frames), deeper, {"it": iter(decoded)}, metrics)["it"]
    assert isinstance(result, Measured)
    for series in result.series:
        shallow = results()[case][series.metric]
        if "ok" not in (series.status, shallow.status):
            continue
        if series.status == "not_applicable":
            assert "bit" in series.reason, series.metric
            continue
        assert series.status == "ok", (series.metric, series.reason)
        deeper_mean, expected = (pool(one, METRICS[series.metric])[0].score for one in (series, shallow))
        # Peak is 2^bits - 1, full scale of code values, so a shifted picture is not quite the same picture.
        assert deeper_mean == pytest.approx(expected, rel=0.03, abs=0.02), series.metric


@pytest.mark.parametrize("side", [1, 2, 8, 16, 33])
def test_trap19_a_small_picture_is_measured_or_said_to_be_too_small(side: int) -> None:
    frames, setting = source()
    half = (side + 1) // 2
    small = [
        tuple(np.ascontiguousarray(plane[:cut, :cut]) for plane, cut in zip(frame, (side, half, half), strict=True))
        for frame in frames
    ]
    setting = replace(setting, format=VideoFormat(side, side))
    noisy = [(np.bitwise_xor(frame[0], 3), *frame[1:]) for frame in small]
    result = measure(small, setting, {"it": iter(noisy)}, METRICS.values())["it"]
    assert isinstance(result, Measured)
    for series in result.series:
        assert series.status in ("ok", "too_small", "not_applicable", "unavailable"), (series.metric, series.reason)
        assert series.status == "ok" or series.reason


def test_what_is_not_defined_for_hdr_says_so() -> None:
    frames, setting = source()
    hdr = replace(setting, colour=replace(setting.colour, transfer="pq"))
    chosen = [info for info in METRICS.values() if not info.hdr]
    result = measure(frames[:1], hdr, {"it": iter(frames[:1])}, chosen)["it"]
    assert isinstance(result, Measured)
    for series in result.series:
        assert series.status == "not_applicable"
        assert "PQ" in series.reason
