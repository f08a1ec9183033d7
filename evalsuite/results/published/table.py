"""Published points as a CSV, the format of `evalsuite bd` with a few more columns: `docs/published.md`.

A column called as a metric of the suite says that the scores are of that definition. Other metrics that are known by
name have their direction; of any other the direction is unknown, so it is shown and makes no BD-rate.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from evalsuite.errors import RequestError
from evalsuite.results.published.base import Figure, Given, Publication, PublishedPoint, Source, from_name, refused
from evalsuite.results.rdcsv import KNOWN, MISSING, RateUnit, RDTable, read_number, read_rd_csv
from evalsuite.sources.framerate import FRAME_RATES, read_frame_rate

_Q = ("q", "qp", "crf")


def read(path: Path, given: Given) -> Publication:
    """Read the points of one codec.

    Raises:
        RequestError: the file cannot be read, is not such a table, or its rates have no unit.
    """
    table = read_rd_csv(path)
    if table.units.keys() == {"unnamed"}:
        raise refused(path, "a rate without a unit", "a column called bpp, kbps, mbps or bps", "bitrate or rate")
    found: dict[tuple[Source, str, float | None, float | None], PublishedPoint] = {}
    for (sequence, metric, rates, score), (line, side) in zip(table.rows, table.lines, strict=True):
        source = _source(path, table, given, sequence or given.sequence or "", line, side)
        q = _first(path, line, side, _Q)
        bpp, kbps = _rate(path, line, rates, "bpp"), _rate(path, line, rates, "kbps")
        key = (source, "" if q is None else f"{q:g}", bpp, kbps)
        size = _count(path, line, side, "bytes", most=1e15)
        point = found.setdefault(key, PublishedPoint(source, key[1] or f"line {line}", {}, q, bpp, kbps, size))
        if None not in (point.bytes, size) and point.bytes != size:
            raise refused(path, f"line {line} has other bytes than the rate point before", point.bytes, size)
        if metric in point.scores:
            raise refused(path, f"line {line} repeats a score", f"one {metric} for each rate point", score)
        known = size if point.bytes is None else point.bytes
        found[key] = replace(point, bytes=known, scores={**point.scores, metric: score})
    figures = tuple(_figure(name) for name in table.metrics)
    return Publication(table.codec or None, tuple(found.values()), figures)


def _figure(name: str) -> Figure:
    known = KNOWN.get(name)
    if known is None:
        return Figure(name, "as published; its direction is not known", higher_is_better=None)
    unit = "dB" if "psnr" in name else ""
    return Figure(name, "as published", unit, known.higher_is_better, known.log_domain_ceiling)


def _source(path: Path, table: RDTable, given: Given, name: str, line: int, side: dict[str, str]) -> Source:
    if not name:
        raise refused(
            path,
            "no sequence" if table.has_sequences else "no column of sequences",
            "the name of the sequence in every line",
            f"line {line}",
            fix="add a column called sequence, or give --sequence",
        )
    dataset = side.get("dataset", "")
    dataset = "" if dataset.casefold() in MISSING else dataset
    if dataset and given.dataset and dataset != given.dataset:
        raise RequestError(
            "dataset: what was given contradicts the file",
            where=f"{path}, line {line}",
            expected=dataset,
            got=given.dataset,
            fix="leave the option out",
        )
    width, height, rate = from_name(name)
    counts = {key: _count(path, line, side, key) for key in ("width", "height", "frames")}
    return Source(
        name=name,
        dataset=dataset or given.dataset or "",
        width=counts["width"] or width,
        height=counts["height"] or height,
        frame_rate=_frame_rate(path, line, side) or rate,
        frames=counts["frames"],
    )


def _rate(path: Path, line: int, rates: dict[RateUnit, float], unit: RateUnit) -> float | None:
    value = rates.get(unit, math.nan)
    if math.isinf(value) or value < 0:
        raise refused(path, f"line {line} has no usable rate", "a number from 0 on", value)
    return None if math.isnan(value) else value


def _first(path: Path, line: int, side: dict[str, str], names: tuple[str, ...]) -> float | None:
    cells = [side[name] for name in names if name in side]
    value = read_number(path, line, cells[0]) if cells else math.nan
    return value if math.isfinite(value) and abs(value) < 1e15 else None


def _count(path: Path, line: int, side: dict[str, str], name: str, most: float = 1e9) -> int | None:
    value = read_number(path, line, side[name]) if name in side else math.nan
    if math.isnan(value):
        return None
    if not (1 <= value < most and value == int(value)):
        raise refused(path, f"line {line} has no usable {name}", "a whole number above 0", side[name])
    return int(value)


def _frame_rate(path: Path, line: int, side: dict[str, str]) -> Fraction | None:
    cell = next((side[name] for name in ("fps", "framerate") if side.get(name)), "")
    if cell.casefold() in (*MISSING, "nan"):
        return None
    rate = read_frame_rate(cell)
    if rate is None:
        raise refused(path, f"line {line} has no usable frame rate", FRAME_RATES, cell[:80])
    return rate
