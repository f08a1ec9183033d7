"""Whether a run's metrics are the installed ones, and its profiles what their formulas make of the other scores."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from evalsuite import resources
from evalsuite.metrics.pooling import Pooled
from evalsuite.metrics.registry import infos
from evalsuite.results.load import RunResults
from evalsuite.results.plausible_scores import ROUNDING, SCORED, number, said
from evalsuite.results.profile import PREFIX, Profile, formula_of, load_profile
from evalsuite.types import MetricInfo

_FACTS = ("family", "unit", "higher_is_better", "log_domain_ceiling", "range", "per_frame")
"""What BD-rates and checks depend on, and a version of a metric stands for."""

_OF_ROWS = {
    "unit": "unit",
    "higher_is_better": "higher_is_better",
    "log_domain_ceiling": "log_domain_ceiling",
    "metric_version": "version",
}
"""Columns of the points, and the facts that they repeat."""

_OF_DECODED = ("faces", "text", "objects")
"""Families that another codec of the run may have lacked, so that their terms dropped out for this one, too."""

_WITHOUT = re.compile(r"without ([^()]+)")


def implausible_facts(run: RunResults) -> Iterator[str]:
    """Every reason that what a run says of its metrics is not so."""
    metrics = run.summary["metrics"]
    told = {str(one["name"]): one for one in metrics}
    if len(told) < len(metrics):
        yield "summary.json: a metric stands there twice"
    for name, rows in run.points.groupby("metric"):
        if (one := told.get(str(name))) is None:
            yield f"metric {name}: in results.parquet, not in summary.json"
            continue
        for column, key in _OF_ROWS.items():
            if odd := {_plain(value) for value in rows[column].unique()} - {_plain(one[key])}:
                found = "/".join(sorted(map(str, odd)))
                yield f"metric {name}: {column} {found} in results.parquet, {one[key]} in summary.json"
    profiles = _profiles()
    for name, one in told.items():
        profile = profiles.get(name)
        ours = profile.info if profile else infos().get(name)
        if ours is None or ours.version != one["version"]:
            continue
        facts = _facts(ours)
        for key in _FACTS:
            if key in one and _plain(one[key]) != facts[key]:
                yield f"metric {name}: {key} is {one[key]}, version {ours.version} has {facts[key]}"
        if profile:
            yield from _profile(run, profile)


def _facts(info: MetricInfo) -> dict[str, object]:
    ends = tuple(None if math.isinf(end) else float(end) for end in info.range)
    return {**{key: _plain(getattr(info, key)) for key in _FACTS}, "range": ends}


def _plain(value: Any) -> object:
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, str | bool) or value is None:
        return value
    if pd.isna(value):
        return None
    return bool(value) if str(getattr(value, "dtype", "")) == "bool" else float(value)


def _profiles() -> Mapping[str, Profile]:
    """The profiles there are, by the names of their metrics; an entry has no say in which file is opened."""
    return {f"{PREFIX}{name}": load_profile(name) for name in resources.available("profiles")}


def _profile(run: RunResults, profile: Profile) -> Iterator[str]:
    """A profile's score is what its formula makes of the means of the same bitstream."""
    metric = profile.info.name
    families = {str(one["name"]): str(one["family"]) for one in run.summary["metrics"]}
    # What has no row would count as nothing, in the codec as in the anchor.
    means = run.points[(run.points["statistic"] == "mean") & (run.points["status"] != "failed")]
    for sequence, rows in means.groupby("sequence"):
        told = rows[rows["metric"] == metric].drop_duplicates("cell_key").set_index("cell_key")
        cells = {
            str(key): {
                str(row["metric"]): Pooled("mean", number(row["score"]), row["status"], str(row["reason"] or ""))
                for row in group.to_dict("records")
            }
            for key, group in rows.groupby("cell_key")
        }
        if not len(told):
            continue
        if set(told.index) != set(cells):
            yield f"{metric} on {sequence}: {len(set(cells) - set(told.index))} rate points have none"
            continue
        for name in _dropped(told, families):
            for one in cells.values():
                one.pop(name, None)
        ours = profile.scores(list(cells.values()))
        for key, found in zip(cells, ours, strict=True):
            row = told.loc[[key]].to_dict("records")[0]
            if not _agrees(row, found):
                at = f"{row['codec']} on {sequence}, q {said(row['q'])}"
                shown = said(found.score) if found.status in SCORED else found.status
                yield f"{at}: {metric} is {said(row['score'])}, but {shown} {formula_of(found.reason)} by its formula"


def _dropped(told: pd.DataFrame, families: Mapping[str, str]) -> set[str]:
    """Terms that another codec of the run lacked, by all rows of a sequence that have a score."""
    scored = told[told["status"].isin(SCORED)]
    names: set[str] = set()
    for reason in scored["reason"].astype("string").fillna("").unique():
        if found := _WITHOUT.match(reason):
            names |= {name.strip() for name in found[1].split(",")}
    return {name for name in names if families.get(name) in _OF_DECODED}


def _agrees(row: Mapping[Any, Any], found: Pooled) -> bool:
    if row["status"] != found.status:
        return False
    if found.status not in SCORED:
        return True
    same = math.isclose(number(row["score"]), found.score, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return same and formula_of(str(row["reason"] or "")) == formula_of(found.reason)
