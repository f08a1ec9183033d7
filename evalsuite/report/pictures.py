"""The frames page: pictures that runs have of their frames, checked against the runs before anything of them is shown.

An index of pictures may be damaged, stale, or made to mislead: what is not of the run's own cells and sources is
left out and named, and a file is taken by its digest from the run's folder alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from evalsuite.errors import StoreError
from evalsuite.files import is_verified
from evalsuite.report import text
from evalsuite.report.model import Metric, Point, Report
from evalsuite.results.load import RunResults
from evalsuite.viewing.index import FOLDER, Index, Movie, Shown, ShownCell, ShownFrame, Still
from evalsuite.viewing.reading import read_index

T = TypeVar("T", Still, Movie)

SOURCE = "source"
"""The key of the source among the sides of a picture."""

_WHY = {"worst": "worst of {}", "differ": "codecs differ most", "typical": "typical"}


@dataclass(frozen=True, slots=True)
class Side:
    """What can be on one side: the source, or a codec at one rate."""

    key: str
    """In addresses."""
    name: str
    point: Point | None
    """None of the source."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that is shown, with a still for each side that has one."""

    number: int
    why: str
    stills: tuple[Still | None, ...]
    """In the order of the sides."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What there is of a sequence at one rate."""

    label: str
    sides: tuple[Side, ...]
    """The source first."""
    metric: Metric | None
    """What the frames were chosen by."""
    frames: tuple[Frame, ...]
    """The worst first."""
    clips: tuple[Movie | None, ...]
    """In the order of the sides."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A sequence with its rates."""

    label: str
    facts: Shown
    rates: tuple[Rate, ...]
    no_faces: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not shown, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Everything the frames page shows."""

    shots: tuple[Shot, ...] = ()
    missing: tuple[Missing, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    """Where each picture is, by its name in the report's folder."""


def gather(results: ListOf[RunResults], report: Report) -> Pictures:
    """The pictures of runs under the labels of the report; of what cannot be shown, the reason.

    Args:
        results: the runs that the report was merged from.
        report: gives labels, points and metrics.
    """
    shots: dict[str, list[tuple[str, Shot]]] = {}
    missing: list[Missing] = []
    files: dict[str, Path] = {}
    for run, told in zip(results, report.runs, strict=True):
        folder, label = run.folder / FOLDER, told.label
        if not folder.exists():
            continue
        several = f" ({label})" if len(results) > 1 else ""
        try:
            if folder.is_symlink():
                raise StoreError("the folder of the pictures is a link", where=folder)
            reading = _Reading(run, folder, _labelled(read_index(folder), told.metrics), report, several)
        except StoreError as error:
            got = "" if error.got is None else f": {error.got}"
            missing.append(Missing(f"pictures of {label}", f"{error.what}{got}"))
            continue
        for shot in reading.shots():
            shots.setdefault(shot.label, []).append((label, shot))
        missing += reading.missing
        files |= reading.files
    return Pictures(tuple(_together(own) for own in shots.values()), tuple(missing), files)


def _labelled(index: Index, metrics: Mapping[str, str]) -> Index:
    """The index with the labels that the metrics of its run have in the report."""
    frames = [replace(one, metric=metrics.get(one.metric, one.metric)) for one in index.frames]
    stills = [
        replace(one, scores={metrics.get(name, name): score for name, score in one.scores.items()})
        for one in index.stills
    ]
    return replace(index, frames=tuple(frames), stills=tuple(stills))


def _together(shots: ListOf[tuple[str, Shot]]) -> Shot:
    """One sequence of several runs, each with its name: the rates of all of them."""
    if len(shots) == 1:
        return shots[0][1]
    rates = [replace(rate, label=f"{rate.label} ({run})") for run, shot in shots for rate in shot.rates]
    return replace(shots[0][1], rates=tuple(rates))


