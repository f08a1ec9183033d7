"""How often the 95 % intervals of opinion scores hold the truth, and how often the model refuses: a simulation.

Subjects differ in bias and in how noisy their votes are; votes are rounded to five grades. The truth is a stimulus'
quality and the mean bias of the subjects that there are, which no model can tell from it.

    python benchmarks/study_opinions.py [TRIALS]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import RequestError
from evalsuite.study import opinion
from evalsuite.study.ratings import Ratings
from evalsuite.study.stimuli import Stimulus


def simulate(seed: int, stimuli: int, subjects: int) -> tuple[Ratings, NDArray[np.float64]]:
    """Votes of all subjects on all stimuli, and the truth."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(1.5, 4.5, stimuli)
    bias, noise = rng.normal(0, 0.3, subjects), rng.uniform(0.4, 0.9, subjects)
    votes = quality[:, None] + bias + noise * rng.normal(0, 1, (stimuli, subjects))
    names = (tuple(Stimulus(f"t{row}") for row in range(stimuli)), tuple(f"s{column}" for column in range(subjects)))
    return Ratings(*names, np.clip(votes.round(), 1, 5)[:, :, None]), quality + bias.mean()


def coverage(model: opinion.ModelName, trials: int, stimuli: int, subjects: int) -> tuple[float, int]:
    """Percent of the intervals that hold the truth, and how many studies were refused."""
    held, refused = [], 0
    for seed in range(trials):
        ratings, truth = simulate(seed, stimuli, subjects)
        try:
            found = opinion.analyse_ratings(ratings, model).opinions
        except RequestError:
            refused += 1
            continue
        held += [abs(one.mos - true) <= (one.ci95 or 0.0) for one, true in zip(found, truth, strict=True)]
    return 100 * float(np.mean(held)) if held else float("nan"), refused


def main() -> None:
    """Print a row for each design, with intervals given however few votes there are."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    opinion.MIN_SUBJECTS = opinion.MIN_VOTES = 1
    print(f"percent of 95 % intervals that hold the truth (studies refused of {trials})")
    print("stimuli  subjects  " + "  ".join(f"{model:>12s}" for model in opinion.MODELS))
    for stimuli in (12, 24, 48):
        for subjects in (4, 8, 12, 15, 24):
            row = [coverage(model, trials, stimuli, subjects) for model in opinion.MODELS]
            print(
                f"{stimuli:7d}  {subjects:8d}  " + "  ".join(f"{share:6.1f} ({no:3d})" for share, no in row), flush=True
            )


if __name__ == "__main__":
    main()
