"""Peak memory of a whole run on 50 and on 500 frames of the same content.

    python benchmarks/memory.py [--codec x264]

Repeats a demo sequence to each length, runs it into an empty store with the whole default panel, and prints the largest
resident set of the process tree and the ratio of the two: it should be close to 1.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import write_y4m


def peak_bytes(command: list[str]) -> int:
    """Largest resident set of a command's process tree, sampled ten times a second."""
    root = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while root.poll() is None:
        total = 0
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    if root.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {root.returncode}")
    return peak


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="x264")
    parser.add_argument("--sequence", default="bikes")
    arguments = parser.parse_args()
    entry = next(one for one in load_dataset("demo").sequences if one.name == arguments.sequence)
    sequence = prepare(entry)
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for frames in (50, 500):
            clip = Path(folder, f"clip{frames}.y4m")
            repeated = itertools.islice(itertools.cycle(list(open_video(sequence.path))), frames)
            write_y4m(clip, sequence.format, sequence.frame_rate, repeated, sequence.colour)
            peaks[frames] = peak_bytes(
                [
                    *(sys.executable, "-m", "evalsuite", "run", "--codecs", arguments.codec, "--match", "none"),
                    *("--sequences", str(clip), "--jobs", "1"),
                    *("--store", f"{folder}/store{frames}", "--out", f"{folder}/out{frames}"),
                ]
            )
            print(f"{frames} frames of {sequence.format}: peak {peaks[frames] / 1e6:.0f} MB")
    print(f"ratio 500 / 50 frames: {peaks[500] / peaks[50]:.3f}")


if __name__ == "__main__":
    main()
