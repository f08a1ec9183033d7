"""Published points as a run folder: what nobody says stays unknown, and every row says that it was not re-run."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalsuite import provenance
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.folder import check_results
from evalsuite.results.load import write_results
from evalsuite.results.published import awcy, compressai, dcvc, table
from evalsuite.results.published.base import Given, Publication, PublishedPoint, Source
from evalsuite.results.published.rows import TOLD, codec_entry, metric_entries, point_rows, sequence_entry

FORMATS: dict[str, Callable[[Path, Given], Publication]] = {
    "dcvc": dcvc.read,
    "compressai": compressai.read,
    "awcy": awcy.read,
    "csv": table.read,
}
"""What `evalsuite import --format` takes."""

_AGREE = 0.01
"""Difference of two rates of one point that rounding, and 30 for 30000/1001, may make."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read and written."""

    folder: Path
    codec: str
    sequences: int
    points: int
    metrics: tuple[str, ...]
    unknown: tuple[str, ...]
    """Properties that nothing tells: comparisons with codecs that are known in them are marked."""


def import_published(
    files: Sequence[Path], format: str, given: Given, out: Path, command: Sequence[str] = ()
) -> Imported:
    """Read published points of one codec and write them as a run folder.

    Args:
        files: one or several files of one format.
        format: a name of `FORMATS`.
        given: what the files do not say.
        out: the folder; its results are replaced.
        command: what was typed, for the record.

    Raises:
        RequestError: a folder with files that are no run's; an unknown format,
            a file that is not of it, or a fact that is missing or contradicted.
        StoreError: the folder cannot be written.
    """
    started, cpu_started = time.time(), time.process_time()
    check_results(out)
    if format not in FORMATS:
        raise RequestError(f"unknown format {format!r}", fix=did_you_mean(format, FORMATS))
    publications = [FORMATS[format](path, given) for path in files]
    codec = _codec_name(files, publications, given)
    points = _points(files, publications, given)
    metrics = metric_entries(format, publications, points)
    digests = [{"name": path.name, **_digest(path)} for path in files]
    entry = codec_entry(codec, format, given, publications, digests)
    rows = list(point_rows(codec, given, points, metrics, digests))
    commit, dirty = provenance.commit()
    sources = list(dict.fromkeys(point.source for point in points))
    write_results(
        out,
        rows,
        [],
        {
            "request": {
                "command": list(command),
                "codecs": [codec],
                "anchor": codec,
                "format": format,
                "files": digests,
                "given": {key: value for key, value in asdict(given).items() if value not in (None, "")},
            },
            "run": {
                "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "wall_s": round(time.time() - started, 3),
                "cpu_s": round(time.process_time() - cpu_started, 3),
                "commit": commit,
                "dirty": dirty,
                "machine": provenance.machine(),
                "versions": provenance.versions(),
            },
            "codecs": [entry],
            "sequences": [sequence_entry(source) for source in sources],
            "metrics": list(metrics.values()),
            "outcomes": {
                **dict.fromkeys(("encodes", "encodes_cached", "measured", "measured_cached", "failed"), 0),
                "cells": len(points),
            },
            "rate_match": [],
            "commands": [],
            "failures": [],
            "bd_rate": [],
        },
    )
    unknown = tuple(name for name in TOLD if getattr(given, name) is None)
    return Imported(out, codec, len(sources), len(points), tuple(metrics), unknown)


def _codec_name(files: Sequence[Path], publications: Sequence[Publication], given: Given) -> str:
    names = {publication.codec for publication in publications if publication.codec}
    if len(names) > 1:
        # One name for all of them would make one curve of several.
        raise RequestError(
            "the files are of several codecs", got=", ".join(sorted(names)), fix="import each codec by itself"
        )
    name = given.codec or next(iter(names), None) or (files[0].stem if len(files) == 1 else None)
    if not name:
        raise RequestError("the files do not say which codec they are of", fix="name it with --codec")
    return name


