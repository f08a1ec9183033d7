"""The colour of a video: what its file says, what the user says, and what is taken where neither does.

Numbers are those of ITU-T H.273, which every container and every standard of the MPEG family writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from evalsuite.errors import RequestError
from evalsuite.types import NO_HDR_METADATA, Colour, ForeignMatrix, HdrMetadata, Matrix, Transfer, VideoFormat

T = TypeVar("T")

MATRICES: Mapping[str, Matrix] = {"bt601": "bt601", "bt709": "bt709", "bt2020": "bt2020"}
RANGES: Mapping[str, bool] = {"limited": False, "full": True}
TRANSFERS: Mapping[str, Transfer] = {"sdr": "sdr", "pq": "pq", "hlg": "hlg"}

PRIMARIES: Mapping[int, str] = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
"""FFmpeg's names of colour primaries, by H.273 table 2."""

_MATRIX_NUMBERS: Mapping[int, Matrix | ForeignMatrix] = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
    15: "ipt-c2",
    16: "ycgco-re",
    17: "ycgco-ro",
}
_PQ, _HLG = 16, 18
_UNSPECIFIED = (0, 2, 3)
"""Of a transfer: 0 and 3 are reserved, 2 says that it is not known."""
_LIMITED, _FULL = 1, 2
"""FFmpeg's numbers of a range."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a file says of its colour; None and empty for what it does not say."""

    matrix: Matrix | ForeignMatrix | None = None
    full_range: bool | None = None
    transfer: Transfer | None = None
    primaries: str = ""
    hdr: HdrMetadata = NO_HDR_METADATA


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user says of the colour of a file; None for what the file says."""

    matrix: Matrix | None = None
    full_range: bool | None = None
    transfer: Transfer | None = None


def told(matrix: int, span: int, transfer: int, primaries: int, hdr: HdrMetadata) -> Told:
    """What the numbers in a file say.

    Args:
        matrix: matrix coefficients.
        span: FFmpeg's number of the range.
        transfer: transfer characteristics.
        primaries: colour primaries.
        hdr: what else the file says.
    """
    usual: Transfer | None = None if transfer in _UNSPECIFIED else "sdr"
    return Told(
        matrix=_MATRIX_NUMBERS.get(matrix),
        full_range={_LIMITED: False, _FULL: True}.get(span),
        transfer={_PQ: TRANSFERS["pq"], _HLG: TRANSFERS["hlg"]}.get(transfer, usual),
        primaries=PRIMARIES.get(primaries, ""),
        hdr=hdr,
    )


def stated(matrix: str | None = None, colour_range: str | None = None, transfer: str | None = None) -> Stated:
    """What the options `--matrix`, `--range` and `--transfer` say.

    Raises:
        RequestError: a word that none of them knows.
    """
    return Stated(
        _chosen("--matrix", matrix, MATRICES),
        _chosen("--range", colour_range, RANGES),
        _chosen("--transfer", transfer, TRANSFERS),
    )


def _chosen(option: str, word: str | None, known: Mapping[str, T]) -> T | None:
    if word is not None and word not in known:
        raise RequestError(f"{option} cannot be {word!r}", expected=" or ".join(known))
    return None if word is None else known[word]


def resolve_colour(format: VideoFormat, told: Told, stated: Stated | None = None) -> Colour:
    """The colour to convert by: what the user says, else what the file says, else the convention.

    The convention is that of players: BT.2020 for PQ and HLG (as ITU-R BT.2100 has it), else BT.709 above 576 lines and
    BT.601 up to there; limited range; SDR.
    """
    said = stated or Stated()
    transfer = said.transfer or told.transfer or "sdr"
    usual: Matrix = "bt2020" if transfer != "sdr" else "bt709" if format.height > 576 else "bt601"
    span = told.full_range if said.full_range is None else said.full_range
    return Colour(said.matrix or told.matrix or usual, bool(span), transfer, told.primaries)
