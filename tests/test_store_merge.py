"""What one store has and another lacks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from store_samples import ALONE, VERSIONS, add_cell, content_of, digest, execute, file_of, filled, held, keep, key

from evalsuite.engine.store import Store, StoredDecode
from evalsuite.engine.upkeep.check import check
from evalsuite.engine.upkeep.merge import Conflict, Merged, merge, merge_records
from evalsuite.errors import RequestError, StoreError
from evalsuite.results.history import keep_run
from evalsuite.results.load import read_run
from evalsuite.types import Latency, Timing, Usage


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    return filled(tmp_path / "into", ("a", "b")), filled(tmp_path / "from", ("b", "c"))


def test_two_stores_become_what_one_run_of_both_would_have_made(stores: tuple[Path, Path], tmp_path: Path) -> None:
    into, source = stores
    days = keep(into, 1, ("a",)), keep(source, 2, ("c",))
    before = held(source)
    assert merge(into, source) == Merged(cells=1, bitstreams=1, decodes=1, scores=2, runs=1)
    assert held(source) == before
    expected = held(filled(tmp_path / "both", ("a", "b", "c")))
    assert held(into) == expected | {"runs": set(days)}
    assert check(into) == []
    assert merge(into, source) == Merged()
    assert held(into) == expected | {"runs": set(days)}


def test_a_run_is_the_same_under_another_name(stores: tuple[Path, Path]) -> None:
    into, source = stores
    keep(into, 9, ("a",))
    first = keep(source, 2, ("b",))
    shutil.copytree(source.parent / "run of day 2", source.parent / "copy")
    later = keep_run(read_run(source.parent / "copy"), into).name
    assert (first[:8], later[:8], first[-8:]) == ("20260102", "20260109", later[-8:])
    assert merge(into, source).runs == 0
    assert merge(source, into).runs == 1
    assert sorted(held(source)["runs"])[0] == first
    assert len(held(source)["runs"]) == len(held(into)["runs"]) == 2


def test_only_what_is_lacking_of_a_cell_is_added(stores: tuple[Path, Path]) -> None:
    into, source = stores
    execute(into, "DELETE FROM scores WHERE metric = 'vmaf'")
    execute(into, "UPDATE scores SET frames = x'0000000000000000' WHERE cell_key = ?", key("b"))
    assert merge(into, source) == Merged(cells=1, bitstreams=1, decodes=1, scores=3)
    with Store(into) as store:
        assert store.scores(key("b"), VERSIONS)["psnr_y"].values.tolist() == [0.0]
        assert len(store.scores(key("b"), VERSIONS)) == 2


def test_an_encoder_that_does_not_repeat_itself_is_a_conflict(tmp_path: Path) -> None:
    for name in ("into", "from"):
        with Store(tmp_path / name) as store:
            add_cell(store, "cell", name.encode())
    execute(tmp_path / "into", "DELETE FROM scores WHERE metric = 'vmaf'")
    before = held(tmp_path / "into")
    into, source = (next(iter(held(tmp_path / name)["bitstreams"])) for name in ("into", "from"))
    for _ in range(2):
        merged = merge(tmp_path / "into", tmp_path / "from")
        assert merged == Merged(conflicts=[Conflict(key("cell"), into, source)])
        assert held(tmp_path / "into") == before


def test_damaged_bitstreams_are_left_out_here_and_healed_there(stores: tuple[Path, Path]) -> None:
    into, source = stores
    file_of(source, content_of("c")).write_bytes(b"damaged")
    file_of(into, content_of("b")).unlink()
    merged = merge(into, source)
    assert (merged.cells, merged.bitstreams) == (0, 1)
    assert [key("c") in line for line in merged.left_out] == [True]
    assert check(into) == []


def test_scores_of_a_lost_bitstream_count_if_it_comes_back_and_go_if_another_comes(tmp_path: Path) -> None:
    for content, scores in ((b"same", 4), (b"other", 5)):
        into, source = tmp_path / f"into {scores}", tmp_path / f"from {scores}"
        for folder, bits in ((into, b"same"), (source, content)):
            with Store(folder) as store:
                add_cell(store, "cell", bits)
        file_of(into, b"same").unlink()
        check(into, repair=True)
        merge(into, source)
        assert check(into) == []
        with Store(into) as store:
            assert store.scores(key("cell"), VERSIONS)["psnr_y"].values[0] == scores


def test_trap30_times_that_were_taken_alone_replace_others(stores: tuple[Path, Path]) -> None:
    into, source = stores
    latency = Latency(0.5, True, 0.01, 0.02, 0.03, 0.004)
    alone = StoredDecode(Usage(0.1, 0.1), ("dec", "alone"), ALONE, latency)
    with Store(source) as store:
        store.retime_encode(key("b"), Usage(9, 8, 7, 6), ALONE)
        store.add_decode(key("b"), alone)
        store.add_decode(key("c"), alone)
    with Store(into) as store:
        store.retime_encode(key("a"), Usage(3, 3), ALONE)
    merge(into, source)
    merge(source, into)
    for folder in (into, source):
        with Store(folder) as store:
            encode = store.encode(key("b"))
            assert encode is not None
            assert (encode.usage, encode.timing) == (Usage(9, 8, 7, 6), ALONE)
            assert store.decode(key("b")) == store.decode(key("c")) == alone
            assert store.encode(key("a")).usage == Usage(3, 3)  # type: ignore[union-attr]
    assert {kind: rows for kind, rows in held(into).items() if kind != "runs"} == {
        kind: rows for kind, rows in held(source).items() if kind != "runs"
    }


def test_trap30_a_time_of_a_timing_run_replaces_one_that_was_taken_alone_by_chance(stores: tuple[Path, Path]) -> None:
    into, source = stores
    for folder, seconds, timing in ((into, 5, Timing(ran_alone=True)), (source, 4, ALONE)):
        with Store(folder) as store:
            store.retime_encode(key("b"), Usage(seconds, seconds), timing)
    for first, second in ((source, into), (into, source)):
        merge(first, second)
        with Store(first) as store:
            encode = store.encode(key("b"))
            assert encode is not None
            assert (encode.usage.wall_s, encode.timing) == (4, ALONE)


def test_a_damaged_run_is_left_out(stores: tuple[Path, Path]) -> None:
    into, source = stores
    run = keep(source, 1, ("c",))
    (source / "runs" / run / "results.parquet").write_bytes(b"x")
    merged = merge(into, source)
    assert (merged.runs, [run in line for line in merged.left_out]) == (0, [True])


def test_what_is_no_store_or_the_same_or_wrong_is_refused_by_name(stores: tuple[Path, Path], tmp_path: Path) -> None:
    into, source = stores
    with pytest.raises(RequestError, match="no results store"):
        merge(into, tmp_path / "nowhere")
    with pytest.raises(RequestError, match="into itself"):
        merge(into, into)
    execute(source, "UPDATE cells SET sha256 = '../../x' WHERE cell_key = ?", key("c"))
    with pytest.raises(StoreError, match="store to take from is wrong"):
        merge(into, source)


@pytest.mark.parametrize("after", ["the files", "the list"])
def test_a_cell_that_becomes_another_meanwhile_is_left_to_the_next_merge(tmp_path: Path, after: str) -> None:
    """A run on the other store finds a bitstream damaged, and its encoder does not give the same twice."""
    into, source = tmp_path / "into", filled(tmp_path / "from", ("a", "b"))
    merged = Merged()
    with Store(into) as store, Store(source) as other, Store(source) as run:

        def bring(wanted: Sequence[tuple[str, Path]]) -> None:
            if after == "the list":
                change()
            for sha256, path in wanted:
                if other.bitstream(sha256).exists():
                    shutil.copyfile(other.bitstream(sha256), path)
            if after == "the files":
                change()

        def change() -> None:
            file_of(source, content_of("b")).unlink()
            add_cell(run, "b", b"other bits")

        merge_records(store, other.database, bring, merged)
    assert (merged.cells, merged.bitstreams, merged.scores) == (1, 1, 2)
    assert merged.left_out == [f"cell {key('b')}: a run has changed it meanwhile; merge again"]
    assert {row[0] for row in held(into)["cells"]} == {key("a")}
    assert [one for one in check(into) if one.is_wrong] == []
    assert merge(into, source) == Merged(cells=1, bitstreams=1, decodes=1, scores=2)
    assert held(into)["bitstreams"] == {digest(content_of("a")), digest(b"other bits")}
    assert check(into) == []


def test_both_may_be_in_use(stores: tuple[Path, Path]) -> None:
    into, source = stores
    with Store(into) as run, Store(source):
        assert merge(into, source).cells == 1
        assert run.encode(key("c")) is not None
