"""Tables from rate points: BD-rate per sequence and over sequences.

BD-rate is computed per sequence and then averaged; curves are never averaged. A comparison that is refused stays in
the table with its reason, and every mean says how many sequences it holds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from evalsuite.errors import RequestError, StoreError, did_you_mean
from evalsuite.results.bdrate import BDResult, Method, bd_rate
from evalsuite.results.bdrows import BDRow, Likeness, bd_row, mean_row, not_alike, with_caveats
from evalsuite.results.comparable import likeness, matched_by_name, mixed, other_content, rate_caveats
from evalsuite.results.profile import formula_of

_CURVE_STATUSES = ("ok", "infinite", "nan")
_SAME_CODEC = ("codec_version", "threads", "intra_period")
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
    means = points[points["statistic"] == "mean"]
    labels = _labels(means)
    names = sorted(set(labels))
    if anchor not in names:
        raise RequestError(f"the anchor {anchor!r} is not among the results", fix=did_you_mean(anchor, names))
    curves = {
        (str(metric), str(label), str(sequence)): group
        for (metric, label, sequence), group in means.groupby(["metric", labels, "sequence"], sort=True)
    }
    scored = {(metric, label) for metric, label, _ in curves}
    published = {str(label) for label, group in means.groupby(labels) if (group["rate_source"] == "published").all()}
    rows: list[BDRow] = []
    for metric in sorted(set(means["metric"])):
        of_metric = means[means["metric"] == metric]
        higher, ceiling = _one(of_metric, "higher_is_better"), _one(of_metric, "log_domain_ceiling")
        _one(of_metric, "metric_version")
        if higher is None:
            continue  # it describes: no rate is saved at the same masked share
        for test in (name for name in names if name != anchor):
            if any((metric, side) not in scored for side in published & {anchor, test}):
                continue
            sequences = sorted({s for m, label, s in curves if m == metric and label in (anchor, test)})
            per_sequence = []
            for sequence in sequences:
                sides = curves.get((metric, anchor, sequence)), curves.get((metric, test, sequence))
                if _only_published(*sides):
                    continue
                result, likeness = _compare(
                    *sides,
                    higher_is_better=bool(higher),
                    method=method,
                    log_domain_ceiling=None if ceiling is None else float(ceiling),
                )
                per_sequence.append(bd_row(metric, anchor, test, sequence, result, likeness))
            if per_sequence:
                rows += [*per_sequence, mean_row(per_sequence)]
    return rows


def _only_published(*sides: pd.DataFrame | None) -> bool:
    held = [side for side in sides if side is not None]
    return len(held) == 1 and bool((held[0]["rate_source"] == "published").all())


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
    anchor: pd.DataFrame | None,
    test: pd.DataFrame | None,
    *,
    higher_is_better: bool,
    method: Method,
    log_domain_ceiling: float | None,
) -> tuple[BDResult, Likeness | None]:
    if anchor is None or test is None:
        return BDResult("refused", f"the {'anchor' if anchor is None else 'test codec'} has no points here"), None
    sides = (("anchor", anchor), ("test", test))
    caveats = [f"{name}: {said}" for name, side in sides if (said := _without_score(side))]
    found = likeness(anchor, test)
    anchor, test = (side[side["status"].isin(_CURVE_STATUSES)] for side in (anchor, test))
    if unlike := other_content(anchor, test):
        return BDResult("refused", f"not the same content: {unlike}"), found
    for name, side in (("anchor", anchor), ("test", test)):
        if several := mixed(side, _SAME_CODEC):
            return BDResult("refused", f"the {name} mixes codecs: {several}"), found
    if other := _other_formula(anchor, test):
        return BDResult("refused", f"not the same formula: {other}"), found
    result = bd_rate(
        anchor["bpp"].to_numpy(dtype=float),
        anchor["score"].to_numpy(dtype=float),
        test["bpp"].to_numpy(dtype=float),
        test["score"].to_numpy(dtype=float),
        higher_is_better=higher_is_better,
        method=method,
        log_domain_ceiling=log_domain_ceiling,
    )
    if found.unlike:
        caveats.insert(0, not_alike(found.unlike))
    caveats += rate_caveats(found)
    if matched_by_name(anchor, test):
        caveats.append("content matched by name, size and frames, not by digest")
    if any("averaged" in tags.split(",") for side in (anchor, test) for tags in side["tags"]):
        caveats.append(_AVERAGED)
    return with_caveats(result, caveats), found


def _other_formula(anchor: pd.DataFrame, test: pd.DataFrame) -> str:
    """How the formulas of a profile's scores differ; empty where they are one."""
    good = (side[side["status"] == "ok"]["reason"] for side in (anchor, test))
    found = sorted({formula_of(reason) for reasons in good for reason in reasons})
    return " against ".join(one or "with all metrics" for one in found) if len(found) > 1 else ""


def _without_score(side: pd.DataFrame) -> str:
    left = side[~side["status"].isin(_CURVE_STATUSES)]
    counts = Counter(
        f"{status} ({reason})" if reason else str(status)
        for status, reason in zip(left["status"], left["reason"], strict=True)
    )
    return ", ".join(f"{count} {said}" for said, count in counts.items())
