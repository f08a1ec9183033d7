"""The held-out clips as files: what docs/tvc-results.md measures on.

    python benchmarks/tvc_clips.py --data MATERIAL --out CLIPS [--frames 32]

MATERIAL is a folder of the training material, whose `MANIFEST.tsv` has the files that
codecs/tvc/training/validation.json names by digest. Writes one Y4M file a clip, at most 288 lines on the shorter side.

The clips were taken at 24 to 60 frames a second, and all files say 25: so they did when the published figures were
measured, and encoders choose by it what they spend.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Frame, VideoFormat
from tvc.training.material import read_manifest, split
from tvc.training.validate import load_clip


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=32)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for clip, material in split(read_manifest(arguments.data))[1]:
        planes = [
            plane[0].round().clamp(0, 255).byte().numpy() for plane in load_clip(clip, material, arguments.frames)
        ]
        frames: list[Frame] = list(zip(*planes, strict=True))
        height, width = frames[0][0].shape
        write_y4m(arguments.out / f"{clip.category}.y4m", VideoFormat(width, height), Fraction(25), frames)


if __name__ == "__main__":
    main()
