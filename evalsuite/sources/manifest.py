"""Dataset manifests: one TOML file becomes typed entries, or an error that names the sequence and the field."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from evalsuite.assets import Asset, LocalSource, PackageSource, Source, UrlSource
from evalsuite.errors import MediaError, RecipeError
from evalsuite.sources import fields
from evalsuite.sources.fields import Table
from evalsuite.sources.hdr import parse_hdr
from evalsuite.sources.tags import MATRICES, PRIMARIES, RANGES, TRANSFERS
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, check_sides
from evalsuite.types import Colour, HdrMetadata, Transfer, VideoFormat

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of datasets and sequences: safe in paths, tables and keys."""

_USUAL_SAMPLES = PIXEL_FORMATS["yuv420p"]
_HIGHEST_FRAME_RATE = 1000
_FILTER_STEP = re.compile(
    r"scale=(\d{1,5}):(\d{1,5})(?::flags=[a-z_+]+)?"
    r"|crop=(\d{1,5}):(\d{1,5}):\d{0,4}[02468]:\d{0,4}[02468]"  # even offsets: chroma may be half size
)


@dataclass(frozen=True, slots=True)
class SequenceEntry:
    """What a manifest says about one sequence."""

    dataset: str
    name: str
    format: VideoFormat
    """Of the prepared sequence."""
    frame_rate: Fraction
    start: int
    """Index of the first frame that is used, in the source's file order."""
    frames: int
    colour: Colour
    hdr: HdrMetadata
    sources: tuple[Source, ...]
    sha256: str = ""
    """Of the prepared Y4M file; empty where the manifest does not pin it."""
    filter: str = ""
    """FFmpeg `scale` and `crop` steps that make the sequence from the source's frames; empty for frames as they are."""
    raw: Geometry | None = None
    """Of the source, where it is a raw file."""
    tags: tuple[str, ...] = ()
    licence: str = ""
    notes: str = ""
    siblings: tuple[Source, ...] = ()
    """Sources of the dataset's other sequences: those in the same archive are unpacked with this one's."""

    @property
    def asset(self) -> Asset:
        """The source video and everywhere it can be had."""
        return Asset(f"{self.dataset}/{self.name}", self.sources)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named list of sequences."""

    name: str
    path: Path
    """The manifest."""
    version: str
    description: str
    sequences: tuple[SequenceEntry, ...]


def parse_manifest(data: dict[str, Any], path: Path) -> Dataset:
    """The dataset that a parsed TOML file describes.

    Args:
        data: the parsed file.
        path: the file: names the dataset; local sources are relative to its folder.

    Raises:
        RecipeError: a field is missing, unknown, or not what it should be; names the sequence and the field.
    """
    top = Table(data, str(path))
    version = top.take("version", fields.text)
    description = top.get("description", fields.text, "")
    tables = top.take("sequences", fields.tables)
    top.finish()
    entries = [_sequence(table, index, path) for index, table in enumerate(tables, 1)]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"two sequences are called {name}", where=path, fix="give each its own name")
    everything = tuple(source for entry in entries for source in entry.sources)
    sequences = tuple(replace(entry, siblings=everything) for entry in entries)
    return Dataset(path.stem, path, version, description, sequences)


def _sequence(data: dict[str, Any], index: int, path: Path) -> SequenceEntry:
    name = Table(data, f"{path}, sequence {index}").take("name", _name)
    table = Table(data, f"{path}, sequence {name}", taken={"name"})
    sides = table.take("width", _side), table.take("height", _side)
    format = VideoFormat(*sides, *table.get("pixel_format", fields.choice(PIXEL_FORMATS), _USUAL_SAMPLES))
    steps = table.get("filter", _filter_steps, ())
    made = steps[-1].size if steps else (format.width, format.height)
    if made != (format.width, format.height):
        raise RecipeError(
            "the filter makes another size than the sequence has",
            where=table.where,
            expected=f"{format.width}x{format.height}, as width and height say",
            got=f"{made[0]}x{made[1]}",
        )
    raw = table.get("raw", fields.table, None)
    entry = SequenceEntry(
        dataset=path.stem,
        name=name,
        format=format,
        frame_rate=table.take("frame_rate", _frame_rate),
        start=table.get("start", fields.count(0), 0),
        frames=table.take("frames", fields.count(1)),
        colour=_colour(table),
        hdr=parse_hdr(table),
        sources=tuple(
            _source(Table(source, f"{table.where}, source {number}"), path.parent)
            for number, source in enumerate(table.take("sources", fields.tables), 1)
        ),
        sha256=table.get("sha256", _sha256, ""),
        filter=",".join(step.text for step in steps),
        raw=None if raw is None else _geometry(Table(raw, f"{table.where}, raw")),
        tags=table.get("tags", fields.texts, ()),
        licence=table.take("licence", fields.text),
        notes=table.get("notes", fields.text, ""),
    )
    table.finish()
    return entry


def _colour(table: Table) -> Colour:
    sdr: Transfer = "sdr"
    return Colour(
        matrix=table.take("matrix", fields.choice(MATRICES)),
        full_range=table.take("range", fields.choice(RANGES)),
        transfer=table.get("transfer", fields.choice(TRANSFERS), sdr),
        primaries=table.get("primaries", fields.choice({name: name for name in PRIMARIES.values()}), ""),
    )


def _source(table: Table, folder: Path) -> Source:
    sha256 = table.take("sha256", _sha256)
    size = table.get("size", fields.count(1), None)
    source: Source
    if "package" in table.data:
        source = PackageSource(
            package=table.take("package", _name),
            version=table.take("version", fields.text),
            archive=table.take("archive", _archive),
            archive_sha256=table.take("archive_sha256", _sha256),
            path=table.take("path", _member),
            sha256=sha256,
            size=size,
        )
    elif "url" in table.data:
        source = UrlSource(table.take("url", _url), sha256, size)
    elif "path" in table.data:
        # normpath: the manifest's own folder, followed by "..", is noise in every message
        path = os.path.normpath(folder / Path(table.take("path", fields.text)).expanduser())
        source = LocalSource(Path(path), sha256, size)
    else:
        raise RecipeError(
            "the source does not say where the file is",
            where=table.where,
            expected="`package` (with version, archive, archive_sha256, path), `url`, or `path`",
            got=", ".join(table.data),
        )
    table.finish()
    return source


def _geometry(table: Table) -> Geometry:
    geometry = Geometry(
        table.take("width", _side),
        table.take("height", _side),
        table.take("frame_rate", _frame_rate),
        table.get("pixel_format", fields.choice({name: name for name in PIXEL_FORMATS}), "yuv420p"),
    )
    table.finish()
    return geometry


@dataclass(frozen=True, slots=True)
class _FilterStep:
    text: str
    size: tuple[int, int]


def _filter_steps(value: object) -> tuple[_FilterStep, ...]:
    steps = []
    for step in fields.text(value).split(","):
        match = _FILTER_STEP.fullmatch(step)
        if not match:
            raise ValueError("steps such as scale=640:360:flags=bicubic+bitexact or crop=640:360:0:0, by commas")
        width, height = (int(side) for side in match.groups() if side is not None)
        steps.append(_FilterStep(step, (_side(width), _side(height))))
    return tuple(steps)


def _frame_rate(value: object) -> Fraction:
    # A float is not exact: 29.97 is not 30000/1001.
    written = str(value) if isinstance(value, str | int) else ""
    rate = Fraction(written) if re.fullmatch(r"[1-9]\d{0,6}(/[1-9]\d{0,6})?", written) else Fraction(0)
    if not 0 < rate <= _HIGHEST_FRAME_RATE:
        raise ValueError('frames per second as a whole number or a fraction such as "30000/1001"')
    return rate


def _side(value: object) -> int:
    side = fields.count(1)(value)
    try:
        check_sides(side, side)
    except MediaError as error:
        raise ValueError(error.expected) from error
    return side


def _member(value: object) -> str:
    parts = fields.text(value).split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\\" in parts[0]:
        raise ValueError("the full name of a file inside the archive: relative, without . or ..")
    return "/".join(parts)


_name = fields.pattern(NAME.pattern, "letters, digits, '.', '_' and '-', 64 at most")
_sha256 = fields.pattern(r"[0-9a-f]{64}", "64 lower-case hexadecimal digits")
_archive = fields.pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(whl|zip|tar\.gz|tgz)", "a .whl, .zip or .tar.gz file name")
_url = fields.pattern(r"https?://\S+", "an http or https address")
