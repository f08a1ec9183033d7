"""Steps between the versions of a codec on a board, as the site tells them, by entries that were published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.results.board import load_board
from evalsuite.results.entries import by_codec, list_entries
from evalsuite.results.entries_history import Snapshot, snapshot, steps
from evalsuite.results.load import RunResults, read_run

ROOT = Path(__file__).parent.parent / "leaderboards"
PROFILE = "profile:conferencing"


@pytest.fixture(scope="module")
def made() -> tuple[Snapshot, RunResults]:
    board = load_board(str(ROOT / "conferencing.toml"))
    entry = max(by_codec(list_entries(ROOT / "entries", board))["svtav1:lowdelay"], key=lambda one: one.manifest.date)
    run = read_run(entry.folder)
    return snapshot(entry, run, [PROFILE, "vmaf"]), run


def test_the_same_again_is_no_step(made: tuple[Snapshot, RunResults]) -> None:
    before, _ = made
    found = steps(before, before, [PROFILE, "vmaf"])
    assert {step.kind for step in found.values()} == {"same"}


def test_a_profile_of_another_formula_is_no_step_at_all(made: tuple[Snapshot, RunResults]) -> None:
    """Without the term that it lost its score is higher: that says nothing of the codec."""
    before, run = made
    points = run.points.copy()
    mine = (points["codec"] == before.entry.manifest.codec) & (points["metric"] == PROFILE)
    points.loc[mine, "score"] += 3
    points.loc[mine, "reason"] = "without identity_cos (identity_cos: no face)"
    after = snapshot(before.entry, replace(run, points=points), [PROFILE, "vmaf"])
    found = steps(before, after, [PROFILE, "vmaf"])
    assert found[PROFILE].kind == "unknown"
    assert found[PROFILE].reason.endswith("refused: carphone, face")
    assert found["vmaf"].kind == "same"
