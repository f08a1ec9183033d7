"""Frame rates as they are written: the one place that says which are read."""

from __future__ import annotations

import re
from fractions import Fraction

SLOWEST, FASTEST = Fraction(1, 1000), Fraction(100_000)
"""Frames per second: from a picture every quarter of an hour to the fastest cameras."""

FRAME_RATES = "1/1000 to 100000 frames per second, such as 30, 29.97 or 30000/1001"
"""What is read, in words."""

_WRITTEN = re.compile(r"\s*[0-9]{1,20}(?:/[0-9]{1,20}|\.[0-9]{0,20})?\s*")
"""Short, and without an exponent: of 1e999999999, Python would write out every digit."""


def read_frame_rate(text: str) -> Fraction | None:
    """The frame rate that a text says; None where it says none, or one that no video has.

    >>> read_frame_rate("30000/1001"), read_frame_rate("1e9")
    (Fraction(30000, 1001), None)
    """
    if not _WRITTEN.fullmatch(text):
        return None
    try:
        rate = Fraction(text)
    except ZeroDivisionError:
        return None
    return rate if SLOWEST <= rate <= FASTEST else None
