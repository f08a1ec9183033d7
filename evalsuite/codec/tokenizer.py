"""What a tokenizer makes of a video: its settings, its windows, and how many tokens a frame has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from evalsuite.codec.tokencoding import LARGEST_ALPHABET
from evalsuite.errors import RecipeError

T = TypeVar("T")

_LARGEST_FACTOR = 64
_LARGEST_WINDOW = 4096
_LARGEST_CODEBOOK = 1 << 31
_MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The settings of one encoder and decoder pair that bear on bits; made by `tokenizers`."""

    levels: tuple[int, ...]
    """FSQ levels of each dimension; empty for continuous latents."""
    window: int
    """Frames in one call; 0: all frames of the video."""
    temporal: int
    """Frames that one latent frame stands for."""
    spatial: int
    """Rows and columns of samples that one token stands for."""
    causal: bool
    """The first frame of a window has a latent frame of its own: windows of 1 + k * temporal frames."""
    image: bool
    """The model takes (B, 3, H, W): each frame alone."""
    adaptive: bool
    """Tokens are coded by an adaptive range code, not at fixed width."""

    @property
    def codebook(self) -> int:
        """Number of different tokens; 1 for latents."""
        return math.prod(self.levels)

    @property
    def token_bits(self) -> int:
        """Bits of a token at fixed width."""
        return max(1, (self.codebook - 1).bit_length())

    def window_frames(self, frames: int) -> int:
        """Frames that one call of the model is given, padding included, for a video of `frames` frames."""
        if self.window:
            return self.window
        first = 1 if self.causal else 0
        return first + -(-(frames - first) // self.temporal) * self.temporal

    def windows(self, frames: int) -> int:
        """Calls of the model for a video of `frames` frames."""
        return -(-frames // self.window_frames(frames))

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, rows and columns of one window of a video."""
        length, first = self.window_frames(frames), 1 if self.causal else 0
        return (
            first + (length - first) // self.temporal,
            -(-height // self.spatial),
            -(-width // self.spatial),
        )

    def tokens(self, frames: int, height: int, width: int) -> int:
        """Tokens of a whole video, padding included."""
        return self.windows(frames) * math.prod(self.latent_shape(frames, height, width))

    def told(self) -> str:
        """The settings in one line, the same for equal settings."""
        return repr(sorted(asdict(self).items()))


def tokenizers(pairs: int, **settings: Any) -> tuple[Tokenizer, ...]:
    """One tokenizer for each pair of models.

    Args:
        pairs: number of encoder and decoder pairs.
        settings: the fields of `Tokenizer` less `adaptive`, and `latents` and `coding`, as a recipe gives them;
            `window`, `temporal`, `spatial` and `causal` may be lists, one entry for each pair.

    Raises:
        RecipeError: a setting that is unknown, missing or out of range.
    """
    lists = {
        name: _each(name, settings.pop(name, default), pairs)
        for name, default in (("window", None), ("temporal", 1), ("spatial", None), ("causal", False))
    }
    levels, latents = settings.pop("levels", None), settings.pop("latents", False)
    image, coding = settings.pop("image", False), settings.pop("coding", "adaptive")
    if settings:
        raise _wrong(next(iter(settings)), "is unknown", None, settings)
    if latents not in (True, False) or latents == (levels is not None):
        raise _wrong("levels", "is not valid", "`levels`, or `latents = true`", f"levels {levels}, latents {latents}")
    if image not in (True, False):
        raise _wrong("image", "is not valid", "true or false", image)
    if coding not in ("packed", "adaptive"):
        raise _wrong("coding", "is not valid", "packed or adaptive", coding)
    base = Tokenizer(() if latents else _levels(levels, coding), 0, 1, 1, False, image, coding == "adaptive")
    made = []
    for window, temporal, spatial, causal in zip(*lists.values(), strict=True):
        if causal not in (True, False):
            raise _wrong("causal", "is not valid", "true or false", causal)
        one = replace(
            base,
            window=_whole("window", (1 if image else None) if window is None else window, 0, _LARGEST_WINDOW),
            temporal=_whole("temporal", temporal, 1, _LARGEST_FACTOR),
            spatial=_whole("spatial", spatial, 1, _LARGEST_FACTOR),
            causal=causal,
        )
        first = 1 if causal else 0
        if one.window and (one.window - first) % one.temporal:
            raise _wrong(
                "window", "does not suit `temporal`", f"{'1 + ' if causal else ''}a multiple of {temporal}", window
            )
        if image and (one.window, one.temporal, causal) != (1, 1, False):
            raise _wrong("image", "is not valid", "a window of 1 frame and no temporal factor", image)
        made.append(one)
    return tuple(made)


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in groups of `size`, the last one filled up with its last item."""
    group: list[T] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group + group[-1:] * (size - len(group))


def _each(name: str, setting: Any, pairs: int) -> list[Any]:
    found = setting if isinstance(setting, list) else [setting] * pairs
    if len(found) != pairs:
        raise _wrong(name, "is not valid", f"one value, or one for each of the {pairs} pairs of models", setting)
    return found


def _levels(setting: Any, coding: str) -> tuple[int, ...]:
    most = LARGEST_ALPHABET if coding == "adaptive" else _LARGEST_CODEBOOK
    if not isinstance(setting, list) or not 1 <= len(setting) <= _MOST_DIMENSIONS:
        raise _wrong("levels", "is not valid", "a list of whole numbers", setting)
    levels = tuple(_whole("levels", count, 2, most) for count in setting)
    if math.prod(levels) > _LARGEST_CODEBOOK:
        raise _wrong("levels", "is not valid", f"a codebook of at most {_LARGEST_CODEBOOK} tokens", setting)
    return levels


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(name, "is not valid", f"a whole number from {least} to {most}", value)
    return value


def _wrong(name: str, problem: str, expected: object, got: object) -> RecipeError:
    return RecipeError(f"the setting `{name}` {problem}", where="[settings]", expected=expected, got=str(got)[:200])
