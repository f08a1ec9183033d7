from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import psutil
import pytest
from conftest import moving_frames

from evalsuite.engine import measure as module
from evalsuite.engine.measure import Measured, Unavailable, measure
from evalsuite.errors import EvalError, MediaError
from evalsuite.metrics.base import Family, FrameMeter, NotMeasured, Setting
from evalsuite.metrics.registry import select
from evalsuite.types import Colour, Frame, MetricInfo, VideoFormat

FORMAT = VideoFormat(64, 48)
SETTING = Setting(FORMAT, Colour("bt709"), Fraction(25))
FRAMES = list(moving_frames(FORMAT, 6))
PSNR = select("psnr_y")


def test_frames_are_compared_by_index() -> None:
    shifted = [*FRAMES[1:], FRAMES[0]]
    result = measure(FRAMES, SETTING, {"same": iter(FRAMES), "shifted": iter(shifted)}, PSNR)
    same, late = result["same"], result["shifted"]
    assert isinstance(same, Measured)
    assert isinstance(late, Measured)
    assert np.isinf(same.series[0].values).all()
    assert np.isfinite(late.series[0].values).all()


def test_trap09_and_10_a_missing_or_extra_frame_is_a_failure_never_a_trim() -> None:
    result = measure(
        FRAMES,
        SETTING,
        {"short": iter(FRAMES[:-1]), "empty": iter(()), "long": iter([*FRAMES, FRAMES[-1]]), "right": iter(FRAMES)},
        PSNR,
    )
    assert "ends after 5 frames" in str(result["short"])
    assert "ends after 0 frames" in str(result["empty"])
    assert "more frames than the source" in str(result["long"])
    assert isinstance(result["right"], Measured)


def test_trap12_another_size_or_depth_is_a_failure() -> None:
    other = list(moving_frames(VideoFormat(62, 48), 6))
    deep = list(moving_frames(VideoFormat(64, 48, 10), 6))
    result = measure(FRAMES, SETTING, {"size": iter(other), "depth": iter(deep)}, PSNR)
    assert "not like its source frame" in str(result["size"])
    assert "uint16" in str(result["depth"])


def test_trap08_frames_are_scored_as_written_not_as_unrounded_floats() -> None:
    floats = [tuple(plane.astype(np.float32) + 0.25 for plane in frame) for frame in FRAMES]
    result = measure(FRAMES, SETTING, {"float": iter(floats)}, PSNR)  # type: ignore[dict-item]
    assert "float32" in str(result["float"])


def test_an_error_of_one_decoder_leaves_the_others_alone() -> None:
    def breaks() -> Iterator[Frame]:
        yield FRAMES[0]
        raise MediaError("the decoder gave up")

    result = measure(FRAMES, SETTING, {"bad": breaks(), "good": iter(FRAMES)}, select("psnr_y,vmaf"))
    assert isinstance(result["bad"], EvalError)
    assert isinstance(result["good"], Measured)


def test_an_error_of_the_source_ends_the_pass() -> None:
    def breaks() -> Iterator[Frame]:
        yield FRAMES[0]
        raise MediaError("the source is truncated")

    with pytest.raises(MediaError, match="truncated"):
        measure(breaks(), SETTING, {"it": iter(FRAMES)}, PSNR)


def test_a_metric_that_breaks_says_why_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(name: str) -> MetricInfo:
        return MetricInfo(name, "test", "", True, "1", "a test", "here", (0, 1))

    def explode(source: object, decoded: object) -> tuple[float, ...]:
        raise ZeroDivisionError("by design")

    def refuse(setting: Setting, names: tuple[str, ...]) -> FrameMeter:
        raise NotMeasured("unavailable", "its weights are not here", fix="fetch them")

    extra = {
        "explodes": Family((info("explodes"),), lambda s, n: FrameMeter(n, explode), {}, str),
        "refuses": Family((info("refuses"),), refuse, {}, str),
        "strays": Family((info("strays"),), lambda s, n: FrameMeter(("another",), lambda a, b: (0.5,)), {}, str),
    }
    known = module.family_of
    monkeypatch.setattr(module, "family_of", lambda name: extra.get(name) or known(name))
    infos = (*PSNR, info("explodes"), info("refuses"), info("strays"))
    result = measure(FRAMES, SETTING, {"it": iter(FRAMES)}, infos)["it"]
    assert isinstance(result, Measured)
    states = {series.metric: (series.status, series.reason) for series in result.series}
    assert states["psnr_y"][0] == "ok"
    assert states["explodes"] == ("failed", "ZeroDivisionError: by design")
    assert states["refuses"] == ("unavailable", "its weights are not here (fetch them)")
    assert states["strays"] == ("failed", "it was asked for strays and gave another")
    assert set(states) == {"psnr_y", "explodes", "refuses", "strays"}


@pytest.mark.parametrize(("again_s", "asked"), [(300, 1), (0, 4)])
def test_what_cannot_be_had_is_not_asked_for_by_every_pass(
    monkeypatch: pytest.MonkeyPatch, again_s: float, asked: int
) -> None:
    info = MetricInfo("refuses", "test", "", True, "1", "a test", "here", (0, 1))
    opened = []

    def refuse(setting: Setting, names: tuple[str, ...]) -> FrameMeter:
        opened.append(names)
        raise NotMeasured("unavailable", "its weights are not here")

    known = module.family_of
    refuses = Family((info,), refuse, {}, str)
    monkeypatch.setattr(module, "family_of", lambda name: refuses if name == "refuses" else known(name))
    unavailable = Unavailable(again_s)
    for _ in range(2):
        decoded = {"one": iter(FRAMES), "two": iter(FRAMES)}
        for result in measure(FRAMES, SETTING, decoded, (*PSNR, info), unavailable=unavailable).values():
            assert isinstance(result, Measured)
            states = {series.metric: (series.status, series.reason) for series in result.series}
            assert states["psnr_y"][0] == "ok"
            assert states["refuses"] == ("unavailable", "its weights are not here")
    assert len(opened) == asked


def test_no_process_is_left_behind() -> None:
    def breaks() -> Iterator[Frame]:
        yield FRAMES[0]
        raise MediaError("the source is truncated")

    with pytest.raises(MediaError):
        measure(breaks(), SETTING, {str(index): iter(FRAMES) for index in range(3)}, select("vmaf"))
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "ffmpeg" in child.name()]


def test_memory_does_not_grow_with_length() -> None:
    format = VideoFormat(640, 360)
    setting = Setting(format, Colour("bt709"), Fraction(25))
    frame = next(moving_frames(format, 1))

    def peak(frames: int) -> int:
        this = psutil.Process()
        seen = 0

        def counted() -> Iterator[Frame]:
            nonlocal seen
            for index in range(frames):
                if index % 10 == 0:
                    tree = [this, *this.children(recursive=True)]
                    seen = max(seen, sum(one.memory_info().rss for one in tree))
                yield tuple(plane.copy() for plane in frame)  # type: ignore[misc]

        measure(counted(), setting, {"it": counted()}, select("psnr_yuv,vmaf,ssim"))
        return seen

    short, long = peak(50), peak(500)
    assert long < short + 40 * format.frame_bytes
