"""What tvc is meant to reach, and what a run of it does: the table of docs/tvc-results.md, "Aims".

    evalsuite run --codecs tvc --metrics psnr_y,lpips,bits_per_token --sequences CLIP.y4m --sequences ... --out held-out
    python benchmarks/tvc_bars.py held-out

Means over sequences, at the operating points of tvc's ladder: tokens alone (q 32), and with latents those between 0.02
and 0.03 bpp. (What masking costs says `tvc_choices.py`, and how it stands against others `tvc_wins.py`.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from evalsuite.results.load import read_run

TOKENS = 32
LATENTS_BPP = (0.02, 0.03)


def table(folder: Path) -> pd.DataFrame:
    """One row for each point: codec, sequence, q, bpp, and a column for each mean."""
    points = read_run(folder).points
    means = points[(points["statistic"] == "mean") & (points["status"] == "ok")]
    keys = ["codec", "sequence", "q", "bpp"]
    return means.pivot_table(index=keys, columns="metric", values="score").reset_index()


def main() -> None:
    """Compute and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    rows = table(arguments.results)
    if missing := {"psnr_y", "lpips", "bits_per_token"} - set(rows):
        parser.error(f"the run has no {', '.join(sorted(missing))}: ask for it by --metrics")
    own = rows[rows["codec"] == "tvc"]
    alone = own[own["q"] == TOKENS].set_index("sequence")
    if alone.empty:
        parser.error(f"the run has no point of tvc at q {TOKENS}: it takes one that was not matched to rates")
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


if __name__ == "__main__":
    main()
