"""Meeting a scheduler and its workers: what is at an address, and who may do anything."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'evalsuite[cluster]'")

from dask_bench import Cluster
from sample_recipes import script_recipe

import evalsuite
from evalsuite.codec.recipe import look_again
from evalsuite.engine import scheduler
from evalsuite.engine.cluster import ClusterPool
from evalsuite.engine.execute import Outcome, Task
from evalsuite.engine.scheduler import connect
from evalsuite.errors import EvalError, RequestError


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ("no json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has no address"),
        ("{}", "has no address"),
        ('{"address": 5}', "has no address"),
        ('{"address": "tcp://127.0.0.1"}', "missing port number"),
        ('{"address": "gopher://x:1"}', "unknown address scheme 'gopher'"),
        ('{"address": "tls://127.0.0.1:9"}', "TLS"),
    ],
)
def test_a_bad_scheduler_file_is_refused_at_once(tmp_path, content, words):
    file = tmp_path / "scheduler.json"
    file.write_text(content)
    started = time.monotonic()
    with pytest.raises(RequestError, match="no scheduler answers") as caught:
        connect(str(file))
    assert words in str(caught.value.got)
    assert caught.value.where == str(file)
    assert time.monotonic() - started < 10


class Silent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_what_is_no_scheduler_is_waited_for_only_so_long(monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_S", 1)
    monkeypatch.setattr(scheduler, "_ANSWER_S", 1)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for address in (f"tcp://127.0.0.1:{server.server_port}", "tcp://127.0.0.1:9", "127.0.0.1:9"):
            started = time.monotonic()
            with pytest.raises(RequestError, match="no scheduler answers"):
                connect(address)
            assert time.monotonic() - started < 10
        server.shutdown()


def test_a_worker_is_no_scheduler(tmp_path):
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)
        with connect(cluster.address) as client:
            (worker,) = client.scheduler_info()["workers"]
        with pytest.raises(RequestError, match="no scheduler answers") as caught:
            connect(worker)
        assert caught.value.got == "a Dask worker answers"


def test_a_worker_whose_installation_was_changed_under_it_is_refused(tmp_path):
    """Its processes would be of the new code, while it says that it is of the old one."""
    clone = tmp_path / "clone/evalsuite"
    shutil.copytree(Path(evalsuite.__file__).parent, clone, ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join([str(clone.parent), str(Path(__file__).parent)])
    with Cluster(tmp_path) as cluster:
        # Or this folder's own code would be found first.
        cluster.start_worker(1, PYTHONPATH=path, PYTHONSAFEPATH="1")
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            pool.submit(0, Task(abs, (-1,)))
            assert [outcome.value for outcome in pool.outcomes()] == [1]
            with (clone / "metrics/psnr.py").open("a") as module:
                module.write("# changed\n")
            # The process that is there goes on; one that takes its place would be another.
            pool.submit(1, Task(abs, (-2,)))
            assert [outcome.value for outcome in pool.outcomes()] == [2]
            pool.submit(2, Task(os._exit, (9,)))
            with pytest.raises(EvalError, match="no worker of the cluster can do anything") as caught:
                list(pool.outcomes())
            assert "has changed since it was started" in str(caught.value)
        with pytest.raises(RequestError, match="of another version") as refused:
            ClusterPool(cluster.address, {})
        assert "has changed since it was started" in str(refused.value)


def test_a_codec_that_was_replaced_on_a_worker_that_goes_on_is_another_one(tmp_path, monkeypatch):
    recipe = script_recipe(monkeypatch, tmp_path)
    (program,) = (path for path in tmp_path.iterdir() if os.access(path, os.X_OK) and path.is_file())
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1)
        cluster.wait_for_workers(1)

        def outcome() -> Outcome[int]:
            with ClusterPool[int](cluster.address, {}) as pool:
                pool.submit(0, Task(abs, (-1,), recipe=recipe))
                (found,) = pool.outcomes()
                return found

        assert outcome().value == 1
        program.write_text(program.read_text() + "# another build\n")
        # As if it had been replaced on the worker's machine alone, and then here.
        assert "another build of fake" in str(outcome().error)
        look_again()
        assert outcome().value == 1


def test_a_worker_without_room_says_so(tmp_path):
    (tmp_path / "file").touch()
    with Cluster(tmp_path) as cluster:
        cluster.start_worker(1, EVALSUITE_CACHE=str(tmp_path / "file/cache"))
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            pool.submit(0, Task(abs, (-1,)))
            with pytest.raises(EvalError, match="no worker of the cluster can do anything") as caught:
                list(pool.outcomes())
        assert "no room for work in progress: Not a directory" in str(caught.value)
        assert "version" not in str(caught.value)
