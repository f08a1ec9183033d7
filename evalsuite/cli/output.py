"""What commands share in printing: results on stdout, messages on stderr, JSON for machines."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from fractions import Fraction

    from rich.console import Console

    from evalsuite.sources.y4m import Geometry
    from evalsuite.types import MetricInfo


def arrow(info: MetricInfo) -> str:
    """Which way a metric points, as a sign; nothing for one that describes."""
    return {True: "↑", False: "↓", None: ""}[info.higher_is_better]


def by_family(infos: Iterable[MetricInfo]) -> Iterator[tuple[str, MetricInfo]]:
    """Metrics with the word for a table's column of families: only where a new family begins."""
    before = None
    for info in infos:
        yield "" if info.family == before else info.family, info
        before = info.family


def print_json(document: Any) -> None:
    """One JSON document on stdout; numbers that JSON has not are null, and bytes of paths that are not UTF-8 are ?."""
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(text.encode("utf-8", "replace").decode())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def console(stderr: bool = False) -> Console:
    """A console that has no colour where the stream is not a terminal, and keeps to 80 columns there."""
    from rich.console import Console

    # Of rich's own accord FORCE_COLOR and TTY_COMPATIBLE would make a terminal of a file.
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        force_terminal=None if terminal else False,
        width=None if terminal else 80,
        highlight=False,
        markup=False,
    )


Cell = str | tuple[str, str]
"""What stands in a table: text, or text and the style that rich shows it in on a terminal."""


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Cell]], numbers: int = 0) -> None:
    """A plain table on stdout; the last `numbers` columns are aligned to the right.

    Cells are text: nothing in a name or a message is taken as markup.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = list(columns)
    if title:
        # As the table's own, it would be wrapped to the table's width.
        console().print(Text(printable(title), "italic"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(names):
        right = index >= len(names) - numbers
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        parts = (cell if isinstance(cell, tuple) else (cell, "") for cell in row)
        table.add_row(*(Text(printable(text), style) for text, style in parts))
    console().print(table)


def echo_folded(text: str, lead: str = "") -> None:
    """Print a line, folded at 80 columns between words, behind `lead`."""
    below = " " * len(lead)
    folded = textwrap.fill(printable(text), 80, initial_indent=lead, subsequent_indent=below, break_on_hyphens=False)
    typer.echo(folded or lead)


def echo(text: str) -> None:
    """Print lines on stdout, whatever names and messages are in them."""
    typer.echo(printable(text))


def printable(text: str) -> str:
    """Text from outside, ready for the terminal: control characters do not reach it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def check_output(path: Path | None, given: Iterable[Path]) -> None:
    """Refuse a file to write that is one to read.

    Args:
        path: what a command was asked to write; None for nothing.
        given: what it reads, whether it is there or not.

    Raises:
        RequestError: it is one of them.
    """
    if path is not None and path.exists() and any(one.exists() and one.samefile(path) for one in given):
        raise RequestError("this file is read, and would be replaced", where=path, fix="give another to write")


def write_text(path: Path, text: str) -> None:
    """Write what a command was asked to leave in a file.

    Raises:
        RequestError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"the file cannot be written: {error.strerror}", where=path, fix="give another") from error


def say(message: str) -> None:
    """A message for the person who watches: stderr, never part of the result."""
    typer.echo(printable(message), err=True)


def say_rest(more: int, where: str) -> None:
    """How many reasons are not said here, and where they are."""
    say(f"{more} more {'reason is' if more == 1 else 'reasons are'} {where}")


def say_command(command: tuple[str, ...], stderr_tail: str) -> None:
    """The command that failed, ready to be pasted, and its last words."""
    if command:
        say(f"  command: {shlex.join(command)}")
    for line in stderr_tail.splitlines():
        say(f"  | {line}")


def parse_geometry(size: str | None, fps: str | None, pixel_format: str) -> Geometry | None:
    """The geometry of raw files from `--size`, `--fps` and `--pixel-format`; None where none is given.

    Raises:
        RequestError: half a geometry, or one that cannot be read.
    """
    if size is None or fps is None:
        given = {"--size": size is not None, "--fps": fps is not None, "--pixel-format": pixel_format != "yuv420p"}
        if not any(given.values()):
            return None
        got = ", ".join(name for name, is_given in given.items() if is_given)
        raise RequestError("half a geometry", expected="--size and --fps", got=got)
    # Imported here because every command reads this file, and that one takes numpy.
    from evalsuite.sources.y4m import Geometry

    return Geometry(*parse_frame_size(size), parse_frame_rate(fps), pixel_format)


def parse_frame_size(text: str) -> tuple[int, int]:
    """Width and height from `--size`.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise RequestError("--size must be WIDTHxHEIGHT", expected="such as 416x240", got=text) from None
    return width, height


def parse_frame_rate(text: str) -> Fraction:
    """Frames per second from `--fps`.

    Raises:
        RequestError: it cannot be read, or no video has it.
    """
    from evalsuite.sources.framerate import FRAME_RATES, read_frame_rate

    frame_rate = read_frame_rate(text)
    if frame_rate is None:
        raise RequestError("--fps is no frame rate", expected=FRAME_RATES, got=text[:80])
    return frame_rate


def parse_bytes(text: str, least: int = 1) -> int:
    """Bytes from a size such as 8GB, 512MB or 1.5GiB.

    >>> parse_bytes("1.5GB"), parse_bytes("0", 0)
    (1500000000, 0)

    Raises:
        RequestError: it is not a size, or below `least`.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]+)", text.strip())
    size = 0 if text.strip() == "0" else -1
    if found and found[2].upper() in units:
        size = round(float(found[1]) * units[found[2].upper()])
    if size >= least:
        return size
    expected = f"a number and KB, MB, GB, TB, KiB, MiB or GiB, such as 8GB{'' if least else '; or 0'}"
    raise RequestError(f"{text!r} is not a size", expected=expected)
