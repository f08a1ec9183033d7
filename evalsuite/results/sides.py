"""The curves of a results table by metric, codec and sequence; what many of them share is found out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.results.bdrows import Likeness
from evalsuite.results.comparable import CONTENT_COLUMNS, PROPERTIES, likeness, matched_by_name, mixed, other_content
from evalsuite.results.curve import Curve, make_curve

CURVE_STATUSES = ("ok", "infinite", "nan")
_SAME_CODEC = ("codec_version", "threads", "intra_period")

Place = tuple[str, str, str]
"""Metric, codec and sequence."""


class Scale(NamedTuple):
    """What a comparison must know of a metric."""

    higher_is_better: bool
    log_domain_ceiling: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """The rows of one codec's curve on one sequence by one metric."""

    place: Place
    rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    on_curve: NDArray[np.bool_]
    """Which of the rows have a score."""
    statuses: NDArray[np.object_]
    reasons: NDArray[np.object_]
    kinds: tuple[int, ...]
    """Which of the table's distinct codec properties the rows have."""
    curve_kinds: tuple[int, ...]
    """The same of the rows that have a score."""
    contents: tuple[int, ...]
    """Which of the table's distinct contents they have."""
    published: bool


class CurveTable:
    """Curves of a table by metric, codec and sequence; what is the same for many of them is found out once."""

    def __init__(self, means: pd.DataFrame, labels: pd.Series[str]) -> None:
        kind_columns, content_columns = [*PROPERTIES, *_SAME_CODEC], [*CONTENT_COLUMNS, "tags"]
        self._kinds, self._kind_ids = _distinct(means, list(dict.fromkeys(kind_columns)))
        self._contents, self._content_ids = _distinct(means, content_columns)
        self._rates = means["bpp"].to_numpy(dtype=float, na_value=np.nan)
        self._scores = means["score"].to_numpy(dtype=float, na_value=np.nan)
        self._statuses = means["status"].to_numpy(dtype=object)
        self._reasons = means["reason"].to_numpy(dtype=object)
        self._on_curve = means["status"].isin(CURVE_STATUSES).to_numpy()
        self._published = (means["rate_source"] == "published").to_numpy()
        keys = [means["metric"], labels, means["sequence"]]
        self.places: dict[Place, NDArray[np.intp]] = cast(Any, means.groupby(keys, sort=False).indices)
        self._curves: dict[Place, Curve] = {}
        self._alike: dict[tuple[tuple[int, ...], tuple[int, ...]], Likeness] = {}
        self._said: dict[tuple[str, tuple[int, ...], tuple[int, ...]], str] = {}

    def side(self, place: Place) -> Side | None:
        """The rows of a curve; None where there are none."""
        if place not in self.places:
            return None
        rows = self.places[place]
        on_curve = self._on_curve[rows]
        kinds = self._kind_ids[rows]
        return Side(
            *(place, self._rates[rows], self._scores[rows], on_curve, self._statuses[rows], self._reasons[rows]),
            kinds=tuple(sorted(set(kinds.tolist()))),
            curve_kinds=tuple(sorted(set(kinds[on_curve].tolist()))),
            contents=tuple(sorted(set(self._content_ids[rows][on_curve].tolist()))),
            published=bool(self._published[rows].all()),
        )

    def curve(self, side: Side, scale: Scale) -> Curve:
        """The curve of a side; the anchor's is in many comparisons."""
        if side.place not in self._curves:
            self._curves[side.place] = make_curve(
                side.rates[side.on_curve],
                side.scores[side.on_curve],
                higher_is_better=scale.higher_is_better,
                log_domain_ceiling=scale.log_domain_ceiling,
            )
        return self._curves[side.place]

    def likeness(self, anchor: Side, test: Side) -> Likeness:
        """What is unlike between two curves."""
        key = anchor.kinds, test.kinds
        if key not in self._alike:
            self._alike[key] = likeness(*(self._kinds.iloc[list(ids)] for ids in key))
        return self._alike[key]

    def other_content(self, anchor: Side, test: Side) -> str:
        """What says that two curves are not of the same content; empty where they are."""
        return self._say("other", anchor.contents, test.contents, lambda a, t: other_content(a, t))

    def by_name(self, anchor: Side, test: Side) -> bool:
        """Whether their content was matched by name alone."""
        return bool(self._say("by name", anchor.contents, test.contents, lambda a, t: "x" * matched_by_name(a, t)))

    def averaged(self, anchor: Side, test: Side) -> bool:
        """Whether either is an average over sequences."""
        return bool(self._say("averaged", anchor.contents, test.contents, _averaged))

    def mixed(self, side: Side) -> str:
        """What a curve has in several values where it should have one; empty for none."""
        key = "mixed", side.curve_kinds, ()
        if key not in self._said:
            self._said[key] = mixed(self._kinds.iloc[list(side.curve_kinds)], _SAME_CODEC)
        return self._said[key]

    def _say(
        self,
        what: str,
        anchor: tuple[int, ...],
        test: tuple[int, ...],
        find: Callable[[pd.DataFrame, pd.DataFrame], str],
    ) -> str:
        key = what, anchor, test
        if key not in self._said:
            self._said[key] = find(self._contents.iloc[list(anchor)], self._contents.iloc[list(test)])
        return self._said[key]


def _averaged(anchor: pd.DataFrame, test: pd.DataFrame) -> str:
    return "averaged" if any("averaged" in tags.split(",") for side in (anchor, test) for tags in side["tags"]) else ""


def _distinct(means: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """The distinct rows of some columns, and which of them each row is."""
    # As text: every kind of null is one, and columns of any type group.
    ids = means[columns].astype("string").fillna("").groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(ids, return_index=True)[1]
    return means[columns].iloc[first], ids.astype(np.intp)
