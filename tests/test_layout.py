import json
import math
from pathlib import Path
from typing import Any

import pytest
from results_samples import frames, point, points, summary

from evalsuite.errors import StoreError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA, SUMMARY_KEYS
from evalsuite.results.load import write_results

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("status", "score"),
    [
        ("ok", None),
        ("ok", math.nan),
        ("ok", math.inf),
        ("infinite", 3.0),
        ("nan", None),
        ("failed", 3.0),
        ("unavailable", math.nan),
        ("splendid", 3.0),
    ],
)
def test_a_score_that_contradicts_its_status_is_never_written(tmp_path, status, score):
    with pytest.raises(StoreError, match="contradict") as error:
        write_results(tmp_path / "run", [point(status=status, score=score)], [], summary())
    assert "x265, carphone, psnr_y mean" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_every_column_and_key_is_documented():
    text = (DOCS / "results.md").read_text()
    for name in (*POINTS_SCHEMA.names, *FRAMES_SCHEMA.names, *SUMMARY_KEYS, *BD_COLUMNS):
        assert f"`{name}`" in text, name


def test_summary_fits_its_published_schema(tmp_path):
    write_results(tmp_path, points(), frames(), summary())
    schema = json.loads((DOCS / "summary.schema.json").read_text())
    document = json.loads((tmp_path / "summary.json").read_text())
    assert violations(document, schema, schema) == []
    assert set(schema["required"]) == {"schema", *SUMMARY_KEYS}
    assert set(schema["$defs"]["bd_row"]["required"]) == set(BD_COLUMNS)
    for broken in ({"schema": 2}, {"bd_rate": [{}]}, {"run": {}}, {"failures": [{"stage": "coffee"}]}, {"codecs": 3}):
        assert violations(document | broken, schema, schema)


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
