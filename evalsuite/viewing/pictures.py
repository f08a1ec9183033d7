"""The pictures of a run: frames of the source and of every codec at matched rates, as files with an index.

What cannot be shown is left out with the reason: pictures never make a run fail.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from evalsuite.errors import RequestError, StoreError
from evalsuite.files import is_verified
from evalsuite.provenance import usable_cores
from evalsuite.viewing.drawing import Drawing
from evalsuite.viewing.index import FOLDER, NAME, Index, NotShown, write_index
from evalsuite.viewing.material import Material
from evalsuite.viewing.reading import is_own, read_index
from evalsuite.viewing.selection import Selection, select


@dataclass(frozen=True, slots=True)
class Made:
    """What was made."""

    index: Path
    stills: int
    clips: int
    bytes: int
    """Of all pictures together."""
    left_out: tuple[NotShown, ...]


def check_place(folder: Path) -> None:
    """Refuse the folder of a run in which pictures would take the place of something else.

    Raises:
        RequestError: `pictures` in it holds other files.
    """
    if not is_own(folder / FOLDER):
        raise RequestError(
            "this is no folder of pictures that evalsuite made, and it would be replaced",
            where=folder / FOLDER,
            fix="give another folder with --out, or make no pictures: --pictures none",
        )


def make_pictures(
    material: Material,
    *,
    metrics: Sequence[str] = (),
    clips: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Made:
    """Write `pictures/` into the folder of a run; it appears whole, and takes the place of an earlier one.

    Pictures that are there already and would be the same are kept: nothing is decoded then.

    Args:
        material: gives the run and its frames.
        metrics: frames are chosen by the first of these that has scores of frames, else by the first of the run.
        clips: whether there are clips beside the stills.
        progress: called with the name of each sequence that is begun.

    Raises:
        RequestError: the folder cannot be written, or there is something else in its place.
        StoreError: the scores of frames cannot be read.
    """
    check_place(material.run.folder)
    target = material.run.folder / FOLDER
    chosen = select(material, metrics)
    digest = chosen.digest(clips=clips, scores=material.run.summary["files"]["frames.parquet"]["sha256"])
    if (known := _known(target, digest, chosen)) is not None:
        return _made(known, target)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{FOLDER}-") as temporary:
            new = Path(temporary) / FOLDER
            new.mkdir()
            with ThreadPoolExecutor(usable_cores()) as threads:
                drawing = Drawing(material, new, clips, progress, threads)
                try:
                    drawing.draw(chosen)
                except BaseException:
                    threads.shutdown(cancel_futures=True)
                    raise
            index = drawing.index(digest)
            write_index(index, new)
            if target.exists():
                target.replace(Path(temporary) / "before")
            new.replace(target)
    except OSError as error:
        raise RequestError(
            f"the pictures cannot be written: {error.strerror or error}",
            where=target,
            fix="give a folder that can be written, on a disk with room, or make none: --pictures none",
        ) from error
    return _made(index, target)


def _known(folder: Path, digest: str, chosen: Selection) -> Index | None:
    """The pictures that are there, if they are the ones that would be made."""
    try:
        index = read_index(folder)
    except StoreError:
        return None
    # What was left out while they were made may be had by now.
    complete = index.selection == digest and len(index.left_out) == len(chosen.left_out)
    whole = complete and all(is_verified(folder / one.file, one.sha256) for one in index.files)
    return index if whole else None


def _made(index: Index, folder: Path) -> Made:
    size = sum({one.file: one.bytes for one in index.files}.values())
    return Made(folder / NAME, len(index.stills), len(index.clips), size, index.left_out)
