"""A bitstream that did not arrive whole: what came is decoded, what did not is concealed, and frames say which.

What is concealed how was chosen by measurement (docs/tvc.md). Nothing here raises for what was lost or damaged in
tokens and latents; header, index and heads of packets must have arrived.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from tvc.bitstream import Checksum, Packet, Reader
from tvc.config import SLOT_FRAMES
from tvc.decoder import DecodedSlot, check_latents, check_length, frame_range, to_frames
from tvc.entropy import Coder, Meter
from tvc.entropy import Reader as RangeReader
from tvc.errors import BitstreamError
from tvc.model import TVC
from tvc.operating import Point
from tvc.parts import Lost, Placed, placed
from tvc.slots import Memory, SlotCoder
from tvc.tables import Ints
from tvc.video import Frame
from tvc.weights import model_hash

T = TypeVar("T")

Concealment = Literal["still", "predict"]
"""What is shown of slots of which no half arrived: the last frame, or what the transformer makes of the context model's
likeliest tokens."""


class Received(NamedTuple):
    """What a receiver has of four frames.

    Attributes:
        slot: tokens and latents, as sent or predicted; None: the last frame before it stands still.
        concealed: not what the encoder meant: something of it, or of what it depends on, is missing.
    """

    slot: DecodedSlot | None
    concealed: bool


def receive_frames(
    reader: Reader,
    model: TVC,
    lost: Lost,
    start: int = 0,
    count: int | None = None,
    conceal: Concealment = "still",
) -> Iterator[tuple[Frame, bool]]:
    """Frames of a bitstream, and whether each is concealed: always as many as were sent.

    All from the first one are decoded, whatever `start` is: what is concealed depends on what was shown before.

    Args:
        reader: of the bitstream, lost bytes of any value.
        model: the weights that made it.
        lost: ranges of it that did not arrive.
        start: first frame wanted.
        count: frames wanted; None: all to the end.
        conceal: what is shown of slots of which no half arrived.

    Raises:
        RequestError: frames that the video does not have.
        BitstreamError: other weights made it; its header, index or heads of packets are lost or damaged.
    """
    span = frame_range(reader, start, count)
    reader.check_model(model_hash(model))
    lost.check_heads(reader)
    return itertools.islice(_frames(reader, model, lost, conceal), span.start, span.stop)


def receive_slots(reader: Reader, model: TVC, lost: Lost, conceal: Concealment = "still") -> Iterator[Received]:
    """The slots of a bitstream; arguments and errors as of `receive_frames`."""
    receiver = _Receiver(reader, model, conceal)
    for at in placed(reader):
        yield from receiver.packet(at, lost)


def _frames(reader: Reader, model: TVC, lost: Lost, conceal: Concealment) -> Iterator[tuple[Frame, bool]]:
    state = model.new_decoder_state()
    frames: list[Frame] = []
    left = reader.header.frames
    for slot, concealed in receive_slots(reader, model, lost, conceal):
        if slot is None:
            frames = [frames[-1]] * SLOT_FRAMES
        else:
            if slot.intra:
                state = model.new_decoder_state()
            planes, state = model.decode_slot(slot.codes, slot.mask, slot.latents, state)
            frames = to_frames(planes, reader.header, slot)
        yield from ((frame, concealed) for frame in frames[:left])
        left -= SLOT_FRAMES


class _Recorder:
    """Passes symbols on and keeps them."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self.symbols: list[Ints] = []

    def code(self, counts: Ints, symbols: Ints | None = None) -> Ints:
        self.symbols.append(self._coder.code(counts, symbols))
        return self.symbols[-1]


class _Replay:
    """Gives symbols that are known, then the likeliest ones."""

    def __init__(self, known: list[Ints]) -> None:
        self._known = iter(known)

    def code(self, counts: Ints, symbols: Ints | None = None) -> Ints:
        del symbols
        likeliest: Ints = counts.argmax(axis=1)
        return next(self._known, likeliest)


class _Payload:
    """A coded stream of which the bytes from some place on may be missing.

    Range coding keeps order: larger numbers in the place of missing bytes never give earlier symbols. So what is the
    same with all of them 0 and all of them 255 is what was sent, whatever they were.
    """

    def __init__(self, data: bytes, hole: int | None) -> None:
        self._data = data
        rest = 0 if hole is None else len(data) - hole
        fillings = (data,) if hole is None else (data[:hole] + bytes(rest), data[:hole] + b"\xff" * rest)
        self._readers = [Meter(RangeReader(filling)) for filling in fillings]

    def read(self, coder: SlotCoder, slot: int, walk: Callable[[Coder], T]) -> tuple[T | None, list[Ints]]:
        """Read what a slot has in this stream.

        Args:
            coder: what `walk` changes the memory of.
            slot: its number, for errors.
            walk: reads it from a coder.

        Returns:
            What `walk` gave, None where not all of it arrived; and the symbols that are sure, in the order of coding.

        Raises:
            BitstreamError: all arrived, and is damaged.
        """
        before = coder.memory
        results: list[T | None] = []
        recorders = [_Recorder(reader) for reader in self._readers]
        for recorder, reader in zip(recorders, self._readers, strict=True):
            coder.memory = before
            try:
                results.append(walk(recorder))
                check_length(self._data, reader, slot)
            except BitstreamError:
                if len(self._readers) == 1:
                    raise
                results.append(None)
        symbols = [recorder.symbols for recorder in recorders]
        sure = [same[0] for same in itertools.takewhile(_equal, zip(*symbols, strict=False))]
        whole = all(len(read) == len(sure) for read in symbols) and results[0] is not None
        if whole:
            return results[0], sure
        coder.memory = before
        return None, sure


