"""Whether the numbers of a run can be true: what must hold between sizes, rates, scores and times of any codec.

Limits are wide: they catch what was mistyped, mixed up or made up carelessly. A forger who computes consistent numbers
is caught only by running the board again, which digests of sources, binaries and bitstreams are there for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pandas as pd

from evalsuite.results.load import RunResults
from evalsuite.results.plausible_facts import implausible_facts
from evalsuite.results.plausible_frames import implausible_frames
from evalsuite.results.plausible_scores import ROUNDING, implausible_scores, number, place, said
from evalsuite.results.plausible_status import implausible_statuses

_TIMES = ("encode_wall_s", "decode_wall_s")
_CPU = ("encode_cpu_s", "decode_cpu_s", "encode_load_s", "decode_load_s")
_OF_CELL = (
    *("codec", "preset", "sequence", "dataset", "tags", "width", "height", "frame_rate", "frames", "q", "target_bpp"),
    *("bpp", "kbps", "bytes", "codec_version", "intra_period", "structure", "rate_control", "internal_bit_depth"),
    *("lookahead", "delay", "scale_divisor", "rate_source", "threads", *_TIMES, *_CPU),
    *("bitstream_sha256", "source_sha256"),
)
"""Columns that say something of the bitstream, and so the same in each of its rows."""

_NEEDED = ("q", "bytes", "width", "height", "frames", "cell_key", "bitstream_sha256")
"""What every bitstream has; only where all of a cell failed there is none."""

_SHA256 = r"[0-9a-f]{64}"


def implausible(run: RunResults) -> list[str]:
    """Every reason that the numbers of a run cannot be true; empty where there is none."""
    cells, coded = run.points.drop_duplicates("cell_key"), _coded(run.points)
    checks = (
        *(_rows(run.points), _digests(run, coded), _rates(coded, run), _matches(run, cells), _times(cells)),
        *(implausible_facts(run), implausible_statuses(run), implausible_scores(run), implausible_frames(run)),
    )
    return list(dict.fromkeys(line for check in checks for line in check))


def _coded(points: pd.DataFrame) -> pd.DataFrame:
    """One row of each cell that has a bitstream, whatever else it leaves out: all but those that failed."""
    told = points[["bytes", "bpp", "kbps", "score"]].notna().any(axis=1)
    return points[told | (points["status"] != "failed")].drop_duplicates("cell_key")


def _rows(points: pd.DataFrame) -> Iterator[str]:
    twice = points[points.duplicated(["cell_key", "metric", "statistic"])]
    for at, rows in twice.groupby(["codec", "sequence"]):
        yield f"{place(at)}: {len(rows)} scores stand there twice"
    values = points.groupby("cell_key")[list(_OF_CELL)].nunique(dropna=False).max()
    for column in values[values > 1].index:
        yield f"results.parquet: rows of one bitstream disagree about {column}"
    cells = points.groupby(["codec", "sequence", "q"])["cell_key"].nunique(dropna=False)
    for codec, sequence, q in cells.index[cells > 1]:
        yield f"{codec} on {sequence}, q {said(q)}: one rate point has several bitstreams"


def _digests(run: RunResults, coded: pd.DataFrame) -> Iterator[str]:
    for column in ("cell_key", "source_sha256", "bitstream_sha256"):
        texts = coded[column].astype("string").fillna("")
        if not texts.str.fullmatch(_SHA256).all():
            yield f"results.parquet: {column} holds what is no sha256"
    digests = [
        (f"codec {one['name']}: {name}", digest)
        for one in run.summary["codecs"]
        for name, digest in [("recipe", one["recipe_sha256"]), *one["binary_sha256"].items(), *one["files"].items()]
    ]
    for name, digest in digests:
        if not pd.Series([digest], dtype="string").str.fullmatch(_SHA256).all():
            yield f"{name}: its digest is no sha256"
    shared = coded[coded.duplicated("bitstream_sha256", keep=False)]
    for at, rows in shared.groupby("bitstream_sha256"):
        if rows["bytes"].nunique() > 1:
            yield f"bitstream {str(at)[:8]}…: one digest, {rows['bytes'].nunique()} sizes"


def _rates(coded: pd.DataFrame, run: RunResults) -> Iterator[str]:
    """Rates follow from size and geometry."""
    for codec, rows in coded[coded[list(_NEEDED)].isna().any(axis=1)].groupby("codec"):
        lacking = [name for name in _NEEDED if rows[name].isna().any()]
        yield f"{codec} on {', '.join(sorted(set(rows['sequence'])))}: a rate point without {', '.join(lacking)}"
    exact = {str(one["name"]): _fraction(one["frame_rate"]) for one in run.summary["sequences"]}
    for row in coded.to_dict("records"):
        at = f"{row['codec']} on {row['sequence']}, q {said(row['q'])}"
        width, height, frames, size = (number(row[name]) for name in ("width", "height", "frames", "bytes"))
        rate = exact.get(str(row["sequence"]), math.nan)
        if not all(value > 0 for value in (width, height, frames, size, rate)):
            yield f"{at}: bytes, width, height, frames and frame rate must be above 0"
            continue
        for name, value in (
            ("bpp", 8 * size / (width * height * frames)),
            ("kbps", 8 * size * rate / frames / 1000),
            ("frame_rate", rate),
        ):
            if not _same(number(row[name]), value):
                yield f"{at}: {name} {said(row[name])}, but {said(value)} by its size, geometry and frames"


def _matches(run: RunResults, cells: pd.DataFrame) -> Iterator[str]:
    """What the summary says of each rate point is what the point has."""
    known = {(row["codec"], row["sequence"], number(row["q"])): number(row["bpp"]) for row in cells.to_dict("records")}
    for one in run.summary["rate_match"]:
        at = f"{one['codec']} on {one['sequence']}, q {said(one['q'])}"
        bpp, target = number(one["bpp"]), number(one["target_bpp"])
        point = known.get((one["codec"], one["sequence"], number(one["q"])), math.nan)
        if not math.isnan(point) and not _same(bpp, point):
            yield f"{at}: {said(bpp)} bpp in summary.json, {said(point)} in results.parquet"
        if not target > 0 or abs(number(one["deviation_percent"]) - 100 * (bpp / target - 1)) > 1e-3:
            yield f"{at}: {said(one['deviation_percent'])} % is not how far {said(bpp)} is from {said(target)} bpp"


def _times(cells: pd.DataFrame) -> Iterator[str]:
    for name in (*_TIMES, *_CPU):
        values = cells[name].dropna().to_numpy(float)
        good = values > 0 if name in _TIMES else values >= 0
        if not (good & np.isfinite(values)).all():
            yield f"results.parquet: {name} must be {'above 0' if name in _TIMES else '0 or more'} seconds"


def _fraction(value: object) -> float:
    try:
        return float(Fraction(str(value)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return math.nan


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=ROUNDING)
