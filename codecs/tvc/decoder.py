"""A bitstream to tokens, and tokens to frames, one packet at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tvc.bitstream import Checksum, Header, Packet, Reader
from tvc.config import SLOT_FRAMES
from tvc.detail import restored
from tvc.entropy import Coder, Meter
from tvc.entropy import Reader as RangeReader
from tvc.errors import BitstreamError, RequestError
from tvc.haar import Planes
from tvc.model import TVC
from tvc.operating import Kind, kind_of
from tvc.resampling import resized
from tvc.slots import SlotCoder
from tvc.tables import Ints
from tvc.video import Frame
from tvc.weights import model_hash

_SLACK_BITS = 128
"""What the end of a coded stream may leave out, generously."""


class DecodedSlot(NamedTuple):
    """What a decoder knows of four frames.

    Attributes:
        intra: nothing before it is needed.
        codes: (1, D, h, w) int64.
        mask: (1, 1, h, w) bool, of the tokens that were not sent; None: all were.
        latents: (1, C, h, w), dequantised; None: not sent.
        symbols: (h * w, C), the latents as coded; None: not sent.
        detail: levels of the source's, as `SlotCoder.detail` gives them; without cells where nothing is known of it.
    """

    intra: bool
    codes: Tensor
    mask: Tensor | None
    latents: Tensor | None
    symbols: Ints | None
    detail: Ints

    @property
    def kind(self) -> Kind:
        """What its frames are decoded from."""
        return kind_of(latents=self.latents is not None, masked=self.mask is not None)


class DecodedPacket(NamedTuple):
    """A packet whose tokens have passed its checksum.

    Attributes:
        first: number of the first slot.
        packet: as in the bitstream.
        slots: decoded.
        discrete_bits: ideal length of the tokens, by the model.
        continuous_bits: ideal length of the latents, by the model.
    """

    first: int
    packet: Packet
    slots: list[DecodedSlot]
    discrete_bits: float
    continuous_bits: float


def decode_tokens(reader: Reader, model: TVC, slot: int = 0) -> Iterator[DecodedPacket]:
    """Tokens from the last intra packet that is not after a slot.

    Args:
        reader: of the bitstream.
        model: the weights that made it.
        slot: the first one wanted.

    Raises:
        BitstreamError: other weights made it, or a packet is damaged.
    """
    reader.check_model(model_hash(model))
    start = reader.header.seed
    coder = SlotCoder(model, *reader.header.tokens)
    for first, packet in reader.packets(slot):
        check_latents(packet, model)
        checksum = Checksum(start, first, packet.intra, packet.point.q)
        discrete, continuous = Meter(RangeReader(packet.discrete)), Meter(RangeReader(packet.continuous))
        slots = []
        for i in range(packet.slots):
            slots.append(_read_slot(coder, packet, discrete, continuous, intra=packet.intra and i == 0))
            check_length(packet.discrete, discrete, first + i)
            check_length(packet.continuous, continuous, first + i)
            checksum.add_tokens(slots[-1].codes.numpy(), slots[-1].detail)
            if (symbols := slots[-1].symbols) is not None:
                checksum.add(symbols)
        if checksum.value != packet.crc:
            raise BitstreamError(
                "a packet's tokens do not match its checksum: the bitstream is damaged",
                where=f"frames {first * SLOT_FRAMES} to {(first + packet.slots) * SLOT_FRAMES - 1}",
                fix="fetch or make it again",
            )
        yield DecodedPacket(first, packet, slots, discrete.bits, continuous.bits)


def decode_frames(reader: Reader, model: TVC, start: int = 0, count: int | None = None) -> Iterator[Frame]:
    """Frames of a bitstream.

    Args:
        reader: of the bitstream.
        model: the weights that made it.
        start: first frame wanted; decoding begins at the last random-access point before it.
        count: frames wanted; None: all to the end.

    Raises:
        RequestError: frames that the video does not have.
        BitstreamError: other weights made it, or it is damaged.
    """
    span = frame_range(reader, start, count)
    return _frames(reader, model, span.start, span.stop)


def frame_range(reader: Reader, start: int, count: int | None) -> range:
    """The frames that are wanted; arguments and errors as of `decode_frames`."""
    frames = reader.header.frames
    stop = frames if count is None else start + count
    if not 0 <= start < stop <= frames:
        raise RequestError(
            "the video has no such frames", expected=f"frames 0 to {frames - 1}", got=f"{start} to {stop - 1}"
        )
    return range(start, stop)


def _frames(reader: Reader, model: TVC, start: int, stop: int) -> Iterator[Frame]:
    state = model.new_decoder_state()
    for decoded in decode_tokens(reader, model, start // SLOT_FRAMES):
        for number, slot in enumerate(decoded.slots, decoded.first):
            if slot.intra:
                state = model.new_decoder_state()
            planes, state = model.decode_slot(slot.codes, slot.mask, slot.latents, state)
            frames = to_frames(planes, reader.header, slot)
            yield from frames[max(start - number * SLOT_FRAMES, 0) : stop - number * SLOT_FRAMES]
            # What follows is not looked at, unless this was the end, which the file has to agree with.
            if stop < reader.header.frames and (number + 1) * SLOT_FRAMES >= stop:
                return


def _read_slot(coder: SlotCoder, packet: Packet, discrete: Coder, continuous: Coder, *, intra: bool) -> DecodedSlot:
    if intra:
        coder.reset()
    detail = coder.detail(discrete, packet.point, None)
    codes, mask = coder.discrete(discrete, packet.point, None)
    if packet.point.step_index is None:
        coder.skip_continuous()
        return DecodedSlot(intra, codes, mask, None, None, detail)
    latents, symbols = coder.continuous(continuous, packet.point, codes, None)
    return DecodedSlot(intra, codes, mask, latents, symbols, detail)


def check_latents(packet: Packet, model: TVC) -> None:
    """Raises BitstreamError where a packet has latents and the model does not know any."""
    if packet.point.step_index is not None and model.continuous_context is None:
        raise BitstreamError("a packet has latents, which this model does not know")


def check_length(payload: bytes, meter: Meter, slot: int) -> None:
    """Stop where more was read than was there: a damaged size or count must not cost minutes.

    A range coder's output is never shorter than the ideal length, but for a rounding of 0.6 % at the rarest symbols.
    """
    if meter.bits > 8.08 * len(payload) + _SLACK_BITS:
        raise BitstreamError(
            "a packet ends before its tokens do: the bitstream is damaged",
            where=f"frame {slot * SLOT_FRAMES}",
            fix="fetch or make it again",
        )


def to_frames(planes: Planes, header: Header, slot: DecodedSlot) -> list[Frame]:
    """The four frames of a slot, resized or cut to the video's size, with their detail."""
    format = header.format
    if header.coded is not None:
        planes = resized(planes, format.height, format.width)
    y, cb, cr = (plane[:, :, :height, :width] for plane, (height, width) in zip(planes, format.shapes, strict=True))
    if slot.detail.size:
        y = restored(y, slot.detail, slot.kind)
    luma, blue, red = (_samples(plane[0]) for plane in (y, cb, cr))
    return [(luma[i], blue[i], red[i]) for i in range(SLOT_FRAMES)]


def _samples(plane: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    samples: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = (
        (plane * 128 + 128).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()
    )
    return samples
