"""Time, memory and accuracy of forecasts.

    python benchmarks/forecast.py [STREAMS]

Forecasts 100,000 streams over 24 hours for two codecs: five tags of ten sequences of 300 frames, which are 15,000
states that a stream may be in. The bar is 30 s and 2 GB on two cores. Then the p99 of sums whose distribution is
known: frames of one size make Poisson's, and a fixed number of streams that are on or off a binomial. The bar is 3 %.
"""

import math
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

from evalsuite.planning.audience import parse_audience
from evalsuite.planning.forecast import forecast
from evalsuite.planning.points import RatePoint
from evalsuite.planning.simulate import Source, draw, quantile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planning_samples import rate_point

TAGS = ("faces", "sport", "film", "animation", "games")
SEQUENCES, FRAMES = 10, 300


def ladder(codec: str, bits: float, seed: int) -> list[RatePoint]:
    """One good point for each sequence: frames of random sizes, and a large one every two seconds."""
    rng = np.random.default_rng(seed)
    found = []
    for tag in TAGS:
        for place in range(SEQUENCES):
            sizes = rng.gamma(0.6, bits * (1 + place / 5), FRAMES)
            sizes[::50] *= 10
            means = {"vmaf": 85.0, **({"sent_token_rate": 3000.0} if codec == "tvc" else {})}
            found.append(
                rate_point(
                    codec, f"{tag}{place}", kbps=sizes.mean() * 25 / 1000, means=means, bits=list(sizes), traits=[tag]
                )
            )
    return found


def speed(streams: int) -> None:
    """One forecast as the bar has it."""
    data = {
        "version": "1",
        "streams": streams,
        "codecs": ["x265", "tvc"],
        "target": "vmaf=80",
        "mix": [{"tag": tag, "share": 1 / len(TAGS)} for tag in TAGS],
        "storage": {"hours": 1000},
    }
    points = ladder("x265", 40_000, 1) + ladder("tvc", 20_000, 2)
    started = time.perf_counter()
    found = forecast(points, parse_audience(data, "benchmark"))
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{streams} streams x 24 h x 2 codecs, {len(TAGS) * SEQUENCES * FRAMES} states: {took:.1f} s, {peak:.0f} MB")
    for one in found.codecs:
        day = one.day
        print(
            f"  {one.codec}: p99 {day.bandwidth.p99 / 1e9:.3f} Gbit/s, Gaussian {day.gaussian_p99 / 1e9:.3f}, "
            f"simulated mean {100 * (day.simulated_mean / day.bandwidth.mean - 1):+.4f} %, {day.instants} instants"
        )


def accuracy() -> None:
    """The p99 of one hour against the exact one, for ten seeds."""
    flat = [Source(np.full(FRAMES, 1.0), math.nan)]
    on_off = [Source(np.repeat([0.0, 1.0], [3 * FRAMES // 4, FRAMES // 4]), math.nan)]
    for streams in (10, 100, 1000, 10_000, 100_000):
        for name, sources, fixed, exact in (
            ("Poisson", flat, False, stats.poisson(streams)),
            ("binomial", on_off, True, stats.binom(streams, 0.25)),
        ):
            truth = exact.ppf(0.99)
            drawn = (draw(sources, streams, np.array([1.0]), fixed=fixed, seed=(seed,))[0] for seed in range(10))
            errors = [100 * abs(quantile([one], 0.99)[0] / truth - 1) for one in drawn]
            print(
                f"{name} of {streams}: p99 {truth:g}, off by {max(errors):.2f} % at most, {np.mean(errors):.2f} % mean"
            )


if __name__ == "__main__":
    speed(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    accuracy()
