"""Kept out by look: a file that shows what a validation clip shows, whatever its name, digest and source say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tvc.errors import TrainingError
from tvc.training.material import Material

Looks = NDArray[np.float32]
"""(pictures, width * height) thumbnails of mean 0 and length 1: products are correlations."""

_WIDTH, _HEIGHT = 24, 16
_EVERY, _LAST = 15, 900
"""Frames between thumbnails, and how many frames are looked at."""
_FLAT = 1.5
"""Standard deviation in grey levels below which a picture has no look."""

ALIKE = 0.9
"""Correlation from which two pictures show the same place. In the material of the shipped weights two takes in one room
have 0.90 to 1.00, and no file has more than 0.83 with a validation clip."""


@dataclass(frozen=True)
class Alike:
    """A file to be left out, and why."""

    material: Material
    clip: Material
    correlation: float

    def __str__(self) -> str:
        return f"{self.material.path.name} looks like {self.clip.path.name}, correlation {self.correlation:.2f}"


def apart(materials: list[Material], held_out: list[Material]) -> tuple[list[Material], list[Alike]]:
    """The materials that look like no validation clip, also mirrored, and the others.

    Raises:
        TrainingError: a file cannot be decoded.
    """
    clips = [(clip, looks(clip.path)) for clip in held_out]
    kept, alike = [], []
    for material in materials:
        seen = looks(material.path)
        mirrored = seen.reshape(-1, _HEIGHT, _WIDTH)[:, :, ::-1].reshape(seen.shape)
        own = np.concatenate((seen, mirrored))
        found = [Alike(material, clip, float((own @ other.T).max(initial=-1))) for clip, other in clips]
        nearest = max(found, key=lambda one: one.correlation, default=None)
        if nearest is not None and nearest.correlation >= ALIKE:
            alike.append(nearest)
        else:
            kept.append(material)
    return kept, alike


def looks(path: Path) -> Looks:
    """Thumbnails of a video's frames, or of a photo, but for those that show nothing.

    Raises:
        TrainingError: it cannot be decoded.
    """
    found = []
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if number >= _LAST:
                    break
                if number % _EVERY:
                    continue
                small = frame.reformat(_WIDTH, _HEIGHT, format="gray", interpolation="AREA").to_ndarray()
                centred = small.astype(np.float32) - small.mean(dtype=np.float32)
                if centred.std() >= _FLAT:
                    found.append(centred.ravel() / np.linalg.norm(centred))
    except (av.FFmpegError, IndexError) as error:
        raise TrainingError(f"cannot decode: {error}", where=path) from error
    return np.array(found, np.float32).reshape(-1, _WIDTH * _HEIGHT)
