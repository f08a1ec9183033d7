"""Looking after datasets: what of one is on this machine and whether it is intact, and manifests for local files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evalsuite.assets import LocalSource, path_of
from evalsuite.errors import EvalError, RequestError
from evalsuite.files import is_verified, sha256_of, storing
from evalsuite.resources import available
from evalsuite.sources.colour import is_convertible
from evalsuite.sources.dataset import from_file, is_in_place, prepared_file
from evalsuite.sources.fields import NAME, NAME_IN_WORDS, quoted
from evalsuite.sources.filenames import raw_geometry
from evalsuite.sources.hdr import manifest_lines
from evalsuite.sources.lockfile import written_path
from evalsuite.sources.manifest import SequenceEntry, parse_manifest
from evalsuite.sources.probe import check_fits, probe
from evalsuite.sources.reader import RAW_SUFFIXES, check_geometry
from evalsuite.sources.tags import MATRICES, Stated
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Sequence

Presence = Literal["ready", "source here", "not fetched"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the digests of one file of a sequence say, and whether the manifest describes it."""

    path: Path
    status: Literal["ok", "damaged", "does not fit", "missing"]
    detail: str = ""
    """What does not fit."""


def presence(entry: SequenceEntry) -> Presence:
    """How much of a sequence is on this machine; looks for files and hashes nothing."""
    source_here = any(path_of(source).is_file() for source in entry.sources)
    if prepared_file(entry) or (is_in_place(entry) and source_here):
        return "ready"
    return "source here" if source_here else "not fetched"


def verify(entry: SequenceEntry) -> list[Finding]:
    """Hash every file of a sequence that is on this machine, and name registered ones that are gone.

    Returns:
        One finding for each file; an empty list where nothing of the sequence was ever here.
    """
    files = [(path_of(source), source.sha256, entry.raw) for source in entry.sources if source.sha256]
    if made := prepared_file(entry):
        files.append((*made, None))
    gone = [one.path for one in entry.sources if isinstance(one, LocalSource) and not one.path.is_file()]
    return [Finding(path, "missing") for path in gone] + [
        _finding(entry, path, digest, raw) for path, digest, raw in files if path.is_file()
    ]


def _finding(entry: SequenceEntry, path: Path, digest: str, raw: Geometry | None) -> Finding:
    if not is_verified(path, digest):
        return Finding(path, "damaged")
    # What was made for the sequence is to be it; a source may hold more frames, and other ones before a filter.
    itself = digest == entry.sha256
    meant = replace(entry, raw=None, filter="", start=0) if itself else entry
    try:
        found = probe(path, raw, is_raw=raw is not None)
        check_fits(meant, found, path)
    except EvalError as error:
        told = f" (expected {error.expected}; got {error.got})" if error.got is not None else ""
        return Finding(path, "does not fit", f"{error.what}{told}")
    return Finding(path, "ok")


