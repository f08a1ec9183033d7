"""Slots to packets: the operating point of each is fixed, or chosen by a leaky bucket."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Protocol, cast

from tvc.analysis import Slot
from tvc.bitstream import SPOOL_BYTES, Checksum, Header, Packet, Writer
from tvc.config import SLOT_FRAMES
from tvc.entropy import Writer as RangeWriter
from tvc.errors import RequestError
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY, POINTS, Point, correction
from tvc.slots import Memory, SlotCoder
from tvc.video import Format

_LEAST_SLOTS = 8
_PACKET_TOKENS = 3200
"""A packet of a small video is filled up to this many tokens: there its 12 bytes weigh more."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What packets have in common at all operating points.

    Attributes:
        format: of the video.
        model: hash of the weights.
        packet_slots: slots of a packet at most; None: as the encoder sees fit.
        coded: as in the header.
        multiplier: of bits in the choice of codes (`slots.rounded`).
        detail: that of the source is told; else nothing is, and the decoder's frames stay as they are.
    """

    format: Format
    model: bytes
    packet_slots: int | None
    coded: tuple[int, int] | None
    multiplier: float
    detail: bool

    @property
    def header(self) -> Header:
        """The header as far as it is known before the last frame."""
        return Header(self.format, 1, self.model, self.coded)

    @property
    def full(self) -> int:
        """Slots of a full packet."""
        height, width = self.header.tokens
        wanted = self.packet_slots or max(_PACKET_TOKENS // (height * width), _LEAST_SLOTS)
        return min(wanted, self.header.most_slots)


def fitting(layout: Layout, seconds: float) -> Layout:
    """The same with packets whose frames take so many seconds at most, where it leaves their size open."""
    if layout.packet_slots is not None or not 0 < seconds < math.inf:
        return layout
    return replace(layout, packet_slots=max(1, min(layout.full, int(seconds * layout.format.rate / SLOT_FRAMES))))


class Control(Protocol):
    """Chooses the operating point of a packet."""

    def __call__(self, code: Callable[[Point], Packet], frames: int) -> Packet:
        """One of the packets that `code` makes of the next slots, which are so many frames of the video."""
        ...


def fixed(point: Point) -> Control:
    """The same operating point for all packets."""
    return lambda code, frames: code(point)  # noqa: ARG005 (the protocol's)


class LeakyBucket:
    """The best operating points whose packets a channel of constant rate delivers in time.

    A packet enters the bucket when its frames are over, and the bucket empties at the rate: what is in it divided by
    the rate is how long the last bit has to wait. Of the points that fit, found by bisection on real packets, the one
    of the lowest q is taken; where not even q 63 fits, q 63, and the packet is late. (The buffering verifier of video
    coding standards: Ribas-Corbera, Chou and Regunathan, IEEE TCSVT 13(7), 2003.)

    Args:
        kbps: rate of the channel, 1,000 bits a second.
        seconds: longest wait; at least the time that a packet's frames take.
        format: gives the frame rate.
        full: slots of a full packet.
        lowest: q of the best operating point of the model.

    Raises:
        RequestError: rate or wait are no positive numbers, or the wait is too short.
    """

    def __init__(self, kbps: float, seconds: float, format: Format, full: int, lowest: int) -> None:
        self._rate = float(format.rate)
        if not (0 < kbps < float("inf") and 0 < seconds < float("inf")):
            raise RequestError("a channel has a positive rate and wait", got=f"{kbps} kbps, {seconds} s")
        needed = full * SLOT_FRAMES / self._rate
        if seconds < needed:
            raise RequestError(
                "the buffer holds less than the frames of a packet take",
                expected=f"at least {math.ceil(1000 * needed) / 1000:g} s",
                got=f"{seconds:g} s",
                fix="allow a longer wait, or fewer slots in a packet",
            )
        self._bits_per_s = 1000 * kbps
        self._size = self._bits_per_s * seconds
        self._lowest = lowest
        self._level = 0.0
        self.late = 0
        """Packets that did not fit."""

    def __call__(self, code: Callable[[Point], Packet], frames: int) -> Packet:
        """As `Control`."""
        self._level = max(0.0, self._level - self._bits_per_s * frames / self._rate)
        room = self._size - self._level
        best = None
        low, high = self._lowest, len(POINTS) - 1
        while low <= high:
            middle = (low + high) // 2
            packet = code(POINTS[middle])
            if _bits(packet) <= room:
                best, high = packet, middle - 1
            else:
                low = middle + 1
        if best is None:
            best = packet  # that of the last point
            self.late += 1
        self._level += _bits(best)
        return best


class Packed:
    """The packets of a video, in a file that is kept in memory while it is small.

    Args:
        slots: of the video.
        layout: of its packets.
        model: gives the context models.
        control: chooses operating points.
    """

    def __init__(self, slots: Iterable[Slot], layout: Layout, model: TVC, control: Control) -> None:
        self.spool = cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115 (closed by who finishes it)
        self.layout = layout
        self.writer = Writer(self.spool)
        self.used: set[int] = set()
        """q of the packets."""
        coder = SlotCoder(model, *layout.header.tokens)
        first = 0
        for group in _groups(slots, layout.full):
            if group[0].intra:
                coder.reset()
            tries = _Tries(coder, group, layout, first)
            packet = control(tries.code, sum(slot.frames for slot in group))
            tries.settle(packet)
            self.writer.add(packet)
            self.used.add(packet.point.q)
            first += len(group)

    @property
    def size(self) -> int:
        """Bytes of the bitstream, but for those that the number of frames takes in the header beyond one."""
        return self.writer.size(self.layout.header)


class _Tries:
    """The same slots as packets of several operating points, of which one is taken."""

    def __init__(self, coder: SlotCoder, slots: list[Slot], layout: Layout, first: int) -> None:
        self._coder, self._slots, self._layout, self._first = coder, slots, layout, first
        self._before = coder.memory
        self._after: dict[int, Memory] = {}

    def code(self, point: Point) -> Packet:
        """The packet at one operating point."""
        intra = self._slots[0].intra
        checksum = Checksum(self._layout.header.seed, self._first, intra, point.q)
        discrete, continuous = RangeWriter(), RangeWriter()
        self._coder.memory = self._before
        for slot in self._slots:
            detail = self._coder.detail(discrete, point, slot.strengths if self._layout.detail else {})
            prices = self._layout.multiplier, correction(point)
            codes, _ = self._coder.discrete(discrete, point, slot.places, *prices)
            checksum.add_tokens(codes.numpy(), detail)
            if point.step_index is None:
                self._coder.skip_continuous()
            else:
                _, symbols = self._coder.continuous(continuous, point, codes, slot.latents)
                checksum.add(symbols)
        self._after[point.q] = self._coder.memory
        return Packet(intra, len(self._slots), point, checksum.value, discrete.finish(), continuous.finish())

    def settle(self, packet: Packet) -> None:
        """Go on as after this packet."""
        self._coder.memory = self._after[packet.point.q]


def _groups(slots: Iterable[Slot], full: int) -> Iterator[list[Slot]]:
    """The slots of each packet."""
    group: list[Slot] = []
    for slot in slots:
        if group and (slot.intra or len(group) == full):
            yield group
            group = []
        group.append(slot)
    if group:
        yield group


def _bits(packet: Packet) -> int:
    return 8 * len(packet.to_bytes())


def lowest_q(model: TVC) -> int:
    """The best operating point that a model has."""
    return 0 if model.continuous_context is not None else DISCRETE_ONLY
