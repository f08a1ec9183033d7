"""Frames to a bitstream, one slot at a time: memory does not grow with the length of the video."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from tvc.analysis import Analysis, Store
from tvc.bitstream import LARGEST_AREA, MAX_SLOTS, Header
from tvc.config import TOKEN_PIXELS
from tvc.errors import RequestError, VideoError
from tvc.model import TVC
from tvc.operating import POINTS, point
from tvc.packing import Layout, LeakyBucket, Packed, fixed, lowest_q
from tvc.video import Format, Frame
from tvc.weights import model_hash

BUFFER_S = 2.0
"""Seconds that a packet may wait, where nothing is said."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an encoder made.

    Attributes:
        q: the operating points of its packets: the lowest and the highest.
        bytes: size of the bitstream.
        frames: of the video.
        bpp: bits per luma sample of the video.
        late: packets that the channel delivers later than asked for.
    """

    q: tuple[int, int]
    bytes: int
    frames: int
    bpp: float
    late: int = 0


def encode_stream(
    frames: Iterable[Frame],
    format: Format,
    output: BinaryIO,
    model: TVC,
    *,
    q: int | None = None,
    bpp: float | None = None,
    kbps: float | None = None,
    buffer_s: float = BUFFER_S,
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
        bpp: bits per luma sample; the operating point is taken whose bitstream comes nearest; or
        kbps: of a channel, in 1,000 bits a second; each packet has the best operating point that it delivers in time.
        buffer_s: seconds from the last frame of a packet until all of it is delivered, at most; for `kbps`.
        intra_period: frames from one random-access point to the next, rounded up to a multiple of 4; -1: only the
            first.
        packet_slots: slots of a packet at most, 1 to 32; None: 8, or as many as have 3,200 tokens.

    Raises:
        RequestError: an option is out of range, or not exactly one of `q`, `bpp` and `kbps` is given.
        VideoError: there are no frames, or they are not of `format`.
    """
    _check_format(format)
    if intra_period != -1 and intra_period < 1:
        raise RequestError("there is no such intra period", expected="1 frame or more, or -1", got=intra_period)
    if sum(one is not None for one in (q, bpp, kbps)) != 1 or (bpp is not None and not 0 < bpp < math.inf):
        raise RequestError(
            "a rate is asked for by one of q, a positive bpp, and kbps", got=f"q {q}, bpp {bpp}, kbps {kbps}"
        )
    if packet_slots is not None and not 1 <= packet_slots <= MAX_SLOTS:
        raise RequestError("there is no such packet", expected=f"1 to {MAX_SLOTS} slots", got=packet_slots)
    analysis = Analysis(frames, format, model, intra_period)
    layout = Layout(format, model_hash(model), packet_slots)
    late = 0
    if q is not None:
        packed = Packed(analysis, layout, model, fixed(point(q, continuous=model.continuous_context is not None)))
    elif kbps is not None:
        bucket = LeakyBucket(kbps, buffer_s, format, layout.full, lowest_q(model))
        packed = Packed(analysis, layout, model, bucket)
        late = bucket.late
    elif bpp is not None:
        with TemporaryFile() as file:
            store = Store(cast("BinaryIO", file), analysis)
            packed = _nearest(store, layout, model, bpp * analysis.frames * format.width * format.height / 8)
    with packed.spool:
        size = packed.writer.finish(Header(format, analysis.frames, layout.model), output)
    rate = 8 * size / (analysis.frames * format.width * format.height)
    return Summary((min(packed.used), max(packed.used)), size, analysis.frames, rate, late)


def _nearest(slots: Store, layout: Layout, model: TVC, target: float) -> Packed:
    """The operating point whose size is nearest to `target` bytes, by ratio: bisection over q, then the best seen."""
    best: Packed | None = None
    overhead = len(layout.header.to_bytes())

    def distance(packed: Packed) -> float:
        return abs(math.log((packed.writer.bytes + overhead) / target))

    low, high = lowest_q(model), len(POINTS) - 1
    while low <= high:
        middle = (low + high) // 2
        probe = Packed(slots, layout, model, fixed(POINTS[middle]))
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
