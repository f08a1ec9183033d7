"""How bursty a bitstream is: what a network and a buffer must bear beyond the mean rate.

All of it is from the sizes of the packets of the real bitstream in the order in which they are sent. A packet falls due
as a whole at the first frame that cannot be decoded without it: a packet of several frames, as tokenizers write, is one
burst and then nothing.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Family, NotMeasured, Packets, Setting, View
from evalsuite.metrics.describing import describing
from evalsuite.types import Packet, Series

_SOURCE = (
    "closed form on the sizes of access units of the bitstream (evalsuite/codec/bitstream.py, checked against FFmpeg)"
)
_TRAPS = (
    "Of the sequence as coded, in transmission order, parameter sets with their frame. A short sequence has one intra "
    "frame in it and looks burstier than a long one. A packet of several frames counts at its first one. Encoders were "
    "not asked for a constant rate: it describes, it is no fault."
)


_info = functools.partial(describing, family="traffic", source=_SOURCE, needs="packets", traps=_TRAPS)

_INFOS = (
    _info("peak_to_mean", "", "largest frame over the mean frame, in bits", range=(1, math.inf)),
    _info(
        "peak_kbps", "kbps", "largest number of bits within one second (round(frame rate) frames in a row), as a rate"
    ),
    _info(
        "vbv_bits",
        "bit",
        "size of the smallest leaky bucket: each frame falls in at once, the mean rate runs out, and nothing spills; "
        "equally the smallest buffer of a decoder that starts full and is filled at the mean rate",
    ),
    _info("vbv_seconds", "s", "vbv_bits over the mean rate: what a decoder's buffer delays at the mean rate"),
    _info("frame_dispersion", "bit", "index of dispersion of the bits of frames: variance over mean"),
    _info(
        "frame_bits",
        "bit",
        "bits that fall due at each frame, in the order of transmission",
        per_frame=True,
        traps="Of the sequence as coded, parameter sets with their frame. A frame's number is its place in the stream: "
        "where an encoder reorders, another place than on the screen, so it does not pair with scores of pictures. A "
        "packet of several frames counts at its first one; the others have 0.",
    ),
)


def due_bits(packets: tuple[Packet, ...]) -> list[int]:
    """The bits that fall due at each frame, in the order of transmission."""
    bits: list[int] = []
    for packet in packets:
        bits += [8 * packet.bytes, *([0] * (packet.frames - 1))]
    return bits


def smallest_bucket(bits: list[int]) -> Fraction:
    """The largest fill of a bucket that each frame's bits fall into and that the mean rate leaks out of.

    Args:
        bits: of each frame, at least one frame.
    """
    # Times the number of frames: the mean is a whole number then, and the answer exact.
    count, leak = len(bits), sum(bits)
    fill = largest = 0
    for frame in bits:
        fill += frame * count
        largest = max(largest, fill)
        fill = max(fill - leak, 0)
    return Fraction(largest, count)


def statistics(bits: list[int], frame_rate: Fraction) -> dict[str, float]:
    """Every figure of this family.

    Args:
        bits: that fall due at each frame; not all 0.
        frame_rate: frames per second.
    """
    sizes: NDArray[np.float64] = np.array(bits, np.float64)
    mean = sizes.mean()
    window = min(len(bits), max(1, round(frame_rate)))
    sums = np.convolve(sizes, np.ones(window), "valid")
    bucket = smallest_bucket(bits)
    return {
        "peak_to_mean": float(sizes.max() / mean),
        "peak_kbps": float(sums.max() / window * float(frame_rate) / 1000),
        "vbv_bits": float(bucket),
        "vbv_seconds": float(bucket / (Fraction(sum(bits), len(bits)) * frame_rate)),
        "frame_dispersion": float(sizes.var() / mean),
    }


class _TrafficMeter:
    """Counts frames; the sizes of packets are asked for at the end."""

    child_cpu_s = 0.0

    def __init__(self, packets: Packets, frame_rate: Fraction, names: tuple[str, ...]) -> None:
        self._packets = packets
        self._frame_rate = frame_rate
        self._names = names
        self._frames = 0

    def push(self, source: View, decoded: View) -> None:  # noqa: ARG002 - every meter is given both
        """Count a frame."""
        self._frames += 1

    def finish(self) -> list[Series]:
        """One series for each name: of one value, or of `frame_bits` one for each frame in the order of transmission.

        Raises:
            EvalError: the bitstream cannot be read, or its packets are not of as many frames as were decoded.
        """
        packets = self._packets()
        if not packets:
            reason = "the codec does not tell the sizes of frames, and its bitstream is a format of its own"
            return [Series(name, "not_applicable", reason=reason) for name in self._names]
        covered = sum(packet.frames for packet in packets)
        if covered != self._frames:
            raise MetricError(
                "the packets of the bitstream are of another number of frames than were decoded",
                expected=f"{self._frames} frames",
                got=f"{covered} in {len(packets)} packets",
                fix="check `container` and `standard` of the recipe, or what its `info` command says of packets",
            )
        bits = due_bits(packets)
        figures = {name: np.array([value]) for name, value in statistics(bits, self._frame_rate).items()}
        figures["frame_bits"] = np.array(bits, np.float64)
        return [Series(name, "ok", figures[name]) for name in self._names]

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _TrafficMeter:
    if setting.packets is None:
        raise NotMeasured("not_applicable", "there is no bitstream to look at")
    return _TrafficMeter(setting.packets, setting.frame_rate, names)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
