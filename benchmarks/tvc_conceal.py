"""How tvc should conceal: ways to fill a gap, against the source, slot by slot.

    python benchmarks/tvc_conceal.py SOURCE.y4m... [--q 18 32] [--frames 48] [--gaps 3 6]

Everything from slot 3, and from slot 6, on is lost. Each way fills the gap; luma PSNR in dB and LPIPS of the frames of
its first six slots are averaged. The table of docs/tvc.md, "Loss and concealment".

    clean           nothing is lost
    still           the last frame stays
    repeat          the tokens and latents of the last slot are decoded again
    repeat, masked  the same, and the masked-token transformer refines them all
    predict         the context model's likeliest tokens, all refined by the transformer
    half            of the first slot one half of the checkerboard arrived: the transformer predicts the other half from
                    it and the slot before; then still
    half, guessed   the same, but the transformer starts from the context model's likeliest tokens
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evalsuite.metrics import lpips
from evalsuite.metrics.base import Setting, View
from evalsuite.types import Colour, VideoFormat
from tvc.bitstream import Header, Reader
from tvc.decoder import DecodedSlot, decode_tokens, to_frames
from tvc.encoder import encode_stream
from tvc.model import TVC
from tvc.operating import POINTS
from tvc.slots import Memory, SlotCoder
from tvc.tables import Ints
from tvc.video import Format, Frame, read_y4m
from tvc.weights import load

WAYS = ("clean", "still", "repeat", "repeat, masked", "predict", "half", "half, guessed")
SLOTS = 6


class Known:
    """A coder that knows the codes of the first half, and gives the likeliest for the rest."""

    def __init__(self, codes: Tensor | None, half: Tensor) -> None:
        self._known = iter([] if codes is None else codes[0].permute(1, 2, 0)[half].T.numpy())

    def code(self, counts: Ints, symbols: Ints | None = None) -> Ints:
        """As `tvc.entropy.Coder`."""
        del symbols
        likeliest: Ints = counts.argmax(axis=1)
        return next(self._known, likeliest)


def filled(way: str, slots: list[DecodedSlot], gap: int, header: Header, model: TVC) -> Iterator[list[Frame]]:
    """The frames of each slot from `gap` on."""
    rows, columns = slots[0].codes.shape[2:]
    coder = SlotCoder(model, rows, columns)
    all_masked = torch.ones(1, 1, rows, columns, dtype=torch.bool)
    state, frames, last = None, list[Frame](), slots[0]
    for number, slot in enumerate(slots):
        codes, mask, latents = last.codes, None, last.latents
        if number < gap or way == "clean":
            last = slot
            codes, mask, latents = slot.codes, slot.mask, slot.latents
        elif way == "repeat, masked":
            mask = all_masked
        elif way == "predict" or (way.startswith("half") and number == gap):
            known = None if way == "predict" else slot.codes
            mask = all_masked if known is None else ~coder.halves[0][None, None]
            guessed, _ = coder.discrete(Known(known, coder.halves[0]), POINTS[32], None)
            codes = torch.where(mask, last.codes, guessed) if way == "half" else guessed
            latents = None if way == "predict" else latents
        elif way != "repeat":
            yield frames[-1:] * 4
            continue
        coder.memory = coder.memory if way == "predict" and number >= gap else Memory(codes, coder.memory.codes1, None)
        planes, state = model.decode_slot(codes, mask, latents, state)
        frames = to_frames(planes, header, DecodedSlot(False, codes, mask, latents, None, last.detail))
        if number >= gap:
            yield frames


def opened(path: Path, count: int) -> tuple[Format, list[Frame], Setting]:
    """Format and first frames of a Y4M file, and what metrics are to know of them."""
    with path.open("rb") as stream:
        format, frames = read_y4m(stream)
        source = [frame for frame, _ in zip(frames, range(count), strict=False)]
    return format, source, Setting(VideoFormat(format.width, format.height), Colour("bt601"), Fraction(format.rate))


def score(source: Frame, decoded: Frame, setting: Setting) -> tuple[float, float]:
    """Luma PSNR in dB, and LPIPS."""
    error = np.square(source[0].astype(float) - decoded[0]).mean()
    distance = lpips.distance(View(source, setting), View(decoded, setting))
    return float(10 * np.log10(255**2 / max(error, 1e-9))), distance


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--q", type=int, nargs="+", default=[18, 32])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--gaps", type=int, nargs="+", default=[3, 6])
    arguments = parser.parse_args()
    model = load()
    print(f"| source | q | way | {' | '.join(f'slot {number}' for number in range(1, SLOTS + 1))} |")
    print(f"|---|---:|---|{'---:|' * SLOTS}")
    for path in arguments.sources:
        format, source, setting = opened(path, arguments.frames)
        for q in arguments.q:
            output = io.BytesIO()
            encode_stream(source, format, output, model, q=q)
            reader = Reader(output.getvalue())
            slots = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
            for way in WAYS:
                found: list[list[tuple[float, float]]] = [[] for _ in range(SLOTS)]
                for gap in arguments.gaps:
                    for lag, made in enumerate(filled(way, slots, gap, reader.header, model)):
                        if lag < SLOTS:
                            shown = source[4 * (gap + lag) :][:4]
                            found[lag] += [score(a, b, setting) for a, b in zip(shown, made, strict=False)]
                cells = ["{:.2f} / {:.3f}".format(*np.mean(one, axis=0)) if one else "–" for one in found]
                print(f"| {path.stem.split('-')[0]} | {q} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