def _equal(symbols: tuple[Ints, ...]) -> bool:
    return all(np.array_equal(symbols[0], other) for other in symbols[1:])


class _Receiver:
    """Takes packets in order, and remembers how much of the decoder's contexts is still the encoder's."""

    def __init__(self, reader: Reader, model: TVC, conceal: Concealment) -> None:
        self._model, self._conceal = model, conceal
        self._seed = reader.header.seed
        self._coder = SlotCoder(model, *reader.header.tokens)
        self._tokens = self._latents = False
        """Whether the contexts of tokens, and of latents, are what the encoder had."""
        self._concealed = False
        self._last: DecodedSlot | None = None

    def packet(self, at: Placed, lost: Lost) -> list[Received]:
        """The slots of the next packet."""
        check_latents(at.packet, self._model)
        if at.packet.intra:
            self._tokens = self._latents = True
            self._concealed = False
        before, memory = self._last, self._coder.memory
        try:
            return self._read(at, lost)
        except BitstreamError:
            # Delivered, but not what was sent: which of its tokens are right, nothing tells.
            self._tokens, self._concealed, self._last, self._coder.memory = False, True, before, memory
            return [self._missing(at.packet, []) for _ in range(at.packet.slots)]

    def _read(self, at: Placed, lost: Lost) -> list[Received]:
        packet, point = at.packet, at.packet.point
        checksum = Checksum(self._seed, at.first, packet.intra, point.q)
        discrete = _Payload(packet.discrete, lost.after(at.discrete, at.continuous))
        continuous = _Payload(packet.continuous, lost.after(at.continuous, at.end))
        slots = []
        for i in range(packet.slots):
            earlier = self._coder.memory
            if packet.intra and i == 0:
                self._coder.reset()
            detail: Ints | None = None
            read: tuple[Tensor, Tensor | None] | None = None
            sure: list[Ints] = []
            if self._tokens:
                detail, _ = discrete.read(
                    self._coder, at.first + i, lambda coder: self._coder.detail(coder, point, None)
                )
            if detail is not None:
                read, sure = discrete.read(
                    self._coder, at.first + i, lambda coder: self._coder.discrete(coder, point, None)
                )
            if detail is None or read is None:
                self._tokens = False
                self._concealed = True
                if not self._half(point, sure):
                    # Detail that did arrive is still the slot's own.
                    told = earlier.told if detail is None else self._coder.memory.told
                    self._coder.memory = earlier._replace(told=told)
                slots.append(self._missing(packet, sure))
                continue
            codes, mask = read
            checksum.add_tokens(codes.numpy(), detail)
            latents = symbols = None
            if point.step_index is not None:
                latents, symbols = self._read_latents(packet, at.first + i, continuous, codes)
                self._concealed |= symbols is None
            if symbols is None:
                self._coder.skip_continuous()
            else:
                checksum.add(symbols)
            self._last = DecodedSlot(packet.intra and i == 0, codes, mask, latents, symbols, detail)
            slots.append(Received(self._last, self._concealed))
        # Without all of the tokens and latents there is nothing to check.
        complete = self._tokens and (point.step_index is None or self._latents)
        if complete and checksum.value != packet.crc:
            raise BitstreamError("a packet's tokens do not match its checksum: the bitstream is damaged")
        return slots

    def _read_latents(
        self, packet: Packet, slot: int, payload: _Payload, codes: Tensor
    ) -> tuple[Tensor, Ints] | tuple[None, None]:
        """Latents of a slot and their symbols, as `SlotCoder.continuous` gives them; None where they are missing."""
        if self._latents:
            read, _ = payload.read(
                self._coder, slot, lambda coder: self._coder.continuous(coder, packet.point, codes, None)
            )
            if read is not None:
                return read
            self._latents = False
        return None, None

    def _half(self, point: Point, sure: list[Ints]) -> bool:
        """Whether the first half of a slot arrived."""
        return len(self._coder.halves) > 1 and len(sure) >= self._coder.parts(point)

    def _missing(self, packet: Packet, sure: list[Ints]) -> Received:
        """A slot of which some tokens are missing.

        Args:
            packet: that it is in.
            sure: the symbols that arrived, in the order of coding.
        """
        last, arrived = self._last, self._half(packet.point, sure)
        if last is not None and not arrived and self._conceal == "still":
            return Received(None, concealed=True)
        if last is None and not arrived:
            self._coder.memory = Memory(told=self._coder.memory.told)
        known = sure[: self._coder.parts(packet.point)] if arrived else []
        codes, mask = self._coder.discrete(_Replay(known), packet.point, None)
        predicted = ~(self._coder.halves[0] & arrived)[None, None]  # (1, 1, h, w)
        # A guess is what the other side has too, as long as all before it arrived and it was not corrected, as few are.
        unknown = predicted if mask is None else predicted & ~(mask & arrived)
        if last is not None and arrived:
            codes = torch.where(unknown, last.codes, codes)
        latents = None if last is None or packet.point.step_index is None or not arrived else last.latents
        mask = predicted if mask is None else predicted | mask
        self._last = DecodedSlot(False, codes, mask, latents, None, self._coder.memory.told.levels)
        return Received(self._last, concealed=True)
