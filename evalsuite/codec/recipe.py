"""A command-line codec as one TOML file: what it runs, the range of its knob, and the structure it codes in.

Commands are argument lists with placeholders, never shell lines. `docs/codecs.md` describes every field.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalsuite import process, resources
from evalsuite.codec import binary
from evalsuite.codec.bitstream import Container, Standard
from evalsuite.codec.scaling import Scale
from evalsuite.errors import EvalError, ProcessError, RecipeError, RequestError
from evalsuite.types import OperatingPoint, Sequence, VideoFormat

Command = tuple[str, ...]
"""An argument list; in a recipe with placeholders such as `{input}`."""

PROGRAMS = ("ffmpeg", "binary", "decoder_binary")
"""Placeholders that stand for a program: a command begins with one of them."""

ENCODE_PLACEHOLDERS = (
    *("ffmpeg", "binary", "input", "output", "q", "frames", "width", "height", "fps"),
    *("intra_period", "threads", "stats"),
)
DECODE_PLACEHOLDERS = ("ffmpeg", "binary", "decoder_binary", "input", "width", "height", "threads")
INFO_PLACEHOLDERS = (*PROGRAMS, "input")
VERSION_PLACEHOLDERS = PROGRAMS

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Knob:
    """The range of a codec's q: lower is better quality."""

    smallest: float
    largest: float
    step: float
    """Smallest change that the encoder answers to."""
    ladder: tuple[float, ...]
    """From about 40 dB down to the lowest rates the codec has; ascending."""
    log2_rate_per_q: float
    """Slope of log2 of bytes over q, negative: where a rate search begins."""

    def snap(self, q: float) -> float:
        """The nearest q that the encoder can be given."""
        steps = round((min(max(q, self.smallest), self.largest) - self.smallest) / self.step)
        # 1e-6 is far below any step: it takes the binary noise off, so that equal points have equal keys.
        return round(self.smallest + steps * self.step, 6)


