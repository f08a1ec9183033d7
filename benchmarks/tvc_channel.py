"""One operating point for all packets, or one for each by a leaky bucket: waits and quality at the same mean rate.

    python benchmarks/tvc_channel.py SOURCE.y4m... [--q 20] [--frames 60] [--buffer 0.5] [--slots 2]

Each source is coded at one q, then for a channel of the rate that this took, in packets of `--slots` slots.
The table of docs/tvc.md, "Rate control".
"""

from __future__ import annotations

import argparse
import io
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
from tvc_conceal import opened, score

import tvc
from evalsuite.metrics.base import Setting
from tvc.bitstream import Reader
from tvc.encoder import encode_stream
from tvc.video import Frame

INTRA_PERIOD = 48


def longest_wait(data: bytes, kbps: float, rate: Fraction) -> float:
    """Seconds from the end of a packet's frames until a channel has delivered all of it, at most."""
    wait, longest = 0.0, 0.0
    reader = Reader(data)
    left = reader.header.frames
    for _, packet in reader.packets():
        # The last slot of a video may be filled up: those frames take no time.
        frames = min(4 * packet.slots, left)
        left -= frames
        wait = max(0.0, wait - float(frames / rate)) + 8 * len(packet.to_bytes()) / (1000 * kbps)
        longest = max(longest, wait)
    return longest


def said(way: str, data: bytes, kbps: float, source: list[Frame], setting: Setting) -> str:
    """One row."""
    scores = np.array([score(a, b, setting) for a, b in zip(source, tvc.decode(data), strict=True)])
    starts = np.cumsum([0] + [4 * packet.slots for _, packet in Reader(data).packets()])
    worst = max(scores[start:end, 1].mean() for start, end in itertools.pairwise(starts))
    used = sorted({packet.point.q for _, packet in Reader(data).packets()})
    points = f"{used[0]}" if len(used) == 1 else f"{used[0]} to {used[-1]}"
    psnr, lpips = scores.mean(axis=0)
    wait = longest_wait(data, kbps, setting.frame_rate)
    return f"| {way} | {points} | {len(data):,} | {wait:.2f} | {psnr:.2f} | {lpips:.3f} | {worst:.3f} |"


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--q", type=int, default=20)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--buffer", type=float, default=0.5)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    model = tvc.weights.load()
    print("| source | way | q | bytes | longest wait, s | PSNR-Y, dB | LPIPS | LPIPS, worst packet |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for path in arguments.sources:
        format, source, setting = opened(path, arguments.frames)
        constant, channel = io.BytesIO(), io.BytesIO()
        layout = {"intra_period": INTRA_PERIOD, "packet_slots": arguments.slots, "scale": arguments.scale}
        encode_stream(source, format, constant, model, q=arguments.q, **layout)
        data = constant.getvalue()
        kbps = 8 * len(data) * float(format.rate) / len(source) / 1000
        encode_stream(source, format, channel, model, kbps=kbps, buffer_s=arguments.buffer, **layout)
        name = path.stem.split("-")[0]
        print(f"| {name} {said('one q', data, kbps, source, setting)}", flush=True)
        print(f"| {name} {said('bucket', channel.getvalue(), kbps, source, setting)}", flush=True)


if __name__ == "__main__":
    main()
