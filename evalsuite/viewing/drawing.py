"""Frames to files: each bitstream is decoded once, for stills and clip together, and several of them side by side."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from evalsuite import types
from evalsuite.errors import EvalError, ShapeError
from evalsuite.metrics.base import View
from evalsuite.metrics.detectors import Detector
from evalsuite.viewing.choice import Cell, LeftOut, Rate, scores_of
from evalsuite.viewing.clips import NEAR_LOSSLESS, check_showable, luma_psnr, write_copy
from evalsuite.viewing.index import Face, Index, Movie, NotShown, Shown, ShownCell, ShownFrame, Still
from evalsuite.viewing.material import Material
from evalsuite.viewing.selection import Selection, in_a_line
from evalsuite.viewing.stills import SUFFIX, as_webp, face_detector, faces_in, how_converted, view_of

CLIPS_BYTES = 100e6
"""What all clips of a run may have together, but for the last sequence that had room."""

CLIP_SECONDS = 2.5

_Parts = tuple[list[Still], list[Movie]]
"""Of the source, or of one cell."""


@dataclass(slots=True)
class Drawing:
    """The files of a selection, and what the index says of them.

    Args:
        material: gives the frames.
        folder: where the files go; its parent has room for others while this works.
        clips: whether there are clips beside the stills.
        progress: called with the name of each sequence that is begun.
        threads: decode side by side.
    """

    material: Material
    folder: Path
    clips: bool
    progress: Callable[[str], None]
    threads: ThreadPoolExecutor
    sequences: list[Shown] = field(default_factory=list)
    cells: list[ShownCell] = field(default_factory=list)
    frames: list[ShownFrame] = field(default_factory=list)
    stills: list[Still] = field(default_factory=list)
    movies: list[Movie] = field(default_factory=list)
    left_out: list[NotShown] = field(default_factory=list)
    detector: Detector | None = None
    no_faces: str = ""
    looking: Lock = field(default_factory=Lock)
    """OpenCV's detector is one object that all threads share."""

    def index(self, digest: str) -> Index:
        """The index of what was drawn."""
        return Index(
            selection=digest,
            sequences=tuple(self.sequences),
            cells=tuple(self.cells),
            frames=tuple(self.frames),
            stills=tuple(self.stills),
            clips=tuple(self.movies),
            left_out=tuple(self.left_out),
            no_faces=self.no_faces,
        )

    def draw(self, chosen: Selection) -> None:
        """Make all pictures."""
        self.detector, self.no_faces = face_detector()
        self._leave_out(chosen.left_out)
        for name, own in itertools.groupby(chosen.rates, key=lambda rate: rate.sequence):
            self._sequence(chosen.sources[name], list(own))

    def _sequence(self, sequence: types.Sequence, rates: list[Rate]) -> None:
        """All pictures of a sequence; none of them where its source cannot be read."""
        self.progress(sequence.name)
        moving = rates[-1] if self._may_move(sequence) else None
        wanted = {one.frame for rate in rates for one in rate.frames}
        window = _window(sequence, moving) if moving else range(0)
        show = partial(self._show, sequence)
        try:
            shown = show(None, self.material.source(sequence.name), wanted, window)
        except EvalError as error:
            self._leave_out([LeftOut(sequence.name, "", in_a_line(error))])
            return
        self._add(*shown)
        format = sequence.format
        self.sequences.append(
            Shown(
                *(sequence.name, sequence.sha256, format.width, format.height, sequence.frames),
                *(str(sequence.frame_rate), how_converted(sequence)),
            )
        )
        for rate in rates:
            self.frames += [
                ShownFrame(
                    *(sequence.name, rate.target_bpp, one.frame, rate.metric),
                    tuple((why.kind, why.codec) for why in one.why),
                )
                for one in rate.frames
            ]
        under_way: list[tuple[Rate, Cell, Future[_Parts]]] = []
        for rate in rates:
            asked, moved = {one.frame for one in rate.frames}, window if rate is moving else range(0)
            for cell in rate.cells:
                try:
                    frames = self.material.decoded(cell)
                except EvalError as error:
                    self._miss(rate, cell, error)
                else:
                    under_way.append((rate, cell, self.threads.submit(show, cell, frames, asked, moved)))
        for rate, cell, done in under_way:
            try:
                self._add(*done.result())
            except EvalError as error:
                self._miss(rate, cell, error)
                continue
            self.cells.append(
                ShownCell(
                    *(cell.cell_key, cell.bitstream_sha256, cell.codec, cell.sequence),
                    *(cell.q, cell.bpp, rate.target_bpp),
                )
            )

    def _add(self, stills: list[Still], movies: list[Movie]) -> None:
        self.stills += stills
        self.movies += movies

    def _miss(self, rate: Rate, cell: Cell, error: EvalError) -> None:
        self._leave_out([LeftOut(cell.sequence, cell.codec, f"{rate.target_bpp:.4g} bpp: {in_a_line(error)}")])

    def _may_move(self, sequence: types.Sequence) -> bool:
        if not self.clips:
            return False
        try:
            check_showable(sequence, NEAR_LOSSLESS)
        except EvalError as error:
            self._leave_out([LeftOut(sequence.name, "", f"no clips: {in_a_line(error)}")])
            return False
        if sum(one.bytes for one in self.movies) >= CLIPS_BYTES:
            self._leave_out([LeftOut(sequence.name, "", "no clips: the clips of a run are held to a size")])
            return False
        return True

    def _show(
        self,
        sequence: types.Sequence,
        cell: Cell | None,
        frames: Generator[types.Frame, None, None],
        wanted: Collection[int],
        window: range,
    ) -> _Parts:
        """Stills of the wanted frames, and a clip of those in the window, in one pass; several threads are in here."""
        kept: dict[int, types.Frame] = {}
        clip = Path(tempfile.mkdtemp(dir=self.folder.parent)) / f"clip{NEAR_LOSSLESS}"
        with closing(frames):  # a decoder is not waited for beyond the last frame that matters
            passing = _keeping(frames, wanted, kept, last=max([*wanted, window.stop - 1]))
            if window:
                moving = itertools.islice(passing, window.start, window.stop)
                write_copy(moving, sequence, clip, self.material.timeout)
            for _ in passing:
                pass
        if missing := sorted(set(wanted) - set(kept)):
            raise ShapeError("the video ends early", where=sequence.name, expected=f"frame {missing[0]}")
        scores = scores_of(self.material.run, cell) if cell else {}
        key = cell.cell_key if cell else ""
        stills, movies = [], []
        for index, frame in sorted(kept.items()):
            view = view_of(frame, sequence)
            names = self._store(as_webp(view), SUFFIX)
            stills.append(Still(*names, sequence.name, key, index, scores.get(index, {}), self._faces(view)))
        if window:
            inside = {index - window.start: frame for index, frame in kept.items() if index in window}
            psnr = luma_psnr(clip, inside, sequence.format.bit_depth) if inside else None
            names = self._store(clip.read_bytes(), NEAR_LOSSLESS)
            movies.append(Movie(*names, sequence.name, key, window.start, len(window), psnr))
        return stills, movies

    def _faces(self, view: View) -> tuple[Face, ...] | None:
        if self.detector is None:
            return None
        with self.looking:
            return faces_in(view, self.detector)

    def _store(self, data: bytes, suffix: str) -> tuple[str, str, int]:
        """The name, digest and size of a new file: names come from contents, never from data."""
        digest = hashlib.sha256(data).hexdigest()
        name = f"{digest[:24]}{suffix}"
        (self.folder / name).write_bytes(data)
        return name, digest, len(data)

    def _leave_out(self, missed: Sequence[LeftOut]) -> None:
        self.left_out += [NotShown(one.sequence, one.codec, one.reason) for one in missed]


def _keeping(
    frames: Iterator[types.Frame], wanted: Collection[int], kept: dict[int, types.Frame], last: int
) -> Iterator[types.Frame]:
    """The frames up to the last one that matters, as they come; the wanted ones are kept."""
    for index, frame in enumerate(frames):
        if index in wanted:
            kept[index] = frame
        yield frame
        if index >= last:
            return


def _window(sequence: types.Sequence, rate: Rate) -> range:
    """The frames of a clip: around the worst frame, within the sequence."""
    count = min(sequence.frames, round(CLIP_SECONDS * sequence.frame_rate))
    middle = rate.frames[0].frame if rate.frames else 0
    start = min(max(0, middle - count // 2), sequence.frames - count)
    return range(start, start + count)
