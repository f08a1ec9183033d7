from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.features import FeatureCache
from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import Arrays, Family, FrameMeter, Setting, View
from evalsuite.types import Colour, MetricInfo, VideoFormat

SETTING = Setting(VideoFormat(32, 32), Colour("bt709"), Fraction(25))


class Counter:
    """Makes arrays that tell the frame they are of, and counts how often it had to."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def of(self, index: int, size: int = 100) -> Callable[[], Arrays]:
        def compute() -> Arrays:
            self.made.append(index)
            return {"flow": np.full((2, size), index, np.int16), "mask": np.array([index % 2 == 0])}

        return compute


def one_pass(
    cache: FeatureCache, frames: int, *, content: str = "a", name: str = "flow", version: str = "1"
) -> Counter:
    counter = Counter()
    with cache.source(content=content) as source:
        for index in range(frames):
            arrays = source.get(name, version, index, counter.of(index))
            assert arrays["flow"].dtype == np.int16
            assert (arrays["flow"] == index).all()
            assert arrays["mask"].tolist() == [index % 2 == 0]
    return counter


def the_file(cache: FeatureCache) -> Path:
    (path,) = cache.folder.glob("*.features")
    return path


def test_what_was_kept_is_not_computed_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    assert one_pass(cache, 5).made == [0, 1, 2, 3, 4]
    assert one_pass(cache, 5).made == []
    assert one_pass(cache, 3).made == []


def test_a_longer_pass_goes_on_where_a_shorter_one_ended(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    one_pass(cache, 3)
    assert one_pass(cache, 5).made == [3, 4]
    assert one_pass(cache, 5).made == []


@pytest.mark.parametrize("other", [{"content": "b"}, {"name": "faces"}, {"version": "2"}])
def test_another_source_feature_or_version_is_another_file(tmp_path: Path, other: dict[str, str]) -> None:
    cache = FeatureCache(tmp_path)
    one_pass(cache, 2)
    assert one_pass(cache, 2, **other).made == [0, 1]  # type: ignore[arg-type]


def test_frames_that_were_not_asked_for_are_passed_over(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    counter = Counter()
    for asked in ([1, 4], [1, 4], [0, 1, 2, 4, 5], [5]):
        with cache.source(content="a") as source:
            for index in asked:
                assert (source.get("flow", "1", index, counter.of(index))["flow"] == index).all()
    # Those before the last one that is kept are computed each time; those after it are added.
    assert counter.made == [1, 4, 0, 2, 5]


def test_a_pass_that_breaks_keeps_what_it_had(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)

    def interrupted() -> None:
        with cache.source(content="a") as source:
            for index in range(3):
                source.get("flow", "1", index, Counter().of(index))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert one_pass(cache, 5).made == [3, 4]


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 255))
def test_a_damaged_file_costs_time_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    cache = FeatureCache(tmp_path_factory.mktemp("features"))
    one_pass(cache, 4)
    path = the_file(cache)
    data = bytearray(path.read_bytes())
    cut %= len(data)
    data[cut] ^= flip
    path.write_bytes(data if flip else data[:cut])
    one_pass(cache, 4)
    assert one_pass(cache, 4).made == []


def test_a_limit_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    one_pass(cache, 4, content="old")
    size = the_file(cache).stat().st_size
    for path in tmp_path.glob("*.features"):
        os.utime(path, (1, 1))
    one_pass(cache, 4, content="new")
    small = FeatureCache(tmp_path, size + size // 2)
    small.trim()
    assert one_pass(cache, 4, content="new").made == []
    assert one_pass(cache, 4, content="old").made == [0, 1, 2, 3]


def test_of_a_source_beyond_the_limit_the_first_frames_are_kept(tmp_path: Path) -> None:
    one = FeatureCache(tmp_path / "one")
    one_pass(one, 1)
    record = the_file(one).stat().st_size
    cache = FeatureCache(tmp_path / "small", 3 * record + record // 2)
    assert one_pass(cache, 6).made == [0, 1, 2, 3, 4, 5]
    for _ in range(2):
        assert the_file(cache).stat().st_size == 3 * record
        assert one_pass(cache, 6).made == [3, 4, 5]


def test_the_features_of_a_source_share_the_limit_while_they_are_written(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 10_000)

    def on_disk() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    for _ in range(2):
        with cache.source(content="a") as source:
            for index in range(50):
                for name in ("flow", "faces"):
                    source.get(name, "1", index, Counter().of(index))
            during = on_disk()
        assert during <= 2 * cache.limit_bytes  # what is extended is there twice until it replaces the old
        assert 0 < on_disk() <= cache.limit_bytes


def test_no_space_keeps_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", 0)
    assert one_pass(cache, 3).made == one_pass(cache, 3).made == [0, 1, 2]
    assert not (tmp_path / "features").exists()


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else() -> None:
    cache = FeatureCache(Path("/proc/nowhere"))
    assert one_pass(cache, 2).made == [0, 1]


def test_two_passes_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with cache.source(content="a") as first, cache.source(content="a") as second:
        for index in range(3):
            for source in (first, second):
                assert (source.get("flow", "1", index, Counter().of(index))["flow"] == index).all()
    assert one_pass(cache, 3).made == []


def test_the_source_is_asked_once_for_all_codecs_and_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()

    def score(source: View, decoded: View) -> tuple[float, ...]:
        kept = source.recall("flow", "1", counter.of(source.index))["flow"]
        assert decoded.index == source.index
        assert (source.previous is None) == (source.index == 0)
        assert source.previous is None or source.previous.previous is None
        return (float(kept[0, 0]),)

    info = MetricInfo("x", "toy", "", True, "1", "toy", "toy", (0, 1))
    family = Family((info,), lambda setting, names: FrameMeter(names, score), {}, str)
    monkeypatch.setattr("evalsuite.engine.measure.family_of", lambda name: family)
    frames = list(moving_frames(SETTING.format, 4))

    def decoded() -> dict[str, Iterator[tuple[np.ndarray, ...]]]:
        return {key: iter(frames) for key in "abc"}

    cache = FeatureCache(tmp_path)
    for _ in range(2):
        with cache.source(content="a") as kept:
            results = measure(frames, SETTING, decoded(), [info], features=kept)
        for result in results.values():
            assert isinstance(result, Measured)
            assert result.series[0].values.tolist() == [0, 1, 2, 3]
    assert counter.made == [0, 1, 2, 3]
