"""Looking after datasets: what of one is on this machine and whether it is intact, and manifests for local files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from evalsuite.assets import path_of
from evalsuite.errors import RequestError
from evalsuite.files import is_verified, sha256_of, storing
from evalsuite.sources.dataset import from_file, is_in_place, prepared_file
from evalsuite.sources.manifest import MATRICES, NAME, RANGES, SequenceEntry
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import Geometry, RawReader
from evalsuite.types import Sequence

T = TypeVar("T")

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
    matrix: str | None = None,
    colour_range: str | None = None,
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
        matrix: bt601 or bt709; None for what the files say, else the convention for their size.
        colour_range: limited or full; None for what the files say, else limited.
        replace: overwrite a manifest that is there.

    Returns:
        The manifest and the sequences, prepared.

    Raises:
        RequestError: a name or colour that cannot be; the dataset is there already; two files of the same name.
        MediaError: a file is unreadable, damaged, or not 8-bit 4:2:0.
        AssetError: the cache or the manifest cannot be written.
    """
    if not NAME.fullmatch(name):
        raise RequestError("not a name for a dataset", expected="letters, digits, '.', '_' and '-'", got=repr(name))
    path = Path("datasets") / f"{name}.toml"
    if path.exists() and not replace:
        raise RequestError("the dataset is there already", where=path, fix="choose another --name, or give --force")
    chosen_matrix = _chosen("--matrix", matrix, MATRICES)
    full_range = _chosen("--range", colour_range, RANGES)
    blocks = [f'version = "1"\ndescription = {_quoted(description)}\n']
    sequences: list[Sequence] = []
    for file in files:
        sequence = from_file(file, geometry=geometry, frames=frames, matrix=chosen_matrix, full_range=full_range)
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


def _chosen(option: str, word: str | None, known: Mapping[str, T]) -> T | None:
    if word is not None and word not in known:
        raise RequestError(f"{option} cannot be {word!r}", expected=" or ".join(known))
    return None if word is None else known[word]


def _block(
    sequence: Sequence, file: Path, folder: Path, tags: tuple[str, ...], licence: str, raw: Geometry | None
) -> str:
    lines = [
        "[[sequences]]",
        f"name = {_quoted(sequence.name)}",
        f"width = {sequence.format.width}",
        f"height = {sequence.format.height}",
        f"frame_rate = {_quoted(str(sequence.frame_rate))}",
        f"frames = {sequence.frames}",
        f"matrix = {_quoted(sequence.colour.matrix)}",
        f"range = {_quoted('full' if sequence.colour.full_range else 'limited')}",
        f"tags = [{', '.join(_quoted(tag) for tag in tags)}]",
        f"licence = {_quoted(licence)}",
        f"sha256 = {_quoted(sequence.sha256)}",
    ]
    if raw is not None:
        rate = _quoted(str(raw.frame_rate))
        lines.append(f"raw = {{ width = {raw.width}, height = {raw.height}, frame_rate = {rate} }}")
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
