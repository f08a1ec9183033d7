"""Scoring one decoded file against its source: what `evalsuite measure` does."""

from __future__ import annotations

from pathlib import Path

from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import EvalError, MediaError, RequestError, ShapeError
from evalsuite.metrics.base import Setting
from evalsuite.sources.reader import open_video, resolve_colour
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Matrix, MetricInfo

_MATRICES: dict[str | None, Matrix | None] = {None: None, "bt601": "bt601", "bt709": "bt709"}


def compare_files(
    source: Path,
    decoded: Path,
    infos: tuple[MetricInfo, ...],
    geometry: Geometry | None = None,
    *,
    matrix: str | None = None,
) -> Measured:
    """Score `decoded` against `source`, both read as they are.

    Args:
        source: Y4M, raw (then `geometry` says what it is) or container.
        decoded: likewise; the same size, bit depth and number of frames.
        infos: the metrics.
        geometry: of raw files.
        matrix: bt601 or bt709, instead of what the source says.

    Raises:
        MediaError: a file cannot be read to its end.
        ShapeError: the two differ in size, depth or number of frames.
        RequestError: an unknown matrix.
    """
    if matrix not in _MATRICES:
        raise RequestError(f"unknown colour matrix {matrix!r}", expected="bt601 or bt709")
    reference, test = open_video(source, geometry), open_video(decoded, geometry)
    if reference.format != test.format:
        raise ShapeError(
            "source and decoded video differ in format",
            where=decoded,
            expected=reference.format,
            got=test.format,
            fix="compare at the source's size and bit depth; scaling or rounding is part of the codec under test",
        )
    setting = Setting(reference.format, resolve_colour(reference, _MATRICES[matrix]), reference.frame_rate)
    result = measure(reference, setting, {"decoded": iter(test)}, infos)["decoded"]
    if isinstance(result, EvalError):
        raise result
    if result.frames == 0:
        raise MediaError("there is no frame to compare", where=source)
    return result
