"""Stores of earlier versions, and databases that no run has written."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import USAGE, VERSIONS, add

from evalsuite.engine.schema import create
from evalsuite.engine.store import Store, StoredDecode
from evalsuite.engine.upkeep.check import check
from evalsuite.errors import StoreError
from evalsuite.types import SHARED, Latency, Timing, Usage

FIRST_SCHEMA = """
CREATE TABLE IF NOT EXISTS cells (
    cell_key      TEXT PRIMARY KEY,
    q             REAL NOT NULL,
    sha256        TEXT NOT NULL,
    file_bytes    INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL,
    wall_s        REAL NOT NULL,
    cpu_s         REAL NOT NULL,
    peak_rss      INTEGER NOT NULL,
    commands      TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decodes (
    cell_key TEXT PRIMARY KEY,
    wall_s   REAL NOT NULL,
    cpu_s    REAL NOT NULL,
    peak_rss INTEGER NOT NULL,
    command  TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    cell_key TEXT NOT NULL,
    metric   TEXT NOT NULL,
    version  TEXT NOT NULL,
    status   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    frames   BLOB NOT NULL,
    PRIMARY KEY (cell_key, metric, version)
) WITHOUT ROWID;
PRAGMA user_version=1;
"""


def old_store(folder: Path) -> None:
    """A store as the first version of the schema had it, with one cell."""
    digest = hashlib.sha256(b"old bits").hexdigest()
    bitstream = folder / "bitstreams" / digest[:2] / f"{digest}.bin"
    bitstream.parent.mkdir(parents=True)
    bitstream.write_bytes(b"old bits")
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.executescript(FIRST_SCHEMA)
        db.execute(
            "INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ("cell", 27.5, digest, 8, 6, 1.5, 1.25, 512_000_000, '[["enc", "a b"]]'),
        )
        db.execute("INSERT INTO decodes VALUES (?, ?, ?, ?, ?)", ("cell", 0.5, 0.25, 512_000_000, '["dec"]'))
        frames = np.arange(3.0).astype("<f8").tobytes()
        db.execute("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?)", ("cell", "psnr_y", "1", "ok", "", frames))
    db.close()


def test_a_store_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    old_store(tmp_path)
    for _ in range(2):
        with Store(tmp_path) as store:
            encode, decode = store.encode("cell"), store.decode("cell")
            assert encode is not None
            assert (encode.q, encode.file_bytes, encode.payload_bytes) == (27.5, 8, 6)
            # The peak memory of that time was that of the worker.
            assert (encode.usage, encode.timing, encode.commands) == (Usage(1.5, 1.25), SHARED, (("enc", "a b"),))
            assert encode.reconstruction_sha256 == ""
            assert decode == StoredDecode(Usage(0.5, 0.25), ("dec",))
            np.testing.assert_array_equal(store.scores("cell", VERSIONS)["psnr_y"].values, [0, 1, 2])
            assert store.encode_costs() == []
            assert store.segment("codec", 27.5, 0, 8) is None
    with Store(tmp_path) as store:
        add(store, "another", b"new bits")
        assert store.encode("another").usage == USAGE  # type: ignore[union-attr]


def test_a_brought_up_store_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    old_store(tmp_path / "old")
    Store(tmp_path / "old").close()
    Store(tmp_path / "new").close()
    assert check(tmp_path / "old") == check(tmp_path / "new") == []
    found = []
    for name in ("old", "new"):
        with closing(sqlite3.connect(tmp_path / name / "store.sqlite")) as db:
            found.append(sorted(db.execute("SELECT type, name, tbl_name FROM sqlite_master")))
            assert db.execute("PRAGMA user_version").fetchone() == (4,)
            ((identity,),) = db.execute("SELECT id FROM identity").fetchall()
            assert len(identity) == 32
    assert found[0] == found[1]


OLD_CELLS = {
    "one": (27.5, b"bits of one", 9, 1.5, 1.25, '[["enc", "a b"]]'),
    "two": (40.0, b"bits of two, more", 17, 0.25, 2.5, '[["enc", "1"], ["enc", "2"]]'),
    "three": (18.25, b"3", 1, 60.0, 59.5, '[["enc"]]'),
}
"""q, bitstream, payload bytes, wall and CPU seconds, commands."""
PEAK = 512_000_000
LATENCY = '{"first_frame_s": 0.5, "streams": true, "p50_s": 0.01, "p95_s": 0.02, "p99_s": 0.03, "jitter_s": 0.004}'


def store_of(folder: Path, version: int) -> None:
    """A store as that version of the schema had it: every column that it has is filled."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "store.sqlite")) as db:
        create(db, version)
        for cell, (q, bits, payload, wall, cpu, commands) in OLD_CELLS.items():
            digest = hashlib.sha256(bits).hexdigest()
            path = folder / "bitstreams" / digest[:2] / f"{digest}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bits)
            common = {"cell_key": cell, "wall_s": wall, "cpu_s": cpu, "peak_rss": PEAK}
            timed = {"load_s": 0.125, "ran_alone": 1, "timed_on": "a processor"} if version > 1 else {}
            size = {"file_bytes": len(bits), "payload_bytes": payload}
            encode = {"q": q, "sha256": digest, **size, "commands": commands}
            own = {"reconstruction_sha256": "cd" * 32} if version > 1 else {}
            insert(db, "cells", common | timed | encode | own)
            own = {"latency": LATENCY} if version > 1 and cell == "two" else {}
            insert(db, "decodes", common | timed | own | {"command": '["dec", "a b"]'})
            values = np.array([q, np.inf, np.nan]).astype("<f8").tobytes()
            score = {"cell_key": cell, "metric": "psnr_y", "version": "1", "status": "ok", "reason": ""}
            indices = {"indices": np.array([2, 5, 7]).astype("<i8").tobytes()} if version > 2 else {}
            insert(db, "scores", score | indices | {"frames": values})
            small = {"metric": "vmaf", "version": "v0.6.1", "status": "too_small", "reason": "needs 17"}
            insert(db, "scores", score | small | {"frames": b""})
        db.commit()


def insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_value_of_an_old_store_is_there(tmp_path: Path, version: int) -> None:
    folder = tmp_path / "store"
    store_of(folder, version)
    timing = Timing(ran_alone=True, timed_on="a processor") if version > 1 else SHARED
    # The first schema's peak memory was that of the worker.
    peak, load = (PEAK, 0.125) if version > 1 else (0, None)
    with Store(folder) as store:
        for cell, (q, bits, payload, wall, cpu, commands) in OLD_CELLS.items():
            encode, decode, scores = store.encode(cell), store.decode(cell), store.scores(cell, VERSIONS)
            assert encode is not None
            assert encode.path.read_bytes() == bits
            assert (encode.q, encode.file_bytes, encode.payload_bytes) == (q, len(bits), payload)
            assert (encode.usage, encode.timing) == (Usage(wall, cpu, peak, load), timing)
            assert [list(one) for one in encode.commands] == json.loads(commands)
            assert encode.reconstruction_sha256 == ("cd" * 32 if version > 1 else "")
            latency = Latency(0.5, True, 0.01, 0.02, 0.03, 0.004) if version > 1 and cell == "two" else None
            assert decode == StoredDecode(Usage(wall, cpu, peak, load), ("dec", "a b"), timing, latency)
            np.testing.assert_array_equal(scores["psnr_y"].values, [q, np.inf, np.nan])
            frames = scores["psnr_y"].frames
            assert (None if frames is None else frames.tolist()) == ([2, 5, 7] if version > 2 else None)
            assert (scores["vmaf"].status, scores["vmaf"].reason) == ("too_small", "needs 17")
            assert scores["vmaf"].values.size == 0
    assert check(folder) == []


# That of the first days of the suite's development, which also called itself schema 1.
EARLIEST_CELLS = FIRST_SCHEMA.replace("q             REAL", "codec_key TEXT NOT NULL, q REAL").replace(
    "commands      TEXT", "command TEXT"
)


@pytest.mark.parametrize(
    ("tables", "got"),
    [
        (EARLIEST_CELLS, "another shape of cells"),
        (FIRST_SCHEMA + "CREATE TABLE segments (codec_key TEXT);", "another shape of segments"),
        (FIRST_SCHEMA + "DROP TABLE decodes; PRAGMA user_version=3;", "another shape of cells, decodes, scores"),
        ("CREATE TABLE songs (title TEXT);", "the tables songs"),
    ],
)
def test_a_database_of_other_tables_is_no_store(tmp_path: Path, tables: str, got: str) -> None:
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.executescript(tables)
        before = sorted(db.execute("SELECT name, sql FROM sqlite_master"))
    with pytest.raises(StoreError, match="not a store of this suite") as caught:
        Store(tmp_path)
    assert got in str(caught.value)
    assert "--store" in str(caught.value)
    assert "space" not in str(caught.value)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        assert sorted(db.execute("SELECT name, sql FROM sqlite_master")) == before


def test_a_database_that_is_no_store_is_not_repaired(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    for repair in (False, True):
        with pytest.raises(StoreError, match="not a store of this suite"):
            check(tmp_path, repair=repair)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_two_runs_at_once_bring_an_old_store_up_to_date(tmp_path: Path) -> None:
    old_store(tmp_path)
    code = (
        "import sys; from pathlib import Path; from evalsuite.engine.store import Store\n"
        "with Store(Path(sys.argv[1])) as store: assert store.encode('cell').payload_bytes == 6"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [run.wait(60) for run in runs] == [0] * 4


def test_a_database_of_anything_is_used_or_refused_by_name(tmp_path: Path) -> None:
    old_store(tmp_path / "good")
    good = (tmp_path / "good" / "store.sqlite").read_bytes()

    @given(place=st.integers(0, len(good) - 1), patch=st.binary(min_size=1, max_size=64), end=st.integers(0, len(good)))
    @settings(max_examples=60, deadline=None)
    def damaged(place: int, patch: bytes, end: int) -> None:
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        content = good[:place] + patch + good[place + len(patch) :]
        (folder / "store.sqlite").write_bytes(content[: end if place % 2 else None])
        with suppress(StoreError), Store(folder) as store:
            store.encode("cell")
            store.decode("cell")
            store.scores("cell", VERSIONS)

    damaged()


ANYTHING = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=9)
COLUMNS = {
    "cells": ("sha256", "payload_bytes", "commands", "wall_s", "peak_rss", "load_s", "ran_alone", "timed_on"),
    "decodes": ("command", "cpu_s", "ran_alone", "latency"),
    "scores": ("status", "reason", "frames"),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("opened")
    old_store(folder)
    with Store(folder) as store:
        yield store


@given(column=st.sampled_from([(table, name) for table in COLUMNS for name in COLUMNS[table]]), value=ANYTHING)
@settings(max_examples=150, deadline=None)
def test_a_record_of_anything_is_used_or_refused_by_name(opened: Store, column: tuple[str, str], value: object) -> None:
    table, name = column
    with closing(sqlite3.connect(opened.folder / "store.sqlite")) as db:
        db.execute("PRAGMA synchronous=OFF")
        (good,) = db.execute(f"SELECT {name} FROM {table}").fetchone()
        with suppress(sqlite3.IntegrityError):
            db.execute(f"UPDATE {table} SET {name} = ?", (value,))
            db.commit()
        for read in (opened.encode, opened.decode):
            with suppress(StoreError):
                read("cell")
        with suppress(StoreError):
            opened.scores("cell", VERSIONS)
        db.execute(f"UPDATE {table} SET {name} = ?", (good,))
        db.commit()
