"""What `evalsuite gate` makes of unchanged codecs and of known regressions, on the demo.

    python benchmarks/gate.py [--frames 17] [--work DIR] [--threads 1,2,3,4,5]

Unchanged: codecs whose bitstreams depend on the number of encoder threads, each run with every number of threads.
Every two runs of a codec that differ in a bitstream are gated both ways; a verdict that is no pass is a false alarm.
The same pairs with 2 % more bits on one side are to be caught. Then x265 with injected faults, each with two numbers of
threads against the clean run of one thread: more rate, blur, flicker, spoilt faces, a wrong colour matrix, one bad
sequence. Printed: how often each rule of the standard gate catches each fault, the smallest fault that each rule
catches every time, and what encoder threads alone do to each rule. DIR keeps bitstreams and scores: the same call again
takes seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.detectors import yunet
from evalsuite.results.gate.judge import Judgement, Verdict, judge, overall
from evalsuite.results.gate.matching import match_runs
from evalsuite.results.gate.rules import load_gate
from evalsuite.results.load import RunResults, read_run, write_results
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.types import Sequence

UNCHANGED = ("x265", "x264", "x265:fast", "x265:lowdelay", "x264:lowdelay", "x264:fast", "x264:slow", "x264:10bit")
"""Of the demo's codecs those whose bitstreams threads change."""

CAUGHT = 2
"""Percent of bits that must not pass."""

TRIALS = (2, 3)
"""Threads of the runs that a fault is injected in."""

METRICS = "psnr_yuv,ms_ssim,vmaf,lpips,flicker,warp_error,face_ap50,identity_cos"
RATES = (0.5, 1, 1.5, 2, 3, 5)
BLURS = (0.35, 0.45, 0.6, 0.9)
FLICKERS = (1, 2, 3, 4)
FACES = (0.8, 1.6, 3.2)
BAD = 0.9
"""Blur of the one bad sequence: a strong one, since five others dilute it."""


@dataclass(frozen=True)
class Fault:
    """One fault of one size: the decoder's filter, for all sequences or by name, or what is done to the results."""

    kind: str
    size: str
    filters: dict[str, str]
    """FFmpeg filter by sequence; `*` is every sequence."""
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None


def faults() -> Iterator[Fault]:
    """Every fault in every size, the smallest first."""
    for percent in RATES:
        yield Fault("rate", f"+{percent:g} %", {}, inflated(1 + percent / 100))
    for sigma in BLURS:
        yield Fault("blur", f"sigma {sigma:g}", {"*": f"gblur=sigma={sigma}"})
    for level in FLICKERS:
        # Odd frames brighter, even ones darker, by half of that each.
        wave = f"eq=brightness='{level / 2 / 255}*(2*mod(n,2)-1)':eval=frame"
        yield Fault("flicker", f"{level} levels", {"*": wave})
    boxes = {sequence.name: face_box(sequence) for sequence in demo() if "faces" in sequence.tags}
    for sigma in FACES:
        spoilt = {
            name: f"split[a][b];[b]crop={w}:{h}:{x}:{y},gblur=sigma={sigma}[c];[a][c]overlay={x}:{y}:format=yuv420"
            for name, (x, y, w, h) in boxes.items()
        }
        yield Fault("faces", f"sigma {sigma:g}", spoilt)
    yield Fault("matrix", "709 as 601", {"*": "colormatrix=bt709:bt601"})
    yield Fault("one sequence", f"bikes, blur {BAD:g}", {"bikes": f"gblur=sigma={BAD}"})


def demo() -> list[Sequence]:
    """The sequences of the demo."""
    return [prepare(entry) for entry in load_dataset("demo").sequences]


