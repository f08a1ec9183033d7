"""The published JSON Schemas, and whether a document keeps to one: as much of JSON Schema as they use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import evalsuite

SchemaName = Literal["entry", "summary"]

_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_SHOWN = 60


def schema_text(name: SchemaName) -> str:
    """The schema as it is published: `docs/NAME.schema.json`."""
    package = Path(evalsuite.__file__).parent
    installed = package / "recipes" / "schemas"
    # An editable install has no recipes/ inside the package: schemas are where the repository keeps them.
    folder = installed if installed.is_dir() else package.parent / "docs"
    return (folder / f"{name}.schema.json").read_text(encoding="utf-8")


def violations_of(document: Any, name: SchemaName) -> list[str]:
    """Where a document breaks a published schema, each place with what is wrong; empty where it does not."""
    root = _schema(name)
    return list(_violations(document, root, root, "$"))


def known_keys(name: SchemaName) -> set[str]:
    """The keys that a schema describes at the top."""
    return set(_schema(name)["properties"])


@cache
def _schema(name: SchemaName) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(schema_text(name))
    return found


def _violations(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from _violations(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, where)
        return
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{where} is {_shown(value)}, not {' or '.join(kinds)}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where} is {_shown(value)}, not {schema['const']}"
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{where} is {_shown(value)}, not one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str):
        # `$` is the end in JSON Schema; to Python it is also before a last newline.
        if "pattern" in schema and not re.search(re.sub(r"\$\Z", r"\\Z", schema["pattern"]), value):
            yield f"{where} is {_shown(value)}, which does not match {schema['pattern']}"
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{where} has {len(value)} characters, more than {schema['maxLength']}"
    if isinstance(value, int | float):
        if value < schema.get("minimum", value):
            yield f"{where} is {_shown(value)}, less than {schema['minimum']}"
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            yield f"{where} is {_shown(value)}, not more than {schema['exclusiveMinimum']}"
        if value > schema.get("maximum", value):
            yield f"{where} is {_shown(value)}, more than {schema['maximum']}"
    if isinstance(value, dict):
        yield from (f"{where} has no {key}" for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            if inner is False:
                yield f"{where} has {_shown(key)}, which is not known"
            else:
                yield from _violations(item, inner, root, f"{where}.{str(key)[:_SHOWN]}")
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where} has {len(value)} items, less than {schema['minItems']}"
        for index, item in enumerate(value):
            yield from _violations(item, schema.get("items", {}), root, f"{where}[{index}]")


def _is(value: object, kind: str) -> bool:
    # A truth value is a number to Python, but not to JSON.
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _same(value: object, told: object) -> bool:
    return value == told and isinstance(value, bool) == isinstance(told, bool)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
