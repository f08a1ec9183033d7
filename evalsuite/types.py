"""The words of the project as types: frozen, with units in their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.unsignedinteger[Any]]
"""One colour plane, (height, width), unsigned integers."""

Frame = tuple[Plane, ...]
"""Planar Y, Cb, Cr, of the sizes that the chroma format gives them; Y alone in 4:0:0."""

Chroma = Literal["400", "420", "422", "444"]
"""How many chroma samples there are to those of luma: none, a quarter, a half, as many."""

Matrix = Literal["bt601", "bt709", "bt2020"]
"""YCbCr matrices that RGB is converted by; bt2020 is that of non-constant luminance."""

ForeignMatrix = Literal[
    "fcc",
    "smpte240m",
    "ycgco",
    "bt2020c",
    "smpte2085",
    "chroma-derived-nc",
    "chroma-derived-c",
    "ictcp",
    "ipt-c2",
    "ycgco-re",
    "ycgco-ro",
]
"""FFmpeg's names of what a file may say instead, which nothing here converts."""

Transfer = Literal["sdr", "pq", "hlg"]
"""What code values mean as light: a display's gamma, SMPTE ST 2084, or ARIB STD-B67."""

Point = tuple[float, float]
"""Chromaticity: x and y of CIE 1931."""

Status = Literal["ok", "infinite", "nan", "too_small", "not_applicable", "unavailable", "failed"]
"""What a score is: a finite number, or the named reason that there is none."""


