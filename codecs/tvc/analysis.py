"""The encoder's first half: frames to tokens and latents, which do not depend on the operating point."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.errors import VideoError
from tvc.haar import Planes
from tvc.model import TVC
from tvc.video import Format, Frame, check_frame


class Slot(NamedTuple):
    """Four frames as the encoder network gives them.

    Attributes:
        codes: (1, D, h, w) int64.
        latents: (1, C, h, w) float32; None where the model has no continuous stream.
        intra: nothing before it was used.
    """

    codes: Tensor
    latents: Tensor | None
    intra: bool


class Analysis:
    """The slots of a video, made as they are asked for.

    Args:
        frames: 8-bit 4:2:0 frames of `format`.
        format: of the frames.
        model: gives the encoder network.
        intra_period: frames between intra slots, rounded up to whole slots; -1: only the first slot is intra.
    """

    def __init__(self, frames: Iterable[Frame], format: Format, model: TVC, intra_period: int) -> None:
        self._frames = iter(frames)
        self._format = format
        self._model = model
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
            self.frames += len(group)
            intra = number == 0 or (self._period > 0 and number % self._period == 0)
            if intra:
                state = self._model.new_encoder_state()
            codes, latents, state = self._model.encode_slot(_planes(group, self._format), state)
            yield Slot(codes, latents, intra)
        if not self.frames:
            raise VideoError("the video has no frames", expected="at least 1")


class Store:
    """Slots kept on disk, to be coded at several operating points.

    Args:
        file: a temporary file, read and written.
        slots: all are taken from it at once.
    """

    def __init__(self, file: BinaryIO, slots: Iterable[Slot]) -> None:
        self._file = file
        self._intra: list[bool] = []
        self._codes = self._latents = torch.Size()
        for slot in slots:
            self._intra.append(slot.intra)
            self._codes = slot.codes.shape
            file.write(slot.codes.numpy().astype("<i2").tobytes())
            if slot.latents is not None:
                self._latents = slot.latents.shape
                file.write(slot.latents.numpy().astype("<f4").tobytes())

    def __iter__(self) -> Iterator[Slot]:
        """The slots again, as often as wanted."""
        self._file.seek(0)
        for intra in self._intra:
            codes = np.frombuffer(self._file.read(2 * self._codes.numel()), "<i2").astype(np.int64)
            latents = None
            if self._latents:
                values = np.frombuffer(self._file.read(4 * self._latents.numel()), "<f4").astype(np.float32)
                latents = torch.from_numpy(values).reshape(self._latents)
            yield Slot(torch.from_numpy(codes).reshape(self._codes), latents, intra)


def _planes(group: list[Frame], format: Format) -> Planes:
    """Frames as the network takes them: four of them, sides multiples of 16, about -1..1; edges are repeated."""
    group = group + [group[-1]] * (SLOT_FRAMES - len(group))
    height, width = (-(-side // TOKEN_PIXELS) * TOKEN_PIXELS for side in (format.height, format.width))
    return (
        _padded([frame[0] for frame in group], height, width),
        _padded([frame[1] for frame in group], height // 2, width // 2),
        _padded([frame[2] for frame in group], height // 2, width // 2),
    )


def _padded(planes: Iterable[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], height: int, width: int) -> Tensor:
    stacked = np.stack(list(planes))
    rows, columns = height - stacked.shape[1], width - stacked.shape[2]
    filled = np.pad(stacked, ((0, 0), (0, rows), (0, columns)), mode="edge")
    return (torch.from_numpy(filled)[None].float() - 128) / 128
