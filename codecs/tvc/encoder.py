"""Frames to a bitstream, one slot at a time: memory does not grow with the length of the video."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from tvc.analysis import Analysis, Replay, Store
from tvc.bitstream import LARGEST_AREA, MAX_SLOTS, SCALES, tokens_at
from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.content import CHANNEL, LOOK_SCALE, is_textured, usual
from tvc.errors import RequestError, VideoError
from tvc.model import TVC
from tvc.operating import MULTIPLIER, POINTS, Point, point
from tvc.packing import Layout, LeakyBucket, Packed, fitting, fixed, lowest_q
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
    scale: float | None = None,
    multiplier: float = MULTIPLIER,
    detail: bool = True,
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
        scale: how many times their height and width frames are coded at, 0.25 to 4; 1: as they are. None: size and
            point are what `content.usual` says of q, with `kbps` the size of q 36, as far as tvc codes frames so large.
        multiplier: squared distance that a bit is worth when codes are chosen; 0: the nearest codes.
        detail: tell how strong the source's finest detail is, for the decoder to give it back (`tvc.detail`).

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
    if scale is not None and not SCALES[0] <= scale <= SCALES[1]:
        raise RequestError("frames are not coded at such a size", expected=f"{SCALES[0]} to {SCALES[1]}", got=scale)
    if not 0 <= multiplier < math.inf:
        raise RequestError("a bit has no such price", expected="0 or more", got=multiplier)
    if q is not None:
        point(q, continuous=model.continuous_context is not None)

    weights = model_hash(model)
    textured = False
    if scale is None and model.continuous_context is not None:
        frames = iter(frames)
        head = list(islice(frames, SLOT_FRAMES))
        frames = chain(head, frames)
        looked = Layout(format, weights, 1, _usual(format, LOOK_SCALE), MULTIPLIER, detail=False)
        textured = bool(head) and is_textured(head, looked, model)

    def layout(q: int) -> tuple[Point, Layout]:
        if scale is not None:
            return POINTS[q], Layout(format, weights, packet_slots, _asked(format, scale), multiplier, detail)
        chosen, size = usual(q, textured=textured)
        return chosen, Layout(format, weights, packet_slots, _usual(format, size), multiplier, detail)

    late = 0
    if q is not None:
        chosen, laid = layout(q)
        analysis = Analysis(frames, format, model, intra_period, laid.coded)
        packed = Packed(analysis, laid, model, fixed(chosen))
        count = analysis.frames
    elif kbps is not None:
        laid = fitting(layout(CHANNEL)[1], buffer_s)
        bucket = LeakyBucket(kbps, buffer_s, format, laid.full, lowest_q(model))
        analysis = Analysis(frames, format, model, intra_period, laid.coded)
        packed = Packed(analysis, laid, model, bucket)
        count, late = analysis.frames, bucket.late
    elif bpp is not None:
        with ExitStack() as files:
            # One coded size needs the frames once.
            again = frames if scale is not None else files.enter_context(Replay(frames, format))
            analyses: list[Analysis] = []

            def store(coded: tuple[int, int] | None) -> Store:
                analyses.append(Analysis(again, format, model, intra_period, coded))
                return Store(cast("BinaryIO", files.enter_context(TemporaryFile())), analyses[-1])

            # Where the search begins.
            coded = layout((lowest_q(model) + len(POINTS) - 1) // 2)[1].coded
            stores = {coded: store(coded)}
            count = analyses[0].frames
            packed = _nearest(stores, store, layout, model, bpp * count * format.width * format.height / 8)
    with packed.spool:
        size = packed.writer.finish(replace(packed.layout.header, frames=count), output)
    rate = 8 * size / (count * format.width * format.height)
    return Summary((min(packed.used), max(packed.used)), size, count, rate, late)


def _nearest(
    stores: dict[tuple[int, int] | None, Store],
    store: Callable[[tuple[int, int] | None], Store],
    layout: Callable[[int], tuple[Point, Layout]],
    model: TVC,
    target: float,
) -> Packed:
    """The operating point whose size is nearest to `target` bytes, by ratio: bisection over q, then the best seen.

    Args:
        stores: slots of the video by coded size, as `Header.coded`.
        store: gives them for a coded size that is not there yet.
        layout: point and layout of the packets at each q.
        model: the weights.
        target: bytes of the bitstream.
    """
    best: Packed | None = None
    low, high = lowest_q(model), len(POINTS) - 1
    while low <= high:
        middle = (low + high) // 2
        chosen, laid = layout(middle)
        if laid.coded not in stores:
            stores[laid.coded] = store(laid.coded)
        probe = Packed(stores[laid.coded], laid, model, fixed(chosen))
        low, high = (middle + 1, high) if probe.size > target else (low, middle - 1)
        if best is None or abs(math.log(probe.size / target)) < abs(math.log(best.size / target)):
            best, probe = probe, best or probe
        if probe is not best:
            probe.spool.close()
    if best is None:
        raise RequestError("no operating point was tried")
    return best


def _usual(format: Format, scale: float) -> tuple[int, int]:
    """Rows and columns of tokens for frames at this scale, or at the largest one below it that tvc codes."""
    sides = format.height, format.width
    rows, columns = (tokens_at(side, scale) for side in sides)
    if rows * columns * TOKEN_PIXELS**2 > LARGEST_AREA:
        # Rounded down, so that they do fit.
        largest = math.sqrt(LARGEST_AREA / math.prod(sides))
        rows, columns = (max(1, int(side * largest / TOKEN_PIXELS)) for side in sides)
    return rows, columns


def _asked(format: Format, scale: float) -> tuple[int, int] | None:
    """Rows and columns of tokens for frames at the scale that is asked for; None: they are not resized."""
    if scale == 1:
        return None
    rows, columns = (tokens_at(side, scale) for side in (format.height, format.width))
    if rows * columns * TOKEN_PIXELS**2 > LARGEST_AREA:
        raise RequestError(
            "the frames are larger at this scale than tvc codes",
            expected=f"{LARGEST_AREA} luma samples",
            got=f"{columns * TOKEN_PIXELS}x{rows * TOKEN_PIXELS}",
            fix="choose a smaller scale",
        )
    return rows, columns


def _check_format(format: Format) -> None:
    format.check()
    rows, columns = (-(-side // TOKEN_PIXELS) for side in (format.height, format.width))
    if rows * columns * TOKEN_PIXELS**2 > LARGEST_AREA:
        raise VideoError(
            "the frames are larger than tvc codes",
            expected=f"{LARGEST_AREA} luma samples, padded to multiples of {TOKEN_PIXELS}",
            got=f"{format.width}x{format.height}",
        )