def place(pictures: Pictures, out: Path) -> None:
    """Put the pictures into `out/pictures`, by links where the disk allows it; what else is there goes.

    Raises:
        OSError: they cannot be written.
    """
    folder = out / FOLDER
    if folder.is_symlink() or not pictures.files:
        _remove(folder)
    if not pictures.files:
        return
    folder.mkdir(exist_ok=True)
    for stale in folder.iterdir():
        if stale.name not in pictures.files:
            _remove(stale)
    for name, path in pictures.files.items():
        target = folder / name
        if target.exists() and target.stat().st_size == path.stat().st_size and not target.is_symlink():
            continue  # named by its digest: it is the same file
        _remove(target)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def documents(pictures: Pictures, report: Report) -> Iterator[tuple[str, Any]]:
    """The documents of the page, with the names of their files: the list of sequences, and one for each of them."""
    if pictures.shots:
        yield "frames", {"sequences": [shot.label for shot in pictures.shots]}
    for number, shot in enumerate(pictures.shots):
        yield f"frames-{number}", _document(shot, report)


def _document(shot: Shot, report: Report) -> dict[str, Any]:
    return {
        "name": shot.label,
        "width": shot.facts.width,
        "height": shot.facts.height,
        "converted": shot.facts.converted,
        "noFaces": shot.no_faces,
        "rates": [
            {
                "label": rate.label,
                "sides": [_side(side, report) for side in rate.sides],
                "frames": [
                    {
                        "frame": frame.number,
                        "why": frame.why,
                        "score": score_of(rate, frame),
                        "scores": _scores(frame, report),
                        "stills": [still and _still(still) for still in frame.stills],
                    }
                    for frame in rate.frames
                ],
                "clips": [clip and _clip(clip) for clip in rate.clips],
            }
            for rate in shot.rates
        ],
    }


def _side(side: Side, report: Report) -> dict[str, Any]:
    point = side.point
    if point is None:
        return {"key": side.key, "name": side.name, "codec": None, "facts": [None, None, None]}
    facts = [text.significant(point.bpp), text.significant(point.kbps), text.knob(point.q)]
    return {"key": side.key, "name": report.said(side.name), "codec": report.place(point.codec), "facts": facts}


def _still(still: Still) -> dict[str, Any]:
    faces = [[face.x, face.y, face.width, face.height] for face in still.faces or ()]
    return {"file": f"{FOLDER}/{still.file}", "faces": faces}


def _clip(clip: Movie) -> dict[str, Any]:
    psnr = "" if clip.psnr_y_db is None else text.score(clip.psnr_y_db, 1)
    return {"file": f"{FOLDER}/{clip.file}", "first": clip.first, "frames": clip.frames, "psnr": psnr}


def _scores(frame: Frame, report: Report) -> list[dict[str, Any]]:
    """The scores of a frame by metric, in the order of the report, each in the order of the sides."""
    rows = []
    for metric in report.judged:
        values = [still.scores.get(metric.label) if still else None for still in frame.stills]
        if any(value is not None for value in values):
            rows.append(
                {
                    "metric": metric.title,
                    "sign": metric.arrow,
                    "unit": metric.unit,
                    "values": [None if value is None else text.score(value, metric.decimals) for value in values],
                }
            )
    return rows


def score_of(rate: Rate, frame: Frame) -> str:
    """What each codec scores in a frame by the metric that it was chosen by: `VMAF 41.2 x265, 44.0 x264`."""
    metric = rate.metric
    if metric is None:
        return ""
    told = [
        f"{text.score(still.scores[metric.label], metric.decimals)} {side.name}"
        for side, still in zip(rate.sides, frame.stills, strict=True)
        if still and metric.label in still.scores
    ]
    return f"{metric.title} {', '.join(told)}" if told else ""


