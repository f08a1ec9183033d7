"""What the report says of target rates that a codec did not reach."""

from __future__ import annotations

from typing import Any

import pytest
from report_page import build
from report_sample import write_sample

from evalsuite.report.model import Report
from evalsuite.report.reach import unreached


def match(*rows: tuple[str, float, float]) -> Report:
    """A report of these (sequence, target, reached) of x265 and nothing more."""
    made: tuple[dict[str, Any], ...] = tuple(
        {
            "codec": "x265",
            "sequence": name,
            "target_bpp": target,
            "bpp": bpp,
            "deviation_percent": 100 * (bpp / target - 1),
        }
        for name, target, bpp in rows
    )
    return Report((), (), (), (), (), (), made, (), ())


def said(*rows: tuple[str, float, float]) -> list[str]:
    return [sentence.replace("\u202f", " ") for sentence in unreached(match(*rows))]


@pytest.mark.parametrize("reached", [0.0091, 0.01, 0.0109])
def test_what_is_within_ten_percent_is_not_spoken_of(reached):
    assert said(("face", 0.01, reached), ("face", 0.02, 0.02)) == []


def test_the_lowest_point_above_its_target_is_where_the_curve_ends():
    assert said(("face", 0.01, 0.0135), ("face", 0.02, 0.02)) == [
        "x265 did not get below 0.0135 bpp on face: its lowest point there is 35 % above the target."
    ]


def test_one_point_above_two_targets_is_one_point():
    assert said(("face", 0.005, 0.0125), ("face", 0.01, 0.0125), ("face", 0.02, 0.02)) == [
        "x265 did not get below 0.0125 bpp on face: its lowest point there is 25 % to 150 % above the target."
    ]


def test_many_sequences_are_counted():
    names = ["a", "b", "c", "d"]
    rows = [(name, 0.01, 0.0125 + 0.001 * place) for place, name in enumerate(names)]
    assert said(*rows, ("e", 0.01, 0.01)) == [
        "x265 did not get below 0.0125 to 0.0155 bpp on 4 of 5 sequences: "
        "its lowest points there are 25 % to 55 % above the target."
    ]


def test_the_highest_point_below_its_target_is_said_too():
    assert said(("face", 0.01, 0.01), ("face", 0.08, 0.06)) == [
        "x265 did not get above 0.0600 bpp on face: its highest point there is 25 % below the target."
    ]


def test_a_miss_between_two_points_is_not_called_an_end():
    rows = [("face", 0.01, 0.01), ("face", 0.02, 0.024), ("face", 0.04, 0.04)]
    assert said(*rows) == ["x265 is up to 20 % away from 1 target."]
    assert said(*rows, ("bus", 0.01, 0.015))[1:] == ["x265 is up to 20 % away from 1 further target."]


def test_it_stands_with_the_headline(tmp_path):
    run = write_sample(tmp_path / "run", floors={("x265", "carphone"): 0.0125, ("x265", "face"): 0.018})
    made, _ = build(tmp_path, run)
    sentence = (
        "Rates that were not reached: x265 did not get below 0.0125 to 0.0180 bpp on carphone and face: "
        "its lowest points there are 25 % to 80 % above the target."
    )
    assert sentence.replace("\u202f", " ") in made.text.replace("\u202f", " ")
    assert made.text.index("Rates that were not reached") < made.text.index("Bits that the test codec needs")
    made, _ = build(tmp_path, write_sample(tmp_path / "reached"))
    assert "not reached" not in made.text
