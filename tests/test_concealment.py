"""What a channel did, and how much of the source moves: figures that describe, by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import Setting
from evalsuite.metrics.registry import select
from evalsuite.sources.siti import si_ti
from evalsuite.types import Colour, Delivery, Frame, Series, VideoFormat

FORMAT = VideoFormat(48, 32)


def video(levels: list[int]) -> list[Frame]:
    """Frames whose upper half has these levels, the lower half being 100."""
    grey = np.full((16, 24), 128, np.uint8)
    half = np.arange(32)[:, None] < 16
    return [(np.where(half, level, np.full((32, 48), 100)).astype(np.uint8), grey, grey) for level in levels]


def measured(names: str, frames: list[Frame], told: Delivery | None = None, *, full: bool = False) -> dict[str, Series]:
    setting = Setting(FORMAT, Colour("bt709", full_range=full), Fraction(25))
    given = {} if told is None else {"it": lambda: told}
    result = measure(frames, setting, {"it": iter(frames)}, select(names), deliveries=given)["it"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def test_shares_are_of_packets_and_of_frames() -> None:
    told = Delivery(packets=8, hit=2, concealed=(False, True, True, False))
    found = measured("lost_packets,concealed_share,concealed", video([1, 2, 3, 4]), told)
    assert found["lost_packets"].values.tolist() == [0.25]
    assert found["concealed_share"].values.tolist() == [0.5]
    assert found["concealed"].values.tolist() == [0, 1, 1, 0]


def test_where_nothing_could_be_hit_nothing_was() -> None:
    found = measured("lost_packets", video([1]), Delivery(0, 0, (False,)))
    assert found["lost_packets"].values.tolist() == [0]


def test_marks_of_another_number_of_frames_are_a_failure() -> None:
    found = measured("concealed", video([1, 2]), Delivery(1, 0, (False,)))["concealed"]
    assert (found.status, "another number of frames" in found.reason) == ("failed", True)


def test_without_a_channel_they_do_not_apply() -> None:
    assert {one.status for one in measured("lost_packets,concealed", video([1])).values()} == {"not_applicable"}


@pytest.mark.parametrize(("full", "scale"), [(True, 1.0), (False, 255 / 219)])
def test_half_of_a_picture_that_changes_deviates_by_half_of_the_change(full: bool, scale: float) -> None:
    frames = video([100, 110, 110, 70])
    series = measured("source_ti", frames, full=full)["source_ti"]
    assert series.values.tolist() == pytest.approx([5 * scale, 0, 20 * scale])
    assert series.frames is not None
    assert series.frames.tolist() == [1, 2, 3]
    # The figure of the whole sequence is the largest of these.
    assert series.values == pytest.approx(si_ti(frames, 8, full_range=full)[1])


def test_one_frame_has_no_motion() -> None:
    assert measured("source_ti", video([100]))["source_ti"].status == "not_applicable"
