"""Stores that are damaged in every way, checked and repaired."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import (
    DECODE,
    VERSIONS,
    add_cell,
    content_of,
    digest,
    execute,
    file_of,
    filled,
    held,
    keep,
    key,
)

from evalsuite.engine.store import Origin, Store
from evalsuite.engine.upkeep.check import Finding, check
from evalsuite.errors import RequestError, StoreError
from evalsuite.results.history import open_run
from evalsuite.types import Series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    filled(tmp_path / "store", ("a", "b", "c"))
    keep(tmp_path / "store", 1, ("a", "b", "c"))
    assert check(tmp_path / "store") == []
    return tmp_path / "store"


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_damaged_bitstream_is_encoded_again_and_its_scores_count_if_it_is_the_same(folder: Path) -> None:
    path = file_of(folder, content_of("a"))
    times = path.stat()
    path.write_bytes(content_of("a").replace(b"a", b"x", 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk that loses bits does it
    found = only(check(folder))
    assert (found.what[:23], found.is_wrong, found.done) == ("a bitstream is damaged:", True, "")
    assert found.where == f"bitstreams/{path.parent.name}/{path.name}"
    assert only(check(folder, repair=True)).done
    assert check(folder) == []
    assert not path.exists()
    with Store(folder) as store:
        assert store.encode(key("a")) is None
        assert store.encode(key("b")) is not None
        add_cell(store, "a", scores=False)
        assert store.scores(key("a"), VERSIONS).keys() == VERSIONS.keys()
        assert store.decode(key("a")) == DECODE
    assert check(folder) == []


@pytest.mark.parametrize("repair", [True, False])
def test_scores_of_a_damaged_bitstream_go_if_the_next_encode_is_another(folder: Path, repair: bool) -> None:
    file_of(folder, content_of("a")).unlink()
    assert only(check(folder, repair=repair)).what == "a bitstream is missing"
    with Store(folder) as store:
        add_cell(store, "a", b"other bits", scores=False)
        assert store.scores(key("a"), VERSIONS) == {}
        assert store.decode(key("a")) is None
        assert len(store.scores(key("b"), VERSIONS)) == 2
    assert check(folder) == []
    assert held(folder)["lost"] == set()


def test_what_is_left_over_is_not_wrong_and_is_removed(folder: Path) -> None:
    before = held(folder)
    (folder / "tmp" / "1-dead").mkdir()
    (folder / "runs" / ".keeping-old").mkdir()
    orphan = file_of(folder, b"of no record")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"of no record")
    found = check(folder)
    assert [one.is_wrong for one in found] == [False] * 3
    assert {one.where for one in found} == {
        "tmp/1-dead",
        "runs/.keeping-old",
        f"bitstreams/{orphan.parent.name}/{orphan.name}",
    }
    assert not (folder / "tmp" / "1-dead").exists()
    assert all(one.done for one in check(folder, repair=True))
    assert check(folder) == []
    assert held(folder) == before


WRONG = [
    ("UPDATE scores SET frames = x'00112233445566' WHERE cell_key = ? AND metric = 'vmaf'", "8 bytes"),
    ("UPDATE scores SET indices = x'0011223344556677' WHERE cell_key = ? AND metric = 'vmaf'", "8 bytes"),
    ("UPDATE scores SET status = 'fine' WHERE cell_key = ? AND metric = 'vmaf'", "record of scores"),
    ("UPDATE decodes SET command = 'enc' WHERE cell_key = ?", "decode's record"),
    ("UPDATE decodes SET latency = '[1]' WHERE cell_key = ?", "decode's record"),
    ("UPDATE decodes SET cpu_s = 'long' WHERE cell_key = ?", "decode's record"),
    ("UPDATE decodes SET wall_s = -1 WHERE cell_key = ?", "decode's record"),
    (
        """UPDATE decodes SET latency = '{"first_frame_s": "x", "streams": true}' WHERE cell_key = ?""",
        "decode's record",
    ),
    (
        """UPDATE decodes SET latency = '{"first_frame_s": 1, "streams": true, "p50_s": NaN}' WHERE cell_key = ?""",
        "deco",
    ),
]


@pytest.mark.parametrize(("statement", "said"), WRONG)
def test_a_record_that_no_run_writes_is_removed_alone(folder: Path, statement: str, said: str) -> None:
    execute(folder, statement, key("a"))
    found = only(check(folder))
    assert said in found.what
    assert found.where.split()[0] == key("a")
    assert only(check(folder, repair=True)).done
    assert check(folder) == []
    with Store(folder) as store:
        assert store.encode(key("a")) is not None
        assert "psnr_y" in store.scores(key("a"), VERSIONS)


# The largest double is 1.8e308: SQLite takes 9e999 for infinity.
NO_NUMBERS = [
    *("q = 'x'", "q = 9e999", "q = x'00'", "file_bytes = 'x'", "file_bytes = 0", "file_bytes = 1.5"),
    *("payload_bytes = 'x'", "payload_bytes = 0", "payload_bytes = -5"),
    *("cpu_s = 'abc'", "cpu_s = 9e999", "cpu_s = -1", "wall_s = 'y'", "wall_s = -0.5", "load_s = 'z'", "load_s = -1"),
    *("peak_rss = 'x'", "peak_rss = -1", "pixels = 'p'", "pixels = 0", "frames = 0", "frames = NULL"),
]


def begin(store: Store) -> None:
    """What a run asks for before it does anything."""
    store.encode_costs()
    store.encode(key("a"))


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_damaged_number_of_a_cell_is_told_by_the_run_and_by_check(tmp_path: Path, value: str) -> None:
    folder = tmp_path / "store"
    with Store(folder) as store:
        add_cell(store, "a", origin=Origin("x265", "ab" * 32, "city", 4000, 4, 1))
    assert check(folder) == []
    execute(folder, f"UPDATE cells SET {value} WHERE cell_key = ?", key("a"))
    # Of a size, also that its bitstream has another.
    assert "an encode's record is not one that a run writes" in {one.what for one in check(folder)}
    with Store(folder) as store, pytest.raises(StoreError, match="something that no run has written"):
        begin(store)
    check(folder, repair=True)
    assert check(folder) == []


@pytest.mark.parametrize(
    "value", ["sha256 = '../../../etc/passwd'", "sha256 = x'00'", "commands = '{}'", "q = 'x'", "file_bytes = 1.5"]
)
def test_a_cell_that_no_run_writes_goes_with_all_that_hangs_on_it(folder: Path, value: str) -> None:
    execute(folder, f"UPDATE cells SET {value} WHERE cell_key = ?", key("a"))
    assert any(one.is_wrong for one in check(folder))
    assert all(one.done for one in check(folder, repair=True))
    assert check(folder) == []
    state = held(folder)
    assert {row[0] for row in state["cells"]} == {row[0] for row in state["scores"]} == {key("b"), key("c")}
    assert state["bitstreams"] == {digest(content_of(name)) for name in "bc"}


def test_a_size_that_is_not_the_records_is_wrong(folder: Path) -> None:
    execute(folder, "UPDATE cells SET file_bytes = 7 WHERE cell_key = ?", key("a"))
    assert only(check(folder, repair=True)).what == "a bitstream has 100 bytes, 7 by its record"
    assert check(folder) == []


def test_scores_of_no_cell_are_removed(folder: Path) -> None:
    with Store(folder) as store:
        store.add_scores("nobody", [Series("psnr_y", "too_small")], VERSIONS, DECODE)
    assert {one.what for one in check(folder, repair=True)} == {"scores of no cell", "a decode of no cell"}
    assert check(folder) == []


def test_a_run_that_cannot_be_read_is_set_aside(folder: Path) -> None:
    latest = keep(folder, 2, ("a",))
    (folder / "runs" / latest / "frames.parquet").write_bytes(b"x")
    found = only(check(folder, repair=True))
    assert (found.where, found.done) == (f"runs/{latest}", f"set aside as runs/.damaged-{latest}")
    assert check(folder) == []
    assert open_run(str(folder)).folder.name < latest
    for number in (2, 3):
        assert keep(folder, 2, ("a",)) == latest
        (folder / "runs" / latest / "frames.parquet").write_bytes(b"y")
        found = only(check(folder, repair=True))
        assert found.done == f"set aside as runs/.damaged-{latest}-{number}"
    assert (folder / "runs" / f".damaged-{latest}" / "frames.parquet").read_bytes() == b"x"


def test_repair_leaves_a_store_alone_that_is_in_use(folder: Path) -> None:
    file_of(folder, content_of("a")).unlink()
    before = held(folder)
    with Store(folder):
        assert only(check(folder)).what == "a bitstream is missing"
        with pytest.raises(StoreError, match="at work on the store"):
            check(folder, repair=True)
    assert held(folder) == before
    with pytest.raises(RequestError, match="no results store"):
        check(folder / "nowhere")


@contextmanager
def large(folder: Path, cells: int = 120) -> Iterator[dict[str, object]]:
    """A store of many pages, and what it holds."""
    filled(folder, [f"cell {number}" for number in range(cells)])
    yield held(folder)


def test_a_corrupt_database_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with large(folder) as before:
        database = folder / "store.sqlite"
        content = bytearray(database.read_bytes())
        page = 4096
        # One leaf in the middle, whatever it belongs to.
        middle = len(content) // page // 2
        content[middle * page : (middle + 1) * page] = b"\xff" * page
        database.write_bytes(content)
    found = only(check(folder))
    assert found.what.startswith("the database is corrupt")
    findings = check(folder, repair=True)
    assert all(one.done or not one.is_wrong for one in findings)
    assert not any(one.is_wrong for one in check(folder))
    assert (folder / "store.sqlite.corrupt-1").read_bytes() == content
    after = held(folder)
    assert after["cells"] <= before["cells"]  # type: ignore[operator]
    assert after["scores"] <= before["scores"]  # type: ignore[operator]
    assert len(after["cells"]) > 60
    assert after["bitstreams"] == before["bitstreams"]


def test_a_database_of_which_nothing_is_left_is_replaced(folder: Path) -> None:
    database = folder / "store.sqlite"
    bitstreams = held(folder)["bitstreams"]
    database.write_bytes(b"not a database at all" * 500)
    found = check(folder, repair=True)
    assert "nothing" in found[0].done
    assert [one.is_wrong for one in found[1:]] == [False] * 3
    assert held(folder)["bitstreams"] == bitstreams
    filled(folder, ("a", "b", "c"))
    assert check(folder) == []


def test_any_damage_to_the_database_is_repaired_or_refused_by_name(tmp_path: Path) -> None:
    good = filled(tmp_path / "good", [f"cell {number}" for number in range(12)])
    data = (good / "store.sqlite").read_bytes()

    @given(place=st.integers(0, len(data) - 1), patch=st.binary(min_size=1, max_size=64), end=st.integers(0, len(data)))
    @settings(max_examples=25, deadline=None)
    def damaged(place: int, patch: bytes, end: int) -> None:
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good, folder)
        content = data[:place] + patch + data[place + len(patch) :]
        (folder / "store.sqlite").write_bytes(content[: end if place % 4 == 0 else None])
        refused = None
        try:
            check(folder, repair=True)
        except StoreError as error:
            refused = error.what
        if refused is not None:
            assert refused == "the store was written by another version of evalsuite"
            return
        assert not any(one.is_wrong for one in check(folder))
        assert held(folder)["bitstreams"] <= {digest(content_of(f"cell {number}")) for number in range(12)}
        with Store(folder) as store:
            add_cell(store, "new")
            assert store.encode(key("new")) is not None

    damaged()


def test_a_run_waits_for_an_upkeep_that_ends(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from evalsuite.engine.store import Store\n"
        "with Store(Path(sys.argv[1])) as store: print(len(list(store.bitstreams())))"
    )
    with Store(folder, exclusive=True):
        waiting = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
    assert waiting.communicate(timeout=30) == ("3\n", None)
