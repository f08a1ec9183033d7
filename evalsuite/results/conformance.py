"""Whether a run keeps to a board: every difference between the two, in words.

What a run says is taken at its word, and both of its files must say it: whether its numbers can be true is another
question. A point far from its target, or a cell that failed, is a result and no difference; one that is left out is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import pandas as pd

from evalsuite.results.board import Board, PinnedSequence, dataset_name
from evalsuite.results.comparable import UNKNOWN, said, shortened
from evalsuite.results.load import RunResults

_SAME = 1e-6
"""Relative difference within which two rates are one target: above the noise of a float, below any purpose."""

_AGREE = ("width", "height", "frames")


def deviations(board: Board, run: RunResults) -> list[str]:
    """Every difference between a run and the protocol of a board; none makes the run an entry.

    Args:
        board: the protocol.
        run: as read from its folder; its points may be of any number of codecs, the anchor among them.
    """
    checks = (_stamp, _request, _sequences, _codecs, _versions, _targets, _points, _scores, _failures)
    return list(dict.fromkeys(line for check in checks for line in check(board, run)))


def stamp_of(run: RunResults) -> Mapping[str, Any]:
    """What a run says of the board that it was made by; empty where it was made without one."""
    stamp = run.summary["request"].get("board")
    return stamp if isinstance(stamp, dict) else {}


def _stamp(board: Board, run: RunResults) -> Iterator[str]:
    stamp = stamp_of(run)
    # A run without a stamp, or with another board's, is judged by what was done.
    if stamp.get("name") != board.name:
        return
    if stamp.get("version") != board.version:
        yield f"board: made for version {said(stamp.get('version'))} of {board.name}, this is version {board.version}"
    elif stamp.get("sha256") != board.sha256:
        yield f"board: made for another protocol that calls itself version {board.version} of {board.name} too"


def _request(board: Board, run: RunResults) -> Iterator[str]:
    request = run.summary["request"]
    wanted = {"intra_period": board.intra_period, "threads": board.threads, "anchor": board.anchor}
    for key, value in wanted.items():
        yield from _differs(f"request: {key.replace('_', ' ')}", [request.get(key)], value)
    if request.get("hull"):
        yield "request: hulls of variants were made codecs; a board has codecs that were run"
    if board.anchor not in _codecs_of(run):
        yield f"anchor: {board.anchor} is not a codec of the run"


def _sequences(board: Board, run: RunResults) -> Iterator[str]:
    told = {str(one.get("name")): one for one in run.summary["sequences"]}
    rows = dict(iter(run.points.groupby("sequence")))
    pinned = {one.name: one for one in board.sequences}
    for name in pinned:
        if name not in told:
            yield f"sequence {name}: missing"
    for name in sorted({*told, *map(str, rows)} - set(pinned)):
        yield f"sequence {name}: not one of the board's"
    for name, one in pinned.items():
        if name in told:
            yield from _sequence(board, one, told[name], rows.get(name, run.points[:0]))


def _sequence(board: Board, pinned: PinnedSequence, told: Mapping[str, Any], rows: pd.DataFrame) -> Iterator[str]:
    what = f"sequence {pinned.name}"
    yield from _differs(f"{what}: source sha256", [told.get("sha256"), *rows["source_sha256"]], pinned.sha256)
    yield from _differs(f"{what}: dataset", [told.get("dataset"), *rows["dataset"]], dataset_name(board.dataset))
    yield from _differs(f"{what}: colour", [told.get("colour")], pinned.colour)
    if board.frames is not None:
        yield from _differs(f"{what}: frames", [told.get("frames")], board.frames)
    for column in _AGREE:
        # The digest vouches for the summary's, in which the board has no say.
        if odd := _texts(rows[column]) - {said(told.get(column))}:
            yield f"{what}: {column} {_shown(odd)} in results.parquet, {said(told.get(column))} in summary.json"


def _codecs(board: Board, run: RunResults) -> Iterator[str]:
    told = {str(one.get("name")): one for one in run.summary["codecs"]}
    for codec, rows in run.points.groupby("codec"):
        if codec not in told:
            yield f"codec {codec}: in results.parquet, not in summary.json"
        entry = told.get(str(codec), {})
        values = {
            column: [*rows[column], *([entry.get(column)] if entry else [])]
            for column in ("intra_period", "threads", "structure", "delay", "rate_source")
        }
        yield from _differs(f"codec {codec}: intra period", values["intra_period"], board.intra_period)
        yield from _differs(f"codec {codec}: threads", values["threads"], board.threads)
        yield from _differs(f"codec {codec}: rate source", values["rate_source"], "file")
        if board.structure and (odd := _texts(values["structure"]) - set(board.structure)):
            yield f"codec {codec}: structure {_shown(odd)}, the board admits {', '.join(board.structure)}"
        if board.max_delay is not None:
            admitted = {said(frames) for frames in range(board.max_delay + 1)}
            if odd := _texts(values["delay"]) - admitted:
                yield f"codec {codec}: delay of {_shown(odd)} frames, the board admits {board.max_delay}"


def _versions(board: Board, run: RunResults) -> Iterator[str]:
    told = {str(one.get("name")): one.get("version") for one in run.summary["metrics"]}
    versions = run.points.groupby("metric")["metric_version"].unique()
    for name, version in board.versions.items():
        if name not in told:
            yield f"metric {name}: missing"
        else:
            yield from _differs(f"metric {name}: version", [told[name], *versions.get(name, ())], version)


def _targets(board: Board, run: RunResults) -> Iterator[str]:
    """Every codec has every target on every sequence, or a failure that says why it has none."""
    failed = {_key(one)[:2] for one in run.summary["failures"]}
    matched: dict[tuple[str, str], list[object]] = {}
    for row in run.summary["rate_match"]:
        matched.setdefault(_key(row)[:2], []).append(row.get("target_bpp"))
    for codec in _codecs_of(run):
        for sequence, targets in _wanted(board, run).items():
            found = matched.get((codec, sequence), [])
            if not found and (codec, sequence) in failed:
                continue
            for target in targets:
                if not any(_is_near(one, target) for one in found):
                    yield f"{codec} on {sequence}: nothing was matched to {target:.6g} bpp"
            for one in found:
                if not any(_is_near(one, target) for target in targets):
                    yield f"{codec} on {sequence}: matched to {_rate(one)}, which is no target of the board"


def _points(board: Board, run: RunResults) -> Iterator[str]:
    """The points are those that the matching chose, each for a target."""
    points = {
        (str(codec), str(sequence), float(q)): rows  # type: ignore[arg-type]
        for (codec, sequence, q), rows in run.points.groupby(["codec", "sequence", "q"])
    }
    failed = {_key(one) for one in run.summary["failures"]}
    chosen = {_key(one) for one in run.summary["rate_match"]}
    for codec, sequence, q in sorted(chosen - set(points) - failed, key=str):
        yield f"{codec} on {sequence}: no rate point at q {_number(q)}, and no failure that says why"
    wanted = _wanted(board, run)
    for key, rows in points.items():
        codec, sequence, q = key
        if key in failed:
            continue
        if key not in chosen:
            yield f"{codec} on {sequence}: the rate point at q {_number(q)} was matched to nothing"
        for target in rows["target_bpp"].unique():
            if sequence in wanted and not any(_is_near(target, one) for one in wanted[sequence]):
                yield f"{codec} on {sequence}: a rate point for {_rate(target)}, which is no target of the board"


def _scores(board: Board, run: RunResults) -> Iterator[str]:
    """Every rate point has a row for every metric, and none lacks a score for want of a program."""
    means = run.points[run.points["statistic"] == "mean"]
    lacking: dict[str, dict[str, None]] = {}
    for key, rows in run.points.groupby(["codec", "sequence", "q"], dropna=False):
        here = " on ".join(map(str, key[:2]))
        has = means.loc[rows.index.intersection(means.index)]
        for name in board.versions.keys() - set(has["metric"]):
            lacking.setdefault(f"metric {name}: no row", {})[here] = None
        unavailable = has[(has["status"] == "unavailable") & has["metric"].isin(board.versions)]
        for metric, reason in zip(unavailable["metric"], unavailable["reason"], strict=True):
            lacking.setdefault(f"metric {metric}: unavailable ({reason})", {})[here] = None
    for what, where in sorted(lacking.items()):
        yield f"{what}: {', '.join(where)}"


def _failures(_: Board, run: RunResults) -> Iterator[str]:
    """What failed is in both files."""
    rows = run.points[run.points["status"] == "failed"]
    shown = set(zip(rows["codec"], rows["sequence"], strict=True))
    for codec, sequence, _q in map(_key, run.summary["failures"]):
        if (codec, sequence) not in shown:
            yield f"{codec} on {sequence}: a failure that results.parquet does not show"
    counted = run.summary["outcomes"].get("failed")
    if counted != len(run.summary["failures"]):
        yield f"failures: {said(counted)} were counted, {len(run.summary['failures'])} are listed"


def _key(row: Mapping[str, Any]) -> tuple[str, str, float | None]:
    q = row.get("q")
    return str(row.get("codec")), str(row.get("sequence")), q if isinstance(q, int | float) else None


def _codecs_of(run: RunResults) -> list[str]:
    return sorted({str(one.get("name")) for one in run.summary["codecs"]} | set(run.points["codec"]))


def _wanted(board: Board, run: RunResults) -> dict[str, list[float]]:
    """The targets in bpp of each sequence that both have."""
    pinned = {one.name for one in board.sequences}
    return {
        str(one["name"]): [value * _per_unit(board, one) for value in board.targets]
        for one in run.summary["sequences"]
        if str(one.get("name")) in pinned
    }


def _per_unit(board: Board, told: Mapping[str, Any]) -> float:
    if board.unit == "bpp":
        return 1.0
    try:
        return float(1000 / (told["width"] * told["height"] * Fraction(told["frame_rate"])))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return math.nan  # equals no target: a run that does not say its geometry has none of a board's


def _differs(what: str, found: Iterable[object], wanted: object) -> Iterator[str]:
    if odd := _texts(found) - {said(wanted)}:
        yield f"{what} {_shown(odd)}, the board has {said(wanted)}"


def _texts(values: Iterable[object]) -> set[str]:
    return {said(value) for value in values}


def _shown(texts: Iterable[str]) -> str:
    return "/".join(shortened(text) for text in sorted(texts))


def _is_near(value: object, target: float) -> bool:
    return isinstance(value, int | float) and math.isclose(value, target, rel_tol=_SAME)


def _rate(value: object) -> str:
    return f"{_number(value)} bpp" if said(value) != UNKNOWN else "no target"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else said(value)
