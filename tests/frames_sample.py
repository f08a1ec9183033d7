"""Runs with pictures, made by hand, for the tests of the frames page: small stills of known levels, no encoder."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report_facts import SEQUENCES
from report_sample import write_sample

from evalsuite.results.load import RunResults, read_run
from evalsuite.types import Colour, Sequence, VideoFormat
from evalsuite.viewing.stills import as_webp, view_of

TARGET = 0.04
"""The rate of the sample run that there are pictures of."""

SCORES = {"x265": 41.25, "x264": 38.5, "vvenc": 61.0}


class WithFrames(RunResults):
    """A run whose scores of frames are given, not read."""

    given: pd.DataFrame

    def frames(self, *, metric: str | None = None, cell_key: str | None = None) -> pd.DataFrame:
        rows = self.given
        for name, value in (("metric", metric), ("cell_key", cell_key)):
            rows = rows[rows[name] == value] if value else rows
        return rows


def with_frames(run: RunResults, scores: dict[tuple[str, str, str], list[float]], q: float) -> WithFrames:
    """The run with scores of frames, by codec, sequence and metric, of its cells at one q."""
    keys = run.points[run.points["q"] == q].set_index(["codec", "sequence"])["cell_key"].groupby(level=[0, 1]).first()
    rows = [
        {"cell_key": keys[codec, sequence], "metric": metric, "frame": frame, "score": score}
        for (codec, sequence, metric), values in scores.items()
        for frame, score in enumerate(values)
    ]
    made = WithFrames(run.folder, run.points, run.summary)
    object.__setattr__(made, "given", pd.DataFrame(rows, columns=["cell_key", "metric", "frame", "score"]))
    return made


def still(width: int, height: int, level: int, seed: int = 0) -> bytes:
    """A lossless picture: noise around a grey level."""
    format = VideoFormat(width, height)
    rng = np.random.default_rng([level, seed])
    frame = tuple(rng.integers(level - 8, level + 8, shape).astype(np.uint8) for shape in format.plane_shapes)
    return as_webp(view_of(frame, Sequence("s", "", Path(), "", format, Fraction(25), 1, Colour("bt709"))))


def add_pictures(folder: Path, sequences: tuple[str, ...] = ("carphone",), clip: bytes | None = None) -> dict[str, Any]:
    """Write `pictures/` into a sample run: two frames of each codec at one rate; gives the index."""
    run = read_run(folder)
    pictures = folder / "pictures"
    pictures.mkdir()
    index: dict[str, Any] = {
        "schema": 1,
        "kind": "evalsuite pictures",
        "selection": "",
        **{name: [] for name in ("sequences", "cells", "frames", "stills", "clips", "left_out")},
        "no_faces": "",
    }

    def store(data: bytes, suffix: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        name = f"{digest[:24]}{suffix}"
        (pictures / name).write_bytes(data)
        return {"file": name, "sha256": digest, "bytes": len(data)}

    for name in sequences:
        width, height, rate, frames, _ = SEQUENCES.get(name, SEQUENCES["face"])
        rows = run.points[(run.points["sequence"] == name) & (run.points["target_bpp"] == TARGET)]
        cells = rows.drop_duplicates("cell_key").to_dict("records")
        size = {"width": width, "height": height, "frames": frames, "frame_rate": rate}
        index["sequences"].append(
            {"name": name, "sha256": cells[0]["source_sha256"], **size, "converted": "RGB by BT.709, limited range"}
        )
        keys = ("cell_key", "bitstream_sha256", "codec", "sequence", "q", "bpp", "target_bpp")
        index["cells"] += [{key: cell[key] for key in keys} for cell in cells]
        why = {7: [["worst", cells[-1]["codec"]], ["differ", ""]], 3: [["typical", ""]]}
        for frame, reasons in why.items():
            index["frames"].append(
                {"sequence": name, "target_bpp": TARGET, "frame": frame, "metric": "vmaf", "why": reasons}
            )
            face = {"x": 10.5, "y": 20.0, "width": 30.0, "height": 40.0, "score": 0.93}
            for place, key in enumerate(["", *(cell["cell_key"] for cell in cells)]):
                score = SCORES.get(cells[place - 1]["codec"], 50.0) if key else None
                index["stills"].append(
                    {
                        **store(still(width, height, 90 + 20 * place, frame), ".webp"),
                        "sequence": name,
                        "cell_key": key,
                        "frame": frame,
                        "scores": {} if score is None else {"vmaf": score + frame, "psnr_y": "inf"},
                        "faces": [face] if name == "carphone" else [],
                    }
                )
        if clip:
            for key in ["", *(cell["cell_key"] for cell in cells)]:
                facts = {"sequence": name, "cell_key": key, "first": 0, "frames": 5, "psnr_y_db": 45.5}
                index["clips"].append({**store(clip, ".mp4"), **facts})
    save(folder, index)
    return index


def save(folder: Path, index: Any) -> None:
    (folder / "pictures" / "index.json").write_text(json.dumps(index))


def run_with_pictures(folder: Path, **options: Any) -> Path:
    """A sample run of two codecs with pictures of carphone and face."""
    write_sample(folder, codecs=options.pop("codecs", ("vvenc", "x265")), **options)
    add_pictures(folder, ("carphone", "face"))
    return folder
