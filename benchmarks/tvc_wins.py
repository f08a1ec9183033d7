"""On how many sequences tvc is the better one at each of a run's rates: tables of docs/tvc-results.md, "Aims".

    evalsuite run --codecs tvc,x265,x265:half --match 0.003,0.005,0.007,0.0095bpp --metrics lpips,dists --sequences ...
    python benchmarks/tvc_wins.py results [--codec tvc]

tvc wins where it is better than every other codec of the run. Of each of them counts its point of fewest bytes that has
at least nine tenths of tvc's: one that cannot go so low is judged by the best that it has there, with more bytes.
One that does not go so high counts with its highest rate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from evalsuite.results.load import read_run

ENOUGH = 0.9


def rival(points: pd.DataFrame, bpp: float) -> pd.Series:
    """The point of one codec on one sequence that stands against a point of this many bits."""
    enough = points[points["bpp"] >= ENOUGH * bpp]
    return points.loc[points["bpp"].idxmax() if enough.empty else enough["bpp"].idxmin()]


def table(means: pd.DataFrame, codec: str, higher: bool) -> list[tuple[float, list[str], list[str]]]:
    """For each rate: the rate, sequences won and sequences lost. `means` has the mean scores of one metric."""
    rows = []
    for rate, own in means[means["codec"] == codec].groupby("target_bpp"):
        won, lost = [], []
        for point in own.itertuples():
            others = means[(means["codec"] != codec) & (means["sequence"] == point.sequence)]
            best = [rival(of, point.bpp)["score"] for _, of in others.groupby("codec")]
            better = best and (point.score > max(best) if higher else point.score < min(best))
            (won if better else lost).append(point.sequence)
        rows.append((float(rate), won, lost))
    return rows


def main() -> None:
    """Compute and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--codec", default="tvc")
    arguments = parser.parse_args()
    points = read_run(arguments.results).points
    means = points[(points["statistic"] == "mean") & (points["status"] == "ok")]
    print(f"| bpp | metric | {arguments.codec} is better | on | not on |\n|---:|---|---:|---|---|")
    for name, of in means.groupby("metric"):
        for rate, won, lost in table(of, arguments.codec, bool(of["higher_is_better"].iloc[0])):
            score = f"{len(won)} of {len(won) + len(lost)}"
            print(f"| {rate:g} | {name} | {score} | {', '.join(won)} | {', '.join(lost)} |")


if __name__ == "__main__":
    main()
