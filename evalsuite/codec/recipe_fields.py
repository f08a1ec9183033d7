"""The parsers of single fields and tables of a recipe file: each raises with what it expects."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from evalsuite.codec.channel import Transport
from evalsuite.codec.command import DECODE_PLACEHOLDERS, ENCODE_PLACEHOLDERS, PLACEHOLDER, Command, placeholders
from evalsuite.codec.knob import IntraPeriods, Knob
from evalsuite.codec.part import Split
from evalsuite.codec.scaling import FILTERS, Scale
from evalsuite.errors import RecipeError
from evalsuite.sources import fields
from evalsuite.sources.fields import Table
from evalsuite.sources.y4m import PIXEL_FORMATS

_FORMATS = {name: name for name, (depth, _) in PIXEL_FORMATS.items() if depth in (8, 10)}

_SHORTEST_LADDER = 5
_MOST_STEPS = 100_000
"""A finer grid than this is a slip of the pen, and a rate search lays the whole grid out in memory."""

_LARGEST_NUMBER = 1e6
_LARGEST_PADDING = 256
_LARGEST_DIVISOR = 8
_CHECK_PSNR_Y = (10.0, 60.0)
_POC_BITS = range(4, 17)

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")


def command(value: object) -> Command:
    """A command: texts with braces around placeholders only."""
    expected = "a list of texts, the program first"
    if not isinstance(value, list) or not value:
        raise ValueError(expected)
    for argument in value:
        if not isinstance(argument, str):
            raise ValueError(expected)
        if "\0" in argument:
            raise ValueError("arguments without the character 0")
        if re.search(r"[{}]", PLACEHOLDER.sub("", argument)):
            raise ValueError("braces only around placeholders, such as {input}")
    return tuple(value)


def trained_on(value: object) -> tuple[str, ...]:
    """Sequences by dataset and name."""
    found = fields.texts(value)
    if not all(re.fullmatch(r"[^/\s]+/[^/\s]+", one) for one in found):
        raise ValueError("texts such as registry/newsreader: dataset and sequence")
    return found


def settings(value: object) -> dict[str, Any]:
    """Named texts, numbers, truth values, and lists of these."""
    found = fields.table(value)
    for name, setting in found.items():
        if not _WORD.fullmatch(name) or name in {*ENCODE_PLACEHOLDERS, *DECODE_PLACEHOLDERS}:
            raise ValueError(f"names of a-z, 0-9 and '_' that are no placeholders, which {name!r} is not")
        items = setting if isinstance(setting, list) else [setting]
        if not all(isinstance(item, (str, int, float)) for item in items):
            raise ValueError("texts, numbers, truth values, and lists of these")
        if any(isinstance(item, str) and "\0" in item for item in items):
            raise ValueError("texts without the character 0")
    return found


def files(value: object) -> dict[str, str]:
    """Relative paths by name."""
    found = fields.table(value)
    for name, path in found.items():
        if not _WORD.fullmatch(name):
            raise ValueError(f"names of a-z, 0-9 and '_', which {name!r} is not")
        text = fields.text(path)
        if "\0" in text or PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
            raise ValueError(f"a relative path without '..' for {name}")
    return found


def formats(value: object) -> tuple[str, ...]:
    """Pixel formats, one or more."""
    found = tuple(fields.choice(_FORMATS)(name) for name in fields.texts(value))
    if not found:
        raise ValueError("one pixel format or more")
    return found


def expression(value: object) -> str:
    """A regular expression."""
    text = fields.text(value)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


def group(value: object) -> str:
    """A regular expression with one group: what it is to find."""
    text = expression(value)
    if re.compile(text).groups != 1:
        raise ValueError("a regular expression with one group, what it is to find")
    return text


def number(value: object) -> float:
    """A number of a sane size."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"a number, at most {_LARGEST_NUMBER:g}")
    return float(value)


