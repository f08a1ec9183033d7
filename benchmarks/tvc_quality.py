"""The rate-quality table of docs/tvc-results.md, from the results of a run.

    evalsuite run --codecs tvc,x265,x265:half --out results
    python benchmarks/tvc_quality.py results [--metrics psnr_y,lpips,vmaf] [--test tvc]

Prints Markdown: for each sequence and each rate of tvc, the rate and the scores of every codec there, and behind it how
often tvc is better, by metric and codec. A codec that has no point within 10 % of the rate has its nearest one in
brackets, and counts neither as a win nor as a loss.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd

from evalsuite.results.load import read_run

CLOSE = 0.10


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--metrics", default="psnr_y,lpips,vmaf")
    parser.add_argument("--test", default="tvc")
    arguments = parser.parse_args()
    metrics = arguments.metrics.split(",")
    points = read_run(arguments.results).points
    means = points[(points["statistic"] == "mean") & points["metric"].isin(metrics)]
    higher = dict(zip(means["metric"], means["higher_is_better"], strict=True))
    table = means.pivot_table(index=["sequence", "codec", "bpp"], columns="metric", values="score").reset_index()
    codecs = [arguments.test, *sorted(set(table["codec"]) - {arguments.test})]
    columns = [f"{codec} {metric}" for codec in codecs for metric in ["bpp", *metrics]]
    print(f"| sequence | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    wins: Counter[tuple[str, str, str]] = Counter()
    for (sequence, _), row in table[table["codec"] == arguments.test].groupby(["sequence", "bpp"], sort=True):
        own = row.iloc[0]
        cells = []
        for codec in codecs:
            others = table[(table["codec"] == codec) & (table["sequence"] == sequence)]
            if others.empty:
                cells += ["–"] * (1 + len(metrics))
                continue
            other = others.loc[(others["bpp"] / own["bpp"] - 1).abs().idxmin()]
            close = abs(other["bpp"] / own["bpp"] - 1) <= CLOSE
            cells += [_text(other, name, close=close) for name in ["bpp", *metrics]]
            if close and codec != arguments.test:
                for metric in metrics:
                    wins[codec, metric, _verdict(own[metric], other[metric], higher=bool(higher[metric]))] += 1
        print(f"| {sequence} | {' | '.join(cells)} |")
    print(f"\n| {arguments.test} against | {' | '.join(metrics)} |\n|---|{'---:|' * len(metrics)}")
    for codec in codecs[1:]:
        counts = [f"{wins[codec, metric, 'better']} of {_held(wins, codec, metric)} better" for metric in metrics]
        print(f"| {codec} | {' | '.join(counts)} |")


def _text(row: pd.Series, name: str, *, close: bool) -> str:
    digits = {"bpp": 4, "lpips": 3}.get(name, 2)
    return f"{row[name]:.{digits}f}" if close else f"({row[name]:.{digits}f})"


def _verdict(own: float, other: float, *, higher: bool) -> str:
    return "better" if (own > other) == higher and own != other else "not better"


def _held(wins: Counter[tuple[str, str, str]], codec: str, metric: str) -> int:
    return wins[codec, metric, "better"] + wins[codec, metric, "not better"]


if __name__ == "__main__":
    main()
