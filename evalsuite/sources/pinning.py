"""Entries of a dataset together with what a lock file has pinned of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from evalsuite.assets import ArchiveSource, LocalSource, Located, Source, UrlSource
from evalsuite.remote import shown
from evalsuite.sources.lockfile import Pins, SourcePin, read_lock, today, written_path
from evalsuite.sources.manifest import Dataset, SequenceEntry, with_siblings
from evalsuite.sources.y4m import PIXEL_FORMATS

SUFFIX = ".lock"


def with_pins(dataset: Dataset, name: str) -> Dataset:
    """The dataset with what is pinned of its sequences filled in.

    Lock files are looked for as manifests are: beside a manifest that is given as a path; else in ./datasets, and then
    beside the manifest that the package ships. New pins go to the first of these.

    Args:
        dataset: as its manifest says.
        name: what the user called it: its name, or the path of its manifest.

    Raises:
        RecipeError: a lock file is damaged.
    """
    beside = dataset.path.with_suffix(SUFFIX)
    ours = beside if name.endswith(".toml") else Path.cwd() / "datasets" / beside.name
    entries = dataset.sequences
    for path in dict.fromkeys((ours, beside)):
        pins = read_lock(path)
        entries = tuple(
            _pinned(entry, pins, path) if _is_open(stated) else stated
            for stated, entry in zip(dataset.sequences, entries, strict=True)
        )
    entries = tuple(
        replace(entry, lock=ours) if _is_open(stated) else stated
        for stated, entry in zip(dataset.sequences, entries, strict=True)
    )
    return replace(dataset, sequences=with_siblings(entries))


def refreshed(entry: SequenceEntry) -> SequenceEntry:
    """The entry with what has been pinned since it was loaded."""
    return entry if entry.lock is None else _pinned(entry, read_lock(entry.lock), entry.lock)


def portable(entry: SequenceEntry) -> SequenceEntry:
    """The entry for another machine: what is pinned of it now, and nothing that would be pinned there."""
    entry = refreshed(entry)
    if entry.lock is None:
        return entry
    return replace(entry, sources=_stated(entry.sources), siblings=_stated(entry.siblings), lock=None)


def source_pin(located: Located, lock: Path) -> SourcePin:
    """What a lock file says of a file that has been found."""
    source = located.source
    # A lock file is committed: whatever grants access stays out of it, and may change without another pin.
    url = shown(source.url) if isinstance(source, UrlSource | ArchiveSource) else ""
    path = source.path if isinstance(source, ArchiveSource) else "" if url else written_path(located.path, lock.parent)
    return SourcePin(source.sha256, located.path.stat().st_size, today(), url, path)


def _is_open(entry: SequenceEntry) -> bool:
    """Whether the manifest leaves something to be found."""
    told = entry.sources and entry.samples_known and entry.frames is not None and entry.frame_rate is not None
    return not told or any(not source.sha256 for source in entry.sources)


def _stated(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple(source for source in sources if source.sha256)


def _pinned(entry: SequenceEntry, pins: Pins, path: Path) -> SequenceEntry:
    found = pins.get(entry.name)
    if found is None:
        return entry
    told = {(shown(pin.url), pin.path): pin for pin in found.sources if pin.url}
    sources = tuple(_stating(source, told, path) for source in entry.sources)
    local = tuple(_local(pin, path) for pin in found.sources if not pin.url)
    if not entry.samples_known and found.pixel_format:
        depth, chroma = PIXEL_FORMATS[found.pixel_format]
        entry = replace(entry, format=replace(entry.format, bit_depth=depth, chroma=chroma), samples_known=True)
    return replace(
        entry,
        sources=(*local, *(source for source in sources if source not in local)),
        sha256=entry.sha256 or found.sha256,
        frame_rate=entry.frame_rate or found.frame_rate,
        frames=entry.frames or found.frames,
    )


def _stating(source: Source, told: dict[tuple[str, str], SourcePin], path: Path) -> Source:
    if source.sha256 or not isinstance(source, UrlSource | ArchiveSource):
        return source
    pin = told.get((shown(source.url), source.path if isinstance(source, ArchiveSource) else ""))
    if pin is None:
        return source
    return replace(source, sha256=pin.sha256, size=source.size or pin.size, stated_in=_saying(pin, path))


def _local(pin: SourcePin, path: Path) -> LocalSource:
    file = Path(os.path.normpath(path.parent / pin.path))
    return LocalSource(file, pin.sha256, pin.size, stated_in=_saying(pin, path))


def _saying(pin: SourcePin, path: Path) -> str:
    return f"{path} of {pin.date}"
