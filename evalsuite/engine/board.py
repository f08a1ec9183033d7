"""A run by a board: what it pins is not up to the request, and what it cannot be run with is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.engine.plan import MatchRates, Plan, parse_match
from evalsuite.errors import EvalError, RequestError
from evalsuite.metrics.registry import family_of, select
from evalsuite.results.board import Board, dataset_name
from evalsuite.results.profile import NONE

FIRST = "tvc"
"""The codec that is run beside the anchor where none is named: the project's own."""

_OF_FILES = ("size", "fps", "matrix", "range", "transfer")
"""Options that are of files alone, which a board does not have."""


@dataclass(frozen=True, slots=True)
class _Pinned:
    """An option that a board decides."""

    value: Any
    shown: str
    """As it would be typed."""
    agrees: Callable[[Any], bool]
    """Whether what was given means the same."""


def codecs_for(board: Board, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The codecs to run: those named and the anchor; without any, `tvc` and the anchor.

    Raises:
        EvalError: a recipe cannot be had or is wrong.
    """
    chosen = (FIRST,) if named is None else named
    names = {load_recipe(one).name for one in chosen}
    return chosen if load_recipe(board.anchor).name in names else (*chosen, board.anchor)


def pinned_options(board: Board, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that the board decides.

    Args:
        board: the protocol.
        given: the options that were given all the same, by name of the field; those that agree may be.

    Raises:
        RequestError: one contradicts the board; names every difference.
    """
    pinned = _options(board)
    wrong = [
        f"--{name.replace('_', '-')}: {_text(value)} was given, the board has {pinned[name].shown}"
        for name, value in given.items()
        if name in pinned and not pinned[name].agrees(value)
    ]
    wrong += [f"--{name}: it is of files, the board has sequences of a dataset" for name in _OF_FILES if name in given]
    if wrong:
        raise _refused(board, "the options are not those of the board", wrong, "leave out what the board decides")
    return {name: one.value for name, one in pinned.items()}


def _options(board: Board) -> dict[str, _Pinned]:
    profiles = ",".join(board.profiles) or NONE
    names = tuple(one.name for one in board.sequences)
    named = dataset_name(board.dataset)
    return {
        "dataset": _Pinned(board.dataset, board.dataset, lambda given: dataset_name(given) == named),
        "sequences": _Pinned(names, ",".join(names), lambda given: sorted(given) == sorted(names)),
        "match": _Pinned(board.match, board.match, lambda given: _same_rates(board, given)),
        "anchor": _Pinned(board.anchor, board.anchor, lambda given: given == board.anchor),
        "metrics": _Pinned(",".join(board.metrics), ",".join(board.metrics), lambda given: _same_panel(board, given)),
        "profile": _Pinned(profiles, profiles, lambda given: sorted(given.split(",")) == sorted(profiles.split(","))),
        "frames": _Pinned(board.frames, str(board.frames or "all"), lambda given: given == board.frames),
        "intra_period": _Pinned(board.intra_period, str(board.intra_period), lambda given: given == board.intra_period),
        "threads": _Pinned(board.threads, str(board.threads), lambda given: given == board.threads),
        "hull": _Pinned(False, "none", lambda given: not given),
    }


def _same_rates(board: Board, given: str) -> bool:
    try:
        match = parse_match(given, [])
    except RequestError:
        return False  # such as a codec: no rates of a board
    return isinstance(match, MatchRates) and (tuple(sorted(match.values)), match.unit) == (board.targets, board.unit)


def _same_panel(board: Board, given: str) -> bool:
    try:
        return {info.name for info in select(given)} == set(board.metrics)
    except RequestError:
        return False


def check_plan(board: Board, plan: Plan) -> None:
    """Refuse a plan that is not the board's, before anything is encoded.

    Raises:
        RequestError: what differs, each with what the board has and what is here.
    """
    wrong = [*_settings(board, plan), *_sources(board, plan), *_metrics(board, plan)]
    for recipe in plan.recipes:
        wrong += _codec(board, plan, recipe)
    if wrong:
        raise _refused(
            board,
            "this would be no run of the board",
            wrong,
            "a board is run with the sources, metrics and codecs that it pins: see docs/boards.md for each difference",
        )


def _settings(board: Board, plan: Plan) -> Iterator[str]:
    wanted = (
        ("rates", MatchRates(board.targets, board.unit), plan.match),
        ("anchor", board.anchor, plan.anchor),
        ("intra period", board.intra_period, plan.intra_period),
        ("threads", board.threads, plan.threads),
        ("hulls", False, plan.hull),
    )
    for what, pinned, here in wanted:
        yield from _differs(what, here, pinned)


def _sources(board: Board, plan: Plan) -> Iterator[str]:
    here = {one.name: one for one in plan.sequences}
    pinned = {one.name: one for one in board.sequences}
    for name in sorted(here.keys() ^ pinned.keys()):
        yield f"sequence {name}: {'not one of the board' if name in here else 'missing'}"
    for name in here.keys() & pinned.keys():
        yield from _differs(f"sequence {name}: source sha256", here[name].sha256, pinned[name].sha256)
        yield from _differs(f"sequence {name}: colour", str(here[name].colour), pinned[name].colour)
        if board.frames is not None:
            yield from _differs(f"sequence {name}: frames", here[name].frames, board.frames)


def _metrics(board: Board, plan: Plan) -> Iterator[str]:
    here = {info.name: info.version for info in (*plan.metrics, *plan.profile_infos)}
    for name in sorted(here.keys() - board.versions.keys()):
        yield f"metric {name}: a profile of the board is made of it, and the board does not pin it"
    for name, version in board.versions.items():
        if name not in here:
            yield f"metric {name}: missing"
            continue
        yield from _differs(f"metric {name}: version", here[name], version)
        if name in board.metrics and (lacking := family_of(name).check()):
            yield f"metric {name}: it cannot be measured here: {lacking}"


def _codec(board: Board, plan: Plan, recipe: Recipe) -> Iterator[str]:
    what = f"codec {recipe.name}"
    yield from _differs(f"{what}: intra period", recipe.intra_periods.coded(plan.intra_period), board.intra_period)
    yield from _differs(f"{what}: rate source", recipe.rate_source, "file")
    if board.structure and recipe.structure not in board.structure:
        yield f"{what}: structure {recipe.structure}, the board admits {', '.join(board.structure)}"
    if board.max_delay is not None and (recipe.delay is None or recipe.delay > board.max_delay):
        delay = "unknown" if recipe.delay is None else f"{recipe.delay} frames"
        variant = " (a :lowdelay variant may do)" if ":" not in recipe.name else ""
        yield f"{what}: delay {delay}, the board admits {board.max_delay}{variant}"


def _differs(what: str, here: object, pinned: object) -> Iterator[str]:
    if here != pinned:
        yield f"{what}: {here} here, {pinned} on the board"


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _refused(board: Board, what: str, wrong: Iterable[str], fix: str) -> EvalError:
    return RequestError(what, where=f"board {board.name}, version {board.version}", got="\n    ".join(wrong), fix=fix)
