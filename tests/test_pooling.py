from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalsuite.metrics.pooling import pool
from evalsuite.metrics.registry import infos
from evalsuite.types import Series

SCORES = st.lists(st.floats(0, 100), min_size=1, max_size=200)


def pooled(name: str, values: list[float]) -> dict[str, float]:
    return {one.statistic: one.score for one in pool(Series(name, "ok", np.array(values)), infos()[name])}


@given(SCORES)
def test_statistics_are_what_their_names_say(values: list[float]) -> None:
    vmaf = pooled("vmaf", values)
    assert vmaf["mean"] == pytest.approx(math.fsum(values) / len(values))
    assert vmaf["worst"] == min(values)
    assert vmaf["harmonic_mean"] == pytest.approx(stats.hmean(np.array(values) + 1) - 1)
    assert vmaf["worst"] <= vmaf["p5"]
    lpips = pooled("lpips", values)
    assert lpips["worst"] == max(values)
    assert "harmonic_mean" not in lpips


@given(SCORES)
def test_root_mean_is_the_decibels_of_the_mean_root_of_the_error(values: list[float]) -> None:
    roots = [math.sqrt(10 ** (-value / 10)) for value in values]
    figures = pooled("xpsnr", values)
    assert figures["root_mean"] == pytest.approx(-10 * math.log10((math.fsum(roots) / len(roots)) ** 2))
    # Bad frames weigh more in it than in the mean of decibels.
    assert figures["root_mean"] <= figures["mean"] + 1e-9
    assert pooled("xpsnr", [*values, math.inf])["root_mean"] > figures["root_mean"]
    assert pooled("xpsnr", [math.inf])["root_mean"] == math.inf


@given(SCORES)
def test_p5_is_reached_by_95_percent_of_the_frames(values: list[float]) -> None:
    assert np.mean(np.array(values) >= pooled("vmaf", values)["p5"]) >= 0.95
    assert np.mean(np.array(values) <= pooled("lpips", values)["p5"]) >= 0.95


def test_trap14_infinite_frames_never_become_nan() -> None:
    some = pool(Series("psnr_y", "ok", np.array([30.0, math.inf, 40.0])), infos()["psnr_y"])
    by_name = {one.statistic: one for one in some}
    assert (by_name["mean"].status, by_name["mean"].score) == ("infinite", math.inf)
    assert by_name["mean"].reason.startswith("infinite in 1 of ")
    assert (by_name["worst"].status, by_name["worst"].score) == ("ok", 30.0)
    assert all(not math.isnan(one.score) for one in some)


def test_trap23_nan_is_excluded_by_name() -> None:
    figures = pool(Series("vmaf", "ok", np.array([30.0, math.nan])), infos()["vmaf"])
    assert {one.status for one in figures} == {"nan"}
    assert "1 of 2 frames" in figures[0].reason


@pytest.mark.parametrize("status", ["too_small", "not_applicable", "unavailable", "failed"])
def test_trap21_a_missing_score_keeps_its_name_and_reason(status: str) -> None:
    figures = pool(Series("vmaf", status, reason="why"), infos()["vmaf"])  # type: ignore[arg-type]
    assert {(one.status, one.reason) for one in figures} == {(status, "why")}
    assert all(math.isnan(one.score) for one in figures)
