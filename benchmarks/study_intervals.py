"""How often the intervals of `evalsuite study analyse` hold the truth: a simulation with a known SROCC.

Contents differ in level and in how noisy the metric is on them. Each trial draws contents, and asks whether the 95 %
interval of SROCC holds that of twenty thousand contents: percentiles as they are, and expanded as the suite has them.

    python benchmarks/study_intervals.py [TRIALS]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from evalsuite.study.intervals import interval
from evalsuite.study.validation import RESAMPLES, draws, measures

STIMULI = 8
"""Of each content."""


def simulate(rng: np.random.Generator, contents: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of a metric and of people, (contents x STIMULI,) each."""
    size = contents * STIMULI
    level = np.repeat(rng.normal(0, 0.6, contents), STIMULI)
    noise = np.repeat(rng.uniform(0.3, 1.2, contents), STIMULI)
    quality = rng.uniform(1, 5, size)
    return quality + level + noise * rng.normal(0, 1, size), quality + rng.normal(0, 0.15, size)


def main() -> None:
    """Print a row for each number of contents."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = np.random.default_rng(0)
    truth = spearmanr(*simulate(rng, 20_000)).statistic
    print(f"SROCC {truth:.3f}; {trials} trials each, of {STIMULI} stimuli a content")
    print("contents  percentiles  expanded")
    for contents in (5, 6, 8, 12, 20):
        counts = draws([str(place // STIMULI) for place in range(contents * STIMULI)], RESAMPLES, 1)
        plain = expanded = 0
        for _ in range(trials):
            x, y = simulate(rng, contents)
            sample = measures(x, y, x, counts)[0]
            low, high = np.quantile(sample, [0.025, 0.975])
            plain += low <= truth <= high
            bounds = interval(sample, contents)
            expanded += bounds is not None and bounds[0] <= truth <= bounds[1]
        print(f"{contents:8d}  {100 * plain / trials:9.1f} %  {100 * expanded / trials:6.1f} %")


if __name__ == "__main__":
    main()
