"""Whether the anchor in an entry is the board's: half of every BD-rate is its curve, and its frames are not there.

The anchor has entries of its own, with frames. What an entry says of it is held against them: the same program with the
same recipe, the same bitstreams, and the same scores of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.results.board import Board
from evalsuite.results.entry import Entry
from evalsuite.results.entry_check import Fault
from evalsuite.results.load import RunResults, read_run
from evalsuite.results.plausible_frames import FrameSets, frame_sets, sparse_faults
from evalsuite.results.plausible_scores import said

_NEAR = 1e-4
"""Difference of scores of one bitstream, relative above 1, that another machine's arithmetic may make."""

_FACTS = ("preset", "version", "recipe_sha256", "binary_sha256", "files")
"""What makes an anchor the same codec."""

_KEY = ["cell_key", "metric", "metric_version", "statistic"]
_OF_MACHINE = "complexity"
"""The family of what is another number on every machine."""

_FIX = "run the board again with the anchor that it has (docs/publishing.md), and add that run"
_FIRST = "add the entry of the anchor too: `evalsuite publish --add RUN` makes it of the same run"


@dataclass(frozen=True, slots=True, eq=False)
class _Anchor:
    """An entry of the anchor, in short: itself and no other, whatever two of them have in common."""

    age: tuple[str, str]
    """Date and id, which order entries of one date too."""
    board: Mapping[str, str | int]
    facts: tuple[str, ...]
    points: pd.DataFrame
    frames: FrameSets


def anchor_faults(entries: Sequence[Entry], board: Board) -> list[Fault]:
    """What entries say of the anchor that its own entries do not.

    Args:
        entries: of the board, each of them without a fault of its own.
        board: the protocol; entries of its earlier versions may have an anchor that has no entry.
    """
    anchors = [_anchor(entry) for entry in entries if entry.manifest.is_anchor]
    anchors.sort(key=lambda one: one.age)
    faults = []
    for entry in entries:
        name, run = f"{board.name}/{entry.folder.name}", read_run(entry.folder)
        if entry.manifest.is_anchor:
            points = _points(run, entry.manifest.codec)
            earlier = [one for one in anchors if one.age < _age(entry)]
            found = [(text, _FIX) for one in earlier for text in _scores(entry.manifest.codec, points, one.points)]
        else:
            found = list(_faults(entry, run, board, anchors))
        faults += [Fault(name, text, fix) for text, fix in found]
    return faults


def _age(entry: Entry) -> tuple[str, str]:
    return entry.manifest.date, entry.manifest.id


def _anchor(entry: Entry) -> _Anchor:
    run = read_run(entry.folder)
    points = _points(run, entry.manifest.anchor)
    return _Anchor(_age(entry), entry.manifest.board, _facts(run, entry.manifest.anchor), points, frame_sets(run))


def _faults(entry: Entry, run: RunResults, board: Board, anchors: Sequence[_Anchor]) -> Iterator[tuple[str, str]]:
    name, points = entry.manifest.anchor, _points(run, entry.manifest.anchor)
    for one in anchors:
        yield from ((text, _FIX) for text in _scores(name, points, one.points))
    if entry.manifest.board != board.stamp:
        return
    current = [one for one in anchors if one.board == board.stamp]
    if not current:
        yield f"the board has no entry of its anchor {name}", _FIRST
        return
    facts = _facts(run, name)
    same = [one for one in current if one.facts == facts]
    if not same:
        odd = [key for key, mine, theirs in zip(_FACTS, facts, current[-1].facts, strict=True) if mine != theirs]
        yield f"anchor {name}: another {', '.join(odd)} than in the board's own entry of it", _FIX
        return
    newest, since = current[-1], current[-1].age[0]
    if newest not in same and entry.manifest.date >= since:
        yield f"anchor {name}: the board has a newer one since {since}", _FIX
    yield from ((text, _FIX) for text in _cells(name, points, same))
    # The anchor's own entry tells which frames of a source have a face or a text at all.
    for one in same:
        yield from ((text, _FIX) for text in sparse_faults(run, one.frames))


def _cells(name: str, points: pd.DataFrame, same: Sequence[_Anchor]) -> Iterator[str]:
    """One codec makes one set of bitstreams by one protocol."""
    mine = set(points["cell_key"])
    known = [set(one.points["cell_key"]) for one in same]
    if mine not in known:
        nearest = min((mine ^ cells for cells in known), key=len)
        yield f"anchor {name}: {len(nearest)} bitstreams more or fewer than in the board's own entry of it"


def _scores(name: str, mine: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    """One bitstream has one size and one set of scores, wherever it stands."""
    for key in ("cell_key", "bitstream_sha256"):
        columns = [key, "sequence", "source_sha256", *_KEY[1:]]
        both = mine[mine[key].notna()].merge(theirs, on=columns, suffixes=("", "_theirs"))
        for row in both.to_dict("records"):
            at = f"anchor {name} on {row['sequence']}, q {said(row['q'])}"
            if str(row["bytes"]) != str(row["bytes_theirs"]):
                yield f"{at}: {said(row['bytes'])} bytes, {said(row['bytes_theirs'])} in its own entry"
                break
            if row["status"] != row["status_theirs"] or not _equal(row["score"], row["score_theirs"]):
                shown = [said(row[f"{one}{of}"]) for of in ("", "_theirs") for one in ("score", "status")]
                yield (
                    f"{at}: {row['metric']} {row['statistic']} is {shown[0]} ({shown[1]}), "
                    f"{shown[2]} ({shown[3]}) in its own entry"
                )
                break


def _points(run: RunResults, anchor: str) -> pd.DataFrame:
    """What must be the same wherever the anchor stands."""
    of_machine = {one["name"] for one in run.summary["metrics"] if one["family"] == _OF_MACHINE}
    rows = run.points[(run.points["codec"] == anchor) & ~run.points["metric"].isin(of_machine)]
    kept = rows[["sequence", "source_sha256", "q", "bytes", "bitstream_sha256", "score", "status", *_KEY]]
    # A cell that stands there twice, for two targets, is one.
    return kept.drop_duplicates(_KEY)


def _facts(run: RunResults, codec: str) -> tuple[str, ...]:
    told: Mapping[str, Any] = next(one for one in run.summary["codecs"] if one["name"] == codec)
    return tuple(repr(sorted(value.items()) if isinstance(value := told[key], dict) else value) for key in _FACTS)


def _equal(mine: Any, theirs: Any) -> bool:
    if pd.isna(mine) or pd.isna(theirs):
        return bool(pd.isna(mine) and pd.isna(theirs))
    return math.isclose(mine, theirs, rel_tol=_NEAR, abs_tol=_NEAR) or bool(mine == theirs)
