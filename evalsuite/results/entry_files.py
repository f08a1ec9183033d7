"""The files of an entry, written: a run reduced to one codec and its anchor, small enough to be committed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evalsuite.results.bdrows import BD_COLUMNS, BDRow
from evalsuite.results.entry import MANIFEST, Entry, Manifest, manifest_of, manifest_text
from evalsuite.results.history import without_machine
from evalsuite.results.load import RunResults
from evalsuite.results.tables import bd_table

_RANDOM = ("score",)
_PACKED: dict[str, Any] = {"compression": "zstd", "compression_level": 19}


def write_entry(run: RunResults, codec: str, parent: Path, *, licence: str, by: str = "", note: str = "") -> Entry:
    """Write the folder of an entry, named by its id, without asking whether it is one.

    Raises:
        OSError: it cannot be written.
        StoreError: the run's files are damaged.
    """
    reduced = _reduced(run, codec)
    manifest = manifest_of(reduced, codec, licence=licence, by=by, note=note)
    folder = parent / manifest.id
    folder.mkdir()
    _write_points(run, codec, folder / "results.parquet")
    _write_frames(run, codec, folder / "frames.parquet")
    rows = bd_table(reduced.points, manifest.anchor) if not manifest.is_anchor else []
    tables = {name: digest_of_file(folder / name) for name in ("results.parquet", "frames.parquet")}
    summary = {**reduced.summary, "bd_rate": [asdict(row) for row in rows], "files": tables}
    (folder / "bd_rate.csv").write_text(bd_csv(summary["bd_rate"]), encoding="utf-8", newline="")
    (folder / "summary.json").write_text(_summary_text(summary), encoding="utf-8", newline="")
    tables |= {name: digest_of_file(folder / name) for name in ("bd_rate.csv", "summary.json")}
    manifest = replace(manifest, files=tables)
    write_manifest(folder, manifest)
    return Entry(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write entry.json, the last file of an entry."""
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8", newline="")


def _reduced(run: RunResults, codec: str) -> RunResults:
    """The run as if it had been of this codec and the anchor alone."""
    told = run.summary
    kept = {codec, str(told["request"]["anchor"])}
    points = run.points[run.points["codec"].isin(kept)].reset_index(drop=True)
    cells = points["cell_key"].nunique()
    lists: dict[str, Any] = {
        key: [one for one in told[key] if one["codec"] in kept] for key in ("rate_match", "failures") if key in told
    }
    summary: dict[str, Any] = {
        **{key: value for key, value in told.items() if key != "cost_cpu_s"},
        **lists,
        "request": {**told["request"], "codecs": sorted(kept)},
        "codecs": [one for one in told["codecs"] if one["name"] in kept],
        "outcomes": {
            "encodes_cached": 0,
            "measured_cached": 0,
            "cells": cells,
            "encodes": sum(int(one["encodes"] or 0) for one in lists["rate_match"]),
            "measured": cells,
            "failed": len(lists["failures"]),
        },
        "bd_rate": [],
    }
    timing = told["run"].get("timing")
    if timing:
        loads = {name: value for name, value in timing.get("load_s", {}).items() if name in kept}
        remarks = [line for line in timing.get("remarks", []) if line.split(" ")[0] in kept]
        summary["run"] = {**told["run"], "timing": {**timing, "load_s": loads, "remarks": remarks}}
    return RunResults(run.folder, points, without_machine(summary))


def _write_points(run: RunResults, codec: str, path: Path) -> None:
    table = pq.read_table(run.folder / "results.parquet", partitioning=None)
    kept = pa.array([codec, str(run.summary["request"]["anchor"])])
    pq.write_table(table.filter(pc.is_in(table["codec"], kept)), path, **_PACKED)


def _write_frames(run: RunResults, codec: str, path: Path) -> None:
    """The frames of the codec, with scores to seven digits: half as many bytes, and far below what could matter."""
    run.frames(cell_key="-")  # verifies the file
    table = pq.read_table(run.folder / "frames.parquet", partitioning=None, filters=[("codec", "==", codec)])
    scores = table["score"].to_numpy().astype(np.float32).astype(np.float64)
    place = table.schema.get_field_index("score")
    table = table.set_column(place, table.schema.field("score"), pa.array(scores, from_pandas=False))
    words = [name for name in table.schema.names if name not in _RANDOM]
    pq.write_table(
        table, path, use_dictionary=words, column_encoding=dict.fromkeys(_RANDOM, "BYTE_STREAM_SPLIT"), **_PACKED
    )


def bd_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """bd_rate.csv of the `bd_rate` rows of a summary."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, BD_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def bd_rows(summary: Mapping[str, Any]) -> list[BDRow]:
    """The BD-rate rows of a summary."""
    return [BDRow(**row) for row in summary["bd_rate"]]


def digest_of_file(path: Path) -> dict[str, int | str]:
    """Size and sha256 of a file."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _summary_text(summary: Mapping[str, Any]) -> str:
    """summary.json with a line for each item of its lists: small, and a difference between two shows what changed."""
    lines = []
    for key, value in summary.items():
        if isinstance(value, list) and value:
            items = ",\n  ".join(_json(item) for item in value)
            lines.append(f" {_json(key)}: [\n  {items}\n ]")
        else:
            lines.append(f" {_json(key)}: {_json(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
