"""Whether a folder is an entry of a board: every fault of it, and what to do.

An entry comes from somebody else's machine. It is looked at from outside in: names, sizes and digests before anything
is parsed, the amount of memory before a table is read, the published schemas before a value is used, and then what the
numbers say of each other. Nothing in it is trusted to be of the right type, and nothing in it is run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evalsuite.errors import EvalError, StoreError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.board import Board
from evalsuite.results.conformance import deviations
from evalsuite.results.entry import ADD, FILES, MAX_BYTES, Manifest, manifest_of, read_manifest
from evalsuite.results.entry_files import bd_csv, digest_of_file
from evalsuite.results.entry_schema import known_keys, violations_of
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA
from evalsuite.results.load import RunResults, read_run
from evalsuite.results.plausible import implausible
from evalsuite.results.tables import bd_table

MAX_ROWS = 1_000_000
"""Rows of a table: ten times what the largest board shipped needs."""

MAX_DECODED = 256 << 20
"""Bytes of a table in memory."""

_CLOSE = 1e-6
"""Difference of two BD-rates, relative above 1, that other versions of NumPy and SciPy may make."""

_EXTRA_KEYS = {"cost_cpu_s"}
"""Keys that runs write beside those of the schema."""

_SHOWN = 5
_FRAME_RATE = re.compile(r"\d{1,9}(\.\d{1,9})?(/\d{1,9})?")
"""No more digits than that: a fraction of 1e999999999 is a valid one, and takes for ever."""

_NOT_BY_HAND = "run the board again and add that run; numbers are not edited by hand"
_RERUN = "run the board as it is (docs/boards.md), and add that run"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an entry."""

    entry: str
    """Board and folder, as in the folder of entries."""
    text: str
    fix: str
    """What to do."""


def check_entry(folder: Path, board: Board) -> list[Fault]:
    """Every fault of an entry; empty for a good one.

    Args:
        folder: the entry, in a folder of the board's name among other entries.
        board: the protocol as it is now. An entry of an earlier version of it is held to all but the protocol, which
            is not there any more; it is history and does not rank.
    """
    name = f"{board.name}/{folder.name}"
    try:
        return [Fault(name, text, fix) for text, fix in _faults(folder, board)]
    except EvalError as error:
        return [Fault(name, _one_line(error), error.fix or ADD)]
    except Exception as error:
        # Whatever a stranger's file makes of code that did not foresee it is a fault of that file.
        return [Fault(name, f"it cannot be judged: {type(error).__name__}: {str(error)[:200]}", ADD)]


def _faults(folder: Path, board: Board) -> Iterator[tuple[str, str]]:
    if outside := list(_outside(folder)):
        yield from outside
        return
    manifest = read_manifest(folder)
    if wrong := [(text, ADD) for text in _digests(folder, manifest)]:
        yield from wrong
        return
    check_table(folder / "results.parquet", POINTS_SCHEMA)
    check_table(folder / "frames.parquet", FRAMES_SCHEMA)
    run = read_run(folder)
    if wrong := [(f"summary.json: {text}", ADD) for text in _summary(run)]:
        yield from wrong
        return
    if wrong := [(text, ADD) for text in _parts(run, manifest)]:
        yield from wrong
        return
    yield from ((text, ADD) for text in _agreement(run, manifest, folder))
    yield from ((text, _RERUN) for text in _protocol(run, manifest, board))
    yield from ((text, _NOT_BY_HAND) for text in implausible(run))
    yield from ((text, ADD) for text in _bd_rates(run, manifest))


def _outside(folder: Path) -> Iterator[tuple[str, str]]:
    """The folder's files as the file system has them, without opening any."""
    if folder.is_symlink() or not folder.is_dir():
        yield "not a folder", "an entry is a folder of its own, and no link"
        return
    found = {path.name: path for path in folder.iterdir()}
    for name in FILES:
        if name not in found:
            yield f"{name} is missing", ADD
    for name, path in sorted(found.items()):
        if name not in FILES:
            yield f"{name!r} does not belong there", f"remove it: an entry holds {', '.join(FILES)} and nothing else"
        elif path.is_symlink() or not path.is_file():
            yield f"{name} is not a file", "links and folders are not followed: put the file itself there"
        elif (size := path.stat().st_size) > MAX_BYTES[name]:
            yield f"{name} has {size} bytes, the most is {MAX_BYTES[name]}", ADD


def _digests(folder: Path, manifest: Manifest) -> Iterator[str]:
    for name, told in manifest.files.items():
        found = digest_of_file(folder / name)
        if found != told:
            what = "bytes" if found["bytes"] != told["bytes"] else "sha256"
            yield f"{name}: {what} {found[what]}, entry.json has {told[what]}"


def check_table(path: Path, schema: pa.Schema) -> None:
    """Refuse a Parquet file that is not of the schema, or would take much more memory than an entry needs.

    Raises:
        StoreError: why.
    """
    try:
        if not (found := pq.read_schema(path)).equals(schema):
            raise StoreError(
                f"{path.name} does not have the columns of a run",
                expected=", ".join(schema.names),
                got=", ".join(found.names)[:200],
            )
        file = pq.ParquetFile(path, read_dictionary=[field.name for field in schema if pa.types.is_string(field.type)])
        facts = file.metadata
        groups = [facts.row_group(index) for index in range(facts.num_row_groups)]
        plain = sum(group.column(index).total_uncompressed_size for group in groups for index in range(len(schema)))
        if facts.num_rows > MAX_ROWS or plain > MAX_DECODED:
            raise StoreError(
                f"{path.name} is too large for an entry",
                expected=f"at most {MAX_ROWS} rows and {MAX_DECODED} bytes",
                got=f"{facts.num_rows} rows, {plain} bytes",
            )
        table = file.read()
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise StoreError(f"{path.name} cannot be read", got=str(error)[:200]) from error
    # One long text that every row repeats is small in the file and large in memory.
    decoded = sum(_decoded_bytes(table.column(name)) for name in table.schema.names)
    if decoded > MAX_DECODED:
        raise StoreError(f"{path.name} holds {decoded} bytes of text, the most is {MAX_DECODED}")


