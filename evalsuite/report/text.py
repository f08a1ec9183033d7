"""How numbers, names and commands are written in the report: with units, true signs, and no false digits."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

NONE = "–"
"""What stands where there is no number and nothing to explain."""

_MINUS = "\u2212"
_THIN = "\u202f"  # narrow and unbreakable: a number never parts from its unit

INTERVAL = f"95{_THIN}% interval"

BELOW_NOISE = "below the noise of its points"
"""What a BD-rate is that is smaller than its noise floor."""


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)


def percent(value: float | None, digits: int = 1, signed: bool = True) -> str:
    r"""A percentage: `+27.1 %`.

    >>> percent(-0.04)
    '0.0\u202f%'
    """
    if value is None or not math.isfinite(value):
        return NONE
    rounded = round(value, digits)
    sign = "+" if signed and rounded > 0 else ""
    return f"{sign}{_signed(f'{rounded + 0.0:.{digits}f}')}{_THIN}%"


def magnitude(value: float) -> str:
    """The size of a percentage in a sentence: a decimal below ten, none above."""
    size = abs(value)
    return percent(size, 1 if round(size, 1) < 10 else 0, signed=False)


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval in percent: `+19.0 to +36.2 %`."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    return f"{percent(low, digits).removesuffix(f'{_THIN}%')} to {percent(high, digits)}"


def significant(value: float | None, digits: int = 4) -> str:
    """A positive number to so many significant digits, never in scientific notation."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _signed(f"{value:.{min(decimals, 12)}f}")


def count(value: float | None) -> str:
    """A whole number with its thousands set apart."""
    return NONE if value is None else f"{int(value):,}".replace(",", _THIN)


def knob(value: float | None) -> str:
    """The quality setting `q`."""
    return NONE if value is None else f"{value:.6g}"


def score(value: float | None, decimals: int) -> str:
    """A score; `inf` is a value (no error), not a gap."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    return _signed(f"{value:.{decimals}f}")


def change(value: float | None, decimals: int, unit: str) -> str:
    """A difference of scores, signed, with its unit: `+0.82 dB`."""
    if value is None or not math.isfinite(value):
        return NONE
    rounded = round(value, decimals) + 0.0
    return with_unit(f"{'+' if rounded > 0 else ''}{_signed(f'{rounded:.{decimals}f}')}", unit)


def change_interval(low: float | None, high: float | None, decimals: int, unit: str) -> str:
    """An interval of differences of scores: `+0.61 to +1.03 dB`."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    return f"{change(low, decimals, '')} to {change(high, decimals, unit)}"


def tick(value: float) -> str:
    """A percentage at an axis."""
    return f"{'+' if value > 0 else ''}{_signed(f'{value + 0.0:g}')}{_THIN}%"


def with_unit(text: str, unit: str) -> str:
    """A number and its unit, which do not part at the end of a line."""
    return f"{text}{_THIN}{unit}" if unit and text != NONE else text


def duration(seconds: float | None) -> str:
    """A time span in the largest units that say enough: `4 min 12 s`."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.1f}{_THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}{_THIN}h {minutes}{_THIN}min" if hours else f"{minutes}{_THIN}min"
    return head if hours else f"{head} {rest}{_THIN}s"


def metric(name: str) -> str:
    """A metric's name as read in text: `psnr_yuv` is PSNR-YUV."""
    return name.replace("_", "-").upper()


def figure(name: str) -> str:
    """A figure's name as read in text: `token_rate` is token rate."""
    return name.replace("_", " ")


def direction(higher_is_better: bool | None) -> str:
    """Which way a metric points, as a sign and in words; None points nowhere."""
    if higher_is_better is None:
        return "describes, no better or worse"
    return "↑ higher is better" if higher_is_better else "↓ lower is better"


def plural(number: int, noun: str) -> str:
    """`1 sequence`, `5 sequences`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listing(names: Sequence[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def some(names: Sequence[str], at_most: int = 3) -> str:
    """The names if they are few, else how many they are."""
    return listing(names) if len(names) <= at_most else plural(len(names), "sequence")


def command(arguments: Sequence[object]) -> str:
    """A command line as it can be typed into a shell."""
    return shlex.join(str(argument) for argument in arguments)
