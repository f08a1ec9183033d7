"""Which codecs give the same stream when a sequence is encoded GoP by GoP, byte for byte.

    python benchmarks/gops.py [--codecs x265,rav1e] [--sequences carphone,bikes,face] [--periods 16,32] [--steps 0,2,4]

For every codec, with each of its own variants if none are named, its stream of demo sequences is held against those of
their GoPs, joined by the rule of the recipe; a codec whose recipe says nothing about it is split as if each intra frame
began a sequence. Printed for each: encodes that were the same of those tried, and where the first other one parts: the
frame, in the order of transmission, and the GoP that it belongs to.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from evalsuite import resources
from evalsuite.codec.bitstream import access_unit_bytes
from evalsuite.codec.gops import encode_segment, join, plan_segments
from evalsuite.codec.part import Split
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.variants import SEPARATOR, declared
from evalsuite.errors import EvalError
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.types import OperatingPoint, Sequence


def runnable() -> list[str]:
    """Codecs whose streams can be joined and whose programs are here, each alone and with its variants."""
    names = []
    for name in resources.available("codecs"):
        recipe = load_recipe(name)
        if recipe.container not in ("annexb", "obu"):
            continue
        try:
            recipe.check_available()
        except EvalError:
            continue
        variants = declared(resources.load("codecs", name)[1], recipe.path)
        names += [name, *(f"{name}{SEPARATOR}{variant}" for variant in variants)]
    return names


def parted(recipe: Recipe, sequence: Sequence, point: OperatingPoint) -> str:
    """Where the joined stream leaves that of the whole; empty where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"stream.{recipe.extension}"
        whole = encode(recipe, sequence, point, Path(folder, "whole", name)).path
        segments = plan_segments(recipe, sequence, point)
        parts = [encode_segment(recipe, sequence, one, point, Path(folder, f"{one.start}", name)) for one in segments]
        one, other = whole.read_bytes(), join(recipe, parts, Path(folder, name)).path.read_bytes()
        if one == other:
            return ""
        same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
        sizes = access_unit_bytes(whole, recipe.container, recipe.standard) or ()
        frame = sum(end <= same for end in accumulate(sizes))
        gop = sum(end <= same for end in accumulate(part.file_bytes for part in parts))
        change = 100 * (len(other) / len(one) - 1)
        return f"frame {frame} of {len(sizes)}, GoP {gop} of {len(parts)}, {change:+.2f} % bytes"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", help="names, comma-joined; paths of recipes are names too")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--sequences", default="carphone,bikes,face")
    parser.add_argument("--periods", default="16,32")
    parser.add_argument("--steps", default="0,2,4", help="of the ladder, from 0")
    arguments = parser.parse_args()
    wanted = arguments.sequences.split(",")
    sequences = [prepare(entry) for entry in load_dataset(arguments.dataset).sequences if entry.name in wanted]
    periods, steps = ([int(text) for text in given.split(",")] for given in (arguments.periods, arguments.steps))
    print(f"{'codec':24} {'says':>5} {'same':>8}  first that is not")
    for name in arguments.codecs.split(",") if arguments.codecs else runnable():
        recipe = load_recipe(name)
        tried = same = 0
        first = ""
        for sequence, period, step in itertools.product(sequences, periods, steps):
            point = OperatingPoint(recipe.knob.ladder[step], period, 1)
            try:
                recipe.check_point(point)
            except EvalError:
                continue  # an intra period that it does not have
            try:
                found = parted(replace(recipe, split=recipe.split or Split()), sequence, point)
            except EvalError as error:
                found = error.what
            tried += 1
            same += not found
            first = first or (found and f"{sequence.name}, period {period}, q {point.q:g}: {found}")
        print(f"{name:24} {'gop' if recipe.split else 'none':>5} {same:>3} of {tried:<3} {first}", flush=True)


if __name__ == "__main__":
    main()
