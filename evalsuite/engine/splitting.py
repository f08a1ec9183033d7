"""Into how many parts a long encode is split, where its codec allows it, so that all workers end about together.

Handing out the longest tasks first ends at most one task later than any schedule could: within (1 - 1/m) times the
longest task of the even share of m workers.
Source: R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17(2), 1969.
"""

from __future__ import annotations

import math

_LONGEST_SHARE = 0.1
"""The longest task, as a share of what each worker has to do in all: a schedule is then within 10 % of the best."""

LEAST_S = 30.0
"""Parts are not made shorter than this: each reads its source again and starts an encoder."""


def parts_of(seconds: float, gops: int, all_s: float, workers: int) -> int:
    """The number of parts for one encode.

    Args:
        seconds: that the encode may take.
        gops: groups of pictures that it can be split between.
        all_s: seconds of everything that the run has to do.
        workers: that share it.
    """
    longest = max(LEAST_S, _LONGEST_SHARE * all_s / max(1, workers))
    return max(1, min(gops, math.ceil(seconds / longest)))