def face_box(sequence: Sequence) -> tuple[int, int, int, int]:
    """Left, top, width and height of the first frame's surest face, even, a quarter larger than found."""
    setting = Setting(sequence.format, sequence.colour, sequence.frame_rate)
    frame = next(iter(open_video(sequence.path)))
    found = yunet().find(View(frame, setting))
    left, top, width, height = found["boxes"][int(np.argmax(found["scores"]))]
    size = (sequence.format.width, sequence.format.height)
    low = [max(0, int(at - 0.125 * side)) // 2 * 2 for at, side in ((left, width), (top, height))]
    high = [
        min(limit, int(at + 1.125 * side)) // 2 * 2
        for at, side, limit in zip((left, top), (width, height), size, strict=True)
    ]
    return low[0], low[1], high[0] - low[0], high[1] - low[1]


def inflated(factor: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Results of a codec that needs more bits for the same pictures."""

    def change(points: pd.DataFrame) -> pd.DataFrame:
        size = (points["bytes"].astype(float) * factor).round().astype("Int64")
        return points.assign(bpp=points["bpp"] * factor, kbps=points["kbps"] * factor, bytes=size)

    return change


class Bench:
    """Runs, made once and kept in a folder."""

    def __init__(self, work: Path, frames: int) -> None:
        self.work, self.frames = work, frames

    def run(self, codecs: str, threads: int, name: str, sequences: str = "") -> RunResults:
        """A run of some codecs at their own ladders."""
        out = self.work / "runs" / f"{name}-{threads}"
        command = [
            *(sys.executable, "-m", "evalsuite", "run", "--codecs", codecs, "--match", "none"),
            *("--threads", str(threads), "--frames", str(self.frames), "--metrics", METRICS),
            *("--store", str(self.work / "store"), "--out", str(out)),
            *(["--sequences", sequences] if sequences else []),
        ]
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return read_run(out)

    def faulty(self, fault: Fault, threads: int, clean: RunResults) -> RunResults:
        """A run of x265 with a fault; sequences that the fault spares are the clean run's."""
        points = clean.points
        others: list[RunResults] = []
        for sequence, chain in fault.filters.items():
            name = f"{fault.kind}-{fault.size}-{sequence}".replace(" ", "-").replace(",", "").replace("*", "all")
            recipe = self.work / "codecs" / "recipes" / f"{name}.toml"
            recipe.parent.mkdir(parents=True, exist_ok=True)
            text = f'base = "x265"\nname = "{name.lower()}"\n[settings]\ndeep = ["-vf", {json.dumps(chain)}]\n'
            recipe.write_text(text)
            others.append(self.run(str(recipe), threads, name, "" if sequence == "*" else sequence))
        for other in others:
            spoilt = other.points.assign(codec="x265")
            points = pd.concat([points[~points["sequence"].isin(spoilt["sequence"])], spoilt])
        if fault.change:
            points = fault.change(points)
        return self._written(f"{fault.kind}-{fault.size}-{threads}", points, [clean, *others])

    def _written(self, name: str, points: pd.DataFrame, runs: list[RunResults]) -> RunResults:
        folder = self.work / "made" / name.replace(" ", "-")
        rows = [{key: none_for_null(value) for key, value in row.items()} for row in points.to_dict("records")]
        # Frames are for explanations alone, which this does not print.
        summary = {key: value for key, value in runs[0].summary.items() if key not in ("files", "schema")}
        write_results(folder, rows, [], {**summary, "bd_rate": []})
        return read_run(folder)


def none_for_null(value: Any) -> Any:
    """None for what pandas has for a null."""
    return None if value is pd.NA or (isinstance(value, float) and value != value) else value


def gated(baseline: RunResults, candidate: RunResults, codec: str) -> tuple[Verdict, tuple[Judgement, ...]]:
    """The standard gate on one codec: its verdict, and each rule's."""
    gate = replace(load_gate("standard"), codec=codec)
    judgements = judge(gate.rules, match_runs(baseline, candidate, gate))
    return overall(judgements), judgements


def streams(run: RunResults, codec: str) -> set[str]:
    """Digests of a codec's bitstreams."""
    return set(run.points[run.points["codec"] == codec]["bitstream_sha256"])


def unchanged(bench: Bench, threads: list[int]) -> None:
    """Gate unchanged codecs against themselves and print what came of it."""
    runs = {count: bench.run(",".join(UNCHANGED), count, "unchanged") for count in threads}
    verdicts: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    found: dict[str, list[float]] = {}
    pairs = 0
    for codec in UNCHANGED:
        for one, other in itertools.combinations(threads, 2):
            if streams(runs[one], codec) == streams(runs[other], codec):
                continue
            pairs += 1
            for before, after in ((runs[one], runs[other]), (runs[other], runs[one])):
                verdict, judgements = gated(before, after, codec)
                verdicts[verdict] += 1
                for judgement in judgements:
                    if judgement.value is not None:
                        found.setdefault(judgement.rule.name, []).append(judgement.value)
                more = replace(after, points=inflated(1 + CAUGHT / 100)(after.points))
                caught[gated(before, more, codec)[0]] += 1
    total = verdicts.total()
    alarms = total - verdicts["pass"]
    print(f"unchanged codecs ({', '.join(UNCHANGED)}), {threads} threads:")
    print(f"  {pairs} pairs of different runs, {total} gates")
    print(f"  {dict(verdicts)}; false alarms {alarms} ({100 * alarms / total:.1f} %)")
    print(f"  with {CAUGHT:g} % more bits on one side: {dict(caught)}; caught {100 * caught['fail'] / total:.1f} %")
    print("\nwhat threads alone do: standard deviation and largest value of each rule")
    for name, values in found.items():
        print(f"  {name:38} {np.std(values):8.3f} {max(values):8.3f}")


def injected(bench: Bench) -> None:
    """Inject every fault and print what each rule makes of it."""
    baseline = bench.run("x265", 1, "clean")
    clean = {threads: bench.run("x265", threads, "clean") for threads in TRIALS}
    caught: dict[str, dict[tuple[str, str], int]] = {}
    whole: dict[tuple[str, str], list[str]] = {}
    for fault in faults():
        for threads in TRIALS:
            verdict, judgements = gated(baseline, bench.faulty(fault, threads, clean[threads]), "x265")
            whole.setdefault((fault.kind, fault.size), []).append(verdict)
            for one in judgements:
                row = caught.setdefault(one.rule.name, {})
                row[fault.kind, fault.size] = row.get((fault.kind, fault.size), 0) + (one.verdict == "fail")
    print(f"\ncaught of {len(TRIALS)} runs, by fault and rule")
    for place, verdicts in whole.items():
        by = ", ".join(f"{name} {row[place]}" for name, row in caught.items() if row[place])
        print(f"  {place[0]:13} {place[1]:17} gate: {verdicts.count('fail')}; {by or 'no rule'}")
    print("\nsmallest fault that each rule catches every time")
    for name, row in caught.items():
        smallest: dict[str, str] = {}
        for (kind, size), count in row.items():
            if count == len(TRIALS):
                smallest.setdefault(kind, size)
        print(f"  {name:38} {', '.join(f'{kind} {size}' for kind, size in smallest.items()) or 'none of these'}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--threads", default="1,2,3,4,5")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work.absolute(), arguments.frames)
        unchanged(bench, [int(count) for count in arguments.threads.split(",")])
        injected(bench)


if __name__ == "__main__":
    main()
