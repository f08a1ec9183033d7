"""How near the best possible schedule a large run comes, by simulation with the recorded times of real encodes.

    python benchmarks/schedule.py FILE.json [--workers 500]

FILE.json is a file of published rate-distortion points with times, as CompressAI's and DCVC's anchors have them
(`evalsuite import --format dcvc` reads the same). Every cell is an encode of its recorded time. They are handed out as
the engine does it: the longest first, by what the cost model foresees from the other half of the sequences, which
stands for an earlier run. Without splitting, no schedule is shorter than the longest cell, nor than the even share of
all workers; with splitting, than the longest group of pictures, nor than the even share. 10 % above that is wanted.
"""

from __future__ import annotations

import argparse
import heapq
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from evalsuite.engine.costs import CostModel, EncodeCost
from evalsuite.engine.splitting import parts_of
from evalsuite.types import Colour, Sequence, VideoFormat

GOP = 32


@dataclass(frozen=True, slots=True)
class Cell:
    """One recorded encode."""

    sequence: Sequence
    q: float
    seconds: float


def read(path: Path) -> list[Cell]:
    """Every point of the file that has a time."""
    document: dict[str, dict[str, dict[str, dict[str, Any]]]] = json.loads(path.read_text(encoding="utf-8"))
    cells = []
    for sequences in document.values():
        for name, points in sequences.items():
            for q, point in points.items():
                frames = int(point["i_frame_num"]) + int(point["p_frame_num"])
                format = VideoFormat(int(point["frame_pixel_num"]), 1)
                sequence = Sequence(name, "", Path(name), name, format, Fraction(25), frames, Colour("bt709"))
                cells.append(Cell(sequence, float(q), float(point["test_time"])))
    return cells


def foreseen(cells: list[Cell]) -> dict[Cell, float]:
    """What the cost model says of each cell when it has seen the other half of the sequences."""
    names = sorted({cell.sequence.name for cell in cells})
    found = {}
    for half in (0, 1):
        mine = set(names[half::2])
        seen = [cell for cell in cells if cell.sequence.name not in mine]
        model = CostModel(
            EncodeCost("vtm", one.sequence.pixels, one.sequence.frames, one.q, one.seconds, one.seconds, 0)
            for one in seen
        )
        found |= {cell: model.encode_s("vtm", cell.sequence, cell.q) for cell in cells if cell.sequence.name in mine}
    return found


def makespan(tasks: list[tuple[float, float]], workers: int) -> float:
    """Seconds until all are done; tasks are what was foreseen and what it takes, the longest foreseen starts first."""
    free = [0.0] * workers
    for _, seconds in sorted(tasks, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


def split(cell: Cell, guess: float, all_s: float, workers: int) -> list[tuple[float, float]]:
    """The cell's parts, each a whole number of groups of pictures, with times by their frames."""
    gops = -(-cell.sequence.frames // GOP)
    parts = parts_of(guess, gops, all_s, workers)
    frames = [
        min(cell.sequence.frames, (part + 1) * gops // parts * GOP) - part * gops // parts * GOP
        for part in range(parts)
    ]
    return [(guess * one / cell.sequence.frames, cell.seconds * one / cell.sequence.frames) for one in frames]


def say(name: str, taken: float, best: float) -> None:
    """One line of figures."""
    print(f"{name}: {taken / 3600:.2f} h, the best possible {best / 3600:.2f} h: {100 * (taken / best - 1):+.1f} %")


def main() -> None:
    """Simulate the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--workers", type=int, default=500)
    chosen = parser.parse_args()
    cells, workers = read(chosen.file), chosen.workers
    guesses = foreseen(cells)
    total = sum(cell.seconds for cell in cells)
    print(
        f"{len({cell.sequence.name for cell in cells})} sequences, {len(cells)} cells, {total / 86400:.1f} days of one "
        f"core, longest cell {max(cell.seconds for cell in cells) / 3600:.1f} h, {workers} workers"
    )
    best = max(total / workers, max(cell.seconds for cell in cells))
    say("whole cells", makespan([(guesses[cell], cell.seconds) for cell in cells], workers), best)
    by_size = [(float(cell.sequence.pixels), cell.seconds) for cell in cells]
    say("whole cells, nothing known but sizes", makespan(by_size, workers), best)
    all_s = sum(guesses.values())
    parts = [part for cell in cells for part in split(cell, guesses[cell], all_s, workers)]
    gop = max(cell.seconds * min(1.0, GOP / cell.sequence.frames) for cell in cells)
    say(f"split by GoP into {len(parts)} parts", makespan(parts, workers), max(total / workers, gop))


if __name__ == "__main__":
    main()
