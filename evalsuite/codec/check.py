"""Whether a codec works on this machine: a few made-up frames through the recipe's own commands.

Three encodes and a decode find what is wrong with most new recipes: a missing program, frames that are shifted, swapped
or converted, a q that the encoder ignores, bytes that change from one encode to the next, SEI that counts as rate. What
says that it may be split is encoded in parts as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalsuite.assets import cache_dir
from evalsuite.codec.bitstream import units
from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.run import encode
from evalsuite.codec.splitcheck import check_split
from evalsuite.codec.taking import check_format
from evalsuite.errors import EvalError
from evalsuite.files import storing
from evalsuite.scratch import Scratch
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, Plane, Sequence, Usage, VideoFormat

FRAMES = 8
FORMAT = VideoFormat(176, 144)
TIMEOUT_S = 120.0
_SPLIT_TIMEOUT_S = 900.0
"""Of one of its encodes: reference encoders take a second and more for a frame."""

_LOG_TOLERANCE_DB = 0.02
"""Logs have four digits after the point; an encoder may have another way to count identical frames."""

_LIKENESSES = (
    "its own source frame",
    "the source frame before it",
    "the source frame after it",
    "its own source frame with Cb and Cr swapped",
)
"""What a decoded frame is held against; it must be nearest to the first."""


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
            lowest quality of the ladder takes no fewer bytes, or a codec that says it may be split may not. Where a
            step fails, the message begins with the step.
    """
    recipe.check_available()
    best, worst = (
        OperatingPoint(q=q, intra_period=-1, threads=1) for q in (recipe.knob.ladder[0], recipe.knob.ladder[-1])
    )
    with _folder() as folder:
        sequence = synthetic(folder / "source.y4m")
        check_format(recipe, sequence)
        output = folder / f"stream.{recipe.extension}"
        with _step("first encode"):
            encoded = encode(recipe, sequence, best, output, timeout=TIMEOUT_S)
        with _step("second encode"):
            again = encode(recipe, sequence, best, output, timeout=TIMEOUT_S)
        with (
            _step("decode"),
            decode(
                recipe,
                output,
                sequence,
                best,
                timeout=TIMEOUT_S,
                reconstruction_sha256=again.reconstruction_sha256,
            ) as decoder,
        ):
            decoded = list(decoder)
        psnr = _judge(recipe, decoded, best.q)
        _check_log(recipe, again.log, decoded)
        with _step("encode at the lowest quality"):
            small = encode(recipe, sequence, worst, folder / f"small.{recipe.extension}", timeout=TIMEOUT_S)
        # A codec of one operating point has no other rate to give.
        if worst.q > best.q and small.payload_bytes >= encoded.payload_bytes:
            raise EvalError(
                f"a higher q gives {recipe.name} no lower rate",
                where=recipe.path,
                expected=f"fewer than {encoded.payload_bytes} bytes at q {worst.q:g}, as at q {best.q:g}",
                got=f"{small.payload_bytes} bytes",
                fix="check that {q} reaches the encoder, and that lower q means better quality",
            )
        with _step("encode in parts"):
            check_split(recipe, folder, _SPLIT_TIMEOUT_S)
        extras = {unit.extra for unit in units(output, recipe.container, recipe.standard) if unit.extra}
    return Checked(
        bytes=encoded.payload_bytes,
        psnr_y=psnr,
        encode_usage=encoded.usage,
        decode_usage=decoder.usage or Usage(0, 0),
        extras=tuple(sorted(extras)),
        deterministic=encoded.sha256 == again.sha256,
    )


def _folder() -> Scratch:
    # In the cache, where the next check removes what a killed one left: the system's folder for such things is shared.
    with storing(cache_dir()):
        return Scratch(cache_dir() / "tmp")


@contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except EvalError as error:
        error.what = f"{name}: {error.what}"
        raise