def _points(files: Sequence[Path], publications: Sequence[Publication], given: Given) -> list[PublishedPoint]:
    """All points, with what the user says filled in and rates in both units where they can be."""
    found = [
        (path, point) for path, publication in zip(files, publications, strict=True) for point in publication.points
    ]
    if given.sequence and len({point.source.name for _, point in found}) > 1:
        raise RequestError("--sequence names one sequence, and there are several", got=given.sequence)
    filled = [_with_rates(path, replace(point, source=_filled(path, point.source, given))) for path, point in found]
    facts: dict[tuple[str, str], Source] = {}
    for (path, _), point in zip(found, filled, strict=True):
        known = facts.setdefault((point.source.dataset, point.source.name), point.source)
        if known != point.source:
            raise RequestError(
                f"the points of {point.source.name} are not of one sequence",
                where=path,
                expected=_said(known),
                got=_said(point.source),
            )
    names = [name for _, name in facts]
    filled = [
        replace(point, source=replace(point.source, name=f"{point.source.name} ({point.source.dataset})"))
        if names.count(point.source.name) > 1
        else point
        for point in filled
    ]
    return filled if _falls(filled) else [replace(point, q=None) for point in filled]


def _said(source: Source) -> str:
    return f"{source.width}x{source.height}, {source.frames} frames, {source.frame_rate} fps"


def _filled(path: Path, source: Source, given: Given) -> Source:
    facts: dict[str, Any] = {}
    for name in ("width", "height", "frame_rate", "frames"):
        said, told = getattr(source, name), getattr(given, name)
        if said is not None and told is not None and said != told:
            raise RequestError(
                f"{name.replace('_', ' ')}: what was given contradicts the file",
                where=f"{path}: {source.name}",
                expected=said,
                got=told,
                fix="leave the option out",
            )
        facts[name] = said if said is not None else told
    return replace(source, name=given.sequence or source.name, **facts)


def _with_rates(path: Path, point: PublishedPoint) -> PublishedPoint:
    source, bpp, kbps = point.source, point.bpp, point.kbps
    sample_rate = None
    if source.width and source.height and source.frame_rate:
        sample_rate = float(source.width * source.height * source.frame_rate / 1000)  # 1000 samples a second
    if bpp is None and kbps is not None:
        if sample_rate is None:
            raise RequestError(
                "bits per pixel cannot be known from kbps alone",
                where=f"{path}: {source.name}",
                expected="width, height and frame rate",
                fix="give --size and --fps",
            )
        bpp = kbps / sample_rate
    if bpp is None or not (0 < bpp < math.inf):
        raise RequestError(
            "a rate point without a rate",
            where=f"{path}: {source.name}, {point.label}",
            got="none" if bpp is None else bpp,
        )
    if kbps is None and sample_rate is not None:
        kbps = bpp * sample_rate
    told = {"bpp": bpp}
    if kbps is not None and sample_rate is not None:
        told["kbps"] = kbps / sample_rate
    if point.bytes is not None and source.width and source.height and source.frames:
        told["bytes"] = 8 * point.bytes / (source.width * source.height * source.frames)
    # Means over a dataset are of several sizes and rates, and need not agree.
    if not source.averaged and max(told.values()) > (1 + _AGREE) * min(told.values()):
        raise RequestError(
            "the rates of a point contradict each other",
            where=f"{path}: {source.name}, {point.label}",
            expected="the same bits per pixel by each of them, within 1 %",
            got=", ".join(f"{value:.4g} by {name}" for name, value in told.items()),
            fix="correct the file, or its size, frames and frame rate",
        )
    return replace(point, bpp=bpp, kbps=kbps)


def _falls(points: Sequence[PublishedPoint]) -> bool:
    """Whether the rate falls as q rises: else the number is not the suite's q, of which less is better."""
    by_source: dict[Source, list[tuple[float, float]]] = {}
    for point in points:
        if point.q is not None and point.bpp is not None:
            by_source.setdefault(point.source, []).append((point.q, point.bpp))
    return all(min(pairs)[1] >= max(pairs)[1] for pairs in by_source.values())


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
