"""Which decoded sequences of a run are shown, and which are compared with each other: those at matched bitrates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from evalsuite.engine.search import TOLERANCE
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.load import RunResults

Method = Literal["pairwise", "dcr"]
METHODS: tuple[Method, ...] = get_args(Method)
"""Pair comparison and degradation category rating (double stimulus impairment scale), both of ITU-T P.910."""

NEAR_TARGET = 1.25
"""How far, as a factor, a rate that was asked for may be from the run's nearest."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A decoded sequence that can be shown: one cell of the run."""

    codec: str
    preset: str
    sequence: str
    q: float
    target_bpp: float
    bpp: float
    cell_key: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A cell of the run that is not shown, and why."""

    codec: str
    sequence: str
    q: float | None
    bpp: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What a study shows."""

    method: Method
    shown: tuple[Candidate, ...]
    pairs: tuple[tuple[Candidate, Candidate], ...]
    """Compared with each other; none where each is rated by itself."""
    left_out: tuple[LeftOut, ...]

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sources, in the order of the run."""
        return tuple(dict.fromkeys(one.sequence for one in self.shown))


def make_plan(
    run: RunResults,
    method: Method,
    *,
    codecs: Sequence[str] = (),
    sequences: Sequence[str] = (),
    targets: Sequence[float] = (),
    link_rates: bool = False,
) -> StudyPlan:
    """Choose what to show of a run.

    Args:
        run: its cells are chosen from.
        method: `pairwise` compares all codecs at each rate; `dcr` rates each stimulus against its source, also one
            that has no other codec at its rate.
        codecs: those to show; empty for all.
        sequences: likewise.
        targets: in bits per pixel; of each sequence the nearest rates are taken. Empty for all.
        link_rates: whether each codec is compared with itself at the next rate too, so that all scores of a sequence
            are on one scale.

    Raises:
        RequestError: a name that the run does not have, or nothing that can be compared.
    """
    cells = _cells(run)
    for given, column, what in ((codecs, "codec", "codec"), (sequences, "sequence", "sequence")):
        known = list(dict.fromkeys(cell[column] for cell in cells))
        for name in given:
            if name not in known:
                raise RequestError(f"the run has no {what} {name!r}", where=run.folder, fix=did_you_mean(name, known))
    if any(not 0 < target < math.inf for target in targets):
        raise RequestError("--targets are rates in bits per pixel", expected="such as 0.01,0.02", got=list(targets))
    inside = [cell for cell in cells if not sequences or cell["sequence"] in sequences]
    shown, left_out = _matched(inside, codecs, targets, alone=method == "dcr")
    if method == "dcr":
        pairs: tuple[tuple[Candidate, Candidate], ...] = ()
    else:
        pairs = tuple(_pairs(shown, link_rates))
        paired = {one for pair in pairs for one in pair}
        left_out += [_left_out(one, "nothing at this rate to compare it with") for one in shown if one not in paired]
        shown = [one for one in shown if one in paired]
    if not shown:
        raise RequestError(
            f"nothing in the run can be {'rated' if method == 'dcr' else 'compared at matched bitrates'}",
            where=run.folder,
            got="; ".join(dict.fromkeys(one.reason for one in left_out)) or "no finished cell",
            fix=None
            if method == "dcr"
            else "make a run of several codecs whose rates are matched: evalsuite run --codecs A,B --match A",
        )
    return StudyPlan(method, tuple(shown), pairs, tuple(left_out))


def _cells(run: RunResults) -> list[dict[str, Any]]:
    columns = ["codec", "preset", "sequence", "q", "target_bpp", "bpp", "cell_key", "bitstream_sha256", "rate_source"]
    points = run.points[run.points["statistic"] == "mean"]
    scored = points[points["status"] != "failed"].drop_duplicates(["codec", "preset", "sequence", "cell_key"])
    return [_plain(row) for row in scored[columns].to_dict("records")]


def _plain(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(name): None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _matched(
    cells: list[dict[str, Any]], codecs: Sequence[str], asked: Sequence[float], *, alone: bool
) -> tuple[list[Candidate], list[LeftOut]]:
    """Cells of these codecs (all if none) at the rate they were meant for, and those that are not, with the reason.

    Where each is judged `alone`, one that was meant for no rate is at its own.
    """
    shown: list[Candidate] = []
    left_out: list[LeftOut] = []
    for sequence in dict.fromkeys(cell["sequence"] for cell in cells):
        inside = [cell for cell in cells if cell["sequence"] == sequence]
        targets = sorted({cell["target_bpp"] for cell in inside if cell["target_bpp"] is not None})
        if alone:
            own = [cell["bpp"] for cell in inside if cell["target_bpp"] is None and cell["bpp"] is not None]
            targets = sorted({*targets, *(bpp for bpp in own if _same(bpp, targets) is None)})
        chosen = set(targets) if not asked else {near for one in asked if (near := _nearest(one, targets)) is not None}
        # Rates are those of all codecs: the one that others were matched to has none of its own.
        for cell in (one for one in inside if not codecs or one["codec"] in codecs):
            target, reason = _target(cell, targets)
            if not reason and target not in chosen:
                reason = "another rate than those asked for"
            about = (cell["codec"], sequence, cell["q"])
            if reason:
                left_out.append(LeftOut(*about, cell["bpp"], reason))
            else:
                shown.append(
                    Candidate(cell["codec"], cell["preset"], sequence, cell["q"], target, cell["bpp"], cell["cell_key"])
                )
    return shown, left_out


def _target(cell: dict[str, Any], targets: Sequence[float]) -> tuple[float, str]:
    """The rate a cell is compared at; or why it is at none."""
    if cell["bitstream_sha256"] is None or cell["bpp"] is None:
        return 0.0, "published, not run: there is no bitstream"
    target = cell["target_bpp"]
    if target is None:
        # The codec whose rates the others were matched to has no targets: its own rates are theirs.
        target = _same(cell["bpp"], targets)
    if target is None:
        return 0.0, "no other codec was matched to its rate"
    off = cell["bpp"] / target - 1
    if abs(off) > TOLERANCE:
        return 0.0, f"{100 * off:+.1f} % off its target, {100 * TOLERANCE:g} % are allowed"
    return target, ""


def _same(bpp: float, targets: Iterable[float]) -> float | None:
    return next((one for one in targets if math.isclose(one, bpp, rel_tol=1e-9)), None)


def _nearest(asked: float, targets: Sequence[float]) -> float | None:
    near = min(targets, key=lambda one: abs(math.log(one / asked)), default=None)
    return near if near is not None and abs(math.log(near / asked)) <= math.log(NEAR_TARGET) else None


def _pairs(shown: Iterable[Candidate], link_rates: bool) -> Iterable[tuple[Candidate, Candidate]]:
    by_rate: dict[tuple[str, float], list[Candidate]] = {}
    by_codec: dict[tuple[str, str], list[Candidate]] = {}
    for one in shown:
        by_rate.setdefault((one.sequence, one.target_bpp), []).append(one)
        by_codec.setdefault((one.sequence, one.codec), []).append(one)
    for group in by_rate.values():
        yield from itertools.combinations(group, 2)
    if link_rates:
        for group in by_codec.values():
            yield from itertools.pairwise(sorted(group, key=lambda one: one.target_bpp))


def _left_out(one: Candidate, reason: str) -> LeftOut:
    return LeftOut(one.codec, one.sequence, one.q, one.bpp, reason)
