"""Scores and bits of single frames for the sample run, in closed form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from evalsuite.results.load import FrameScores, read_run, write_results

BITS = {
    "name": "frame_bits",
    "family": "traffic",
    "unit": "bit",
    "higher_is_better": None,
    "version": "1",
    "definition": "bits that fall due at each frame",
    "source": "the bitstream",
    "range": [0, None],
}
INTRA = 10
"""Every tenth frame is dear, and the frame after it is the worst."""


def scores(mean: float, frames: int) -> np.ndarray:
    """A wave around the mean, and a drop after every intra frame that deepens: the last one is the worst."""
    place = np.arange(frames)
    wave = mean + 0.5 * np.sin(place)
    return wave - np.where(place % INTRA == 1, 2 + place / frames, 0)


def bits(size: int, frames: int) -> np.ndarray:
    """A third of the bits in the intra frames."""
    place = np.arange(frames)
    intra = place % INTRA == 0
    return np.round(np.where(intra, size * 8 / 3 / intra.sum(), size * 16 / 3 / (~intra).sum()))


def with_frames(
    folder: Path,
    *,
    without_bits: Iterable[str] = (),
    without_scores: Iterable[tuple[str, str]] = (),
    odd: Mapping[tuple[str, str], Mapping[int, float]] | None = None,
    later: Iterable[str] = (),
) -> Path:
    """Write scores of single frames into a run.

    Args:
        folder: of the run.
        without_bits: codecs that have no bits of frames.
        without_scores: (codec, metric) that have none of frames.
        odd: scores of single frames of (codec, metric), by frame, instead.
        later: metrics that begin with the second frame.
    """
    run = read_run(folder)
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    means = [row for row in rows if row["statistic"] == "mean" and row["status"] == "ok"]
    cells = [row for row in {row["cell_key"]: row for row in means}.values() if row["codec"] not in set(without_bits)]
    figure = {"metric": "frame_bits", "unit": "bit", "higher_is_better": None, "metric_version": "1"}
    rows += [{**row, **figure, "score": 8 * row["bytes"] / row["frames"]} for row in cells]

    def series() -> Iterator[FrameScores]:
        for row in means:
            if row["higher_is_better"] is None or (row["codec"], row["metric"]) in set(without_scores):
                continue
            values = scores(row["score"], row["frames"])
            for frame, value in ((odd or {}).get((row["codec"], row["metric"])) or {}).items():
                values[frame] = value
            start = 1 if row["metric"] in later else 0
            indices = np.arange(start, len(values)) if start else None
            place = (row["cell_key"], row["codec"], row["sequence"], row["q"], row["metric"])
            yield FrameScores(*place, values[start:], indices)
        for row in cells:
            place = (row["cell_key"], row["codec"], row["sequence"], row["q"], "frame_bits")
            yield FrameScores(*place, bits(row["bytes"], row["frames"]))

    summary = {key: value for key, value in run.summary.items() if key not in ("schema", "files")}
    summary["metrics"] = [*summary["metrics"], *([BITS] if cells else [])]
    write_results(folder, rows, series(), summary)
    return folder


def with_information(folder: Path, known: Mapping[str, tuple[float | None, float | None]]) -> Path:
    """Write spatial and temporal information of sequences into a run's summary."""
    path = folder / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for entry in summary["sequences"]:
        if entry["name"] in known:
            entry["si"], entry["ti"] = known[entry["name"]]
    path.write_text(json.dumps(summary), encoding="utf-8")
    return folder
