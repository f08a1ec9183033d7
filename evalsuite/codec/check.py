"""Whether a codec works on this machine: a few made-up frames through the recipe's own commands.

Three encodes and a decode find what is wrong with most new recipes: a missing program, frames that are shifted or
converted, a q that the encoder ignores, bytes that change from one encode to the next, SEI that counts as rate.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from evalsuite.codec.bitstream import units
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.run import decode, encode
from evalsuite.errors import EvalError
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, Plane, Sequence, Usage, VideoFormat

FRAMES = 8
FORMAT = VideoFormat(176, 144)
LOWEST_PSNR_Y = 30.0
"""At the best quality of the ladder anything lower means that frames are shifted, swapped or in the wrong range."""
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a few frames through one codec gave."""

    bytes: int
    psnr_y: float
    """dB; PSNR of the mean squared error over all frames."""
    encode_usage: Usage
    decode_usage: Usage
    extras: tuple[str, ...]
    """Units in the bitstream that no decoder needs, such as SEI: they count as rate."""
    deterministic: bool
    """Whether a second encode gave the same bytes."""


def check_codec(recipe: Recipe) -> Checked:
    """Encode and decode a few frames at the best quality of the recipe's ladder.

    Raises:
        EvalError: a program is missing, the encoder or decoder fails, the decoded frames are not the source's, or the
            lowest quality of the ladder takes no fewer bytes.
    """
    recipe.check_available()
    best, worst = (
        OperatingPoint(q=q, intra_period=-1, threads=1) for q in (recipe.knob.ladder[0], recipe.knob.ladder[-1])
    )
    with tempfile.TemporaryDirectory(prefix="evalsuite-check-") as folder:
        sequence = synthetic(Path(folder) / "source.y4m")
        recipe.check_format(sequence)
        output = Path(folder) / f"stream.{recipe.extension}"
        encoded = encode(recipe, sequence, best, output, timeout=TIMEOUT_S)
        again = encode(recipe, sequence, best, output, timeout=TIMEOUT_S)
        error, decoder = 0.0, decode(recipe, output, sequence, best, timeout=TIMEOUT_S)
        with decoder:
            for source, decoded in zip(frames(), decoder, strict=True):
                error += float(np.mean((source[0].astype(np.float64) - decoded[0]) ** 2)) / FRAMES
        psnr = 10 * math.log10(255**2 / error) if error else math.inf
        if psnr < LOWEST_PSNR_Y:
            raise EvalError(
                f"what {recipe.name} decodes is not what it encoded",
                where=recipe.path,
                expected=f"PSNR-Y of at least {LOWEST_PSNR_Y:g} dB at q {best.q:g}",
                got=f"{psnr:.1f} dB",
                fix="check pixel format, frame order and size in the recipe's commands",
            )
        small = encode(recipe, sequence, worst, Path(folder) / f"small.{recipe.extension}", timeout=TIMEOUT_S)
        if small.payload_bytes >= encoded.payload_bytes:
            raise EvalError(
                f"a higher q gives {recipe.name} no lower rate",
                where=recipe.path,
                expected=f"fewer than {encoded.payload_bytes} bytes at q {worst.q:g}, as at q {best.q:g}",
                got=f"{small.payload_bytes} bytes",
                fix="check that {q} reaches the encoder, and that lower q means better quality",
            )
        extras = {unit.extra for unit in units(output, recipe.container, recipe.standard) if unit.extra}
    return Checked(
        bytes=encoded.payload_bytes,
        psnr_y=psnr,
        encode_usage=encoded.usage,
        decode_usage=decoder.usage or Usage(0, 0),
        extras=tuple(sorted(extras)),
        deterministic=encoded.sha256 == again.sha256,
    )


def synthetic(path: Path) -> Sequence:
    """Write the made-up sequence to `path`."""
    write_y4m(path, FORMAT, Fraction(25), frames(), Colour("bt709"))
    return Sequence(
        name="synthetic",
        dataset="check",
        path=path,
        sha256="",
        format=FORMAT,
        frame_rate=Fraction(25),
        frames=FRAMES,
        colour=Colour("bt709"),
    )


def frames() -> Iterator[Frame]:
    """A soft pattern that moves, different in every plane and frame."""

    def plane(width: int, height: int, phase: float) -> Plane:
        rows, columns = np.mgrid[:height, :width]
        wave = np.sin((columns + phase) / 11) * np.cos((rows - phase) / 7) + np.sin((columns + rows) / 23 + phase / 9)
        samples: Plane = (128 + 50 * wave).astype(np.uint8)
        return samples

    for index in range(FRAMES):
        yield (
            plane(FORMAT.width, FORMAT.height, 3.0 * index),
            plane(FORMAT.chroma_width, FORMAT.chroma_height, 40 + 1.5 * index),
            plane(FORMAT.chroma_width, FORMAT.chroma_height, 80 + 1.5 * index),
        )
