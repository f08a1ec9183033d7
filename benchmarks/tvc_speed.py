"""Speed, memory and start-up of `tvc encode` and `tvc decode`, as their user meets them: processes and files.

    python benchmarks/tvc_speed.py [--sequence bunny] [--threads 2] [--sizes CIF] [--precision bfloat16]

Scales a demo sequence to CIF and to 720p and codes two lengths of it at three operating points: q 16 (tokens and
latents), q 32 (tokens) and q 44 (masked tokens, so that the predictor works). Frames per
second are the additional frames over the additional time, so start-up is not in them; start-up is the time to decode
four QCIF frames. Run it on idle cores: beside other work the figures say nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import write_y4m

SIZES = {"CIF": (352, 288, 40, 240), "720p": (1280, 720, 8, 48)}
"""Width, height, and the two lengths in frames."""

POINTS = (16, 32, 44)
TVC = (sys.executable, "-m", "tvc")


def timed(*command: str) -> tuple[float, float]:
    """Wall seconds and the peak resident set in MB of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / 1024


def scaled(source: Path, width: int, height: int, target: Path) -> None:
    """Write the source at another size."""
    size = f"scale={width}:{height}"
    command = (str(ffmpeg_path()), "-loglevel", "error", "-y", "-i", str(source), "-vf", size, str(target))
    subprocess.run(command, check=True)


def repeated(source: Path, frames: int, target: Path) -> None:
    """Write so many frames of the source, over and over."""
    reader = open_video(source)
    stored = list(reader)
    write_y4m(target, reader.format, reader.frame_rate, itertools.islice(itertools.cycle(stored), frames))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequence", default="bunny")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    entry = next(one for one in load_dataset("demo").sequences if one.name == arguments.sequence)
    source = prepare(entry).path
    with tempfile.TemporaryDirectory() as name:
        folder, options = Path(name), ("--threads", arguments.threads, "--precision", arguments.precision)
        stream, output = str(folder / "stream.tvc"), str(folder / "decoded.y4m")
        scaled(source, 176, 144, folder / "qcif.y4m")
        repeated(folder / "qcif.y4m", 4, folder / "four.y4m")
        timed(*TVC, "encode", str(folder / "four.y4m"), stream, *options)
        startup = min(timed(*TVC, "decode", stream, output, *options)[0] for _ in range(3))
        print(f"start-up of decode, 4 frames of QCIF: {startup:.2f} s")
        for label in arguments.sizes:
            width, height, few, many = SIZES[label]
            scaled(source, width, height, folder / "scaled.y4m")
            for frames in (few, many):
                repeated(folder / "scaled.y4m", frames, folder / f"{frames}.y4m")
            for q in POINTS:
                took: dict[str, list[float]] = {"encode": [], "decode": []}
                peaks: dict[str, list[float]] = {"encode": [], "decode": []}
                for frames in (few, many):
                    clip = str(folder / f"{frames}.y4m")
                    for work, command in (
                        ("encode", (*TVC, "encode", clip, stream, "--q", str(q), "--intra-period", "32")),
                        ("decode", (*TVC, "decode", stream, output)),
                    ):
                        seconds, peak = timed(*command, *options)
                        took[work].append(seconds)
                        peaks[work].append(peak)
                for work, (short, long) in took.items():
                    low, high = peaks[work]
                    print(
                        f"{label} q {q} {work}: {(many - few) / (long - short):.1f} frames/s, "
                        f"peak {low:.0f} MB at {few} frames, {high:.0f} MB at {many}"
                    )


if __name__ == "__main__":
    main()
