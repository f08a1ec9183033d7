"""Kills at random during a run on a cluster: what is lost, what is there twice, what is wrong.

    python benchmarks/faults.py [--kills 200] [--clips 50] [--seed 0]

Two small codecs at five operating points on 50 clips are 500 cells. They are run once in peace on this machine, and
once on a Dask cluster of this machine, in which the command itself, the scheduler, Dask workers with their nannies and
without, and the processes that do the cells are killed with SIGKILL at random. Whatever has died is started again, as a
batch system would; the command always goes on in the same store. After the last kill it is left in peace to its end.
Nothing may be lost, there twice, or differ from the run in peace.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import toy_codec
from conftest import make_clip
from dask_bench import Cluster

WORKERS = 3
VICTIMS = {"command": 4, "scheduler": 2, "worker": 4, "worker with nanny": 3, "cell": 7}
"""What is killed, and how often in twenty kills."""
LONGEST_S = 3600.0


class Bench:
    """Clips, codecs and a store.

    Args:
        folder: for all of it.
        clips: how many.
    """

    def __init__(self, folder: Path, clips: int) -> None:
        self.folder = folder
        self.clips = [str(make_clip(folder / f"clip{i:02}.y4m", 64, 48, 4, seed=i)) for i in range(clips)]
        self.env = {
            **os.environ,
            **toy_codec.install(folder, "toy", "toytwo"),
            "EVALSUITE_CACHE": str(folder / "cache"),
            "TOY_LOG": str(folder / "log"),
            "TOY_SLEEP": "0.5",
        }

    def start(self, out: str, store: str, *more: str) -> subprocess.Popen[bytes]:
        """Start the command."""
        command = [sys.executable, "-m", "evalsuite", "run", "--codecs", "toy,toytwo", "--match", "none"]
        command += ["--sequences", ",".join(self.clips), "--metrics", "psnr_y,ssim", "--pictures", "none"]
        with (self.folder / f"{out}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--out", out, "--store", store, *more],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def encodes(self) -> int:
        """Encodes that were begun so far."""
        log = self.folder / "log"
        return log.read_text().count("encode") if log.exists() else 0

    def results(self, out: str) -> pd.DataFrame:
        """Bitstream and scores by cell, metric and statistic."""
        rows = pd.read_parquet(self.folder / out / "results.parquet")
        return rows[
            ["codec", "sequence", "q", "metric", "statistic", "cell_key", "bitstream_sha256", "score", "status"]
        ]


class Disturbed:
    """A run on a cluster whose parts die and are started again."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.kills: Counter[str] = Counter()
        self.cluster = Cluster(bench.folder, **bench.env)
        self.command: subprocess.Popen[bytes] | None = None
        self.ends: Counter[int] = Counter()
        """Exit codes of commands that came to an end by themselves."""

    def mend(self) -> None:
        """Start again whatever has died."""
        if self.cluster.scheduler.poll() is not None:
            for worker in self.cluster.workers:
                _kill_group(worker)
            self.cluster.workers.clear()
            self.cluster.start_scheduler()
        self.cluster.workers = [one for one in self.cluster.workers if one.poll() is None]
        while len(self.cluster.workers) < WORKERS:
            self.cluster.start_worker(1, name=f"worker{random.randrange(10**9)}")
        if self.command is None or self.command.poll() is not None:
            if self.command is not None and (self.command.returncode or 0) >= 0:
                self.ends[self.command.returncode] += 1
            self.command = self.bench.start("disturbed", "store", "--cluster", str(self.cluster.file))

    def kill(self, rng: random.Random) -> None:
        """Kill something."""
        kind = rng.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        worker = rng.choice(self.cluster.workers)
        if kind == "command":
            victim = self.command
        elif kind == "scheduler":
            victim = self.cluster.scheduler
        elif kind == "worker with nanny":
            victim = worker
        else:
            victim = self._below(worker, rng, cell=kind == "cell")
        if victim is not None:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                victim.kill()
                self.kills[kind] += 1

    def _below(self, nanny: subprocess.Popen[bytes], rng: random.Random, *, cell: bool) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            found = [
                one
                for one in psutil.Process(nanny.pid).children(recursive=True)
                if ("evalsuite.engine.worker" in (line := " ".join(one.cmdline()))) == cell
                and "resource_tracker" not in line
            ]
            return rng.choice(found) if found else None
        return None

    def close(self) -> None:
        """End all of it."""
        if self.command is not None:
            _kill_group(self.command)
        self.cluster.__exit__()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def disturb(bench: Bench, kills: int, seed: int) -> Disturbed:
    """Run with so many kills, then in peace to the end."""
    rng = random.Random(seed)
    disturbed = Disturbed(bench)
    started = time.monotonic()
    try:
        while sum(disturbed.kills.values()) < kills:
            disturbed.mend()
            if disturbed.ends[0]:
                raise SystemExit(f"the run was done after {sum(disturbed.kills.values())} kills: take more --clips")
            time.sleep(rng.uniform(0.3, 2.5))
            disturbed.kill(rng)
        at = time.monotonic() - started
        print(f"{sum(disturbed.kills.values())} kills in {at:.0f} s: {dict(disturbed.kills)}", flush=True)
        while not disturbed.ends[0]:
            disturbed.mend()
            time.sleep(1)
            if time.monotonic() - started > LONGEST_S:
                raise TimeoutError((bench.folder / "disturbed.log").read_text()[-3000:])
    finally:
        disturbed.close()
    return disturbed


def compare(peace: pd.DataFrame, disturbed: pd.DataFrame) -> tuple[int, int, int]:
    """Cells that are lost, there twice, and wrong."""
    keys = ["codec", "sequence", "q", "metric", "statistic"]
    twice = disturbed[disturbed.duplicated(keys)]["cell_key"].nunique()
    both = peace.merge(disturbed.drop_duplicates(keys), on=keys, how="left", suffixes=("", "_d"), indicator=True)
    lost = both[both["_merge"] == "left_only"]["cell_key"].nunique()
    found = both[both["_merge"] == "both"]
    same = pd.Series(True, index=found.index)
    for column in ("cell_key", "bitstream_sha256", "score", "status"):
        same &= found[column] == found[f"{column}_d"]
    return lost, twice, found[~same]["cell_key"].nunique()


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), chosen.clips)
        command = bench.start("peace", "store-of-peace")
        if command.wait() != 0:
            raise RuntimeError((bench.folder / "peace.log").read_text()[-3000:])
        peace, before = bench.results("peace"), bench.encodes()
        print(f"in peace: {peace['cell_key'].nunique()} cells, {before} encodes", flush=True)
        done = disturb(bench, chosen.kills, chosen.seed)
        lost, twice, wrong = compare(peace, bench.results("disturbed"))
        print(f"disturbed: {bench.encodes() - before} encodes begun, exit codes of commands {dict(done.ends)}")
        check = subprocess.run(
            [sys.executable, "-m", "evalsuite", "store", "check", "store"], cwd=bench.folder, env=bench.env, text=True
        )
        print(
            f"lost {lost}, twice {twice}, wrong {wrong} of {peace['cell_key'].nunique()} cells; "
            f"store check: exit code {check.returncode}"
        )
    # 2: the scheduler was gone; 3: the same cell was hit twice in one run. Anything else is a fault of ours.
    odd = done.ends.keys() - {0, 2, 3} or done.ends[2] > done.kills["scheduler"]
    if lost or twice or wrong or odd or check.returncode:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
