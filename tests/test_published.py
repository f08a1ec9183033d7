"""What is published on the boards that the project ships: all of it there, whole, and of the shipped weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsuite.codec.recipe import load_recipe
from evalsuite.results.board import load_board
from evalsuite.results.entries import by_codec, check_entries, list_entries

ROOT = Path(__file__).parent.parent / "leaderboards"
ENTRIES = ROOT / "entries"
BOARDS = ("conferencing", "streaming", "ultra-low")
ALWAYS = {"tvc", "x265", "x264", "svtav1", "vvenc"}


def weights(version: str) -> str:
    return version.split("weights ")[1]


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_the_codecs_that_run_here(name: str) -> None:
    held = by_codec(list_entries(ENTRIES, load_board(str(ROOT / f"{name}.toml"))))
    assert {codec.partition(":")[0] for codec in held} >= ALWAYS


@pytest.mark.parametrize("name", BOARDS)
def test_tvc_is_published_with_the_weights_that_are_shipped(name: str) -> None:
    """Other weights are other bitstreams: run the board again and `evalsuite publish --add` it."""
    held = by_codec(list_entries(ENTRIES, load_board(str(ROOT / f"{name}.toml"))))
    newest = max(held["tvc"], key=lambda entry: entry.manifest.date)
    assert weights(newest.manifest.codec_version) == weights(load_recipe("tvc").version())


def test_every_entry_stands_the_check() -> None:
    boards = [load_board(str(ROOT / f"{name}.toml")) for name in BOARDS]
    count, faults = check_entries(ENTRIES, boards, all_boards=True)
    assert count >= 3 * len(ALWAYS)
    assert faults == []
