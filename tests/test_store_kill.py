"""Stores whose users are killed outright at random moments, run out of disk, or work on them at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from store_samples import VERSIONS, add_cell, content_of, filled, held, keep, key

from evalsuite.engine.store import Store
from evalsuite.engine.upkeep.check import check
from evalsuite.errors import StoreError

ROUNDS = 6

WRITER = """
import hashlib, sys
from pathlib import Path
from evalsuite.engine.store import Store
from evalsuite.types import Usage

def file(name, content):
    path = store.scratch / name
    path.write_bytes(content)
    how = dict(sha256=hashlib.sha256(content).hexdigest(), payload_bytes=1, usage=Usage(1, 1), commands=(("enc",),))
    return path, how

with Store(Path(sys.argv[1])) as store:
    for number in range(int(sys.argv[3]), 100_000):
        name = f"{sys.argv[2]} {number}"
        key = hashlib.sha256(f"cell {name}".encode()).hexdigest()
        for start in (0, 8):
            part, how = file("part", f"{name} {start}".encode())
            store.add_segment(key, 30.0, start, 8, part, **how)
        whole, how = file("whole", name.encode() * 100)
        store.add_encode(key, 30.0, whole, **how)
        print(name, flush=True)
"""

MERGER = """
import sys
from pathlib import Path
from evalsuite.engine.upkeep.merge import merge
print(flush=True)
print(merge(Path(sys.argv[1]), Path(sys.argv[2])).cells, flush=True)
"""

REPAIRER = """
import sys
from pathlib import Path
from evalsuite.engine.upkeep.check import check
print(flush=True)
check(Path(sys.argv[1]), repair=True)
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


