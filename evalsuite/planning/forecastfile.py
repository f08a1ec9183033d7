"""A forecast as files: forecast.json and forecast.parquet. Every key and column is described in docs/forecasts.md."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.errors import RequestError
from evalsuite.planning.audience import Audience
from evalsuite.planning.forecast import Forecast, Need
from evalsuite.planning.playing import Play
from evalsuite.planning.said import assumed, headlines
from evalsuite.planning.savings import Change
from evalsuite.planning.simulate import Level
from evalsuite.results.folder import is_document

SCHEMA = 1
JSON, PARQUET = "forecast.json", "forecast.parquet"

COLUMNS = pa.schema(
    [
        ("codec", pa.string()),
        ("hour", pa.int32()),
        ("streams", pa.float64()),
        *((f"{name}_bps", pa.float64()) for name in ("mean", "p95", "p99", "p99_se", "gaussian_p95", "gaussian_p99")),
        *((f"{name}_tokens_s", pa.float64()) for name in ("mean", "p95", "p99")),
    ]
)
"""Of forecast.parquet: a row for each codec and hour; tokens are null where a codec has none."""


def document(forecast: Forecast) -> dict[str, Any]:
    """The forecast as JSON has it."""
    return {
        "schema": SCHEMA,
        "seed": forecast.seed,
        "audience": _audience(forecast.audience),
        "plays": [_play(play) for play in forecast.plays],
        "codecs": [
            {
                "codec": one.codec,
                "day": _need(one.day),
                "hours": [{"hour": hour, **_need(need)} for hour, need in enumerate(one.hours)],
                "storage_gb": one.storage_gb,
            }
            for one in forecast.codecs
        ],
        "savings": [
            {
                "codec": one.codec,
                "against": one.against,
                "mean": _change(one.mean, "bps"),
                "p99": None if one.p99 is None else _change(one.p99, "bps"),
                "storage": None if one.storage is None else _change(one.storage, "gb"),
            }
            for one in forecast.savings
        ],
        "said": headlines(forecast),
        "assumed": assumed(forecast),
    }


def check_folder(folder: Path) -> None:
    """Refuse a folder in which a forecast would replace what is none; to be asked before the work.

    Raises:
        RequestError: it holds other things.
    """
    # A forecast is beside nothing of a run or a report.
    foreign = any((folder / name).exists() for name in ("report.json", "summary.json"))
    if (
        folder.is_dir()
        and any(folder.iterdir())
        and (foreign or not is_document(folder / JSON, ("schema", "seed", "plays")))
    ):
        raise RequestError(
            "this is not a forecast, and it is not empty: its files would be replaced",
            where=folder,
            fix="give a new folder with --out",
        )


def write_files(forecast: Forecast, folder: Path) -> None:
    """Write forecast.json and forecast.parquet, replacing those of an earlier forecast.

    Raises:
        RequestError: the folder cannot be written.
    """
    text = json.dumps(document(forecast), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(_rows(forecast)), schema=COLUMNS), folder / PARQUET)
        (folder / JSON).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"the forecast cannot be written: {error.strerror or error}",
            where=folder,
            fix="give a folder that can be written, with --out",
        ) from error


def _rows(forecast: Forecast) -> Iterator[dict[str, Any]]:
    for one in forecast.codecs:
        for hour, need in enumerate(one.hours):
            figures = _need(need)
            tokens = figures["tokens"] or {}
            yield {
                "codec": one.codec,
                "hour": hour,
                "streams": forecast.audience.streams[hour],
                **{name: (figures | tokens).get(name) for name in COLUMNS.names[3:]},
            }


def _audience(audience: Audience) -> dict[str, Any]:
    return {
        "codecs": list(audience.codecs),
        "streams": list(audience.streams),
        "window_s": audience.window_s,
        "concurrency": "fixed" if audience.fixed else "poisson",
        "storage_hours": audience.storage_hours,
    }


def _play(play: Play) -> dict[str, Any]:
    return {
        "tag": play.row.tag,
        "device": play.row.device,
        "shares": list(play.row.shares),
        "targets": [asdict(target) for target in play.row.targets],
        "sequences": list(play.sequences),
        "points": {
            codec: [{"sequence": one.sequence, "q": one.q, "kbps": one.kbps} for one in points]
            for codec, points in play.points.items()
        },
        "left_out": list(play.left_out),
    }


def _need(need: Need) -> dict[str, Any]:
    return {
        **_level(need.bandwidth, "bps"),
        "gaussian_p95_bps": need.gaussian_p95,
        "gaussian_p99_bps": need.gaussian_p99,
        "simulated_mean_bps": need.simulated_mean,
        "instants": need.instants,
        "tokens": None if need.tokens is None else _level(need.tokens, "tokens_s"),
    }


def _level(level: Level, unit: str) -> dict[str, float]:
    return {f"{name}_{unit}": value for name, value in asdict(level).items()}


def _change(change: Change, unit: str) -> dict[str, Any]:
    def bounds(interval: tuple[float, float] | None) -> list[float] | None:
        return None if interval is None else list(interval)

    return {
        f"saved_{unit}": change.saved,
        f"saved_{unit}_interval": bounds(change.saved_interval),
        # Of nothing there is no share.
        "percent": change.percent if math.isfinite(change.percent) else None,
        "percent_interval": bounds(change.percent_interval),
    }
