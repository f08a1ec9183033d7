"""Rate-quality points from anyone's CSV: wide (`bitrate,psnr,vmaf`) or tidy (`bitrate,metric,score`).

Column names are matched without regard to case, blanks and punctuation; units and metric names have aliases. What
cannot be read is refused with its line. The format is described in `docs/bd-rate.md`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalsuite.errors import RequestError, did_you_mean

RateUnit = Literal["kbps", "bpp", "unnamed"]

MAX_BYTES = 16 << 20
"""A table of rate points is a few kilobytes; more is a wrong file."""

_RATES: dict[str, tuple[RateUnit, float]] = {
    **dict.fromkeys(("kbps", "kbits", "kbitps", "ratekbps", "bitratekbps", "ratekbits", "bitratekbits"), ("kbps", 1)),
    **dict.fromkeys(("mbps", "mbits", "ratembps", "bitratembps"), ("kbps", 1e3)),
    **dict.fromkeys(("bps", "ratebps", "bitratebps"), ("kbps", 1e-3)),
    **dict.fromkeys(("bpp", "bitsperpixel", "ratebpp", "bitratebpp"), ("bpp", 1)),
    **dict.fromkeys(("rate", "bitrate"), ("unnamed", 1)),
}
_UNITS: tuple[RateUnit, ...] = ("kbps", "bpp", "unnamed")
_SEQUENCE = ("sequence", "seq", "sequencename", "seqname", "video", "clip")
_SCORE = ("score", "value")
_SIDE = (
    *("q", "qp", "crf", "preset", "frames", "fps", "framerate", "dataset", "width", "height"),
    *("bytes", "unit", "status", "reason", "metricversion", "sourcesha256"),
)
MISSING = ("", "-", "na", "n/a", "none", "null")


@dataclass(frozen=True, slots=True)
class KnownMetric:
    """What `evalsuite bd` knows of a metric that it has not measured."""

    higher_is_better: bool
    log_domain_ceiling: float | None = None


KNOWN: dict[str, KnownMetric] = {
    **dict.fromkeys(
        (
            *("psnr", "psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "psnr_yuv_mse", "psnr_rgb", "psnr_hvs"),
            *("xpsnr", "xpsnr_y", "xpsnr_cb", "xpsnr_cr", "ciede2000", "cvvdp", "ssimulacra2", "sharpness"),
            *("scene_integrity", "scene_integrity_low", "face_ap50", "face_recall", "face_precision", "face_matched"),
            *("face_ap50_centerface", "face_recall_centerface", "face_matched_centerface", "identity_cos"),
            *("text_recall", "object_map50"),
        ),
        KnownMetric(True),
    ),
    **dict.fromkeys(("ssim", "ms_ssim"), KnownMetric(True, 1.0)),
    **dict.fromkeys(("vmaf", "vmaf_neg"), KnownMetric(True, 100.0)),
    **dict.fromkeys(
        (
            *("lpips", "lpips_vgg", "dists", "mse", "cambi", "brisque", "niqe", "warp_error", "tof", "tlpips"),
            *("flicker", "frame_diff_mad", "strred", "strred_ssn", "srred", "trred", "text_cer"),
            *("landmark_nme", "landmark_nme_centerface"),
        ),
        KnownMetric(False),
    ),
}
"""Directions and ceilings of the metrics that `bd` knows by name."""

_ALIASES = {
    "ypsnr": "psnr_y",
    "psnru": "psnr_cb",
    "upsnr": "psnr_cb",
    "psnrv": "psnr_cr",
    "vpsnr": "psnr_cr",
    "yuvpsnr": "psnr_yuv",
    "floatssim": "ssim",
    "floatmsssim": "ms_ssim",
    **{name.replace("_", ""): name for name in KNOWN},
}


def metric_name(text: str) -> str:
    """The suite's name for what a column or option calls a metric; unknown names are only tidied.

    >>> metric_name("MS-SSIM"), metric_name("PSNR (Y)"), metric_name("My metric")
    ('ms_ssim', 'psnr_y', 'my_metric')
    """
    tidy = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")
    return _ALIASES.get(tidy.replace("_", ""), tidy)


@dataclass(frozen=True, slots=True)
class Points:
    """The rate points of one metric on one sequence, as they stand in the file."""

    rates: list[float]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class RDTable:
    """One CSV of one codec."""

    path: Path
    units: dict[RateUnit, tuple[str, float]]
    """The units of rate that the file gives, each with its column's name and the factor from what is written there."""
    metrics: tuple[str, ...]
    has_sequences: bool
    rows: tuple[tuple[str, str, dict[RateUnit, float], float], ...]
    """(sequence, metric, rate by unit, score); the sequence is empty where there is no such column."""
    lines: tuple[tuple[int, dict[str, str]], ...]
    """For each of `rows` the line it stands in, and the cells of the other columns that are known, by name."""
    codec: str
    """What the codec column says; empty where there is none."""

    def points(self, metric: str, unit: RateUnit, factor: float = 1.0) -> dict[str, Points]:
        """By sequence, in the file's order; rates times a factor."""
        found: dict[str, Points] = {}
        for sequence, name, rates, score in self.rows:
            if name == metric:
                points = found.setdefault(sequence, Points([], []))
                points.rates.append(factor * rates[unit])
                points.scores.append(score)
        return found


