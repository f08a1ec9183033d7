"""Tables from rate points: BD-rate per sequence and over sequences.

BD-rate is computed per sequence and then averaged; curves are never averaged. A comparison that is refused stays in
the table with its reason, and every mean says how many sequences it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pandas as pd

from evalsuite.errors import RequestError, StoreError, did_you_mean
from evalsuite.results.bdrate import BDResult, check_request, compare_curves
from evalsuite.results.bdrows import BDRow, Likeness, bd_row, mean_row, not_alike, with_caveats
from evalsuite.results.comparable import rate_caveats
from evalsuite.results.curve import Method
from evalsuite.results.profile import other_formula
from evalsuite.results.sides import CurveTable, Scale, Side

_AVERAGED = "the curve is an average over sequences, which the sequences with the highest rates rule"


def bd_table(points: pd.DataFrame, anchor: str, *, method: Method = "pchip") -> list[BDRow]:
    """BD-rate of every other codec against the anchor: for each metric, rows per sequence, then the `*` row.

    A metric without a direction has none. Sequences that only a publication has are left out, and so are metrics that
    it lacks: it covers more sequences than anyone runs, and fewer metrics.

    Args:
        points: rows of results.parquet (`docs/results.md`); only `statistic == "mean"` makes curves.
        anchor: a codec of the table; where one codec has several presets, `codec/preset`.
        method: how curves run between points, see `bdrate.bd_rate`.

    Raises:
        RequestError: the anchor is not in the table.
        StoreError: one metric in two versions, with two directions or two ceilings.
    """
    compared = _Compared(points, method)
    if anchor not in compared.names:
        raise RequestError(f"the anchor {anchor!r} is not among the results", fix=did_you_mean(anchor, compared.names))
    return [
        row
        for metric in compared.metrics
        for test in compared.names
        if test != anchor
        for row in compared.rows(metric, anchor, test)
    ]


def all_pairs(points: pd.DataFrame, *, method: Method = "pchip") -> Iterator[tuple[str, list[BDRow]]]:
    """BD-rate of every codec against every other, a metric at a time: all at once would fill the memory.

    Args:
        points: as of `bd_table`.
        method: likewise.

    Yields:
        A metric, and for each pair of codecs rows per sequence, then the `*` row.

    Raises:
        StoreError: as `bd_table` does.
    """
    compared = _Compared(points, method)
    for metric in compared.metrics:
        pairs = permutations(compared.names, 2)
        yield metric, [row for anchor, test in pairs for row in compared.rows(metric, anchor, test)]


class _Compared:
    """The curves of a table, and the rows of any two codecs of it by any metric that has a direction."""

    def __init__(self, points: pd.DataFrame, method: Method) -> None:
        means = points[points["statistic"] == "mean"]
        labels = _labels(means)
        self.names = sorted(set(labels))
        self._method = method
        self._table = CurveTable(means, labels)
        self._sequences: dict[tuple[str, str], set[str]] = {}
        for metric, label, sequence in self._table.places:
            self._sequences.setdefault((metric, label), set()).add(sequence)
        self._published = {
            str(label) for label, group in means.groupby(labels) if (group["rate_source"] == "published").all()
        }
        self.metrics: dict[str, Scale] = {}
        for metric in sorted(set(means["metric"])):
            of_metric = means[means["metric"] == metric]
            higher, ceiling = _one(of_metric, "higher_is_better"), _one(of_metric, "log_domain_ceiling")
            _one(of_metric, "metric_version")
            if higher is not None:  # else it describes: no rate is saved at the same masked share
                self.metrics[metric] = Scale(bool(higher), None if ceiling is None else float(ceiling))
                check_request(method, *self.metrics[metric])

    def rows(self, metric: str, anchor: str, test: str) -> list[BDRow]:
        """Rows per sequence, then the `*` row; none where only a publication has or lacks what is compared."""
        if any((metric, side) not in self._sequences for side in self._published & {anchor, test}):
            return []
        both = self._sequences.get((metric, anchor), set()) | self._sequences.get((metric, test), set())
        rows = []
        for sequence in sorted(both):
            ours, theirs = (self._table.side((metric, label, sequence)) for label in (anchor, test))
            if _only_published(ours, theirs):
                continue
            compared = _compare(self._table, ours, theirs, self.metrics[metric], self._method)
            rows.append(bd_row(metric, anchor, test, sequence, *compared))
        return [*rows, mean_row(rows)] if rows else []


def _only_published(*sides: Side | None) -> bool:
    held = [side for side in sides if side is not None]
    return len(held) == 1 and held[0].published


def _labels(points: pd.DataFrame) -> pd.Series[str]:
    presets = points.groupby("codec")["preset"].transform("nunique")
    return points["codec"].where(presets <= 1, points["codec"] + "/" + points["preset"])


def _one(points: pd.DataFrame, column: str) -> Any:
    """The column's one value, None for null."""
    values = points[column].drop_duplicates()
    if len(values) > 1:
        raise StoreError(
            f"results of one metric disagree about {column}",
            where=str(points["metric"].iloc[0]),
            expected="one value",
            got=", ".join(map(str, values)),
            fix="the runs were made with different versions of the metric: compare runs of one version",
        )
    value = values.iloc[0]
    return None if value != value else value


def _compare(
    table: CurveTable, anchor: Side | None, test: Side | None, scale: Scale, method: Method
) -> tuple[BDResult, Likeness | None]:
    if anchor is None or test is None:
        return BDResult("refused", f"the {'anchor' if anchor is None else 'test codec'} has no points here"), None
    sides = (("anchor", anchor), ("test", test))
    caveats = [f"{name}: {said}" for name, side in sides if (said := _without_score(side))]
    found = table.likeness(anchor, test)
    if unlike := table.other_content(anchor, test):
        return BDResult("refused", f"not the same content: {unlike}"), found
    for name, side in sides:
        if several := table.mixed(side):
            return BDResult("refused", f"the {name} mixes codecs: {several}"), found
    if other := other_formula(reason for side in (anchor, test) for reason in side.reasons[side.statuses == "ok"]):
        return BDResult("refused", other), found
    result = compare_curves(table.curve(anchor, scale), table.curve(test, scale), method)
    if found.unlike:
        caveats.insert(0, not_alike(found.unlike))
    caveats += rate_caveats(found)
    if table.by_name(anchor, test):
        caveats.append("content matched by name, size and frames, not by digest")
    if table.averaged(anchor, test):
        caveats.append(_AVERAGED)
    return with_caveats(result, caveats), found


def _without_score(side: Side) -> str:
    if side.on_curve.all():
        return ""
    left = ~side.on_curve
    counts = Counter(
        f"{status} ({reason})" if reason else str(status)
        for status, reason in zip(side.statuses[left], side.reasons[left], strict=True)
    )
    return ", ".join(f"{count} {said}" for said, count in counts.items())
