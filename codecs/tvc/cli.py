"""The `tvc` command: encode, decode, thin, info, export-torchscript, train."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

import typer
from typer.core import TyperGroup

from tvc.config import Precision
from tvc.errors import BitstreamError, RequestError, TvcError, VideoError
from tvc.training.command import app as train

# PyTorch is imported by the commands that compute: --help and --version do without it.
if TYPE_CHECKING:
    from tvc.bitstream import Reader
    from tvc.model import TVC
    from tvc.video import Format, Frame

_WRONG_REQUEST = 2
_INTERRUPTED = 130
_DEFAULT_Q = 32
_PIPE = "-"
_FOR_PROGRAMS = ("packet_bytes", "packet_frames", "frame_tokens", "parts")
"""What `info` tells in JSON alone: as long as the video is."""


class _Guarded(TyperGroup):
    """Turns tvc's own errors into one message and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TvcError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(_WRONG_REQUEST) from error
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            # Nobody reads the rest; without this, closing stdout at exit would complain again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            told = RequestError("a file cannot be read or written", where=error.filename, got=error.strerror or error)
            typer.echo(f"error: {told}", err=True)
            raise typer.Exit(_WRONG_REQUEST) from error


app = typer.Typer(
    cls=_Guarded,
    name="tvc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="tvc: a tokenized video codec for ultra-low bitrates.",
    epilog="Example: tvc encode in.y4m out.tvc --q 32, then tvc decode out.tvc decoded.y4m",
)

_Weights = Annotated[Path | None, typer.Option(help="A weights file of your own; default: the one that tvc ships.")]
_Precision = Annotated[
    Precision,
    typer.Option(help="Of the networks: bfloat16 is about twice as fast on processors that compute in it."),
]
_Threads = Annotated[int, typer.Option(help="Threads of PyTorch; 0: as many as it likes.", min=0)]


def _show_version(wanted: bool) -> None:
    if wanted:
        from tvc.version import identity

        typer.echo(identity())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print version and weights.")
    ] = False,
) -> None:
    pass


@app.command()
def encode(
    source: Annotated[str, typer.Argument(metavar="IN", help="Y4M, or raw yuv420p with --size; - for a pipe.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="The bitstream; - for a pipe.")],
    q: Annotated[int | None, typer.Option(help="0 (best quality) to 63 (fewest bits); 32 if nothing is said.")] = None,
    bpp: Annotated[float | None, typer.Option(help="Bits per luma sample to come nearest to, instead of --q.")] = None,
    kbps: Annotated[
        float | None, typer.Option(help="Of a channel that delivers every packet in time, instead of --q.")
    ] = None,
    buffer: Annotated[
        float, typer.Option(help="Seconds in which a packet is delivered, at most; with --kbps.", metavar="SECONDS")
    ] = 2.0,
    intra_period: Annotated[
        int, typer.Option(help="Frames between random-access points, rounded up to a multiple of 4; -1: one.")
    ] = -1,
    packet_slots: Annotated[
        int | None,
        typer.Option(help="Slots of 4 frames in a packet at most, 1 to 32; 8 or as many as have 3,200 tokens."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Of the coded height and width to those of the video, 0.25 to 4; else by q and content."),
    ] = None,
    detail: Annotated[
        bool, typer.Option(help="Tell how strong the finest detail is, and give it back; without, PSNR is higher.")
    ] = True,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of raw video.")] = None,
    rate: Annotated[str, typer.Option(help="Frames a second of raw video, such as 25 or 30000/1001.")] = "25",
    precision: _Precision = "float32",
    threads: _Threads = 0,
    weights: _Weights = None,
) -> None:
    """Encode a video.

    Example: tvc encode in.y4m out.tvc --bpp 0.01
    """
    from tvc.encoder import encode_stream

    if q is bpp is kbps is None:
        q = _DEFAULT_Q
    model = _load(weights, threads, precision)
    with _input(source) as stream, _output(output) as sink:
        format, frames = _video(stream, source, size, rate)
        summary = encode_stream(
            frames,
            format,
            sink,
            model,
            q=q,
            bpp=bpp,
            kbps=kbps,
            buffer_s=buffer,
            intra_period=intra_period,
            packet_slots=packet_slots,
            scale=scale,
            detail=detail,
        )
    points = " to ".join(str(one) for one in dict.fromkeys(summary.q))
    late = f", {summary.late} packets late: a smaller --scale takes less" if summary.late else ""
    typer.echo(f"{summary.bytes} bytes, {summary.frames} frames, {summary.bpp:.5f} bpp, q {points}{late}", err=True)


@app.command()
def decode(
    source: Annotated[str, typer.Argument(metavar="IN", help="The bitstream; - for a pipe.")],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="Y4M, or raw where the name ends in .yuv; - for a pipe.")
    ],
    start: Annotated[int, typer.Option(help="First frame wanted.")] = 0,
    frames: Annotated[int | None, typer.Option(help="Frames wanted; all to the end if nothing is said.")] = None,
    lost: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Byte ranges that did not arrive, `START END` a line: conceal them, and mark the frames concerned.",
        ),
    ] = None,
    conceal: Annotated[
        Literal["still", "predict"],
        typer.Option(help="Of slots that are lost whole: the last frame stands still, or their tokens are predicted."),
    ] = "still",
    precision: _Precision = "float32",
    threads: _Threads = 0,
    weights: _Weights = None,
) -> None:
    """Decode a bitstream, or some of its frames.

    Example: tvc decode out.tvc decoded.y4m --start 100 --frames 20
    """
    from tvc.decoder import decode_frames
    from tvc.parts import Lost, read_lost
    from tvc.receiver import receive_frames
    from tvc.video import write_marked_y4m, write_raw

    ranges = None if lost is None else read_lost(lost)
    with _bitstream(source) as reader:
        model = _load(weights, threads, precision)
        decoded: Iterator[tuple[Frame, bool]]
        if ranges is None:
            decoded = ((frame, False) for frame in decode_frames(reader, model, start, frames))
        else:
            decoded = receive_frames(reader, model, Lost(ranges, reader.size), start, frames, conceal)
        with _output(output) as sink:
            if output.endswith(".yuv"):
                for frame, _ in decoded:
                    write_raw(sink, frame)
            else:
                write_marked_y4m(sink, reader.header.format, decoded)


