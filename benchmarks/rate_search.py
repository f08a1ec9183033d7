"""How many encodes the search for matched rates takes, and how close it comes, for every codec on the demo.

    python benchmarks/rate_search.py [--codecs x265,tvc] [--targets 0.01,0.02,0.04,0.08] [--sequences bunny] [--jobs 2]

Each codec on each sequence searches the target rates (bpp) by encoding, as a run does; nothing is decoded. Printed per
codec: encodes per target, and per target that it reaches; targets within 3 %; targets that the codec does not reach
(all that it made lies on one side, an end of its range of q too); the largest distance among those that it reaches. All
counts are of encodes: load does not matter.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import encode
from evalsuite.engine.search import TOLERANCE, RateSearch
from evalsuite.provenance import usable_cores
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.types import OperatingPoint, Sequence

CODECS = "x264,x265,kvazaar,vvenc,vp9,svtav1,libaom,rav1e,tvc"


@dataclass(frozen=True)
class Found:
    """What one search came to."""

    codec: str
    sequence: str
    encodes: int
    aimed: list[int]
    """Encodes aimed at each target."""
    deviations: list[float]
    reached: list[bool]


def search(name: str, sequence: Sequence, targets: list[float]) -> Found:
    """Search the targets for one codec on one sequence."""
    recipe = load_recipe(name)
    knob = recipe.knob
    engine = RateSearch(knob, [target * sequence.pixels / 8 for target in targets])
    with tempfile.TemporaryDirectory() as folder:
        while (q := engine.propose()) is not None:
            output = Path(folder) / f"stream.{recipe.extension}"
            engine.learn(q, encode(recipe, sequence, OperatingPoint(q, 32, 1), output).payload_bytes)
    deviations, reached = [], []
    smallest, largest = min(engine.history.values()), max(engine.history.values())
    for target in engine.targets:
        best = engine.best(target)
        if best is None:
            raise RuntimeError(f"no encode for {name} on {sequence.name}")
        deviations.append(engine.history[best] / target - 1)
        below = knob.largest in engine.history and target < smallest / (1 + TOLERANCE)
        above = knob.smallest in engine.history and target > largest * (1 + TOLERANCE)
        reached.append(not below and not above)
    aimed = [engine.spent(target) for target in engine.targets]
    return Found(name, sequence.name, len(engine.history), aimed, deviations, reached)


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", default=CODECS)
    parser.add_argument("--targets", default="0.01,0.02,0.04,0.08")
    parser.add_argument("--sequences", default="")
    parser.add_argument("--jobs", type=int, default=usable_cores())
    arguments = parser.parse_args()
    codecs = arguments.codecs.split(",")
    targets = [float(target) for target in arguments.targets.split(",")]
    wanted = arguments.sequences.split(",") if arguments.sequences else []
    entries = [entry for entry in load_dataset("demo").sequences if not wanted or entry.name in wanted]
    sequences = [prepare(entry) for entry in entries]
    cells = [(codec, sequence) for codec in codecs for sequence in sequences]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(search, *zip(*cells, strict=True), [targets] * len(cells)))
    print(f"{len(sequences)} sequences, targets {arguments.targets} bpp")
    print("codec     step   encodes a target   a reached one   within 3 %   not reached   farthest of those reached")
    for codec in codecs:
        line(codec, [each for each in found if each.codec == codec])
    line("all", found)


def line(codec: str, found: list[Found]) -> None:
    """Print what the searches of one codec came to."""
    pairs = [pair for each in found for pair in zip(each.deviations, each.reached, strict=True)]
    reached = [abs(deviation) for deviation, there in pairs if there]
    step = "" if codec == "all" else f"{load_recipe(codec).knob.step:g}"
    aimed = [count for each in found for count, there in zip(each.aimed, each.reached, strict=True) if there]
    encodes = sum(each.encodes for each in found) / len(pairs)
    near = sum(deviation <= TOLERANCE for deviation in reached)
    print(
        f"{codec:<9} {step:<6} {encodes:16.2f} {sum(aimed) / len(aimed):15.2f}"
        f" {near:7} of {len(pairs):<4}{len(pairs) - len(reached):9}"
        f" {100 * max(reached, default=0):18.1f} %"
    )


if __name__ == "__main__":
    main()