def _decoded_bytes(column: pa.ChunkedArray) -> int:
    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
            total += pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
        else:
            total += chunk.nbytes
    return total


def _summary(run: RunResults) -> Iterator[str]:
    wrong = violations_of(run.summary, "summary")
    yield from wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        yield f"{len(wrong) - _SHOWN} more places are not as docs/summary.schema.json says"
    for key in sorted(set(run.summary) - known_keys("summary") - _EXTRA_KEYS):
        yield f"{key[:60]!r} is not known"


def _parts(run: RunResults, manifest: Manifest) -> Iterator[str]:
    """The run is of the codec and its anchor alone, whole enough to be judged."""
    wanted = sorted({manifest.codec, manifest.anchor})
    for what, found in (
        ("summary.json", sorted(str(one["name"]) for one in run.summary["codecs"])),
        ("results.parquet", sorted(set(run.points["codec"]))),
    ):
        if found != wanted:
            yield f"{what} is of {', '.join(found)[:200] or 'no codec'}, not of {' and '.join(wanted)}"
    if not isinstance(run.summary["request"].get("board"), dict):
        yield "summary.json: the run was made by no board"
    if run.summary["request"].get("anchor") != manifest.anchor:
        yield "summary.json: the run had another anchor than entry.json says"
    if not run.summary["sequences"]:
        yield "summary.json: no sequences"
    for one in run.summary["sequences"]:
        if not _FRAME_RATE.fullmatch(str(one["frame_rate"])):
            yield f"summary.json: {_shown(one['frame_rate'])} is no frame rate such as 30000/1001"
    if not (run.points["status"][run.points["codec"] == manifest.codec] == "ok").any():
        yield f"nothing of {manifest.codec} was measured: there is no score"


def _agreement(run: RunResults, manifest: Manifest, folder: Path) -> Iterator[str]:
    """entry.json says what the run says."""
    if manifest.id != folder.name:
        yield f"the folder must be called {manifest.id}"
    try:
        told = asdict(
            manifest_of(
                run,
                manifest.codec,
                licence=manifest.licence,
                by=manifest.by,
                note=manifest.note,
                files=manifest.files,
            )
        )
    except ValueError as error:
        yield f"summary.json: run.finished: {error}"
        return
    for key, value in asdict(manifest).items():
        if value != told[key]:
            yield f"entry.json: {key} is {_shown(value)}, by the files beside it {_shown(told[key])}"
    for one in run.summary["codecs"]:
        rows = run.points[run.points["codec"] == one["name"]]
        for column, key in (("preset", "preset"), ("codec_version", "version")):
            if odd := set(rows[column]) - {one[key]}:
                yield f"{one['name']}: {key} {_shown(sorted(odd))} in results.parquet, {one[key][:100]} in summary.json"
    if datetime.fromisoformat(manifest.date) > datetime.now(UTC) + timedelta(days=1):
        yield f"date: {manifest.date} has not come yet"


def _protocol(run: RunResults, manifest: Manifest, board: Board) -> Iterator[str]:
    name, version = manifest.board["name"], int(manifest.board["version"])
    if name != board.name:
        yield f"it is of the board {name}, and lies among those of {board.name}"
    elif version > board.version:
        yield f"it is of version {version} of {board.name}, which has version {board.version}"
    elif version == board.version:
        yield from deviations(board, run)


def _bd_rates(run: RunResults, manifest: Manifest) -> Iterator[str]:
    """BD-rates are those of the points, in both files."""
    told: list[dict[str, Any]] = run.summary["bd_rate"]
    ours = [] if manifest.is_anchor else [asdict(row) for row in bd_table(run.points, manifest.anchor)]
    if [_key(row) for row in told] != [_key(row) for row in ours]:
        yield f"summary.json: bd_rate has {len(told)} rows, the points make {len(ours)}, or in another order"
        return
    different = [
        (row, column, found[column])
        for row, found in zip(told, ours, strict=True)
        for column in BD_COLUMNS
        if not _equal(row[column], found[column])
    ]
    for row, column, value in different[:_SHOWN]:
        at = f"{row['metric']}, {row['test']} on {row['sequence']}"
        yield f"bd_rate: {column} of {at} is {_shown(row[column])}, by the points {_shown(value)}"
    if len(different) > _SHOWN:
        yield f"bd_rate: {len(different) - _SHOWN} more numbers are not those of the points"
    if (run.folder / "bd_rate.csv").read_bytes() != bd_csv(told).encode():
        yield "bd_rate.csv is not the bd_rate of summary.json"


def _key(row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("metric", "anchor", "test", "sequence"))


def _equal(told: object, found: object) -> bool:
    if isinstance(told, float | int) and isinstance(found, float | int):
        return math.isclose(told, found, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return told == found


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _one_line(error: EvalError) -> str:
    parts = [error.what]
    parts += [f"{name} {value}" for name in ("expected", "got") if (value := getattr(error, name)) is not None]
    return "; ".join(parts)
