"""The operating points: one number q, higher is fewer bits. The table is part of the bitstream format.

At what size the frames are coded is another matter: the header says it, `scale` is what the encoder chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvc.errors import RequestError
from tvc.tables import TOTAL, root

_FINEST_STEP = -8
_STEPS = 32
_THRESHOLDS = 31
_THRESHOLD_OCTAVE = 4

DISCRETE_ONLY = _STEPS
"""The q that sends every token and nothing else."""


@dataclass(frozen=True, slots=True)
class Point:
    """What is sent at one operating point.

    Attributes:
        q: its number.
        step_index: latents are sent in steps of 2**(step_index / 8); None: they are not sent.
        threshold: tokens surer than this are masked, in units of 2**-16; None: all tokens are sent.
    """

    q: int
    step_index: int | None
    threshold: int | None

    @property
    def step(self) -> float | None:
        """The quantisation step of the latents, about 2**(step_index / 8); None without latents."""
        return None if self.step_index is None else 2 ** (self.step_index / 8)


POINTS = (
    # Both streams, the latents ever coarser.
    *(Point(q, _FINEST_STEP + q, None) for q in range(_STEPS)),
    Point(DISCRETE_ONLY, None, None),
    # Fewer and fewer tokens: thresholds 2**(-1/4), 2**(-2/4), ...
    *(
        Point(DISCRETE_ONLY + i, None, root(_THRESHOLD_OCTAVE, _THRESHOLD_OCTAVE * (TOTAL.bit_length() - 1) - i))
        for i in range(1, _THRESHOLDS + 1)
    ),
)


_USUAL_SCALE, _SCALE_WITH_LATENTS = 1.375, 1.75
_FIRST_LARGER, _SCALE_OCTAVE = 31, 7
_LAST_LARGE, _LARGE_SCALE_OCTAVE = 16, 24
_LAST_USUAL, _SMALL_SCALE_OCTAVE = 47, 12

MULTIPLIER = 0.07
"""How much squared distance from a code before rounding a bit is worth, in the encoder's choice of codes."""


def scale(q: int) -> float:
    """How many times their height and width frames are coded at, where nothing is asked for.

    1.375 for tokens alone. Coarse latents buy less than a larger picture: with them it grows by an octave in 7 steps,
    to 1.75 at most, which is coded in real time at CIF (docs/tvc.md, "Coded size"). Below q 16 latents end at half a
    step, and it grows on. Above q 47, where three of four tokens are masked, fewer tokens cost less than more guesses.
    """
    larger = min(_SCALE_WITH_LATENTS, _USUAL_SCALE * 2 ** (max(0, _FIRST_LARGER - q) / _SCALE_OCTAVE))
    smaller = 2 ** (-max(0, q - _LAST_USUAL) / _SMALL_SCALE_OCTAVE)
    return float(larger * 2 ** (max(0, _LAST_LARGE - q) / _LARGE_SCALE_OCTAVE) * smaller)


def point(q: int, *, continuous: bool = True) -> Point:
    """The operating point of a number.

    Args:
        q: 0 (best quality) to 63 (fewest bits).
        continuous: whether the model has a continuous stream.

    Raises:
        RequestError: there is no such point, or not with this model.
    """
    lowest = 0 if continuous else DISCRETE_ONLY
    if not lowest <= q < len(POINTS):
        raise RequestError(
            "there is no such operating point",
            expected=f"a whole number from {lowest} to {len(POINTS) - 1}",
            got=q,
            fix=None if continuous or q not in range(DISCRETE_ONLY) else "these weights have no continuous stream",
        )
    return POINTS[q]
