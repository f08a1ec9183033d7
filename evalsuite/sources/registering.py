"""Files that everybody has to get in person: found in a folder for the sequences of a dataset, checked, and pinned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from evalsuite.assets import ArchiveSource, UrlSource
from evalsuite.errors import EvalError, MediaError, RequestError
from evalsuite.files import sha256_of
from evalsuite.sources.filenames import parse_name
from evalsuite.sources.lockfile import SequencePin, SourcePin, pin, today, written_path
from evalsuite.sources.manifest import Dataset, SequenceEntry
from evalsuite.sources.probe import check_fits, probe
from evalsuite.sources.reader import CONTAINER_SUFFIXES, RAW_SUFFIXES

VIDEO_SUFFIXES = RAW_SUFFIXES | CONTAINER_SUFFIXES | {".y4m"}
"""Of files that are taken for videos where a folder is named."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one sequence."""

    name: str
    file: Path | None = None
    """None where the folder does not have it."""
    problem: EvalError | None = None
    """Why the file was refused."""


def expanded(paths: Iterable[Path]) -> list[Path]:
    """The files that were named, and in place of each folder every video file below it, in the order of their names.

    A file that is named twice, or in a folder that is named too, is there once.

    Raises:
        RequestError: a folder has none.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        videos = sorted(one for one in path.rglob("*") if one.suffix.lower() in VIDEO_SUFFIXES and one.is_file())
        if not videos:
            raise RequestError(
                "the folder holds no video file", where=path, expected="files in " + ", ".join(sorted(VIDEO_SUFFIXES))
            )
        found += videos
    first: dict[Path, Path] = {}
    for path in found:
        first.setdefault(path.absolute(), path)
    return list(first.values())


def register(dataset: Dataset, files: Iterable[Path]) -> Iterator[Registered]:
    """Pin those of the files that are a dataset's, by the names that its manifest lists.

    Args:
        dataset: one that leaves its files to be found.
        files: candidates; most may be others.

    Raises:
        RequestError: the manifest says of every file where it is.
    """
    if all(entry.lock is None for entry in dataset.sequences):
        raise RequestError(
            "the dataset has nothing to register",
            where=dataset.path,
            expected="sequences whose files the manifest leaves open",
            fix=f"evalsuite datasets fetch {dataset.name}",
        )
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_stem[_stem(path.name)].append(path)
    for entry in dataset.sequences:
        if entry.lock is not None:
            yield _registered(entry, entry.lock, by_stem)


def _registered(entry: SequenceEntry, lock: Path, by_stem: dict[str, list[Path]]) -> Registered:
    file = None
    try:
        file = _file_of(entry, by_stem)
        if file is not None:
            _check(entry, file)
            where = written_path(file, lock.parent)
            found = SourcePin(sha256_of(file), file.stat().st_size, today(), path=where)
            pin(lock, SequencePin(entry.name, (found,)))
    except EvalError as error:
        return Registered(entry.name, file, error)
    return Registered(entry.name, file)


def _file_of(entry: SequenceEntry, by_stem: dict[str, list[Path]]) -> Path | None:
    for stem in _stems(entry):
        found = by_stem.get(stem, [])
        if len(found) > 1:
            raise RequestError(
                f"more than one file could be {entry.name}",
                where=entry.dataset,
                got=", ".join(map(str, found)),
                fix="leave one of them in the folder",
            )
        if found:
            return found[0]
    return None


def _stems(entry: SequenceEntry) -> Iterable[str]:
    """Names without suffix, best first."""
    names = [*entry.files]
    for source in entry.sources:
        if isinstance(source, ArchiveSource):
            names.append(source.path)
        elif isinstance(source, UrlSource):
            names.append(unquote(urlsplit(source.url).path))
    return dict.fromkeys(_stem(PurePosixPath(name).name) for name in (*names, entry.name))


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return (path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name).casefold()


def _check(entry: SequenceEntry, file: Path) -> None:
    """Refuse a file that cannot be the sequence's: by its name, its geometry, or its length."""
    named = parse_name(file.name)
    stated = entry.raw.format() if entry.raw else entry.format
    for what, said, expected in (
        ("width", named.width, stated.width),
        ("height", named.height, stated.height),
        ("bit depth", named.bit_depth, stated.bit_depth),
        ("chroma", named.chroma, stated.chroma),
    ):
        if said not in (None, expected) and not entry.filter and (entry.samples_known or what in ("width", "height")):
            raise MediaError(
                f"the name of the file says another {what} than the manifest",
                where=file,
                expected=f"{expected}, as {entry.dataset}/{entry.name} has",
                got=said,
                fix="get the file that the manifest means",
            )
    found = probe(file, entry.raw, is_raw=entry.raw is not None)
    check_fits(entry, found, file)
    if entry.frames is not None and found.frames is not None and found.frames >= 2 * (entry.start + entry.frames):
        raise MediaError(
            "the file is twice as long as the sequence, or longer",
            where=file,
            expected=f"{entry.start + entry.frames} frames of {stated}, or a few more",
            got=f"{found.frames} frames",
            fix="check the bit depth: a file of 16-bit samples looks like twice as many frames of 8 bit",
        )
