"""Opinion scores: every vote of every subject on every stimulus, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import RequestError
from evalsuite.study.csvfile import Table, bad, number
from evalsuite.study.stimuli import Stimulus, resolve

ACR_SCALE = (1.0, 5.0)
"""The five grades of ITU-T P.910: absolute category rating, and degradation category rating."""

LATE_S = 0.25
"""How much later than its length a sequence may end before it counts as played too slowly, in seconds."""

MAX_CELLS = 10_000_000
"""Largest array of votes: stimuli x subjects x repetitions."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """The opinion scores of a study."""

    stimuli: tuple[Stimulus, ...]
    subjects: tuple[str, ...]
    scores: NDArray[np.float64]
    """(stimuli, subjects, repetitions); NaN where there is no vote."""
    remarks: tuple[str, ...] = ()
    """What was odd about how they were viewed."""

    def __post_init__(self) -> None:
        """Check what every analysis relies on.

        Raises:
            RequestError: a stimulus or a subject without a single vote.
        """
        voted = ~np.isnan(self.scores)
        for axes, names, what in (
            ((1, 2), [stimulus.label for stimulus in self.stimuli], "stimulus"),
            ((0, 2), list(self.subjects), "subject"),
        ):
            some = np.atleast_1d(voted.any(axis=axes))
            empty = [name for name, there in zip(names, some, strict=True) if not there]
            if empty:
                raise RequestError(
                    f"a {what} has no vote at all",
                    where=", ".join(empty[:5]),
                    expected=f"at least one vote for each {what}",
                    fix="leave it out of the file",
                )


def read_matrix(table: Table, scale: tuple[float, float] = ACR_SCALE) -> Ratings:
    """Ratings from sureal's matrix: a row for each stimulus, a column for each subject, no header.

    A row of two empty cells begins a matrix of the same size with repeated votes, as in sureal's own files.

    Raises:
        RequestError: rows of several lengths, cells that are no numbers, or scores off the scale.
    """
    matrices: list[list[list[float]]] = [[]]
    width = len(table.lines[0][1])
    first, last = table.lines[0][0], table.lines[-1][0]
    if width == 1 and last - first >= len(table.lines):
        missing = min(set(range(first, last)) - {line for line, _ in table.lines})
        raise bad(table.path, f"line {missing} of a single column is empty", "a score", "nothing")
    for line, cells in table.lines:
        if cells == ["", ""] and width != 2:
            matrices.append([])
            continue
        if len(cells) != width:
            raise bad(table.path, f"line {line} does not fit the first", f"{width} cells", f"{len(cells)} cells")
        matrices[-1].append([_score(table, line, cell, scale) for cell in cells])
    rows = len(matrices[0])
    if any(len(matrix) != rows for matrix in matrices):
        raise bad(
            table.path,
            "matrices of several sizes",
            f"{rows} rows in each",
            ", ".join(str(len(one)) for one in matrices),
        )
    scores = np.array(matrices, dtype=np.float64).transpose(1, 2, 0)
    return Ratings(
        tuple(Stimulus(f"row {row + 1}") for row in range(rows)),
        tuple(f"column {column + 1}" for column in range(width)),
        scores,
    )


def read_tidy(
    tables: Sequence[Table], key: Mapping[str, Stimulus] | None = None, scale: tuple[float, float] = ACR_SCALE
) -> Ratings:
    """Ratings from tables with a row for each vote: subject, score, and what tells the stimulus.

    That is a column `stimulus`, or `cell_key`, or `codec`, `sequence` and `q` or `target_bpp`. Where a subject votes
    on a stimulus more than once, a column `repetition` tells the votes apart.

    Args:
        tables: with headers; the votes of all are taken together.
        key: what the names in the column `stimulus` stand for; None where they need none.
        scale: lowest and highest score there may be.

    Raises:
        RequestError: a column is missing, a cell is wrong, a vote is there twice, or a name is unknown to the key.
    """
    votes: dict[tuple[str, str], dict[str, float]] = {}
    stimuli: dict[str, Stimulus] = {}
    subjects: dict[str, None] = {}
    for table in tables:
        columns = table.columns()
        need(table, columns, "subject", "score")
        for line, cells in table.rows():
            shown = _shown(table, line, columns, cells, key)
            if stimuli.setdefault(shown.name, shown) != shown:
                raise bad(
                    table.path,
                    f"line {line} describes a stimulus in another way than before",
                    stimuli[shown.name],
                    shown,
                )
            subject = subject_of(table, line, columns, cells)
            subjects.setdefault(subject)
            repetition = cells[columns["repetition"]] if "repetition" in columns else ""
            given = votes.setdefault((shown.name, subject), {})
            if repetition in given:
                raise twice(table, line, f"{subject} on {shown.label}")
            given[repetition] = _score(table, line, cells[columns["score"]], scale)
    repetitions = max((len(given) for given in votes.values()), default=0)
    if not votes:
        raise bad(tables[0].path, "no votes in it", "a row for each vote", "a header alone")
    if len(stimuli) * len(subjects) * repetitions > MAX_CELLS:
        raise bad(
            tables[0].path,
            "too many stimuli and subjects",
            f"at most {MAX_CELLS} in the product",
            f"{len(stimuli)} stimuli, {len(subjects)} subjects",
        )
    scores = np.full((len(stimuli), len(subjects), repetitions), math.nan)
    rows = {name: row for row, name in enumerate(stimuli)}
    places = {name: column for column, name in enumerate(subjects)}
    for (name, subject), given in votes.items():
        scores[rows[name], places[subject], : len(given)] = list(given.values())
    return Ratings(tuple(stimuli.values()), tuple(subjects), scores, viewing_remarks(tables))


def need(table: Table, columns: Mapping[str, int], *names: str) -> None:
    """Refuse a table that lacks one of the columns.

    Raises:
        RequestError: it does.
    """
    for name in names:
        if name not in columns:
            raise bad(table.path, f"no column called {name}", ", ".join(names), ", ".join(columns)[:200])


def subject_of(table: Table, line: int, columns: Mapping[str, int], cells: list[str]) -> str:
    """The name in the column `subject`.

    Raises:
        RequestError: there is none.
    """
    name = cells[columns["subject"]]
    if not name:
        raise bad(table.path, f"line {line} does not say whose vote it is", "a name in the column subject", "nothing")
    return name


def twice(table: Table, line: int, what: str) -> RequestError:
    """A vote that is there twice."""
    return RequestError(
        f"a vote is there twice: {what[:160]}",
        where=f"{table.path}, line {line}",
        fix="leave one out; votes that were repeated on purpose are told apart by a column `repetition`",
    )


def viewing_remarks(tables: Sequence[Table]) -> tuple[str, ...]:
    """What the columns that our page writes say against some of the votes."""
    scaled = slow = dropped = outside = total = 0
    for table in tables:
        columns = table.columns()
        for line, cells in table.rows():
            total += 1
            if "shown_scale" in columns and number(table, line, cells[columns["shown_scale"]]) < 1:
                scaled += 1
            if "dropped_frames" in columns and number(table, line, cells[columns["dropped_frames"]]) > 0:
                dropped += 1
            if "late_s" in columns and number(table, line, cells[columns["late_s"]]) > LATE_S:
                slow += 1
            if "fullscreen" in columns and cells[columns["fullscreen"]] == "0":
                outside += 1
    told = (
        (scaled, "given on sequences that the screen was too small for"),
        (slow, "given on sequences that were played too slowly"),
        (dropped, "given after frames had been dropped"),
        (outside, "given outside full screen"),
    )
    return tuple(f"{count} of {total} votes were {what}" for count, what in told if count)


def optional_number(table: Table, line: int, columns: Mapping[str, int], cells: list[str], name: str) -> float | None:
    """A number from a column that may be absent or empty.

    Raises:
        RequestError: it has something else.
    """
    value = number(table, line, cells[columns[name]]) if name in columns else math.nan
    return None if math.isnan(value) else value


def _shown(
    table: Table, line: int, columns: Mapping[str, int], cells: list[str], key: Mapping[str, Stimulus] | None
) -> Stimulus:
    told = {
        name: cells[columns[name]] if name in columns else "" for name in ("stimulus", "sequence", "codec", "cell_key")
    }
    if key is not None:
        need(table, columns, "stimulus")
        return resolve(told["stimulus"], key, f"{table.path}, line {line}")
    q, target = (optional_number(table, line, columns, cells, name) for name in ("q", "target_bpp"))
    name = told["stimulus"] or told["cell_key"]
    if not name:
        if not (told["codec"] and told["sequence"]) or (q is None and target is None):
            raise bad(
                table.path,
                f"line {line} does not say what was shown",
                "a column stimulus or cell_key, or codec, sequence and q or target_bpp",
                ", ".join(columns)[:200],
            )
        name = f"{told['codec']} {told['sequence']} {f'q {q:g}' if q is not None else f'{target:g} bpp'}"
    return Stimulus(name, told["sequence"], told["codec"], q, target, told["cell_key"])


def _score(table: Table, line: int, cell: str, scale: tuple[float, float]) -> float:
    score = number(table, line, cell)
    if not math.isnan(score) and not scale[0] <= score <= scale[1]:
        raise RequestError(
            "a score is off the scale",
            where=f"{table.path}, line {line}",
            expected=f"{scale[0]:g} to {scale[1]:g}",
            got=f"{score:g}",
            fix="give the study's scale with --scale LOWEST,HIGHEST",
        )
    return score
