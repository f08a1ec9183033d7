"""Pairwise votes: which of two stimuli of the same sequence looked better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from evalsuite.errors import RequestError
from evalsuite.study.csvfile import Table, bad, read_table
from evalsuite.study.ratings import (
    ACR_SCALE,
    Ratings,
    need,
    optional_number,
    read_matrix,
    read_tidy,
    subject_of,
    twice,
    viewing_remarks,
)
from evalsuite.study.stimuli import Stimulus, resolve

Choice = Literal["a", "b", "tie"]
_CHOICES = ("a", "b", "tie")


@dataclass(frozen=True, slots=True)
class Vote:
    """One comparison by one subject."""

    subject: str
    a: Stimulus
    b: Stimulus
    choice: Choice
    first: Literal["a", "b", ""] = ""
    """The one that was shown first; empty where nothing tells."""


@dataclass(frozen=True, slots=True)
class Votes:
    """The comparisons of a study."""

    votes: tuple[Vote, ...]
    remarks: tuple[str, ...] = ()
    """What was odd about how they were viewed."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose they are, in the order of the file."""
        return tuple(dict.fromkeys(vote.subject for vote in self.votes))

    @property
    def first_chosen(self) -> tuple[int, int]:
        """How often the one that was shown first was chosen, and out of how many votes that chose and tell."""
        told = [vote for vote in self.votes if vote.first and vote.choice != "tie"]
        return sum(vote.choice == vote.first for vote in told), len(told)


def read_scores(
    paths: Sequence[Path], key: Mapping[str, Stimulus] | None = None, scale: tuple[float, float] = ACR_SCALE
) -> Ratings | Votes:
    """The votes of a study from one or many files, whichever of the three kinds they are.

    Args:
        paths: one matrix, or any number of tables with headers, all of ratings or all of comparisons.
        key: what blind names stand for, where the votes have such.
        scale: lowest and highest score that a rating may be.

    Raises:
        RequestError: a file is unreadable or wrong, or they are of several kinds.
    """
    tables = [read_table(path) for path in paths]
    if not tables:
        raise RequestError("no votes are named", fix="name the CSV files that the study's page downloaded")
    if not tables[0].has_header:
        if len(tables) > 1:
            raise bad(paths[1], "a matrix stands alone", "one matrix, or tables with headers", f"{len(tables)} files")
        if key is not None:
            raise bad(paths[0], "a matrix has no names that a key could explain", "a table with a header", "a matrix")
        return read_matrix(tables[0], scale)
    compared = ["choice" in table.columns() for table in tables]
    if len(set(compared)) > 1:
        raise bad(paths[compared.index(not compared[0])], "ratings and comparisons do not mix", "one kind", "the other")
    return read_votes(tables, key) if compared[0] else read_tidy(tables, key, scale)


def read_votes(tables: Sequence[Table], key: Mapping[str, Stimulus] | None = None) -> Votes:
    """Comparisons from tables with the columns subject, a, b and choice (a, b or tie).

    Without a key, `a` and `b` are codecs or cell keys, a column `sequence` is needed, and a column `target_bpp` tells
    the rate at which they were compared.

    Raises:
        RequestError: a column is missing, a cell is wrong, or a vote is there twice.
    """
    votes: list[Vote] = []
    seen: set[tuple[str, frozenset[Stimulus], str]] = set()
    for table in tables:
        columns = table.columns()
        need(table, columns, "subject", "a", "b", "choice", *(() if key is not None else ("sequence",)))
        for line, cells in table.rows():
            vote = _vote(table, line, columns, cells, key)
            repetition = cells[columns["repetition"]] if "repetition" in columns else ""
            identity = (vote.subject, frozenset((vote.a, vote.b)), repetition)
            if identity in seen:
                raise twice(table, line, f"{vote.subject} on {vote.a.label} and {vote.b.label}")
            seen.add(identity)
            votes.append(vote)
    if not votes:
        raise bad(tables[0].path, "no votes in it", "a row for each vote", "a header alone")
    return Votes(tuple(votes), viewing_remarks(tables))


def _vote(
    table: Table, line: int, columns: Mapping[str, int], cells: list[str], key: Mapping[str, Stimulus] | None
) -> Vote:
    a, b = (_side(table, line, columns, cells, key, name) for name in ("a", "b"))
    if a == b:
        raise bad(table.path, f"line {line} compares a stimulus with itself", "two stimuli", a.label)
    if a.sequence != b.sequence:
        raise bad(table.path, f"line {line} compares two sequences", "one sequence", f"{a.sequence}, {b.sequence}")
    choice = cells[columns["choice"]].casefold()
    if choice not in _CHOICES:
        raise bad(table.path, f"line {line} has no choice", " or ".join(_CHOICES), choice[:80] or "nothing")
    first = cells[columns["first"]].casefold() if "first" in columns else ""
    if first not in ("a", "b", ""):
        raise bad(table.path, f"line {line} does not say what was shown first", "a, b or nothing", first[:80])
    return Vote(
        subject_of(table, line, columns, cells), a, b, cast("Choice", choice), cast('Literal["a", "b", ""]', first)
    )


def _side(
    table: Table,
    line: int,
    columns: Mapping[str, int],
    cells: list[str],
    key: Mapping[str, Stimulus] | None,
    side: str,
) -> Stimulus:
    name = cells[columns[side]]
    if not name:
        raise bad(table.path, f"line {line} does not say what was shown", f"a name in the column {side}", "nothing")
    if key is not None:
        return resolve(name, key, f"{table.path}, line {line}")
    sequence = cells[columns["sequence"]]
    target = optional_number(table, line, columns, cells, "target_bpp")
    return Stimulus(name, sequence, codec=name, target_bpp=target)
