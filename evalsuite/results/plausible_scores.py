"""Whether the scores of a run can be true: their ranges, their order, and what they say of each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.metrics.registry import infos
from evalsuite.results.load import RunResults

ROUNDING = 1e-6
"""Relative difference within which two floats are one number: scores of frames are kept to seven digits."""

PSNR_FALL_DB = 2.0
"""A rate point this much worse in PSNR than a cheaper one is no result of a codec: real ladders fall by tenths."""

PSNR_FALL_RATE = 1.1
"""How many times the rate it must have, so that neighbours at one rate are left alone."""

SAME_POINTS = 3
"""Rate points from which on a score that never changes is odd."""

_CONTINUOUS = ("fidelity", "perceptual", "sharpness", "temporal", "profile")
"""Families whose scores are of every pixel; counts of faces and words may well be the same at every rate."""

Limits = dict[str, tuple[float, float]]
"""Lowest and highest score of each metric."""

_PLANES = ("psnr_y", "psnr_cb", "psnr_cr")

SCORED = ("ok", "infinite")
"""Statuses that have a score to be judged."""


def implausible_scores(run: RunResults) -> Iterator[str]:
    """Every reason that the scores of a run cannot be true."""
    limits = _limits(run)
    yield from _ranges(run, limits)
    yield from _order(run)
    yield from _falls(run.points)
    yield from _stuck(run, limits)
    yield from _perfect(run.points)


def _ranges(run: RunResults, limits: Limits) -> Iterator[str]:
    """Scores are within the metric's range: of the installed one where the versions agree, else as the run says."""
    scored = run.points[run.points["status"].isin(SCORED)]
    for name, rows in scored.groupby("metric"):
        low, high = limits.get(str(name), (-math.inf, math.inf))
        scores = rows["score"].astype(float)
        # Endless is as good as can be: nothing ends worse, and no distance is so.
        endless = np.isinf(scores) & ((rows["higher_is_better"] != True) | (scores < 0))  # noqa: E712 - may be null
        outside = scores[endless | (scores < low - _slack(low)) | (scores > high + _slack(high))]
        if len(outside):
            row = rows.loc[outside.index[0]]
            at = f"{row['codec']} on {row['sequence']}, q {said(row['q'])}"
            yield f"{at}: {name} {row['statistic']} is {said(row['score'])}, outside {said(low)} to {said(high)}"


def _limits(run: RunResults) -> Limits:
    found = {}
    installed = infos()
    for one in run.summary["metrics"]:
        name, ends = str(one["name"]), list(one["range"])
        ours = installed.get(name)
        if ours is not None and ours.version == one["version"]:
            found[name] = (float(ours.range[0]), float(ours.range[1]))
        elif len(ends) == 2:
            found[name] = (number(ends[0], -math.inf), number(ends[1], math.inf))
    return found


def _order(run: RunResults) -> Iterator[str]:
    """The worst frame is not better than the mean, nor than the frame that 95 % reach."""
    table = run.points[run.points["status"].isin(SCORED) & run.points["higher_is_better"].notna()]
    wide = table.pivot_table(
        index=["codec", "sequence", "q", "metric", "higher_is_better"],
        columns="statistic",
        values="score",
        aggfunc="first",
    )
    if "worst" not in wide:
        return
    sign = np.where(wide.index.get_level_values("higher_is_better").to_numpy(dtype=bool), 1.0, -1.0)
    for other in {"mean", "p5"} & set(wide.columns):
        worst, better = sign * wide["worst"], sign * wide[other]
        odd = wide[worst > better + ROUNDING * np.maximum(1, better.abs())]
        for codec, sequence, q, metric, _ in odd.index[:1]:
            yield f"{codec} on {sequence}, q {said(q)}: {metric} worst is better than its {other}"


