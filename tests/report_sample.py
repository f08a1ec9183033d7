"""A run folder whose BD-rates are known in closed form, for the tests of the report.

Every score is a straight line over the logarithm of the rate, and the test codec reaches the anchor's score at
`factor` times its rate: its BD-rate is 100 (factor - 1) on every metric, whatever the interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
from report_facts import (
    FIGURES,
    METRICS,
    SEQUENCES,
    TOKENS,
    codec_entry,
    metric_entry,
    sequence_entry,
    token_entry,
    token_rows,
)
from results_samples import CODING, rate_match

from evalsuite.report.build import build_report
from evalsuite.results.layout import POINTS_SCHEMA
from evalsuite.results.load import write_results
from evalsuite.results.tables import bd_table

FACTORS = {"carphone": 1.20, "face": 1.25, "street": 1.27, "bikes": 1.30, "bunny": 1.33}  # mean 1.27

TARGETS = (0.01, 0.02, 0.04, 0.08)
REASONS = {
    "too_small": "MS-SSIM needs 176 pixels on each side, the frame is 176x144",
    "unavailable": "the LPIPS weights could not be fetched: no network",
}


def write_sample(
    folder: Path,
    *,
    codecs: Sequence[str] = ("vvenc", "x265"),
    sequences: Sequence[str] = tuple(SEQUENCES),
    metrics: Sequence[str] = tuple(METRICS),
    factors: Mapping[str, float] = FACTORS,
    shift: Mapping[tuple[str, str], float] | None = None,
    steep: Mapping[tuple[str, str], float] | None = None,
    targets: Sequence[float] = TARGETS,
    gaps: Mapping[tuple[str, str], str] | None = None,
    failures: Sequence[Mapping[str, Any]] = (),
    tokenized: Sequence[str] = (),
    floors: Mapping[tuple[str, str], float] | None = None,
    facts: Mapping[str, Any] | None = None,
    codec_facts: Mapping[str, Mapping[str, Any]] | None = None,
    metric_facts: Mapping[str, Any] | None = None,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    run: Mapping[str, Any] | None = None,
    compare: bool = True,
) -> Path:
    """Write a run.

    Args:
        folder: where.
        codecs: the first is the anchor, the n-th needs factor**n of its rate.
        sequences: names from SEQUENCES; any other name gets the geometry of face.
        metrics: names from METRICS; any other name gets the numbers of vmaf.
        factors: rate of the test codec over the anchor's at equal quality, by sequence.
        shift: rates of (codec, sequence) times this, at unchanged quality: moves its quality range.
        steep: slope of the curves of (codec, sequence) times this, around the score at 0.01 bpp: makes curves cross.
        targets: bpp of the points.
        gaps: status of a (metric, sequence) that has no scores; sequence `*` is all.
        failures: entries of the summary.
        tokenized: codecs that have tokens; where there is one, all codecs have the rows of the token figures.
        floors: lowest bpp that (codec, sequence) reaches.
        facts: more facts of every codec.
        codec_facts: more facts of one codec, by name.
        metric_facts: more facts of every metric; a version is that of the scores too.
        costs: columns of the rows of one codec, by name, such as time and memory.
        run: more facts of the run.
        compare: whether there are BD-rate rows.
    """
    rows = [
        row
        for order, codec in enumerate(codecs)
        for sequence in sequences
        for target in targets
        for row in _point(
            codec,
            order,
            sequence,
            target,
            metrics,
            factors,
            shift or {},
            steep or {},
            gaps or {},
            tokenized,
            floors or {},
        )
    ]
    for row in rows:
        row.update((costs or {}).get(row["codec"], {}))
        row["metric_version"] = (metric_facts or {}).get("version", row["metric_version"])
    points = pd.DataFrame(rows)
    cells = points.drop_duplicates("cell_key")
    write_results(
        folder,
        rows,
        [],
        {
            "request": {"command": ["evalsuite", "run", "--codecs", ",".join(codecs), "--out", "two words"]},
            "run": {
                "started": "2026-03-01T10:00:00+00:00",
                "finished": "2026-03-01T10:03:20+00:00",
                "wall_s": 200.4,
                "cpu_s": 371.0,
                "commit": "0123456789abcdef0123456789abcdef01234567",
                "dirty": False,
                "machine": {"cpu": "Example CPU 3000", "cores": 2, "memory_gib": 7.8, "system": "Linux 6.1"},
                "versions": {"evalsuite": "0.1.0", "python": "3.11.7", "ffmpeg": "n9.0.2", "libvmaf": "3.0.0"},
                **(run or {}),
            },
            "codecs": [codec_entry(codec, {**(facts or {}), **(codec_facts or {}).get(codec, {})}) for codec in codecs],
            "sequences": [sequence_entry(name) for name in sequences],
            "metrics": [
                *({**metric_entry(name), **(metric_facts or {})} for name in metrics),
                *(token_entry(name) for name in TOKENS if tokenized),
            ],
            "outcomes": {
                "cells": len(cells),
                "encodes": 81,
                "encodes_cached": 3,
                "measured": len(cells),
                "failed": len(failures),
            },
            "rate_match": rate_match(points),
            "commands": [
                {
                    "cell_key": row["cell_key"],
                    "codec": row["codec"],
                    "sequence": row["sequence"],
                    "q": row["q"],
                    "encode": [
                        "ffmpeg",
                        "-i",
                        "in put.y4m",
                        "-c:v",
                        f"lib{row['codec']}",
                        "-crf",
                        f"{row['q']:g}",
                        "out.bin",
                    ],
                    "decode": ["ffmpeg", "-i", "out.bin", "-f", "rawvideo", "-"],
                }
                for row in cells.to_dict("records")
            ],
            "failures": list(failures),
            "bd_rate": bd_table(points, codecs[0]) if compare and len(codecs) > 1 else [],
        },
    )
    return folder


HOSTILE = "<img src=x onerror=alert(1)>"
BREAKOUT = "</script><script>alert(2)</script>"
QUOTES = "\"'` onmouseover=alert(3) {{ 7*7 }} <!--"


def plain_report(folder: Path) -> Path:
    """The report of a run of three codecs, some of whose figures are missing."""
    gaps = {("psnr_y", "face"): "infinite", ("ms_ssim", "carphone"): "too_small"}
    return build_report([write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], gaps=gaps)], folder / "report")


def failure(**changes: Any) -> dict[str, Any]:
    """An entry of the failures."""
    return {
        "codec": "x265",
        "sequence": "bikes",
        "q": 28.0,
        "stage": "encode",
        "message": "the encoder ended with exit status 187",
        "cell_key": "",
        "command": ["ffmpeg", "-i", "two words.y4m"],
        "stderr_tail": "[libx265] unknown option",
        **changes,
    }


def hostile_run(folder: Path) -> Path:
    """A run whose names and messages try to be markup."""
    return write_sample(
        folder,
        codecs=["vvenc", HOSTILE, BREAKOUT],
        sequences=["carphone", QUOTES],
        metrics=["vmaf", "m" + HOSTILE],
        tokenized=[HOSTILE],
        failures=[failure(codec=HOSTILE, sequence=QUOTES, message=BREAKOUT, stderr_tail=HOSTILE, command=[BREAKOUT])],
        facts={"version": HOSTILE, "binary": BREAKOUT, "structure": QUOTES, "encode": [HOSTILE, QUOTES]},
        codec_facts={HOSTILE: {"scale": {"divisor": BREAKOUT, "filter": HOSTILE}}},
        floors={(HOSTILE, QUOTES): 0.015},
        run={"commit": BREAKOUT, "machine": {HOSTILE: {QUOTES: BREAKOUT}}, "versions": {QUOTES: HOSTILE}},
    )


def _point(
    codec: str,
    order: int,
    sequence: str,
    target: float,
    metrics: Sequence[str],
    factors: Mapping[str, float],
    shift: Mapping[tuple[str, str], float],
    steep: Mapping[tuple[str, str], float],
    gaps: Mapping[tuple[str, str], str],
    tokenized: Sequence[str],
    floors: Mapping[tuple[str, str], float],
) -> list[dict[str, Any]]:
    width, height, rate, frames, tags = SEQUENCES.get(sequence, SEQUENCES["face"])
    fps = float(Fraction(rate))
    bpp = max(target * (1.004 if order else 1.0), floors.get((codec, sequence), 0.0))
    decades = math.log10(bpp / 0.01 / factors.get(sequence, 1.27) ** order * shift.get((codec, sequence), 1.0))
    decades *= steep.get((codec, sequence), 1.0)
    q = round(40 - 6 * math.log2(target / 0.01), 2)
    shared = {
        **dict.fromkeys(field.name for field in POINTS_SCHEMA if field.nullable),
        "codec": codec,
        "preset": "medium",
        "sequence": sequence,
        "dataset": "demo",
        "tags": ",".join(tags),
        "width": width,
        "height": height,
        "frame_rate": fps,
        "frames": frames,
        "q": q,
        "target_bpp": target,
        "bpp": bpp,
        "kbps": bpp * width * height * fps / 1000,
        "bytes": round(bpp * width * height * frames / 8),
        "cell_key": f"{codec}|{order}|{sequence}|{q}",
        "metric_version": "1",
        "codec_version": f"{codec} 4.3",
        "intra_period": 48,
        **CODING,
        "bitstream_sha256": "b" * 64,
        "source_sha256": f"{sequence:x<64}"[:64],
    }
    rows = []
    for metric in metrics:
        unit, higher, start, slope = {**METRICS, **FIGURES}.get(metric, METRICS["vmaf"])
        status = gaps.get((metric, sequence), gaps.get((metric, "*"), "ok"))
        mean = start + slope * decades
        for statistic, share in (("mean", 0.0), ("p5", 0.04), ("worst", 0.08))[: 1 if metric in FIGURES else 3]:
            score = {
                "ok": mean - abs(slope) * share * (1 if higher else -1),
                "infinite": math.inf,
                "nan": math.nan,
            }.get(status)
            rows.append(
                {
                    **shared,
                    "metric": metric,
                    "statistic": statistic,
                    "score": score,
                    "unit": unit,
                    "higher_is_better": higher,
                    "log_domain_ceiling": None,
                    "status": status,
                    "reason": REASONS.get(status, ""),
                }
            )
    if tokenized:
        rows.extend(token_rows(shared, decades, codec in tokenized, gaps))
    return rows
