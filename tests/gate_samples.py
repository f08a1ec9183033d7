"""Runs for the tests of the gate: curves of one shape, with known changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from results_samples import point, summary

from evalsuite.results.gate.gate import GateResult, run_gate
from evalsuite.results.gate.judge import Judgement
from evalsuite.results.gate.rules import Gate, parse_gate
from evalsuite.results.load import FrameScores, RunResults, read_run, write_results

SEQUENCES = ("bikes", "bunny", "carphone", "city", "face", "jump")
TAGS = {"carphone": "faces,qcif", "face": "faces", "city": "night"}
RATES = 0.005 * 2.0 ** np.arange(5)

# Score over the number of doublings of the rate; saturating, rising, falling.
SHAPES: dict[str, dict[str, Any]] = {
    "vmaf": {"scores": [25, 50, 72, 87, 95.0], "ceiling": 100.0, "higher": True, "unit": ""},
    "psnr_yuv": {"scores": [28, 31, 34, 37, 40.0], "ceiling": None, "higher": True, "unit": "dB"},
    "lpips": {"scores": [0.5, 0.35, 0.2, 0.1, 0.04], "ceiling": None, "higher": False, "unit": ""},
    "token_rate": {"scores": [100, 200, 400, 800, 1600.0], "ceiling": None, "higher": None, "unit": "tokens/s"},
}


def rows(
    rate: float | dict[str, float] = 1.0,
    *,
    codec: str = "x265",
    metrics: tuple[str, ...] = ("vmaf", "psnr_yuv", "lpips"),
    sequences: tuple[str, ...] = SEQUENCES,
    shift: dict[str, float] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Rows of one codec.

    Args:
        rate: factor of every rate, or by sequence (others 1).
        shift: what is added to every score, by metric.
        noise: deviation of the logarithm of each rate.
    """
    random = np.random.default_rng(seed)
    found = []
    for sequence in sequences:
        own = rate.get(sequence, 1.0) if isinstance(rate, dict) else rate
        for index, base in enumerate(RATES):
            bpp = float(base * own * np.exp(random.normal(0, noise)))
            for metric in metrics:
                shape = SHAPES[metric]
                found.append(
                    point(codec, index)
                    | {
                        "sequence": sequence,
                        "tags": TAGS.get(sequence, ""),
                        "source_sha256": f"sha of {sequence}",
                        "q": 40.0 - 6 * index,
                        "target_bpp": None,
                        "bpp": bpp,
                        "bytes": round(bpp * 1e6),
                        "cell_key": f"{codec} {sequence} {index} {own} {seed}",
                        "metric": metric,
                        "score": float(shape["scores"][index] + (shift or {}).get(metric, 0.0)),
                        "unit": shape["unit"],
                        "higher_is_better": shape["higher"],
                        "log_domain_ceiling": shape["ceiling"],
                    }
                    | changes
                )
    return found


def write_run(
    folder: Path,
    points: list[dict[str, Any]],
    frames: list[FrameScores] | None = None,
    *,
    failures: list[Any] | None = None,
    machine: dict[str, Any] | None = None,
) -> RunResults:
    """A run folder with these rows."""
    document = summary() | {"bd_rate": [], "failures": failures or []}
    for key in ("codecs", "sequences"):
        names = dict.fromkeys(row[key[:-1]] for row in points)
        document[key] = [{**document[key][0], "name": name} for name in names]
    document["run"] |= {"machine": machine or {"processor": "one", "cores": 2, "jobs": 1}}
    write_results(folder, points, frames or [], document)
    return read_run(folder)


def gate_of(*rules: dict[str, Any], **fields: Any) -> Gate:
    """A gate of these rules."""
    return parse_gate({"rule": list(rules), **fields}, Path("gate.toml"))


def rate_rule(metric: str = "vmaf", allowed: float = 1.0, **fields: Any) -> dict[str, Any]:
    """A rule on BD-rate."""
    return {"measure": "bd_rate", "metric": metric, "allowed": allowed, **fields}


def judge(
    folder: Path,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    *rules: dict[str, Any],
    frames: Any = (None, None),
    failures: Any = (None, None),
    machines: Any = (None, None),
    **fields: Any,
) -> GateResult:
    """Judge candidate rows against baseline rows by some rules, as runs below a folder."""
    runs = [
        write_run(folder / name, points, frame, failures=failure, machine=machine)
        for name, points, frame, failure, machine in zip(
            ("before", "after"), (before, after), frames, failures, machines, strict=True
        )
    ]
    return run_gate(gate_of(*rules, **fields), *runs)


def only(result: GateResult) -> Judgement:
    """The one judgement of a gate."""
    (one,) = result.judgements
    return one


def changed(points: list[dict[str, Any]], change: dict[str, Any], **where: Any) -> list[dict[str, Any]]:
    """The rows with a change where columns have these values."""
    return [row | (change if all(row[key] in value for key, value in where.items()) else {}) for row in points]


FOUR = ("bikes", "bunny", "city", "jump")
