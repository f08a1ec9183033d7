"""Reading numbers that may be missing."""

from __future__ import annotations

import math
from typing import Any


def number(value: Any) -> float | None:
    """A finite number, or None: tables and JSON write a gap as null, NA or NaN.

    >>> number(float("nan")), number(None), number(2)
    (None, None, 2.0)
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
