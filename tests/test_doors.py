"""Open doors: what comes through one is what the package itself computes, and is described rightly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import moving_frames

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import RequestError
from evalsuite.metrics import piq_door, pyiqa_door
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.pictures import picture_family
from evalsuite.metrics.registry import doors, family_of, info_of, infos, select
from evalsuite.types import Colour, Frame, MetricInfo, Series, VideoFormat

SETTING = Setting(VideoFormat(184, 176), Colour("bt709"), Fraction(25))
FRAMES = list(moving_frames(SETTING.format, 2))
FUNCTIONS = [name for name, metric in piq_door.METRICS.items() if metric.reference and not metric.network]
IDENTICAL = {"psnr": 80, "gmsd": 0, "multi_scale_gmsd": 0, "mdsi": 0}


def noisy(amount: float) -> list[Frame]:
    rng = np.random.default_rng(1)
    return [
        tuple(np.clip(plane + rng.normal(0, amount, plane.shape), 0, 255).astype(np.uint8) for plane in frame)
        for frame in FRAMES
    ]


def score(name: str, source: list[Frame], decoded: list[Frame], setting: Setting = SETTING) -> Series:
    result = measure(source, setting, {"it": iter(decoded)}, select(name))["it"]
    assert isinstance(result, Measured)
    return result.series[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scores_are_piqs_own(name: str) -> None:
    import piq

    decoded = noisy(10)
    expected = []
    for pair in zip(FRAMES, decoded, strict=True):
        source, test = (torch.from_numpy(View(frame, SETTING).rgb())[None] for frame in pair)
        # piq's order of arguments: the picture to be judged, then its reference.
        expected.append(getattr(piq, name)(test, source, data_range=1.0).item())
    np.testing.assert_allclose(score(f"piq:{name}", FRAMES, decoded).values, expected, rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_directions_and_ranges_are_right(name: str) -> None:
    info = info_of(f"piq:{name}")
    same = score(f"piq:{name}", FRAMES, FRAMES).values
    np.testing.assert_allclose(same, IDENTICAL.get(name, 1), atol=2e-3)
    means = [score(f"piq:{name}", FRAMES, noisy(amount)).values.mean() for amount in (3, 12, 40)]
    falling = means if info.higher_is_better else [-mean for mean in means]
    assert falling[0] > falling[1] > falling[2]
    for value in (*same, *means):
        assert info.range[0] - 1e-4 <= value <= info.range[1] + 1e-4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_smallest_size_is_measured_and_below_it_is_said(name: str) -> None:
    side = family_of(f"piq:{name}").smallest[f"piq:{name}"]
    for shortest, status in ((side, "ok"), (side - 1, "too_small")):
        setting = Setting(VideoFormat(shortest, shortest), Colour("bt709"), Fraction(25))
        source, decoded = (list(moving_frames(setting.format, 1, seed)) for seed in (0, 1))
        series = score(f"piq:{name}", source, decoded, setting)
        assert series.status == status
        assert np.isfinite(series.values).all()


def test_a_metric_without_a_reference_takes_the_decoded_frame_alone() -> None:
    import piq

    decoded = noisy(10)
    expected = [piq.total_variation(torch.from_numpy(View(frame, SETTING).rgb())[None]).item() for frame in decoded]
    np.testing.assert_allclose(score("piq:total_variation", FRAMES, decoded).values, expected, rtol=1e-6)
    assert info_of("piq:total_variation").higher_is_better is None


def test_what_has_no_answer_for_flat_frames_is_not_a_number() -> None:
    flat = [tuple(np.full_like(plane, 128) for plane in frame) for frame in FRAMES]
    series = score("piq:information_weighted_ssim", flat, flat)
    assert series.status == "ok"
    assert np.isnan(series.values).all()


def test_what_cannot_be_loaded_is_unavailable_and_says_why() -> None:
    info = MetricInfo("x:broken", "open door", "", True, "1", "of nothing", "nowhere", (0, 1))

    def load() -> None:
        raise OSError("no route to host")

    family = picture_family(info, load, reference=True, smallest=1)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="no route to host") as raised:
        family.open(SETTING, (info.name,))
    assert raised.value.status == "unavailable"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["piq:LPIPS", "piq:brisque"])
def test_what_piq_cannot_download_is_unavailable(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    series = score(name, FRAMES[:1], FRAMES[:1])
    assert series.status == "unavailable"
    assert "cannot be loaded" in series.reason


def test_names_behind_doors_are_found_or_nearly() -> None:
    assert {door.prefix for door in doors()} == {"piq", "pyiqa"}
    assert [info.name for info in select("psnr_y, piq:fsim")] == ["psnr_y", "piq:fsim"]
    assert family_of("piq:fsim") is family_of("piq:fsim")
    assert info_of("piq:fsim").version.startswith("piq 0.8")
    assert not any(":" in name for name in infos())
    with pytest.raises(RequestError, match="did you mean piq:haarpsi"):
        select("piq:harpsi")
    with pytest.raises(RequestError, match="unknown metric"):
        select("nowhere:fsim")


@pytest.mark.parametrize("name", sorted(piq_door.METRICS))
def test_every_name_is_in_piq(name: str) -> None:
    import piq

    assert callable(getattr(piq, name))
    assert info_of(f"piq:{name}").definition


def test_a_door_to_a_package_that_is_missing_says_how_to_get_it() -> None:
    if not pyiqa_door.DOOR.check():
        pytest.skip("pyiqa is installed here")
    with pytest.raises(RequestError, match=r"evalsuite\[pyiqa\]"):
        select("pyiqa:fsim")
    assert pyiqa_door.DOOR.names() == ()


@pytest.mark.parametrize(("name", "best"), [("ssim", 1), ("gmsd", 0), ("vif", 1)])
def test_scores_are_pyiqas_own(name: str, best: float) -> None:
    if problem := pyiqa_door.DOOR.check():
        pytest.skip(f"pyiqa is not installed: {problem}")
    import pyiqa

    decoded = noisy(10)
    metric = pyiqa.create_metric(name, device=torch.device("cpu"))
    expected = []
    for pair in zip(FRAMES, decoded, strict=True):
        source, test = (torch.from_numpy(View(frame, SETTING).rgb())[None] for frame in pair)
        expected.append(metric(test, source).item())
    np.testing.assert_allclose(score(f"pyiqa:{name}", FRAMES, decoded).values, expected, rtol=1e-5)
    np.testing.assert_allclose(score(f"pyiqa:{name}", FRAMES, FRAMES).values, best, atol=1e-3)
    assert info_of(f"pyiqa:{name}").higher_is_better is bool(best)


def test_pyiqas_own_directions_are_taken() -> None:
    if problem := pyiqa_door.DOOR.check():
        pytest.skip(f"pyiqa is not installed: {problem}")
    import pyiqa

    names = pyiqa_door.DOOR.names()
    assert set(names) <= set(pyiqa.list_models())
    assert len(names) > 50
    assert info_of("pyiqa:niqe").higher_is_better is False
    assert info_of("pyiqa:topiq_nr").higher_is_better is True
    assert not any(name.startswith("fid") for name in names)
