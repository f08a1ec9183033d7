"""The rate points of runs, with everything that planning asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.errors import RequestError
from evalsuite.results.layout import CODEC_IDENTITY
from evalsuite.results.load import RunResults
from evalsuite.results.losscurve import behind_channels

FRAME_BITS = "frame_bits"
"""The figure that holds what falls due at each frame (`evalsuite.metrics.traffic`)."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One codec on one sequence at one operating point, as it was measured."""

    codec: str
    """With its preset where the runs have several of one codec."""
    sequence: str
    traits: frozenset[str]
    """Tags of the source, and what its content was found to be."""
    q: float
    kbps: float
    bpp: float
    frame_rate: float
    frames: int
    means: Mapping[str, float]
    """Means of metrics and figures, by name; those without a finite score are not here."""
    infinite: frozenset[str]
    """Metrics without a finite mean because nothing is lost, such as PSNR of a lossless point."""
    worst: frozenset[str]
    """Metrics whose mean is infinite because of some frames: the worst frame stands for it."""
    higher_is_better: Mapping[str, bool]
    """Directions of the metrics that judge; figures that describe have none."""
    versions: Mapping[str, str]
    """Of the metrics that have a mean."""
    reasons: Mapping[str, str]
    """What dropped out of a mean, such as terms of a profile, by metric; those of which all is there are not here."""
    decode: Mapping[str, float]
    """The run's decode_* columns that have a value, by name without the prefix: cpu_s, latency_p95_s and so on."""
    facts: Mapping[str, Any]
    """What the run says of the codec."""
    cell_key: str
    runs: tuple[RunResults, ...]
    """That measured it, the latest first."""

    @property
    def place(self) -> tuple[str, str]:
        """Codec and sequence."""
        return self.codec, self.sequence

    def frame_bits(self) -> NDArray[np.float64]:
        """Bits that fall due at each frame, (frames,), in the order of transmission; empty where nobody could tell."""
        held = (_frame_bits(_Held(run)).get(self.cell_key, np.empty(0)) for run in self.runs)
        return next((bits for bits in held if len(bits)), np.empty(0))

    def series(self, metric: str) -> pd.DataFrame:
        """`frame` and `score` of a metric, in order; empty where no run has them."""
        for run in self.runs:
            frames = run.frames(cell_key=self.cell_key)
            frames = frames[frames["metric"] == metric]
            if not frames.empty:
                return frames[["frame", "score"]].sort_values("frame")
        return pd.DataFrame({"frame": [], "score": []})

    def after(self, earlier: RatePoint) -> RatePoint:
        """This one with what only an earlier run of the same cell measured."""
        return replace(
            self,
            means={**{name: mean for name, mean in earlier.means.items() if name not in self.infinite}, **self.means},
            infinite=self.infinite | (earlier.infinite - self.means.keys()),
            worst=self.worst | (earlier.worst - self.versions.keys()),
            higher_is_better={**earlier.higher_is_better, **self.higher_is_better},
            versions={**earlier.versions, **self.versions},
            reasons={
                **{name: said for name, said in earlier.reasons.items() if name not in self.versions},
                **self.reasons,
            },
            # Times of one decode, that was timed frame by frame if any was: those of another say nothing of it.
            decode=self.decode if "streams" in self.decode or "streams" not in earlier.decode else earlier.decode,
            runs=(*self.runs, *earlier.runs),
        )


class _Held:
    """A run as a key: it is the same only as itself."""

    def __init__(self, run: RunResults) -> None:
        self.run = run

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.run is self.run

    def __hash__(self) -> int:
        return id(self.run)


@lru_cache(maxsize=8)
def _frame_bits(held: _Held) -> dict[str, NDArray[np.float64]]:
    frames = held.run.frames(metric=FRAME_BITS).sort_values(["cell_key", "frame"], kind="stable")
    return {str(key): own["score"].to_numpy(float) for key, own in frames.groupby("cell_key", sort=False)}


def rate_points(runs: Iterable[RunResults]) -> list[RatePoint]:
    """All rate points that were measured, in the order of the runs; a cell in several runs is one point.

    Published points are left out: nothing but a rate and a score is known of them. So are codecs behind channels: they
    are other codecs of the run once more (`evalsuite.results.losscurve`), and hulls, whose points have no q.

    Raises:
        RequestError: no run has any, or two have other codecs or other frames under one name.
    """
    found: list[RatePoint] = []
    named: dict[tuple[str, str], tuple[str, ...]] = {}
    for run in runs:
        listed = run.summary["sequences"]
        traits = {one["name"]: frozenset([*one.get("tags", ()), *one.get("traits", ())]) for one in listed}
        known = run.points[["bpp", "kbps", "frames", "frame_rate", "q"]].notna().all(axis=1)
        table = run.points[(run.points["statistic"] == "mean") & known]
        table = table[(table["rate_source"] != "published") & ~table["codec"].isin(behind_channels(run.summary))]
        worst = run.points[(run.points["statistic"] == "worst") & (run.points["status"] == "ok")]
        finite = worst.set_index(["codec", "cell_key", "metric"])["score"].astype(float).to_dict()
        presets = table.groupby("codec")["preset"].nunique().to_dict()
        for (codec, preset, _), rows in table.groupby(["codec", "preset", "cell_key"], sort=False):
            label = f"{codec}/{preset}" if presets[codec] > 1 else str(codec)
            found.append(_point(run, str(codec), _finite(rows, finite), traits, label))
            _check_names(named, found[-1], rows.iloc[0])
    if not found:
        raise RequestError(
            "there is no measured rate point to plan with",
            expected="runs of codecs on sequences",
            fix="make one with `evalsuite run`",
        )
    return joined(found)


