"""Time to build the report of a large run, what it weighs, and how soon its pages paint.

    python benchmarks/report.py [CODECS SEQUENCES METRICS POINTS]

Makes a run of 20 codecs, 50 sequences, 25 metrics and 8 rate points, builds its report, and opens each kind of page
from disk in chromium (Debian's, through playwright), five times each. The bar is 2 s to the first paint.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Page, sync_playwright

from evalsuite.report.build import build_report
from evalsuite.results.layout import POINTS_SCHEMA
from evalsuite.results.load import write_results
from evalsuite.results.tables import bd_table

STATISTICS = (("mean", 0.0), ("p5", -2.0), ("worst", -4.0))
OPENED = 5

READY = {
    "index.html": "#ranking-table tbody tr",
    "curves.html": "#chart .main-svg",
    "sequences.html": "main svg",
    "pair-0.html": "#bd tbody",
    "sequence-0.html": "#scores table",
    "failures.html": "main",
}
"""What is there once a page is complete, of each kind that every report has."""


def rows(codecs: int, sequences: int, metrics: int, points: int) -> list[dict[str, Any]]:
    """Rows as results.parquet has them: straight lines over the logarithm of the rate, which differ and are noisy."""
    random = np.random.default_rng(7)
    empty = dict.fromkeys(field.name for field in POINTS_SCHEMA if field.nullable)
    made = []
    for codec, sequence in itertools.product(range(codecs), range(sequences)):
        saving = random.normal(0.02 * codec, 0.1)
        for point in range(points):
            bpp = 0.01 * 2.0**point * float(np.exp(random.normal(0, 0.01)))
            shared = {
                **empty,
                "codec": f"codec{codec}",
                "preset": "medium",
                "sequence": f"sequence{sequence}",
                "dataset": "large",
                "tags": "nature" if sequence % 2 else "faces",
                "width": 1920,
                "height": 1080,
                "frame_rate": 30.0,
                "frames": 60,
                "q": float(40 - point),
                "target_bpp": 0.01 * 2.0**point,
                "bpp": bpp,
                "kbps": bpp * 1920 * 1080 * 30 / 1000,
                "bytes": round(bpp * 1920 * 1080 * 60 / 8),
                "cell_key": f"{codec}-{sequence}-{point}",
                "metric_version": "1",
                "codec_version": f"1.{codec}",
                "intra_period": 32,
                "structure": "random access",
                "rate_control": "crf",
                "internal_bit_depth": 8,
                "lookahead": 20,
                "delay": 30,
                "scale_divisor": 1,
                "rate_source": "file",
                "threads": 1,
                "encode_cpu_s": 10.0 + codec,
                "decode_cpu_s": 1.0,
                "encode_wall_s": 12.0,
                "decode_wall_s": 1.1,
                "encode_ran_alone": False,
                "decode_ran_alone": False,
                "bitstream_sha256": "b" * 64,
                "source_sha256": f"{sequence:064d}",
            }
            for metric in range(metrics):
                score = 30 + 3 * np.log2(bpp / 0.01 * np.exp(-saving)) + 0.2 * metric
                for statistic, less in STATISTICS:
                    made.append(
                        {
                            **shared,
                            "metric": f"metric{metric}",
                            "statistic": statistic,
                            "score": float(score + less),
                            "unit": "dB",
                            "higher_is_better": True,
                            "status": "ok",
                            "reason": "",
                        }
                    )
    return made


def write_run(folder: Path, codecs: int, sequences: int, metrics: int, points: int) -> int:
    """Write the run; returns how many rows it has."""
    made = rows(codecs, sequences, metrics, points)
    table = pd.DataFrame([row for row in made if row["statistic"] == "mean"])
    summary = {
        "request": {"command": ["evalsuite", "run"]},
        "run": {"started": "2026-01-01T00:00:00+00:00", "machine": {}, "versions": {}, "wall_s": 1.0},
        "codecs": [
            {"name": f"codec{one}", "preset": "medium", "files": {}, "version": f"1.{one}"} for one in range(codecs)
        ],
        "sequences": [
            {
                "name": f"sequence{one}",
                "dataset": "large",
                "width": 1920,
                "height": 1080,
                "frames": 60,
                "sha256": f"{one:064d}",
            }
            for one in range(sequences)
        ],
        "metrics": [
            {"name": f"metric{one}", "unit": "dB", "higher_is_better": True, "version": "1", "family": "made up"}
            for one in range(metrics)
        ],
        "outcomes": {"cells": codecs * sequences * points, "failed": 0},
        "rate_match": [],
        "commands": [],
        "failures": [],
        "bd_rate": bd_table(table, "codec0"),
    }
    write_results(folder, made, [], summary)
    return len(made)


def opened(page: Page, address: str, ready: str) -> tuple[float, float]:
    """Seconds to the first paint and until the page is complete."""
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(ready, state="attached")
    complete = time.perf_counter() - started
    page.wait_for_load_state()
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    while (at := page.evaluate(paint)) is None:
        page.wait_for_timeout(20)
    return at / 1000, complete


def main() -> None:
    """Run and print."""
    size = tuple(map(int, sys.argv[1:])) or (20, 50, 25, 8)
    with tempfile.TemporaryDirectory() as temporary:
        run, out = Path(temporary) / "run", Path(temporary) / "report"
        count = write_run(run, *size)
        started = time.perf_counter()
        build_report([run], out)
        print(f"{' x '.join(map(str, size))}: {count} rows, report built in {time.perf_counter() - started:.0f} s")
        weight = {
            path.relative_to(out).as_posix(): path.stat().st_size / 1e6 for path in out.rglob("*") if path.is_file()
        }
        pages = {name: size for name, size in weight.items() if name.endswith(".html")}
        data = {name: size for name, size in weight.items() if name.startswith("data/")}
        print(f"{sum(weight.values()):.0f} MB in {len(weight)} files")
        for what, some in (("page", pages), ("file of data", data)):
            name = max(some, key=lambda one: some[one])
            print(f"largest {what}: {name}, {some[name]:.2f} MB")
        with sync_playwright() as running:
            browser = running.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for name, ready in READY.items():
                times = []
                for _ in range(OPENED):
                    page = browser.new_page()
                    times.append(opened(page, (out / name).as_uri(), ready))
                    page.close()
                paint, complete = (median(some) for some in zip(*times, strict=True))
                print(f"{name}: first paint {paint:.2f} s, complete {complete:.2f} s (bar 2 s to the first paint)")


if __name__ == "__main__":
    main()
