"""The columns of results.parquet and frames.parquet and the keys of summary.json: what `docs/results.md` describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evalsuite.errors import StoreError
from evalsuite.results.bdrows import BD_COLUMNS

SCHEMA = 3
"""Version of the layout: a number that grows whenever a reader would have to change."""

NO_SCORE_STATUSES = ("too_small", "not_applicable", "unavailable", "failed")
"""Statuses whose score is null; `ok`, `infinite` and `nan` have one."""

RERUN = "make the run again (what is finished is not repeated), or copy the whole folder again"
"""What to do about a run folder that is damaged."""


def _fields(kind: pa.DataType, names: str, *, nullable: bool = False) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=nullable) for name in names.split()]


CODEC_IDENTITY = (
    "preset",
    "version",
    "binary_sha256",
    "recipe_sha256",
    "files",
    "structure",
    "intra_period",
    "threads",
    "rate_control",
    "internal_bit_depth",
    "lookahead",
    "delay",
    "rate_source",
)
"""Keys of an entry among the `codecs` of summary.json by which one name in two runs is one codec."""

POINTS_SCHEMA = pa.schema(
    [
        *_fields(pa.string(), "codec preset sequence dataset tags"),
        *_fields(pa.int64(), "width height", nullable=True),
        *_fields(pa.float64(), "frame_rate", nullable=True),
        *_fields(pa.int64(), "frames", nullable=True),
        *_fields(pa.float64(), "q target_bpp bpp kbps", nullable=True),
        *_fields(pa.int64(), "bytes", nullable=True),
        *_fields(pa.string(), "metric statistic"),
        *_fields(pa.float64(), "score", nullable=True),
        *_fields(pa.string(), "unit"),
        *_fields(pa.bool_(), "higher_is_better", nullable=True),
        *_fields(pa.float64(), "log_domain_ceiling", nullable=True),
        *_fields(pa.string(), "status reason cell_key metric_version codec_version"),
        *_fields(pa.int64(), "intra_period", nullable=True),
        *_fields(pa.string(), "structure rate_control", nullable=True),
        *_fields(pa.int64(), "internal_bit_depth lookahead delay scale_divisor", nullable=True),
        *_fields(pa.string(), "rate_source"),
        *_fields(pa.int64(), "threads", nullable=True),
        *_fields(pa.float64(), "encode_wall_s encode_cpu_s encode_load_s", nullable=True),
        *_fields(pa.int64(), "encode_peak_rss_bytes", nullable=True),
        *_fields(pa.bool_(), "encode_ran_alone", nullable=True),
        *_fields(pa.float64(), "decode_wall_s decode_cpu_s decode_load_s", nullable=True),
        *_fields(pa.int64(), "decode_peak_rss_bytes", nullable=True),
        *_fields(pa.bool_(), "decode_ran_alone decode_streams", nullable=True),
        *_fields(pa.float64(), "decode_first_frame_s decode_latency_p50_s decode_latency_p95_s", nullable=True),
        *_fields(pa.float64(), "decode_latency_p99_s decode_jitter_s", nullable=True),
        *_fields(pa.string(), "bitstream_sha256", nullable=True),
        *_fields(pa.string(), "source_sha256"),
    ]
)
"""results.parquet, in order; nullable where a failed cell or a publication has nothing to tell."""

FRAMES_SCHEMA = pa.schema(
    [
        *_fields(pa.string(), "cell_key codec sequence"),
        *_fields(pa.float64(), "q"),
        *_fields(pa.string(), "metric"),
        *_fields(pa.int64(), "frame"),
        *_fields(pa.float64(), "score"),
    ]
)
"""frames.parquet, in order."""

SUMMARY_KEYS: dict[str, type] = {
    "request": dict,
    "run": dict,
    "codecs": list,
    "sequences": list,
    "metrics": list,
    "outcomes": dict,
    "rate_match": list,
    "commands": list,
    "failures": list,
    "bd_rate": list,
    "files": dict,
}
"""The keys of summary.json besides `schema`, and whether each is a list of objects or an object."""


def check_points(table: pa.Table, where: object) -> None:
    """Check what the schema cannot say: no null where a value belongs, and scores that agree with their status.

    Raises:
        StoreError: the first contradiction.
    """
    for field in POINTS_SCHEMA:
        if not field.nullable and table[field.name].null_count:
            raise StoreError(f"the column {field.name} has a null", where=where, expected="a value in every row")
    status, score = table["status"], table["score"]
    # NaN is a value to Arrow, null is none.
    agrees = {
        "ok": pc.is_finite(score),
        "infinite": pc.is_inf(score),
        "nan": pc.is_nan(score),
        **dict.fromkeys(NO_SCORE_STATUSES, pc.is_null(score)),
    }
    good = pa.scalar(False)
    for name, fits in agrees.items():
        good = pc.or_(good, pc.and_(pc.equal(status, name), pc.fill_null(fits, False)))
    wrong = pc.invert(good)
    if len(table) and pc.any(wrong).as_py():
        row = table.filter(wrong).slice(0, 1).to_pylist()[0]
        raise StoreError(
            "a score and its status contradict each other",
            where=f"{where}: {row['codec']}, {row['sequence']}, {row['metric']} {row['statistic']}",
            expected="ok with a finite score, infinite with inf, nan with NaN, any other known status with null",
            got=f"{row['status']} with {row['score']}",
        )


def check_summary(summary: Any, where: Path) -> None:
    """Check the keys and shapes of summary.json; `docs/summary.schema.json` says the rest.

    Raises:
        StoreError: the first key that is wrong.
    """

    def refuse(expected: str, got: object) -> None:
        raise StoreError("not the summary of a run", where=where, expected=expected, got=str(got)[:200], fix=RERUN)

    if not isinstance(summary, dict):
        refuse("a JSON object", type(summary).__name__)
    if summary.get("schema") != SCHEMA:
        refuse(f"schema {SCHEMA}", f"schema {summary.get('schema')!r}")
    for key, kind in SUMMARY_KEYS.items():
        value = summary.get(key)
        if not isinstance(value, kind):
            refuse(f"{key}: {'a list' if kind is list else 'an object'}", type(value).__name__)
        if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
            refuse(f"{key}: a list of objects", value)
    for row in summary["bd_rate"]:
        if set(row) != set(BD_COLUMNS):
            refuse(f"bd_rate rows with {', '.join(BD_COLUMNS)}", ", ".join(row))
    for name in ("results.parquet", "frames.parquet"):
        if not isinstance(summary["files"].get(name), dict):
            refuse(f"files: the size and digest of {name}", summary["files"])