LOWEST_RATE, HIGHEST_RATE = 1e-9, 1e6
"""Rates that can be asked for, in bpp or kbps; the highest cannot."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How YCbCr code values turn into RGB, and what RGB means."""

    matrix: Matrix | ForeignMatrix
    full_range: bool = False
    transfer: Transfer = "sdr"
    primaries: str = ""
    """FFmpeg's name of them, such as bt2020; empty where nothing tells. Carried, not converted by."""

    def __str__(self) -> str:
        """What scores are stored under: all that bears on them."""
        shown = f"{self.matrix} {'full' if self.full_range else 'limited'}"
        return shown if self.transfer == "sdr" else f"{shown} {self.transfer}"


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display that HDR content was graded on (SMPTE ST 2086); None for what the file leaves out."""

    red: Point | None = None
    green: Point | None = None
    blue: Point | None = None
    white: Point | None = None
    luminance_cd_m2: tuple[float, float] | None = None
    """Darkest and brightest."""


@dataclass(frozen=True, slots=True)
class ContentLight:
    """How bright HDR content is (CTA-861.3)."""

    max_cll_cd_m2: int
    """Of the brightest pixel."""
    max_fall_cd_m2: int
    """Of the frame with the highest average."""


@dataclass(frozen=True, slots=True)
class HdrMetadata:
    """What a file says for displays that map tones: carried to the results, used by no metric."""

    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None


NO_HDR_METADATA = HdrMetadata()


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Geometry and sample format of planar video."""

    width: int
    height: int
    bit_depth: int = 8
    """8 to 16."""
    chroma: Chroma = "420"

    @property
    def chroma_width(self) -> int:
        """Width of the Cb and Cr planes in samples; 0 where there are none."""
        return {"400": 0, "420": (self.width + 1) // 2, "422": (self.width + 1) // 2, "444": self.width}[self.chroma]

    @property
    def chroma_height(self) -> int:
        """Height of the Cb and Cr planes in samples; 0 where there are none."""
        return {"400": 0, "420": (self.height + 1) // 2, "422": self.height, "444": self.height}[self.chroma]

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each plane there is."""
        luma, chroma = (self.height, self.width), (self.chroma_height, self.chroma_width)
        return (luma,) if self.chroma == "400" else (luma, chroma, chroma)

    @property
    def sample_bytes(self) -> int:
        """Bytes per sample as stored (little endian above 8 bits)."""
        return 1 if self.bit_depth == 8 else 2

    @property
    def frame_bytes(self) -> int:
        """Bytes of one raw frame."""
        return (self.width * self.height + 2 * self.chroma_width * self.chroma_height) * self.sample_bytes

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name for this format, such as yuv420p, yuv422p10le or gray12le."""
        deep = "" if self.bit_depth == 8 else f"{self.bit_depth}le"
        return f"gray{deep}" if self.chroma == "400" else f"yuv{self.chroma}p{deep}"

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format}"


@dataclass(frozen=True, slots=True)
class Sequence:
    """One source sequence, ready to be read: a verified Y4M file."""

    name: str
    dataset: str
    path: Path
    """A Y4M file with exactly `frames` frames."""
    sha256: str
    """Of the Y4M file: the identity of the source content."""
    format: VideoFormat
    frame_rate: Fraction
    frames: int
    colour: Colour
    tags: tuple[str, ...] = ()
    licence: str = ""
    origin: str = ""
    """Where the file came from, in words: package and path, URL or local file."""
    hdr: HdrMetadata = NO_HDR_METADATA
    unsteady: str = ""
    """Why `frame_rate` is not what a viewer of the file sees, in words; empty where it is, or was not looked at."""

    @property
    def pixels(self) -> int:
        """Luma samples in the whole sequence."""
        return self.format.width * self.format.height * self.frames

    def bpp(self, size_bytes: int) -> float:
        """Bits per pixel of `size_bytes` of bitstream."""
        return size_bytes * 8 / self.pixels

    def kbps(self, size_bytes: int) -> float:
        """Kilobits (1000 bit) per second of `size_bytes` of bitstream."""
        return float(size_bytes * 8 / 1000 / (self.frames / self.frame_rate))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The settings of one encode. Lower `q` is better quality, for every codec."""

    q: float
    intra_period: int
    """Frames between random-access points; -1 means only the first frame is intra."""
    threads: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command cost."""

    wall_s: float
    cpu_s: float
    """User and system seconds of the process and the children it waited for."""
    peak_rss_bytes: int = 0
    """Resident memory of the process tree at its peak; 0 where it ended before it could be looked at."""
    load_s: float | None = None
    """Wall seconds of `wall_s` that loading a model took, where the codec tells; None where it does not."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Under which circumstances something was timed."""

    ran_alone: bool = False
    """Whether no other task of the run was at work meanwhile, and nothing held the program back."""
    timed_on: str = ""
    """The machine where `--timing` timed it: alone and after a warm-up; empty where it was not."""

    @property
    def worth(self) -> tuple[bool, bool]:
        """A time of less worth never takes the place of one of more."""
        return self.ran_alone, self.timed_on != ""


SHARED = Timing()
"""Of what ran while other work may have."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How evenly a decoder delivers its frames to a reader that does nothing but read.

    Intervals are those between two frames that follow each other, in seconds.
    """

    first_frame_s: float
    """From the start of the decoder to its first frame."""
    streams: bool
    """Whether frames come as they are decoded; else there are no intervals to speak of."""
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    jitter_s: float | None = None
    """Standard deviation of the intervals."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A part of a bitstream that is sent as a whole."""

    bytes: int
    frames: int = 1
    """The frames that it codes, which follow each other in the order of transmission."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a bitstream that matter alike when they are lost."""

    bytes: int
    kind: str
    """What they hold; `header` is what no receiver can do without, and is sure to get."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a bitstream on its way, and of the frames that were decoded from it."""

    packets: int
    """That could be hit."""
    hit: int
    """Lost, or changed."""
    concealed: tuple[bool, ...]
    """Of each frame in display order, whether it may differ from what was sent."""


@dataclass(frozen=True, slots=True)
class CodecReport:
    """What a codec itself tells about a bitstream."""

    values: Mapping[str, float]
    """Finite numbers by name."""
    usage: Usage
    """What asking cost."""
    packets: tuple[Packet, ...] = ()
    """In the order of transmission; empty where it does not tell."""
    parts: tuple[Part, ...] = ()
    """In the order of the file, all of it; empty where it does not tell."""
    frame_tokens: tuple[int, ...] = ()
    """Sent tokens that fall due at each frame, in the order of transmission; empty where it does not tell."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong with one cell, kept and shown, never dropped."""

    codec: str
    sequence: str
    q: float | None
    stage: Literal["source", "encode", "decode", "measure", "store"]
    message: str
    cell_key: str = ""
    command: tuple[str, ...] = ()
    stderr_tail: str = ""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric is: printed by `evalsuite metrics show`, keyed into every stored score."""

    name: str
    family: str
    unit: str
    higher_is_better: bool | None
    """None for a figure that describes and has no better: it is in every table but makes no BD-rate."""
    version: str
    """Changes whenever a score could change: part of the score's key."""
    definition: str
    source: str
    """Standard or paper, and the implementation used."""
    range: tuple[float, float]
    needs: tuple[str, ...] = ()
    log_domain_ceiling: float | None = None
    """For a saturating metric: BD-rate works on -10 log10(1 - score / ceiling)."""
    traps: str = ""
    per_frame: bool = True
    """Whether frames have scores; else there is one figure of the whole sequence."""
    statistics: tuple[str, ...] = ()
    """Figures that the field pools by, beside mean, p5 and worst."""
    hdr: bool = False
    """Whether the definition holds for PQ and HLG code values."""


@dataclass(frozen=True, slots=True)
class Series:
    """Scores of one metric on one decoded sequence, or why there are none."""

    metric: str
    status: Status
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(frames,), or (1,) for a figure of the whole sequence; may hold inf and nan; empty unless status is ok."""
    reason: str = ""
    frames: NDArray[np.int64] | None = None
    """The frames that `values` are of, ascending, where the metric does not apply to some; None: every frame."""
