"""The operating points: one number q, higher is fewer bits. The table is part of the bitstream format.

At what size the frames are coded is another matter: the header says it, `content.usual` is what the encoder chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvc.errors import RequestError
from tvc.tables import TOTAL, root

_FINEST_STEP = -8
_STEPS = 32
_THRESHOLDS = 31
_THRESHOLD_OCTAVE = 24
_SLOPES = (10, 3), (_THRESHOLDS, 6)
"""The last threshold of each slope, and by how many parts of an octave its thresholds lie below the one before."""

DISCRETE_ONLY = _STEPS
"""The q that sends every token and nothing else."""


Kind = Literal["tokens", "masked", "latents"]
"""What a slot is decoded from: tokens alone, tokens of which some are masked, tokens with latents."""


def kind_of(*, latents: bool, masked: bool) -> Kind:
    """The kind of a slot with latents or without, some of whose tokens are masked or none."""
    if latents:
        return "latents"
    return "masked" if masked else "tokens"


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

    @property
    def kind(self) -> Kind:
        """What slots are decoded from."""
        return kind_of(latents=self.step_index is not None, masked=self.threshold is not None)


def _threshold(number: int) -> int:
    """The nth threshold: an octave in 8 steps, then one in 4.

    Frames are coded smaller meanwhile (`content.usual`): where guesses are mostly wrong, that costs less.
    """
    depth, first = 0, 0
    for last, parts in _SLOPES:
        depth += parts * (min(number, last) - min(number, first))
        first = last
    return root(_THRESHOLD_OCTAVE, _THRESHOLD_OCTAVE * (TOTAL.bit_length() - 1) - depth)


POINTS = (
    # Both streams, the latents ever coarser.
    *(Point(q, _FINEST_STEP + q, None) for q in range(_STEPS)),
    Point(DISCRETE_ONLY, None, None),
    # Fewer and fewer tokens.
    *(Point(DISCRETE_ONLY + number, None, _threshold(number)) for number in range(1, _THRESHOLDS + 1)),
)


MULTIPLIER = 0.07
"""How much squared distance from a code before rounding a bit is worth, in the encoder's choice of codes."""

_CORRECTION = 0.4
_CHEAP, _CORRECTION_OCTAVE = 50, 4


def correction(point: Point) -> float:
    """How much squared distance a bit is worth where a guess would do (`tvc.masking`).

    More than where codes are chosen (`MULTIPLIER`): the predictor mends much of what a guess gets wrong. By an octave
    in 4 points more from q 50 on, where a larger picture would buy more for the bits.
    """
    return _CORRECTION * 2 ** (max(0, point.q - _CHEAP) / _CORRECTION_OCTAVE)


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
