"""One report from one or many runs.

The rule: a name means the same thing in two runs only where its identity is the same too. A codec whose binary or
settings changed, a sequence whose content changed, a metric whose version changed is kept apart, and the name of its
run is added to its label. One encode that several runs measured becomes one point with the scores of all of them; where
runs contradict each other (two scores of one metric, two bitstreams at one q), the later one is shown. What failed or
is missing contradicts nothing: what another run has is shown, and is no failure of the report. BD-rate is computed anew
over what was merged. Published points join measured ones by the rule of `publications`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from evalsuite.report import text
from evalsuite.report.check import check_run
from evalsuite.report.cost import cost_of
from evalsuite.report.model import Codec, Metric, Point, Report, Run, Score, Sequence
from evalsuite.report.numbers import number
from evalsuite.report.publications import match_sequences
from evalsuite.report.relative import relative_curves
from evalsuite.results.bdrows import BDRow
from evalsuite.results.hull import is_hull
from evalsuite.results.layout import CODEC_IDENTITY
from evalsuite.results.load import RunResults
from evalsuite.results.losscurve import is_channel
from evalsuite.results.tables import bd_table

_METRIC_IDENTITY = ("version", "unit", "higher_is_better")

_FIGURE_DECIMALS = {"": 3, "bit": 2, "tokens": 1, "codes": 1}
"""Digits after the point of a figure that describes, by its unit; none for rates, which run to thousands."""

Names = dict[str, str]
"""A name in one run to the label in the report."""


def distinct_labels(entries: Iterable[tuple[str, str, Hashable]]) -> dict[tuple[str, str], str]:
    """A label for each (run, name, identity): the bare name unless it means different things in different runs.

    >>> distinct_labels([("a", "x265", 1), ("b", "x265", 1), ("c", "x265", 2)])[("c", "x265")]
    'x265 (c)'
    """
    entries = list(entries)
    first_run: dict[str, dict[Hashable, str]] = {}
    for run, name, identity in entries:
        first_run.setdefault(name, {}).setdefault(identity, run)
    return {
        (run, name): name if len(first_run[name]) == 1 else f"{name} ({first_run[name][identity]})"
        for run, name, identity in entries
    }


def run_labels(runs: ListOf[RunResults]) -> list[str]:
    """The folder names of the runs; those that several share are numbered."""
    names = [run.folder.resolve().name or "run" for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} #{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """One run with the labels that its names have in the report."""

    run: Run
    points: pd.DataFrame
    codecs: Names
    sequences: Names
    metrics: Names

    def entries(self, key: str) -> Iterator[dict[str, Any]]:
        """A list of the summary, relabelled. Its cell, or its rate, tells presets of one codec apart."""
        # A hull has the cells of other codecs once more, and is not what was encoded.
        hulls = [str(entry["name"]) for entry in self.run.summary["codecs"] if is_hull(entry)]
        points = self.points[~self.points["named"].isin(hulls)]
        cells = points[points["cell_key"] != ""]  # what failed before it had a bitstream has none
        by_cell = dict(zip(cells["cell_key"], cells["codec"], strict=True))
        rates = zip(*(points[name] for name in ("named", "sequence", "q", "bpp")), strict=True)
        by_rate = dict(zip(rates, points["codec"], strict=True))
        for entry in self.run.summary.get(key, ()):
            fresh = dict(entry)
            for field, names in (
                ("codec", self.codecs),
                ("anchor", self.codecs),
                ("test", self.codecs),
                ("sequence", self.sequences),
                ("metric", self.metrics),
            ):
                if field in fresh:
                    fresh[field] = names.get(fresh[field], fresh[field])
            if "codec" in fresh:
                rate = entry["codec"], fresh.get("sequence"), entry.get("q"), entry.get("bpp")
                fresh["codec"] = by_cell.get(entry.get("cell_key"), by_rate.get(rate, fresh["codec"]))
            yield fresh


def merge(results: ListOf[RunResults]) -> Report:
    """Bring runs together under labels that are unique in the report.

    Raises:
        StoreError: a summary is not one, or results that belong together contradict each other.
    """
    for result in results:
        check_run(result)
    runs = tuple(Run(label, run.summary, run) for label, run in zip(run_labels(results), results, strict=True))
    several = _several(runs)
    codecs = _labels(runs, "codecs", CODEC_IDENTITY, several)
    matches = match_sequences(runs)
    labels = distinct_labels(matches.identities)
    sequences = {
        (run.label, str(entry["name"])): labels[run.label, matches.names.get((run.label, entry["name"]), entry["name"])]
        for run in runs
        for entry in run.summary["sequences"]
    }
    metrics = _labels(runs, "metrics", _METRIC_IDENTITY)
    labelled = []
    for run, result in zip(runs, results, strict=True):
        own = [
            {name: label for (owner, name), label in each.items() if owner == run.label}
            for each in (codecs, sequences, metrics)
        ]
        own[0] |= _bare(run, own[0], several)
        labelled.append(_Labelled(run, _relabel(result.points, run, *own), *own))
    tables = [each.points.assign(run=number) for number, each in enumerate(labelled)]
    points = _latest(pd.concat(tables, ignore_index=True))
    known = _facts(runs, "codecs", codecs, several)
    # What a channel costs is told against the same bitstreams without it (`planner`), not as that of another codec.
    is_behind = points["codec"].isin([label for label, facts in known if is_channel(facts.get("loss"))])
    compared, behind = points[~is_behind], points[is_behind]
    bd_rows = _bd_rows(labelled, compared)
    return Report(
        runs=tuple(
            replace(one.run, codecs=one.codecs, sequences=one.sequences, metrics=one.metrics) for one in labelled
        ),
        codecs=tuple(Codec(label, index, facts) for index, (label, facts) in enumerate(known)),
        sequences=tuple(Sequence(label, facts) for label, facts in _facts(runs, "sequences", sequences)),
        metrics=tuple(_metric(label, facts) for label, facts in _facts(runs, "metrics", metrics)),
        points=_points(points),
        bd_rows=bd_rows,
        rate_match=_unique(labelled, "rate_match", ("codec", "sequence", "target_bpp")),
        failures=_failures(labelled, points),
        commands=_unique(labelled, "commands", ("codec", "sequence", "q")),
        unmatched=matches.unmatched,
        relative=relative_curves(compared, bd_rows),
        means=compared[compared["statistic"] == "mean"],
        behind=behind[behind["statistic"] == "mean"],
    )


def _several(runs: Iterable[Run]) -> frozenset[str]:
    """The codecs that have several presets in one run: their presets tell them apart, in all runs."""
    counts = (Counter(str(entry["name"]) for entry in run.summary["codecs"]) for run in runs)
    return frozenset(name for own in counts for name, count in own.items() if count > 1)


def _name(entry: Mapping[str, Any], several: frozenset[str]) -> str:
    """The entry's name; with its preset where a codec has several, as in the BD-rate table."""
    name = str(entry["name"])
    return f"{name}/{entry.get('preset')}" if name in several else name


