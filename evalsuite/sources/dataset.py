"""Datasets: from a manifest, or any video file, to sequences that are ready to be encoded and measured."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from evalsuite import resources
from evalsuite.assets import Asset, Located, Source, cache_dir, discard, keep, locate, settling
from evalsuite.errors import AssetError, EvalError, MediaError, RecipeError, RequestError
from evalsuite.files import locked, sha256_of
from evalsuite.sources.lockfile import SequencePin, pin
from evalsuite.sources.manifest import Dataset, SequenceEntry, parse_manifest
from evalsuite.sources.pinning import refreshed, source_pin, with_pins
from evalsuite.sources.prepare import Plan, Prepared, count_frames, find_y4m, prepare_y4m, remember
from evalsuite.sources.probe import Probe, check_fits, probe
from evalsuite.sources.reader import ContainerReader, open_video
from evalsuite.sources.steady import unsteady
from evalsuite.sources.tags import Stated, resolve_colour
from evalsuite.sources.y4m import Geometry, RawReader, Y4MReader
from evalsuite.types import Sequence

FILES = "files"
"""The dataset name of sequences that the user gave as files."""


def load_dataset(name: str) -> Dataset:
    """The dataset of this name, or in this TOML file, with what its lock file pins.

    Raises:
        RequestError: there is none; suggests near misses.
        RecipeError: its manifest or its lock file is wrong.
    """
    path, data = resources.load("datasets", name)
    return with_pins(parse_manifest(data, path.absolute()), name)


def prepare(entry: SequenceEntry, frames: int | None = None) -> Sequence:
    """A verified Y4M file of the entry; its source is fetched if need be, and pinned where it had no digest.

    Args:
        entry: of a dataset.
        frames: use only the first so many.

    Raises:
        RequestError: more frames are asked for than the sequence has.
        AssetError: the source cannot be had, is not the pinned one, or the cache cannot be written, or the result is
            not the pinned one.
        MediaError: the source is unreadable, of a format that is not supported, or too short.
        RecipeError: the manifest says another geometry or frame rate than the source has.
    """
    where = f"{entry.dataset}/{entry.name}"
    entry = refreshed(entry)
    most = entry.frames
    if frames is not None and (frames < 1 or (most is not None and frames > most)):
        raise RequestError(
            "the sequence does not have that many frames",
            where=where,
            expected="1 or more" if most is None else f"1 to {most}",
            got=frames,
            fix="use --frames 1 or more" if most is None else f"use --frames {most} or fewer, or leave it out",
        )
    if entry.lock is not None:
        entry = _settled(entry, entry.lock, whole=frames in (None, most))
    wanted = entry.frames if frames is None else frames
    whole = wanted == entry.frames
    if is_in_place(entry) and whole:
        made = _in_place(entry)
    else:
        pinned = entry.sha256 if whole else ""
        made = prepare_y4m(
            entry.name, _plan(entry, wanted), _digests(entry), partial(_source, entry, entry.sources), pinned=pinned
        )
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


def _settled(entry: SequenceEntry, lock: Path, *, whole: bool) -> SequenceEntry:
    """The entry with all that it needs pinned: what its manifest leaves open is found now and written to its lock file.

    The Y4M file is pinned once the whole sequence is wanted; a run of a few frames need not make all of it.
    """
    with locked(cache_dir() / "locks" / f"{entry.dataset}-{entry.name}"), settling(entry.sources):
        entry = refreshed(entry)
        if _is_settled(entry, whole):
            return entry
        if not entry.sources:
            raise _not_to_be_fetched(entry)
        located = locate(entry.asset, also=entry.siblings)
        try:
            found = probe(located.path, entry.raw, is_raw=entry.raw is not None)
            check_fits(entry, found, located.path)
            made = _make_whole(entry, located, found) if whole else None
        except (MediaError, RecipeError) as error:
            _reject(located, error)
            raise
        located = keep(located)
        new = SequencePin(
            entry.name,
            (source_pin(located, lock),),
            pixel_format=found.format.pixel_format,
            frame_rate=found.frame_rate,
        )
        if made is not None:
            new = replace(new, sha256=made.sha256, frames=made.frames)
        pin(lock, new)
        entry = refreshed(entry)
        if made is not None and not is_in_place(entry):
            remember(entry.name, _plan(entry, made.frames), _digests(entry), made.sha256)
        return entry


def _source(entry: SequenceEntry, sources: tuple[Source, ...]) -> Path:
    """The verified source file; one from a mirror that was never used before must give the pinned frames."""
    with settling(sources):
        located = locate(Asset(entry.asset.name, sources), also=entry.siblings)
        if entry.lock is None or located.source in sources:
            return located.path
        digest = located.source.sha256
        try:
            if digest not in _digests(entry):
                if not entry.sha256:
                    raise AssetError(
                        "the pinned source cannot be had, and nothing tells whether the mirror's file has its frames",
                        where=located.source,
                        expected=f"sha256 {' or '.join(_digests(entry))}",
                        got=f"sha256 {digest}",
                        fix="try again later",
                    )
                plan = _plan(entry, entry.frames)
                prepare_y4m(entry.name, plan, [digest], lambda: located.path, pinned=entry.sha256)
        except (AssetError, MediaError, RecipeError) as error:
            _reject(located, error)
            raise
        located = keep(located)
        pin(entry.lock, SequencePin(entry.name, (source_pin(located, entry.lock),)))
        return located.path


def _reject(located: Located, error: EvalError) -> None:
    """Throw away what was fetched without a digest and does not fit, and say so: a cut file may be whole next time."""
    if discard(located):
        thrown = "the file that was fetched has been thrown away: another try fetches it again"
        error.fix = thrown if error.fix is None else f"{error.fix}; {thrown}"


def _is_settled(entry: SequenceEntry, whole: bool) -> bool:
    known = bool(_digests(entry)) and entry.frame_rate is not None and entry.samples_known
    return known and (not whole or (entry.frames is not None and bool(entry.sha256)))


def _make_whole(entry: SequenceEntry, located: Located, found: Probe) -> Prepared:
    """The Y4M file of the whole sequence; the source itself where it is one as it stands."""
    digest = located.source.sha256
    reader = open_video(located.path, entry.raw, is_raw=entry.raw is not None)
    as_it_stands = entry.start == 0 and not entry.filter and entry.frames in (None, found.frames)
    if isinstance(reader, Y4MReader) and as_it_stands and entry.sha256 in ("", digest):
        return Prepared(located.path, digest, reader.format, reader.frame_rate, count_frames(reader))
    plan = _plan(entry, entry.frames)
    return prepare_y4m(entry.name, plan, [digest], lambda: located.path, pinned=entry.sha256)


def _not_to_be_fetched(entry: SequenceEntry) -> AssetError:
    files = f"a file called {' or '.join(entry.files)}" if entry.files else "its file"
    return AssetError(
        "the sequence is not on this machine, and nobody may fetch it for you",
        where=f"{entry.dataset}/{entry.name}",
        expected=files,
        fix=f"{entry.obtain.rstrip('.')}. Then: evalsuite datasets add FOLDER --for {entry.dataset}",
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
        # Another file's geometry may be that of one that is named beside it.
        plan = Plan(colour=colour, frames=frames, raw=geometry if isinstance(reader, RawReader) else None)
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
        unsteady=unsteady(path, reader.frame_rate, frames) if isinstance(reader, ContainerReader) else "",
    )


def is_in_place(entry: SequenceEntry) -> bool:
    """Whether a source of the entry already is the sequence's Y4M file."""
    return bool(entry.sha256) and entry.sha256 in _digests(entry)


def prepared_file(entry: SequenceEntry) -> tuple[Path, str] | None:
    """The Y4M file made for the whole entry and the digest it should have, if it is there; not verified."""
    return find_y4m(entry.name, _plan(entry, entry.frames), _digests(entry), entry.sha256)


def _plan(entry: SequenceEntry, frames: int | None) -> Plan:
    return Plan(
        colour=entry.colour,
        start=entry.start,
        frames=frames,
        raw=entry.raw,
        filter=entry.filter,
        filtered_format=entry.format if entry.filter else None,
    )


def _digests(entry: SequenceEntry) -> list[str]:
    return [source.sha256 for source in entry.sources if source.sha256]


def _in_place(entry: SequenceEntry) -> Prepared:
    """A source that already is the canonical file."""
    path = _source(entry, tuple(source for source in entry.sources if source.sha256 in ("", entry.sha256)))
    reader = Y4MReader(path)
    return Prepared(path, entry.sha256, reader.format, reader.frame_rate, count_frames(reader))


def _plain(stem: str) -> str:
    """A file's stem as a sequence name: safe in paths, tables and keys."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-")[:64].rstrip("._") or "video"
