"""What the encoder's choices cost and buy: coded size, operating point, and the price of a bit when codes are chosen.

    python benchmarks/tvc_choices.py SOURCE.y4m... [--points 1:32 1.375:32 1.375:32:0 1.375:44 ...] [--frames 32]

Each point is SCALE:Q or SCALE:Q:MULTIPLIER (`tvc.encoder.encode_stream`; without it, what tvc does by itself); usual:Q
is what it does by itself at q. With --no-detail nothing is said of the source's detail (`tvc.detail`). Prints means
over the sources: share of tokens masked, bits per token, bits per pixel, luma PSNR and LPIPS. The tables of
docs/tvc.md, "Choice of codes", "Detail" and "Precision", and of docs/tvc-results.md, "Aims".
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from tvc_conceal import opened, score

import tvc
from tvc.encoder import encode_stream
from tvc.operating import MULTIPLIER
from tvc.weights import load

USUAL = ["1:32", "1.25:32", "1.375:32", "1.5:32", "2:32"]


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--points", nargs="+", default=USUAL)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--no-detail", dest="detail", action="store_false")
    arguments = parser.parse_args()
    model = load(arguments.weights, arguments.precision)
    rows: dict[str, list[tuple[float, ...]]] = {point: [] for point in arguments.points}
    for path in arguments.sources:
        format, source, setting = opened(path, arguments.frames)
        for point, held in rows.items():
            scale, q, *price = point.split(":")
            output = io.BytesIO()
            multiplier = float(price[0]) if price else MULTIPLIER
            size = None if scale == "usual" else float(scale)
            choices = {"q": int(q), "scale": size, "multiplier": multiplier, "detail": arguments.detail}
            encode_stream(source, format, output, model, **choices)
            facts = tvc.stats(output.getvalue(), model=model)
            decoded = tvc.decode(output.getvalue(), model=model)
            scores = [score(a, b, setting) for a, b in zip(source, decoded, strict=True)]
            held.append((facts["masked_share"], facts["bits_per_token"], facts["bpp"], *np.mean(scores, axis=0)))
    print("| scale | q | price of a bit | masked | bits per token | bpp | PSNR-Y, dB | LPIPS |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for point, held in rows.items():
        scale, q, *price = point.split(":")
        share, bits, bpp, psnr, lpips = np.mean(held, axis=0)
        print(
            f"| {scale} | {q} | {price[0] if price else MULTIPLIER} | {100 * share:.1f} % | {bits:.2f} | {bpp:.5f} "
            f"| {psnr:.2f} | {lpips:.4f} |"
        )


if __name__ == "__main__":
    main()
