"""What tvc's operating points cost on the demo sequences: rates over q, bits per token, and the file against the model.

    python benchmarks/tvc_rate.py [--every 4] [--weights FILE]

Encodes each sequence at every so many of the 64 operating points. Prints for each sequence the highest and lowest
rate, whether every q takes fewer bytes than the one before, and with all tokens sent (q 32) bits per token and how far
the payload, and the whole file, are from the entropy that the context models give the symbols.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

import tvc
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from tvc.operating import DISCRETE_ONLY, POINTS
from tvc.weights import load


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    model = load(arguments.weights)
    points = sorted({*range(0, len(POINTS), arguments.every), DISCRETE_ONLY, len(POINTS) - 1})
    per_token = []
    print(f"{len(points)} operating points")
    print("sequence    bpp at q 0 .. 63     span  falls   bits/token  payload, file / entropy")
    for entry in load_dataset(arguments.dataset).sequences:
        sequence = prepare(entry)
        frames = [tuple(plane.astype(np.uint8) for plane in frame) for frame in open_video(sequence.path)]
        streams = {q: tvc.encode(frames, sequence.frame_rate, q=q, intra_period=32, model=model) for q in points}
        rates = [sequence.bpp(len(stream)) for stream in streams.values()]
        facts = tvc.stats(streams[DISCRETE_ONLY], model=model)
        per_token.append(facts["bits_per_token"])
        payload, whole = (8 * size / facts["ideal_bits"] - 1 for size in (facts["discrete_bytes"], facts["bytes"]))
        falls = all(before > after for before, after in itertools.pairwise(rates))
        print(
            f"{sequence.name:10}  {rates[0]:.5f} .. {rates[-1]:.5f}  {rates[0] / rates[-1]:5.1f}  "
            f"{'yes' if falls else 'NO':5}  {per_token[-1]:10.2f}  {100 * payload:+.2f} %, {100 * whole:+.2f} %",
            flush=True,
        )
    print(f"mean bits per token: {np.mean(per_token):.2f}")


if __name__ == "__main__":
    main()
