"""Dataset manifests: one TOML file becomes typed entries, or an error that names the sequence and the field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from evalsuite.assets import ArchiveSource, Asset, PackageSource, Source
from evalsuite.errors import MediaError, RecipeError
from evalsuite.sources import fields
from evalsuite.sources.fields import Table
from evalsuite.sources.hdr import parse_hdr
from evalsuite.sources.origins import parse_source, sha256
from evalsuite.sources.tags import MATRICES, PRIMARIES, RANGES, TRANSFERS
from evalsuite.sources.y4m import PIXEL_FORMATS, Geometry, check_sides
from evalsuite.types import Chroma, Colour, HdrMetadata, Transfer, VideoFormat

_USUAL_SAMPLES = PIXEL_FORMATS["yuv420p"]
_SAMPLES: dict[str, tuple[int, Chroma] | None] = {**PIXEL_FORMATS, "told": None}
"""What a manifest may say of depth and chroma; `told` is whatever the file says."""
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
    """Of the prepared sequence; of it only the size counts where `samples_known` is false."""
    frame_rate: Fraction | None
    """None where the manifest leaves it to the file and nothing has pinned it yet."""
    start: int
    """Index of the first frame that is used, in the source's file order."""
    frames: int | None
    """None likewise: all from `start` on."""
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
    """Sources of the dataset's sequences that are in archives: those in the same one are unpacked together."""
    samples_known: bool = True
    """Whether depth and chroma are known; else the manifest leaves them to the file and nothing has pinned them yet."""
    files: tuple[str, ...] = ()
    """Names under which the source's file travels, for finding it in a folder."""
    obtain: str = ""
    """How to get the dataset, where its files cannot be fetched by anybody."""
    lock: Path | None = None
    """The file that pins what the manifest leaves open; None where it leaves nothing open."""

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
    publication: str = ""
    """Paper and address of the dataset."""
    terms: str = ""
    """What its publishers ask of its users."""
    obtain: str = ""
    """How to get what cannot be fetched."""


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
    told = {name: top.get(name, fields.text, "") for name in ("description", "publication", "terms", "obtain")}
    defaults = top.get("defaults", fields.table, {})
    tables = top.take("sequences", fields.tables)
    top.finish()
    entries = [_sequence({**defaults, **table}, index, path, told["obtain"]) for index, table in enumerate(tables, 1)]
    for name, count in Counter(entry.name for entry in entries).items():
        if count > 1:
            raise RecipeError(f"two sequences are called {name}", where=path, fix="give each its own name")
    return Dataset(path.stem, path, version, sequences=with_siblings(entries), **told)


def with_siblings(entries: Iterable[SequenceEntry]) -> tuple[SequenceEntry, ...]:
    """The entries of a dataset, each knowing what the others have in archives."""
    entries = tuple(entries)
    packed = tuple(
        source for entry in entries for source in entry.sources if isinstance(source, PackageSource | ArchiveSource)
    )
    return tuple(replace(entry, siblings=packed) for entry in entries)


def _sequence(data: dict[str, Any], index: int, path: Path, obtain: str) -> SequenceEntry:
    name = Table(data, f"{path}, sequence {index}").take("name", _name)
    table = Table(data, f"{path}, sequence {name}", taken={"name"})
    sides = table.take("width", _side), table.take("height", _side)
    samples = table.get("pixel_format", fields.choice(_SAMPLES), _USUAL_SAMPLES)
    format = VideoFormat(*sides, *(samples or _USUAL_SAMPLES))
    steps = table.get("filter", _filter_steps, ())
    made = steps[-1].size if steps else (format.width, format.height)
    if made != (format.width, format.height):
        raise RecipeError(
            "the filter makes another size than the sequence has",
            where=table.where,
            expected=f"{format.width}x{format.height}, as width and height say",
            got=f"{made[0]}x{made[1]}",
        )
    if steps and samples is None:
        raise RecipeError("a filter has to know the pixel format", where=table.where, fix="state `pixel_format`")
    frame_rate = table.get("frame_rate", fields.frame_rate, None)
    # Only a dataset that says how to get it may have sequences that nobody can fetch.
    sources = table.get("sources", fields.tables, []) if obtain else table.take("sources", fields.tables)
    entry = SequenceEntry(
        dataset=path.stem,
        name=name,
        format=format,
        frame_rate=frame_rate,
        start=table.get("start", fields.count(0), 0),
        frames=table.get("frames", fields.count(1), None),
        colour=_colour(table),
        hdr=parse_hdr(table),
        sources=tuple(
            parse_source(Table(source, f"{table.where}, source {number}"), path.parent)
            for number, source in enumerate(sources, 1)
        ),
        sha256=table.get("sha256", sha256, ""),
        filter=",".join(step.text for step in steps),
        raw=_raw(table, format, frame_rate if samples else None),
        samples_known=samples is not None,
        tags=table.get("tags", fields.texts, ()),
        licence=table.take("licence", fields.text),
        notes=table.get("notes", fields.text, ""),
        files=table.get("files", fields.texts, ()),
        obtain=obtain,
    )
    table.finish()
    return entry


def _raw(table: Table, format: VideoFormat, frame_rate: Fraction | None) -> Geometry | None:
    """Geometry of raw sources: a table, or `true` where it is the sequence's own."""
    value = table.get("raw", _raw_field, None)
    if not isinstance(value, bool):
        return None if value is None else _geometry(Table(value, f"{table.where}, raw"))
    if frame_rate is None:
        raise RecipeError(
            "a raw file does not tell its frame rate and pixel format",
            where=table.where,
            expected="`frame_rate`, and a `pixel_format` other than told, beside `raw = true`",
        )
    return Geometry(format.width, format.height, frame_rate, format.pixel_format)


def _raw_field(value: object) -> dict[str, Any] | bool:
    if value is True:
        return True
    if not isinstance(value, dict):
        raise ValueError("a table of width, height and frame_rate, or true where they are the sequence's")
    return value


def _colour(table: Table) -> Colour:
    sdr: Transfer = "sdr"
    return Colour(
        matrix=table.take("matrix", fields.choice(MATRICES)),
        full_range=table.take("range", fields.choice(RANGES)),
        transfer=table.get("transfer", fields.choice(TRANSFERS), sdr),
        primaries=table.get("primaries", fields.choice({name: name for name in PRIMARIES.values()}), ""),
    )


def _geometry(table: Table) -> Geometry:
    geometry = Geometry(
        table.take("width", _side),
        table.take("height", _side),
        table.take("frame_rate", fields.frame_rate),
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


def _side(value: object) -> int:
    side = fields.count(1)(value)
    try:
        check_sides(side, side)
    except MediaError as error:
        raise ValueError(error.expected) from error
    return side


_name = fields.pattern(fields.NAME.pattern, fields.NAME_IN_WORDS)
