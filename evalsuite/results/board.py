"""Boards: a protocol pinned by a TOML file, so that runs by different people are of one kind.

`docs/boards.md` describes every field. Whether a run keeps to a board: `evalsuite.results.conformance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalsuite import resources
from evalsuite.codec.identity import digest_of
from evalsuite.results.profile import PREFIX
from evalsuite.sources import fields
from evalsuite.sources.fields import Table
from evalsuite.types import HIGHEST_RATE, LOWEST_RATE

T = TypeVar("T")

UNITS = ("bpp", "kbps")
ANY, ALL = "any", "all"
"""What fields say that constrain nothing, and that leave no frame out."""

_NAME = r"[a-z][a-z0-9-]*"
_PATH_OR_NAME = r"\S(.*\S)?"


@dataclass(frozen=True, slots=True)
class PinnedSequence:
    """A source that a board is run on."""

    name: str
    sha256: str
    """Of the prepared Y4M file, cut to the board's frames: `source_sha256` of results."""
    colour: str
    """What code values are taken for, such as `bt601 limited`: metrics of RGB depend on it, and no digest tells."""


@dataclass(frozen=True, slots=True)
class Board:
    """A protocol; made by `load_board`."""

    name: str
    version: int
    """Grows whenever the protocol changes."""
    title: str
    question: str
    """What the board answers, in a sentence."""
    description: str
    dataset: str
    """A name, or the path of a manifest."""
    sequences: tuple[PinnedSequence, ...]
    frames: int | None
    """The first so many of each sequence; None for all."""
    targets: tuple[float, ...]
    """Rates to be matched, ascending, in `unit`."""
    unit: str
    """bpp or kbps."""
    intra_period: int
    threads: int
    structure: tuple[str, ...]
    """Prediction structures that are admitted, word for word; none means any."""
    max_delay: int | None
    """The most frames that an encoder may need beyond the one it codes; None for any number."""
    anchor: str
    metrics: Mapping[str, str]
    """Versions by name."""
    profiles: Mapping[str, str]
    """Likewise; not all boards have one."""
    headline: tuple[str, ...]
    """The metrics that codecs are ranked by, the first of them where there is room for one."""

    @property
    def match(self) -> str:
        """The targets as `--match` takes them."""
        return ",".join(f"{value!r}" for value in self.targets) + self.unit

    @property
    def versions(self) -> dict[str, str]:
        """The versions of all that is scored: metrics, and profiles as `profile:NAME`."""
        return {**self.metrics, **{f"{PREFIX}{name}": version for name, version in self.profiles.items()}}

    @property
    def sha256(self) -> str:
        """Digest of what a run must agree with: not of the words about it, nor of what codecs are ranked by."""
        return digest_of(
            {
                "name": self.name,
                "version": self.version,
                "dataset": dataset_name(self.dataset),
                "sequences": [[one.name, one.sha256, one.colour] for one in self.sequences],
                "frames": self.frames,
                "targets": [*self.targets, self.unit],
                "intra_period": self.intra_period,
                "threads": self.threads,
                "structure": list(self.structure),
                "max_delay": self.max_delay,
                "anchor": self.anchor,
                "versions": dict(sorted(self.versions.items())),
            }
        )

    @property
    def stamp(self) -> dict[str, str | int]:
        """What the summary of a run by this board says of it."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


def dataset_name(dataset: str) -> str:
    """The name that results have for a dataset that may have been given as a path."""
    return Path(dataset).stem if dataset.endswith(".toml") else dataset


def load_board(name: str) -> Board:
    """The board of this name, or in this TOML file.

    Raises:
        RequestError: there is none; suggests near misses.
        RecipeError: its file is wrong.
    """
    path, data = resources.load("boards", name)
    return parse_board(data, path)


def parse_board(data: dict[str, Any], path: Path) -> Board:
    """A board from its TOML.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    table = Table(data, str(path))
    dataset = table.take("dataset", fields.pattern(_PATH_OR_NAME, "the name or the path of a dataset"))
    unit, targets = table.take("targets", _targets)
    metrics = table.take("metrics", _versions)
    profiles = table.get("profiles", _versions, {})
    scored = {*metrics, *(f"{PREFIX}{name}" for name in profiles)}
    board = Board(
        name=table.take("name", fields.pattern(_NAME, "a word of a-z, 0-9 and '-'")),
        version=table.take("version", fields.count(1)),
        title=table.take("title", fields.text),
        question=table.take("question", fields.text),
        description=table.take("description", fields.text),
        # A manifest lies beside the board that names it, wherever the run is started.
        dataset=str(path.parent / dataset) if dataset.endswith(".toml") else dataset,
        sequences=tuple(
            _sequence(Table(one, f"{path}, sequence {number}"))
            for number, one in enumerate(table.take("sequences", fields.tables), 1)
        ),
        frames=table.take("frames", lambda value: None if value == ALL else _or_word(ALL, fields.count(1), value)),
        targets=targets,
        unit=unit,
        intra_period=table.take("intra_period", _intra_period),
        threads=table.take("threads", fields.count(1)),
        structure=table.take("structure", lambda value: () if value == ANY else _or_word(ANY, _some_texts, value)),
        max_delay=table.take(
            "max_delay", lambda value: None if value == ANY else _or_word(ANY, fields.count(0), value)
        ),
        anchor=table.take("anchor", fields.text),
        metrics=metrics,
        profiles=profiles,
        headline=table.take("headline", lambda value: _known(_some_texts(value), scored)),
    )
    table.take("sequences", lambda _: _once("sequence", [one.name for one in board.sequences]))
    table.take("headline", lambda _: _once("metric", board.headline))
    table.finish()
    return board


def _sequence(table: Table) -> PinnedSequence:
    sequence = PinnedSequence(
        name=table.take("name", fields.text),
        sha256=table.take("sha256", fields.pattern("[0-9a-f]{64}", "64 hexadecimal digits, a-f in lower case")),
        colour=table.take("colour", fields.text),
    )
    table.finish()
    return sequence


def _targets(value: object) -> tuple[str, tuple[float, ...]]:
    expected = " or ".join(f"{{ {unit} = [...] }}" for unit in UNITS) + ", rates above 0, each once"
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= set(UNITS):
        raise ValueError(expected)
    ((unit, rates),) = value.items()
    good = isinstance(rates, list) and rates and all(_is_rate(one) for one in rates) and len(set(rates)) == len(rates)
    if not good:
        raise ValueError(expected)
    return unit, tuple(sorted(float(one) for one in rates))


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and LOWEST_RATE <= value < HIGHEST_RATE


def _versions(value: object) -> dict[str, str]:
    given = fields.table(value)
    if not given or not all(isinstance(one, str) and one.strip() for one in given.values()):
        raise ValueError("versions as texts by name, at least one")
    return given


def _intra_period(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != -1):
        raise ValueError("a whole number of frames, 1 or more, or -1 for the first frame only")
    return value


def _some_texts(value: object) -> tuple[str, ...]:
    if not (found := fields.texts(value)):
        raise ValueError("a list of texts, at least one")
    return found


def _or_word(word: str, parse: Callable[[object], T], value: object) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f'"{word}", or {error}') from None


def _known(names: tuple[str, ...], scored: set[str]) -> tuple[str, ...]:
    if not scored.issuperset(names):
        raise ValueError("names of `metrics`, or profile:NAME of `profiles`")
    return names


def _once(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each {what} once, not {', '.join(twice)} twice")
