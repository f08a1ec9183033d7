"""What the C library does with memory that is given back."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3)."""
_LARGER_THAN_ANY_LAYER = 1 << 30


def keep_freed() -> None:
    """Have memory that is freed taken again, not returned to the system: for a process that runs the networks.

    glibc maps every large block anew, and the system zeroes it page by page: for each layer of each slot, which takes a
    fifth of the time of decoding (`benchmarks/tvc_speed.py --return-memory`). Elsewhere than on glibc nothing is done.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for name in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(name, _LARGER_THAN_ANY_LAYER)
