"""Fields of a TOML file: read one by one, each error naming the field, what it should be, and what it was.

A parser here takes any value and returns it typed, or raises ValueError with what it expects.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeVar

from evalsuite.errors import RecipeError, did_you_mean
from evalsuite.sources.framerate import FASTEST, SLOWEST, read_frame_rate

T = TypeVar("T")
D = TypeVar("D")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of datasets and sequences: safe in paths, tables and keys."""
NAME_IN_WORDS = "letters, digits, '.', '_' and '-', 64 at most"


class Table:
    """A TOML table whose fields are read one by one, so that what is left at the end is known to be unknown."""

    def __init__(self, data: dict[str, Any], where: str, taken: Iterable[str] = ()) -> None:
        self.data = data
        self.where = where
        self._taken = set(taken)

    def take(self, field: str, parse: Callable[[object], T]) -> T:
        """The value of a field that must be there. `parse` raises ValueError with what it expects."""
        self._taken.add(field)
        if field not in self.data:
            # What is misspelt is missing before it is unknown. `encode` and `decode` are not that near.
            near = difflib.get_close_matches(field, self.data.keys() - self._taken, n=1, cutoff=0.85)
            fix = f"rename `{near[0]}`, if that is meant" if near else f"add `{field} = ...`"
            raise RecipeError(f"the field `{field}` is missing", where=self.where, fix=fix)
        try:
            return parse(self.data[field])
        except ValueError as error:
            raise RecipeError(
                f"the field `{field}` is not valid",
                where=self.where,
                expected=str(error),
                got=repr(self.data[field])[:200],
            ) from None

    def get(self, field: str, parse: Callable[[object], T], default: D) -> T | D:
        """The value of a field that may be left out."""
        self._taken.add(field)
        return self.take(field, parse) if field in self.data else default

    def finish(self) -> None:
        """Refuse fields that nothing has asked for: a misspelt optional field must not pass as absent."""
        for field in self.data.keys() - self._taken:
            raise RecipeError(f"the field `{field}` is unknown", where=self.where, fix=did_you_mean(field, self._taken))


def text(value: object) -> str:
    """A string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of strings that are not blank."""
    if not isinstance(value, list):
        raise ValueError("a list of texts")
    return tuple(text(item) for item in value)


def table(value: object) -> dict[str, Any]:
    """A table."""
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def tables(value: object) -> list[dict[str, Any]]:
    """A list of tables, at least one."""
    if not isinstance(value, list) or not value:
        raise ValueError("one table or more, [[...]]")
    return [table(item) for item in value]


def count(least: int) -> Callable[[object], int]:
    """Parser of a whole number of at least `least`."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"a whole number, {least} or more")
        return value

    return parse


def number(value: object) -> float:
    """A finite number."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def frame_rate(value: object) -> Fraction:
    """Frames per second, exactly: a float is not, 29.97 is not 30000/1001."""
    written = str(value) if isinstance(value, str | int) else ""
    rate = read_frame_rate(written) if re.fullmatch(r"\d+(/\d+)?", written) else None
    if rate is None:
        raise ValueError(
            f'frames per second as a whole number or a fraction such as "30000/1001"; {SLOWEST} to {FASTEST}'
        )
    return rate


def choice(known: Mapping[str, T]) -> Callable[[object], T]:
    """Parser of one of the known words, to what it stands for."""

    def parse(value: object) -> T:
        if not isinstance(value, str) or value not in known:
            raise ValueError(" or ".join(known))
        return known[value]

    return parse


def pattern(expression: str, expected: str) -> Callable[[object], str]:
    """Parser of a string that the regular expression matches as a whole; `expected` says it in words."""
    compiled = re.compile(expression)

    def parse(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(expected)
        return value

    return parse


def quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, and DEL is the one sign that only TOML escapes."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
