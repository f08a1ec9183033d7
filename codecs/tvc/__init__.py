"""tvc: a tokenized video codec with a real bitstream (after TVC, arXiv 2504.16953).

    data = tvc.encode(frames, 25, q=20)
    for y, cb, cr in tvc.decode(data): ...
    for frame, concealed in tvc.receive(data, lost=[(400, 900)]): ...

Frames are triples of uint8 arrays: Y (height, width), Cb and Cr (half of both, rounded up).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from tvc.errors import BitstreamError, RequestError, TvcError, VideoError, WeightsError

# PyTorch takes seconds to import: `import tvc` and `tvc --help` do without it.
if TYPE_CHECKING:
    from tvc.model import TVC
    from tvc.video import Frame

__all__ = [
    "BitstreamError",
    "RequestError",
    "TvcError",
    "VideoError",
    "WeightsError",
    "decode",
    "encode",
    "receive",
    "stats",
    "thin",
]

__version__ = "0.1.0"


def encode(
    frames: Iterable[Frame],
    rate: Fraction | int,
    *,
    q: int | None = None,
    bpp: float | None = None,
    kbps: float | None = None,
    buffer_s: float = 2.0,
    intra_period: int = -1,
    packet_slots: int | None = None,
    scale: float | None = None,
    detail: bool = True,
    model: TVC | None = None,
) -> bytes:
    """Encode 8-bit 4:2:0 frames.

    Args:
        frames: at least one, all of one size.
        rate: frames a second.
        q: operating point, 0 (best quality) to 63; or
        bpp: bits per luma sample to come nearest to; or
        kbps: of a channel that delivers every packet in time: its operating point is chosen by that.
        buffer_s: seconds from the last frame of a packet until all of it is delivered, at most; for `kbps`.
        intra_period: frames between random-access points, rounded up to a multiple of 4; -1: only the first frame.
        packet_slots: slots of four frames in a packet at most, 1 to 32; None: 8, or as many as have 3,200 tokens.
        scale: how many times their height and width frames are coded at, 0.25 to 4; None: by q and what they show.
        detail: decoded frames are given the strength of the source's finest detail; without, PSNR is higher.
        model: weights of your own, from `tvc.weights.load`; None: those tvc ships.

    Returns:
        The bitstream.

    Raises:
        TvcError: no frames, frames of different sizes, an option out of range, no weights.
    """
    from tvc.encoder import encode_stream
    from tvc.video import geometry

    format, frames = geometry(frames, Fraction(rate))
    output = BytesIO()
    encode_stream(
        frames,
        format,
        output,
        _model(model),
        q=q,
        bpp=bpp,
        kbps=kbps,
        buffer_s=buffer_s,
        intra_period=intra_period,
        packet_slots=packet_slots,
        scale=scale,
        detail=detail,
    )
    return output.getvalue()


def decode(data: bytes, start: int = 0, count: int | None = None, *, model: TVC | None = None) -> Iterator[Frame]:
    """Decode frames; they are made as they are asked for.

    Args:
        data: the bitstream.
        start: first frame wanted.
        count: frames wanted; None: all to the end.
        model: weights of your own; None: those tvc ships.

    Raises:
        TvcError: damaged, of another version or other weights, or without these frames; damage may show only while
            iterating.
    """
    from tvc.bitstream import Reader
    from tvc.decoder import decode_frames

    return decode_frames(Reader(data), _model(model), start, count)


def receive(
    data: bytes,
    lost: Iterable[tuple[int, int]],
    *,
    conceal: Literal["still", "predict"] = "still",
    model: TVC | None = None,
) -> Iterator[tuple[Frame, bool]]:
    """Decode what arrived of a bitstream and conceal the rest: every frame, and whether it is concealed.

    Args:
        data: the bitstream as long as it was sent, lost bytes of any value.
        lost: ranges of it that did not arrive: first byte, and the byte after the last one.
        conceal: of slots of which no half arrived the last frame stands still, or their tokens are predicted.
        model: weights of your own; None: those tvc ships.

    Raises:
        TvcError: ranges outside the file; header, index or the head of a packet lost; other weights or version.
    """
    from tvc.bitstream import Reader
    from tvc.parts import Lost
    from tvc.receiver import receive_frames

    return receive_frames(Reader(data), _model(model), Lost(lost, len(data)), conceal=conceal)


def thin(data: bytes, *, model: TVC | None = None) -> bytes:
    """The bitstream without its latents: what `encode` gives at q 32 for the same frames, scale and packets.

    Args:
        data: the bitstream.
        model: weights of your own; None: those tvc ships.

    Raises:
        TvcError: damaged, or of another version or other weights.
    """
    from tvc.bitstream import Reader
    from tvc.thinning import thin_stream

    output = BytesIO()
    thin_stream(Reader(data), _model(model), output)
    return output.getvalue()


def stats(data: bytes, *, model: TVC | None = None) -> dict[str, Any]:
    """Token statistics of a bitstream, as `tvc info --json` gives them.

    Args:
        data: the bitstream.
        model: weights of your own; None: those tvc ships.

    Raises:
        TvcError: damaged, or of another version or other weights.
    """
    from tvc.bitstream import Reader
    from tvc.statistics import bitstream_stats

    return bitstream_stats(Reader(data), _model(model))


def _model(model: TVC | None) -> TVC:
    if model is not None:
        return model
    from tvc.weights import load

    return load()
