"""Recipes that build on another one: what they do not say themselves is the other's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalsuite import resources
from evalsuite.codec.variants import overlaid, split_name, with_variants
from evalsuite.errors import RecipeError, RequestError


def with_base(data: dict[str, Any], path: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The fields of a recipe with those of its `base` where it is silent, and the folders that its files may be in.

    Tables are merged key by key. The folders are that of the recipe, then that of its base.

    Args:
        data: the parsed file.
        path: of the file; a base that is a path is relative to its folder.

    Raises:
        RecipeError: the base is not there, cannot be parsed, is the recipe itself, or has a base of its own.
    """
    if "base" not in data:
        return data, (path.parent,)
    base = data["base"]
    if not isinstance(base, str) or not base.strip() or "\0" in base:
        raise _wrong(path, base, "is not valid", "the name of a codec, or the path of a recipe that ends in .toml")
    try:
        name, variants = split_name(base)
        found, inherited = resources.load("codecs", str(path.parent / name) if name.endswith(".toml") else name)
        if variants:
            inherited, _ = with_variants(inherited, found, variants)
    except (RequestError, OSError) as error:
        hint = error.fix if isinstance(error, RequestError) else None
        why = f"cannot be found: {error.what}" if isinstance(error, RequestError) else "cannot be found"
        raise _wrong(path, base, why, "the name or path of a recipe, with variants that it has", hint) from error
    if found.resolve() == path.resolve():
        raise _wrong(path, base, "is the recipe itself", "another recipe")
    if "base" in inherited:
        raise _wrong(path, base, "has a base of its own", "a recipe that stands alone", f"build on {inherited['base']}")
    merged = {field: value for field, value in inherited.items() if field != "name"}
    for field, value in data.items():
        below = merged.get(field)
        merged[field] = overlaid(field, below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    del merged["base"]
    return merged, tuple(dict.fromkeys((path.parent, found.parent)))


def _wrong(path: Path, base: object, problem: str, expected: str, fix: str | None = None) -> RecipeError:
    return RecipeError(
        f"the recipe named in the field `base` {problem}", where=path, expected=expected, got=repr(base)[:200], fix=fix
    )
