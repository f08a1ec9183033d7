"""What a store of a million scores takes to answer a run and a report.

    python benchmarks/store.py [--codecs 10] [--sequences 500] [--points 8] [--metrics 25] [--frames 60] [--folder DIR]

Makes a store of CODECS x SEQUENCES x POINTS cells with METRICS scores each, in SQL (a run would take weeks), bitstreams
of 2 kB for the cells of one codec, and a run of as many cells in its history. Then each question of a run of one codec
is asked of a freshly opened store, in a process that has hashed nothing, with the files in the system's memory. The bar
for each is 2 s. DIR keeps the store: the same call again takes seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from report import write_run

from evalsuite.engine.store import Store
from evalsuite.engine.upkeep.check import check
from evalsuite.results.history import keep_run, open_run
from evalsuite.results.load import read_run

BITSTREAM_BYTES = 2000


def key(codec: int, sequence: int, point: int) -> str:
    """A cell key, as spread as a digest."""
    return hashlib.sha256(f"{codec} {sequence} {point}".encode()).hexdigest()


def cells(codec: int, wanted: argparse.Namespace) -> list[str]:
    """The keys of one codec's cells."""
    return [key(codec, sequence, point) for sequence in range(wanted.sequences) for point in range(wanted.points)]


def fill(folder: Path, wanted: argparse.Namespace) -> None:
    """Make the store."""
    with Store(folder) as store:
        for one in cells(0, wanted):
            content = one.encode() * (BITSTREAM_BYTES // len(one))
            path = store.bitstream(hashlib.sha256(content).hexdigest())
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    with closing(sqlite3.connect(folder / "store.sqlite")) as database:
        for codec in range(wanted.codecs):
            database.executemany(
                "INSERT INTO cells (cell_key, q, sha256, file_bytes, payload_bytes, wall_s, cpu_s, peak_rss, commands,"
                " codec, sequence, pixels, frames, threads, added)"
                " VALUES (?, ?, ?, ?, ?, 1, 1, 1000000, '[[\"enc\"]]', ?, 'sequence', 124416000, 60, 1, ?)",
                _cells(codec, wanted),
            )
            decodes = ((one, 1.0, 1.0, 1_000_000, '["dec"]') for one in cells(codec, wanted))
            database.executemany(
                "INSERT INTO decodes (cell_key, wall_s, cpu_s, peak_rss, command) VALUES (?, ?, ?, ?, ?)", decodes
            )
            database.commit()
        # In the order of the table, which is not that in which a run comes to them.
        every = sorted(one for codec in range(wanted.codecs) for one in cells(codec, wanted))
        database.executemany("INSERT INTO scores VALUES (?, ?, '1', 'ok', '', ?, NULL)", _scores(every, wanted))
        database.commit()


def _cells(codec: int, wanted: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    for number, one in enumerate(cells(codec, wanted)):
        content = one.encode() * (BITSTREAM_BYTES // len(one))
        sha256 = hashlib.sha256(content).hexdigest()
        yield one, 30.0 + number % wanted.points, sha256, len(content), len(content), f"codec{codec}", float(number)


def _scores(keys: list[str], wanted: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    random = np.random.default_rng(0)
    for one in keys:
        for metric in range(wanted.metrics):
            yield one, f"metric{metric}", random.random(wanted.frames).astype("<f8").tobytes()


def timed(what: str, work: Callable[[], Any], bar_s: float | None = 2.0) -> None:
    """Print what something takes."""
    began = time.perf_counter()
    result = work()
    took = time.perf_counter() - began
    verdict = "" if bar_s is None else "ok" if took < bar_s else "OVER THE BAR"
    print(f"{took:8.2f} s  {what}: {result} {verdict}")


def main() -> None:
    """Make the store where it is not there, and ask it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("codecs", 10), ("sequences", 500), ("points", 8), ("metrics", 25), ("frames", 60)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = wanted.folder or Path(temporary) / "store"
        if not folder.exists():
            timed("making the store", lambda: fill(folder, wanted), None)
            write_run(Path(temporary) / "run", 2, wanted.sequences // 2, wanted.metrics, wanted.points)
            keep_run(read_run(Path(temporary) / "run"), folder)
        total = wanted.codecs * wanted.sequences * wanted.points * wanted.metrics
        print(f"{total} scores, {(folder / 'store.sqlite').stat().st_size / 1e6:.0f} MB")
        mine, versions = cells(0, wanted), {f"metric{number}": "1" for number in range(wanted.metrics)}
        timed("opening", lambda: Store(folder).close())
        with Store(folder) as store:
            timed("encodes of a run, hashed", lambda: sum(store.encode(one) is not None for one in mine))
            timed("encodes of a run, again", lambda: sum(store.encode(one) is not None for one in mine))
            timed("scores of a run", lambda: sum(len(store.scores(one, versions)) for one in mine))
            timed("decodes of a run", lambda: sum(store.decode(one) is not None for one in mine))
            timed("costs of encodes", lambda: len(store.encode_costs()))
            timed("costs of decodes", lambda: len(store.decode_costs()))
        timed("results of a run of the history", lambda: len(open_run(str(folder)).points))
        timed("check", lambda: f"{sum('missing' in one.what for one in check(folder))} bitstreams missing", None)


if __name__ == "__main__":
    main()