def killed(process: subprocess.Popen[str], after: float) -> list[str]:
    """Kill a process some time after its first line; returns the whole lines that it has written."""
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0]
    return [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


def test_what_was_finished_survives_any_number_of_kills_of_two_runs(tmp_path: Path) -> None:
    chance = random.Random(1)
    finished: dict[str, int] = {"one": 0, "two": 0}
    for _ in range(ROUNDS):
        writers = {name: started(WRITER, tmp_path, name, count) for name, count in finished.items()}
        for name, writer in writers.items():
            finished[name] += len(killed(writer, chance.uniform(0, 0.2)))
        found = check(tmp_path)
        assert not [one for one in found if one.is_wrong]
    assert min(finished.values()) >= ROUNDS
    with Store(tmp_path) as store:
        for name, count in finished.items():
            for number in range(count):
                encode = store.encode(key(f"{name} {number}"))
                assert encode is not None
                assert encode.path.read_bytes() == content_of(f"{name} {number}")
                assert store.segment(key(f"{name} {number}"), 30.0, 8, 8) is not None
    cells = len(held(tmp_path)["cells"])
    # Each kill may have cut one cell between its record and its line.
    assert sum(finished.values()) <= cells <= sum(finished.values()) + 2 * ROUNDS


def test_a_killed_merge_leaves_a_whole_store_and_is_completed_by_the_next(tmp_path: Path) -> None:
    chance = random.Random(2)
    source = filled(tmp_path / "source", [f"cell {number}" for number in range(150)])
    keep(source, 1, ("cell 1",))
    filled(tmp_path / "into", ["cell 1", "own"])
    for _ in range(3):
        killed(started(MERGER, tmp_path / "into", source), chance.uniform(0, 0.4))
        assert not [one for one in check(tmp_path / "into") if one.is_wrong]
    assert started(MERGER, tmp_path / "into", source).wait(60) == 0
    wanted, have = held(source), held(tmp_path / "into")
    assert all(wanted[kind] <= have[kind] for kind in ("cells", "scores", "decodes", "bitstreams", "runs"))
    assert len(have["cells"]) == 151
    assert [one.what for one in check(tmp_path / "into") if one.is_wrong] == []


def test_a_killed_repair_is_completed_by_the_next(tmp_path: Path) -> None:
    chance = random.Random(3)
    before = held(filled(tmp_path, [f"cell {number}" for number in range(100)]))
    content = bytearray((tmp_path / "store.sqlite").read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    (tmp_path / "store.sqlite").write_bytes(content)
    for _ in range(4):
        killed(started(REPAIRER, tmp_path), chance.uniform(0, 0.06))
    assert started(REPAIRER, tmp_path).wait(60) == 0
    assert not [one for one in check(tmp_path) if one.is_wrong]
    after = held(tmp_path)
    assert len(after["cells"]) > 50
    assert after["cells"] <= before["cells"]
    assert content in [path.read_bytes() for path in tmp_path.glob("store.sqlite.corrupt-*")]


CUT_REPAIRER = """
import os, signal, sqlite3, sys
from pathlib import Path
from evalsuite.engine.upkeep.check import check

connect, steps = sqlite3.connect, int(sys.argv[2])

def with_a_log_that_stays(*arguments, **named):
    # As where another program reads an earlier state of the database.
    database = connect(*arguments, **named)
    database.set_authorizer(lambda action, name, *_: action == sqlite3.SQLITE_PRAGMA and name == "wal_checkpoint")
    return database

def step(event, arguments):
    global steps
    if event in ("os.rename", "os.remove") and "store.sqlite" in str(arguments[0]):
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)

reader = connect(Path(sys.argv[1]) / "store.sqlite")
reader.execute("SELECT count(*) FROM cells").fetchone()
sqlite3.connect = with_a_log_that_stays
sys.addaudithook(step)
check(Path(sys.argv[1]), repair=True)
"""


def test_a_repair_that_is_killed_at_any_step_loses_nothing(tmp_path: Path) -> None:
    old = filled(tmp_path / "old", ["in the database"])
    with closing(sqlite3.connect(old / "store.sqlite")) as db:
        db.execute("ALTER TABLE segments DROP COLUMN timed_on")  # corrupt, and all that counts can be read
    with Store(old) as store:
        add_cell(store, "in the log")
        shutil.copytree(old, tmp_path / "killed", ignore=shutil.ignore_patterns("*-shm"))
    whole, refused = held(old), 0
    for step in count():
        folder = shutil.copytree(tmp_path / "killed", tmp_path / f"step {step}")
        assert (folder / "store.sqlite-wal").stat().st_size > 0
        ended = started(CUT_REPAIRER, folder, step).wait(60)
        assert any(one.is_wrong for one in check(folder)) == bool(ended)
        if (folder / "store.sqlite.recovered").exists():
            with pytest.raises(StoreError, match="repair of the store was killed"):
                Store(folder)
            refused += 1
        assert all(one.done for one in check(folder, repair=True))
        assert check(folder) == []
        assert held(folder) == whole
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert refused >= 3


def test_a_full_database_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    filled(tmp_path, ["kept"])
    added = []
    with Store(tmp_path) as store:
        pages = store.database.execute("PRAGMA page_count").fetchone()[0]
        store.database.execute(f"PRAGMA max_page_count = {pages + 2}")
        refused = ""
        while not refused:
            name = f"more {len(added)}"
            try:
                add_cell(store, name, scores=False)
                added.append(name)
            except StoreError as error:
                refused = str(error)
        assert "database or disk is full" in refused
        assert "nothing finished is lost" in refused
    assert added
    assert not [one for one in check(tmp_path) if one.is_wrong]
    with Store(tmp_path) as store:
        assert all(store.encode(key(name)) is not None for name in ["kept", *added])
        assert len(store.scores(key("kept"), VERSIONS)) == 2


def test_a_file_system_that_takes_no_more_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for a disk that is full in the middle of a file: here, of the database's log."""
    code = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n" + WRITER
    process = started(code, tmp_path, "one", 0)
    names = process.communicate(timeout=60)[0].split("\n")[:-1]
    assert process.returncode == 1
    assert not [one for one in check(tmp_path) if one.is_wrong]
    with Store(tmp_path) as store:
        assert all(store.encode(key(name)) is not None for name in names)


def test_two_runs_with_an_encoder_that_is_not_deterministic_agree(tmp_path: Path) -> None:
    with Store(tmp_path) as first, Store(tmp_path) as second:
        add_cell(first, "cell", b"the first one's")
        path = second.scratch / "late"
        path.write_bytes(b"the second one's")
        stored = first.encode(key("cell"))
        assert stored is not None
        late = second.add_encode(
            *(key("cell"), 30.0, path), sha256="0" * 64, payload_bytes=16, usage=stored.usage, commands=(("enc",),)
        )
        assert late == stored
        assert late.path.read_bytes() == b"the first one's"
        assert not path.exists()
        assert len(second.scores(key("cell"), VERSIONS)) == 2
    assert check(tmp_path) == []


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path) as store:
        for day in (20_000, 1, 40_000):
            monkeypatch.setattr(time, "time", lambda day=day: day * 86400.0)
            add_cell(store, f"day {day}")
    monkeypatch.undo()
    assert check(tmp_path) == []
    assert len(held(tmp_path)["cells"]) == 3


def test_a_bitstream_that_is_moved_in_but_not_recorded_is_not_taken_for_an_orphan(tmp_path: Path) -> None:
    with Store(tmp_path) as run, Store(tmp_path) as other:
        other.database.execute("PRAGMA busy_timeout = 0")
        file = run.scratch / "new"
        file.write_bytes(b"new")
        with run.transaction():
            run.move_in(file, "ab" * 32)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.remove_orphans(["ab" * 32])
            run.database.execute(
                "INSERT INTO segments SELECT 'key', 1.0, 0, 8, ?, 3, 3, '[]', '', 0.0, 0.0, 0, NULL, 0, ''",
                ("ab" * 32,),
            )
        assert other.remove_orphans(["ab" * 32]) == []
        assert other.bitstream("ab" * 32).read_bytes() == b"new"
