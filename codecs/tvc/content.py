"""What the encoder does at each q where nothing else is asked for; it depends on what the video shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tvc.analysis import Analysis
from tvc.bitstream import Packet
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY, POINTS, Point
from tvc.packing import Layout, Packed
from tvc.video import Frame

CHANNEL = DISCRETE_ONLY + 4
"""The q whose usual scale a video for a channel has: masks can still do most of what its packets may need."""

LOOK_SCALE = 1.375
_LOOK = POINTS[DISCRETE_ONLY - 1]
_DEAR = 0.7
"""Bytes of the coarsest latents over those of the tokens: above this a video counts as texture."""

_TOKENS_SCALE = 1.75
_SMOOTH_MASKED, _SMOOTH_OCTAVE, _SMOOTH_LAST_OCTAVE = 44, 12, 48
_TEXTURE_OCTAVE = 24
_TEXTURE_Q, _TEXTURE_POINTS = (32, 35, 54, 63), (32, 47, 54, 63)
"""Of texture, from tokens alone on: some q and the numbers of their points, between which the others lie evenly."""
_LARGER_OCTAVE = 14
_TEXTURE_LATENTS, _TEXTURE_LATENTS_SCALE = 23, 2.2
_FIRST_LATENTS, _FIRST_LATENTS_SCALE, _LATENTS_OCTAVE = 31, 1.375, 7
_LAST_LARGE, _LARGE_OCTAVE = 16, 24


def usual(q: int, *, textured: bool) -> tuple[Point, float]:
    """The point, and how many times their height and width frames are coded at (docs/tvc.md, "Coded size").

    Args:
        q: 0 (best quality) to 63 (fewest bits); 32 is all tokens alone, at 1.75 times.
        textured: what `is_textured` says of the video.
    """
    return _of_texture(q) if textured else _of_smooth_ground(q)


def _of_smooth_ground(q: int) -> tuple[Point, float]:
    # A wrong guess shows, so a smaller picture saves bits better than masks: an octave in 12 steps, until few tokens
    # are left. Latents are cheap; they begin smaller than tokens alone, for they cost more. Coarse ones buy less than a
    # larger picture, which grows by an octave in 7 steps, to 1.75 again; and on when they end at half a step.
    if q >= DISCRETE_ONLY:
        masked, beyond = min(q, _SMOOTH_MASKED) - DISCRETE_ONLY, max(q - _SMOOTH_MASKED, 0)
        return POINTS[q], _TOKENS_SCALE / 2 ** (masked / _SMOOTH_OCTAVE + beyond / _SMOOTH_LAST_OCTAVE)
    growing = min(_TOKENS_SCALE, _FIRST_LATENTS_SCALE * 2 ** ((_FIRST_LATENTS - q) / _LATENTS_OCTAVE))
    return POINTS[q], growing * 2 ** (max(0, _LAST_LARGE - q) / _LARGE_OCTAVE)


def _of_texture(q: int) -> tuple[Point, float]:
    # It hides guesses that are a little wrong, those that are far off are corrected, and a small picture has none: many
    # masks early, and frames shrink half as fast. A larger picture of tokens alone is better than latents, which begin
    # only at q 23, and large.
    if q >= DISCRETE_ONLY:
        number = round(float(np.interp(q, _TEXTURE_Q, _TEXTURE_POINTS)))
        return POINTS[number], _TOKENS_SCALE * 2 ** ((DISCRETE_ONLY - q) / _TEXTURE_OCTAVE)
    if q > _TEXTURE_LATENTS:
        return POINTS[DISCRETE_ONLY], _TOKENS_SCALE * 2 ** ((DISCRETE_ONLY - q) / _LARGER_OCTAVE)
    point, scale = _of_smooth_ground(round(q * _FIRST_LATENTS / _TEXTURE_LATENTS))
    return point, max(scale, _TEXTURE_LATENTS_SCALE)


def is_textured(head: list[Frame], layout: Layout, model: TVC) -> bool:
    """Whether texture fills the picture: then the coarsest latents of its first slot cost much beside its tokens.

    Latents correct what tokens get wrong: of smooth ground little, of texture nearly all. The first slot tells enough,
    and nothing waits for it.

    Args:
        head: the first frames of the video, one slot at most.
        layout: of a bitstream of them, at `LOOK_SCALE`.
        model: with a continuous stream.
    """
    packets: list[Packet] = []

    def look(code: Callable[[Point], Packet], frames: int) -> Packet:  # noqa: ARG001 (the protocol's)
        packets.append(code(_LOOK))
        return packets[0]

    Packed(Analysis(head, layout.format, model, -1, layout.coded), layout, model, look).spool.close()
    return len(packets[0].continuous) > _DEAR * len(packets[0].discrete)
