"""Boards: what their TOML may say, and what is shipped."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from board_samples import ANYTHING, SHA, board_of, board_toml
from hypothesis import given
from hypothesis import strategies as st

from evalsuite import resources
from evalsuite.codec.recipe import load_recipe
from evalsuite.engine.plan import MatchRates, parse_match
from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.metrics.registry import infos
from evalsuite.results.board import load_board, parse_board
from evalsuite.results.profile import load_profile
from evalsuite.sources.dataset import load_dataset

SHIPPED = {
    "conferencing": (1, "5469790836fe5690ae31eaa5ccdedc72dd2938ab09e3d9a22b542da960767bf5"),
    "streaming": (1, "83daf54c1c7fd0e9357da49c1e48180b4f2035e776e784be0640ea36633d14a3"),
    "ultra-low": (1, "1d2560ff473a21b1f68b053b88e3ff71b3e133c196752c5d2fc41fa0bc8e9ab2"),
}
"""Version and digest of each. Entries are made by them: who changes a protocol raises its version, and both here."""

BOARD = board_of()


def test_every_field() -> None:
    assert (BOARD.name, BOARD.version, BOARD.dataset, BOARD.frames) == ("small", 2, "demo", 60)
    assert (BOARD.targets, BOARD.unit, BOARD.match) == ((0.01, 0.02), "bpp", "0.01,0.02bpp")
    assert (BOARD.intra_period, BOARD.threads, BOARD.structure, BOARD.max_delay) == (32, 1, (), 29)
    assert [(one.name, one.sha256, one.colour) for one in BOARD.sequences] == [
        (name, sha, "bt601 limited") for name, sha in SHA.items()
    ]
    assert BOARD.versions == {"psnr_y": "1", "vmaf": "vmaf_v0.6.1", "profile:streaming": "0123456789ab"}
    assert BOARD.stamp == {"name": "small", "version": 2, "sha256": BOARD.sha256}
    other = board_of(frames="all", max_delay="any", structure=["low delay"], targets={"kbps": [20]}, profiles=None,
                     headline=["vmaf"], intra_period=-1)  # fmt: skip
    assert (other.frames, other.max_delay, other.structure, other.match) == (None, None, ("low delay",), "20.0kbps")


def test_the_targets_are_what_match_takes() -> None:
    for unit in ("bpp", "kbps"):
        board = board_of(targets={unit: [1e-5, 0.1 + 0.2, 12345]})
        assert parse_match(board.match, []) == MatchRates(board.targets, unit)


def test_a_dataset_file_lies_beside_its_board() -> None:
    board = parse_board(board_toml(dataset="own.toml"), Path("elsewhere/small.toml"))
    assert board.dataset == str(Path("elsewhere/own.toml"))
    # Where it lies is nothing that a run must agree with.
    assert board.sha256 == parse_board(board_toml(dataset="own.toml"), Path("small.toml")).sha256


@pytest.mark.parametrize("field", [name for name in board_toml() if name != "profiles"])
def test_what_is_missing_is_named(field: str) -> None:
    with pytest.raises(RecipeError, match=f"`{field}` is missing"):
        board_of(**{field: None})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Ultra Low"}, "`name` is not valid"),
        ({"version": 0}, "`version` is not valid"),
        ({"frames": 0}, '`frames` is not valid(.|\n)*"all", or a whole number, 1 or more'),
        ({"targets": {"bpp": []}}, "`targets` is not valid"),
        ({"targets": {"bpp": [0.1, 0.1]}}, "each once"),
        ({"targets": {"bpp": [0.1, -0.1]}}, "rates above 0"),
        ({"targets": {"bpp": [1e-10]}}, "rates above 0"),
        ({"targets": {"bpp": [10**400]}}, "rates above 0"),
        ({"targets": {"bpp": [float("nan")]}}, "rates above 0"),
        ({"targets": {"mbps": [1]}}, "`targets` is not valid"),
        ({"targets": {"bpp": [1], "kbps": [1]}}, "`targets` is not valid"),
        ({"intra_period": 0}, "`intra_period` is not valid"),
        ({"threads": True}, "`threads` is not valid"),
        ({"structure": []}, "`structure` is not valid"),
        ({"max_delay": -1}, '`max_delay` is not valid(.|\n)*"any", or'),
        ({"sequences": []}, "`sequences` is not valid"),
        ({"sequences": [{"name": "a", "sha256": "12", "colour": "x"}]}, "sequence 1(.|\n)*64 hexadecimal digits"),
        ({"sequences": [{"name": "a", "sha256": "a" * 64, "colour": "x"}] * 2}, "each sequence once, not a twice"),
        ({"metrics": {}}, "`metrics` is not valid"),
        ({"metrics": {"vmaf": 1}}, "versions as texts"),
        ({"headline": ["lpips"]}, "names of `metrics`"),
        ({"headline": ["vmaf", "vmaf"]}, "each metric once, not vmaf twice"),
        ({"headline": []}, "`headline` is not valid"),
        ({"match": "0.1bpp"}, "`match` is unknown"),
        ({"intra_perod": 3}, "did you mean intra_period"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        board_of(**changes)


@given(field=st.sampled_from([*board_toml(), "more"]), value=ANYTHING)
def test_a_board_of_anything_is_read_or_refused_by_name(field: str, value: object) -> None:
    with contextlib.suppress(EvalError):
        parse_board({**board_toml(), field: value}, Path("any.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_board_can_be_run(name: str) -> None:
    board = load_board(name)
    assert (board.name, board.version, board.sha256) == (name, *SHIPPED[name])
    known = infos()
    assert dict(board.metrics) == {metric: known[metric].version for metric in board.metrics}
    for profile, version in board.profiles.items():
        assert load_profile(profile).info.version == version
        assert set(load_profile(profile).metrics) <= set(board.metrics)
    assert (load_recipe(board.anchor).delay or 0) <= (board.max_delay or 1000)
    entries = {entry.name: entry for entry in load_dataset(board.dataset).sequences}
    for one in board.sequences:
        assert board.frames is not None
        assert board.frames <= entries[one.name].frames
        assert one.colour == str(entries[one.name].colour)
        if board.frames == entries[one.name].frames:
            assert one.sha256 == entries[one.name].sha256


def test_shipped_boards_are_found_by_name() -> None:
    assert set(resources.available("boards")) >= set(SHIPPED)
    with pytest.raises(RequestError, match="did you mean ultra-low"):
        load_board("ultra-lo")


def test_words_about_a_protocol_are_no_part_of_it() -> None:
    words = {"title": "T", "question": "Q?", "description": "D", "headline": ["psnr_y"]}
    assert board_of(**words).sha256 == BOARD.sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"dataset": "other"},
        {"frames": 59},
        {"targets": {"kbps": [0.02, 0.01]}},
        {"targets": {"bpp": [0.02, 0.011]}},
        {"intra_period": -1},
        {"threads": 2},
        {"structure": ["low delay"]},
        {"max_delay": 28},
        {"anchor": "x264"},
        {"sequences": board_toml()["sequences"][:1]},
        {"metrics": {"psnr_y": "2", "vmaf": "vmaf_v0.6.1"}},
        {"profiles": {"streaming": "another"}},
    ],
)
def test_another_protocol_has_another_digest(changes: dict[str, Any]) -> None:
    assert board_of(**changes).sha256 != BOARD.sha256


def test_the_toml_of_shipped_boards_gives_reasons() -> None:
    for path in resources.available("boards").values():
        text = path.read_text(encoding="utf-8")
        assert tomllib.loads(text)
        for word in ("Sequences", "Frames", "Targets", "Anchor", "Metrics"):
            assert f"# {word}" in text, f"{path}: no reason for {word}"
