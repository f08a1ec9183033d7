"""Stores for tests: cells that are named after what they hold, and what a store holds as SQLite itself reads it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from gate_samples import rows, write_run

from evalsuite.engine.store import Origin, Store, StoredDecode
from evalsuite.results.history import keep_run
from evalsuite.results.load import read_run
from evalsuite.types import SHARED, Series, Timing, Usage

USAGE = Usage(1.5, 1.25, 4096)
DECODE = StoredDecode(Usage(0.5, 0.25, 1024), ("dec", "a b"))
VERSIONS = {"psnr_y": "1", "vmaf": "v0.6.1"}
ALONE = Timing(ran_alone=True, timed_on="a processor")


def key(name: str) -> str:
    return hashlib.sha256(f"cell {name}".encode()).hexdigest()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content_of(name: str) -> bytes:
    return name.encode() * 100


def file_of(folder: Path, content: bytes) -> Path:
    return folder / "bitstreams" / digest(content)[:2] / f"{digest(content)}.bin"


def add_cell(
    store: Store,
    name: str,
    content: bytes | None = None,
    *,
    q: float = 30.0,
    usage: Usage = USAGE,
    timing: Timing = SHARED,
    scores: bool = True,
    origin: Origin | None = None,
) -> None:
    """One cell as a run adds it; scores are told apart by their content."""
    content = content_of(name) if content is None else content
    path = store.scratch / f"new {name}"
    path.write_bytes(content)
    store.add_encode(
        *(key(name), q, path),
        sha256=digest(content),
        payload_bytes=len(content),
        usage=usage,
        commands=(("enc", "a b"),),
        timing=timing,
        origin=origin,
    )
    if scores:
        values = np.arange(4.0) + len(content)
        series = [Series("psnr_y", "ok", values), Series("vmaf", "ok", values[:2], frames=np.array([1, 3]))]
        store.add_scores(key(name), series, VERSIONS, DECODE)


def filled(folder: Path, names: Iterable[str]) -> Path:
    with Store(folder) as store:
        for name in names:
            add_cell(store, name)
    return folder


def keep(folder: Path, day: int, names: Iterable[str]) -> str:
    """A run of these cells in the store's history, of a day of January 2026."""
    points = rows(sequences=("bikes",), metrics=("vmaf",))
    points = [point | {"cell_key": key(name)} for point, name in zip(points, names, strict=False)]
    made = write_run(folder.parent / f"run of day {day}", points)
    summary = json.loads((made.folder / "summary.json").read_text())
    summary["run"]["started"] = f"2026-01-{day:02}T10:00:00+00:00"
    (made.folder / "summary.json").write_text(json.dumps(summary))
    return keep_run(read_run(made.folder), folder).name


def held(folder: Path) -> dict[str, Any]:
    """All that a store holds, without asking the suite."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as db:
        tables: dict[str, Any] = {
            "cells": set(db.execute("SELECT cell_key, q, sha256, file_bytes, cpu_s, ran_alone FROM cells")),
            "decodes": set(db.execute("SELECT cell_key, command, cpu_s, ran_alone, latency FROM decodes")),
            "scores": set(db.execute("SELECT cell_key, metric, version, status, frames, indices FROM scores")),
            "segments": set(db.execute("SELECT codec_key, q, start, frames, sha256 FROM segments")),
            "lost": set(db.execute("SELECT cell_key, sha256 FROM lost")),
        }
    files = {path.stem: path.read_bytes() for path in (folder / "bitstreams").rglob("*.bin")}
    assert all(digest(content) == name for name, content in files.items())
    runs = {path.name for path in (folder / "runs").glob("[0-9]*")}
    return {**tables, "bitstreams": set(files), "runs": runs}


def execute(folder: Path, statement: str, *values: Any) -> None:
    """Change the database behind the suite's back."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as db:
        assert db.execute(statement, values).rowcount > 0
        db.commit()