@app.command()
def thin(
    source: Annotated[str, typer.Argument(metavar="IN", help="The bitstream; - for a pipe.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="The bitstream without latents; - for a pipe.")],
    threads: _Threads = 0,
    weights: _Weights = None,
) -> None:
    """Drop the latents of a bitstream: what q 32 would have given at the same scale, without the video.

    Example: tvc thin out.tvc thin.tvc
    """
    from tvc.thinning import thin_stream

    with _bitstream(source) as reader:
        model = _load(weights, threads)
        with _output(output) as sink:
            size = thin_stream(reader, model, sink)
        typer.echo(f"{size} bytes of {reader.size}", err=True)


@app.command()
def info(
    source: Annotated[str, typer.Argument(metavar="IN", help="The bitstream; - for a pipe.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    threads: _Threads = 0,
    weights: _Weights = None,
) -> None:
    """Say what a bitstream holds: size, GoPs, tokens, and what they cost.

    Example: tvc info out.tvc --json
    """
    from tvc.statistics import bitstream_stats

    with _bitstream(source) as reader:
        facts = {"schema": 1, **bitstream_stats(reader, _load(weights, threads))}
    if as_json:
        # A line for each fact: lists as long as the video would have one for each number.
        lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in facts.items())
        typer.echo("{\n" + ",\n".join(lines) + "\n}")
        return
    for name, value in facts.items():
        if name in _FOR_PROGRAMS:
            continue
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        if isinstance(value, list):
            shown = " ".join(f"{number:.3g}" for number in value)
        typer.echo(f"{name:22} {shown}")


@app.command("export-torchscript")
def export_torchscript(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where encoder.jit and decoder.jit go.")],
    weights: _Weights = None,
) -> None:
    """Write the tokenizer as TorchScript, RGB to tokens and back, for programs that measure tokenizers.

    Example: tvc export-torchscript tokenizer
    """
    from tvc.torchscript import export

    model = _load(weights, 0)
    try:
        files = export(model, folder)
    except OSError as error:
        raise RequestError("the files cannot be written", where=folder, got=error.strerror) from error
    for path in files:
        typer.echo(path)


def main() -> None:
    """Entry point of the `tvc` script."""
    app()


app.add_typer(train, name="train")


def _load(weights: Path | None, threads: int, precision: Precision = "float32") -> TVC:
    import torch

    from tvc.weights import load

    if threads:
        torch.set_num_threads(threads)
    return load(weights, precision)


def _video(stream: BinaryIO, source: str, size: str | None, rate: str) -> tuple[Format, Iterator[Frame]]:
    from tvc.video import Format, read_raw, read_y4m

    if size is None:
        return read_y4m(stream, source)
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    frequency = re.fullmatch(r"(\d{1,9})(?:/(\d{1,9}))?", rate)
    if sides is None:
        raise RequestError("--size is not a size", expected="WIDTHxHEIGHT, such as 352x288", got=size)
    if frequency is None or int(frequency[2] or 1) == 0:
        raise RequestError("--rate is not a frame rate", expected="such as 25 or 30000/1001", got=rate)
    format = Format(int(sides[1]), int(sides[2]), Fraction(int(frequency[1]), int(frequency[2] or 1)))
    return format, read_raw(stream, format, source)


@contextlib.contextmanager
def _input(source: str) -> Iterator[BinaryIO]:
    if source == _PIPE:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 (closed below: errors of the body are not the file's)
    except OSError as error:
        raise VideoError("the video cannot be read", where=source, got=error.strerror) from error
    with stream:
        yield stream


@contextlib.contextmanager
def _bitstream(source: str) -> Iterator[Reader]:
    from tvc.bitstream import Reader

    if source == _PIPE:
        yield Reader(sys.stdin.buffer.read(), "stdin")
        return
    try:
        with Path(source).open("rb") as stream:
            # Mapped, not read: a long bitstream costs no memory.
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise BitstreamError("the bitstream cannot be read", where=source, got=error) from error
    with data:
        yield Reader(data, source)


@contextlib.contextmanager
def _output(target: str) -> Iterator[BinaryIO]:
    """Where a result goes: a file appears under its name only when it is whole."""
    if target == _PIPE:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.exists() and not path.is_file():
        # A device or a named pipe: there is nothing to put in its place.
        with path.open("wb") as stream:
            yield stream
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise RequestError("the output cannot be written", where=target, got=error.strerror) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield cast("BinaryIO", stream)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
