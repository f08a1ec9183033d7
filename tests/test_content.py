"""What a source is like: computed once, kept with what else depends on the source alone."""

from __future__ import annotations

import pickle
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import moving_frames
from sample_carphone import carphone_file
from sample_recipes import sequence_of

from evalsuite.engine import content
from evalsuite.engine.content import TRAITS, Content, content_of, fetch_detector
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import AssetError
from evalsuite.sources.dataset import from_file
from evalsuite.sources.siti import si_ti
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, Sequence, VideoFormat

FORMAT = VideoFormat(50, 34)


@pytest.fixture
def source(tmp_path: Path) -> Sequence:
    path = tmp_path / "source.y4m"
    write_y4m(path, FORMAT, Fraction(25), moving_frames(FORMAT, 4))
    return sequence_of(path, 4)


@pytest.fixture
def features(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """One entry for each look at a source."""
    found: list[Path] = []
    opened = content.open_video

    def look(path: Path) -> Any:
        found.append(path)
        return opened(path)

    monkeypatch.setattr(content, "open_video", look)
    return found


def written(path: Path, levels: list[float], rate: int = 25, format: VideoFormat = FORMAT) -> Sequence:
    """A sequence of flat frames, which have no noise and no detail."""
    frames: list[Frame] = [tuple(np.full(shape, level, np.uint8) for shape in format.plane_shapes) for level in levels]
    write_y4m(path, format, Fraction(rate), frames)
    return sequence_of(path, len(frames))


def test_a_source_is_looked_at_once(source: Sequence, looks: list[Path], features: FeatureCache) -> None:
    first = content_of(source, features)
    si, ti = si_ti(moving_frames(FORMAT, 4), 8, full_range=False)
    assert (first.si, first.ti) == (pytest.approx(np.max(si)), pytest.approx(np.max(ti)))
    assert first.ti_median == pytest.approx(np.median(ti))
    assert looks
    looks.clear()
    assert content_of(source, features) == first
    assert looks == []


def test_another_range_is_another_look(source: Sequence, looks: list[Path], features: FeatureCache) -> None:
    limited = content_of(source, features)
    looks.clear()
    full = content_of(replace(source, colour=replace(source.colour, full_range=True)), features)
    assert looks
    assert limited.si is not None
    assert limited.noise is not None
    assert full.si == pytest.approx(limited.si * 219 / 255)
    assert full.noise == pytest.approx(limited.noise * 219 / 255)


def test_where_nothing_is_kept_it_is_computed_anew(source: Sequence, looks: list[Path], tmp_path: Path) -> None:
    nothing = FeatureCache(tmp_path / "features", limit_bytes=0)
    first = content_of(source, nothing)
    looks.clear()
    assert content_of(source, nothing) == first
    assert looks


def test_a_picture_too_small_for_a_gradient_and_without_a_successor_has_next_to_nothing(
    tmp_path: Path, features: FeatureCache
) -> None:
    tiny = written(tmp_path / "tiny.y4m", [100], format=VideoFormat(2, 2))
    for _ in range(2):
        assert content_of(tiny, features) == Content(cuts=())


def test_a_cut_is_found_and_motion_is_told_without_it(tmp_path: Path, features: FeatureCache) -> None:
    path = tmp_path / "cut.y4m"
    format = VideoFormat(60, 40, chroma="400")
    flat = np.full((40, 60), 60, np.uint8)
    halves = np.where(np.arange(40)[:, None] < 20, flat, 220).astype(np.uint8)
    write_y4m(path, format, Fraction(25), [(flat,)] * 5 + [(halves,)] * 4)
    found = content_of(sequence_of(path, 9), features)
    assert found.cuts == (5,)
    # Half of the samples change by 160 of 219 levels: a deviation of half of that.
    assert found.ti == pytest.approx(80 * 255 / 219, rel=1e-5)
    assert (found.ti_median, found.noise) == (0, 0)
    assert found.traits[0] == "cuts"
    assert "low-motion" in found.traits


def test_noise_is_of_one_frame_a_second(tmp_path: Path, features: FeatureCache) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "noisy.y4m"
    format = VideoFormat(160, 120, chroma="400")
    frames = [(np.rint(rng.normal(120, 5 if at % 10 == 0 else 0, (120, 160))).astype(np.uint8),) for at in range(21)]
    write_y4m(path, format, Fraction(10), frames)
    found = content_of(sequence_of(path, 21), features)
    assert found.noise == pytest.approx(5 * 255 / 219, rel=0.03)
    assert "noisy" in found.traits


def test_faces_of_a_real_sequence_are_counted_where_the_detector_is_here(
    tmp_path: Path, features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    carphone = from_file(carphone_file("pristine"), frames=31)
    try:
        fetch_detector()
    except AssetError as error:
        pytest.skip(f"the face detector cannot be had: {error.what}")
    found = content_of(carphone, features)
    assert (found.faces_share, found.faces_most, found.reason) == (1, 1, "")  # a man who drives
    assert "faces" in found.traits
    dull = content_of(written(tmp_path / "dull.y4m", [90, 91]), features)
    assert (dull.faces_share, dull.faces_most) == (0, 0)
    pq = content_of(replace(carphone, colour=Colour("bt2020", transfer="pq")), features)
    assert (pq.faces_share, pq.faces_most, pq.reason) == (None, None, "")
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "empty"))
    without = content_of(carphone, features)
    assert without.faces_share is None
    assert "not on this machine" in without.reason
    assert without.si == found.si
    assert not (tmp_path / "empty").exists()  # nothing was fetched for it


@pytest.mark.parametrize("damage", ["missing", "cut short", "foreign"])
def test_a_source_that_cannot_be_read_is_unknown_and_says_why(
    source: Sequence, features: FeatureCache, damage: str
) -> None:
    data = source.path.read_bytes()
    source.path.unlink()
    if damage != "missing":
        source.path.write_bytes(data[:-100] if damage == "cut short" else b"no video")
    found = content_of(source, features)
    assert found.reason
    assert "\n" not in found.reason
    assert found == Content.unknown(found.reason)
    assert {name: value for name, value in asdict(found).items() if value is not None} == {
        "traits": (),
        "reason": found.reason,
    }
    # What failed is not kept: a file that is whole again is read.
    source.path.write_bytes(data)
    assert content_of(source, features).cuts == ()


def test_it_can_be_asked_for_in_another_process(source: Sequence, features: FeatureCache) -> None:
    ask, *arguments = pickle.loads(pickle.dumps((content_of, source, features)))
    assert pickle.loads(pickle.dumps(ask(*arguments))) == content_of(source, features)


@pytest.mark.parametrize(
    ("trait", "has", "has_not"),
    [
        ("cuts", {"cuts": (3,)}, {"cuts": ()}),
        ("detailed", {"si": 95.0}, {"si": 94.9}),
        ("faces", {"faces_share": 0.5}, {"faces_share": 0.49}),
        ("high-motion", {"ti_median": 12.0}, {"ti_median": 11.9}),
        ("low-motion", {"ti_median": 4.9}, {"ti_median": 5.0}),
        ("noisy", {"noise": 3.0}, {"noise": 2.9}),
    ],
)
def test_traits_are_what_the_documentation_says(trait: str, has: dict[str, Any], has_not: dict[str, Any]) -> None:
    assert TRAITS[trait](Content(**has))
    assert not TRAITS[trait](Content(**has_not))
    assert not TRAITS[trait](Content())
