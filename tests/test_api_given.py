"""What callers from Python give: a wrong argument is an EvalError that names it, before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_sample import write_sample

import evalsuite
from evalsuite.api import given
from evalsuite.errors import RequestError

NO_FRAME_RATES = ("0", -25, "1/0", "1e400", "1e999999999", "9" * 400, 1e9, float("inf"), float("nan"), "fast")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"codecs": []}, "no codec is named"),
        ({"sequences": []}, "sequences names nothing"),
        ({"codecs": ["x264", "x256"]}, "x256"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"frames": 2.5}, "frames must be a whole number"),
        *(({name: True}, f"{name} must be a whole number") for name in ("frames", "threads", "jobs", "intra_period")),
        ({"progress": True}, "progress must be a function"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"jobs": 0}, "jobs must be at least 1"),
        ({"memory_limit": "8GB"}, "memory_limit must be a whole number"),
        ({"timeout": 0}, "timeout is out of range"),
        ({"timeout": float("nan")}, "timeout is out of range"),
        ({"timeout": True}, "timeout is out of range"),
        ({"size": (64, 48)}, "half a geometry"),
        ({"pixel_format": "gray"}, "half a geometry"),
        ({"size": (64, 48), "fps": 25}, "of raw files, and none is named"),
        ({"size": (64,), "fps": 25}, "size cannot be read"),
        *(({"size": (64, 48), "fps": fps}, "fps is no frame rate") for fps in NO_FRAME_RATES),
        *(({name: "no"}, f"{name} must be True or False") for name in ("timing", "hull", "split")),
        ({"match": 0.01}, "match must be text"),
        ({"match": [0.01, 0.02]}, "match must be text"),
        ({"matrix": "bt2100"}, "cannot be 'bt2100'"),
        *(
            ({name: 5}, f"{name} must be")
            for name in ("codecs", "sequences", "metrics", "profile", "loss", "dataset", "anchor", "out", "store")
        ),
        *(({name: 5}, f"{name} must be") for name in ("cluster", "matrix", "colour_range", "transfer", "pixel_format")),
        *(({name: None}, f"{name} must be") for name in ("codecs", "metrics", "profile", "dataset", "out", "timing")),
        ({"codecs": ["x264", 5]}, "each of codecs must be text or a path"),
        ({"metrics": b"vmaf"}, "each of metrics must be text or a path"),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_before_anything_runs(
    arguments: Mapping[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {"codecs": ["x264"], "store": tmp_path / "store", **arguments}
    with pytest.raises(RequestError, match=re.escape(words)):
        evalsuite.run(**asked)
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_flags_of_numpy_are_such() -> None:
    assert given.flag("hull", np.True_) is True
    assert given.seconds("timeout", np.int64(60)) == 60
    assert given.whole("frames", np.int32(5), 1) == 5


@pytest.mark.parametrize("path", [None, 5, b"results", "a\0b"])
def test_load_refuses_what_is_no_path(path: Any) -> None:
    with pytest.raises(RequestError, match="path must be text or a path"):
        evalsuite.load(path)


def test_results_are_one_thing_each(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run")
    one, other = evalsuite.load(folder), evalsuite.load(folder)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_results_refuse_arguments_of_other_types(tmp_path: Path) -> None:
    results = evalsuite.load(write_sample(tmp_path / "run"))
    with pytest.raises(RequestError, match="anchor must be text"):
        results.bd_rate(5)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="no metric 5"):
        results.frames(metric=5)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"no metric \['vmaf'\]"):
        results.frames(metric=["vmaf"])  # type: ignore[arg-type]
    assert evalsuite.plot_rd(one for one in [results]).data  # type: ignore[arg-type]
    for wrong in ("r2", 3, [results, 3], [], "", None):
        with pytest.raises(RequestError, match="at least one run"):
            evalsuite.plot_rd(wrong)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="the metric 5 is not among the results"):
        evalsuite.plot_rd(results, 5)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="the sequence 5 is not among the results"):
        evalsuite.plot_rd(results, "vmaf", sequence=5)  # type: ignore[arg-type]


CURVE = ([9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "direction is not known"),
        ({"metric": "vamf"}, "did you mean vmaf"),
        ({"metric": 5}, "metric must be text"),
        ({"higher_is_better": "no"}, "higher_is_better must be True or False"),
        ({"metric": "psnr", "method": 5}, "unknown method 5"),
        ({"metric": "psnr", "log_domain_ceiling": "100"}, "log_domain_ceiling must be a number"),
        ({"metric": "lpips", "higher_is_better": True}, "higher_is_better=False"),
        ({"metric": "psnr", "method": "linear"}, "unknown method"),
    ],
    ids=str,
)
def test_bd_rate_refuses_to_guess(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        evalsuite.bd_rate(*CURVE, *CURVE, **arguments)
