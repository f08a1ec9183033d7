"""Whole runs on a cluster of real processes: the same results as on one machine, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'evalsuite[cluster]'")

from dask_bench import Cluster
from run_bench import Bench

COLUMNS = ["codec", "sequence", "q", "metric", "statistic", "cell_key", "bitstream_sha256", "score", "status"]


def results(folder: Path) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "results.parquet")[COLUMNS]
    return rows.sort_values(COLUMNS[:5]).reset_index(drop=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def here(bench):
    """What the run gives on one machine."""
    bench.run(*bench.arguments("--out", "here", "--store", "store-here"))
    return results(bench.folder / "here")


def arguments(bench: Bench, cluster: Cluster, out: str) -> list[str]:
    given = bench.arguments("--out", out, "--store", f"store-{out}", "--cluster", cluster.address)
    at = given.index("--jobs")
    return [*given[:at], *given[at + 2 :]]


def test_a_cluster_gives_what_one_machine_gives(bench, here, tmp_path):
    """Matched rates: the search sees the same sizes, so it asks for the same encodes."""
    with Cluster(tmp_path, **bench.env) as cluster:
        cluster.start_worker(2, name="left")
        cluster.start_worker(1, name="right")
        cluster.wait_for_workers(2)
        bench.run(*arguments(bench, cluster, "there"))
        pd.testing.assert_frame_equal(results(bench.folder / "there"), here)
        summary = json.loads((bench.folder / "there/summary.json").read_text())
        assert summary["run"]["machine"]["workers"] == ["left", "right"]
        assert summary["run"]["machine"]["jobs"] == 3
        # And the store has all of it.
        again = bench.run(*arguments(bench, cluster, "there"), "--json")
        assert json.loads(again.stdout)["outcomes"]["encodes"] == 0


def test_workers_with_nothing_but_a_cache_of_their_own_fetch_and_verify_sources(bench, tmp_path):
    bench.run("datasets", "add", *bench.clips, "--name", "mine", "--frames", "4")
    given = [
        "run",
        "--codecs",
        "toy",
        "--dataset",
        "mine",
        "--metrics",
        "psnr_y",
        "--match",
        "none",
        "--pictures",
        "none",
    ]
    bench.run(*given, "--out", "mine-here", "--store", "mine-here-store")
    # The Y4M files of the parent's cache are hidden from the workers: they have to make their own.
    worker_env = {**bench.env, "EVALSUITE_CACHE": str(tmp_path / "worker-cache")}
    with Cluster(tmp_path, **worker_env) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)
        held = bench.folder / "cache/sequences"
        command = bench.command(
            *given, "--out", "mine-there", "--store", "mine-there-store", "--cluster", cluster.address
        )
        hide = "import shutil, sys; from evalsuite.engine import cluster, request; made = request.make_plan\n"
        hide += f"def plan(one):\n p = made(one); shutil.rmtree({str(held)!r}); return p\n"
        hide += "request.make_plan = plan\nfrom evalsuite.cli.app import main; main()"
        done = subprocess.run(
            [command[0], "-c", hide, *command[3:]],
            cwd=bench.folder,
            env=bench.env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(results(bench.folder / "mine-there"), results(bench.folder / "mine-here"))
    assert list((tmp_path / "worker-cache/sequences").glob("*.y4m"))


def test_a_codec_that_no_worker_has_is_a_failure_and_the_run_goes_on(bench, tmp_path):
    """The search's later encodes fail before they are sent anywhere: nothing of them has begun."""
    without = {name: value for name, value in bench.env.items() if name != "EVALSUITE_TOYCODEC"}
    with Cluster(tmp_path, **without) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)
        given = arguments(bench, cluster, "lacking")
        done = bench.run(*given, "--match", "0.3,0.6bpp", expect=3)
    failures = json.loads((bench.folder / "lacking/summary.json").read_text())["failures"]
    assert {(one["codec"], one["sequence"]) for one in failures} == {
        (codec, clip) for codec in ("toy", "toytwo") for clip in ("clip0", "clip1")
    }
    assert {one["stage"] for one in failures} == {"encode"}
    assert all("is not on this machine" in one["message"] for one in failures)
    assert "no worker of the cluster can do this" in done.stderr


def test_what_is_of_one_machine_is_refused(bench):
    for more in (("--timing",), ("--jobs", "2")):
        done = bench.run("run", "--codecs", "toy", "--cluster", "tcp://127.0.0.1:9", *more, bench.clips[0], expect=2)
        assert "--timing and --jobs are of one machine" in done.stderr


def test_a_run_whose_parts_are_killed_goes_on_and_gives_the_same(bench, here, tmp_path):
    """The command, a worker and the scheduler, one after the other; what was finished is not done again."""
    log = bench.folder / "log"
    with Cluster(tmp_path, **bench.env, TOY_SLEEP="0.4") as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)

        def begin() -> tuple[subprocess.Popen[bytes], int]:
            before = log.read_text().count("encode")
            command = bench.command(*arguments(bench, cluster, "killed"))
            return subprocess.Popen(command, cwd=bench.folder, env=bench.env, stderr=subprocess.DEVNULL), before

        def let_it_encode(count: int, before: int) -> None:
            deadline = time.monotonic() + 60
            while log.read_text().count("encode") < before + count:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        run, before = begin()
        let_it_encode(3, before)
        run.kill()
        run.wait()
        run, before = begin()
        let_it_encode(2, before)
        worker = cluster.workers[0]
        for one in psutil.Process(worker.pid).children(recursive=True):
            one.kill()
        let_it_encode(4, before)
        os.killpg(cluster.scheduler.pid, signal.SIGKILL)
        assert run.wait(60) == 2
        shutil.rmtree(tmp_path / "worker0", ignore_errors=True)
        cluster.start_scheduler()
        cluster.start_worker(2)
        cluster.wait_for_workers(1)
        done = log.read_text().count("encode")
        last = json.loads(bench.run(*arguments(bench, cluster, "killed"), "--json").stdout)["outcomes"]
        # What was finished is not done again.
        assert last["encodes_cached"] >= 3
        assert log.read_text().count("encode") - done == last["encodes"]
    pd.testing.assert_frame_equal(results(bench.folder / "killed"), here)
