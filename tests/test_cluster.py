"""The engine of many machines: a real scheduler and real workers on this one, which are killed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'evalsuite[cluster]'")

from dask_bench import Cluster
from sample_recipes import script_recipe

from evalsuite.codec.recipe import load_recipe
from evalsuite.engine.cluster import ClusterPool
from evalsuite.engine.engines import open_pool
from evalsuite.engine.execute import Needs, Task
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.plan import OwnLadder, Plan
from evalsuite.errors import EvalError, RequestError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("dask")) as made:
        made.start_worker(2)
        made.wait_for_workers(1)
        yield made


def leave(path: Path) -> int:
    """Write who did it; then take far longer than any test."""
    path.write_text(str(os.getpid()))
    time.sleep(600)
    return 0


def once(marker: Path) -> str:
    """Take long the first time, and no time the second."""
    if marker.exists():
        return "second"
    marker.write_text(str(os.getpid()))
    time.sleep(600)
    return "first"


def wait_for(path: Path, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)
    return path.read_text()


def test_outcomes_come_as_they_happen_and_tasks_may_be_added(cluster):
    started: list[str] = []
    with ClusterPool[str](cluster.address, {}) as pool:
        pool.on_start = started.append
        pool.submit("slow", Task(time.sleep, (1.5,)))
        pool.submit("fast", Task(abs, (-3,)))
        pool.submit("bad", Task(int, ("x",)))
        seen = {}
        for outcome in pool.outcomes():
            seen[outcome.key] = outcome
            if outcome.key == "fast":
                pool.submit("added", Task(abs, (-4,)))
            assert outcome.key in started
            assert outcome.key not in pool.tasks()
    assert list(seen)[-1] == "slow"
    assert (seen["fast"].value, seen["added"].value) == (3, 4)
    assert isinstance(seen["bad"].error, ValueError)
    assert pool.tasks() == []


def test_a_scheduler_file_is_an_address(cluster):
    with ClusterPool[str](str(cluster.file), {}) as pool:
        pool.submit("one", Task(abs, (-1,)))
        assert [outcome.value for outcome in pool.outcomes()] == [1]
        assert (pool.jobs, pool.machines) == (2, ["worker0"])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere.json", "gopher://x:1", "no address"])
def test_a_scheduler_that_is_not_there_is_refused_by_name(address, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.scheduler.CONNECT_S", 1)
    with pytest.raises(RequestError, match="no scheduler answers") as caught:
        ClusterPool(address, {})
    assert caught.value.where == address


def test_a_task_that_kills_its_process_twice_is_an_outcome_and_the_rest_goes_on(cluster):
    with ClusterPool[str](cluster.address, {}) as pool:
        pool.submit("dies", Task(os._exit, (9,)))
        pool.submit("good", Task(abs, (-1,)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert "died twice" in str(outcomes["dies"].error)
    assert outcomes["good"].value == 1


def test_processes_stay_and_see_no_gpu(cluster):
    with ClusterPool[int](cluster.address, {}) as pool:
        pids = set()
        for key in range(6):
            pool.submit(key, Task(os.getpid, ()))
            pids |= {outcome.value for outcome in pool.outcomes()}
        pool.submit(7, Task(os.getenv, ("CUDA_VISIBLE_DEVICES",)))
        pool.submit(8, Task(os.getenv, ("OMP_NUM_THREADS",)))
        values = {outcome.key: outcome.value for outcome in pool.outcomes()}
    assert len(pids) <= 2
    assert values == {7: "", 8: "1"}


def test_a_task_of_many_threads_has_the_worker_to_itself(cluster):
    def spans(threads: int) -> list[tuple[float, float]]:
        with ClusterPool[int](cluster.address, {}) as pool:
            for key in range(3):
                pool.submit(key, Task(work, (), Needs(threads=threads)))
            return sorted(outcome.value for outcome in pool.outcomes())

    one, two = spans(1), spans(2)
    assert one[1][0] < one[0][1]
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(two))


def work() -> tuple[float, float]:
    """When this began and ended, by a clock that all processes of this machine share."""
    began = time.monotonic()
    time.sleep(2)  # the second process is there by then
    return began, time.monotonic()


def gpu_plan() -> Plan:
    recipe = replace(load_recipe("x265"), device="cuda:0")
    return Plan((recipe,), (), (), OwnLadder(), "x265", 32, 1, 60.0, FeatureCache(Path("none"), 0))


def test_gpu_cells_run_only_where_a_gpu_is(cluster, tmp_path):
    with pytest.raises(RequestError, match="no worker of the cluster has a GPU") as caught:
        open_pool(gpu_plan(), jobs=None, cluster=cluster.address, memory_limit=None, entries=())
    assert caught.value.expected == "one for x265"
    with Cluster(tmp_path) as other:
        other.start_worker(1, name="plain", PLACE="plain")
        other.start_worker(1, "--resources", "GPU=1", name="gpu", PLACE="gpu")
        other.wait_for_workers(2)
        with open_pool(gpu_plan(), jobs=None, cluster=other.address, memory_limit=None, entries=()) as pool:
            for number in range(6):
                pool.submit(("encode", number, 1.0), Task(os.getenv, ("PLACE",), Needs(gpu=True)))
            pool.submit(("encode", 6, 1.0), Task(os.getenv, ("CUDA_VISIBLE_DEVICES", "all"), Needs(gpu=True)))
            values = {outcome.key[1]: outcome.value for outcome in pool.outcomes()}
    assert values == {**dict.fromkeys(range(6), "gpu"), 6: os.environ.get("CUDA_VISIBLE_DEVICES", "all")}


def test_what_waits_for_a_gpu_does_not_keep_others_from_the_workers(cluster):
    with ClusterPool[int](cluster.address, {}) as pool:
        # Far more than are with the scheduler at a time, and nobody there who may do them.
        for key in range(300):
            pool.submit(key, Task(os.getpid, (), Needs(gpu=True)))
        for key in range(300, 304):
            pool.submit(key, Task(os.getpid, ()))
        assert {next(pool.outcomes()).key for _ in range(4)} == {300, 301, 302, 303}


def test_no_more_bitstreams_are_with_the_scheduler_than_it_can_hold(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.cluster._AHEAD_BYTES", 2500)
    for key in range(8):
        (tmp_path / f"{key}").write_bytes(bytes(1000))
    with ClusterPool[int](cluster.address, {}) as pool:
        for key in range(8):
            pool.submit(key, Task(os.path.getsize, (tmp_path / f"{key}",), reads=(tmp_path / f"{key}",)))
        assert len(pool._out) == 3
        # Each is sent as soon as there is room for it, one that is larger than the room by itself too.
        assert sorted(outcome.value for outcome in pool.outcomes()) == [1000] * 8


def test_the_first_worker_is_waited_for(tmp_path):
    with Cluster(tmp_path) as late:
        late.start_worker(2)
        with ClusterPool[int](late.address, {}) as pool:
            assert pool.jobs == 2


def test_what_a_lost_worker_was_at_is_done_by_another(tmp_path):
    marker = tmp_path / "marker"
    with Cluster(tmp_path) as cluster:
        first = cluster.start_worker(1)
        cluster.wait_for_workers(1)
        with ClusterPool[str](cluster.address, {}) as pool:
            pool.submit("task", Task(once, (marker,)))
            child = psutil.Process(int(wait_for(marker)))
            cluster.start_worker(1)
            os.killpg(first.pid, signal.SIGKILL)  # nanny and worker
            assert [outcome.value for outcome in pool.outcomes()] == ["second"]
        # What it ran does not outlive it.
        _, alive = psutil.wait_procs([child], timeout=10)
        assert not alive


def test_a_result_that_was_lost_with_its_worker_is_computed_again(tmp_path):
    """Both are finished, one is taken, and the worker dies before the other is."""
    with Cluster(tmp_path) as cluster:
        first = cluster.start_worker(1)
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            for key in range(2):
                pool.submit(key, Task(work, ()))
            values = {}
            for outcome in pool.outcomes():
                values[outcome.key] = outcome
                if len(values) == 1:
                    time.sleep(3)  # the other one ends meanwhile
                    cluster.start_worker(1)
                    cluster.wait_for_workers(2)
                    os.killpg(first.pid, signal.SIGKILL)
                    time.sleep(1)
            assert [values[key].error for key in range(2)] == [None, None]


def test_a_worker_that_refuses_one_codec_does_the_others_and_new_workers_help(tmp_path, monkeypatch):
    """The first worker lacks the encoder, the second has it and leaves, the third comes later."""
    without = os.environ["PATH"]
    recipe = script_recipe(monkeypatch, tmp_path)
    task = Task(os.getenv, ("PLACE",), recipe=recipe)
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1, name="wrong", PLACE="wrong", PATH=without)
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            pool.submit(0, task)
            (outcome,) = pool.outcomes()
            assert "no worker of the cluster can do this" in str(outcome.error)
            assert "is not on this machine" in str(outcome.error)
            pool.submit(1, Task(os.getenv, ("PLACE",)))
            assert [outcome.value for outcome in pool.outcomes()] == ["wrong"]
            right = cluster.start_worker(1, name="right", PLACE="right")
            cluster.wait_for_workers(2)
            time.sleep(6)  # until the pool looks again
            for key in range(8):
                pool.submit(key, Task(wait_and_say, ("PLACE",), recipe=recipe))
            places = []
            for outcome in pool.outcomes():
                places.append(outcome.value or str(outcome.error))
                if len(places) == 1:
                    os.killpg(right.pid, signal.SIGKILL)
                    cluster.start_worker(1, name="third", PLACE="third")
            assert sorted(set(places)) == ["right", "third"]
            assert len(places) == 8


def wait_and_say(name: str) -> str | None:
    time.sleep(0.3)
    return os.getenv(name)


@pytest.mark.parametrize("when", ["submit", "jobs"])
def test_a_scheduler_that_is_gone_is_told_wherever_it_is_asked(tmp_path, when):
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            os.killpg(cluster.scheduler.pid, signal.SIGKILL)
            time.sleep(6)
            if when == "jobs":
                assert (pool.jobs, pool.machines) == (1, ["worker0"])
                return

            def use() -> None:
                pool.submit(0, Task(abs, (-1,)))
                list(pool.outcomes())

            with pytest.raises(EvalError, match="the scheduler of the cluster is gone"):
                use()


def test_a_scheduler_that_dies_ends_the_run_with_what_to_do(tmp_path):
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)
        with ClusterPool[str](cluster.address, {}) as pool:
            pool.submit("task", Task(leave, (tmp_path / "marker",)))
            wait_for(tmp_path / "marker")
            os.killpg(cluster.scheduler.pid, signal.SIGKILL)
            with pytest.raises(EvalError, match="the scheduler of the cluster is gone"):
                list(pool.outcomes())


def test_nothing_goes_on_for_a_parent_that_was_killed(cluster, tmp_path):
    marker, script = tmp_path / "marker", tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from pathlib import Path
            from test_cluster import leave
            from evalsuite.engine.cluster import ClusterPool
            from evalsuite.engine.execute import Task
            with ClusterPool({cluster.address!r}, {{}}) as pool:
                pool.submit("task", Task(leave, (Path({str(marker)!r}),)))
                list(pool.outcomes())
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    child = psutil.Process(int(wait_for(marker)))
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


def test_workers_of_another_version_are_refused_by_name(tmp_path):
    """A worker whose numpy says that it is another; one that joins later must not compute either."""
    fake = tmp_path / "fake/numpy-0.0.1.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    path = os.pathsep.join([str(fake.parent), str(Path(__file__).parent)])
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1, name="old", PYTHONPATH=path)
        cluster.wait_for_workers(1)
        with pytest.raises(RequestError, match="of another version") as caught:
            ClusterPool(cluster.address, {})
        assert "numpy 0.0.1 instead of" in str(caught.value)
        os.killpg(cluster.workers[0].pid, signal.SIGKILL)
        cluster.start_worker(1, name="right")
        time.sleep(1)
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            cluster.start_worker(1, name="late", PYTHONPATH=path)
            cluster.wait_for_workers(2)
            for key in range(8):
                pool.submit(key, Task(time.sleep, (0.2,)))
            outcomes = list(pool.outcomes())
        assert [outcome.error for outcome in outcomes] == [None] * 8
