"""The recipe file: parsed and checked field by field, each error naming the file, the field, expected and got."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from evalsuite.codec.bitstream import Container, Standard
from evalsuite.codec.inherit import with_base
from evalsuite.codec.recipe import (
    DECODE_PLACEHOLDERS,
    ENCODE_PLACEHOLDERS,
    INFO_PLACEHOLDERS,
    PLACEHOLDER,
    PROGRAMS,
    VERSION_PLACEHOLDERS,
    Command,
    IntraPeriods,
    Knob,
    Recipe,
    placeholders,
)
from evalsuite.codec.scaling import FILTERS, Scale
from evalsuite.errors import RecipeError, did_you_mean
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

_STANDARDS: dict[str, Standard] = {
    "h264": "h264",
    "hevc": "hevc",
    "vvc": "vvc",
    "av1": "av1",
    "vp9": "vp9",
    "": "",
}
_CONTAINERS: dict[str, Container] = {"annexb": "annexb", "obu": "obu", "ivf": "ivf", "none": "none"}
_DECODED: dict[str, Literal["y4m", "raw"]] = {"y4m": "y4m", "raw": "raw"}
_FORMATS = {name: name for name in ("yuv420p", "yuv420p10le")}
_RATE_CONTROLS = {name: name for name in ("crf", "qp", "other")}

_SHORTEST_LADDER = 5
_MOST_STEPS = 100_000
"""A finer grid than this is a slip of the pen, and a rate search lays the whole grid out in memory."""

_LARGEST_NUMBER = 1e6
_LARGEST_PADDING = 256
_LARGEST_DIVISOR = 8
_CHECK_PSNR_Y = (10.0, 60.0)
_USUAL_CHECK_PSNR_Y = 30.0

_name = fields.pattern(r"[a-z0-9][a-z0-9._-]{0,39}", "at most 40 of a-z, 0-9, '.', '_' and '-'")
_extension = fields.pattern(r"[a-z0-9]{1,8}", "1 to 8 of a-z and 0-9, without the dot")
_program = fields.pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", "the name of a program, without a folder")


def parse_recipe(data: dict[str, Any], path: Path) -> Recipe:
    """The recipe that a parsed TOML file describes.

    Raises:
        RecipeError: a field is missing, unknown, or not what it should be; so is the recipe that it builds on.
    """
    top = Table(with_base(data, path), str(path), taken=("base",))
    container = top.take("container", fields.choice(_CONTAINERS))
    none: Standard = ""
    standard = top.get("standard", fields.choice(_STANDARDS), none)
    recipe = Recipe(
        name=top.take("name", _name),
        path=path,
        description=top.take("description", fields.text),
        standard=standard,
        container=container,
        extension=top.take("extension", _extension),
        formats=top.take("formats", _formats),
        size_multiple=top.get("size_multiple", _size, 1),
        size_min=top.get("size_min", _size, 1),
        binary=top.take("binary", _program),
        decoder_binary=top.get("decoder_binary", _program, ""),
        licence=top.get("licence", fields.text, ""),
        preset=top.take("preset", fields.text),
        structure=top.take("structure", fields.text),
        rate_control=top.take("rate_control", fields.choice(_RATE_CONTROLS)),
        internal_bit_depth=top.take("internal_bit_depth", fields.count(8)),
        lookahead=top.get("lookahead", fields.count(0), None),
        notes=top.get("notes", fields.text, "").strip(),
        first_pass=top.get("first_pass", _command, ()),
        encode=top.take("encode", _command),
        decode=top.take("decode", _command),
        decoded=top.get("decoded", fields.choice(_DECODED), "raw"),
        decode_errors=top.get("decode_errors", _expression, ""),
        version_command=top.take("version", _command),
        version_pattern=top.take("version_pattern", _version_expression),
        info=top.get("info", _command, ()),
        check_psnr_y=top.get("check_psnr_y", _check_psnr_y, _USUAL_CHECK_PSNR_Y),
        scale=top.get("scale", lambda found: _scale(Table(fields.table(found), f"{path}, [scale]")), None),
        knob=_knob(Table(top.take("q", fields.table), f"{path}, [q]")),
        intra_periods=_intra_periods(Table(top.take("intra_period", fields.table), f"{path}, [intra_period]")),
    )
    top.finish()
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    """What no field can tell alone."""
    where = recipe.path
    if recipe.name != where.stem:
        raise RecipeError(
            "the recipe's name is not that of its file",
            where=where,
            expected=f'name = "{where.stem}"',
            got=recipe.name,
            fix="rename one of them",
        )
    if recipe.container in ("annexb", "obu") and not recipe.standard:
        raise RecipeError(
            "the field `standard` is missing", where=where, expected=" or ".join(filter(None, _STANDARDS))
        )
    stats = {"stats"} if recipe.first_pass else set()
    used_for_first_pass = set(ENCODE_PLACEHOLDERS) - {"output"}
    known_for_encode = [name for name in ENCODE_PLACEHOLDERS if name != "stats" or recipe.first_pass]
    if recipe.first_pass:
        _check_command("first_pass", recipe.first_pass, used_for_first_pass, {"input", "stats"}, where)
    _check_command("encode", recipe.encode, known_for_encode, {"input", "output", "q"} | stats, where)
    _check_command("decode", recipe.decode, DECODE_PLACEHOLDERS, {"input"}, where)
    if recipe.info:
        _check_command("info", recipe.info, INFO_PLACEHOLDERS, {"input"}, where)
    _check_command("version", recipe.version_command, VERSION_PLACEHOLDERS, set(), where)


def _check_command(field: str, command: Command, known: Iterable[str], needed: set[str], where: Path) -> None:
    known = sorted(known)
    shown = ", ".join(f"{{{name}}}" for name in known)
    used = placeholders(command)
    for name in sorted(used - set(known)):
        raise RecipeError(
            f"the field `{field}` has an unknown placeholder {{{name}}}",
            where=where,
            expected=shown,
            got=f"{{{name}}}",
            fix=did_you_mean(name, known),
        )
    for name in sorted(needed - used):
        raise RecipeError(f"the field `{field}` lacks the placeholder {{{name}}}", where=where, expected=shown)
    programs = [f"{{{name}}}" for name in PROGRAMS if name in known]
    if command[0] not in programs:
        raise RecipeError(
            f"the field `{field}` does not begin with a program",
            where=where,
            expected=" or ".join(programs),
            got=command[0],
            fix="name the program in `binary` and begin the command with {binary}",
        )


def _command(value: object) -> Command:
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


def _formats(value: object) -> tuple[str, ...]:
    found = tuple(fields.choice(_FORMATS)(name) for name in fields.texts(value))
    if not found:
        raise ValueError("one pixel format or more")
    return found


def _expression(value: object) -> str:
    text = fields.text(value)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


def _version_expression(value: object) -> str:
    text = _expression(value)
    if re.compile(text).groups != 1:
        raise ValueError("a regular expression with one group, the version")
    return text


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"a number, at most {_LARGEST_NUMBER:g}")
    return float(value)


def _size(value: object) -> int:
    if (number := fields.count(1)(value)) > _LARGEST_PADDING:
        raise ValueError(f"a whole number, 1 to {_LARGEST_PADDING}")
    return number


def _check_psnr_y(value: object) -> float:
    least, most = _CHECK_PSNR_Y
    if not least <= (number := _number(value)) <= most:
        raise ValueError(f"dB, {least:g} to {most:g}")
    return number


def _divisor(value: object) -> int:
    if (number := fields.count(2)(value)) > _LARGEST_DIVISOR:
        raise ValueError(f"a whole number, 2 to {_LARGEST_DIVISOR}")
    return number


def _scale(table: Table) -> Scale:
    scale = Scale(
        divisor=table.take("divisor", _divisor),
        filter=table.get("filter", fields.choice({name: name for name in FILTERS}), "lanczos"),
    )
    table.finish()
    return scale


def _positive(value: object) -> float:
    if (number := _number(value)) <= 0:
        raise ValueError("a number above 0")
    return number


def _negative(value: object) -> float:
    if (number := _number(value)) >= 0:
        raise ValueError("a number below 0: the rate falls as q rises")
    return number


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of numbers")
    return tuple(_number(item) for item in value)


def _knob(table: Table) -> Knob:
    knob = Knob(
        smallest=table.take("min", _number),
        largest=table.take("max", _number),
        step=table.take("step", _positive),
        ladder=table.take("ladder", _numbers),
        log2_rate_per_q=table.take("log2_rate_per_q", _negative),
    )
    table.finish()
    if not knob.smallest < knob.largest:
        raise RecipeError(
            "the fields `min` and `max` are not a range",
            where=table.where,
            got=f"{knob.smallest:g} to {knob.largest:g}",
        )
    if (knob.largest - knob.smallest) / knob.step > _MOST_STEPS:
        raise RecipeError("the field `step` is too small for the range", where=table.where, got=knob.step)
    ladder = knob.ladder
    if len(ladder) < _SHORTEST_LADDER or list(ladder) != sorted(set(ladder)):
        raise RecipeError(
            "the field `ladder` is not valid",
            where=table.where,
            expected=f"{_SHORTEST_LADDER} values of q or more, ascending",
            got=list(ladder),
        )
    for q in ladder:
        if not knob.smallest <= q <= knob.largest or abs(knob.snap(q) - q) > 1e-6:
            raise RecipeError(
                "the field `ladder` has a q that the encoder cannot be given",
                where=table.where,
                expected=f"{knob.smallest:g} to {knob.largest:g} in steps of {knob.step:g}",
                got=q,
            )
    return knob


def _intra_periods(table: Table) -> IntraPeriods:
    periods = IntraPeriods(
        infinite=table.take("infinite", fields.text),
        min=table.get("min", fields.count(1), 1),
        multiple=table.get("multiple", fields.count(1), 1),
        offset=table.get("offset", fields.count(0), 0),
    )
    table.finish()
    return periods
