"""What the first slot foretells: are latents worth their bits, or is a larger picture of tokens alone the better one?

    python benchmarks/tvc_content.py SOURCE.y4m... [--frames 32] [--precision bfloat16]

For each source: bytes of the coarsest latents of the first slot over those of its tokens, as `tvc.content` looks at
them; bits per pixel and LPIPS of tokens alone at 2.4 times the height and width; and the LPIPS that points 31, 30 and
28 (latents, at the sizes of smooth ground) have at that rate, by interpolation over its logarithm, or of the nearest
of them. LPIPS of every fourth frame. The table of docs/tvc.md, "Coded size".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tvc_conceal import opened, score

import tvc
from evalsuite.metrics.base import Setting
from tvc.bitstream import Reader
from tvc.config import SLOT_FRAMES
from tvc.content import LOOK_SCALE, usual
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY
from tvc.video import Frame
from tvc.weights import load

LATENTS = (31, 30, 28)
LARGER = 2.4


def ratio(frames: list[Frame], model: TVC) -> float:
    """Bytes of the coarsest latents over those of the tokens, of the first slot."""
    data = tvc.encode(frames[:SLOT_FRAMES], 25, q=LATENTS[0], scale=LOOK_SCALE, detail=False, model=model)
    packet = next(iter(Reader(data).packets()))[1]
    return len(packet.continuous) / len(packet.discrete)


def coded(frames: list[Frame], setting: Setting, model: TVC, q: int, scale: float) -> tuple[float, float]:
    """Bits per luma sample and LPIPS."""
    data = tvc.encode(frames, 25, q=q, scale=scale, model=model)
    pairs = list(zip(frames, tvc.decode(data, model=model), strict=True))[2::4]
    bpp = 8 * len(data) / (len(frames) * frames[0][0].size)
    return bpp, float(np.mean([score(one, other, setting)[1] for one, other in pairs]))


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    model = load(precision=arguments.precision)
    print("| source | latents / tokens, first slot | bpp | LPIPS, larger picture | LPIPS, latents |")
    print("|---|---:|---:|---:|---:|")
    for path in arguments.sources:
        _, frames, setting = opened(path, arguments.frames)
        rate, larger = coded(frames, setting, model, DISCRETE_ONLY, LARGER)
        points = ((q, usual(q, textured=False)[1]) for q in LATENTS)
        rates, scores = zip(*(coded(frames, setting, model, q, scale) for q, scale in points), strict=True)
        latents = np.interp(np.log(rate), np.log(rates), scores)
        print(f"| {path.stem} | {ratio(frames, model):.2f} | {rate:.4f} | {larger:.3f} | {latents:.3f} |", flush=True)


if __name__ == "__main__":
    main()
