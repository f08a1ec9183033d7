"""From per-frame scores to one figure, by name; a figure that does not exist keeps the name of its reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalsuite.types import MetricInfo, Series, Status

HARMONIC = ("vmaf", "vmaf_neg")
"""Metrics for which the field reports the harmonic mean, as libvmaf pools it: of score + 1."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """One pooled score: `score` is finite where status is ok, inf where it is infinite, else nan."""

    statistic: str
    score: float
    status: Status
    reason: str = ""


def pool(series: Series, info: MetricInfo) -> list[Pooled]:
    """Mean, 5th percentile and worst frame; the harmonic mean where the field uses it.

    `p5` is the score that 95 % of the frames reach or better: for lower-is-better metrics the 95th percentile.
    A metric without a direction has no worse frames: it has its mean alone. One infinite frame makes an infinite mean;
    it never becomes a number or NaN.
    """
    directed = ["p5", "worst"] if info.higher_is_better is not None else []
    names = ["mean", *directed, *(["harmonic_mean"] if info.name in HARMONIC else [])]
    if series.status != "ok":
        return [Pooled(name, np.nan, series.status, series.reason) for name in names]
    values = series.values
    if not len(values):
        return [Pooled(name, np.nan, "not_applicable", "no frame has a score") for name in names]
    if np.isnan(values).any():
        reason = f"{int(np.isnan(values).sum())} of {len(values)} frames have no number"
        return [Pooled(name, np.nan, "nan", reason) for name in names]
    # "lower" takes a frame's own score: interpolation beside an infinite frame would give NaN.
    percentile = np.percentile(
        values, 5 if info.higher_is_better else 95, method="lower" if info.higher_is_better else "higher"
    )
    figures = {
        "mean": values.mean(),
        "p5": percentile,
        "worst": values.min() if info.higher_is_better else values.max(),
        "harmonic_mean": len(values) / np.sum(1 / (values + 1)) - 1 if info.name in HARMONIC else np.nan,
    }
    return [
        Pooled(
            name,
            float(figures[name]),
            "infinite" if np.isinf(figures[name]) else "ok",
            "" if np.isfinite(figures[name]) else "identical frames",
        )
        for name in names
    ]