def _bare(run: Run, codecs: Names, several: frozenset[str]) -> Names:
    """Labels by the bare names of codecs of which this run has one preset, and another run several."""
    counts = Counter(str(entry["name"]) for entry in run.summary["codecs"])
    return {
        str(entry["name"]): codecs[_name(entry, several)]
        for entry in run.summary["codecs"]
        if counts[str(entry["name"])] == 1
    }


def _labels(
    runs: Iterable[Run], key: str, identity: tuple[str, ...], several: frozenset[str] = frozenset()
) -> dict[tuple[str, str], str]:
    return distinct_labels(
        (run.label, _name(entry, several), tuple(str(entry.get(part)) for part in identity))
        for run in runs
        for entry in run.summary[key]
    )


def _facts(
    runs: Iterable[Run], key: str, labels: Mapping[tuple[str, str], str], several: frozenset[str] = frozenset()
) -> list[tuple[str, dict[str, Any]]]:
    """Each label once, in the order of first appearance, with its entry in the run that first had it.

    The entry of a sequence that was read is preferred to that of one that was only published.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for entry in run.summary[key]:
            label = labels[run.label, _name(entry, several)]
            if label not in found or (found[label].get("sha256") == "" and entry.get("sha256")):
                found[label] = entry
    return list(found.items())


def _relabel(points: pd.DataFrame, run: Run, codecs: Names, sequences: Names, metrics: Names) -> pd.DataFrame:
    several = {name for name in codecs if name not in {str(entry["name"]) for entry in run.summary["codecs"]}}
    with_preset = points["codec"] + "/" + points["preset"]
    names = points["codec"].where(~with_preset.isin(several), with_preset)
    return points.assign(
        named=points["codec"],
        codec=names.map(lambda name: codecs.get(name, name)),
        sequence=points["sequence"].map(lambda name: sequences.get(name, name)),
        metric=points["metric"].map(lambda name: metrics.get(name, name)),
    )


def _latest(points: pd.DataFrame) -> pd.DataFrame:
    """One bitstream for each codec, sequence and q, and one score for each of its metrics: the last there is."""
    points = points.assign(knob=points["q"].astype(object).where(points["q"].notna(), points["cell_key"]))
    place = ["codec", "sequence", "knob"]
    # A cell that failed before it had a size is shown only where no run has another.
    made = points["cell_key"].where(points["bpp"].notna()).groupby([points[name] for name in place]).transform("last")
    last = made.fillna(points.groupby(place)["cell_key"].transform("last"))
    latest = points[points["cell_key"] == last]
    # One run gives all statistics of a metric: the last that has a score.
    scored = latest["status"].isin(("ok", "infinite")) & (latest["statistic"] == "mean")
    metric = [latest[name] for name in (*place, "metric")]
    has_score = scored.groupby([*metric, latest["run"]]).transform("any")
    preferred = latest["run"].where(has_score).groupby(metric).transform("max")
    chosen = preferred.fillna(latest.groupby([*place, "metric"])["run"].transform("max"))
    latest = latest[latest["run"] == chosen].drop_duplicates([*place, "metric", "statistic"], keep="last")
    return latest.drop(columns=["knob", "run", "named"])


def _failures(labelled: ListOf[_Labelled], points: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Those of all runs, without those of cells that another run has whole."""

    def failed(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
        rows = rows[(rows["status"] == "failed") | rows["bpp"].isna()]
        return set(zip(rows["codec"], rows["sequence"], rows["q"], strict=True))

    good = set[tuple[Any, ...]]().union(*(failed(each.points) for each in labelled)) - failed(points)
    found = _unique(labelled, "failures", ("codec", "sequence", "q", "stage", "message"))
    return tuple(entry for entry in found if (entry["codec"], entry["sequence"], entry["q"]) not in good)


def _unique(labelled: Iterable[_Labelled], key: str, identity: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Entries of all runs; a later run's entry takes the place of an earlier one's of the same identity."""
    kept = {tuple(entry.get(part) for part in identity): entry for each in labelled for entry in each.entries(key)}
    return tuple(kept.values())


def _bd_rows(labelled: ListOf[_Labelled], points: pd.DataFrame) -> tuple[BDRow, ...]:
    """The run's own rows; of several runs, rows over their points together, for every anchor that one of them had.

    What was published is an anchor by being given.
    """
    rows = [BDRow(**entry) for each in labelled for entry in each.entries("bd_rate")]
    if len(labelled) == 1:
        return tuple(rows)
    published = list(dict.fromkeys(points["codec"][points["rate_source"] == "published"]))
    present = set(points["codec"])
    anchors = [anchor for anchor in dict.fromkeys([*(row.anchor for row in rows), *published]) if anchor in present]
    if not anchors and len(present) > 1:
        # Runs of one codec each: what came first is what the others are held against.
        anchors = [str(points["codec"].iloc[0])]
    return tuple(
        row
        for anchor in anchors
        for row in bd_table(points, anchor)
        # A publication is the anchor of the others: the same pair the other way round would say nothing more.
        if row.test not in published or (anchor in published and anchors.index(anchor) < anchors.index(row.test))
    )


def _metric(label: str, facts: Mapping[str, Any]) -> Metric:
    name, unit = str(facts["name"]), str(facts.get("unit") or "")
    limits = [limit for limit in map(number, facts.get("range") or ()) if limit is not None]
    higher: bool | None = facts["higher_is_better"]
    if higher is None:
        title, decimals = text.figure(name), _FIGURE_DECIMALS.get(unit, 0)
    else:
        title, decimals = text.metric(name), 2 if unit == "dB" or max(limits, default=0) > 2 else 4
    return Metric(name, label, title + label.removeprefix(name), unit, higher, decimals, facts)


def _points(rows: pd.DataFrame) -> tuple[Point, ...]:
    points: dict[tuple[str, str, float | str], Point] = {}
    for row in rows.to_dict("records"):
        q, bpp, kbps, size = (number(row[name]) for name in ("q", "bpp", "kbps", "bytes"))
        # A cell that failed before it had a size is among the failures; it is no point.
        if bpp is None:
            continue
        point = points.setdefault(
            (row["codec"], row["sequence"], row["cell_key"] if q is None else q),
            Point(
                codec=row["codec"],
                sequence=row["sequence"],
                q=q,
                bpp=bpp,
                kbps=kbps,
                bytes=None if size is None else int(size),
                target_bpp=number(row["target_bpp"]),
                cost=cost_of(row),
                cell_key=row["cell_key"],
            ),
        )
        point.scores[row["metric"]] = _with_statistic(point.scores.get(row["metric"]), row)
    return tuple(points.values())


def _with_statistic(known: Score | None, row: Mapping[Hashable, Any]) -> Score:
    """The score with one more statistic; the mean's status names it, whatever the others are."""
    values = {**(known.values if known else {})}
    if row["status"] in ("ok", "infinite"):
        values[row["statistic"]] = float(row["score"])
    if known is None or row["statistic"] == "mean":
        return Score(row["status"], row["reason"], values)
    return Score(known.status, known.reason, values)
