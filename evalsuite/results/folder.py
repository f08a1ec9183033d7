"""Whether a folder's files are ours, before they are replaced: names such as report.json are anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.errors import RequestError
from evalsuite.results.bdrows import BD_COLUMNS
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

    Where one of them is, the others were written with it, and may be damaged: to make the run again repairs them.

    Raises:
        RequestError: some of `RESULT_FILES` are there, and none is a run's.
    """
    held = [path for name in RESULT_FILES if (path := folder / name).exists()]
    if held and not any(map(_is_result, held)):
        raise RequestError(
            f"this is no {held[0].name.replace('summary.json', 'summary')} of a run, and it would be replaced",
            where=held[0],
            fix="give another folder with --out",
        )


def _is_result(path: Path) -> bool:
    if path.suffix == ".json":
        return is_document(path, ("schema", "request", "run"))
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as table:
                return table.readline().startswith(",".join(BD_COLUMNS[:2]))
        # Of either table and any version: these columns have always been there.
        return {"codec", "sequence", "metric", "score"} <= set(pq.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException):
        return False
