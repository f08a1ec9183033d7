"""Opening any video: Y4M, raw planar with a geometry, or a container that FFmpeg's libraries read.

Frames come in file order, by index, in the sample format of the file: nothing is converted, dropped, repeated or
aligned by timestamps. What a container says is shown on its side, as of a phone held upright, is turned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from evalsuite.errors import MediaError, RequestError
from evalsuite.sources import hdr
from evalsuite.sources.framerate import FRAME_RATES, read_frame_rate
from evalsuite.sources.tags import Told, told
from evalsuite.sources.turning import turn_of
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, RawReader, Y4MReader, check_sides
from evalsuite.types import Frame, Plane, VideoFormat

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_Y4M_MAGIC = b"YUV4MPEG2 "

RAW_SUFFIXES = frozenset((".yuv", ".raw", ".rgb"))
"""Of files without a header."""

CONTAINER_SUFFIXES = frozenset(
    (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".ts", ".264", ".265", ".hevc", ".ivf")
)
"""Of files that describe themselves, whatever is said of raw ones."""

_REFERRING = frozenset(("concat", "dash", "hls", "imf", "rtp", "rtsp", "sdp", "webm_dash_manifest"))
"""FFmpeg's names of formats whose files are lists of others."""

_ROUNDED = 1e-4
"""By which a rate is off whose timestamps are in milliseconds, at most."""

_SLACK_FRAMES = 2
"""By which the last frame may end before the stream does."""

_CONTAINER_FORMATS = {
    **PIXEL_FORMATS,
    **{f"{name[:-2]}be": sample for name, sample in PIXEL_FORMATS.items() if name.endswith("le")},
    # YCbCr of JPEG: FFmpeg's older way to say full range.
    **{f"yuvj{chroma}p": PIXEL_FORMATS[f"yuv{chroma}p"] for chroma in ("420", "422", "444")},
    # Cb and Cr in turns, in one plane.
    "nv12": PIXEL_FORMATS["yuv420p"],
}


class VideoReader(Protocol):
    """A video that can be read from its first frame, any number of times."""

    path: Path
    format: VideoFormat
    frames: int | None
    """Known only where the file says so."""
    told: Told
    """What the file says of its colour."""

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second; MediaError where the file does not say, as many an elementary stream."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Frames in file order."""
        ...