def read_rd_csv(path: Path, metric: str | None = None) -> RDTable:
    """Read the rate points of one codec.

    Args:
        path: comma, semicolon or tab separated, UTF-8, with a header.
        metric: a metric to look for; without it, every column whose name is a known metric's is one, and else the
            only column that is nothing else.

    Raises:
        RequestError: the file cannot be read, or is not such a table; with the line where it is about one.
    """
    lines = list(_lines(path))
    if len(lines) < 2:
        raise _bad(path, "no rate points in it", "a header and a line for each rate point", f"{len(lines)} lines")
    header = lines[0][1]
    layout = _layout(path, header, metric)
    rows: list[tuple[str, str, dict[RateUnit, float], float]] = []
    codecs: set[str] = set()
    places: list[tuple[int, dict[str, str]]] = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise _bad(path, f"line {number} does not fit the header", f"{len(header)} cells", f"{len(cells)}")
        if layout.statistic is not None and cells[layout.statistic].casefold() != "mean":
            continue
        if layout.codec is not None:
            codecs.add(cells[layout.codec])
        sequence = cells[layout.sequence] if layout.sequence is not None else ""
        if layout.sequence is not None and not sequence:
            # As of a spreadsheet's merged cells: which of the sequences it is of is not in the file.
            raise _bad(path, f"line {number} names no sequence", f"one in the column {header[layout.sequence]}", "none")
        side = {name: cells[i] for name, i in layout.side.items()}
        rates = {unit: factor * read_number(path, number, cells[i]) for unit, (i, factor) in layout.rates.items()}
        for name, i in layout.scores.items():
            named = metric_name(cells[layout.metric]) if layout.metric is not None else name
            rows.append((sequence, named, rates, read_number(path, number, cells[i])))
            places.append((number, side))
    if len(codecs) > 1:
        raise _bad(path, "several codecs in one file", "the points of one codec", ", ".join(sorted(codecs)))
    _check_one(path, "preset", {"": [side.get("preset", "") for _, side in places]})
    by_sequence: dict[str, list[str]] = {}
    for row, (_, side) in zip(rows, places, strict=True):
        by_sequence.setdefault(row[0], []).append(side.get("dataset", ""))
    _check_one(path, "dataset", by_sequence)
    return RDTable(
        path=path,
        units={unit: (header[i], factor) for unit, (i, factor) in layout.rates.items()},
        metrics=tuple(dict.fromkeys(row[1] for row in rows)),
        has_sequences=layout.sequence is not None,
        rows=tuple(rows),
        lines=tuple(places),
        codec=next(iter(codecs), ""),
    )


