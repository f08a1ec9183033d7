"""A small run that fits the results contract, for the tests that write and read one."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from evalsuite.results.layout import POINTS_SCHEMA
from evalsuite.results.load import FrameScores
from evalsuite.results.tables import bd_table
from evalsuite.types import Failure, MetricInfo

PSNR = MetricInfo(
    name="psnr_y",
    family="fidelity",
    unit="dB",
    higher_is_better=True,
    version="1",
    definition="10 log10(peak^2 / MSE)",
    source="ITU-T J.247",
    range=(0, math.inf),
)


CODING: dict[str, Any] = {
    "structure": "random access",
    "rate_control": "crf",
    "internal_bit_depth": 8,
    "lookahead": 25,
    "delay": 29,
    "scale_divisor": 1,
    "rate_source": "file",
    "threads": 1,
    "encode_wall_s": 2.5,
    "encode_cpu_s": 2.4,
    "encode_load_s": None,
    "encode_peak_rss_bytes": 50_000_000,
    "encode_ran_alone": False,
    "decode_wall_s": 0.2,
    "decode_cpu_s": 0.15,
    "decode_load_s": None,
    "decode_peak_rss_bytes": 40_000_000,
    "decode_ran_alone": False,
    "decode_streams": None,
    "decode_first_frame_s": None,
    "decode_jitter_s": None,
    **dict.fromkeys(f"decode_latency_p{percent}_s" for percent in (50, 95, 99)),
}
"""How a cell was coded and what that took, where streaming was not timed."""


def point(codec="x265", index=0, **changes) -> dict[str, Any]:
    row = {
        "codec": codec,
        "preset": "medium",
        "sequence": "carphone",
        "dataset": "demo",
        "tags": "conferencing,face",
        "width": 176,
        "height": 144,
        "frame_rate": 30000 / 1001,
        "frames": 60,
        "q": 30.0 + index,
        "target_bpp": 0.08 / 2**index,
        "bpp": (0.081 if codec == "x265" else 0.07) / 2**index,
        "kbps": 61.5,
        "bytes": 15400,
        "metric": "psnr_y",
        "statistic": "mean",
        "score": 38.0 - 2 * index,
        "unit": "dB",
        "higher_is_better": True,
        "log_domain_ceiling": None,
        "status": "ok",
        "reason": "",
        "cell_key": f"{codec}{index}",
        "metric_version": "1",
        "codec_version": "4.3",
        "intra_period": 32,
        **CODING,
        "structure": "low-delay",
        "encode_wall_s": 0.5,
        "encode_cpu_s": 0.4,
        "decode_wall_s": 0.1,
        "decode_cpu_s": 0.1,
        "decode_ran_alone": True,
        "decode_streams": True,
        "decode_first_frame_s": 0.05,
        "decode_latency_p50_s": 0.001,
        "decode_latency_p95_s": 0.002,
        "decode_latency_p99_s": 0.003,
        "decode_jitter_s": 0.0005,
        "bitstream_sha256": "ab",
        "source_sha256": "cd",
    }
    return row | changes


def points() -> list[dict[str, Any]]:
    return [point(codec, index) for codec in ("x265", "vvenc") for index in range(4)]


def frames() -> list[FrameScores]:
    return [
        FrameScores("x2650", "x265", "carphone", 30.0, "psnr_y", np.array([38.0, math.inf, math.nan])),
        FrameScores("x2650", "x265", "carphone", 30.0, "vmaf", np.array([90.0, 91, 92])),
        FrameScores("vvenc0", "vvenc", "carphone", 30.0, "psnr_y", np.array([39.0, 40, 41])),
    ]


def summary(rows=None) -> dict[str, Any]:
    table = pa.Table.from_pylist(rows or points(), schema=POINTS_SCHEMA).to_pandas()
    codec = {
        "name": "x265",
        "preset": "medium",
        "version": "4.3",
        "binary": "/usr/bin/ffmpeg",
        "binary_sha256": {"ffmpeg": "ab"},
        "recipe_sha256": "cd",
        "files": {"weights.npz": "ef"},
        "structure": "low-delay",
        "intra_period": 32,
        "threads": 1,
        "rate_control": "crf",
        "internal_bit_depth": 8,
        "lookahead": 25,
        "delay": 29,
        "rate_source": "file",
        "encode": ["ffmpeg", "-i", "{input}", "{output}"],
        "decode": ["ffmpeg", "-i", "{input}", "{output}"],
    }
    return {
        "request": {"codecs": ["x265", "vvenc"]},
        "run": {
            "started": "2026-01-01T00:00:00Z",
            "finished": "2026-01-01T00:01:00Z",
            "wall_s": 60.0,
            "cpu_s": 100.0,
            "commit": "8920981",
            "dirty": False,
            "machine": {"cpu": "a processor", "cores": 2, "load_average_1min": 0.25},
            "environment": {"OMP_NUM_THREADS": "1"},
            "timing": {
                "alone": False,
                "remarks": ["x265 carphone q 30: it could not be timed"],
                "load_s": {"x265": {"encode": 0.25, "decode": None}},
            },
            "versions": {"evalsuite": "0.1.0"},
        },
        "codecs": [codec],
        "sequences": [
            {
                "name": "carphone",
                "dataset": "demo",
                "width": 176,
                "height": 144,
                "frame_rate": Fraction(30000, 1001),
                "frames": 60,
                "bit_depth": 8,
                "chroma": "420",
                "colour": "bt601 limited",
                "tags": ("conferencing",),
                "licence": "",
                "origin": "a package",
                "sha256": "cd",
            }
        ],
        "metrics": [PSNR],
        "outcomes": {
            "cells": 8,
            "encodes": 12,
            "encodes_cached": 0,
            "measured": 8,
            "measured_cached": 0,
            "failed": 1,
        },
        "rate_match": rate_match(table),
        "commands": [
            {
                "cell_key": "x2650",
                "codec": "x265",
                "sequence": "carphone",
                "q": np.float64(30),
                "encode": ["ffmpeg"],
                "decode": ["ffmpeg"],
            }
        ],
        "failures": [Failure("x265", "carphone", None, "encode", "it exited with code 1")],
        "bd_rate": bd_table(table, "x265"),
    }


def rate_match(points: pd.DataFrame) -> list[dict[str, object]]:
    """The rate-match rows of a summary for these points, each found with two encodes."""
    matched = points[points["target_bpp"].notna() & points["bpp"].notna()].drop_duplicates(["cell_key", "target_bpp"])
    names = ["codec", "sequence", "target_bpp", "bpp", "q"]
    return [
        {**row, "deviation_percent": 100 * (row["bpp"] / row["target_bpp"] - 1), "encodes": 2}
        for row in matched[names].to_dict("records")
    ]
