"""Whether the ranking of codecs by their faces hangs on the detector: YuNet against CenterFace, on real bitstreams.

    python benchmarks/face_detectors.py [--codecs x264,x265,svtav1,vp9] [--match 0.01,0.02,0.04,0.08bpp] [--jobs 2]

Runs `evalsuite run` on the demo sequences with faces, at matched rates, with both detectors. Printed per sequence: the
codecs in the order of their landmark error, averaged over the rates that all of them reach, by each detector; the
correlation (Spearman's) of the two errors over all rate points; and how many pairs of codecs, at one rate, both
detectors put in the same order, of all pairs and of those that differ by more than a tenth by both.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from evalsuite.results.load import read_run

FIRST, SECOND = "landmark_nme", "landmark_nme_centerface"
METRICS = f"{FIRST},{SECOND},face_ap50,face_ap50_centerface"
MARGIN = 1.1


def run(arguments: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """One row for each codec, sequence and rate; one column for each metric."""
    command = [sys.executable, "-m", "evalsuite", "run", "--codecs", arguments.codecs, "--match", arguments.match]
    command += ["--sequences", "face,carphone", "--metrics", METRICS, "--jobs", str(arguments.jobs)]
    subprocess.run([*command, "--out", str(folder)], check=True, capture_output=True)
    points = read_run(folder).points
    means = points[points["statistic"] == "mean"]
    return means.pivot(index=["sequence", "target_bpp", "codec"], columns="metric", values="score").reset_index()


def order(table: pd.DataFrame, metric: str) -> str:
    """The codecs from best to worst, by their mean over the rates that all of them reach."""
    by_codec = table.pivot(index="target_bpp", columns="codec", values=metric).dropna().mean().sort_values()
    return ", ".join(f"{codec} {value:.4f}" for codec, value in by_codec.items())


def pairs(table: pd.DataFrame, margin: float) -> tuple[int, int]:
    """Pairs of codecs at one rate that both detectors put in the same order, and all pairs."""
    alike = total = 0
    for _, group in table.groupby("target_bpp"):
        for a, b in itertools.combinations(group[[FIRST, SECOND]].to_numpy(), 2):
            ratios = a / b
            if (ratios.clip(min=1 / ratios) > margin).all():
                total += 1
                alike += int((ratios[0] > 1) == (ratios[1] > 1))
    return alike, total


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", default="x264,x265,svtav1,vp9")
    parser.add_argument("--match", default="0.01,0.02,0.04,0.08bpp")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = run(arguments, Path(folder))
    for sequence, points in table.groupby("sequence"):
        print(f"{sequence}, {len(points)} rate points")
        print(f"  YuNet:      {order(points, FIRST)}")
        print(f"  CenterFace: {order(points, SECOND)}")
        print(f"  correlation of ranks {spearmanr(points[FIRST], points[SECOND]).statistic:.3f}")
        for words, margin in (("all pairs", 1.0), ("pairs a tenth apart", MARGIN)):
            print("  {}: {} of {} in the same order".format(words, *pairs(points, margin)))


if __name__ == "__main__":
    main()
