"""What callers give, checked: an argument of a wrong type is an EvalError that names it, not a traceback from below."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from evalsuite.errors import RequestError

Names = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One or several names: a text in which commas separate them, as on the command line, or one item for each."""


def text(name: str, value: Any, expected: str | None = None) -> str:
    """Text.

    Raises:
        RequestError: anything else.
    """
    if not isinstance(value, str):
        raise RequestError(f"{name} must be text", expected=expected, got=repr(value)[:80])
    return value


def path(name: str, value: Any) -> str:
    """A name or path as text.

    Raises:
        RequestError: neither text nor a path of text.
    """
    found = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(found, str) or "\0" in found:
        raise RequestError(f"{name} must be text or a path", got=repr(value)[:80])
    return found


def names(name: str, value: Any) -> tuple[str, ...]:
    """Each of one or several names.

    Raises:
        RequestError: neither text, nor a path, nor several of them.
    """
    if isinstance(value, str) and not os.path.exists(path(name, value)):  # noqa: PTH110 - may not be a path at all
        return tuple(part.strip() for part in value.split(",") if part.strip())  # a path may hold a comma
    if isinstance(value, (str, os.PathLike)):
        return (path(name, value),)
    try:
        listed = tuple(value)
    except TypeError:
        raise RequestError(f"{name} must be a name or a list of names", got=repr(value)[:80]) from None
    return tuple(path(f"each of {name}", one) for one in listed)


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        RequestError: anything else; any text is true, "no" too.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise RequestError(f"{name} must be True or False", got=repr(value)[:80])
    return bool(value)


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        RequestError: anything else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise RequestError(f"{name} must be a whole number", got=repr(value)[:80])
    if number < least:
        raise RequestError(f"{name} must be at least {least}", got=number)
    return number


def number(name: str, value: Any) -> float:
    """A real number.

    Raises:
        RequestError: anything else.
    """
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise RequestError(f"{name} must be a number", got=repr(value)[:80])
    return float(value)


def seconds(name: str, value: Any) -> float:
    """0.1 to 1e7 seconds.

    Raises:
        RequestError: anything else.
    """
    known = isinstance(value, (int, float, np.integer)) and not isinstance(value, bool)
    if not known or not 0.1 <= value <= 1e7:
        raise RequestError(f"{name} is out of range", expected="0.1 to 1e7 seconds", got=repr(value)[:80])
    return float(value)
