"""One encode as several: a sequence is cut at random-access points, each part is encoded alone, and the streams joined.

Only for codecs whose recipe says that nothing changes by it (`[split]`): the joined stream is that of the whole, byte
for byte. `evalsuite codecs check` tries it; `docs/codecs.md` has what was found for which codec.
Source of coding the next intra frame too, and of counting on: JVET's way of parallel encoding, VTM's tool parcat.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence as Listed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from evalsuite.codec.bitstream import access_unit_bytes, payload_bytes
from evalsuite.codec.cutting import cut
from evalsuite.codec.knob import switch_frame
from evalsuite.codec.part import Part, Split
from evalsuite.codec.poc import shifted
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.run import Encoded, encode
from evalsuite.errors import EvalError, ProcessError, RequestError
from evalsuite.files import sha256_of
from evalsuite.types import OperatingPoint, Sequence, Usage


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames of a sequence that are encoded together: whole intra periods, but for the last ones of the sequence."""

    start: int
    frames: int


def plan_segments(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, parts: int | None = None
) -> tuple[Segment, ...]:
    """The segments of one encode, in order: one, all frames, where it is not to be split.

    Args:
        recipe: says whether the codec may be split, and which intra period it has.
        sequence: gives the number of frames.
        point: gives the intra period.
        parts: how many segments there are at most, as even as may be; as many as there are intra periods if None.

    Raises:
        RequestError: fewer than one part.
    """
    if parts is not None and parts < 1:
        raise RequestError("an encode has one part or more", expected="1 or more", got=parts)
    period, whole = recipe.intra_periods.coded(point.intra_period), (Segment(0, sequence.frames),)
    if recipe.split is None or period < 1:
        return whole
    # The next intra frame belongs to the segment before: alone, it makes no segment of its own.
    last = sequence.frames - (1 if recipe.split.next_intra else 0)
    gops = -(-last // period)
    count = gops if parts is None else min(parts, gops)
    if count < 2:
        return whole
    each, more = divmod(gops, count)
    edges = [period * (index * each + min(index, more)) for index in range(count)]
    return tuple(Segment(start, end - start) for start, end in zip(edges, [*edges[1:], sequence.frames], strict=True))


def encode_segment(
    recipe: Recipe,
    sequence: Sequence,
    segment: Segment,
    point: OperatingPoint,
    output: Path,
    timeout: float | None = None,
) -> Encoded:
    """Encode one segment to `output`: the bytes that it has in the stream of the whole sequence.

    Cutting the source counts neither as time nor against the timeout.

    Args:
        recipe: the codec.
        sequence: the whole source.
        segment: one of those that `plan_segments` gives.
        point: q, intra period and threads.
        output: the bitstream file; its folder is made, and takes all that is written for the time of the encode.
        timeout: seconds for the encode.

    Raises:
        RequestError: the codec is not split, does not take this format or point, or the sequence has no such frames.
        MediaError: the source is damaged, or what the encoder wrote is not a whole stream.
        ShapeError: the source has fewer frames than the sequence.
        ProcessError: the encoder is missing, fails, runs too long, or writes nothing.
    """
    split = recipe.split
    if segment == Segment(0, sequence.frames):
        return encode(recipe, sequence, point, output, timeout=timeout)
    if split is None or segment.start < 0 or segment.frames < 1 or segment.start + segment.frames > sequence.frames:
        raise RequestError(
            f"an encode of {recipe.name} has no such segment",
            where=sequence.name,
            expected=f"frames of 0 to {sequence.frames - 1}, of a codec with [split]",
            got=f"{segment.frames} frames from {segment.start} on",
            fix="ask plan_segments",
        )
    # The intra frame that follows the segment, where there is one.
    coded = min(segment.frames + int(split.next_intra), sequence.frames - segment.start)
    first = max(0, segment.start - split.context)
    end = min(sequence.frames, segment.start + coded + split.context)
    part = Part(
        frames=coded,
        skip=segment.start - first,
        q_switch=max(0, switch_frame(point.q, sequence.frames) - first),
    )
    with _writing(output), tempfile.TemporaryDirectory(prefix=".part-", dir=output.parent) as folder:
        given = cut(sequence, first, end, Path(folder, "source.y4m"))
        encoded = encode(recipe, given, point, Path(folder, output.name), timeout=timeout, part=part)
        if segment.start:
            encoded = _continued(recipe, split, segment, encoded)
        encoded.path.replace(output)
        return replace(encoded, path=output)


def join(recipe: Recipe, encoded: Listed[Encoded], output: Path) -> Encoded:
    """The segments' streams as one, in `output`, which exists afterwards only if all went well.

    Args:
        recipe: the codec.
        encoded: what `encode_segment` gave for each segment of the plan, in order.
        output: the bitstream file; may be that of no segment.

    Returns:
        With the time of all segments together and the memory of the one that took most. The frames that an encoder
        reconstructed are not known as a whole.

    Raises:
        RequestError: there are no segments.
        ProcessError: the files cannot be read or written.
        MediaError: what they hold together is not a whole stream.
    """
    if not encoded:
        raise RequestError("there is nothing to join", where=output, expected="one segment or more")
    with _writing(output), tempfile.TemporaryDirectory(prefix=".joined-", dir=output.parent) as folder:
        draft = Path(folder, output.name)
        with draft.open("wb") as stream:
            for one in encoded:
                with one.path.open("rb") as segment:
                    shutil.copyfileobj(segment, stream)
        joined = Encoded(
            path=output,
            file_bytes=draft.stat().st_size,
            payload_bytes=payload_bytes(draft, recipe.container),
            sha256=sha256_of(draft),
            usage=Usage(
                wall_s=sum(one.usage.wall_s for one in encoded),
                cpu_s=sum(one.usage.cpu_s for one in encoded),
                peak_rss_bytes=max(one.usage.peak_rss_bytes for one in encoded),
            ),
            commands=tuple(command for one in encoded for command in one.commands),
            log="".join(one.log for one in encoded),
        )
        draft.replace(output)
    return joined


def verify_split(
    recipe: Recipe, sequence: Sequence, point: OperatingPoint, folder: Path, timeout: float | None = None
) -> None:
    """Hold the stream of the whole sequence against that of its segments, one for each intra period.

    Args:
        recipe: a codec that says that it may be split; of another one, nothing is asked.
        sequence: of two intra periods or more.
        point: q, intra period and threads.
        folder: takes the streams.
        timeout: seconds for each encode.

    Raises:
        EvalError: an encode fails, or the streams are not the same: says where they part.
    """
    segments = plan_segments(recipe, sequence, point)
    if len(segments) < 2:
        return
    name = f"stream.{recipe.extension}"
    whole = encode(recipe, sequence, point, folder / "whole" / name, timeout=timeout).path
    parts = [
        encode_segment(recipe, sequence, segment, point, folder / str(segment.start) / name, timeout)
        for segment in segments
    ]
    joined = join(recipe, parts, folder / "joined" / name).path
    one, other = whole.read_bytes(), joined.read_bytes()
    if one == other:
        return
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    edges = [sum(part.file_bytes for part in parts[: index + 1]) for index in range(len(parts))]
    place = next((segment for segment, edge in zip(segments, edges, strict=True) if same < edge), segments[-1])
    raise EvalError(
        f"{recipe.name} says that it may be split, but the parts are not the stream of the whole",
        where=recipe.path,
        expected=f"{len(one)} bytes, the same as of one encode of {sequence.frames} frames",
        got=f"{len(other)} bytes, other ones from byte {same} on, which frames from {place.start} on are in",
        fix='take [split] out of the recipe, or say `at = "none"`',
    )


def _continued(recipe: Recipe, split: Split, segment: Segment, encoded: Encoded) -> Encoded:
    """A segment that is not the first one, as it stands in the stream of the whole."""
    stream = encoded.path.read_bytes()
    if split.next_intra:
        # The segment before has coded this frame.
        sizes = access_unit_bytes(encoded.path, recipe.container, recipe.standard) or ()
        stream = stream[sizes[0] :]
    if split.poc_bits:
        stream = shifted(stream, segment.start, split.poc_bits)
    encoded.path.write_bytes(stream)
    return replace(
        encoded,
        file_bytes=len(stream),
        payload_bytes=payload_bytes(encoded.path, recipe.container),
        sha256=sha256_of(encoded.path),
    )


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # A file of an earlier run must never pass for this one's.
        output.unlink(missing_ok=True)
        yield
    except OSError as error:
        raise ProcessError(
            f"a part of an encode cannot be read or written: {error.strerror}",
            where=error.filename or output,
            fix="free some space or choose another folder",
        ) from error
