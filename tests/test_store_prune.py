"""What a store no longer needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from store_samples import DECODE, USAGE, VERSIONS, content_of, digest, file_of, filled, held, keep, key

from evalsuite.engine.store import Store
from evalsuite.engine.upkeep.check import check
from evalsuite.engine.upkeep.prune import prune
from evalsuite.errors import RequestError, StoreError
from evalsuite.types import Series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store whose runs of three days need a, b and c; d was only tried."""
    folder = filled(tmp_path / "store", ("a", "b", "c", "d"))
    for day, name in ((1, "a"), (2, "b"), (3, "c")):
        keep(folder, day, (name,))
    return folder


def names(folder: Path) -> set[str]:
    keys = {row[0] for row in held(folder)["cells"]}
    return {name for name in "abcd" if key(name) in keys}


@pytest.mark.parametrize(("number", "left"), [(1, "c"), (2, "bc"), (3, "abc"), (9, "abc")])
def test_cells_that_no_kept_run_refers_to_go_with_all_that_is_theirs(folder: Path, number: int, left: str) -> None:
    pruned = prune(folder, runs=number, unused=True)
    assert len(pruned.runs) == 3 - len(left)
    assert names(folder) == set(left)
    state = held(folder)
    assert state["bitstreams"] == {digest(content_of(name)) for name in left}
    assert {row[0] for row in state["scores"]} == {row[0] for row in state["decodes"]} == {key(name) for name in left}
    assert len(state["runs"]) == len(left)
    assert check(folder) == []


def test_a_dry_run_tells_the_same_and_removes_nothing(folder: Path) -> None:
    before = held(folder)
    told = prune(folder, runs=1, unused=True, dry_run=True)
    assert held(folder) == before
    assert told == prune(folder, runs=1, unused=True)
    assert told.freed_bytes > 3 * 100
    assert prune(folder, runs=1, unused=True).freed_bytes == 0


def test_without_options_only_left_over_bitstreams_go(folder: Path) -> None:
    before = held(folder)
    orphan = file_of(folder, b"orphan")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"orphan")
    pruned = prune(folder)
    assert (pruned.runs, pruned.cells, pruned.bitstreams, pruned.freed_bytes) == ([], [], [digest(b"orphan")], 6)
    assert held(folder) == before


def test_age_and_number_must_both_say_so_and_the_latest_run_stays(folder: Path) -> None:
    second = datetime.now(UTC) - datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert len(prune(folder, older_than=second, runs=2, dry_run=True).runs) == 1
    assert len(prune(folder, older_than=second, dry_run=True).runs) == 2
    assert len(prune(folder, older_than=second, runs=3, dry_run=True).runs) == 0
    # As after a clock that was far ahead.
    assert len(prune(folder, older_than=timedelta(0)).runs) == 2
    assert len(held(folder)["runs"]) == 1


def test_the_age_of_a_run_is_its_own_though_its_name_is_later(folder: Path) -> None:
    keep(folder, 31, ("a",))
    keep(folder, 4, ("b",))  # the clock was ahead, and was put back: named after day 31
    keep(folder, 5, ("c",))
    since = datetime.now(UTC) - datetime(2026, 1, 4, 12, tzinfo=UTC)
    assert len(prune(folder, older_than=since).runs) == 4
    assert len(held(folder)["runs"]) == 2
    runs = sorted(held(folder)["runs"])
    (folder / "runs" / runs[0] / "summary.json").write_bytes(b"damaged")
    assert prune(folder, older_than=timedelta(0)).runs == []


def test_a_store_that_is_in_use_is_not_pruned(folder: Path) -> None:
    before = held(folder)
    with Store(folder), pytest.raises(StoreError, match="another process is at work"):
        prune(folder, runs=1, unused=True)
    assert held(folder) == before


def test_a_history_that_is_empty_or_damaged_takes_no_cell_along(folder: Path, tmp_path: Path) -> None:
    empty = filled(tmp_path / "empty", ("a",))
    with pytest.raises(RequestError, match="no cell would be kept"):
        prune(empty, unused=True)
    latest = max(held(folder)["runs"])
    (folder / "runs" / latest / "results.parquet").write_bytes(b"x")
    with pytest.raises(StoreError, match="damaged"):
        prune(folder, unused=True)
    assert names(folder) == set("abcd")
    with pytest.raises(RequestError, match="no results store"):
        prune(tmp_path / "nowhere")


def test_segments_go_with_unused_cells_alone(folder: Path) -> None:
    with Store(folder) as store:
        part = store.scratch / "part"
        part.write_bytes(b"part")
        store.add_segment(
            *("codec", 30.0, 0, 8, part), sha256=digest(b"part"), payload_bytes=4, usage=USAGE, commands=(("enc",),)
        )
    assert prune(folder).bitstreams == []
    assert prune(folder, unused=True).segments == 1
    assert held(folder)["segments"] == set()
    assert digest(b"part") not in held(folder)["bitstreams"]


def test_the_database_shrinks(folder: Path) -> None:
    with Store(folder) as store:
        frames = Series("psnr_y", "ok", np.random.default_rng(0).random(100_000))
        store.add_scores(key("d"), [frames], VERSIONS, DECODE)
    assert (folder / "store.sqlite").stat().st_size > 800_000
    prune(folder, unused=True)
    assert (folder / "store.sqlite").stat().st_size < 100_000
    assert names(folder) == set("abc")
