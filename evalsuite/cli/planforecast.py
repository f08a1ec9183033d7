"""`evalsuite plan forecast`: what an audience will need, by each codec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli.output import echo_folded

if TYPE_CHECKING:
    from evalsuite.planning.forecast import Forecast


def forecast(
    audience: Annotated[
        Path,
        typer.Argument(
            metavar="AUDIENCE.toml", help="Who watches what, and how well it should look.", show_default=False
        ),
    ],
    results: Annotated[
        list[str],
        typer.Option(
            help="A run, a store (its latest run) or an address of either, as `evalsuite report` takes them; may be "
            "repeated.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for forecast.json, forecast.parquet and index.html.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation: the same seed gives the same answer.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Mean, p95 and p99 of the bandwidth and token rate of an audience, by hour and over the day, for each codec.

    The measured sizes of frames are simulated with random starts. What each codec saves against the first has
    intervals (95 %) over the sequences. What was assumed is printed with the answer.

    Example: evalsuite plan forecast audience.toml --results results --out forecast
    """
    from evalsuite.cli.output import print_json
    from evalsuite.planning.audience import load_audience
    from evalsuite.planning.forecast import forecast as make
    from evalsuite.planning.forecastfile import check_folder, document, write_files
    from evalsuite.planning.points import rate_points
    from evalsuite.results.history import open_run

    if out is not None:
        check_folder(out)
    wanted = load_audience(audience)
    found = make(rate_points([open_run(one) for one in results]), wanted, seed=seed)
    page = None
    if out is not None:
        from evalsuite.report.planned.page import write_page

        write_files(found, out)
        page = write_page(found, out)
    if as_json:
        print_json(document(found) | ({} if page is None else {"page": str(page)}))
        return
    _print(found)
    if page is not None:
        typer.echo(page)


def _print(found: Forecast) -> None:
    from evalsuite.cli.output import print_table
    from evalsuite.planning.said import assumed, headlines, number, percent, rate, rate_unit, token_unit

    for line in headlines(found):
        echo_folded(line)
    days = [one.day for one in found.codecs]
    unit, scale = rate_unit(max(day.bandwidth.p99 for day in days))
    typer.echo()
    print_table(
        f"bandwidth over the day, {unit}",
        ("codec", "mean", "p95", "p99", "± error", "Gaussian p99", "off by"),
        (
            (
                one.codec,
                *(number(value / scale) for value in (day.bandwidth.mean, day.bandwidth.p95, day.bandwidth.p99)),
                number(day.bandwidth.p99_se / scale, 2),
                number(day.gaussian_p99 / scale),
                f"{round(100 * (day.gaussian_p99 / day.bandwidth.p99 - 1), 2) + 0.0:+.2f} %"
                if day.bandwidth.p99
                else "-",
            )
            for one, day in zip(found.codecs, days, strict=True)
        ),
        numbers=6,
    )
    counted = [(one.codec, one.day.tokens) for one in found.codecs if one.day.tokens]
    if counted:
        unit, each = token_unit(max(level.p99 for _, level in counted))
        print_table(
            f"token rate over the day, {unit}",
            ("codec", "mean", "p95", "p99"),
            ((codec, *(number(one / each) for one in (own.mean, own.p95, own.p99))) for codec, own in counted),
            numbers=3,
        )
    if found.savings:
        print_table(
            f"saved in place of {found.audience.codecs[0]}, with 95 % intervals",
            ("codec", "of", "saved", "percent"),
            (
                (one.codec, name, amount, percent(change))
                for one in found.savings
                for name, change, amount in (
                    ("mean bandwidth", one.mean, rate(one.mean.saved)),
                    ("p99", one.p99, rate(one.p99.saved) if one.p99 else ""),
                    ("storage", one.storage, f"{number(one.storage.saved)} GB" if one.storage else ""),
                )
                if change is not None
            ),
            numbers=2,
        )
    typer.echo("What was assumed:")
    for line in assumed(found):
        echo_folded(line, "- ")
