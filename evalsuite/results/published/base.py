"""What every format of published data is read into, and what a user adds that the file does not say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from evalsuite.errors import RequestError
from evalsuite.results.load import is_unicode
from evalsuite.results.rdcsv import read_start

MAX_BYTES = 64 << 20
"""A table of published points is well below a megabyte for each codec; more is a wrong file."""

_SIZE = re.compile(r"(?:^|[_.-])(\d{2,5})x(\d{2,5})(?=[_.-]|$)")
# After the size a bare 420 is the chroma format, and in `30.264` the last part is an extension.
_RATE_AFTER_SIZE = re.compile(
    r"(?:^|[_.-])\d{2,5}x\d{2,5}_(?!4(?:00|20|22|44)(?:[_.-]|$))"
    r"(\d{2,3}(?:\.(?!26[456]$)\d{1,6})?)(?:fps|hz)?(?=[_.-]|$)",
    re.IGNORECASE,
)
_NTSC = {
    Fraction(said): Fraction(1000 * whole, 1001)
    for said, whole in (("23.976", 24), ("23.98", 24), ("29.97", 30), ("59.94", 60), ("119.88", 120))
}
"""What is written to two or three digits to the rate that is meant; every other decimal is taken as written."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says of published data; None is unknown. A file that says otherwise is an error."""

    codec: str | None = None
    preset: str = ""
    version: str = ""
    dataset: str | None = None
    sequence: str | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    frames: int | None = None
    intra_period: int | None = None
    structure: str | None = None
    rate_control: str | None = None
    internal_bit_depth: int | None = None
    lookahead: int | None = None
    delay: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A published metric that is not defined as one of the suite's: it has a name, and a curve, of its own."""

    name: str
    definition: str
    unit: str = ""
    higher_is_better: bool | None = True
    """None where it is not known: it is shown, and makes no BD-rate."""
    log_domain_ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence as published; None is unknown."""

    name: str
    dataset: str = ""
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    frames: int | None = None
    averaged: bool = False
    """Points are means over the sequences of a dataset."""


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """One rate point as published; at least one of its rates is known."""

    source: Source
    label: str
    """What the file calls the point, such as its QP; tells points of one sequence apart."""
    scores: Mapping[str, float]
    """By name of metric or figure."""
    q: float | None = None
    bpp: float | None = None
    kbps: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """The points of one codec, as one file has them."""

    codec: str | None
    points: tuple[PublishedPoint, ...]
    figures: tuple[Figure, ...] = ()
    """What its scores are, where they are not metrics of the suite."""
    remarks: str = ""
    """What the file says of itself."""


def read_bytes(path: Path) -> bytes:
    """The file, if it can be one of published points.

    Raises:
        RequestError: it cannot be read, or is too large.
    """
    data = read_start(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise refused(path, "too large", f"at most {MAX_BYTES >> 20} MiB", "more")
    return data


def read_json(path: Path) -> Any:
    """The file as JSON; NaN and Infinity, which Python's own writer makes, are read as numbers.

    Raises:
        RequestError: it cannot be read, is not JSON, or holds a text that cannot be written.
    """
    try:
        document = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise refused(path, "not JSON in UTF-8", "a JSON document", str(error)[:200]) from error
    if not is_unicode(document):
        raise refused(path, "a text that is no Unicode", "whole characters", "half of a surrogate pair")
    return document


def refused(path: Path, what: str, expected: object, got: object, fix: str | None = None) -> RequestError:
    """The error for a file that is not of its format."""
    return RequestError(
        f"not published data of this format: {what}", where=path, expected=expected, got=str(got)[:200], fix=fix
    )


def number(path: Path, value: object, what: str) -> float:
    """A number of a JSON document; null and NaN are NaN.

    Raises:
        RequestError: anything else.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refused(path, f"{what} is not a number", "a number", repr(value))
    try:
        return float(value)
    except OverflowError as error:
        raise refused(path, f"{what} is too large", "a number", "an integer beyond floating point") from error


def finite(value: float) -> float | None:
    """The value, None for NaN and infinity."""
    return value if math.isfinite(value) else None


def from_name(name: str) -> tuple[int | None, int | None, Fraction | None]:
    """Width, height and frame rate where a file name says them as test sequences do.

    >>> from_name("BQMall_832x480_60.yuv")
    (832, 480, Fraction(60, 1))
    >>> from_name("Foo_1920x1080_29.97fps_420_8bit.yuv")
    (1920, 1080, Fraction(30000, 1001))
    """
    size, rate = _SIZE.search(name), _RATE_AFTER_SIZE.search(name)
    width, height = (int(size[1]), int(size[2])) if size else (None, None)
    frame_rate = Fraction(rate[1]) if rate else None
    return width, height, _NTSC.get(frame_rate, frame_rate) if frame_rate else None