def open_video(path: Path, geometry: Geometry | None = None, *, is_raw: bool = False) -> VideoReader:
    """Open a video file for reading.

    Args:
        path: the file.
        geometry: what a raw file does not say about itself; required for raw files and ignored for others.
        is_raw: somebody who knows says so: then a file is raw whatever its name, but for that of a container.

    Raises:
        MediaError: missing, empty, foreign, or of an unsupported format.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_Y4M_MAGIC))
    except OSError as error:
        raise MediaError(
            f"cannot read the video: {error.strerror}", where=path, fix="check the path and its permissions"
        ) from error
    if not magic:
        raise MediaError("the video file is empty", where=path)
    if magic == _Y4M_MAGIC:
        return Y4MReader(path)
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES or (is_raw and suffix not in CONTAINER_SUFFIXES):
        if geometry is None:
            raise MediaError(
                "a raw file does not say its geometry",
                where=path,
                fix="give --size WxH, --fps and --pixel-format, or use a Y4M file",
            )
        return RawReader(path, geometry)
    try:
        return ContainerReader(path)
    except MediaError as error:
        if geometry is not None and suffix not in CONTAINER_SUFFIXES:
            error.fix = "if it is raw video, which has no header, name it .yuv, .raw or .rgb"
        raise


def check_geometry(paths: Iterable[Path], geometry: Geometry | None) -> None:
    """Refuse a geometry that is of none of these files: it would be ignored.

    Raises:
        RequestError: all of them say their own.
    """
    if geometry is not None and all(_says_its_geometry(path) for path in paths):
        raise RequestError(
            "--size, --fps and --pixel-format are of raw files, and none is named",
            fix="leave them out: Y4M and containers say their own; where a file is wrong, write it anew",
        )


def _says_its_geometry(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_Y4M_MAGIC)) == _Y4M_MAGIC or path.suffix.lower() in CONTAINER_SUFFIXES
    except OSError:
        return False  # that it cannot be read is said where it is


class ContainerReader:
    """The first video stream of a container, decoded by FFmpeg's libraries through PyAV."""

    def __init__(self, path: Path) -> None:
        import av
        from av.format import Flags

        self.path = path.absolute()  # a relative name with a colon would be taken for a protocol
        try:
            with av.open(str(self.path)) as container:
                if _REFERRING & set(container.format.name.split(",")):
                    raise MediaError(
                        "the file has no frames of its own, it names other files",
                        where=path,
                        got=container.format.long_name,
                        fix="join what it names into one file first: a digest of this one is none of the frames",
                    )
                if not container.streams.video:
                    raise MediaError("the file has no video stream", where=path)
                stream = container.streams.video[0]
                first = next(container.decode(stream), None)
                # Without timestamps FFmpeg takes 25 for the average, whatever the stream says.
                own = stream.codec_context.framerate
                is_timed = not Flags(container.format.flags) & Flags.no_timestamps
                average = stream.average_rate or stream.guessed_rate
                rate = _exact(average, own, stream.time_base) if is_timed else own
                self.frames: int | None = stream.frames - _discarded(self.path) if stream.frames else None
        except (av.FFmpegError, UnicodeDecodeError) as error:
            raise MediaError(
                f"the file is not a video that can be read: {getattr(error, 'strerror', None) or error}",
                where=path,
                expected="Y4M, raw planar video with --size, or a container such as MP4",
            ) from error
        if first is None:
            raise MediaError("the video stream holds no frame", where=path)
        self._frame_rate = read_frame_rate(str(rate)) if rate else None
        if rate and self._frame_rate is None:
            raise MediaError("no video has this frame rate", where=path, expected=FRAME_RATES, got=rate)
        self._stored = _format_of(first, path)
        self._turn = turn_of(first, self._stored, path)
        self.format = self._turn.format(self._stored)
        _check_progressive(first, path)
        self.told = told(
            int(first.colorspace),
            int(first.color_range),
            int(first.color_trc),
            int(first.color_primaries),
            hdr.from_frame(first),
        )
        if first.format.name.startswith("yuvj"):
            self.told = replace(self.told, full_range=True)

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second.

        Raises:
            MediaError: the file does not say. It can be read all the same, as the decoded side of a comparison.
        """
        if self._frame_rate is None:
            raise MediaError(
                "the file does not say its frame rate", where=self.path, fix="convert it to Y4M first, at its rate"
            )
        return self._frame_rate

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order.

        Raises:
            MediaError: FFmpeg's libraries see that the stream is damaged or cut, or frames that are of another size or
                format, or interlaced.
        """
        import av

        # What lacks a rate lacks a duration too, and nothing is held against it.
        count, end, length = 0, 0.0, 1 / (self._frame_rate or Fraction(1))
        try:
            with av.open(str(self.path)) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                for frame in container.decode(stream):
                    if _format_of(frame, self.path) != self._stored:
                        raise MediaError(
                            f"the frame size or format changes at frame {count}",
                            where=self.path,
                            expected=self._stored,
                            got=f"{frame.width}x{frame.height} {frame.format.name}",
                        )
                    if frame.is_corrupt:
                        raise MediaError(
                            f"frame {count} is damaged", where=self.path, fix="fetch or make the file again"
                        )
                    _check_progressive(frame, self.path)
                    yield self._turn.frame(_planes(frame))
                    count += 1
                    end = (frame.time or 0.0) + float(length)
                missing = _seconds(stream.metadata.get("DURATION", "")) - end
        except av.FFmpegError as error:
            raise MediaError(
                f"decoding fails at frame {count}: {error.strerror}",
                where=self.path,
                fix="fetch or make the file again",
            ) from error
        known = self.frames
        if known is None and missing > _SLACK_FRAMES * length:
            # Matroska says how long a stream is, not how many frames it has.
            known = count + round(missing / length)
        if known is not None and count < known:
            raise MediaError(
                "the file ends early",
                where=self.path,
                expected=f"{known} frames, as its header says",
                got=f"{count} frames",
                fix="fetch or make the file again",
            )


