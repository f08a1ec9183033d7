"""CSV files of votes: dialects, limits, and cells as numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from evalsuite.errors import RequestError
from evalsuite.results.rdcsv import read_start

MAX_BYTES = 16 << 20
"""More is no table of votes: our own page writes about 300 bytes for each."""

MISSING = frozenset(("", "-", "na", "n/a", "nan", "none", "null"))
"""What stands for no vote, in lower case."""


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a file that hold anything: cells without the blanks around them."""

    path: Path
    lines: list[tuple[int, list[str]]]
    """Number in the file, and cells."""

    @property
    def has_header(self) -> bool:
        """Whether the first line has names of columns; else it has scores."""
        return not all(is_vote(cell) for cell in self.lines[0][1])

    def columns(self) -> dict[str, int]:
        """Places of the columns by name, in lower case with underscores.

        Raises:
            RequestError: two columns have the same name.
        """
        places: dict[str, int] = {}
        for place, cell in enumerate(self.lines[0][1]):
            name = re.sub(r"[\s-]+", "_", cell.casefold())
            if name in places:
                raise bad(self.path, f"two columns are called {name[:80]!r}", "one of each", "two")
            if name:
                places[name] = place
        return places

    def rows(self) -> list[tuple[int, list[str]]]:
        """The lines below the header that hold anything, each as long as it.

        Raises:
            RequestError: one is shorter or longer.
        """
        width = len(self.lines[0][1])
        found = [(number, cells) for number, cells in self.lines[1:] if any(cells)]
        for number, cells in found:
            if len(cells) != width:
                raise bad(self.path, f"line {number} does not fit the header", f"{width} cells", f"{len(cells)} cells")
        return found


def read_table(path: Path) -> Table:
    """A CSV file in UTF-8, separated by commas, semicolons or tabs.

    Raises:
        RequestError: it cannot be read, is too large, empty, or no such file.
    """
    data = read_start(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise bad(path, "too large for votes", f"at most {MAX_BYTES >> 20} MiB", "more")
    lines: list[tuple[int, list[str]]] = []
    try:
        text = data.decode("utf-8-sig")
        first = text.lstrip("\r\n").split("\n", 1)[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
        numbered = ((reader.line_num, [cell.strip() for cell in cells]) for cells in reader)
        # A line of separators alone means something in sureal's matrices.
        lines.extend((number, cells) for number, cells in numbered if len(cells) > 1 or any(cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad(path, "not a CSV file in UTF-8", "text with commas, semicolons or tabs", str(error)[:200]) from error
    if not lines or not any(cell for _, cells in lines for cell in cells):
        raise bad(path, "no votes in it", "a table of votes", "an empty file")
    return Table(path, lines)


def is_vote(cell: str) -> bool:
    """Whether a cell is a number or says that there is none."""
    if cell.casefold() in MISSING:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def number(table: Table, line: int, cell: str) -> float:
    """A cell as a finite number; NaN where it says that there is none.

    Raises:
        RequestError: it is neither.
    """
    if cell.casefold() in MISSING:
        return math.nan
    # float() takes 1_000 and inf, which no vote is.
    if not is_vote(cell) or not math.isfinite(float(cell)):
        raise bad(table.path, f"line {line} has a cell that is not a number", "a number, or an empty cell", cell[:80])
    return float(cell)


def bad(path: Path, what: str, expected: object, got: object) -> RequestError:
    """Why a file is no table of votes."""
    return RequestError(f"not a table of votes: {what}", where=path, expected=expected, got=got)
