"""From per-frame scores to one figure, by name; a figure that does not exist keeps the name of its reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalsuite.types import MetricInfo, Series, Status


@dataclass(frozen=True, slots=True)
class Pooled:
    """One pooled score: `score` is finite where status is ok, inf where it is infinite, else nan."""

    statistic: str
    score: float
    status: Status
    reason: str = ""


def pool(series: Series, info: MetricInfo) -> list[Pooled]:
    """Mean, what 95 % of the frames reach, and worst frame, and what else the field pools this metric by.

    `p5` is the score that 95 % of the frames reach or better: for lower-is-better metrics the 95th percentile.
    `harmonic_mean` is libvmaf's: of score + 1. `root_mean` is XPSNR's: the decibels of the mean root of the error. A
    metric without a direction has no worse frames, and one figure of a whole sequence has no frames: they have their
    mean alone. One infinite frame makes an infinite mean; it never becomes a number or NaN. Frames that the metric does
    not apply to are not in `series` and so in no figure.
    """
    names = ["mean"]
    if info.per_frame and info.higher_is_better is not None:
        names += ["p5", "worst"]
    names += info.statistics
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
    }
    if "harmonic_mean" in names:
        figures["harmonic_mean"] = len(values) / np.sum(1 / (values + 1)) - 1
    if "root_mean" in names:
        mean_root = np.mean(10 ** (-values / 20))
        figures["root_mean"] = -20 * np.log10(mean_root) if mean_root > 0 else np.inf
    return [
        Pooled(
            name,
            float(figures[name]),
            "infinite" if np.isinf(figures[name]) else "ok",
            "" if np.isfinite(figures[name]) else f"infinite in {int(np.isinf(values).sum())} of {len(values)} frames",
        )
        for name in names
    ]
