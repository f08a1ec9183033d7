"""Geometry from file names: what `BasketballDrive_1920x1080_50.yuv` says that a raw file does not say itself.

The names are those of the test sequences of the field: UVG, MCL-JCV, the common test conditions of JVET and of the AOM,
derf's collection at Xiph, Netflix, BVI-DVC. A name is a hint, not a fact: it is held against the size of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from evalsuite.errors import MediaError
from evalsuite.sources.y4m import CHROMAS, DEPTHS, Geometry
from evalsuite.types import Chroma, VideoFormat

_SIZES = {
    "qcif": (176, 144),
    "cif": (352, 288),
    "4cif": (704, 576),
    "sif": (352, 240),
    "4sif": (704, 480),
}
"""Common Intermediate Format and its kin (ITU-T H.261), as derf's collection uses the words."""
_WIDTHS = {2160: 3840, 1440: 2560, 1080: 1920, 720: 1280, 540: 960, 360: 640, 270: 480}
"""Of 16:9, by height."""
_BROADCAST_RATES = {"2398": 24, "23976": 24, "2997": 30, "5994": 60, "11988": 120}
"""Rates that are a thousandth slower than a whole number, as names have them without the point."""
_CUT_RATES = {23, 29, 59, 119}
"""What is left of such a rate where a name has dropped its decimals: not to be told from a mistake."""
_HIGHEST_RATE = 300

_TOKEN = re.compile(r"[^A-Za-z0-9.]+|(?<!\d)\.|\.(?!\d)")
_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})(?:[pP](\d+(?:\.\d+)?)?)?")
_HEIGHT = re.compile(r"(\d{3,4})p(\d+(?:\.\d+)?)?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:fps|hz|p)", re.IGNORECASE)
_BARE_RATE = re.compile(r"\d+(?:\.\d+)?")
_DEPTH = re.compile(r"(\d{1,2})(?:bits?|b)", re.IGNORECASE)
_SAMPLES = re.compile(r"(?:yuv)?(4[024][024])(?:p(\d{1,2})?(?:le)?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What a file's name says of it; None for what it does not say."""

    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    bit_depth: int | None = None
    chroma: Chroma | None = None

    def format(self) -> VideoFormat | None:
        """The sample format: 8 bit and 4:2:0 where the name is silent, None without a size."""
        if self.width is None or self.height is None:
            return None
        return VideoFormat(self.width, self.height, self.bit_depth or 8, self.chroma or "420")


def parse_name(name: str) -> Named:
    """What a file name says.

    >>> parse_name("Netflix_Boat_4096x2160_60fps_10bit_420.y4m").frame_rate
    Fraction(60, 1)
    """
    stem = re.sub(r"\.(?:[A-Za-z][A-Za-z0-9]{0,4})$", "", name)
    width = height = depth = None
    rate: Fraction | None = None
    chroma: Chroma | None = None
    size_before = False
    for token in filter(None, _TOKEN.split(stem)):
        size_is_new = False
        if width is None and (found := _size(token)):
            (width, height), told = found
            rate = rate or (_rate(told) if told else None)
            size_is_new = True
        elif depth is None and (match := _DEPTH.fullmatch(token)) and int(match[1]) in DEPTHS:
            depth = int(match[1])
        elif chroma is None and (match := _SAMPLES.fullmatch(token)) and match[1] in CHROMAS:
            chroma = match[1]
            depth = depth or (int(match[2]) if match[2] and int(match[2]) in DEPTHS else None)
        elif rate is None and (match := _RATE.fullmatch(token)):
            rate = _rate(match[1])
        elif rate is None and size_before and _BARE_RATE.fullmatch(token):
            rate = _rate(token)
        size_before = size_is_new
    return Named(width, height, rate, depth, chroma)


def raw_geometry(path: Path, frame_rate: Fraction | None = None) -> Geometry:
    """The geometry of a raw file, from its name and its size.

    Args:
        path: a file that is there.
        frame_rate: what the user says, for names that do not say it.

    Raises:
        MediaError: the name says no size or no frame rate; or the file is no whole number of such frames.
    """
    named = parse_name(path.name)
    format = named.format()
    rate = frame_rate or named.frame_rate
    if format is None or rate is None:
        missing = "size" if format is None else "frame rate"
        raise MediaError(
            f"the name of a raw file does not say its {missing}",
            where=path,
            expected="a name such as BasketballDrive_1920x1080_50.yuv or Beauty_3840x2160_120fps_420_10bit_YUV.yuv",
            fix="rename it, or give --size, --fps and --pixel-format",
        )
    size = path.stat().st_size
    if size == 0 or size % format.frame_bytes:
        raise MediaError(
            "the name and the size of the file contradict each other",
            where=path,
            expected=f"a multiple of {format.frame_bytes} bytes ({format}, as the name says)",
            got=f"{size} bytes = {size / format.frame_bytes:.3f} frames",
            fix="rename the file after what it holds, or give --size, --fps and --pixel-format",
        )
    return Geometry(format.width, format.height, rate, format.pixel_format)


def _size(token: str) -> tuple[tuple[int, int], str | None] | None:
    """Width, height, and what stands for the frame rate in the same token."""
    if token.lower() in _SIZES:
        return _SIZES[token.lower()], None
    if match := _SIZE.fullmatch(token):
        return (int(match[1]), int(match[2])), match[3]
    if (match := _HEIGHT.fullmatch(token)) and int(match[1]) in _WIDTHS:
        return (_WIDTHS[int(match[1])], int(match[1])), match[2]
    return None


def _rate(digits: str) -> Fraction | None:
    if digits in _BROADCAST_RATES:
        return Fraction(_BROADCAST_RATES[digits] * 1000, 1001)
    decimals = digits.partition(".")[2]
    rate = Fraction(digits)
    if not 0 < rate <= _HIGHEST_RATE or rate in _CUT_RATES:
        return None
    slower = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    return slower if decimals and round(slower, len(decimals)) == rate else rate
