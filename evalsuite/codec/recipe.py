"""A codec as one TOML file: what it runs, the range of its knob, and the structure it codes in.

Commands are argument lists with placeholders, never shell lines. `docs/codecs.md` describes every field.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from evalsuite import resources
from evalsuite.codec import binary
from evalsuite.codec.bitstream import Container, Standard
from evalsuite.codec.channel import CHANNEL, CHANNELS_VERSION, Channel, Transport
from evalsuite.codec.command import Command, fill, placeholders, unpaced
from evalsuite.codec.hostpool import describe
from evalsuite.codec.identity import digest_of, version_of
from evalsuite.codec.knob import IntraPeriods, Knob, check_point
from evalsuite.codec.part import Part, Split, encode_values, whole
from evalsuite.codec.plugin import entry_points, located
from evalsuite.codec.scaling import Scale
from evalsuite.codec.variants import split_name
from evalsuite.errors import EvalError, RequestError
from evalsuite.types import OperatingPoint, Sequence, VideoFormat

RECONSTRUCTION, ESTIMATE = "reconstruction.yuv", "bits.txt"
"""Names of the files that an encoder may write beside its bitstream, in the scratch folder of the encode."""

RateSource = Literal["file", "estimate"]
"""Where the number of bits comes from: the size of the bitstream, or the codec's own word where it writes none."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A codec, validated; made by `load_recipe`."""

    name: str
    path: Path
    folders: tuple[Path, ...]
    """Where its class and its files are looked for first: beside the recipe, then beside its base."""
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
    source: Literal["y4m", "raw"]
    """What stands for `{input}` of the encoder: a Y4M file, or planar frames without a header."""
    coded_bit_depth: int | None
    """Frames are handed over in this depth, and rounded to the sequence's after decoding; None for the sequence's."""
    python: str
    """The class of a codec written in Python, see `evalsuite.codec.plugin.located`; empty for a command-line codec."""
    device: str
    """Where such a class computes; empty for a command-line codec."""
    binary: str
    decoder_binary: str
    home: str
    """Name of the installation that programs and files belong to, for its environment variable; may be empty."""
    obtain: str
    """Where the programs and files come from, for people who lack them."""
    files: Mapping[str, str] = field(hash=False)
    """Files that the codec reads, such as configurations and weights: path by name, looked up by `locate_files`."""
    settings: Mapping[str, Any] = field(hash=False)
    """Named values; commands have them filled in, a codec in Python is given them."""
    licence: str
    preset: str
    structure: str
    rate_control: str
    internal_bit_depth: int
    lookahead: int | None
    """Frames, where the recipe states it."""
    delay: int | None
    """Frames beyond the one it codes that the encoder waits for, by look-ahead and by coding out of order."""
    notes: str
    trained_on: tuple[str, ...]
    """Sequences, as DATASET/NAME, that the codec has learned from: what it scores there is no test of it."""
    first_pass: Command
    """Run before `encode` where the encoder takes two passes; else empty."""
    encode: Command
    decode: Command
    decoded: Literal["y4m", "raw"]
    """What the decoder writes to stdout."""
    decode_errors: str
    """Regular expression: a decoder that says what it matches has failed, whatever its exit code; empty for none."""
    log_bytes: str
    """Regular expression for the size that the encoder's log tells, to be checked against the file; empty for none."""
    log_psnr_y: str
    """Regular expression for the PSNR-Y in the encoder's log, for `evalsuite codecs check`; empty for none."""
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
    split: Split | None
    """How it may be encoded in parts without changing a byte; None where it may not. No part of the identity."""
    transport: Transport | None
    """How it is sent over a network that loses packets; None where that is not known."""
    channel: Channel | None = None
    """What is between encoder and decoder; None for nothing. Neither is part of the identity without a channel."""

    @property
    def rate_source(self) -> RateSource:
        """Whether the rate is the size of a bitstream, or what the codec says it would be."""
        return "estimate" if "estimate" in placeholders(self.encode) else "file"

    @property
    def reconstructs(self) -> bool:
        """Whether the encoder writes its own reconstruction, which the decoded frames must equal."""
        return "reconstruction" in placeholders(self.encode)

    def encode_commands(
        self,
        sequence: Sequence,
        point: OperatingPoint,
        source: Path,
        output: Path,
        scratch: Path,
        part: Part | None = None,
    ) -> tuple[Command, ...]:
        """The full argument lists that encode a sequence, one for each pass; the last one writes `output`.

        Args:
            sequence: gives frame rate, number of frames and size.
            point: a point that `check_point` accepts.
            source: the file to be read: the sequence's own, or one as the recipe wants it.
            output: where the bitstream goes.
            scratch: folder for what passes between passes, `RECONSTRUCTION` and `ESTIMATE`.
            part: the frames of it that are coded, see `evalsuite.codec.gops`; all where there is none.
        """
        coded = self.coded_format(sequence.format)
        more = self.split.arguments if self.split and part else ()
        passes = [command + more for command in (self.first_pass, self.encode) if command]
        values = {
            **self._found(*passes),
            "input": str(source.absolute()),
            "output": str(output.absolute()),
            "stats": str((scratch / "stats").absolute()),
            "reconstruction": str((scratch / RECONSTRUCTION).absolute()),
            "estimate": str((scratch / ESTIMATE).absolute()),
            **encode_values(sequence, point, part or whole(sequence, point), coded, self.intra_periods.infinite),
        }
        return tuple(fill(command, values) for command in passes)

    @property
    def sent_name(self) -> str:
        """The name of the codec without its channel: whose bitstreams they are."""
        return self.name.removesuffix(f"{CHANNEL}{self.channel.label}") if self.channel else self.name

    def decode_command(
        self, bitstream: Path, format: VideoFormat, frames: int, threads: int = 1, output: str = "decoded.yuv"
    ) -> Command:
        """The full argument list that decodes a bitstream, to stdout or to `output`.

        Args:
            bitstream: the file; nothing else is read.
            format: of the sequence; a raw stream does not say its size.
            frames: number of frames of the sequence.
            threads: for the decoder.
            output: where frames go, for a decoder that does not write them to stdout.
        """
        if not self.decode:
            return ("cat", str(bitstream.absolute()))
        coded = self.coded_format(format)
        return self.filled(self.decode, bitstream, coded, frames, threads, output=output)

    def filled(
        self, command: Command, bitstream: Path, coded: VideoFormat, frames: int, threads: int, **more: str
    ) -> Command:
        """A command that decodes, with everything filled in."""
        values = {
            **self._found(command),
            "input": str(bitstream.absolute()),
            "width": str(coded.width),
            "height": str(coded.height),
            "frames": str(frames),
            "bit_depth": str(coded.bit_depth),
            "threads": str(threads),
            **more,
        }
        return fill(command, values)

    def info_command(self, bitstream: Path) -> Command:
        """The full argument list that reports on a bitstream; only for a recipe that has `info`."""
        return fill(self.info, {**self._found(self.info), "input": str(bitstream.absolute())})

    @property
    def needs_gpu(self) -> bool:
        """Whether the codec computes on a CUDA device."""
        return self.device.startswith("cuda")

    def handed_format(self, format: VideoFormat) -> VideoFormat:
        """The sequence's format in the bit depth that frames are handed over in."""
        return replace(format, bit_depth=self.coded_bit_depth or format.bit_depth)

    def scaled_format(self, format: VideoFormat) -> VideoFormat:
        """The format that frames have after scaling, before padding."""
        handed = self.handed_format(format)
        return handed if self.scale is None else self.scale.format(handed)

    def coded_format(self, format: VideoFormat) -> VideoFormat:
        """The format that is coded: scaled where the recipe says so, then padded to what the encoder can code."""

        def padded(side: int) -> int:
            return -(-max(side, self.size_min) // self.size_multiple) * self.size_multiple

        scaled = self.scaled_format(format)
        return replace(scaled, width=padded(scaled.width), height=padded(scaled.height))

    def check_available(self) -> None:
        """Find the recipe's programs and files, and ask the encoder for its version.

        Raises:
            EvalError: a program or file is missing, broken, or lacks this encoder; says what to do.
        """
        self.version()
        self.locate_files()

    def check_point(self, point: OperatingPoint) -> None:
        """Refuse an operating point that the encoder cannot be given; see `evalsuite.codec.knob.check_point`."""
        check_point(self.name, self.knob, self.intra_periods, point)

    def version(self) -> str:
        """The encoder's version, as it tells it.

        Raises:
            EvalError: the program is missing or does not run; its output has no version; a class cannot be imported.
        """
        if self.python:
            return str(self._described()["version"])
        return version_of(
            fill(self.version_command, self._found(self.version_command)), self.version_pattern, str(self.path)
        )

    def binary_sha256(self) -> dict[str, str]:
        """The sha256 of every program that bears on the result, by the program's name; of modules for a class.

        Raises:
            EvalError: a program is missing or cannot be read.
        """
        sent = (self.transport.decode, self.info) if self.channel and self.transport else ()
        run = set(self._named(self.first_pass, self.encode, self.decode, self.version_command, *sent).values())
        scaler = {binary.PINNED} if self.scale else set()
        found = {program: binary.digest(self._locate(program)) for program in sorted(run | scaler)}
        return {**found, **self._described()["sources"]} if self.python else found

    def locate_files(self) -> dict[str, Path]:
        """Where the codec's files are: beside the recipe or its base, in its home, or in a folder above its program.

        Raises:
            EvalError: one is missing; says where it comes from.
        """
        if not self.files:
            return {}
        folders = [*self.folders]
        if self.python:
            folders += [home] if (home := binary.home_of(self.home)) else []
        elif self.binary:
            folders += binary.homes(self.home, self._locate(self.binary))
        return {name: binary.locate_file(path, folders, self.home, self.obtain) for name, path in self.files.items()}

    def files_sha256(self) -> dict[str, str]:
        """The sha256 of every file that the codec reads, by name.

        Raises:
            EvalError: one is missing.
        """
        return {name: binary.digest(path) for name, path in self.locate_files().items()}

    @property
    def recipe_sha256(self) -> str:
        """Digest of what the recipe says that bears on bitstreams and decoded frames; not of its prose."""
        # Only what a recipe uses, so that others keep the digest that results are stored under.
        used: dict[str, object] = {} if self.scale is None else {"scale": [self.scale.divisor, self.scale.filter]}
        if self.source != "y4m":
            used["source"] = self.source
        if self.coded_bit_depth is not None:
            used["coded_bit_depth"] = self.coded_bit_depth
        if self.python:
            used |= {"python": self.python, "settings": dict(self.settings), "device": self.device}
        if self.channel is not None:
            # Where the recipe has no program for it, the suite's own receives, with the decoders of this package.
            receives = (self.transport.decode if self.transport else ()) or f"av {version('av')}"
            used |= {"channel": str(self.channel), "receive": receives, "channels": CHANNELS_VERSION}
            if self.transport and self.transport.classes:  # `info` says which of the bytes can be lost
                used |= {"classes": self.transport.classes, "info": self.info}
        return digest_of(
            {
                "name": self.name,
                "container": self.container,
                "size_multiple": self.size_multiple,
                "size_min": self.size_min,
                "first_pass": self.first_pass,
                "encode": self.encode,
                "decode": unpaced(self.decode),
                "decoded": self.decoded,
                "infinite": self.intra_periods.infinite,
                **used,
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
            values |= self._found(command)
        return fill(command, values)

    def _found(self, *commands: Command) -> dict[str, str]:
        """Placeholder to path, for the programs and files that the commands use."""
        found = {key: str(self._locate(program)) for key, program in self._named(*commands).items()}
        if any(placeholders(command) & self.files.keys() for command in commands):
            found |= {name: str(path) for name, path in self.locate_files().items()}
        return found

    def _described(self) -> dict[str, Any]:
        return describe(located(self.python, *self.folders))

    def _locate(self, program: str) -> Path:
        return binary.locate(program, self.home, self.obtain)


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe that a name or a path to a TOML file means, with the variants named behind it: `x265:fast:10bit`.

    Raises:
        RequestError: there is no such recipe or variant; suggests near misses.
        RecipeError: it is not valid; names the file, the field, what was expected and what was there.
    """
    # Imported here because the parser needs the types of this module.
    from evalsuite.codec.recipe_file import parse_recipe

    name, variants = split_name(name_or_path)
    if not name.endswith(".toml") and name not in resources.available("codecs") and name in entry_points():
        path, data = _own_recipe(name)
    else:
        path, data = resources.load("codecs", name)
    return parse_recipe(data, path, variants)


def available() -> list[str]:
    """Names of the codecs there are: recipes in the folders that are looked into, and installed classes."""
    return sorted({*resources.available("codecs"), *entry_points()})


def _own_recipe(name: str) -> tuple[Path, dict[str, Any]]:
    """The recipe that a class behind an entry point has itself, and where its files are looked for."""
    described = describe(located(name))
    if described["recipe"] is None:
        raise RequestError(
            f"the class {name} has no recipe of its own", fix=f'write one with `python = "{name}"` and give its path'
        )
    return Path(described["folder"]) / f"{name}.toml", {"name": name, **described["recipe"], "python": name}


def look_again() -> None:
    """Forget what programs and classes were when they were last looked at: between two runs they may have changed."""
    for known in (_identity, version_of, describe):
        known.cache_clear()


@functools.cache
def _identity(recipe: Recipe) -> str:
    files = recipe.files_sha256()
    content = {"recipe": recipe.recipe_sha256, "programs": recipe.binary_sha256(), "version": recipe.version()}
    return digest_of({**content, "files": files} if files else content)