@dataclass(frozen=True, slots=True)
class IntraPeriods:
    """Which intra periods an encoder can be asked for, and how."""

    infinite: str
    """What stands for `{intra_period}` when only the first frame is intra."""
    min: int = 1
    multiple: int = 1
    offset: int = 0
    """How much farther apart than asked for the intra frames are; 0 but for encoders that count otherwise."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A command-line codec, validated; made by `load_recipe`."""

    name: str
    path: Path
    description: str
    standard: Standard
    container: Container
    extension: str
    formats: tuple[str, ...]
    """FFmpeg names of the pixel formats it takes."""
    size_multiple: int
    """Frames are padded to a multiple of this on the right and bottom, and cropped after decoding."""
    size_min: int
    """Frames are padded to at least this in width and height: the smallest that the encoder codes without fault."""
    binary: str
    decoder_binary: str
    licence: str
    preset: str
    structure: str
    rate_control: str
    internal_bit_depth: int
    lookahead: int | None
    """Frames, where the recipe states it."""
    notes: str
    first_pass: Command
    """Run before `encode` where the encoder takes two passes; else empty."""
    encode: Command
    decode: Command
    decoded: Literal["y4m", "raw"]
    """What the decoder writes to stdout."""
    decode_errors: str
    """Regular expression: a decoder whose stderr it matches has failed, whatever its exit code; empty for none."""
    version_command: Command
    version_pattern: str
    info: Command
    """Prints what the codec tells about a bitstream as JSON; empty for none. See `evalsuite.codec.report`."""
    check_psnr_y: float
    """dB; what `evalsuite codecs check` expects at the best quality of the ladder."""
    scale: Scale | None
    """Frames are coded smaller than the sequence, and scaled back after decoding; None for full size."""
    knob: Knob
    intra_periods: IntraPeriods

    def encode_commands(
        self, sequence: Sequence, point: OperatingPoint, source: Path, output: Path, stats: Path
    ) -> tuple[Command, ...]:
        """The full argument lists that encode a sequence, one for each pass; the last one writes `output`.

        Args:
            sequence: gives frame rate, number of frames and size.
            point: a point that `check_point` accepts.
            source: the Y4M file to be read: the sequence's own, or one of the coded size.
            output: where the bitstream goes.
            stats: prefix of the files that the first pass leaves for the second.
        """
        coded = self.coded_format(sequence.format)
        rate = sequence.frame_rate
        passes = (self.first_pass, self.encode) if self.first_pass else (self.encode,)
        values = {
            **self._programs(*passes),
            "input": str(source.absolute()),
            "output": str(output.absolute()),
            "stats": str(stats.absolute()),
            "q": f"{point.q:.6f}".rstrip("0").rstrip("."),
            "frames": str(sequence.frames),
            "width": str(coded.width),
            "height": str(coded.height),
            "fps": f"{rate.numerator}/{rate.denominator}" if rate.denominator > 1 else str(rate.numerator),
            "intra_period": self.intra_periods.infinite if point.intra_period == -1 else str(point.intra_period),
            "threads": str(point.threads),
        }
        return tuple(fill(command, values) for command in passes)

    def decode_command(self, bitstream: Path, format: VideoFormat, threads: int = 1) -> Command:
        """The full argument list that decodes a bitstream to stdout.

        Args:
            bitstream: the file; nothing else is read.
            format: of the sequence; a raw stream does not say its size.
            threads: for the decoder.
        """
        coded = self.coded_format(format)
        values = {
            **self._programs(self.decode),
            "input": str(bitstream.absolute()),
            "width": str(coded.width),
            "height": str(coded.height),
            "threads": str(threads),
        }
        return fill(self.decode, values)

    def info_command(self, bitstream: Path) -> Command:
        """The full argument list that reports on a bitstream; only for a recipe that has `info`."""
        return fill(self.info, {**self._programs(self.info), "input": str(bitstream.absolute())})

    def scaled_format(self, format: VideoFormat) -> VideoFormat:
        """The size that frames have after scaling, before padding: the sequence's where nothing is scaled."""
        return format if self.scale is None else self.scale.format(format)

    def coded_format(self, format: VideoFormat) -> VideoFormat:
        """The size that is coded: scaled where the recipe says so, then padded to what the encoder can code."""

        def padded(side: int) -> int:
            return -(-max(side, self.size_min) // self.size_multiple) * self.size_multiple

        scaled = self.scaled_format(format)
        return VideoFormat(padded(scaled.width), padded(scaled.height), format.bit_depth, format.chroma)

    def check_available(self) -> None:
        """Find the recipe's programs and ask the encoder for its version.

        Raises:
            EvalError: a program is missing, broken, or lacks this encoder; says what to do.
        """
        self.version()

    def check_format(self, sequence: Sequence) -> None:
        """Refuse a sequence of a pixel format that the codec does not take.

        Raises:
            RequestError: with the formats it takes.
        """
        if sequence.format.pixel_format not in self.formats:
            raise RequestError(
                f"the codec {self.name} does not take this pixel format",
                where=sequence.name,
                expected=" or ".join(self.formats),
                got=sequence.format.pixel_format,
                fix="convert the sequence first, and say so where you publish",
            )

    def check_point(self, point: OperatingPoint) -> None:
        """Refuse an operating point that the encoder cannot be given.

        Raises:
            RequestError: q out of range or off the grid, an intra period it does not have, fewer than one thread.
        """
        knob, intra = self.knob, self.intra_periods
        if not (knob.smallest <= point.q <= knob.largest) or abs(knob.snap(point.q) - point.q) > 1e-6:
            raise RequestError(
                f"the codec {self.name} has no q {point.q:g}",
                expected=f"{knob.smallest:g} to {knob.largest:g} in steps of {knob.step:g}",
                got=point.q,
            )
        period = point.intra_period
        if period != -1 and (period < max(1, intra.min) or period % intra.multiple):
            multiple = f", a multiple of {intra.multiple}" if intra.multiple > 1 else ""
            raise RequestError(
                f"the codec {self.name} cannot put an intra frame every {period} frames",
                expected=f"{max(1, intra.min)} or more{multiple}; or -1 for the first frame only",
                got=period,
                fix="choose another intra period, the same for all codecs",
            )
        if point.threads < 1:
            raise RequestError("the number of threads must be at least 1", got=point.threads)

    def version(self) -> str:
        """The encoder's version, as it tells it.

        Raises:
            EvalError: the program is missing or does not run; its output has no version.
        """
        return _version(
            fill(self.version_command, self._programs(self.version_command)), self.version_pattern, str(self.path)
        )

    def binary_sha256(self) -> dict[str, str]:
        """The sha256 of every program that bears on the result, by the program's name.

        Raises:
            EvalError: a program is missing or cannot be read.
        """
        run = set(self._named(self.first_pass, self.encode, self.decode, self.version_command).values())
        scaler = {binary.PINNED} if self.scale else set()
        return {program: binary.digest(binary.locate(program)) for program in sorted(run | scaler)}

    @property
    def recipe_sha256(self) -> str:
        """Digest of what the recipe says that bears on bitstreams and decoded frames; not of its prose."""
        # Only where there is scaling, so that all other recipes keep the digest that results are stored under.
        scale = {} if self.scale is None else {"scale": [self.scale.divisor, self.scale.filter]}
        return _digest(
            {
                "name": self.name,
                "container": self.container,
                "size_multiple": self.size_multiple,
                "size_min": self.size_min,
                "first_pass": self.first_pass,
                "encode": self.encode,
                "decode": self.decode,
                "decoded": self.decoded,
                "infinite": self.intra_periods.infinite,
                **scale,
            }
        )

    def identity(self) -> str:
        """Digest that changes whenever a bitstream or its decoded frames could: recipe, programs, version.

        Raises:
            EvalError: a program is missing or does not run.
        """
        return _identity(self)

    def _named(self, *commands: Command) -> dict[str, str]:
        """Placeholder to program, for those that the commands use."""
        named = {"ffmpeg": binary.PINNED, "binary": self.binary, "decoder_binary": self.decoder_binary or self.binary}
        used = placeholders(argument for command in commands for argument in command)
        return {key: program for key, program in named.items() if key in used}

    def fill_programs(self, command: Command) -> Command:
        """A command of this recipe for people to read: programs filled in where they are found, the rest as it is."""
        values = {name: f"{{{name}}}" for name in placeholders(command)}
        with suppress(EvalError):
            values |= self._programs(command)
        return fill(command, values)

    def _programs(self, *commands: Command) -> dict[str, str]:
        return {key: str(binary.locate(program)) for key, program in self._named(*commands).items()}


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe that a name or a path to a TOML file means.

    Raises:
        RequestError: there is no such recipe; suggests near misses.
        RecipeError: it is not valid; names the file, the field, what was expected and what was there.
    """
    # Imported here because the parser needs the types of this module.
    from evalsuite.codec.recipe_file import parse_recipe

    path, data = resources.load("codecs", name_or_path)
    return parse_recipe(data, path)


def placeholders(command: Iterable[str]) -> set[str]:
    """The names of the placeholders in a command."""
    return {name for argument in command for name in PLACEHOLDER.findall(argument)}


def fill(command: Command, values: Mapping[str, str]) -> Command:
    """The command with every placeholder replaced, once: a value that looks like a placeholder stays as it is."""
    return tuple(PLACEHOLDER.sub(lambda match: values[match[1]], argument) for argument in command)


@functools.cache
def _version(command: Command, pattern: str, where: str) -> str:
    try:
        text = process.output(command)
    except ProcessError as error:
        raise ProcessError(
            f"the codec does not run here: {error.what}",
            command=error.command,
            stderr_tail=error.stderr_tail,
            where=where,
            got=error.stderr_tail[-300:] or None,
            fix=error.fix or "install a build of the program that has this encoder",
        ) from error
    found = re.search(pattern, text)
    if found is None:
        raise RecipeError(
            "the version command's output has no version",
            where=where,
            expected=f"a match of {pattern}",
            got=text[-300:],
            fix="correct `version` or `version_pattern`",
        )
    return found[1]


@functools.cache
def _identity(recipe: Recipe) -> str:
    return _digest({"recipe": recipe.recipe_sha256, "programs": recipe.binary_sha256(), "version": recipe.version()})


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
