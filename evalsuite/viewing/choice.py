"""Which frames of a run are worth looking at: at matched rates, the worst first, chosen by scores of frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.results.load import RunResults

NEAR = 0.10
"""How far from the target rate a codec may be to be looked at beside the others."""

WORST = 2
"""Codecs whose worst frame is shown: the test codecs that are worst, and the anchor where there is room."""

Kind = Literal["worst", "differ", "typical"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A decoded sequence of the run."""

    codec: str
    preset: str
    sequence: str
    q: float
    bpp: float
    cell_key: str
    bitstream_sha256: str


@dataclass(frozen=True, slots=True)
class Why:
    """Why a frame is shown."""

    kind: Kind
    """The worst one of a codec; where the codecs differ most; a median one."""
    codec: str = ""
    """Whose worst."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A frame that is shown, of the source and of every codec at one rate."""

    frame: int
    why: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """What is shown of a sequence at one rate."""

    sequence: str
    target_bpp: float
    cells: tuple[Cell, ...]
    metric: str = ""
    """What the frames were chosen by."""
    frames: tuple[Chosen, ...] = ()
    """The worst first."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not shown, and why."""

    sequence: str
    codec: str
    """Empty where it is not about one codec."""
    reason: str


def choose_rates(run: RunResults, sequence: str) -> tuple[list[Rate], list[LeftOut]]:
    """The lowest and the middle one of the rates at which most codecs of a sequence can be compared, without frames.

    Rates are those that codecs were matched to; in a run without, those of the anchor. A codec has its nearest point
    there, unless that is more than `NEAR` away.
    """
    cells, left_out = _cells(run, sequence)
    wanted = _targets(run, cells)
    codecs = dict.fromkeys((cell.codec, cell.preset) for cell, _ in cells)
    rates: list[Rate] = []
    missed: dict[float, list[LeftOut]] = {}
    for target in wanted:
        near = []
        for codec in codecs:
            own = [(cell, goal) for cell, goal in cells if (cell.codec, cell.preset) == codec]
            meant = [cell for cell, goal in own if goal == target]
            # A codec without targets is the one that others were matched to, or the run has none.
            free = [cell for cell, goal in own if goal is None]
            nearest = min(meant or free, key=lambda cell: abs(math.log(cell.bpp / target)), default=None)
            if nearest is not None and abs(nearest.bpp / target - 1) <= NEAR:
                near.append(nearest)
            else:
                missed.setdefault(target, []).append(LeftOut(sequence, codec[0], _miss(nearest, target)))
        if near:
            rates.append(Rate(sequence, target, tuple(near)))
    most = max((len(rate.cells) for rate in rates), default=0)
    full = [rate for rate in rates if len(rate.cells) == most]
    chosen = [full[place] for place in dict.fromkeys((0, len(full) // 2))] if full else []
    return chosen, [*left_out, *(one for rate in chosen for one in missed.get(rate.target_bpp, ()))]


def _cells(run: RunResults, sequence: str) -> tuple[list[tuple[Cell, float | None]], list[LeftOut]]:
    """The cells of a sequence that have a bitstream, each with its target rate; and codecs that have none."""
    points = run.points
    rows = points[(points["sequence"] == sequence) & (points["statistic"] == "mean") & (points["status"] != "failed")]
    # A hull has no q: it is made of other codecs' points.
    rows = rows[rows["q"].notna() & rows["bpp"].notna()].drop_duplicates(["codec", "preset", "cell_key"])
    cells: list[tuple[Cell, float | None]] = []
    published: dict[str, LeftOut] = {}
    for row in rows.to_dict("records"):
        if not isinstance(row["bitstream_sha256"], str):
            reason = "published, not run: there is no bitstream"
            published[row["codec"]] = LeftOut(sequence, row["codec"], reason)
            continue
        cell = Cell(
            *(row["codec"], row["preset"], sequence, float(row["q"]), float(row["bpp"])),
            *(row["cell_key"], row["bitstream_sha256"]),
        )
        cells.append((cell, None if pd.isna(row["target_bpp"]) else float(row["target_bpp"])))
    return cells, list(published.values())


def _targets(run: RunResults, cells: Sequence[tuple[Cell, float | None]]) -> list[float]:
    targets = {target for _, target in cells if target is not None}
    if not targets:
        anchor = run.summary["request"].get("anchor")
        held = [cell.codec for cell, _ in cells]
        first = anchor if anchor in held else next(iter(held), "")
        targets = {cell.bpp for cell, _ in cells if cell.codec == first}
    return sorted(targets)


def _miss(nearest: Cell | None, target: float) -> str:
    if nearest is None:
        return f"it has no point for {target:.4g} bpp"
    return f"its nearest point is {100 * (nearest.bpp / target - 1):+.0f} % off {target:.4g} bpp"


def choose_frames(rate: Rate, run: RunResults, preferred: Sequence[str], *, typical: bool = True) -> Rate:
    """The rate with its frames: the worst of codecs first, then where they differ most, then a typical one.

    By the first of the preferred metrics, else of the run's, that has scores of frames here; the first frame where none
    has.

    Args:
        rate: one without frames.
        run: has the scores.
        preferred: names of metrics.
        typical: whether a typical frame is wanted.
    """
    anchor = run.summary["request"].get("anchor")
    table = pd.concat([run.frames(cell_key=cell.cell_key) for cell in rate.cells], ignore_index=True)
    for metric, higher_is_better in _metrics(run, preferred):
        rows = table[(table["metric"] == metric) & table["score"].notna()]
        if len(rows):
            keys = [cell.cell_key for cell in rate.cells]
            scores = rows.pivot_table(index="frame", columns="cell_key", values="score").reindex(columns=keys)
            goodness = scores.to_numpy() * (1 if higher_is_better else -1)
            chosen = _choose(scores.index.to_numpy(), goodness, [cell.codec for cell in rate.cells], anchor)
            frames = tuple(one for one in chosen if typical or one.why != (Why("typical"),))
            return replace(rate, metric=metric, frames=frames)
    return replace(rate, frames=(Chosen(0, (Why("typical"),)),))


def _metrics(run: RunResults, preferred: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Metrics that have a better and a worse, the preferred ones first."""
    known = {str(one["name"]): one["higher_is_better"] for one in run.summary["metrics"]}
    for name in dict.fromkeys([*preferred, *known]):
        if isinstance(known.get(name), bool):
            yield name, known[name]


def _choose(
    frames: NDArray[np.int64], goodness: NDArray[np.float64], codecs: Sequence[str], anchor: str
) -> Iterator[Chosen]:
    """Frames with the reasons for each.

    Args:
        frames: (n,), their numbers.
        goodness: (n, codecs), higher is better; NaN where a frame has no score, at least one of them has.
        codecs: the names of the columns.
        anchor: the codec whose worst frame comes after those of the others, and that is left out of what is typical.
    """
    held = [place for place in range(len(codecs)) if not np.isnan(goodness[:, place]).all()]
    tests = [place for place in held if codecs[place] != anchor] or held
    found: dict[int, list[Why]] = {}
    worst = sorted(
        (place not in tests, np.nanmin(goodness[:, place]), int(np.nanargmin(goodness[:, place])), place)
        for place in held
    )
    for *_, row, place in worst[:WORST]:
        found.setdefault(row, []).append(Why("worst", codecs[place]))
    with np.errstate(invalid="ignore"):  # of frames that are all identical to the source: inf less inf
        spread = goodness[:, held].max(axis=1) - goodness[:, held].min(axis=1)
    spread = np.nan_to_num(spread, nan=0.0, posinf=np.inf)
    if spread.max() > 0:
        found.setdefault(int(spread.argmax()), []).append(Why("differ"))
    mean = goodness[:, tests].mean(axis=1)
    order = np.argsort(mean, kind="stable")[: np.count_nonzero(~np.isnan(mean))]
    if len(order):
        found.setdefault(int(order[(len(order) - 1) // 2]), []).append(Why("typical"))
    yield from (Chosen(int(frames[row]), tuple(why)) for row, why in found.items())


def fit(rates: Sequence[Rate], costs: Mapping[str, float], limit: float) -> tuple[list[Rate], list[LeftOut]]:
    """As much of it as stays below a size: the worst frames of all sequences come before other frames of any.

    Args:
        rates: each with its frames; the last one of a sequence is the most important.
        costs: of one picture, by sequence.
        limit: of all pictures together, in the unit of `costs`.
    """
    later = [sum(other.sequence == rate.sequence for other in rates[index + 1 :]) for index, rate in enumerate(rates)]
    places = [(place, later[index], index) for index, rate in enumerate(rates) for place in range(len(rate.frames))]
    kept: dict[int, list[Chosen]] = {}
    dropped: Counter[str] = Counter()
    spent = 0.0
    for place, _, index in sorted(places):
        rate = rates[index]
        cost = costs[rate.sequence] * (len(rate.cells) + 1)
        if spent + cost > limit:
            dropped[rate.sequence] += 1
        else:
            spent += cost
            kept.setdefault(index, []).append(rate.frames[place])
    reason = "{} more of its frames would be shown, but the pictures of a run are held to a size"
    return (
        [replace(rates[index], frames=tuple(frames)) for index, frames in sorted(kept.items())],
        [LeftOut(sequence, "", reason.format(count)) for sequence, count in dropped.items()],
    )


def scores_of(run: RunResults, cell: Cell) -> dict[int, dict[str, float]]:
    """Scores of the frames of a cell by every metric that has a better and a worse, by frame and metric."""
    judged = {str(one["name"]) for one in run.summary["metrics"] if one["higher_is_better"] is not None}
    table = run.frames(cell_key=cell.cell_key)
    table = table[table["metric"].isin(judged) & table["score"].notna()]
    found: dict[int, dict[str, float]] = {}
    for row in table.to_dict("records"):
        found.setdefault(int(row["frame"]), {})[str(row["metric"])] = float(row["score"])
    return found
