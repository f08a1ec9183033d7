"""On how many sequences tvc is the better one at each of a run's rates: tables of docs/tvc-results.md, "Aims".

    evalsuite run --codecs tvc,x265,x265:half --match 0.003,0.005,0.007,0.0095bpp --metrics lpips,dists --sequences ...
    python benchmarks/tvc_wins.py results [--codec tvc]

tvc wins where it is better than every other codec of the run. Of each of them counts its point of fewest bytes that has
at least nine tenths of tvc's: one that cannot go so low is judged by the best that it has there, with more bytes.
One that does not go so high counts with its highest rate.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from evalsuite.results.load import read_run

ENOUGH = 0.9


class Row(NamedTuple):
    """Sequences that the codec won and lost at one rate."""

    rate: float
    won: list[str]
    lost: list[str]


def rival(points: pd.DataFrame, bpp: float) -> pd.Series:
    """The point of one codec on one sequence that stands against a point of this many bits."""
    enough = points[points["bpp"] >= ENOUGH * bpp]
    return points.loc[points["bpp"].idxmax() if enough.empty else enough["bpp"].idxmin()]


def table(means: pd.DataFrame, wanted: dict[str, dict[float, float]], codec: str, higher: bool) -> list[Row]:
    """For each rate what was won and lost.

    Args:
        means: mean scores of one metric.
        wanted: by sequence, the q that came nearest to each rate: one may serve two.
        codec: whose wins.
        higher: more is better.
    """
    rows = []
    for rate in sorted({rate for rates in wanted.values() for rate in rates}):
        won, lost = [], []
        for sequence, rates in wanted.items():
            here = means[means["sequence"] == sequence]
            own = here[(here["codec"] == codec) & (here["q"] == rates.get(rate))]
            others = here[here["codec"] != codec]
            if own.empty or others.empty:
                continue
            bpp, score = own["bpp"].iloc[0], own["score"].iloc[0]
            best = [rival(of, bpp)["score"] for _, of in others.groupby("codec")]
            better = score > max(best) if higher else score < min(best)
            (won if better else lost).append(sequence)
        rows.append(Row(rate, won, lost))
    return rows


def main() -> None:
    """Compute and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--codec", default="tvc")
    arguments = parser.parse_args()
    run = read_run(arguments.results)
    points = run.points
    wanted: dict[str, dict[float, float]] = defaultdict(dict)
    for match in run.summary["rate_match"]:
        if match["codec"] == arguments.codec:
            # A rate comes back from whole bytes: 0.007 may be 0.007000000000000001.
            wanted[match["sequence"]][float(f"{match['target_bpp']:.9g}")] = match["q"]
    means = points[(points["statistic"] == "mean") & (points["status"] == "ok")]
    print(f"| bpp | metric | {arguments.codec} is better | on | not on |\n|---:|---|---:|---|---|")
    for name, of in means.groupby("metric"):
        for row in table(of, wanted, arguments.codec, bool(of["higher_is_better"].iloc[0])):
            score = f"{len(row.won)} of {len(row.won) + len(row.lost)}"
            print(f"| {row.rate:g} | {name} | {score} | {', '.join(row.won)} | {', '.join(row.lost)} |")


if __name__ == "__main__":
    main()
