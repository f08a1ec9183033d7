"""Makes the golden bitstreams of tests/golden_tvc: `python tests/tvc_golden.py` from the repository's root.

They are made once for each version of the bitstream or of the shipped weights, and never to make a failing test pass.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tvc_samples import TINY, moving, tiny_weights

import tvc
from tvc.bitstream import Reader
from tvc.decoder import decode_frames, decode_tokens
from tvc.model import TVC

FOLDER = Path(__file__).parent / "golden_tvc"
TINY_WEIGHTS = FOLDER / "tiny.safetensors"
SMALLEST = replace(
    TINY,
    widths=(8, 8, 12),
    latent_widths=(4, 4, 4),
    control_widths=(4, 4, 4),
    refine_width=4,
    predictor_width=8,
    context_width=8,
)
CASES = {"latents": (40, 24, 10, 6, 8), "tokens": (33, 17, 9, 32, -1), "masked": (48, 48, 8, 61, -1)}
"""Width, height, frames, q, intra period."""


def decoded(data: bytes, model: TVC) -> dict[str, np.ndarray]:
    """All that a golden bitstream must go on to decode to."""
    slots = [slot for packet in decode_tokens(Reader(data), model) for slot in packet.slots]
    frames = list(decode_frames(Reader(data), model))
    result = {name: np.stack([frame[i] for frame in frames]) for i, name in enumerate(("y", "cb", "cr"))}
    result["codes"] = np.concatenate([slot.codes.numpy() for slot in slots]).astype(np.int16)
    result["masks"] = np.array([0 if slot.mask is None else int(slot.mask.sum()) for slot in slots])
    if slots[0].symbols is not None:
        result["symbols"] = np.stack([slot.symbols for slot in slots if slot.symbols is not None]).astype(np.int16)
    return result


def main(which: str) -> None:
    """Write the goldens of the tiny weights, which are made too, or of the shipped ones."""
    FOLDER.mkdir(exist_ok=True)
    model = tiny_weights(TINY_WEIGHTS, SMALLEST) if which == "tiny" else tvc.weights.load()
    for name, (width, height, frames, q, period) in CASES.items():
        data = tvc.encode(moving(width, height, frames, seed=q), 25, q=q, intra_period=period, model=model)
        (FOLDER / f"{which}_{name}.tvc").write_bytes(data)
        np.savez_compressed(FOLDER / f"{which}_{name}.npz", **decoded(data, model))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tiny")
