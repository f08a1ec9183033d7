"""Whether a folder's files are ours, before they are replaced: names such as report.json are anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.errors import RequestError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA
from evalsuite.results.load import RESULT_FILES


def is_document(path: Path, keys: Iterable[str]) -> bool:
    """Whether a file is a JSON object that has these keys."""
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(known, dict) and set(keys) <= known.keys()


def check_results(folder: Path) -> None:
    """Refuse a folder in which a run would replace files that are not a run's.

    Raises:
        RequestError: one of `RESULT_FILES` is there, and is something else.
    """
    for name in RESULT_FILES:
        path = folder / name
        if path.exists() and not _is_result(path):
            raise RequestError(
                f"this is no {name.replace('summary.json', 'summary')} of a run, and it would be replaced",
                where=path,
                fix="give another folder with --out",
            )


def _is_result(path: Path) -> bool:
    if path.suffix == ".json":
        return is_document(path, ("schema", "request", "run"))
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as table:
                return table.readline().startswith(",".join(BD_COLUMNS[:2]))
        schema = POINTS_SCHEMA if path.name == "results.parquet" else FRAMES_SCHEMA
        # Of any version: some columns have always been there.
        return {"codec", "sequence", "metric", "score"} & set(schema.names) <= set(pq.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException):
        return False