def _judge(recipe: Recipe, decoded: list[Frame], q: float) -> float:
    """PSNR-Y in dB of frames that are where they belong and good enough; EvalError for others."""
    luma = sum(_squares(source[:1], frame[:1]) for source, frame in zip(frames(), decoded, strict=True))
    error = luma / (FRAMES * FORMAT.width * FORMAT.height)
    psnr = 10 * math.log10(255**2 / error) if error else math.inf
    problem, expected = _misplaced(decoded), "every frame nearer to its own source frame than to any other"
    if not problem and psnr < recipe.check_psnr_y:
        problem, expected = f"{psnr:.1f} dB", f"PSNR-Y of at least {recipe.check_psnr_y:g} dB at q {q:g}"
    if problem:
        raise EvalError(
            f"what {recipe.name} decodes is not what it encoded",
            where=recipe.path,
            expected=expected,
            got=problem,
            fix="check pixel format, frame order and size in the recipe's commands",
        )
    return psnr


def _check_log(recipe: Recipe, log: str, decoded: list[Frame]) -> None:
    """An encoder whose log tells a PSNR-Y must tell that of the frames that were decoded.

    Where frames are scaled or coded in another bit depth, the log speaks of other frames, and nothing is compared.
    """
    if not recipe.log_psnr_y or recipe.coded_format(FORMAT) != FORMAT:
        return
    told = re.findall(recipe.log_psnr_y, log)
    errors = [_squares(own[:1], frame[:1]) for own, frame in zip(frames(), decoded, strict=True)]
    measured = float(
        np.mean([10 * math.log10(255**2 * FORMAT.width * FORMAT.height / (error or 1)) for error in errors])
    )
    if not told or abs(float(told[-1]) - measured) > _LOG_TOLERANCE_DB:
        raise EvalError(
            f"the log of {recipe.name} tells of other frames than those that were decoded",
            where=recipe.path,
            expected=f"a mean PSNR-Y of {measured:.3f} dB, as measured",
            got=f"{told[-1]} dB in the log" if told else f"no match of {recipe.log_psnr_y} in the log",
            fix="check bit depths and number of frames in the recipe's `encode`, and `log_psnr_y`",
        )


def _misplaced(decoded: list[Frame]) -> str:
    """What the decoded frames are nearer to than to their source, in words; empty where they are nearest to it."""
    # One frame more at either end, so that the first and last have two neighbours as well.
    sources = [_frame(index) for index in range(-1, FRAMES + 1)]
    errors: NDArray[np.float64] = np.array(
        [
            [_squares(frame, likeness) for likeness in (own, before, after, (own[0], own[2], own[1]))]
            for frame, before, own, after in zip(decoded, sources, sources[1:], sources[2:], strict=False)
        ]
    )
    # A codec of few bits may blur one frame into the next; over the clip, its frames still belong where they are.
    if nearest := int(errors.sum(axis=0).argmin()):
        return f"on the whole, a frame is nearer to {_LIKENESSES[nearest]}"
    step = min(_squares(one, other) for one, other in pairwise(sources))
    # Below half the distance of two source frames (a quarter of its square) nothing but a wrong place explains a frame
    # that is nearer to another one.
    if np.median(errors[:, 0]) < step / 4:
        for index, nearest in enumerate(errors.argmin(axis=1)):
            if nearest:
                return f"frame {index} is nearer to {_LIKENESSES[nearest]}"
    return ""


def _squares(one: Iterable[Plane], other: Iterable[Plane]) -> float:
    """Sum of squared differences over all samples of the planes."""
    return float(sum(np.sum((a.astype(np.float64) - b) ** 2) for a, b in zip(one, other, strict=True)))


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
    """A soft pattern that moves and brightens, different in every plane and frame."""
    return map(_frame, range(FRAMES))


def _frame(index: int) -> Frame:
    def plane(width: int, height: int, phase: float, mean: float) -> Plane:
        rows, columns = np.mgrid[:height, :width]
        wave = np.sin((columns + phase) / 22) * np.cos((rows - phase) / 14) + np.sin((columns + rows) / 46 + phase / 9)
        samples: Plane = (mean + 40 * wave).astype(np.uint8)
        return samples

    # A codec may leave slow motion out, but hardly a change of brightness.
    return (
        plane(FORMAT.width, FORMAT.height, 3.0 * index, 107 + 6 * index),
        plane(FORMAT.chroma_width, FORMAT.chroma_height, 40 + 1.5 * index, 128),
        plane(FORMAT.chroma_width, FORMAT.chroma_height, 80 + 1.5 * index, 128),
    )
