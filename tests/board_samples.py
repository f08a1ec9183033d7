"""A small board, and a run that keeps to it in every respect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st
from results_samples import point

from evalsuite.results.board import Board, parse_board
from evalsuite.results.load import RunResults

SHA = {"carphone": "a" * 64, "city": "b" * 64}
VERSIONS = {"psnr_y": "1", "vmaf": "vmaf_v0.6.1", "profile:streaming": "0123456789ab"}


def board_toml(**changes: Any) -> dict[str, Any]:
    """The board as its TOML says it; a change of None leaves a field out."""
    data = {
        "name": "small",
        "version": 2,
        "title": "Small",
        "question": "Which codec?",
        "description": "For tests",
        "dataset": "demo",
        "frames": 60,
        "targets": {"bpp": [0.02, 0.01]},
        "intra_period": 32,
        "threads": 1,
        "structure": "any",
        "max_delay": 29,
        "anchor": "x265",
        "headline": ["vmaf", "profile:streaming"],
        "sequences": [{"name": name, "sha256": sha, "colour": "bt601 limited"} for name, sha in SHA.items()],
        "metrics": {"psnr_y": "1", "vmaf": "vmaf_v0.6.1"},
        "profiles": {"streaming": "0123456789ab"},
    }
    return {key: value for key, value in {**data, **changes}.items() if value is not None}


def board_of(**changes: Any) -> Board:
    return parse_board(board_toml(**changes), Path("boards/small.toml"))


def conforming(board: Board) -> RunResults:
    """A run of two codecs by the board; points miss their targets by 1 %."""
    rows: list[dict[str, Any]] = []
    matched: list[dict[str, Any]] = []
    for codec in ("x265", "tvc"):
        for sequence, sha in SHA.items():
            for index, target in enumerate((0.02, 0.01)):
                place = {"codec": codec, "sequence": sequence, "target_bpp": target, "q": 30.0 + index}
                matched.append({**place, "bpp": 1.01 * target, "deviation_percent": 1.0, "encodes": 2})
                shared = {**place, "bpp": 1.01 * target, "source_sha256": sha, "cell_key": f"{codec}{sequence}{index}"}
                rows += [point(**shared, metric=metric, metric_version=version) for metric, version in VERSIONS.items()]
                rows.append(point(**shared, metric="vmaf", metric_version="vmaf_v0.6.1", statistic="p5"))
    codec = {"intra_period": 32, "threads": 1, "structure": "low-delay", "delay": 29, "rate_source": "file"}
    geometry = {"dataset": "demo", "width": 176, "height": 144, "frame_rate": "30000/1001", "frames": 60}
    summary = {
        "request": {"board": board.stamp, "intra_period": 32, "threads": 1, "anchor": "x265", "hull": False},
        "codecs": [{"name": name, **codec} for name in ("x265", "tvc")],
        "sequences": [{"name": n, "sha256": sha, "colour": "bt601 limited", **geometry} for n, sha in SHA.items()],
        "metrics": [{"name": name, "version": version} for name, version in VERSIONS.items()],
        "outcomes": {"failed": 0},
        "rate_match": matched,
        "failures": [],
    }
    return RunResults(Path("run"), pd.DataFrame(rows), summary)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["bpp", "name", "x"]), inner),
    max_leaves=4,
)
"""What JSON or TOML may hold in a wrong place."""
