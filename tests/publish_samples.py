"""A board, and runs by it whose BD-rates are known in closed form, for the tests of entries and of the site.

Every score is a straight line over the logarithm of the rate (one that saturates is as -10 log10(1 - score / ceiling)),
and a codec reaches the anchor's score at `factor` times its rate: its BD-rate is 100 (factor - 1) on every metric.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results_samples import CODING

from evalsuite.metrics.registry import infos
from evalsuite.results.board import Board, parse_board
from evalsuite.results.entry import Entry, read_manifest
from evalsuite.results.entry_files import bd_csv, digest_of_file, write_entry, write_manifest
from evalsuite.results.entry_make import add_run
from evalsuite.results.load import FrameScores, RunResults, read_run, write_results
from evalsuite.results.tables import bd_table

SEQUENCES = ("face", "city", "bikes", "bunny", "jump")
TARGETS = (0.01, 0.02, 0.04, 0.08, 0.16)
LINES = {"psnr_y": (30.0, 10.0), "ssim": (10.0, 2.0), "vmaf": (7.0, 4.0)}
"""Score at 0.01 bpp, and slope for each tenfold rate of the anchor, both where BD-rate works."""
FRAMES = 8
WIDTH, HEIGHT, RATE = 640, 360, "25"
VERSIONS = {name: infos()[name].version for name in LINES}
HOSTILE = "<img src=x onerror=alert(1)>\"'`</script><script>alert(2)</script>{{7*7}}&"


def sha(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def board_of(**changes: Any) -> Board:
    """The board; a change of None leaves a field out."""
    data = {
        "name": "small",
        "version": 2,
        "title": "Small & quick",
        "question": "Which codec?",
        "description": "For tests",
        "dataset": "demo",
        "frames": FRAMES,
        "targets": {"bpp": list(TARGETS)},
        "intra_period": 8,
        "threads": 1,
        "structure": "any",
        "max_delay": "any",
        "anchor": "x265",
        "headline": ["vmaf", "psnr_y"],
        "sequences": [{"name": n, "sha256": sha("source", n), "colour": "bt709 limited"} for n in SEQUENCES],
        "metrics": VERSIONS,
    }
    return parse_board({key: value for key, value in {**data, **changes}.items() if value is not None}, Path("b.toml"))


def board_file(folder: Path, board: Board) -> Path:
    """The board as TOML in a folder."""
    lines = [f"{key} = {json.dumps(getattr(board, key))}" for key in ("name", "version", "title", "question")]
    lines += [f"description = {json.dumps(board.description)}", f"dataset = {json.dumps(board.dataset)}"]
    lines += [f"frames = {board.frames}", f"targets = {{ {board.unit} = {list(board.targets)} }}"]
    lines += [f"intra_period = {board.intra_period}", f"threads = {board.threads}", 'structure = "any"']
    lines += ['max_delay = "any"', f"anchor = {json.dumps(board.anchor)}", f"headline = {json.dumps(board.headline)}"]
    for one in board.sequences:
        lines += ["[[sequences]]", *(f"{key} = {json.dumps(value)}" for key, value in asdict(one).items())]
    lines += ["[metrics]", *(f"{name} = {json.dumps(version)}" for name, version in board.metrics.items())]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{board.name}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_run(
    folder: Path,
    board: Board,
    codecs: Mapping[str, float],
    *,
    day: str = "2026-03-01",
    version: str = "1.0",
    anchor_version: str = "4.3",
    spread: Sequence[float] = (0.98, 0.99, 1.0, 1.01, 1.02),
    facts: Mapping[str, Any] | None = None,
    gaps: Mapping[tuple[str, str], str] | None = None,
    shift: Mapping[tuple[str, str], float] | None = None,
) -> RunResults:
    """Write a run by the board, and read it.

    Args:
        folder: where.
        board: the protocol.
        codecs: factor of the rate at equal quality, by codec; the anchor is added.
        day: when it was run.
        version: of every codec but the anchor.
        anchor_version: of the anchor.
        spread: what the factors are multiplied by, on each sequence.
        facts: more facts of every codec but the anchor.
        gaps: status and reason of a codec's scores of a metric, instead of scores.
        shift: decades by which a codec's rates are higher on a sequence, to leave the anchor's quality range.
    """
    factors = {board.anchor: 1.0, **codecs}
    rows, frames = [], []
    for codec, factor in factors.items():
        for index, one in enumerate(board.sequences):
            for place, target in enumerate(board.targets):
                own = factor if codec == board.anchor else factor * spread[index % len(spread)]
                moved = (shift or {}).get((codec, one.name), 0.0)
                cell, scored = _cell(board, codec, one.name, place, target, own, moved, anchor_version, version)
                for metric, values in scored.items():
                    status = (gaps or {}).get((codec, metric), "ok")
                    rows += _rows(cell, metric, values, status)
                    if status == "ok":
                        frames.append(FrameScores(cell["cell_key"], codec, one.name, cell["q"], metric, values))
    table = pd.DataFrame(rows)
    cells = table.drop_duplicates("cell_key").to_dict("records")
    write_results(
        folder,
        rows,
        frames,
        {
            "request": {
                "board": board.stamp,
                "intra_period": board.intra_period,
                "threads": board.threads,
                "anchor": board.anchor,
                "hull": False,
                "command": ["evalsuite", "run", "--out", "/home/me/out"],
                "codecs": list(factors),
            },
            "run": {
                "started": f"{day}T10:00:00+00:00",
                "finished": f"{day}T10:03:20+00:00",
                "wall_s": 200.4,
                "cpu_s": 371.0,
                "commit": "0123456789abcdef",
                "dirty": False,
                "environment": {"A": "/home/me"},
                "machine": {"processor": "Example CPU", "cores": 2, "memory_bytes": 8 << 30, "system": "Linux 6.1"},
                "versions": {"evalsuite": "0.1.0", "python": "3.11"},
            },
            "codecs": [
                _codec(name, anchor_version, board, {})
                if name == board.anchor
                else _codec(name, version, board, facts or {})
                for name in factors
            ],
            "sequences": [_sequence(one.name, one.sha256) for one in board.sequences],
            "metrics": [asdict(infos()[name]) for name in LINES],
            "outcomes": {
                **dict.fromkeys(("encodes_cached", "measured_cached", "failed"), 0),
                **dict.fromkeys(("cells", "encodes", "measured"), len(cells)),
            },
            "cost_cpu_s": {"metric vmaf": 1.0},
            "rate_match": [
                {
                    **{key: row[key] for key in ("codec", "sequence", "target_bpp", "bpp", "q")},
                    "deviation_percent": 100 * (row["bpp"] / row["target_bpp"] - 1),
                    "encodes": 2,
                }
                for row in cells
            ],
            "commands": [],
            "failures": [],
            "bd_rate": bd_table(table, board.anchor) if codecs else [],
        },
    )
    return read_run(folder)


def _cell(
    board: Board,
    codec: str,
    sequence: str,
    place: int,
    target: float,
    factor: float,
    moved: float,
    anchor_version: str,
    version: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    size = round(target * WIDTH * HEIGHT * FRAMES / 8)
    bpp = 8 * size / (WIDTH * HEIGHT * FRAMES)
    decades = math.log10(bpp / 0.01 / factor) + moved
    swing = np.linspace(-1, 1, FRAMES)
    scored = {}
    for name, (start, slope) in LINES.items():
        ceiling, line = infos()[name].log_domain_ceiling, start + slope * decades
        mean = line if ceiling is None else ceiling * (1 - 10 ** (-line / 10))
        scored[name] = mean + (0.2 if ceiling is None else 0.002 * ceiling) * swing
    own = anchor_version if codec == board.anchor else version
    return {
        "codec": codec,
        "preset": "medium",
        "sequence": sequence,
        "dataset": board.dataset,
        "tags": "test",
        "width": WIDTH,
        "height": HEIGHT,
        "frame_rate": float(RATE),
        "frames": FRAMES,
        "q": 40.0 - 5 * place,
        "target_bpp": target,
        "bpp": bpp,
        "kbps": 8 * size * float(RATE) / FRAMES / 1000,
        "bytes": size,
        "cell_key": sha("cell", codec, own, sequence, place),
        "codec_version": own,
        "intra_period": board.intra_period,
        **CODING,
        "bitstream_sha256": sha("stream", codec, own, sequence, place, factor),
        "source_sha256": sha("source", sequence),
    }, scored


def _rows(cell: Mapping[str, Any], metric: str, values: Any, status: str) -> list[dict[str, Any]]:
    info = infos()[metric]
    pooled = {"mean": values.mean(), "p5": np.percentile(values, 5, method="lower"), "worst": values.min()}
    return [
        {
            **cell,
            "metric": metric,
            "statistic": name,
            "score": float(score) if status == "ok" else None,
            "unit": info.unit,
            "higher_is_better": info.higher_is_better,
            "log_domain_ceiling": info.log_domain_ceiling,
            "status": status,
            "reason": "" if status == "ok" else "no face",
            "metric_version": info.version,
        }
        for name, score in pooled.items()
    ]


def _codec(name: str, version: str, board: Board, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "description": "a codec",
        "preset": "medium",
        "version": version,
        "binary": f"/usr/bin/{name}",
        "binary_sha256": {"prog": sha("binary", name, version)},
        "recipe_sha256": sha("recipe", name),
        "files": {},
        "structure": "random access",
        "intra_period": board.intra_period,
        "threads": board.threads,
        "rate_control": "crf",
        "internal_bit_depth": 8,
        "lookahead": 25,
        "delay": 29,
        "rate_source": "file",
        "encode": ["{binary}", "{input}", "{output}"],
        "decode": ["{binary}", "-d"],
        **(facts or {}),
    }


def _sequence(name: str, digest: str) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": "demo",
        "width": WIDTH,
        "height": HEIGHT,
        "frame_rate": RATE,
        "frames": FRAMES,
        "bit_depth": 8,
        "chroma": "420",
        "colour": "bt709 limited",
        "tags": ["test"],
        "licence": "none",
        "origin": f"/home/me/{name}.y4m",
        "sha256": digest,
    }


def add(entries: Path, board: Board, scratch: Path, codecs: Mapping[str, float], **how: Any) -> list[Entry]:
    """Run the board and add the run; the entries that are new."""
    said = {key: how.pop(key) for key in ("by", "note") if key in how}
    run = write_run(scratch / f"run{len(list(scratch.glob('run*')))}", board, codecs, **how)
    return [entry for entry, new in add_run(run, board, entries, **said) if new]


def unchecked(run: RunResults, codec: str, parent: Path) -> Entry:
    """An entry that nobody has asked whether it is one."""
    parent.mkdir(parents=True, exist_ok=True)
    return write_entry(run, codec, parent, licence="CC0-1.0")


def edited(entry: Entry, **files: Any) -> Entry:
    """The entry with files changed by functions, and all digests made right again, as a forger would.

    Args:
        entry: changed in place.
        files: `summary` takes and gives the summary, `points` and `frames` a table's frame, `manifest` a manifest.
    """
    folder = entry.folder
    if "points" in files or "frames" in files:
        _edit_tables(folder, files)
    summary = json.loads((folder / "summary.json").read_text())
    if "summary" in files:
        summary = files["summary"](summary) or summary
    for name in ("results.parquet", "frames.parquet"):
        summary["files"][name] = digest_of_file(folder / name)
    if "points" in files and not files.get("keep_bd"):
        points = pd.read_parquet(folder / "results.parquet")
        manifest = read_manifest(folder)
        rows = [] if manifest.is_anchor else [asdict(row) for row in bd_table(points, manifest.anchor)]
        summary["bd_rate"] = rows
    if isinstance(summary.get("bd_rate"), list):
        with_rows = [row for row in summary["bd_rate"] if isinstance(row, dict)]
        (folder / "bd_rate.csv").write_text(bd_csv(with_rows), newline="")
    (folder / "summary.json").write_text(json.dumps(summary))
    return signed(replace(entry, manifest=files.get("manifest", lambda one: one)(entry.manifest)))


def signed(entry: Entry) -> Entry:
    """The entry with the digests of the files as they are."""
    digests = {name: digest_of_file(entry.folder / name) for name in entry.manifest.files}
    manifest = replace(entry.manifest, files=digests)
    write_manifest(entry.folder, manifest)
    return Entry(entry.folder, manifest)


def _edit_tables(folder: Path, files: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for key, name in (("points", "results.parquet"), ("frames", "frames.parquet")):
        if key in files:
            table = pq.read_table(folder / name, partitioning=None)
            frame = table.to_pandas()
            frame = files[key](frame) if callable(files[key]) else frame
            pq.write_table(pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False), folder / name)
