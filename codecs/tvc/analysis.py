"""The encoder's first half: frames to tokens and latents, which do not depend on the operating point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.detail import Strengths, strengths
from tvc.errors import VideoError
from tvc.haar import Planes
from tvc.model import TVC
from tvc.resampling import resized
from tvc.video import Format, Frame, check_frame, read_raw, write_raw


class Slot(NamedTuple):
    """Four frames as the encoder network gives them.

    Attributes:
        places: (1, D, h, w) float32, the codes before rounding.
        latents: (1, C, h, w) float32; None where the model has no continuous stream.
        intra: nothing before it was used.
        strengths: of the frames' detail (`tvc.detail`), those that fill the last slot included.
        frames: of the video; fewer than four in the last slot, which repeats its last one.
    """

    places: Tensor
    latents: Tensor | None
    intra: bool
    strengths: Strengths
    frames: int


class Analysis:
    """The slots of a video, made as they are asked for.

    Args:
        frames: 8-bit 4:2:0 frames of `format`.
        format: of the frames.
        model: gives the encoder network.
        intra_period: frames between intra slots, rounded up to whole slots; -1: only the first slot is intra.
        coded: rows and columns of tokens to resize frames for; None: they are padded to whole tokens.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        format: Format,
        model: TVC,
        intra_period: int,
        coded: tuple[int, int] | None = None,
    ) -> None:
        self._frames = iter(frames)
        self._format = format
        self._model = model
        self._coded = coded
        self._period = -(-intra_period // SLOT_FRAMES) if intra_period > 0 else 0
        self.frames = 0
        """Frames read so far."""

    def __iter__(self) -> Iterator[Slot]:
        """Raises VideoError where a frame is not of the format, or there is none."""
        state = self._model.new_encoder_state()
        for number in itertools.count():
            group = list(itertools.islice(self._frames, SLOT_FRAMES))
            if not group:
                break
            for i, frame in enumerate(group):
                check_frame(frame, self._format, self.frames + i)
            count = len(group)
            self.frames += count
            group += [group[-1]] * (SLOT_FRAMES - count)
            intra = number == 0 or (self._period > 0 and number % self._period == 0)
            if intra:
                state = self._model.new_encoder_state()
            planes = _planes(group, self._format, self._coded)
            places, latents, state = self._model.place_slot(planes, state)
            luma = _normalised(np.stack([frame[0] for frame in group]))[0]
            tokens = places.shape[2], places.shape[3]
            yield Slot(places, latents, intra, strengths(luma, tokens), count)
        if not self.frames:
            raise VideoError("the video has no frames", expected="at least 1")


class Replay:
    """Frames kept on disk, to be taken as often as wanted.

    Args:
        frames: 8-bit 4:2:0 frames of `format`; all are taken at once.
        format: of the frames.

    Raises:
        VideoError: a frame is not of the format.
    """

    def __init__(self, frames: Iterable[Frame], format: Format) -> None:
        self._format = format
        self._file = cast("BinaryIO", TemporaryFile())  # noqa: SIM115 (closed on exit)
        self.frames = 0
        """How many there are."""
        with ExitStack() as undo:
            undo.callback(self._file.close)
            for frame in frames:
                check_frame(frame, format, self.frames)
                write_raw(self._file, frame)
                self.frames += 1
            undo.pop_all()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first one; one pass at a time."""
        self._file.seek(0)
        return read_raw(self._file, self._format)


class Store:
    """Slots kept on disk, to be coded at several operating points.

    Args:
        file: a temporary file, read and written.
        slots: all are taken from it at once.
    """

    def __init__(self, file: BinaryIO, slots: Iterable[Slot]) -> None:
        self._file = file
        self._facts: list[tuple[bool, int]] = []
        self._places = self._latents = torch.Size()
        self._strengths: dict[int, tuple[int, ...]] = {}
        for slot in slots:
            self._facts.append((slot.intra, slot.frames))
            self._places = slot.places.shape
            self._write(slot.places.numpy())
            if slot.latents is not None:
                self._latents = slot.latents.shape
                self._write(slot.latents.numpy())
            for side, values in slot.strengths.items():
                self._strengths[side] = values.shape
                self._write(values)

    def __iter__(self) -> Iterator[Slot]:
        """The slots again, as often as wanted."""
        self._file.seek(0)
        for intra, frames in self._facts:
            places = torch.from_numpy(self._read(self._places))
            latents = torch.from_numpy(self._read(self._latents)) if self._latents else None
            told = {side: self._read(shape) for side, shape in self._strengths.items()}
            yield Slot(places, latents, intra, told, frames)

    def _write(self, values: NDArray[np.floating]) -> None:
        self._file.write(values.astype("<f4").tobytes())

    def _read(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        values = np.frombuffer(self._file.read(4 * math.prod(shape)), "<f4")
        return values.astype(np.float32).reshape(shape)


def _planes(group: list[Frame], format: Format, coded: tuple[int, int] | None) -> Planes:
    """Frames as the network takes them: four of them, sides multiples of 16, about -1..1; resized or edges repeated."""
    if coded is not None:
        y, cb, cr = (_normalised(np.stack(planes)) for planes in zip(*group, strict=True))
        return resized((y, cb, cr), coded[0] * TOKEN_PIXELS, coded[1] * TOKEN_PIXELS)
    height, width = (-(-side // TOKEN_PIXELS) * TOKEN_PIXELS for side in (format.height, format.width))
    return (
        _padded([frame[0] for frame in group], height, width),
        _padded([frame[1] for frame in group], height // 2, width // 2),
        _padded([frame[2] for frame in group], height // 2, width // 2),
    )


def _padded(planes: Iterable[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], height: int, width: int) -> Tensor:
    stacked = np.stack(list(planes))
    rows, columns = height - stacked.shape[1], width - stacked.shape[2]
    return _normalised(np.pad(stacked, ((0, 0), (0, rows), (0, columns)), mode="edge"))


def _normalised(samples: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return (torch.from_numpy(samples)[None].float() - 128) / 128
