"""Runs whose bitstreams are known frame by frame, for the tests of traffic in the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from report_facts import SEQUENCES, metric_entry

from evalsuite.metrics.traffic import statistics
from evalsuite.results.load import FrameScores, read_run, write_results

UNITS = {
    "peak_to_mean": "",
    "peak_kbps": "kbps",
    "vbv_bits": "bit",
    "vbv_seconds": "s",
    "frame_dispersion": "bit",
    "frame_bits": "bit",
}


def one_burst(total: int, frames: int) -> list[int]:
    """A first frame of half of all bits, and equal ones."""
    rest = total // 2 // (frames - 1)
    return [total - rest * (frames - 1), *[rest] * (frames - 1)]


def with_streams(
    folder: Path,
    codecs: Sequence[str],
    *,
    names: Sequence[str] = tuple(UNITS),
    shape: Callable[[int, int], list[int]] = one_burst,
    columns: dict[str, Any] | None = None,
) -> Path:
    """Give the points of some codecs in a run's folder traffic figures and bits of frames.

    Args:
        folder: as `write_sample` writes it; replaced.
        codecs: that have them; of the others the figures are not applicable.
        names: the metrics of the traffic family that were asked for.
        shape: the bits of frames, from their sum and how many there are.
        columns: values of columns that every row of results.parquet gets.
    """
    run = read_run(folder)
    # null is None to the writer, whatever pandas made of it.
    rows = run.points.astype(object).where(run.points.notna(), None).to_dict("records")
    rows = [{**row, **(columns or {})} for row in rows]
    cells = {row["cell_key"]: row for row in rows}
    frames = []
    for key, cell in cells.items():
        bits = shape(8 * cell["bytes"], cell["frames"])
        frame_rate = Fraction(SEQUENCES.get(cell["sequence"], SEQUENCES["face"])[2])
        figures = {**statistics(bits, frame_rate), "frame_bits": sum(bits) / len(bits)}
        has = cell["codec"] in codecs
        for name in names:
            score = {"score": figures[name], "status": "ok", "reason": ""}
            none = {"score": None, "status": "not_applicable", "reason": "the codec does not tell the sizes of frames"}
            told = {"metric": name, "statistic": "mean", "unit": UNITS[name], "higher_is_better": None}
            rows.append({**cell, **told, "metric_version": "1", **(score if has else none)})
        if has and "frame_bits" in names:
            place = (key, cell["codec"], cell["sequence"], cell["q"])
            frames.append(FrameScores(*place, "frame_bits", np.array(bits, np.float64)))
    entries = [
        {**metric_entry(name), "family": "traffic", "unit": UNITS[name], "higher_is_better": None} for name in names
    ]
    summary = {key: value for key, value in run.summary.items() if key not in ("schema", "files")}
    write_results(folder, rows, frames, {**summary, "metrics": [*summary["metrics"], *entries]})
    return folder