def one_of(*known: int) -> Callable[[object], int]:
    """Parser of one of the known whole numbers."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value not in known:
            raise ValueError(" or ".join(map(str, known)))
        return value

    return parse


def size(value: object) -> int:
    """What frames may be padded to."""
    if (found := fields.count(1)(value)) > _LARGEST_PADDING:
        raise ValueError(f"a whole number, 1 to {_LARGEST_PADDING}")
    return found


def check_psnr_y(value: object) -> float:
    """A PSNR that a codec can be expected to reach."""
    least, most = _CHECK_PSNR_Y
    if not least <= (found := number(value)) <= most:
        raise ValueError(f"dB, {least:g} to {most:g}")
    return found


def scale(table: Table) -> Scale:
    """The table [scale]."""
    found = Scale(
        divisor=table.take("divisor", _divisor),
        filter=table.get("filter", fields.choice({name: name for name in FILTERS}), "lanczos"),
    )
    table.finish()
    return found


def split(table: Table) -> Split | None:
    """The table [split]; None where it says that a codec is not split."""
    at_gops = table.take("at", fields.choice({"gop": True, "none": False}))
    found = Split(
        context=table.get("context", fields.count(0), 0),
        next_intra=table.get("next_intra", fields.flag, False),
        poc_bits=table.get("poc_bits", one_of(*_POC_BITS), 0),
        arguments=table.get("arguments", command, ()),
    )
    table.finish()
    used = placeholders(found.arguments)
    if used - {"skip"} or (found.context and not used):
        raise RecipeError(
            "the field `arguments` is not valid",
            where=table.where,
            expected="{skip} alone as placeholder, and with it where there is `context`",
            got=" ".join(found.arguments) or None,
        )
    return found if at_gops else None


def _classes(value: object) -> tuple[str, ...]:
    found = tuple(fields.texts(value))
    # As `--loss` has them; what is a header is sure to arrive.
    if not all(re.fullmatch("[a-z0-9]+", name) and name != "header" for name in found):
        raise ValueError("names of a-z and 0-9, without `header`")
    return found


def transport(table: Table) -> Transport:
    """The table [transport], which may be empty."""
    found = Transport(decode=table.get("decode", command, ()), classes=table.get("classes", _classes, ()))
    table.finish()
    return found


def knob(table: Table) -> Knob:
    """The table [q]."""
    found = Knob(
        smallest=table.take("min", number),
        largest=table.take("max", number),
        step=table.get("step", _positive, 1.0),
        ladder=table.take("ladder", _numbers),
        ladder_bpp=table.get("ladder_bpp", _numbers, ()),
    )
    table.finish()
    if found.smallest > found.largest:
        raise RecipeError(
            "the fields `min` and `max` are not a range",
            where=table.where,
            got=f"{found.smallest:g} to {found.largest:g}",
        )
    steps = (found.largest - found.smallest) / found.step
    if steps > _MOST_STEPS:
        raise RecipeError("the field `step` is too small for the range", where=table.where, got=found.step)
    ladder = found.ladder
    if len(ladder) < min(_SHORTEST_LADDER, math.floor(steps + 1e-6) + 1) or list(ladder) != sorted(set(ladder)):
        raise RecipeError(
            "the field `ladder` is not valid",
            where=table.where,
            expected=f"{_SHORTEST_LADDER} values of q or more, or all that there are, ascending",
            got=list(ladder),
        )
    for q in ladder:
        if not found.has(q):
            raise RecipeError(
                "the field `ladder` has a q that the encoder cannot be given",
                where=table.where,
                expected=f"{found.smallest:g} to {found.largest:g} in steps of {found.step:g}",
                got=q,
            )
    rates = found.ladder_bpp
    if rates and (len(rates) != len(ladder) or min(rates) <= 0 or list(rates) != sorted(set(rates), reverse=True)):
        raise RecipeError(
            "the field `ladder_bpp` is not valid",
            where=table.where,
            expected=f"{len(ladder)} rates above 0, one for each q of the ladder, descending as the rate does",
            got=list(rates),
        )
    return found


def intra_periods(table: Table) -> IntraPeriods:
    """The table [intra_period]."""
    found = IntraPeriods(
        infinite=table.take("infinite", fields.text),
        min=table.get("min", fields.count(1), 1),
        multiple=table.get("multiple", fields.count(1), 1),
        offset=table.get("offset", fields.count(0), 0),
        fixed=table.get("fixed", fields.count(-1), None),
    )
    table.finish()
    return found


def _divisor(value: object) -> int:
    if (found := fields.count(2)(value)) > _LARGEST_DIVISOR:
        raise ValueError(f"a whole number, 2 to {_LARGEST_DIVISOR}")
    return found


def _positive(value: object) -> float:
    if (found := number(value)) <= 0:
        raise ValueError("a number above 0")
    return found


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of numbers")
    return tuple(number(item) for item in value)
