"""Stores of earlier versions, and databases that no run has written."""

from __future__ import annotations

import hashlib
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

from evalsuite.engine.store import Store, StoredDecode
from evalsuite.engine.upkeep.check import check
from evalsuite.errors import StoreError
from evalsuite.types import SHARED, Usage

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
