"""What the page of an entry shows: what was run, on what, and every number of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.report import text
from evalsuite.report.numbers import number
from evalsuite.report.site.boards import MetricFacts
from evalsuite.results.entry import Entry
from evalsuite.results.load import RunResults


@dataclass(frozen=True, slots=True)
class Cell:
    """A score as it is written, or the reason for none."""

    text: str
    detail: str
    """p5 and worst where there are any."""
    reason: str
    """Why there is no score; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Point:
    """A rate point: a line of a table."""

    codec: str
    q: float | None
    target: float | None
    bpp: float | None
    kbps: float | None
    bytes: float | None
    cells: tuple[Cell, ...]


def points_by_sequence(
    run: RunResults, entry: Entry, metrics: Mapping[str, MetricFacts]
) -> list[tuple[str, list[Point]]]:
    """Each sequence with its rate points: the codec's, then the anchor's, from the lowest rate up."""
    codec = entry.manifest.codec
    columns = ["sequence", "codec", "cell_key", "q", "target_bpp", "bpp", "kbps", "bytes", "metric", "statistic"]
    columns += ["score", "status", "reason"]
    # Lists of columns are several times as fast as records of a frame, and a board may have a thousand entries.
    values = zip(*(run.points[column].astype(object).tolist() for column in columns), strict=True)
    rows = [dict(zip(columns, one, strict=True)) for one in values]
    scores: dict[tuple[str, str, str], dict[tuple[str, str], Mapping[Any, Any]]] = {}
    facts: dict[tuple[str, str, str], Mapping[Any, Any]] = {}
    for row in rows:
        key = (str(row["sequence"]), str(row["codec"]), str(row["cell_key"]))
        scores.setdefault(key, {})[str(row["metric"]), str(row["statistic"])] = row
        facts.setdefault(key, row)
    found = []
    for sequence in entry.manifest.sequences:
        points = [
            Point(
                codec=key[1],
                q=number(facts[key]["q"]),
                target=number(facts[key]["target_bpp"]),
                bpp=number(facts[key]["bpp"]),
                kbps=number(facts[key]["kbps"]),
                bytes=number(facts[key]["bytes"]),
                cells=tuple(_cell(held, metric, one) for metric, one in metrics.items()),
            )
            for key, held in scores.items()
            if key[0] == sequence
        ]
        points.sort(key=lambda point: (point.codec != codec, point.codec, point.bpp or 0.0, point.q or 0.0))
        found.append((sequence, points))
    return found


def _cell(held: Mapping[tuple[str, str], Mapping[Any, Any]], metric: str, facts: MetricFacts) -> Cell:
    mean = held.get((metric, "mean"))
    if mean is None:
        return Cell(text.NONE, "", "")
    if mean["status"] not in ("ok", "infinite"):
        return Cell(str(mean["status"]).replace("_", " "), "", str(mean["reason"]))
    if facts.higher_is_better is None:
        return Cell(text.significant(float(mean["score"])), "", "")
    others = [held[metric, one] for one in ("p5", "worst") if (metric, one) in held]
    detail = ", ".join(text.score(float(one["score"]), facts.decimals) for one in others if not pd.isna(one["score"]))
    return Cell(text.score(float(mean["score"]), facts.decimals), detail, "")


def codec_facts(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A codec as it was run, from its entry in the summary."""
    told = {
        "Preset": one.get("preset"),
        "Version": one.get("version"),
        "Structure": one.get("structure"),
        "Intra period": "first frame only" if one.get("intra_period") == -1 else one.get("intra_period"),
        "Delay": None if one.get("delay") is None else text.plural(int(one["delay"]), "frame"),
        "Look-ahead": one.get("lookahead"),
        "Rate control": one.get("rate_control"),
        "Internal bit depth": one.get("internal_bit_depth"),
        "Threads": one.get("threads"),
    }
    scale = one.get("scale")
    if isinstance(scale, dict):
        told["Coded size"] = f"1/{scale.get('divisor')} of width and height ({scale.get('filter')})"
    return [(name, "unknown" if value is None else str(value)) for name, value in told.items()]


def digests(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The sha256 of what a codec is made of."""
    return [
        *((f"program {name}", str(value)) for name, value in one["binary_sha256"].items()),
        ("recipe", str(one["recipe_sha256"])),
        *((f"file {name}", str(value)) for name, value in one["files"].items()),
    ]


def run_facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Machine and time of a run."""
    run = summary["run"]
    machine = run["machine"]
    memory = machine.get("memory_bytes")
    told = {
        "Processor": machine.get("processor"),
        "Cores": machine.get("cores"),
        "Memory": f"{memory / 2**30:.1f} GiB" if isinstance(memory, int | float) else None,
        "System": machine.get("system"),
        "GPU": machine.get("gpu"),
        "Duration of the whole run": text.duration(number(run["wall_s"])),
        "evalsuite": " ".join(filter(None, [str(run["versions"].get("evalsuite")), str(run["commit"] or "")[:10]])),
        "Timed alone": "yes" if run.get("timing", {}).get("alone") else "no: times are not comparable",
    }
    return [(name, str(value)) for name, value in told.items() if value is not None]


def cost(run: RunResults, codec: str) -> list[tuple[str, str]]:
    """Median CPU time of a frame over rate points, where it was told."""
    columns = ["cell_key", "frames", "encode_cpu_s", "decode_cpu_s"]
    cells = run.points.loc[run.points["codec"] == codec, columns].drop_duplicates("cell_key")
    found = []
    for name, column in (("Encoding", "encode_cpu_s"), ("Decoding", "decode_cpu_s")):
        values = (cells[column].astype(float) / cells["frames"].astype(float)).dropna()
        if len(values):
            found.append((f"{name}, CPU time a frame", text.with_unit(f"{1000 * values.median():.3g}", "ms")))
    return found


def described(failures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each failure: where it happened, and what was said."""
    return [
        (f"{one['codec']} on {one['sequence']}, q {text.knob(number(one['q']))}, {one['stage']}", str(one["message"]))
        for one in failures
    ]
