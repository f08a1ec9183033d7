"""The page of a forecast: a folder that opens from disk, in the styles of the report, its numbers in tables too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import evalsuite
from evalsuite.errors import RequestError
from evalsuite.planning.audience import Row
from evalsuite.planning.forecast import CodecNeed, Forecast
from evalsuite.planning.forecastfile import JSON, PARQUET
from evalsuite.planning.said import (
    amount_interval,
    assumed,
    headlines,
    number,
    percent,
    rate,
    rate_unit,
    token_unit,
)
from evalsuite.report import page as report_page
from evalsuite.report import text
from evalsuite.report.build import PLOTLY, injected_style_ids, plotly_js
from evalsuite.report.data import script
from evalsuite.report.site.output import Output

ASSETS = Path(__file__).parent / "assets"
_SHARED = ("report.css", "report.js", "plots.js")
"""Of the report: the same styles, and what all plots have in common."""
_OWN = ("forecast.css", "forecast.js")


def write_page(forecast: Forecast, out: Path) -> Path:
    """Write the page of a forecast, replacing that of an earlier one.

    Args:
        forecast: what to show; its files lie beside the page (`evalsuite.planning.forecastfile`).
        out: the folder; made where missing.

    Returns:
        The page to open, `index.html` in `out`.

    Raises:
        RequestError: `out` cannot be written.
        AssetError: the installed plotly package lacks plotly.min.js.
    """
    bundle = plotly_js()
    folder = Output(out)
    try:
        for name in _SHARED:
            folder.write(name, (report_page.ASSETS / name).read_bytes())
        for name in _OWN:
            folder.write(name, (ASSETS / name).read_bytes())
        folder.write(PLOTLY, bundle)
        folder.write("data/forecast.js", script("forecast", _drawn(forecast)))
        folder.write("index.html", _render(forecast, injected_style_ids(bundle)))
    except OSError as error:
        raise RequestError(
            f"the page cannot be written: {error.strerror or error}",
            where=out,
            fix="give a folder that can be written, with 10 MB free",
        ) from error
    return out / "index.html"


def _drawn(forecast: Forecast) -> dict[str, Any]:
    """What the plots draw: a series of 24 values for each codec."""
    unit, scale = _unit(forecast)
    tokens, each = _token_unit(forecast)
    return {
        "codecs": [
            {
                "name": one.codec,
                "index": index,
                "note": "",
                "rate": {
                    name: [getattr(need.bandwidth, name) / scale for need in one.hours] for name in ("mean", "p99")
                },
                "tokens": {name: [getattr(need.tokens, name) / each for need in one.hours] for name in ("mean", "p99")}
                if one.day.tokens
                else None,
            }
            for index, one in enumerate(forecast.codecs)
        ],
        "unit": unit,
        "tokenUnit": tokens,
    }


def _unit(forecast: Forecast) -> tuple[str, float]:
    return rate_unit(max(need.bandwidth.p99 for one in forecast.codecs for need in one.hours))


def _token_unit(forecast: Forecast) -> tuple[str, float]:
    return token_unit(max((need.tokens.p99 for one in forecast.codecs for need in one.hours if need.tokens), default=0))


def _render(forecast: Forecast, style_ids: tuple[str, ...]) -> str:
    unit, scale = _unit(forecast)
    tokens, each = _token_unit(forecast)
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        rate=lambda value: number(value / scale),
        error=lambda value: number(value / scale, 2),
        tokens=lambda value: number(value / each),
        said_rate=rate,
        number=number,
        saving=percent,
        amounts=amount_interval,
        share=_share,
        listing=text.listing,
        count=text.count,
    )
    return environment.get_template("forecast.html").render(
        forecast=forecast,
        files=(JSON, PARQUET),
        unit=unit,
        token_unit=tokens,
        with_tokens=any(one.day.tokens for one in forecast.codecs),
        with_storage=any(one.storage_gb is not None for one in forecast.codecs),
        headlines=headlines(forecast),
        assumed=assumed(forecast),
        differs=_differs,
        policy=report_page.CONTENT_SECURITY_POLICY,
        version=evalsuite.__version__,
        plotly=PLOTLY,
        plotly_style_ids=style_ids,
    )


def _differs(one: CodecNeed) -> str:
    """How far the Gaussian p99 is from the simulated one."""
    simulated = one.day.bandwidth.p99
    return text.percent(100 * (one.day.gaussian_p99 / simulated - 1), 2) if simulated else text.NONE


def _share(row: Row) -> str:
    """The share of a row, or the range of its shares over the day."""
    low, high = min(row.shares), max(row.shares)
    said = text.percent(100 * low, 1, signed=False)
    return said if low == high else f"{said} to {text.percent(100 * high, 1, signed=False)}"
