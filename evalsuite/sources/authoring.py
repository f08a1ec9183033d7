"""Looking after datasets: what of one is on this machine and whether it is intact, and manifests for local files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalsuite.assets import path_of
from evalsuite.errors import RequestError
from evalsuite.files import is_verified, sha256_of, storing
from evalsuite.sources.colour import is_convertible
from evalsuite.sources.dataset import from_file, is_in_place, prepared_file
from evalsuite.sources.hdr import manifest_lines
from evalsuite.sources.manifest import NAME, SequenceEntry
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import MATRICES, Stated
from evalsuite.sources.y4m import Geometry, RawReader
from evalsuite.types import Sequence

Presence = Literal["ready", "source here", "not fetched"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the digests of one file of a sequence say."""

    path: Path
    status: Literal["ok", "damaged"]


def presence(entry: SequenceEntry) -> Presence:
    """How much of a sequence is on this machine; looks for files and hashes nothing."""
    source_here = any(path_of(source).is_file() for source in entry.sources)
    if prepared_file(entry) or (is_in_place(entry) and source_here):
        return "ready"
    return "source here" if source_here else "not fetched"


def verify(entry: SequenceEntry) -> list[Finding]:
    """Hash every file of a sequence that is on this machine; an empty list where there is none."""
    files = [(path_of(source), source.sha256) for source in entry.sources]
    if made := prepared_file(entry):
        files.append(made)
    return [Finding(path, "ok" if is_verified(path, digest) else "damaged") for path, digest in files if path.is_file()]


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
        files: Y4M, raw planar video of this geometry, or containers; each becomes one sequence.
        description: of the dataset.
        licence: of all the files.
        tags: of all the files.
        geometry: of raw files.
        frames: use only the first so many of each file.
        stated: their colour; None for what the files say, else the convention for their size.
        replace: overwrite a manifest that is there.

    Returns:
        The manifest and the sequences, prepared.

    Raises:
        RequestError: a name that cannot be; the dataset is there already; two files of the same name; a matrix that a
            manifest cannot state.
        MediaError: a file is unreadable, damaged, or of a format that is not supported.
        AssetError: the cache or the manifest cannot be written.
    """
    if not NAME.fullmatch(name):
        raise RequestError("not a name for a dataset", expected="letters, digits, '.', '_' and '-'", got=repr(name))
    path = Path("datasets") / f"{name}.toml"
    if path.exists() and not replace:
        raise RequestError("the dataset is there already", where=path, fix="choose another --name, or give --force")
    blocks = [f'version = "1"\ndescription = {_quoted(description)}\n']
    sequences: list[Sequence] = []
    for file in files:
        sequence = from_file(file, geometry=geometry, frames=frames, stated=stated)
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
        raw = geometry if isinstance(open_video(file, geometry), RawReader) else None
        blocks.append(_block(sequence, file, path.parent, tuple(tags), licence, raw))
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(blocks), encoding="utf-8")
    return path, sequences


def _block(
    sequence: Sequence, file: Path, folder: Path, tags: tuple[str, ...], licence: str, raw: Geometry | None
) -> str:
    format, colour = sequence.format, sequence.colour
    lines = [
        "[[sequences]]",
        f"name = {_quoted(sequence.name)}",
        f"width = {format.width}",
        f"height = {format.height}",
    ]
    if format.pixel_format != "yuv420p":
        lines.append(f"pixel_format = {_quoted(format.pixel_format)}")
    lines += [
        f"frame_rate = {_quoted(str(sequence.frame_rate))}",
        f"frames = {sequence.frames}",
        f"matrix = {_quoted(colour.matrix)}",
        f"range = {_quoted('full' if colour.full_range else 'limited')}",
    ]
    if colour.transfer != "sdr":
        lines.append(f"transfer = {_quoted(colour.transfer)}")
    if colour.primaries:
        lines.append(f"primaries = {_quoted(colour.primaries)}")
    lines += [
        *manifest_lines(sequence.hdr),
        f"tags = [{', '.join(_quoted(tag) for tag in tags)}]",
        f"licence = {_quoted(licence)}",
        f"sha256 = {_quoted(sequence.sha256)}",
    ]
    if raw is not None:
        rate, samples = _quoted(str(raw.frame_rate)), ""
        if raw.pixel_format != "yuv420p":
            samples = f", pixel_format = {_quoted(raw.pixel_format)}"
        lines.append(f"raw = {{ width = {raw.width}, height = {raw.height}, frame_rate = {rate}{samples} }}")
    lines += [
        "",
        "[[sequences.sources]]",
        f"path = {_quoted(_written_path(file, folder))}",
        f"sha256 = {_quoted(sha256_of(file))}",
        f"size = {file.stat().st_size}",
    ]
    return "\n".join(lines) + "\n"


def _written_path(file: Path, folder: Path) -> str:
    """Relative where manifest and file stand in one tree that can be moved or shared as a whole, else absolute."""
    tree = folder.absolute().parent
    absolute = file.absolute()
    return os.path.relpath(absolute, folder.absolute()) if absolute.is_relative_to(tree) else str(absolute)


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, and DEL is the one sign that only TOML escapes."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
