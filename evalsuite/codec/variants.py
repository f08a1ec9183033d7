"""Variants of a recipe: named differences such as `fast`, `10bit` or `half`, chosen behind the codec's name.

`x265:fast:10bit` is the recipe x265 with the differences of both. A variant is a table of fields that take the place of
the recipe's, merged key by key; prose is added to instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalsuite.errors import RecipeError, RequestError, did_you_mean

SEPARATOR = ":"

COMMON: dict[str, dict[str, Any]] = {
    "half": {"description": "at half width and height", "scale": {"divisor": 2}},
    "quarter": {"description": "at a quarter of width and height", "scale": {"divisor": 4}},
}
"""Variants that every recipe has; what it says of them itself is merged over these."""

_PROSE = {"description": ", ", "notes": "\n"}
"""Fields that a variant adds to, and what stands between."""

_PATH = re.compile(r".*\.toml(?=:|$)", re.DOTALL)
"""The path of a recipe, before any variants."""

_NOT_IN_A_VARIANT = ("name", "base", "variants")


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """The recipe and the variants that a codec's name asks for; the path of a recipe may hold the separator too.

    >>> split_name("x265:fast:10bit"), split_name("a:b/my.toml:fast")
    (('x265', ('fast', '10bit')), ('a:b/my.toml', ('fast',)))
    """
    path = _PATH.match(name)
    head = "" if path is None else path[0]
    recipe, *variants = name[len(head) :].split(SEPARATOR)
    return head + recipe, tuple(variants)


def split_list(text: str) -> tuple[str, ...]:
    """The codecs of a list separated by commas; the path of a recipe that is there may hold a comma.

    >>> split_list("tvc, x265:fast")
    ('tvc', 'x265:fast')
    """
    recipe, _ = split_name(text)
    is_path = recipe.endswith(".toml") and os.path.exists(recipe)  # noqa: PTH110 - may not be a path at all
    return tuple(part.strip() for part in ([text] if is_path else text.split(",")) if part.strip())


def declared(data: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Every variant of a recipe by name: its own in the order of the file, then those that every recipe has.

    Raises:
        RecipeError: `variants` is not a table of tables with a description each, or one of them has a field that makes
            no sense there.
    """
    own = data.get("variants", {})
    if not isinstance(own, dict) or not all(isinstance(variant, dict) for variant in own.values()):
        raise RecipeError("the field `variants` is not valid", where=path, expected="tables [variants.NAME]")
    found = {name: merge(COMMON.get(name, {}), variant) for name, variant in own.items()}
    for name, variant in found.items():
        if not name or SEPARATOR in name or "," in name or name != name.strip().lower():
            raise RecipeError(
                "the name of a variant is not valid",
                where=path,
                expected="small letters, without ':' and ','",
                got=repr(name)[:200],
            )
        for field in _NOT_IN_A_VARIANT:
            if field in variant:
                raise RecipeError(f"the variant {name} has the field `{field}`", where=path, fix="take it out")
        if not isinstance(variant.get("description"), str):
            raise RecipeError(f"the variant {name} has no description", where=path, fix='add `description = "..."`')
    return {**found, **{name: variant for name, variant in COMMON.items() if name not in found}}


def with_variants(data: dict[str, Any], path: Path, names: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of a recipe with those of the variants, and the variants in the order of the file.

    Raises:
        RequestError: a variant that the recipe does not have or that changes nothing of it, or one that is named twice.
        RecipeError: two variants set the same field: what their order would mean is nowhere said.
    """
    known = declared(data, path)
    for name in names:
        if name not in known:
            raise RequestError(
                f"the codec {data.get('name', path.stem)} has no variant {name!r}",
                expected=", ".join(known),
                fix=did_you_mean(name, known),
            )
    if len(set(names)) < len(names):
        raise RequestError("a variant is named twice", got=SEPARATOR.join(names), fix="name each once")
    chosen = tuple(name for name in known if name in names)
    merged = {field: value for field, value in data.items() if field != "variants"}
    setter: dict[tuple[str, ...], str] = {}
    for name in chosen:
        for leaf in _leaves(known[name]):
            if setter.setdefault(leaf, name) != name:
                raise RequestError(
                    f"the variants {setter[leaf]} and {name} exclude each other: both set {'.'.join(leaf)}",
                    where=path,
                    fix="choose one of them",
                )
        below, merged = merged, merge(merged, known[name])
        if not any(merged[field] != below.get(field) for field in merged if field not in _PROSE):
            raise RequestError(
                f"the variant {name} changes nothing of the codec {data.get('name', path.stem)}",
                where=path,
                fix="leave it out: one codec has one name",
            )
    return merged, chosen


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Fields of `below` with those of `above` in their place; tables are merged key by key, prose is joined."""
    merged = dict(below)
    for field, value in above.items():
        under = merged.get(field)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[field] = overlaid(field, under, value)
        elif field in _PROSE and isinstance(under, str) and isinstance(value, str):
            merged[field] = f"{under.rstrip()}{_PROSE[field]}{value.lstrip()}"
        else:
            merged[field] = value
    return merged


def overlaid(field: str, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The table of that name in `below` with the keys of the one in `above` in their place.

    >>> overlaid("q", {"min": 1, "ladder": [1, 2], "ladder_bpp": [0.2, 0.1]}, {"ladder": [3, 4]})
    {'min': 1, 'ladder': [3, 4]}
    """
    merged = {**below, **above}
    if field == "q" and "ladder" in above and "ladder_bpp" not in above:
        merged.pop("ladder_bpp", None)  # of the ladder that is not taken
    return merged


def _leaves(variant: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for field, value in variant.items():
        if isinstance(value, dict):
            yield from ((field, key) for key in value)
        elif field not in _PROSE:
            yield (field,)
