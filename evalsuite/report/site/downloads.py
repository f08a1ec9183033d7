"""The tables of a board for other programs: from them the ranking can be computed by hand (`docs/publishing.md`).

The anchor is in every entry again. Where several were run beside the same bitstreams of it, its points stand once,
under the first of them, and `anchor_entry` of the ranking says where.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.report.site.boards import Ranking
from evalsuite.results.bdrows import ALL, BD_COLUMNS
from evalsuite.results.board import Board
from evalsuite.results.entries_rank import Standing
from evalsuite.results.entry import Entry
from evalsuite.results.layout import POINTS_SCHEMA
from evalsuite.results.load import RunResults

SCHEMA = 1
"""Version of board.json."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""

_CSV_COLUMNS = (
    *("entry", "side", "codec", "preset", "codec_version", "sequence", "q", "target_bpp", "bpp", "kbps", "bytes"),
    *("frames", "metric", "metric_version", "score", "unit", "higher_is_better", "log_domain_ceiling", "status"),
    *("reason", "structure", "intra_period", "delay", "cell_key", "bitstream_sha256"),
)
_JSON_ROW = (
    *("bd_rate_percent", "ci_low", "ci_high", "noise_floor", "bd_quality", "win_rate", "sequences", "status"),
    *("reason", "unlike"),
)


class Current:
    """The runs of the entries that rank, with the anchor of each bitstream once."""

    def __init__(self) -> None:
        self._anchors: dict[str, str] = {}
        self.tables: list[pd.DataFrame] = []
        """Rows of results.parquet with `entry` and `side`."""
        self.anchor_entry: dict[str, str] = {}
        """By id of an entry, the entry under which its anchor's points stand."""
        self.runs: list[RunResults] = []
        """What a report is made of: of the anchor no second copy."""

    def add(self, entry: Entry, run: RunResults) -> None:
        """Take an entry in."""
        name, anchor = entry.manifest.id, entry.manifest.anchor
        of_anchor = run.points["codec"] == anchor
        cells = run.points.loc[of_anchor, ["cell_key", "bitstream_sha256"]].drop_duplicates()
        key = hashlib.sha256(repr(sorted(map(tuple, cells.astype(str).to_numpy().tolist()))).encode()).hexdigest()
        first = self._anchors.setdefault(key, name)
        self.anchor_entry[name] = first
        kept = run.points if first == name else run.points[~of_anchor]
        if not len(kept):
            return  # the anchor itself, which stands beside another entry already
        side = (kept["codec"] == anchor).map({True: "anchor", False: "test"})
        self.tables.append(kept.assign(entry=name, side=side))
        self.runs.append(run if first == name else _without(run, kept, anchor))

    @property
    def points(self) -> pd.DataFrame:
        """All rows."""
        return pd.concat(self.tables, ignore_index=True)


def _without(run: RunResults, points: pd.DataFrame, anchor: str) -> RunResults:
    summary = {
        **run.summary,
        "codecs": [one for one in run.summary["codecs"] if one["name"] != anchor],
        **{key: [one for one in run.summary[key] if one["codec"] != anchor] for key in ("rate_match", "failures")},
    }
    return replace(run, points=points, summary=summary)


def points_csv(points: pd.DataFrame) -> str:
    """The means over frames of every rate point; all that curves and BD-rates are made of."""
    means = points.loc[points["statistic"] == "mean", list(_CSV_COLUMNS)]
    for name in _CSV_COLUMNS:
        if not pd.api.types.is_numeric_dtype(means[name]):
            means = means.assign(**{name: means[name].map(_plain, na_action="ignore")})
    return str(means.to_csv(index=False, lineterminator="\n"))


def points_parquet(points: pd.DataFrame) -> bytes:
    """Every row and column of results.parquet, with `entry` and `side`."""
    schema = pa.schema([pa.field("entry", pa.string()), pa.field("side", pa.string()), *POINTS_SCHEMA])
    buffer = io.BytesIO()
    table = pa.Table.from_pandas(points[schema.names], schema=schema, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
    return buffer.getvalue()


def ranking_csv(standings: Sequence[Standing], anchor_entry: Mapping[str, str]) -> str:
    """The BD-rate rows of every entry that ranks: of each sequence, and over all (`*`)."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("entry", "anchor_entry", *BD_COLUMNS), lineterminator="\n")
    writer.writeheader()
    for standing in standings:
        name = standing.entry.manifest.id
        for row in standing.rows:
            cells = {"entry": name, "anchor_entry": anchor_entry[name], **asdict(row)}
            writer.writerow({key: _plain(value) for key, value in cells.items()})
    return text.getvalue()


def _plain(value: object) -> object:
    """A cell that no spreadsheet takes for a formula; numbers are left as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def board_json(board: Board, rankings: Sequence[Ranking], entries: Sequence[Entry]) -> str:
    """The board for programs: its protocol, its rankings and its entries."""
    document = {
        "schema": SCHEMA,
        "board": {**board.stamp, "title": board.title, "question": board.question, "anchor": board.anchor},
        "headline": list(board.headline),
        "rankings": {one.metric: [_line(one, index) for index in range(len(one.lines))] for one in rankings},
        "entries": [
            {**asdict(entry.manifest), "folder": f"entries/{entry.manifest.id}"} for entry in reversed(entries)
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _line(ranking: Ranking, index: int) -> dict[str, Any]:
    line = ranking.lines[index]
    row = line.place.row
    return {
        "place": line.place.place,
        "codec": line.entry.manifest.codec,
        "version": line.entry.manifest.codec_version,
        "entry": line.entry.manifest.id,
        "anchor": line.entry.manifest.is_anchor,
        "verdict": line.verdict,
        **{name: None if row is None else getattr(row, name) for name in _JSON_ROW},
        "by_sequence": {one.sequence: one.bd_rate_percent for one in line.rows if one.sequence != ALL},
    }
