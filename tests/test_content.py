"""What a source is like: computed once, kept with what else depends on the source alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import moving_frames
from sample_recipes import sequence_of

from evalsuite.engine import content
from evalsuite.engine.content import Content, content_of
from evalsuite.engine.features import FeatureCache
from evalsuite.sources.siti import si_ti
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Sequence, VideoFormat

FORMAT = VideoFormat(50, 34)


@pytest.fixture
def source(tmp_path: Path) -> Sequence:
    path = tmp_path / "source.y4m"
    write_y4m(path, FORMAT, Fraction(25), moving_frames(FORMAT, 4))
    return sequence_of(path, 4)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each look at a source."""
    found: list[bool] = []

    def look(*arguments: Any, full_range: bool) -> Any:
        found.append(full_range)
        return si_ti(*arguments, full_range=full_range)

    monkeypatch.setattr(content, "si_ti", look)
    return found


def test_the_largest_of_all_frames_counts_and_a_source_is_looked_at_once(
    source: Sequence, looks: list[bool], tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "features")
    first = content_of(source, cache)
    si, ti = si_ti(moving_frames(FORMAT, 4), 8, full_range=False)
    assert (first.si, first.ti) == (pytest.approx(np.max(si)), pytest.approx(np.max(ti)))
    assert content_of(source, cache) == first
    assert looks == [False]


def test_another_range_is_another_look(source: Sequence, looks: list[bool], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features")
    limited = content_of(source, cache)
    full = content_of(replace(source, colour=replace(source.colour, full_range=True)), cache)
    assert limited.si is not None
    assert full.si == pytest.approx(limited.si * 219 / 255)
    assert looks == [False, True]


def test_where_nothing_is_kept_it_is_computed_anew(source: Sequence, looks: list[bool], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", limit_bytes=0)
    assert content_of(source, cache) == content_of(source, cache)
    assert looks == [False, False]


def test_a_picture_too_small_for_a_gradient_and_without_a_successor_has_nothing(tmp_path: Path) -> None:
    tiny = VideoFormat(2, 2)
    path = tmp_path / "tiny.y4m"
    write_y4m(path, tiny, Fraction(25), moving_frames(tiny, 1))
    for _ in range(2):
        assert content_of(sequence_of(path, 1), FeatureCache(tmp_path / "features")) == Content(None, None)
