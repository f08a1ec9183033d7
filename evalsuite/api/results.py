"""The results of a run in a notebook: what was read from its folder, and frames made of it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields

import pandas as pd

from evalsuite.api import given
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.bdrows import BD_COLUMNS, BDRow
from evalsuite.results.curve import Method
from evalsuite.results.history import open_run
from evalsuite.results.load import RunResults
from evalsuite.results.losscurve import behind_channels
from evalsuite.results.tables import bd_table

_FAILURE = ("codec", "sequence", "q", "stage", "message", "cell_key", "command", "stderr_tail")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Results(RunResults):
    """The results of a run: frames of points, per-frame scores, BD-rates and failures.

    `points` has the columns of results.parquet and `summary` is summary.json, as `docs/results.md` describes them;
    `frames(metric="vmaf")` reads the scores of single frames.
    """

    @property
    def means(self) -> pd.DataFrame:
        """The rows of `points` that curves are made of: one for each rate point and metric."""
        return self.points[self.points["statistic"] == "mean"].reset_index(drop=True)

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each cell that failed: stage, message, command and the end of its error output."""
        return pd.DataFrame(self.summary["failures"], columns=list(_FAILURE))

    def frames(self, *, metric: str | None = None, cell_key: str | None = None) -> pd.DataFrame:
        """Per-frame scores, read from disk on each call; all of them, or those of one metric or cell.

        Empty for a metric that has no score of single frames.

        Raises:
            RequestError: these results have no such metric or cell.
            StoreError: frames.parquet is missing, damaged or of another run.
        """
        for name, wanted in (("metric", metric), ("cell_key", cell_key)):
            if wanted is not None and str(wanted) not in (known := set(self.points[name])):
                raise RequestError(
                    f"these results have no {name} {wanted!r}",
                    where=self.folder,
                    fix=did_you_mean(str(wanted), known),
                )
        return RunResults.frames(self, metric=metric, cell_key=cell_key)

    def bd_rate(self, anchor: str | None = None, *, method: Method = "pchip") -> pd.DataFrame:
        """The BD-rate of every other codec, by metric and sequence; `*` is the mean over sequences.

        Args:
            anchor: a codec of these results; None for the anchor of the run.
            method: how curves run between points: `pchip`, `akima` or `cubic`.

        Returns:
            The columns of bd_rate.csv, missing numbers as NaN. A comparison that the points do not carry has the status
            `refused` and its reason.

        Raises:
            RequestError: the anchor is not among the results, is behind a channel, or there is none and the run had
                none; unknown method.
        """
        chosen = self.summary["request"].get("anchor") if anchor is None else given.text("anchor", anchor)
        if not chosen:
            raise RequestError(
                "these results have no anchor of their own",
                where=self.folder,
                fix=f"name one: {', '.join(sorted(set(self.points['codec'])))}",
            )
        behind = behind_channels(self.summary)
        if chosen in behind:
            raise RequestError(
                f"{chosen} is behind a channel, and takes no part in comparisons of codecs",
                where=self.folder,
                fix="name a codec without a channel; what a channel costs is told against it (docs/loss.md)",
            )
        points = self.points[~self.points["codec"].isin(behind)]
        rows = pd.DataFrame([asdict(row) for row in bd_table(points, chosen, method=method)], columns=BD_COLUMNS)
        return rows.astype({field.name: float for field in fields(BDRow) if field.type == "float | None"})

    def __repr__(self) -> str:
        codecs, sequences = (", ".join(self.points[name].unique()) for name in ("codec", "sequence"))
        points = self.points["cell_key"].nunique()
        return f"Results of {codecs} on {sequences}: {points} rate points, {len(self.failures)} failed; {self.folder}"


def load(path: str | os.PathLike[str]) -> Results:
    """Read the results of a run, of published points, or the latest ones of a store.

    Args:
        path: a folder that `run`, `evalsuite run` or `evalsuite import` wrote, or a store's; `STORE@1` is the run
            before the latest.

    Raises:
        RequestError: it is neither, or the store has no such run.
        StoreError: a file is missing, damaged or of another version.
    """
    found = open_run(given.path("path", path))
    return Results(found.folder, found.points, found.summary)