def _falls(points: pd.DataFrame) -> Iterator[str]:
    psnr = points[
        points["metric"].isin(["psnr_y", "psnr_yuv"])
        & (points["statistic"] == "mean")
        & points["status"].isin(SCORED)
        & points["bpp"].notna()
    ]
    for (codec, sequence, metric), rows in psnr.groupby(["codec", "sequence", "metric"]):
        rates, scores = rows["bpp"].to_numpy(float), rows["score"].to_numpy(float)
        fall = np.minimum(scores, 1e3)[:, None] - np.minimum(scores, 1e3)[None, :]
        dearer = rates[None, :] > PSNR_FALL_RATE * rates[:, None]
        if (fall[dearer] > PSNR_FALL_DB).any():
            yield (
                f"{codec} on {sequence}: {metric} falls by {fall[dearer].max():.2f} dB while the rate grows, "
                f"more than {PSNR_FALL_DB} dB"
            )


def _stuck(run: RunResults, limits: Limits) -> Iterator[str]:
    """A score of pixels that is the same at every rate was copied, unless it is at an end of its range."""
    families = {str(one["name"]): one["family"] for one in run.summary["metrics"]}
    means = run.points[(run.points["statistic"] == "mean") & (run.points["status"] == "ok")]
    judged = means[means["higher_is_better"].notna() & means["metric"].map(families).isin(_CONTINUOUS)]
    for (codec, sequence, metric), rows in judged.groupby(["codec", "sequence", "metric"]):
        if rows["bytes"].nunique() >= SAME_POINTS and rows["score"].nunique() == 1:
            score = float(rows["score"].iloc[0])
            if score not in limits.get(str(metric), ()):
                yield f"{codec} on {sequence}: {metric} is {said(score)} at all of {len(rows)} rates"


def _perfect(points: pd.DataFrame) -> Iterator[str]:
    """Frames that are the same to the bit are perfect by every metric of pixels, and no others are by SSIM and PSNR."""
    means = points[points["statistic"] == "mean"]
    wide = means.pivot_table(index=["codec", "sequence", "q"], columns="metric", values="score", aggfunc="first")
    if "psnr_y" not in wide:
        return
    planes = wide[[name for name in _PLANES if name in wide]]
    if "psnr_yuv" in wide:
        for codec, sequence, q in wide.index[np.isinf(wide["psnr_yuv"]) & ~np.isinf(planes).any(axis=1)][:1]:
            yield f"{codec} on {sequence}, q {said(q)}: psnr_yuv is infinite, but none of its planes is"
    same = np.isinf(wide["psnr_y"])
    best = {"ssim": 1.0, "ms_ssim": 1.0}
    for name in best.keys() & set(wide.columns):
        told = wide[name].notna()
        for codec, sequence, q in wide.index[told & same & (wide[name] < best[name] - ROUNDING)][:1]:
            yield f"{codec} on {sequence}, q {said(q)}: psnr_y is infinite, but {name} is not {best[name]:g}"
        for codec, sequence, q in wide.index[told & ~same & (wide[name] >= best[name]) & (wide["psnr_y"] < 80)][:1]:
            yield f"{codec} on {sequence}, q {said(q)}: {name} is {best[name]:g}, but psnr_y is not infinite"
    if "vmaf" in wide:
        for codec, sequence, q in wide.index[same & (wide["vmaf"] < 90)][:1]:
            yield f"{codec} on {sequence}, q {said(q)}: psnr_y is infinite, but vmaf is below 90"


def number(value: Any, gap: float = math.nan) -> float:
    """A number, or what stands for none."""
    return gap if value is None or value is pd.NA else float(value)


def said(value: object) -> str:
    """A value in a sentence."""
    return f"{value:.7g}" if isinstance(value, int | float) else str(value)


def place(at: object) -> str:
    """A group of rows in a sentence."""
    return " on ".join(map(str, at)) if isinstance(at, tuple) else str(at)


def _slack(limit: float) -> float:
    return ROUNDING * max(1.0, abs(limit)) if math.isfinite(limit) else 0.0
