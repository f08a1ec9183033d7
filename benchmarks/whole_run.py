"""Where the time of a whole run goes, and how much of it is ours.

    python benchmarks/whole_run.py [--codecs tvc,x265] [--frames N]

Runs the demo into an empty store and prints, from the run's own records: CPU seconds of encoders, decoders and each
metric family, encodes per matched point, rate deviation, and the overhead: wall time over (CPU time of encoders,
decoders and metrics / cores). Sources and weights are fetched before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from evalsuite.engine.search import TOLERANCE
from evalsuite.provenance import usable_cores


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", default="tvc,x265")
    parser.add_argument("--frames", default=None)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "evalsuite", "run", "--codecs", arguments.codecs]
    with tempfile.TemporaryDirectory() as folder:
        warm = ["--frames", "1", "--out", f"{folder}/warm", "--store", f"{folder}/warm-store"]
        subprocess.run([*command, *warm], check=True, stdout=subprocess.DEVNULL)
        frames = ["--frames", arguments.frames] if arguments.frames else []
        cold = [*command, *frames, "--out", f"{folder}/out", "--store", f"{folder}/store"]
        subprocess.run(cold, check=True, stdout=subprocess.DEVNULL)
        first = json.loads(Path(folder, "out", "summary.json").read_text())
        subprocess.run(cold, check=True, stdout=subprocess.DEVNULL)
        again = json.loads(Path(folder, "out", "summary.json").read_text())
    report(first, again)


def report(first: dict, again: dict) -> None:
    """Print what the two summaries say."""
    cores = usable_cores()
    wall = first["run"]["wall_s"]
    costs = first["cost_cpu_s"]
    work = sum(costs.values())
    print(f"cores {cores}, wall {wall:.1f} s, cached again {again['run']['wall_s']:.2f} s")
    for kind, seconds in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"  {kind:<20} {seconds:8.1f} CPU s  {100 * seconds / work:5.1f} %")
    all_cpu = first["run"]["cpu_s"]
    print(f"  {'all of the above':<20} {work:8.1f} CPU s; whole process tree {all_cpu:.1f} CPU s")
    print(f"overhead: wall / (CPU of encoders, decoders and metrics / cores) = {wall / (work / cores):.3f}")
    matched = first["rate_match"]
    for codec in sorted({row["codec"] for row in matched}):
        rows = [row for row in matched if row["codec"] == codec]
        near = sum(abs(row["deviation_percent"]) <= 100 * TOLERANCE for row in rows)
        print(
            f"{codec}: {sum(row['encodes'] for row in rows) / len(rows):.2f} encodes a matched point,"
            f" {near} of {len(rows)} within {100 * TOLERANCE:g} %"
        )


if __name__ == "__main__":
    main()
