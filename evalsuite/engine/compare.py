"""Scoring one decoded file against its source: what `evalsuite measure` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import EvalError, MediaError, ShapeError
from evalsuite.metrics.base import Setting
from evalsuite.sources.reader import check_geometry, open_video
from evalsuite.sources.tags import resolve_colour, stated
from evalsuite.sources.y4m import Geometry
from evalsuite.types import HdrMetadata, MetricInfo


@dataclass(slots=True, kw_only=True)
class Compared(Measured):
    """What a decoded file scored, and what its source is."""

    setting: Setting
    hdr: HdrMetadata


def compare_files(
    source: Path,
    decoded: Path,
    infos: tuple[MetricInfo, ...],
    geometry: Geometry | None = None,
    *,
    matrix: str | None = None,
    colour_range: str | None = None,
    transfer: str | None = None,
) -> Compared:
    """Score `decoded` against `source`, both read as they are.

    Args:
        source: Y4M, raw (then `geometry` says what it is) or container.
        decoded: likewise; the same size, chroma format, bit depth and number of frames.
        infos: the metrics.
        geometry: of raw files.
        matrix: bt601, bt709 or bt2020, instead of what the source says; the decoded file is taken to be alike.
        colour_range: limited or full, likewise.
        transfer: sdr, pq or hlg, likewise.

    Raises:
        MediaError: a file cannot be read to its end.
        ShapeError: the two differ in size, chroma format, depth, stated colour or number of frames.
        RequestError: an unknown matrix, range or transfer; a geometry where neither is raw.
    """
    said = stated(matrix, colour_range, transfer)
    check_geometry((source, decoded), geometry)
    reference, test = open_video(source, geometry), open_video(decoded, geometry)
    if reference.format != test.format:
        raise ShapeError(
            "source and decoded video differ in format",
            where=decoded,
            expected=reference.format,
            got=test.format,
            fix="compare at the source's size and bit depth; scaling or rounding is part of the codec under test",
        )
    for what in ("matrix", "full_range", "transfer"):
        ours, theirs = getattr(reference.told, what), getattr(test.told, what)
        if getattr(said, what) is None and None not in (ours, theirs) and ours != theirs:
            raise ShapeError(
                "source and decoded video say that their colour differs",
                where=decoded,
                expected=f"{what} {ours}",
                got=f"{what} {theirs}",
                fix="convert one of them, or say which it is where a file is wrong: --matrix, --range, --transfer",
            )
    colour = resolve_colour(reference.format, reference.told, said)
    setting = Setting(reference.format, colour, reference.frame_rate)
    result = measure(reference, setting, {"decoded": iter(test)}, infos)["decoded"]
    if isinstance(result, EvalError):
        raise result
    if result.frames == 0:
        raise MediaError("there is no frame to compare", where=source)
    return Compared(result.frames, result.series, result.cost_s, setting=setting, hdr=reference.told.hdr)
