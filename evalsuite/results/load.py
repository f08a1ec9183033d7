"""The folder of a run: results.parquet, frames.parquet, bd_rate.csv and summary.json, written and read.

Every column and key is described in `docs/results.md`. Files appear whole or not at all, summary.json last: it holds
the digests of the two tables, so that a damaged file or a mixture of two runs is noticed when it is read.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evalsuite.errors import StoreError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA, RERUN, SCHEMA, check_points, check_summary

RESULT_FILES = ("results.parquet", "frames.parquet", "bd_rate.csv", "summary.json")
"""What a run folder holds, the one that vouches for the others last."""

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class FrameScores:
    """The per-frame scores of one metric on one cell: `len(scores)` rows of frames.parquet."""

    cell_key: str
    codec: str
    sequence: str
    q: float
    metric: str
    scores: NDArray[np.float64]
    """(frames,), in display order; inf and NaN are kept as they are."""
    indices: NDArray[np.int64] | None = None
    """The frames that the scores are of, where the metric does not apply to all; None: 0, 1, 2 and so on."""


@dataclass(frozen=True, slots=True, eq=False)
class RunResults:
    """A run as read from its folder."""

    folder: Path
    points: pd.DataFrame
    """results.parquet: one row per rate point, metric and statistic. A null score reads as NaN: ask `status`."""
    summary: dict[str, Any]
    """summary.json."""

    def frames(self, *, metric: str | None = None, cell_key: str | None = None) -> pd.DataFrame:
        """Per-frame scores, read from disk on each call; all of them, or those of one metric or cell.

        Raises:
            StoreError: frames.parquet is missing, damaged or of another run.
        """
        path = self.folder / "frames.parquet"
        _verify(path, self.summary)
        wanted = [(name, "==", value) for name, value in (("metric", metric), ("cell_key", cell_key)) if value]
        frames: pd.DataFrame = _read_table(path, FRAMES_SCHEMA, filters=wanted or None).to_pandas()
        return frames


def write_results(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    frames: Iterable[FrameScores],
    summary: Mapping[str, Any],
) -> None:
    """Write the four files of a run, replacing those of an earlier one.

    Args:
        folder: made if it is not there.
        rows: rows of results.parquet, each with exactly its columns; None is null.
        frames: per-frame scores, taken one at a time.
        summary: the keys of summary.json but `schema` and `files`, which are added. Dataclasses, paths and fractions
            are converted; NaN and inf become null. Its `bd_rate` rows are bd_rate.csv too.

    Raises:
        StoreError: the folder cannot be written (nothing in it has changed then), or a row breaks the contract.
    """
    points = _points_table(rows)
    document = {**_plain(summary), "schema": SCHEMA, "files": {}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
            new = Path(temporary)
            pq.write_table(points, new / "results.parquet")
            _write_frames(new / "frames.parquet", frames)
            for name in ("results.parquet", "frames.parquet"):
                document["files"][name] = _digest(new / name)
            check_summary(document, folder / "summary.json")
            _write_csv(new / "bd_rate.csv", document["bd_rate"])
            text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
            (new / "summary.json").write_text(text + "\n", encoding="utf-8")
            for name in RESULT_FILES:
                with (new / name).open("rb") as file:
                    os.fsync(file.fileno())
            for name in RESULT_FILES:
                (new / name).replace(folder / name)
    except OSError as error:
        raise StoreError(
            f"the results cannot be written: {error.strerror or error}",
            where=folder,
            fix="give a folder that is writable, on a disk with room, with --out",
        ) from error


def read_run(folder: Path) -> RunResults:
    """Read the results of a run; per-frame scores stay on disk until they are asked for.

    Raises:
        StoreError: not the folder of a run, or a file of it is missing, damaged, foreign or of another version.
    """
    path = folder / "summary.json"
    try:
        # parse_constant is called for NaN and Infinity, which are not JSON.
        summary = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except FileNotFoundError as error:
        raise StoreError(
            "not the folder of a finished run: it has no summary.json",
            where=folder,
            fix="give the folder that `evalsuite run --out` wrote",
        ) from error
    except OSError as error:
        raise StoreError(f"summary.json cannot be read: {error.strerror or error}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise StoreError("summary.json is not valid JSON", where=path, got=str(error)[:200], fix=RERUN) from error
    if not is_unicode(summary):
        raise StoreError("summary.json holds a text that is no Unicode", where=path, fix=RERUN)
    check_summary(summary, path)
    _verify(folder / "results.parquet", summary)
    table = _read_table(folder / "results.parquet", POINTS_SCHEMA)
    check_points(table, folder / "results.parquet")
    points = table.to_pandas()
    for field in POINTS_SCHEMA:
        if field.nullable and pa.types.is_integer(field.type):
            points[field.name] = points[field.name].astype("Int64")  # a null must not turn counts into floats
    return RunResults(folder, points, summary)


def read_whole_run(folder: Path) -> RunResults:
    """Read a run as `read_run`, and verify the per-frame scores too.

    Raises:
        StoreError: a file of it is missing, damaged or of another version.
    """
    run = read_run(folder)
    run.frames(cell_key="-")
    return run


def _points_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    listed = [dict(row) for row in rows]
    for number, row in enumerate(listed):
        odd = set(row) ^ set(POINTS_SCHEMA.names)
        if odd:
            raise StoreError(
                f"row {number} does not have the columns of results.parquet",
                expected=", ".join(POINTS_SCHEMA.names),
                got=f"missing or unknown: {', '.join(sorted(odd))}",
            )
    try:
        table = pa.Table.from_pylist(listed, schema=POINTS_SCHEMA)
    except (pa.ArrowException, TypeError) as error:
        raise StoreError("a value does not fit its column of results.parquet", got=str(error)) from error
    check_points(table, "results.parquet, before it was written")
    return table


def _write_frames(path: Path, frames: Iterable[FrameScores]) -> None:
    with pq.ParquetWriter(path, FRAMES_SCHEMA) as writer:
        for batch in _batches(frames):
            counts = [len(series.scores) for series in batch]
            columns: dict[str, Any] = {
                name: np.repeat(np.array([getattr(series, name) for series in batch], dtype=object), counts)
                for name in ("cell_key", "codec", "sequence", "metric")
            }
            columns["q"] = np.repeat(np.array([series.q for series in batch], dtype=np.float64), counts)
            columns["frame"] = np.concatenate(
                [np.arange(len(one.scores)) if one.indices is None else one.indices for one in batch]
            )
            columns["score"] = np.concatenate([np.asarray(series.scores, dtype=np.float64) for series in batch])
            arrays = [pa.array(columns[field.name], type=field.type, from_pandas=False) for field in FRAMES_SCHEMA]
            writer.write_table(pa.Table.from_arrays(arrays, schema=FRAMES_SCHEMA))


def _batches(frames: Iterable[FrameScores]) -> Iterator[list[FrameScores]]:
    batch: list[FrameScores] = []
    size = 0
    for series in frames:
        batch.append(series)
        size += len(series.scores)
        if size >= _BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, BD_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _read_table(path: Path, schema: pa.Schema, **options: Any) -> pa.Table:
    try:
        found = pq.read_schema(path)
        if not found.equals(schema):
            raise StoreError(
                f"{path.name} does not have the columns of schema {SCHEMA}",
                where=path,
                expected=", ".join(schema.names),
                got=", ".join(found.names),
                fix=RERUN,
            )
        # A folder called q=3 is a name, not a partition.
        return pq.read_table(path, partitioning=None, **options)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path.name} cannot be read", where=path, got=str(error)[:200], fix=RERUN) from error


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _verify(path: Path, summary: Mapping[str, Any]) -> None:
    expected = summary["files"][path.name]
    try:
        found = _digest(path)
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read: {error.strerror}", where=path, fix=RERUN) from error
    if found != expected:
        raise StoreError(
            f"{path.name} is damaged, or of another run than the summary.json beside it",
            where=path,
            expected=f"{expected.get('bytes')} bytes, sha256 {expected.get('sha256')}",
            got=f"{found['bytes']} bytes, sha256 {found['sha256']}",
            fix=RERUN,
        )


def _plain(value: Any) -> Any:
    """The value in JSON's types; JSON has neither NaN nor infinity, so they become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, (Path, Fraction)):
        return plain_text(str(value))
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain_text(text: str) -> str:
    """The text as UTF-8 can hold it: bytes of a file name that are not UTF-8 are shown as �."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_unicode(document: Any) -> bool:
    """Whether all texts of a JSON document can be written: half of a surrogate pair is valid JSON and no text."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
