"""Time and memory of the statistics over a large leaderboard.

    python benchmarks/bd_tables.py [POINTS]

Makes a table of 100,000 rows (20 codecs, 50 sequences, 20 metrics, 5 rate points), compares every codec with the first
by every metric on every sequence, with overlap, relative curves, noise floors, and bootstrap intervals over sequences.
The bar is 10 s and 1 GB.
"""

import resource
import sys
import time

import numpy as np
import pandas as pd

from evalsuite.results.tables import bd_table

CODECS, SEQUENCES, RATES = 20, 50, 5


def board(points: int) -> pd.DataFrame:
    """Rows as results.parquet has them; curves rise, saturate and differ by codec and sequence."""
    metrics = points // (CODECS * SEQUENCES * RATES)
    metric, codec, sequence, rate = (
        axis.ravel()
        for axis in np.meshgrid(*(np.arange(n) for n in (metrics, CODECS, SEQUENCES, RATES)), indexing="ij")
    )
    random = np.random.default_rng(6)
    saving = random.normal(0, 0.1, (CODECS, SEQUENCES))[codec, sequence]
    bpp = 0.01 * 2.0**rate * np.exp(saving + random.normal(0, 0.01, len(rate)))
    return pd.DataFrame(
        {
            "codec": np.char.add("codec", codec.astype(str)),
            "preset": "medium",
            "sequence": np.char.add("sequence", sequence.astype(str)),
            "tags": "",
            "width": 1920,
            "height": 1080,
            "frames": 60,
            "bpp": bpp,
            "metric": np.char.add("metric", metric.astype(str)),
            "statistic": "mean",
            "score": 30 + 3 * np.log2(bpp / 0.01 * np.exp(-saving)) + 0.2 * metric,
            "higher_is_better": True,
            "log_domain_ceiling": np.where(metric % 4 == 0, 100.0, np.nan),
            "status": "ok",
            "reason": "",
            "metric_version": "1",
            "codec_version": np.char.add("1.", codec.astype(str)),
            "intra_period": 32,
            "structure": "random access",
            "rate_control": "crf",
            "internal_bit_depth": 8,
            "lookahead": 20,
            "delay": 30,
            "scale_divisor": 1,
            "rate_source": "file",
            "threads": 1,
            "source_sha256": np.char.add("sha", sequence.astype(str)),
        }
    )


def main() -> None:
    """Run and print."""
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    table = board(points)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    rows = bd_table(table, "codec0")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(table)} rate points, {len(rows)} rows of BD-rate: {seconds:.1f} s (bar 10)")
    print(f"peak memory {peak:.0f} MB, {before:.0f} of it before the statistics (bar 1000)")


if __name__ == "__main__":
    main()