def _exact(average: Fraction | None, own: Fraction | None, unit: Fraction | None) -> Fraction | None:
    """A rate that was worked out from rounded timestamps, as Matroska has them, as the one that it comes of.

    Args:
        average: frames over their time.
        own: what the stream says of itself.
        unit: seconds that timestamps count: where a frame lasts a whole number of them, nothing was rounded.
    """
    if not average or average.denominator in (1, 1001) or (unit and (1 / average / unit).denominator == 1):
        return average
    rates = (own, Fraction(round(average)), Fraction(1000 * round(average * 1001 / 1000), 1001))
    return next((one for one in rates if one and abs(one / average - 1) < _ROUNDED), average)


def _check_progressive(frame: VideoFrame, where: Path) -> None:
    """Raises MediaError where a frame is two fields of two instants: no codec or metric here knows what that is."""
    if frame.interlaced_frame:
        raise MediaError(
            "interlaced video is not supported",
            where=where,
            expected="progressive frames",
            got="a frame of two fields",
            fix="deinterlace it first; if its frames are whole and only said to be interlaced, convert it to Y4M with"
            " FFmpeg's filter setfield=prog",
        )


def _discarded(path: Path) -> int:
    """Frames that are in the file and not in the video: what was cut without coding has an edit list."""
    import av

    with av.open(str(path)) as container:
        return sum(packet.is_discard and packet.size > 0 for packet in container.demux(container.streams.video[0]))


def _seconds(duration: str) -> float:
    """Matroska's `DURATION`, hours:minutes:seconds; 0 where it is something else."""
    try:
        hours, minutes, seconds = (float(part) for part in duration.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _format_of(frame: VideoFrame, where: Path) -> VideoFormat:
    sample = _CONTAINER_FORMATS.get(frame.format.name)
    if sample is None:
        raise MediaError(
            "the pixel format is not supported",
            where=where,
            expected="planar 4:0:0, 4:2:0, 4:2:2 or 4:4:4, 8 to 16 bit, such as yuv420p, yuv422p10le or gray; or nv12",
            got=frame.format.name,
            fix="convert it to planar YCbCr of the same depth and chroma first; if that changes samples, as it does for"
            " RGB, say so where you publish",
        )
    check_sides(frame.width, frame.height, where)
    return VideoFormat(frame.width, frame.height, *sample)


def planes_of(frame: VideoFrame, format: VideoFormat) -> Frame:
    """The planes of a decoded picture.

    Raises:
        MediaError: it is of another size or format.
    """
    if (found := _format_of(frame, Path())) != format:
        raise MediaError("the picture has another size or format", expected=format, got=found)
    return _planes(frame)


def _planes(frame: VideoFrame) -> Frame:
    name = frame.format.name
    depth, _ = _CONTAINER_FORMATS[name]
    stored = np.dtype("u1" if depth == 8 else ">u2" if name.endswith("be") else "<u2")
    planes: list[Plane] = []
    for plane in frame.planes:
        # Rows are padded to the codec's alignment: cut to the visible width.
        rows = np.frombuffer(memoryview(plane), stored).reshape(plane.height, plane.line_size // stored.itemsize)
        if name == "nv12" and planes:
            planes += (np.ascontiguousarray(rows[:, first : 2 * plane.width : 2]) for first in (0, 1))
        else:
            planes.append(np.ascontiguousarray(rows[:, : plane.width], stored.newbyteorder("<")))
    return tuple(planes)
