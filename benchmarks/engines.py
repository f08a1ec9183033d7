"""What running on many workers costs: scaling, and the overhead of each cell on one machine and on a Dask cluster.

    python benchmarks/engines.py [scaling] [overhead] [run] [--cells 100000]

- scaling: 1, 2, 4 and 8 workers of one thread, and tasks that sleep as encoders would run, 0.1 to 8 s long.
  Efficiency is what all tasks take together over what the workers had. 95 % is wanted.
- overhead: tasks that do nothing, 8 workers' worth at a time: wall time for each, and the memory of this process.
  Under 5 ms and 1.5 GB is wanted for 100,000.
- run: the whole path of a cell in the process that drives a run, store and all, with an engine that invents what comes
  out of encoders and metrics at once. The same is wanted of it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import Encoded
from evalsuite.engine.cell import MeasuredCell
from evalsuite.engine.cluster import ClusterPool
from evalsuite.engine.content import Content
from evalsuite.engine.execute import Outcome, Pool, Task, Urgency
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.lanes import Job
from evalsuite.engine.local import LocalPool
from evalsuite.engine.measure import Measured
from evalsuite.engine.plan import OwnLadder, Plan
from evalsuite.engine.run import Runner
from evalsuite.engine.store import Store
from evalsuite.metrics.registry import select
from evalsuite.types import Colour, Sequence, Series, Usage, VideoFormat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import toy_codec
from dask_bench import Cluster

WORKERS = (1, 2, 4, 8)
TASKS_EACH = 24
"""For each worker: the last of them then weighs little."""


@contextmanager
def local(workers: int) -> Iterator[Pool[int]]:
    """Worker processes of this machine."""
    with LocalPool[int](workers) as pool:
        yield pool


@contextmanager
def dask(workers: int) -> Iterator[Pool[int]]:
    """A Dask cluster on this machine, of one worker with so many threads."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start_worker(workers)
        cluster.wait_for_workers(1)
        with ClusterPool[int](cluster.address, {}) as pool:
            yield pool


ENGINES: dict[str, Callable[[int], object]] = {"local": local, "dask": dask}


def warm(pool: Pool[int], workers: int) -> None:
    """Have every worker started: a run does that once."""
    for key in range(workers):
        pool.submit(-1 - key, Task(time.sleep, (0.5,)))
    for outcome in pool.outcomes():
        if outcome.error is not None:
            raise outcome.error


def scaling() -> None:
    """Efficiency by number of workers."""
    for name, engine in ENGINES.items():
        for workers in WORKERS:
            seconds = np.clip(np.random.default_rng(1).lognormal(-0.7, 0.8, TASKS_EACH * workers), 0.1, 8)
            with engine(workers) as pool:  # type: ignore[attr-defined]
                warm(pool, workers)
                started = time.perf_counter()
                for key, one in enumerate(seconds):
                    pool.submit(key, Task(time.sleep, (float(one),)), (0, -float(one)))
                done = sum(1 for outcome in pool.outcomes() if outcome.error is None)
                wall = time.perf_counter() - started
            efficiency = seconds.sum() / (workers * wall)
            print(f"scaling {name}: {workers} workers, {done} tasks, {wall:.1f} s, efficiency {100 * efficiency:.1f} %")


def overhead(cells: int) -> None:
    """Seconds for each of many tasks that do nothing."""
    for name, engine in ENGINES.items():
        with engine(8) as pool:  # type: ignore[attr-defined]
            warm(pool, 8)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            started, cpu = time.perf_counter(), time.process_time()
            for key in range(cells):
                pool.submit(key, Task(abs, (-key,)))
            done = sum(1 for outcome in pool.outcomes() if outcome.value == outcome.key)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"overhead {name}: {done} tasks, {1000 * wall / cells:.2f} ms each, of which this process computes "
            f"{1000 * cpu / cells:.2f} ms; its memory at its peak {peak / 1e6:.2f} GB ({before / 1e6:.2f} GB before)"
        )


class Inventing(Pool[Job]):
    """An engine that does nothing, and says that it did."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[Job, Task]] = []

    @property
    def jobs(self) -> int:
        """As many as a large cluster has."""
        return 500

    def submit(self, key: Job, task: Task, urgency: Urgency = (0, 0.0)) -> None:  # noqa: ARG002 - all are done at once
        """Take note of a task."""
        self._waiting.append((key, task))

    def tasks(self) -> list[Job]:
        """What waits."""
        return [key for key, _ in self._waiting]

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def outcomes(self) -> Iterator[Outcome[Job]]:
        """Invented ones."""
        while self._waiting:
            key, task = self._waiting.pop()
            if self.on_start is not None:
                self.on_start(key)
            yield Outcome(key, self._invent(key, task))

    def _invent(self, key: Job, task: Task) -> object:
        if key[0] == "describe":
            return Content()
        usage = Usage(1.0, 1.0, 1 << 20)
        if task.writes is not None:
            content = repr(task.writes).encode()
            task.writes.write_bytes(content)
            return Encoded(
                task.writes, len(content), len(content), hashlib.sha256(content).hexdigest(), usage, (("e",),)
            )
        _, _, _, encodes, infos, *_ = task.arguments
        series = [Series(info.name, "ok", np.arange(10.0)) for info in infos]
        return [MeasuredCell(cell, Measured(10, series), usage, ("d",)) for cell in encodes]

    def close(self) -> None:
        """Nothing to stop."""


def driving(cells: int) -> None:
    """Seconds and memory of the process that drives a run, for each cell."""
    format = VideoFormat(64, 48)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(toy_codec.install(folder, "toy", "toytwo"), EVALSUITE_CACHE=str(folder / "cache"))
        os.chdir(folder)
        recipes = (load_recipe("toy"), load_recipe("toytwo"))
        each = sum(len(recipe.knob.ladder) for recipe in recipes)
        sequences = tuple(
            Sequence(f"s{i}", "d", folder / f"{i}.y4m", f"{i:064x}", format, Fraction(25), 10, Colour("bt709"))
            for i in range(cells // each)
        )
        infos = select("psnr_y,psnr_cb,ssim")
        plan = Plan(recipes, sequences, infos, OwnLadder(), "toy", 32, 1, 60.0, FeatureCache(folder / "f", 0))
        with Store(folder / "store") as store:
            started, cpu = time.perf_counter(), time.process_time()
            outcome = Runner(plan, store, Inventing(), lambda _: None).run()
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"run: {outcome.counts.measured} cells, {1000 * wall / cells:.2f} ms each, of which this process computes "
        f"{1000 * cpu / cells:.2f} ms; its memory at its peak {peak / 1e6:.2f} GB"
    )


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["scaling", "overhead", "run"])
    parser.add_argument("--cells", type=int, default=100_000)
    chosen = parser.parse_args()
    if "scaling" in chosen.parts:
        scaling()
    if "overhead" in chosen.parts:
        overhead(chosen.cells)
    if "run" in chosen.parts:
        driving(chosen.cells)


if __name__ == "__main__":
    main()
