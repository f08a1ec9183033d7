"""How fast each codec and variant encodes: frames per CPU second of one thread, with what came of it.

    python benchmarks/codec_speed.py [--codecs x265,x265:fast] [--step 1] [--sequence bunny] [--repeat 1]

Encodes a demo sequence at one step of each codec's ladder, by default the second, with an intra frame every 32 frames,
decodes it, and prints frames per CPU second (user and system, of all passes and of scaling), bits per pixel and PSNR-Y
(the mean over frames). Without `--codecs`: every codec that runs on the pinned FFmpeg, alone and with each variant of
its own. Of several repeats the fastest counts: the others had the machine less to themselves.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from evalsuite import resources
from evalsuite.codec.binary import PINNED
from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.variants import SEPARATOR, declared
from evalsuite.errors import EvalError
from evalsuite.metrics.psnr import mse, psnr
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.types import OperatingPoint, Sequence

INTRA_PERIOD = 32


def shipped() -> list[str]:
    """Codecs of the pinned FFmpeg, each alone and with its variants."""
    names = []
    for name in resources.available("codecs"):
        recipe = load_recipe(name)
        if recipe.binary == PINNED:
            variants = declared(resources.load("codecs", name)[1], recipe.path)
            names += [name, *(f"{name}{SEPARATOR}{variant}" for variant in variants)]
    return names


def measured(recipe: Recipe, sequence: Sequence, step: int, repeat: int) -> tuple[float, float, float]:
    """Frames per CPU second, bits per pixel, and PSNR-Y in dB."""
    point = OperatingPoint(recipe.knob.ladder[step], INTRA_PERIOD, 1)
    depth = sequence.format.bit_depth
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder, f"stream.{recipe.extension}")
        encodes = [encode(recipe, sequence, point, stream) for _ in range(repeat)]
        with decode(recipe, stream, sequence, point) as decoder:
            pairs = zip(open_video(sequence.path), decoder, strict=True)
            quality = np.mean([psnr(mse(source[0], decoded[0]), depth) for source, decoded in pairs])
    seconds = min(encoded.usage.cpu_s for encoded in encodes)
    return sequence.frames / seconds, sequence.bpp(encodes[0].payload_bytes), float(quality)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", help="names, comma-joined; paths of recipes are names too")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--sequence", default="bunny")
    parser.add_argument("--step", type=int, default=1, help="of the ladder, from 0")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    entry = next(one for one in load_dataset(arguments.dataset).sequences if one.name == arguments.sequence)
    sequence = prepare(entry)
    print(f"{sequence.frames} frames of {sequence.name}, {sequence.format}, one thread")
    print(f"{'codec':32} {'q':>6} {'fps':>8} {'bpp':>8} {'PSNR-Y':>8}")
    names = arguments.codecs.split(",") if arguments.codecs else shipped()
    for name in names:
        try:
            recipe = load_recipe(name)
            fps, bpp, quality = measured(recipe, sequence, arguments.step, arguments.repeat)
        except EvalError as error:
            print(f"{name:32} {error.what}", flush=True)
            continue
        q = recipe.knob.ladder[arguments.step]
        print(f"{recipe.name:32} {q:6g} {fps:8.1f} {bpp:8.4f} {quality:8.2f}", flush=True)


if __name__ == "__main__":
    main()