@dataclass(slots=True)
class _Reading:
    """One run's pictures, on their way to the page."""

    run: RunResults
    folder: Path
    index: Index
    report: Report
    several: str
    """Behind the name of what is missing, where there are several runs."""
    missing: list[Missing] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    def shots(self) -> Iterator[Shot]:
        self.missing += [
            Missing(", ".join(filter(None, (one.codec, one.sequence))) + self.several, one.reason)
            for one in self.index.left_out
        ]
        rows = self.run.points.drop_duplicates(["cell_key", "sequence", "codec"])
        sources = dict(zip(rows["sequence"], rows["source_sha256"], strict=True))
        streams = dict(zip(rows["cell_key"], rows["bitstream_sha256"], strict=True))
        for shown in self.index.sequences:
            if sources.get(shown.name) != shown.sha256:
                self._miss(shown.name, "its pictures are not of this run's source")
                continue
            own = [cell for cell in self.index.cells if cell.sequence == shown.name]
            cells: dict[ShownCell, Point] = {}
            for cell in own:
                point = self._point(cell)
                if point is None or streams.get(cell.cell_key) != cell.bitstream_sha256:
                    self._miss(f"{cell.codec}, {shown.name}", "its pictures are not of a bitstream that is shown here")
                else:
                    cells[cell] = point
            # The label of a sequence is that of its points: another run may have another sequence of this name.
            labels = {point.sequence for point in cells.values()} or {shown.name}
            targets = dict.fromkeys(frame.target_bpp for frame in self.index.frames if frame.sequence == shown.name)
            rates = [self._rate(shown, target, cells) for target in targets]
            if rates := [rate for rate in rates if rate.frames]:
                yield Shot(min(labels), shown, tuple(rates), self.index.no_faces)

    def _miss(self, what: str, reason: str) -> None:
        self.missing.append(Missing(f"{what}{self.several}", reason))

    def _point(self, cell: ShownCell) -> Point | None:
        """The report's point of a cell: by its key, which tells what shares a name apart."""
        for command in self.report.commands:
            if command["cell_key"] == cell.cell_key:
                place = command["codec"], command["sequence"], command["q"]
                return next((one for one in self.report.points if (one.codec, one.sequence, one.q) == place), None)
        return None

    def _rate(self, shown: Shown, target: float, cells: Mapping[ShownCell, Point]) -> Rate:
        sides = [Side(SOURCE, "Source", None)]
        keys = [""]
        for cell, point in cells.items():
            if cell.target_bpp == target:
                key = point.codec if point.codec != SOURCE else f"{SOURCE} (codec)"
                sides.append(Side(key, point.codec, point))
                keys.append(cell.cell_key)
        stills = {(one.cell_key, one.frame): one for one in self.index.stills if one.sequence == shown.name}
        movies = {one.cell_key: one for one in self.index.clips if one.sequence == shown.name}
        frames = []
        metric = None
        for told in self.index.frames:
            if told.sequence != shown.name or told.target_bpp != target:
                continue
            metric = metric or next((one for one in self.report.judged if one.label == told.metric), None)
            found = tuple(self._have(stills.get((key, told.frame))) for key in keys)
            if found[0] and any(found[1:]):
                frames.append(Frame(told.frame, _why(told, cells), found))
        clips = tuple(self._have(movies.get(key)) for key in keys)
        # A clip of the source belongs to the rate at which codecs have clips.
        return Rate(
            f"{text.significant(target)} bpp",
            tuple(sides),
            metric,
            tuple(frames),
            clips if any(clips[1:]) else (None,) * len(clips),
        )

    def _have(self, one: T | None) -> T | None:
        """The picture, if its file is there and is what the index says."""
        if one is None:
            return None
        path = self.folder / one.file
        if path.is_symlink() or not is_verified(path, one.sha256):
            self._miss(f"{one.sequence}, {one.file}", "the file is missing or damaged")
            return None
        self.files[one.file] = path
        return one


def _why(told: ShownFrame, cells: Mapping[ShownCell, Point]) -> str:
    labels = {cell.codec: point.codec for cell, point in cells.items()}
    return ", ".join(_WHY[kind].format(labels.get(codec, codec)) for kind, codec in told.why)