def _check_one(path: Path, column: str, found: dict[str, list[str]]) -> None:
    """Refuse the points of several presets as one codec's, and those of several datasets as one sequence's."""
    for sequence, given in found.items():
        values = {value for value in given if value.casefold() not in MISSING}
        if len(values) > 1:
            where = f" of {sequence}" if sequence else ""
            got = ", ".join(sorted(values))
            raise _bad(path, f"several values of {column}{where}", "the points of one in each file", got)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column holds what, by index."""

    rates: dict[RateUnit, tuple[int, float]]
    """The column of each unit, and the factor to it."""
    scores: dict[str, int]
    """The column of each metric; one nameless column where `metric` names it line by line."""
    metric: int | None
    sequence: int | None
    codec: int | None
    statistic: int | None
    side: dict[str, int]
    """Columns that are neither, by name."""


def _layout(path: Path, header: list[str], metric: str | None) -> _Layout:
    names = [re.sub(r"[^a-z0-9]+", "", name.casefold()) for name in header]
    side = {name: i for i, name in enumerate(names) if name in _SIDE}
    taken: set[int] = {i for i, name in enumerate(names) if name in _SIDE or not name}

    def column(*wanted: str) -> int | None:
        found = [i for i, name in enumerate(names) if name in wanted]
        if len(found) > 1:
            got = ", ".join(header[i] for i in found)
            raise _bad(path, "two columns for the same thing", f"one of {', '.join(wanted)}", got)
        taken.update(found)
        return found[0] if found else None

    if all(_is_number(name) for name in header):
        raise _bad(path, "no header", "names of columns in the first line, such as bitrate,psnr", ",".join(header))
    rates: dict[RateUnit, tuple[int, float]] = {}
    for unit in _UNITS:
        i = column(*(name for name, (of, _) in _RATES.items() if of == unit))
        if i is not None:
            rates[unit] = (i, _RATES[names[i]][1])
    if not rates:
        raise _bad(path, "no rate column", "one called bitrate, rate, kbps, mbps, bps or bpp", ", ".join(header))
    sequence, codec, statistic = column(*_SEQUENCE), column("codec"), column("statistic")
    tidy = column("metric")
    if tidy is None:
        scores = _metric_columns(path, header, taken, metric)
    else:
        score = column(*_SCORE)
        if score is None:
            raise _bad(path, "a metric column but no scores", "a column called score", ", ".join(header))
        scores = {"": score}
    return _Layout(rates, scores, tidy, sequence, codec, statistic, side)


def read_start(path: Path, size: int) -> bytes:
    """At most the first `size` bytes of a file of points.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise RequestError(f"the file cannot be read: {error.strerror}", where=path) from error


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    data = read_start(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _bad(path, "too large for a table of rate points", f"at most {MAX_BYTES >> 20} MiB", "more")
    try:
        text = data.decode("utf-8-sig")
        first = text.lstrip().split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, "not a CSV file in UTF-8", "text, separated by commas, semicolons or tabs", error) from error


def _metric_columns(path: Path, header: list[str], taken: set[int], metric: str | None) -> dict[str, int]:
    free = [(i, metric_name(name)) for i, name in enumerate(header) if i not in taken]
    if metric is not None:
        chosen = [(i, name) for i, name in free if name == metric]
        if not chosen:
            raise RequestError(
                f"no column for the metric {metric!r}",
                where=path,
                got=", ".join(header),
                fix=did_you_mean(metric, {name for _, name in free}),
            )
    else:
        chosen = [(i, name) for i, name in free if name in KNOWN] or free
    columns: dict[str, int] = {}
    for i, name in chosen:
        if name in columns:
            raise _bad(path, f"two columns for {name}", "one", f"{header[columns[name]]}, {header[i]}")
        columns[name] = i
    if not columns:
        raise _bad(path, "no column with scores", "one such as psnr, ssim, vmaf or lpips", ", ".join(header))
    if not set(columns) & set(KNOWN) and len(columns) > 1 and metric is None:
        raise _bad(
            path,
            "which column has the scores is not clear",
            "one metric that is known by name, or --metric",
            ", ".join(columns),
        )
    return columns


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_number(path: Path, line: int, cell: str) -> float:
    """A cell as a number; NaN where it says that there is none.

    Raises:
        RequestError: it is neither.
    """
    if cell.casefold() in MISSING:
        return float("nan")
    # float() takes 1_000, which no other program writes as a number.
    if not _is_number(cell) or "_" in cell:
        raise _bad(path, f"line {line} has a cell that is not a number", "a number with a decimal point", cell[:80])
    return float(cell)


def _bad(path: Path, what: str, expected: str, got: object) -> RequestError:
    return RequestError(f"not a table of rate points: {what}", where=path, expected=expected, got=got)
