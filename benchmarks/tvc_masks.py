"""What it costs not to send tokens: share masked, bytes, luma PSNR and LPIPS over the thresholds of q.

    python benchmarks/tvc_masks.py SOURCE.y4m... [--q 32 34 36 38 40 42 44 48] [--frames 32] [--scale 1.25]

All at one coded size. Means over the sources; the table of docs/tvc-results.md, "Aims".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tvc_conceal import opened, score

import tvc


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--q", type=int, nargs="+", default=[32, 34, 36, 38, 40, 42, 44, 48])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--scale", type=float, default=1.25)
    arguments = parser.parse_args()
    model = tvc.weights.load()
    rows: dict[int, list[tuple[float, ...]]] = {q: [] for q in arguments.q}
    for path in arguments.sources:
        format, source, setting = opened(path, arguments.frames)
        for q, held in rows.items():
            data = tvc.encode(source, format.rate, q=q, scale=arguments.scale, model=model)
            facts = tvc.stats(data, model=model)
            scores = [score(a, b, setting) for a, b in zip(source, tvc.decode(data, model=model), strict=True)]
            held.append((float(facts["masked_share"]), len(data), *np.mean(scores, axis=0)))
    print("| q | masked | bytes | PSNR-Y, dB | LPIPS |\n|---:|---:|---:|---:|---:|")
    for q, held in rows.items():
        share, size, psnr, lpips = np.mean(held, axis=0)
        print(f"| {q} | {100 * share:.1f} % | {size:,.0f} | {psnr:.2f} | {lpips:.4f} |")


if __name__ == "__main__":
    main()
