"""As much of JSON Schema as `docs/summary.schema.json` uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def published_schema() -> dict[str, Any]:
    """What the docs say of summary.json."""
    found: dict[str, Any] = json.loads((Path(__file__).parents[1] / "docs" / "summary.schema.json").read_text())
    return found


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """The part of JSON Schema that the published schema uses: what is violated, and where."""
    known = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "enum", "const", "items"}
    assert set(schema) <= known | {"required", "properties", "additionalProperties", "minimum", "maximum", "pattern"}
    if "$ref" in schema:
        return violations(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, where)
    names = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    fits = any(isinstance(value, names[k]) and (k == "boolean") >= isinstance(value, bool) for k in kinds)
    found = [f"{where}: not {kinds}"] if kinds and not fits else []
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: not {schema['const']}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: not one of {schema['enum']}")
    if isinstance(value, dict):
        found += [f"{where}: no {key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            found += violations(item, inner, root, f"{where}.{key}") if inner is not False else [f"{where}: {key}"]
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += violations(item, schema["items"], root, f"{where}[{index}]")
    return found
