"""Long encodes in parts: the run that splits gives what the run gives that does not."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time

import pandas as pd
import pytest
from conftest import make_clip
from run_bench import Bench
from sample_recipes import edited

CODEC = "kvazaar:lowdelay"
COLUMNS = ["codec", "sequence", "q", "metric", "statistic", "cell_key", "bitstream_sha256", "score", "bytes"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("split"))


@pytest.fixture(scope="module")
def clip(bench):
    return str(make_clip(bench.folder / "long.y4m", 96, 80, 70))


def arguments(clip: str, out: str, *more: str) -> list[str]:
    given = ["run", "--codecs", CODEC, "--match", "none", "--metrics", "psnr_y", "--pictures", "none"]
    return [*given, "--sequences", clip, "--out", out, "--store", f"store-{out}", *more]


def results(bench: Bench, out: str) -> pd.DataFrame:
    rows = pd.read_parquet(bench.folder / out / "results.parquet")[COLUMNS]
    return rows.sort_values(COLUMNS[:5]).reset_index(drop=True)


def segments(bench: Bench, out: str) -> int:
    with sqlite3.connect(bench.folder / f"store-{out}/store.sqlite") as store:
        return store.execute("SELECT COUNT(*) FROM segments").fetchone()[0]


def test_parts_make_the_same_streams(bench, clip):
    # Fifteen workers for five encodes of a codec that nothing is known of: three parts each, one for each intra period.
    bench.run(*arguments(clip, "parts", "--jobs", "15"))
    bench.run(*arguments(clip, "whole", "--jobs", "15", "--no-split"))
    pd.testing.assert_frame_equal(results(bench, "parts"), results(bench, "whole"))
    for out, parts in (("parts", 3), ("whole", 1)):
        summary = json.loads((bench.folder / out / "summary.json").read_text())
        assert [entry["parts"] for entry in summary["commands"]] == [parts] * 5
        assert summary["outcomes"]["encodes"] == 5
    assert segments(bench, "parts") == 0
    # What is known to take no time is not split.
    bench.run(*arguments(clip, "again", "--jobs", "15", "--intra-period", "16", "--store", "store-parts"))
    summary = json.loads((bench.folder / "again/summary.json").read_text())
    assert [entry["parts"] for entry in summary["commands"]] == [1] * 5


def test_parts_that_were_finished_are_kept_when_the_run_is_killed(bench, clip):
    command = bench.command(*arguments(clip, "killed", "--jobs", "15"))
    run = subprocess.Popen(command, cwd=bench.folder, env=bench.env, stderr=subprocess.DEVNULL)
    store, deadline = bench.folder / "store-killed/store.sqlite", time.monotonic() + 60
    while not (store.exists() and _count(store)):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.wait()
    with sqlite3.connect(store) as database:
        begun = {q for (q,) in database.execute("SELECT DISTINCT q FROM segments")}
    assert begun
    # However many workers there are then: what was begun in parts is ended in parts that it fits.
    bench.run(*arguments(clip, "killed", "--jobs", "2"))
    commands = json.loads((bench.folder / "killed/summary.json").read_text())["commands"]
    assert {entry["parts"] for entry in commands if entry["q"] in begun} <= {2, 3}
    pd.testing.assert_frame_equal(results(bench, "killed"), results(bench, "parts"))
    assert segments(bench, "killed") == 0


def _count(store) -> int:
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
            return database.execute("SELECT COUNT(*) FROM segments").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_parts_that_fail_are_one_failure_of_the_whole(bench, clip):
    recipe = edited("kvazaar", bench.folder, ('"libkvazaar",\n', '"libnone",\n')).path
    given = arguments(clip, "broken", "--jobs", "15")
    given[2] = f"{recipe}:lowdelay"
    bench.run(*given, expect=3)
    failures = json.loads((bench.folder / "broken/summary.json").read_text())["failures"]
    assert sorted((one["stage"], one["q"]) for one in failures) == [("encode", q) for q in (22, 28, 34, 40, 46)]