_OF_ROWS = ("preset", "codec_version")
_CODEC = (*_OF_ROWS, *(key for key in CODEC_IDENTITY if key not in ("preset", "version")))
_SEQUENCE = ("source_sha256", "frames")


def _check_names(named: dict[tuple[str, str], tuple[str, ...]], point: RatePoint, row: pd.Series) -> None:
    """Refuse one name of two: their points are of no one curve, and one is played at what is measured of the other."""
    # Facts are by name, of whichever preset comes first.
    told = {**point.facts, **row[list(_OF_ROWS)]}
    sides: tuple[tuple[str, str, tuple[str, ...], Mapping[Any, Any]], ...] = (
        ("codec", point.codec, _CODEC, told),
        ("sequence", point.sequence, _SEQUENCE, row.to_dict()),
    )
    for what, name, keys, facts in sides:
        own = tuple(str(facts.get(key)) for key in keys)
        known = named.setdefault((what, name), own)
        if differs := [f"{key} {_apart(a, b)}" for key, a, b in zip(keys, known, own, strict=True) if a != b]:
            raise RequestError(
                f"these runs have two different {what}s named {name}",
                got="; ".join(differs),
                fix="plan with one of the runs, or make them again alike",
            )


def _apart(one: str, other: str) -> str:
    """Two texts, from a little before where they begin to differ."""
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
    start = max(0, same - 20)
    return ", ".join(f"{'…' * bool(start)}{text[start : start + 60]}" for text in (one, other))


def _finite(rows: pd.DataFrame, worst: Mapping[Any, float]) -> pd.DataFrame:
    """The rows of a point, with the worst frame where a mean is infinite because of some frames and not of all.

    A black frame that comes back as it was makes the mean of a clip endless, and says nothing of the others.

    Args:
        rows: means.
        worst: by codec, cell key and metric; those that are infinite too are not there.
    """
    keys = zip(rows["codec"], rows["cell_key"], rows["metric"], strict=True)
    scores = [worst.get(key, np.nan) for key in keys]
    partly = (rows["status"] == "infinite") & ~np.isnan(scores)
    return rows.assign(
        score=np.where(partly, scores, rows["score"].astype(float)),
        status=np.where(partly, "ok", rows["status"]),
        is_worst=partly,
    )


def joined(points: Iterable[RatePoint]) -> list[RatePoint]:
    """One point for each cell, with what all of the runs measured; where two measured the same the later one counts."""
    found: dict[tuple[str, str], RatePoint] = {}
    for point in points:
        key = point.codec, point.cell_key
        found[key] = point.after(found[key]) if key in found else point
    return list(found.values())


def _point(
    run: RunResults, codec: str, rows: pd.DataFrame, traits: Mapping[str, frozenset[str]], label: str
) -> RatePoint:
    first = rows.iloc[0]
    ok = rows[rows["status"] == "ok"]
    endless = rows[rows["status"] == "infinite"]
    scored = rows[rows["status"].isin(("ok", "infinite"))]
    judged = scored[scored["higher_is_better"].notna()]
    decode = {name: first[name] for name in rows.columns if name.startswith("decode_") and pd.notna(first[name])}
    return RatePoint(
        codec=label,
        sequence=str(first["sequence"]),
        traits=traits.get(str(first["sequence"]), frozenset()),
        q=float(first["q"]),
        kbps=float(first["kbps"]),
        bpp=float(first["bpp"]),
        frame_rate=float(first["frame_rate"]),
        frames=int(first["frames"]),
        means=dict(zip(ok["metric"], ok["score"].astype(float), strict=True)),
        infinite=frozenset(map(str, endless["metric"])),
        worst=frozenset(map(str, rows.loc[rows["is_worst"], "metric"])),
        higher_is_better=dict(zip(judged["metric"], judged["higher_is_better"].astype(bool), strict=True)),
        versions=dict(zip(scored["metric"], scored["metric_version"].astype(str), strict=True)),
        reasons={metric: said for metric, said in zip(ok["metric"], ok["reason"].fillna(""), strict=True) if said},
        decode={name.removeprefix("decode_"): float(value) for name, value in decode.items()},
        facts=next((one for one in run.summary["codecs"] if one["name"] == codec), {}),
        cell_key=str(first["cell_key"]),
        runs=(run,),
    )


def tagged(points: Iterable[RatePoint], tag: str) -> list[RatePoint]:
    """The points whose source has a tag or trait; all of them for `*`.

    Raises:
        RequestError: no sequence has it; says which there are.
    """
    points = list(points)
    chosen = [point for point in points if tag in ("*", *point.traits)]
    if not chosen:
        known = sorted({trait for point in points for trait in point.traits})
        raise RequestError(
            f"no sequence of these results has the tag {tag!r}",
            expected=f"one of {', '.join(known)}" if known else "* (these sequences have no tags)",
            fix="name a tag that is there, or run sequences that have it",
        )
    return chosen
