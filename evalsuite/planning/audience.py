"""Who watches what, and how well it should look: the TOML that a forecast is made of (docs/forecasts.md)."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalsuite.errors import RecipeError, RequestError
from evalsuite.planning.reach import Target, parse_target
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

T = TypeVar("T")

HOURS = 24
VERSION = "1"
ANY = "*"
"""The tag that every sequence has."""

_MOST_STREAMS = 10**9
_LONGEST_WINDOW_S = 3600.0
_SUM_TOLERANCE = 1e-6
_FIXED = {"poisson": False, "fixed": True}


@dataclass(frozen=True, slots=True)
class Row:
    """Streams of one kind of content to one class of devices."""

    tag: str
    """Of sequences, or `*`."""
    device: str
    """A free name; empty where none is given."""
    shares: tuple[float, ...]
    """(24,) of all streams, by hour."""
    targets: tuple[Target, ...]
    """All of which must be reached."""

    @property
    def title(self) -> str:
        """Tag and device."""
        content = "all content" if self.tag == ANY else self.tag
        return f"{content} on {self.device}" if self.device else content


@dataclass(frozen=True, slots=True)
class Audience:
    """What a forecast is made for."""

    codecs: tuple[str, ...]
    """Each an alternative: all streams by that codec. The first is what the others are compared with."""
    streams: tuple[float, ...]
    """(24,) that play at once, on average where `fixed` is false, by hour."""
    mix: tuple[Row, ...]
    window_s: float
    """Seconds that a bandwidth is averaged over."""
    fixed: bool
    """Whether exactly so many streams play; else viewers come and go, and the number is Poisson's."""
    storage_hours: float | None
    """Hours of video that are kept, by the same mix; None where storage was not asked for."""


def load_audience(path: Path) -> Audience:
    """Read an audience.

    Raises:
        RequestError: there is no such file.
        RecipeError: the first thing that is wrong in it.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise RequestError(
            f"the audience cannot be read: {error.strerror or error}",
            where=path,
            fix="give the path of a TOML file (docs/forecasts.md has one)",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError("the file is not valid TOML", where=path, got=str(error)[:200]) from error
    return parse_audience(data, str(path))


def parse_audience(data: Mapping[str, Any], where: str) -> Audience:
    """An audience from its TOML.

    Args:
        data: as tomllib reads it.
        where: the file, for messages.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    table = Table(dict(data), where)
    table.take("version", fields.choice({VERSION: VERSION}))
    targets = table.get("target", _targets, ())
    fixed = table.get("concurrency", fields.choice(_FIXED), False)
    rows = table.get("mix", fields.tables, [{"share": 1}])
    audience = Audience(
        codecs=table.take("codecs", _codecs),
        streams=table.take("streams", _streams(fixed)),
        mix=tuple(_row(Table(row, f"{where}, mix row {number}"), targets) for number, row in enumerate(rows, 1)),
        window_s=table.get("window_s", _between(1e-3, _LONGEST_WINDOW_S, "seconds"), 1.0),
        fixed=fixed,
        storage_hours=_storage(Table(table.get("storage", fields.table, {}), f"{where}, storage")),
    )
    table.finish()
    _check_mix(audience.mix, where)
    return audience


def _row(table: Table, targets: tuple[Target, ...]) -> Row:
    row = Row(
        tag=table.get("tag", fields.text, ANY),
        device=table.get("device", fields.text, ""),
        shares=table.take("share", _hourly(_between(0, 1, "a share"))),
        targets=table.get("target", _targets, targets),
    )
    table.finish()
    if not row.targets:
        raise RecipeError(
            "there is no target quality", where=table.where, fix='add `target = "vmaf=80"` here or at the top'
        )
    return row


def _storage(table: Table) -> float | None:
    hours = table.take("hours", _between(0, 1e12, "hours")) if table.data else None
    table.finish()
    return hours


def _check_mix(rows: Sequence[Row], where: str) -> None:
    for hour in range(HOURS):
        total = math.fsum(row.shares[hour] for row in rows)
        if abs(total - 1) > _SUM_TOLERANCE:
            varies = any(len(set(row.shares)) > 1 for row in rows)
            raise RecipeError(
                f"the shares of the mix do not sum to 1{f' in hour {hour}' if varies else ''}",
                where=where,
                expected="1",
                got=f"{total:.9g}, of {', '.join(f'{row.shares[hour]:.9g}' for row in rows)}",
            )


def _codecs(value: object) -> tuple[str, ...]:
    names = fields.texts(value)
    if not names or len(set(names)) != len(names):
        raise ValueError("one codec or more, each once")
    return names


def _targets(value: object) -> tuple[Target, ...]:
    """A target, or a list of targets that must all be reached."""
    written = fields.texts(value) if isinstance(value, list) else (fields.text(value),)
    if not written:
        raise ValueError("a target, such as vmaf=80, or a list of them")
    try:
        return tuple(parse_target(one) for one in written)
    except RequestError as error:
        raise ValueError(str(error.expected)) from None


def _streams(fixed: bool) -> Callable[[object], tuple[float, ...]]:
    one = _between(0, _MOST_STREAMS, "streams")
    expected = "a whole number of streams where the concurrency is fixed"

    def parse(value: object) -> tuple[float, ...]:
        streams = _hourly(one)(value)
        if fixed and any(not number.is_integer() for number in streams):
            raise ValueError(expected)
        if not any(streams):
            raise ValueError("some streams in some hour")
        return streams

    return parse


def _hourly(one: Callable[[object], float]) -> Callable[[object], tuple[float, ...]]:
    """Parser of one value for every hour, or of a list of 24."""

    def parse(value: object) -> tuple[float, ...]:
        if not isinstance(value, list):
            return (one(value),) * HOURS
        if len(value) != HOURS:
            raise ValueError(f"one value, or {HOURS}: one for each hour (these are {len(value)})")
        found = []
        for hour, item in enumerate(value):
            try:
                found.append(one(item))
            except ValueError as error:
                raise ValueError(f"in hour {hour}: {error} (it is {item!r})") from None
        return tuple(found)

    return parse


def _between(least: float, most: float, what: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        number = fields.number(value)
        if not least <= number <= most:
            raise ValueError(f"{what}, from {least:g} to {most:g}")
        return number

    return parse
