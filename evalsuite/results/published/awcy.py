"""The `.out` files of AWCY (Are We Compressed Yet?) and rd_tool: one file for each sequence, one line for each point.

Columns are separated by blanks: quality, pixels (of all frames), bytes, then scores in a fixed order; older runs have
fewer. VMAF is the suite's own metric (libvmaf, models v0.6.1 and v0.6.1neg, mean over frames). The other figures are
not: the PSNR of libvmaf's AOM preset has another peak above 8 bit, its SSIM is in dB, and the older tools are others.

Source: github.com/xiph/rd_tool, work.py; github.com/xiph/awcy, csv_export.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from evalsuite.results.published.base import (
    Figure,
    Given,
    Publication,
    PublishedPoint,
    Source,
    finite,
    from_name,
    read_bytes,
    refused,
)

_DAALA, _AOM = "of daala's tools, as AWCY published it", "of libvmaf's AOM preset, as AWCY published it"


def _figure(name: str, what: str, tool: str, unit: str = "", *, higher: bool = True) -> Figure:
    return Figure(f"{name}_{'awcy' if tool is _DAALA else 'aom'}", f"{what}, {tool}", unit, higher)


_COLUMNS: tuple[Figure | str | None, ...] = (
    _figure("psnr_y", "PSNR of the total luma error", _DAALA, "dB"),
    _figure("psnr_hvs", "PSNR-HVS of luma", _DAALA, "dB"),
    _figure("ssim", "SSIM of luma, in dB", _DAALA, "dB"),
    _figure("fast_ssim", "fast multi-scale SSIM, in dB", _DAALA, "dB"),
    _figure("ciede2000", "CIEDE2000, in dB: higher is better", _DAALA, "dB"),
    _figure("psnr_cb", "PSNR of the total Cb error", _DAALA, "dB"),
    _figure("psnr_cr", "PSNR of the total Cr error", _DAALA, "dB"),
    _figure("apsnr_y", "mean over frames of luma PSNR", _DAALA, "dB"),
    _figure("apsnr_cb", "mean over frames of Cb PSNR", _DAALA, "dB"),
    _figure("apsnr_cr", "mean over frames of Cr PSNR", _DAALA, "dB"),
    _figure("ms_ssim", "MS-SSIM of luma, in dB", _DAALA, "dB"),
    None,  # encoding time
    _figure("vmaf_old", "VMAF of an older version", _DAALA),
    None,  # decoding time
    _figure("psnr_y", "mean over frames of luma PSNR, peak 255 << (bits - 8)", _AOM, "dB"),
    _figure("psnr_cb", "mean over frames of Cb PSNR, peak 255 << (bits - 8)", _AOM, "dB"),
    _figure("psnr_cr", "mean over frames of Cr PSNR, peak 255 << (bits - 8)", _AOM, "dB"),
    _figure("ciede2000", "CIEDE2000, in dB: higher is better", _AOM, "dB"),
    _figure("ssim", "SSIM of luma, in dB", _AOM, "dB"),
    _figure("ms_ssim", "MS-SSIM of luma, in dB", _AOM, "dB"),
    _figure("psnr_hvs_y", "PSNR-HVS of luma", _AOM, "dB"),
    _figure("psnr_hvs_cb", "PSNR-HVS of Cb", _AOM, "dB"),
    _figure("psnr_hvs_cr", "PSNR-HVS of Cr", _AOM, "dB"),
    _figure("psnr_hvs", "PSNR-HVS of all planes", _AOM, "dB"),
    "vmaf",
    "vmaf_neg",
    _figure("apsnr_y", "PSNR of the total luma error", _AOM, "dB"),
    _figure("apsnr_cb", "PSNR of the total Cb error", _AOM, "dB"),
    _figure("apsnr_cr", "PSNR of the total Cr error", _AOM, "dB"),
    _figure("cambi", "CAMBI banding", _AOM, higher=False),
)
"""Scores in the order of the file, from the fourth column on; what follows them is not read."""

_SUFFIX = re.compile(r"(-[a-z0-9]+)?\.out$", re.IGNORECASE)


def read(path: Path, given: Given) -> Publication:
    """Read the points of one sequence.

    Raises:
        RequestError: the file cannot be read, is not of this format, or contradicts the size of the frames.
    """
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(path, "not text", "lines of numbers", error) from error
    name = _SUFFIX.sub("", path.name)
    if name.casefold() == "total":
        raise refused(path, "a sum over sequences", "the file of one sequence", path.name)
    lines = [(i, line.split()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    points = tuple(_point(path, given, name, i, cells) for i, cells in lines)
    if not points:
        raise refused(path, "no rate points", "a line for each: quality, pixels, bytes, scores", "an empty file")
    named = {name for point in points for name in point.scores}
    figures = tuple(one for one in _COLUMNS if isinstance(one, Figure) and one.name in named)
    return Publication(None, points, figures)


def _point(path: Path, given: Given, name: str, line: int, cells: list[str]) -> PublishedPoint:
    if len(cells) < 4:
        raise refused(path, f"line {line} is too short", "quality, pixels, bytes and a score", " ".join(cells))
    q, pixels, size = (_number(path, line, cell) for cell in cells[:3])
    if not (0 < pixels < 1e15 and 0 < size < 1e15 and pixels == int(pixels) and size == int(size)):
        raise refused(path, f"line {line} has no size", "pixels and bytes, whole and above 0", " ".join(cells[:3]))
    scores = {}
    for column, cell in zip(_COLUMNS, cells[3:], strict=False):
        if column is not None:
            scores[column if isinstance(column, str) else column.name] = _number(path, line, cell)
    return PublishedPoint(
        source=_source(path, given, name, int(pixels)),
        label=cells[0],
        scores=scores,
        q=finite(q),
        bpp=8 * size / pixels,
        bytes=int(size),
    )


def _source(path: Path, given: Given, name: str, pixels: int) -> Source:
    width, height, rate = from_name(name)
    width, height = width or given.width, height or given.height
    if width is None or height is None:
        return Source(name, given.dataset or "", frame_rate=rate)
    frames, rest = divmod(pixels, width * height)
    if rest or not frames:
        raise refused(
            path,
            "the pixels are no whole number of frames",
            f"a multiple of {width}x{height}",
            pixels,
            fix="check --size",
        )
    return Source(name, given.dataset or "", width, height, rate, frames)


def _number(path: Path, line: int, cell: str) -> float:
    try:
        if "_" in cell:
            raise ValueError
        return float(cell)
    except ValueError:
        raise refused(path, f"line {line} has a cell that is not a number", "a number", cell[:80]) from None
