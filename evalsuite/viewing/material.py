"""The frames of a run: its own bitstreams, decoded again, and the sources they are of."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from evalsuite.codec.channel import parse_channel
from evalsuite.codec.decoder import Decoder, decode
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.transport import through
from evalsuite.engine.store import Store
from evalsuite.errors import RequestError, StoreError
from evalsuite.results.load import RunResults
from evalsuite.results.losscurve import clean_name
from evalsuite.sources.dataset import FILES, from_file, load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import stated
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Frame, OperatingPoint, Sequence, VideoFormat


class Cell(Protocol):
    """What tells which bitstream is meant."""

    @property
    def codec(self) -> str:
        """The name of its recipe."""
        ...

    @property
    def sequence(self) -> str:
        """The name of its source."""
        ...

    @property
    def q(self) -> float:
        """The setting it was encoded with."""
        ...

    @property
    def cell_key(self) -> str:
        """Under which the store has it."""
        ...


@dataclass(slots=True)
class Material:
    """A run's frames: decoded from its store, and of its sources.

    Args:
        run: gives codecs, sequences and structure.
        store: where its bitstreams are; open as long as this is used.
        timeout: seconds that one frame of a decoder may take.
        recipes: those that made the run, by name, where they are at hand; others are looked up and compared with it.
        sequences: likewise.
    """

    run: RunResults
    store: Store
    timeout: float
    recipes: dict[str, Recipe] = field(default_factory=dict)
    sequences: dict[str, Sequence] = field(default_factory=dict)

    def sequence(self, name: str) -> Sequence:
        """A source, ready to be read, and the same as the run's to the bit.

        Raises:
            EvalError: it cannot be had any more, or has changed.
        """
        if name not in self.sequences:
            self.sequences[name] = self._find_sequence(name)
        return self.sequences[name]

    def source(self, name: str) -> Generator[Frame, None, None]:
        """The frames of a source."""
        yield from open_video(self.sequence(name).path)

    def decoded(self, cell: Cell) -> Generator[Frame, None, None]:
        """The frames of one cell, as the decoder of its recipe gives them, in a process of its own.

        The store is asked at once, by the thread that calls this; any thread may take the frames.

        Raises:
            EvalError: the bitstream is not in the store, or the codec has changed; later, that decoding fails.
        """
        stored = self.store.encode(cell.cell_key)
        if stored is None:
            raise StoreError(
                "the store does not have the bitstream of a cell, or it is damaged",
                where=f"{cell.codec}, {cell.sequence}, q {cell.q:g}",
                fix="give the store of the run with --store, or make the run again (what is there is not repeated)",
            )
        measured = self._measured(cell)
        if stored.sha256 != measured:
            raise StoreError(
                "the store has another bitstream of this cell than the run measured",
                where=f"{cell.codec}, {cell.sequence}, q {cell.q:g}",
                expected=f"sha256 {measured}",
                got=f"sha256 {stored.sha256}",
                fix="make the run again: the encoder does not give the same bitstream every time",
            )
        request = self.run.summary["request"]
        point = OperatingPoint(cell.q, int(request["intra_period"]), int(request["threads"]))
        decoder = decode(
            self._recipe(cell.codec),
            stored.path,
            self.sequence(cell.sequence),
            point,
            timeout=self.timeout,
            reconstruction_sha256=stored.reconstruction_sha256,
        )
        return _frames(decoder)

    def _measured(self, cell: Cell) -> str:
        """The digest of the bitstream that the run's scores of a cell are of."""
        rows = self.run.points["bitstream_sha256"][self.run.points["cell_key"] == cell.cell_key]
        return str(rows.iloc[0]) if len(rows) else ""

    def _recipe(self, name: str) -> Recipe:
        """The codec, if it still is the one of the run: another build may decode to other frames."""
        if name not in self.recipes:
            told = _entry(self.run, "codecs", name)
            recipe = load_recipe(clean_name(name) if told.get("loss") else name)
            if told.get("loss"):
                recipe = through(recipe, parse_channel(told["loss"]["model"]))
            recipe.check_available()
            for what, was, now in (
                ("recipe", told["recipe_sha256"], recipe.recipe_sha256),
                ("binary", told["binary_sha256"], recipe.binary_sha256()),
            ):
                if was != now:
                    raise RequestError(
                        f"the {what} of {name} is not the one that made the run",
                        expected=f"sha256 {was}",
                        got=f"sha256 {now}",
                        fix="install the version of the run, or make the run again",
                    )
            self.recipes[name] = recipe
        return self.recipes[name]

    def _find_sequence(self, name: str) -> Sequence:
        told = _entry(self.run, "sequences", name)
        frames = int(told["frames"])
        if told["dataset"] == FILES:
            format = VideoFormat(told["width"], told["height"], told["bit_depth"], told["chroma"])
            geometry = Geometry(format.width, format.height, Fraction(told["frame_rate"]), format.pixel_format)
            path = Path(told["origin"])
            if not path.is_file():
                raise RequestError("a source of the run is not there any more", where=path, fix="put it back")
            matrix, span, *transfer = str(told["colour"]).split()
            colour = stated(matrix, span, *transfer)
            found = from_file(path, geometry=geometry, frames=frames, stated=colour)
        else:
            entries = {one.name: one for one in load_dataset(self.run.summary["request"]["dataset"]).sequences}
            if name not in entries:
                raise RequestError(f"the dataset does not have {name!r} any more", where=told["dataset"])
            found = prepare(entries[name], frames)
        if found.sha256 != told["sha256"]:
            raise RequestError(
                f"the source {name} is not the one of the run",
                where=found.path,
                expected=f"sha256 {told['sha256']}",
                got=f"sha256 {found.sha256}",
                fix="put the file back that the run was made of, or make the run again",
            )
        return found


@contextmanager
def opened(
    run: RunResults,
    store: Path,
    timeout: float,
    recipes: Iterable[Recipe] = (),
    sequences: Iterable[Sequence] = (),
) -> Iterator[Material]:
    """The frames of a run, from the store that holds its bitstreams; see `Material`.

    Raises:
        RequestError: there is no store.
        StoreError: it cannot be used.
    """
    if not (store / "store.sqlite").is_file():
        raise RequestError(
            "there is no results store", where=store, fix="give the folder that the run was given with --store"
        )
    with Store(store) as opened_store:
        yield Material(
            *(run, opened_store, timeout), {one.name: one for one in recipes}, {one.name: one for one in sequences}
        )


def _frames(decoder: Decoder) -> Generator[Frame, None, None]:
    with decoder:
        yield from decoder


def _entry(run: RunResults, kind: str, name: str) -> dict[str, Any]:
    for entry in run.summary[kind]:
        if entry.get("name") == name:
            return dict(entry)
    raise RequestError(f"the run's summary does not describe {name}", where=run.folder / "summary.json")
