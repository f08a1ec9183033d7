"""How a sequence may be encoded in parts, and what the placeholders of an encoder's command stand for in one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalsuite.codec.command import Command
from evalsuite.codec.knob import switch_frame
from evalsuite.types import OperatingPoint, Sequence, VideoFormat


@dataclass(frozen=True, slots=True)
class Split:
    """What a recipe says of encodes that are split at random-access points: `[split]`."""

    context: int = 0
    """Frames before and behind its own that an encoder looks at, as a temporal filter does, without coding them."""
    next_intra: bool = False
    """Whether frames before a random-access point refer to it: a part then codes that frame too, for them alone."""
    poc_bits: int = 0
    """Bits of the picture order count, where it runs on over random-access points; 0 where it starts anew there."""
    arguments: Command = ()
    """What `encode` is given besides, in a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """The frames that one run of an encoder codes, of those that it is given."""

    frames: int
    skip: int
    """Frames before them that it is given as well."""
    q_switch: int
    """The frame from which the next q holds, counted from the first one that is given."""


def whole(sequence: Sequence, point: OperatingPoint) -> Part:
    """All frames."""
    return Part(frames=sequence.frames, skip=0, q_switch=switch_frame(point.q, sequence.frames))


def encode_values(
    sequence: Sequence, point: OperatingPoint, part: Part, coded: VideoFormat, infinite: str
) -> dict[str, str]:
    """What the placeholders of an encoder's command stand for, but for files and programs.

    Args:
        sequence: gives the frame rate.
        point: gives q, intra period and threads.
        part: gives the frames.
        coded: the format that the encoder is given.
        infinite: stands for an intra period of -1.
    """
    rate = sequence.frame_rate
    return {
        "q": f"{point.q:.6f}".rstrip("0").rstrip("."),
        "q_floor": str(math.floor(point.q)),
        "q_switch": str(part.q_switch),
        "frames": str(part.frames),
        "skip": str(part.skip),
        "width": str(coded.width),
        "height": str(coded.height),
        "fps": f"{rate.numerator}/{rate.denominator}" if rate.denominator > 1 else str(rate.numerator),
        "fps_rounded": str(max(1, round(rate))),
        "bit_depth": str(coded.bit_depth),
        "intra_period": infinite if point.intra_period == -1 else str(point.intra_period),
        "threads": str(point.threads),
    }
