"""`evalsuite metrics`: which metrics there are, and what each one is."""

from __future__ import annotations

import math

import typer

from evalsuite.cli.output import DIRECTIONS, arrow, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="List and explain metrics.")


@app.command("list")
def list_metrics(json: bool = typer.Option(False, "--json", help="Print a JSON list.")) -> None:
    """List every metric, and what is missing where it cannot run.

    Example: evalsuite metrics list
    """
    from evalsuite.metrics.registry import DEFAULT, family_of, infos

    known = infos()
    needs = {name: family_of(name).check() for name in known}
    if json:
        print_json(
            [
                {
                    "name": info.name,
                    "available": not needs[info.name],
                    "needs": needs[info.name],
                    "version": info.version,
                    "family": info.family,
                    "unit": info.unit,
                    "higher_is_better": info.higher_is_better,
                    "default": info.name in DEFAULT,
                }
                for info in known.values()
            ]
        )
        return
    print_table(
        "",
        ("metric", "", "unit", "family", "version", "needs"),
        ((i.name, arrow(i), i.unit, i.family, i.version, needs[i.name] or "nothing more") for i in known.values()),
    )


@app.command("show")
def show_metric(name: str = typer.Argument(..., help="Name of the metric.")) -> None:
    """Explain one metric: definition, source, range, direction, version, traps.

    Example: evalsuite metrics show vmaf
    """
    from evalsuite.metrics.registry import family_of, infos

    family = family_of(name)
    info = infos()[name]
    low, high = (f"{end:g}" if math.isfinite(end) else "∞" for end in info.range)
    lines = {
        "definition": info.definition,
        "direction": DIRECTIONS[info.higher_is_better],
        "unit": info.unit or "none",
        "range": f"{low} to {high}",
        "source": info.source,
        "version": info.version,
        "family": info.family,
        "needs": ", ".join(info.needs),
        "smallest": f"{family.smallest.get(name, 1)} samples on the shorter side",
        "BD-rate": f"on -10 log10(1 - score / {info.log_domain_ceiling:g})"
        if info.log_domain_ceiling
        else "none"
        if info.higher_is_better is None
        else "on the score",
        "traps": info.traps,
        "missing": family.check() or "nothing",
    }
    typer.echo(name)
    for label, text in lines.items():
        typer.echo(f"  {label + ':':<12}{text}")