def write_manifest(
    name: str,
    files: Iterable[Path],
    *,
    description: str,
    licence: str,
    tags: Iterable[str] = (),
    geometry: Geometry | None = None,
    frames: int | None = None,
    stated: Stated | None = None,
    replace: bool = False,
) -> tuple[Path, list[Sequence]]:
    """Write ./datasets/NAME.toml for local video files, with the digests of the files and of their sequences.

    Args:
        name: of the dataset.
        files: Y4M, raw planar video, or containers; each becomes one sequence.
        description: of the dataset.
        licence: of all the files.
        tags: of all the files.
        geometry: of raw files; None for what their names say.
        frames: use only the first so many of each file.
        stated: their colour; None for what the files say, else the convention for their size.
        replace: overwrite a manifest that is there.

    Returns:
        The manifest and the sequences, prepared.

    Raises:
        RequestError: a name that cannot be; the dataset is there already; two files of the same name; a matrix that a
            manifest cannot state; a geometry where no file is raw.
        MediaError: a file is unreadable, damaged, or of a format that is not supported.
        AssetError: the cache or the manifest cannot be written.
        RecipeError: a description, licence or tag that a manifest cannot state.
    """
    if not NAME.fullmatch(name) or name.endswith(".toml"):
        expected = f"{NAME_IN_WORDS}; without .toml, which is the end of a path"
        raise RequestError("not a name for a dataset", expected=expected, got=repr(name))
    path = Path("datasets") / f"{name}.toml"
    if path.exists() and not replace:
        raise RequestError("the dataset is there already", where=path, fix="choose another --name, or give --force")
    if not replace and name in (known := available("datasets")):
        raise RequestError(
            f"{name} is a dataset of evalsuite, and here the name would mean this one",
            where=known[name],
            fix="choose another --name, or give --force",
        )
    files = tuple(files)
    check_geometry(files, geometry)
    blocks = [f'version = "1"\ndescription = {quoted(description)}\n']
    sequences: list[Sequence] = []
    for file in files:
        raw = _raw_geometry(file, geometry)
        sequence = from_file(file, geometry=raw, frames=frames, stated=stated)
        if not is_convertible(sequence.colour):
            raise RequestError(
                "a manifest cannot state the matrix of this file",
                where=file,
                expected=" or ".join(MATRICES),
                got=sequence.colour.matrix,
                fix="convert the video first, or give --matrix if the file is wrong",
            )
        if sequence.name in {other.name for other in sequences}:
            raise RequestError(
                f"two files would be the sequence {sequence.name}", where=file, fix="rename one of the files"
            )
        sequences.append(sequence)
        blocks.append(_block(sequence, file, path.parent, tuple(tags), licence, raw))
    text = "\n".join(blocks)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError("a description, licence or tag is not UTF-8, as a manifest is", where=path) from error
    parse_manifest(tomllib.loads(text), path.absolute())  # what could not be loaded again is not written
    part = path.with_name(f".{path.name}.part")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path, sequences


def _raw_geometry(file: Path, geometry: Geometry | None) -> Geometry | None:
    """Of a raw file: what the user says, else what its name says; None for files that describe themselves."""
    if file.suffix.lower() not in RAW_SUFFIXES or not file.is_file():
        return None
    return geometry or raw_geometry(file)


def _block(
    sequence: Sequence, file: Path, folder: Path, tags: tuple[str, ...], licence: str, raw: Geometry | None
) -> str:
    format, colour = sequence.format, sequence.colour
    lines = [
        "[[sequences]]",
        f"name = {quoted(sequence.name)}",
        f"width = {format.width}",
        f"height = {format.height}",
    ]
    if format.pixel_format != "yuv420p":
        lines.append(f"pixel_format = {quoted(format.pixel_format)}")
    lines += [
        f"frame_rate = {quoted(str(sequence.frame_rate))}",
        f"frames = {sequence.frames}",
        f"matrix = {quoted(colour.matrix)}",
        f"range = {quoted('full' if colour.full_range else 'limited')}",
    ]
    if colour.transfer != "sdr":
        lines.append(f"transfer = {quoted(colour.transfer)}")
    if colour.primaries:
        lines.append(f"primaries = {quoted(colour.primaries)}")
    lines += [
        *manifest_lines(sequence.hdr),
        f"tags = [{', '.join(quoted(tag) for tag in tags)}]",
        f"licence = {quoted(licence)}",
        f"sha256 = {quoted(sequence.sha256)}",
    ]
    if raw is not None:
        rate, samples = quoted(str(raw.frame_rate)), ""
        if raw.pixel_format != "yuv420p":
            samples = f", pixel_format = {quoted(raw.pixel_format)}"
        lines.append(f"raw = {{ width = {raw.width}, height = {raw.height}, frame_rate = {rate}{samples} }}")
    lines += [
        "",
        "[[sequences.sources]]",
        f"path = {quoted(written_path(file, folder))}",
        f"sha256 = {quoted(sha256_of(file))}",
        f"size = {file.stat().st_size}",
    ]
    return "\n".join(lines) + "\n"
