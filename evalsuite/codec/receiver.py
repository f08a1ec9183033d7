"""The receiver at the end of a channel, as a program: decodes the frames that arrived, and conceals the others.

    python -m evalsuite.codec.receiver RECEIVED FRAMES

FFmpeg's decoders conceal what they can of a picture (H.264: motion from neighbours; the others show what they have); a
picture that does not come is the one before, again. Frames are Y4M on stdout, as many as were sent, each marked
`Xconcealed` where it may differ from what was sent. One thread decodes: the same bytes always give the same pictures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from evalsuite.errors import MediaError
from evalsuite.sources.reader import planes_of
from evalsuite.sources.y4m import join_planes, parse_header
from evalsuite.types import Frame, VideoFormat

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame

FRAME_LISTS = "evalsuite received frames 1"
"""What a list of frames says that it is."""

CONCEALED = b"Xconcealed"
"""Parameter of a Y4M frame that may differ from what was sent."""

DECODERS: dict[str, str] = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d", "vp9": "vp9"}
"""FFmpeg's decoder of each standard."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in the order of display."""

    unit: int
    """Place of its frame in the order of transmission."""
    key: bool
    """Whether decoding can begin with it."""


def shown_frames(decoder: str, frames: Iterable[bytes]) -> list[Shown]:
    """The pictures of a whole stream in the order of display."""
    return [
        Shown(picture.pts, bool(picture.key_frame))
        for picture in _decoded(decoder, enumerate(frames))
        if picture.pts is not None
    ]


def receive(received: Path, told: dict[str, Any], stream: BinaryIO) -> None:
    """Write every picture of a stream that did not arrive whole.

    Args:
        received: what arrived.
        told: of its frames, as `evalsuite.codec.transport` writes it.
        stream: takes Y4M.
    """
    data, head = received.read_bytes(), told["header"].encode("ascii")
    format, _, _ = parse_header(head, received)
    sound_at = {place: bool(sound) for _, _, place, sound in told["frames"]}
    frames = ((place, data[start:end]) for start, end, place, _ in told["frames"])
    stream.write(head)
    shown = _grey(format)
    count = 0

    def write(upto: int) -> None:
        """The picture that is shown, for all that did not come."""
        nonlocal count
        while count < upto:
            stream.write(b"FRAME " + CONCEALED + b"\n" + join_planes(shown))
            count += 1

    for picture in _decoded(told["decoder"], frames):
        if picture.pts is None or not count <= picture.pts < len(sound_at):
            continue  # made up by the decoder for a gap, or too late
        planes = _planes(picture, format)
        if planes is None:
            continue
        write(picture.pts)
        sound = sound_at[picture.pts] and not picture.is_corrupt
        shown = planes
        stream.write(b"FRAME\n" if sound else b"FRAME " + CONCEALED + b"\n")
        stream.write(join_planes(planes))
        count += 1
    write(len(sound_at))


def _decoded(decoder: str, frames: Iterable[tuple[int, bytes]]) -> Iterator[VideoFrame]:
    """Pictures in the order in which the decoder gives them; what it cannot decode is left out."""
    import av

    context = cast("VideoCodecContext", av.CodecContext.create(decoder, "r"))
    context.thread_count = 1
    for number, data in frames:
        if not data:
            continue
        packet = av.Packet(data)
        packet.pts = packet.dts = number
        with suppress(av.FFmpegError):
            yield from context.decode(packet)
    with suppress(av.FFmpegError):
        yield from context.decode(None)


def _planes(picture: VideoFrame, format: VideoFormat) -> Frame | None:
    """None where a damaged stream says that its pictures are other ones than those that were sent."""
    try:
        return planes_of(picture, format)
    except MediaError:
        return None


def _grey(format: VideoFormat) -> Frame:
    dtype = np.uint8 if format.bit_depth == 8 else np.uint16
    return tuple(np.full(shape, 1 << format.bit_depth - 1, dtype) for shape in format.plane_shapes)


def main() -> int:
    """Entry point of the program."""
    received, frames = map(Path, sys.argv[1:3])
    told = json.loads(frames.read_text(encoding="ascii"))
    if told["format"] != FRAME_LISTS:
        sys.stderr.write(f"{frames} is no list of received frames\n")
        return 2
    receive(received, told, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
