"""Frames to a bitstream, one slot at a time: memory does not grow with the length of the video."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import BinaryIO, cast

from tvc.analysis import Analysis, Slot, Store
from tvc.bitstream import LARGEST_AREA, MAX_SLOTS, SPOOL_BYTES, Checksum, Header, Packet, Writer, seed
from tvc.config import TOKEN_PIXELS
from tvc.entropy import Writer as RangeWriter
from tvc.errors import RequestError, VideoError
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY, POINTS, Point, point
from tvc.slots import SlotCoder
from tvc.video import Format, Frame
from tvc.weights import model_hash

_LEAST_SLOTS = 8
_PACKET_TOKENS = 3200
"""A packet of a small video is filled up to this many tokens: there its 12 bytes weigh more."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an encoder made.

    Attributes:
        q: the operating point.
        bytes: size of the bitstream.
        frames: of the video.
        bpp: bits per luma sample of the video.
    """

    q: int
    bytes: int
    frames: int
    bpp: float


def encode_stream(
    frames: Iterable[Frame],
    format: Format,
    output: BinaryIO,
    model: TVC,
    *,
    q: int | None = None,
    bpp: float | None = None,
    intra_period: int = -1,
    packet_slots: int | None = None,
) -> Summary:
    """Encode a video.

    Args:
        frames: 8-bit 4:2:0 frames of `format`.
        format: geometry, frame rate and colour.
        output: the bitstream is written here, once.
        model: the weights.
        q: operating point, 0 (best quality) to 63; or
        bpp: bits per luma sample; the operating point is taken whose bitstream comes nearest.
        intra_period: frames from one random-access point to the next, rounded up to a multiple of 4; -1: only the
            first.
        packet_slots: slots of a packet at most, 1 to 32; None: 8, or as many as have 3,200 tokens.

    Raises:
        RequestError: an option is out of range, or not exactly one of `q` and `bpp` is given.
        VideoError: there are no frames, or they are not of `format`.
    """
    _check_format(format)
    if intra_period != -1 and intra_period < 1:
        raise RequestError("there is no such intra period", expected="1 frame or more, or -1", got=intra_period)
    if (q is None) == (bpp is None) or (bpp is not None and not (math.isfinite(bpp) and bpp > 0)):
        raise RequestError("a rate is asked for by q or by a positive bpp", got=f"q {q}, bpp {bpp}")
    if packet_slots is not None and not 1 <= packet_slots <= MAX_SLOTS:
        raise RequestError("there is no such packet", expected=f"1 to {MAX_SLOTS} slots", got=packet_slots)
    analysis = Analysis(frames, format, model, intra_period)
    layout = _Layout(format, model_hash(model), packet_slots)
    if q is not None:
        packed = _Packed(analysis, layout, model, point(q, continuous=model.continuous_context is not None))
    elif bpp is not None:
        with TemporaryFile() as file:
            store = Store(cast("BinaryIO", file), analysis)
            packed = _nearest(store, layout, model, bpp * analysis.frames * format.width * format.height / 8)
    with packed.spool:
        size = packed.writer.finish(Header(format, analysis.frames, layout.model), output)
    return Summary(packed.point.q, size, analysis.frames, 8 * size / (analysis.frames * format.width * format.height))


@dataclass(frozen=True, slots=True)
class _Layout:
    """What packets have in common at all operating points.

    Attributes:
        format: of the video.
        model: hash of the weights.
        packet_slots: slots of a packet at most; None: as the encoder sees fit.
    """

    format: Format
    model: bytes
    packet_slots: int | None

    @property
    def header(self) -> Header:
        """The header as far as it is known before the last frame."""
        return Header(self.format, 1, self.model)

    @property
    def full(self) -> int:
        """Slots of a full packet."""
        height, width = self.header.tokens
        wanted = self.packet_slots or max(_PACKET_TOKENS // (height * width), _LEAST_SLOTS)
        return min(wanted, self.header.most_slots)


class _Packed:
    """The packets of a video at one operating point, in a file that is kept in memory while it is small."""

    def __init__(self, slots: Iterable[Slot], layout: _Layout, model: TVC, point: Point) -> None:
        self.point = point
        self.spool = cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115 (closed by who finishes it)
        self.writer = Writer(self.spool)
        start = seed(layout.format, layout.model)
        full = layout.full
        coder = SlotCoder(model, *layout.header.tokens)
        packet: _OpenPacket | None = None
        for number, slot in enumerate(slots):
            if packet is None or slot.intra or packet.slots == full:
                if packet is not None:
                    self.writer.add(packet.close())
                packet = _OpenPacket(start, number, slot.intra, point)
            if slot.intra:
                coder.reset()
            packet.add(coder, slot)
        if packet is not None:
            self.writer.add(packet.close())


class _OpenPacket:
    """Slots on their way into one packet."""

    def __init__(self, start: int, first: int, intra: bool, point: Point) -> None:
        self.slots = 0
        self._intra = intra
        self._point = point
        self._checksum = Checksum(start, first, intra, point.q)
        self._discrete, self._continuous = RangeWriter(), RangeWriter()

    def add(self, coder: SlotCoder, slot: Slot) -> None:
        codes, _ = coder.discrete(self._discrete, self._point, slot.codes)
        self._checksum.add(codes.numpy())
        if self._point.step_index is None:
            coder.skip_continuous()
        else:
            _, symbols = coder.continuous(self._continuous, self._point, codes, slot.latents)
            self._checksum.add(symbols)
        self.slots += 1

    def close(self) -> Packet:
        payloads = self._discrete.finish(), self._continuous.finish()
        return Packet(self._intra, self.slots, self._point, self._checksum.value, *payloads)


def _nearest(slots: Store, layout: _Layout, model: TVC, target: float) -> _Packed:
    """The operating point whose size is nearest to `target` bytes, by ratio: bisection over q, then the best seen."""
    best: _Packed | None = None
    overhead = len(layout.header.to_bytes())

    def distance(packed: _Packed) -> float:
        return abs(math.log((packed.writer.bytes + overhead) / target))

    low, high = 0 if model.continuous_context is not None else DISCRETE_ONLY, len(POINTS) - 1
    while low <= high:
        middle = (low + high) // 2
        probe = _Packed(slots, layout, model, POINTS[middle])
        low, high = (middle + 1, high) if probe.writer.bytes + overhead > target else (low, middle - 1)
        if best is None or distance(probe) < distance(best):
            best, probe = probe, best or probe
        if probe is not best:
            probe.spool.close()
    if best is None:
        raise RequestError("no operating point was tried")
    return best


def _check_format(format: Format) -> None:
    format.check()
    rows, columns = (-(-side // TOKEN_PIXELS) for side in (format.height, format.width))
    if rows * columns * TOKEN_PIXELS**2 > LARGEST_AREA:
        raise VideoError(
            "the frames are larger than tvc codes",
            expected=f"{LARGEST_AREA} luma samples, padded to multiples of {TOKEN_PIXELS}",
            got=f"{format.width}x{format.height}",
        )
