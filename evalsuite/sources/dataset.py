"""Datasets: from a manifest, or any video file, to sequences that are ready to be encoded and measured."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from evalsuite import resources
from evalsuite.assets import Asset, resolve
from evalsuite.errors import RecipeError, RequestError
from evalsuite.files import sha256_of
from evalsuite.sources.manifest import Dataset, SequenceEntry, parse_manifest
from evalsuite.sources.prepare import Plan, Prepared, count_frames, find_y4m, prepare_y4m
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import Stated, resolve_colour
from evalsuite.sources.y4m import Geometry, Y4MReader
from evalsuite.types import Sequence

FILES = "files"
"""The dataset name of sequences that the user gave as files."""


def load_dataset(name: str) -> Dataset:
    """The dataset of this name, or in this TOML file.

    Raises:
        RequestError: there is none; suggests near misses.
        RecipeError: its manifest is wrong.
    """
    path, data = resources.load("datasets", name)
    return parse_manifest(data, path.absolute())


def prepare(entry: SequenceEntry, frames: int | None = None) -> Sequence:
    """A verified Y4M file of the entry; its source is fetched if need be.

    Args:
        entry: of a dataset.
        frames: use only the first so many.

    Raises:
        RequestError: more frames are asked for than the sequence has.
        AssetError: the source cannot be had, or the cache cannot be written, or the result is not the pinned one.
        MediaError: the source is unreadable, of a format that is not supported, or too short.
        RecipeError: the manifest says another geometry or frame rate than the source has.
    """
    where = f"{entry.dataset}/{entry.name}"
    if frames is not None and not 1 <= frames <= entry.frames:
        raise RequestError(
            "the sequence does not have that many frames",
            where=where,
            expected=f"1 to {entry.frames}",
            got=frames,
            fix=f"use --frames {entry.frames} or fewer, or leave it out",
        )
    wanted = entry.frames if frames is None else frames
    if is_in_place(entry) and wanted == entry.frames:
        made = _in_place(entry)
    else:
        pinned = entry.sha256 if wanted == entry.frames else ""
        get_source = partial(resolve, entry.asset, also=entry.siblings)
        made = prepare_y4m(entry.name, _plan(entry, wanted), _digests(entry), get_source, pinned=pinned)
    declared = (entry.format, entry.frame_rate, wanted)
    found = (made.format, made.frame_rate, made.frames)
    if found != declared:
        raise RecipeError(
            "the manifest does not describe its sequence",
            where=where,
            expected="{}, {} frames/s, {} frames, as the manifest says".format(*declared),
            got="{}, {} frames/s, {} frames".format(*found),
            fix="correct width, height, frame_rate and frames in the manifest",
        )
    return Sequence(
        name=entry.name,
        dataset=entry.dataset,
        path=made.path,
        sha256=made.sha256,
        format=made.format,
        frame_rate=made.frame_rate,
        frames=made.frames,
        colour=entry.colour,
        tags=entry.tags,
        licence=entry.licence,
        origin=str(entry.sources[0]),
        hdr=entry.hdr,
    )


def from_file(
    path: Path,
    *,
    geometry: Geometry | None = None,
    frames: int | None = None,
    stated: Stated | None = None,
) -> Sequence:
    """A sequence of any video file: Y4M is used where it is, everything else becomes Y4M in the cache.

    Args:
        path: Y4M, raw planar video, or a container.
        geometry: of a raw file.
        frames: use only the first so many.
        stated: the colour, where the file does not say or is wrong.

    Raises:
        MediaError: unreadable, damaged, of a format that is not supported, or fewer frames than asked for.
        AssetError: the cache cannot be written.
    """
    if frames is not None and frames < 1:
        raise RequestError("a sequence has at least one frame", where=path, got=frames, fix="use --frames 1 or more")
    reader = open_video(path, geometry)
    colour = resolve_colour(reader.format, reader.told, stated)
    digest = sha256_of(path)
    if isinstance(reader, Y4MReader) and frames in (None, total := count_frames(reader)):
        made = Prepared(path, digest, reader.format, reader.frame_rate, total)
    else:
        plan = Plan(colour=colour, frames=frames, raw=geometry)
        made = prepare_y4m(_plain(path.stem), plan, [digest], lambda: path)
    return Sequence(
        name=_plain(path.stem),
        dataset=FILES,
        path=made.path,
        sha256=made.sha256,
        format=made.format,
        frame_rate=made.frame_rate,
        frames=made.frames,
        colour=colour,
        origin=str(path.absolute()),
        hdr=reader.told.hdr,
    )


def is_in_place(entry: SequenceEntry) -> bool:
    """Whether a source of the entry already is the sequence's Y4M file."""
    return entry.sha256 in _digests(entry)


def prepared_file(entry: SequenceEntry) -> tuple[Path, str] | None:
    """The Y4M file made for the whole entry and the digest it should have, if it is there; not verified."""
    return find_y4m(entry.name, _plan(entry, entry.frames), _digests(entry), entry.sha256)


def _plan(entry: SequenceEntry, frames: int) -> Plan:
    return Plan(
        colour=entry.colour,
        start=entry.start,
        frames=frames,
        raw=entry.raw,
        filter=entry.filter,
        filtered_format=entry.format if entry.filter else None,
    )


def _digests(entry: SequenceEntry) -> list[str]:
    return [source.sha256 for source in entry.sources]


def _in_place(entry: SequenceEntry) -> Prepared:
    """A source that already is the canonical file."""
    itself = tuple(source for source in entry.sources if source.sha256 == entry.sha256)
    path = resolve(Asset(entry.asset.name, itself), also=entry.siblings)
    reader = Y4MReader(path)
    return Prepared(path, entry.sha256, reader.format, reader.frame_rate, count_frames(reader))


def _plain(stem: str) -> str:
    """A file's stem as a sequence name: safe in paths, tables and keys."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._") or "video"
