"""A board of 1,000 synthetic entries: how long its site takes to build and to open, and how large its pages are.

    python benchmarks/publish.py [--codecs 100] [--versions 10] [--keep DIR]

The limit is held to the time of one core, which other work on the machine changes little. The board is that of the
tests, with six sequences of five rates, about as `streaming` has. First paint is chromium's, from disk, the median of
five.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from publish_samples import board_of, sha, unchecked, write_run
from report_browser import CHROMIUM, launched

from evalsuite.report.site.build import build_site
from evalsuite.results.board import Board
from evalsuite.results.entry_check import check_entry

LIMIT_S = 60.0
LIMIT_BYTES = 1_500_000
SEQUENCES = ("face", "city", "bikes", "bunny", "jump", "carphone")
PER_RUN = 20


def make_entries(board: Board, entries: Path, codecs: int, versions: int) -> None:
    """Entries of runs of twenty codecs each; a version is 2 % better than the one before."""
    for version in range(versions):
        for first in range(0, codecs, PER_RUN):
            factors = {
                f"codec{index:03}": (0.6 + 0.8 * index / codecs) * 0.98**version
                for index in range(first, min(first + PER_RUN, codecs))
            }
            with tempfile.TemporaryDirectory() as folder:
                run = write_run(
                    Path(folder), board, factors, version=f"1.{version}", day=f"2026-{1 + version % 12:02}-01"
                )
                for codec in factors:
                    unchecked(run, codec, entries / board.name)


def first_paint_ms(page: Path) -> float:
    """Median time of the first contentful paint, of five fresh tabs."""
    import playwright.sync_api

    script = "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)"
    times = []
    with launched(playwright.sync_api) as browser:
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri())
            for _ in range(100):
                if found := tab.evaluate(script):
                    times.append(found[0])
                    break
                tab.wait_for_timeout(50)
            tab.close()
    return statistics.median(times)


def main() -> int:
    """Measure, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codecs", type=int, default=100)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="keep entries and site here")
    given = parser.parse_args()
    board = board_of(
        sequences=[{"name": one, "sha256": sha("source", one), "colour": "bt709 limited"} for one in SEQUENCES]
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        entries, site = folder / "entries", folder / "site"
        if not entries.exists():
            make_entries(board, entries, given.codecs, given.versions)
        count = len(list((entries / board.name).iterdir()))
        began, cpu = time.perf_counter(), time.process_time()
        build_site([board], entries, site)
        build_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        cpu = time.process_time()
        few = sorted((entries / board.name).iterdir())[:5]
        faults = [fault for one in few for fault in check_entry(one, board)]
        check_s = (time.process_time() - cpu) / len(few)
        pages = {path: path.stat().st_size for path in site.rglob("*.html")}
        largest = max(pages, key=lambda path: pages[path])
        total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        print(f"{count} entries, {given.codecs} codecs, {len(board.sequences)} sequences")
        print(f"build: {build_s:.1f} s ({cpu_s:.1f} s of one core) for {len(pages)} pages, {total / 1e6:.0f} MB")
        print(f"check: {1000 * check_s:.0f} ms an entry, {len(faults)} faults")
        print(f"largest page: {pages[largest] / 1e6:.2f} MB, {largest.relative_to(site)}")
        for name in ("index.html", "small/index.html", "small/entries.html", "small/codecs/codec000.html"):
            paint = f", first paint {first_paint_ms(site / name):.0f} ms" if CHROMIUM else ""
            print(f"{name}: {pages[site / name] / 1e3:.0f} kB{paint}")
        return int(cpu_s > LIMIT_S or pages[largest] > LIMIT_BYTES or bool(faults))


if __name__ == "__main__":
    sys.exit(main())
