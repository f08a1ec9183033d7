"""What tvc is meant to reach, and what a run of it does: the table of docs/tvc-results.md, "Aims".

    evalsuite run --codecs tvc,x265,x265:half --sequences CLIP.y4m --sequences ... --out held-out
    python benchmarks/tvc_bars.py held-out [--unseen cvvdp]

Means over sequences, at the operating points of tvc's ladder: tokens alone (q 32), and with latents those between 0.02
and 0.03 bpp. (What masking costs says `tvc_choices.py`.) x265 at full and half size: the better one at the rate nearest
to tvc's, within 10 %. `--unseen` names a metric of the run that training had nothing to do with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from evalsuite.results.load import read_run

TOKENS = 32
LOW_BPP, LATENTS_BPP = 0.010, (0.02, 0.03)
CLOSE = 0.10


def table(folder: Path) -> pd.DataFrame:
    """One row for each point: codec, sequence, q, bpp, and a column for each mean."""
    points = read_run(folder).points
    means = points[(points["statistic"] == "mean") & (points["status"] == "ok")]
    keys = ["codec", "sequence", "q", "bpp"]
    return means.pivot_table(index=keys, columns="metric", values="score").reset_index()


def wins(rows: pd.DataFrame, metric: str, *, higher: bool) -> tuple[int, int]:
    """On how many sequences tvc's highest point up to LOW_BPP beats the others at its rate, and how many have any."""
    better = held = 0
    for _, own in rows[(rows["codec"] == "tvc") & (rows["bpp"] <= LOW_BPP)].groupby("sequence"):
        point = own.loc[own["bpp"].idxmax()]
        others = rows[(rows["codec"] != "tvc") & (rows["sequence"] == point["sequence"])]
        others = others[(others["bpp"] / point["bpp"] - 1).abs() <= CLOSE]
        if others.empty or pd.isna(point.get(metric)):
            continue
        best = others[metric].max() if higher else others[metric].min()
        held += 1
        better += bool(point[metric] > best if higher else point[metric] < best)
    return better, held


def main() -> None:
    """Compute and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--unseen", default="cvvdp")
    arguments = parser.parse_args()
    rows = table(arguments.results)
    own = rows[rows["codec"] == "tvc"]
    alone = own[own["q"] == TOKENS].set_index("sequence")
    full = own[own["bpp"].between(*LATENTS_BPP) & (own["q"] < TOKENS)].groupby("sequence").last()
    base = alone.loc[full.index]
    print("| aim | of the figures | reached |\n|---|---|---|")
    print(
        f"| tokens alone: LPIPS at most 0.30, 22.5 dB, at most 0.011 bpp | {len(alone)} sequences "
        f"| {alone['lpips'].mean():.3f}, {alone['psnr_y'].mean():.2f} dB, {alone['bpp'].mean():.4f} bpp |"
    )
    print(f"| bits per token, at most 10 | likewise | {alone['bits_per_token'].mean():.2f} |")
    if len(full):
        less = 100 * (1 - full["lpips"].mean() / base["lpips"].mean())
        print(
            f"| latents at 0.02 to 0.03 bpp: +1.5 dB, LPIPS 25 % lower | {len(full)} sequences "
            f"| {full['psnr_y'].mean() - base['psnr_y'].mean():+.2f} dB, {less:.1f} % lower |"
        )
    for metric, wanted in (("lpips", "6 of 8"), (arguments.unseen, "5 of 8")):
        if metric in rows:
            better, held = wins(rows, metric, higher=metric not in ("lpips", "dists"))
            said = f"better {metric} than x265 at 0.010 bpp or less, {wanted}"
            print(f"| {said} | the highest such rate | {better} of {held} |")


if __name__ == "__main__":
    main()
