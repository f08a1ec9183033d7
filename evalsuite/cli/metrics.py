"""`evalsuite metrics`: which metrics there are, and what each one is."""

from __future__ import annotations

import typer

from evalsuite.cli.output import arrow, by_family, echo_folded, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="List and explain metrics.", epilog="Example: evalsuite metrics show vmaf")


@app.command("list")
def list_metrics(json: bool = typer.Option(False, "--json", help="Print a JSON list.")) -> None:
    """List every metric by family, and what is missing where one cannot run.

    Example: evalsuite metrics list
    """
    from evalsuite import resources
    from evalsuite.metrics.registry import DEFAULT, doors, family_of, infos, left_out

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
            + [
                {"name": one.offer, "available": False, "needs": f"left out: {one.reason}", "version": ""}
                for one in left_out()
            ]
        )
        return
    print_table(
        "",
        ("family", "metric", "", "unit", "default"),
        (
            (family, i.name, arrow(i), i.unit, "yes" if i.name in DEFAULT else "")
            for family, i in by_family(known.values())
        ),
    )
    absent: dict[str, list[str]] = {}
    for name, need in needs.items():
        if need:
            absent.setdefault(need, []).append(name)
    if absent:
        print_table(
            "Missing on this machine",
            ("metrics", "to do"),
            ((", ".join(names), need) for need, names in absent.items()),
        )
    if left_out():
        print_table(
            "Left out of what installed packages offer",
            ("package", "offers", "why it is left out"),
            ((one.package, one.offer, one.reason) for one in left_out()),
        )
    print_table(
        "Doors to packages: ask for PREFIX:NAME",
        ("door", "names", "needs"),
        ((f"{one.prefix}:", ", ".join(one.names()), one.check() or "nothing more") for one in doors()),
    )
    print_table(
        "Profiles sum up metrics for a kind of content, for --profile",
        ("profile", "for", "tags"),
        (_profile(name) for name in resources.available("profiles")),
    )


def _profile(name: str) -> tuple[str, str, str]:
    """A profile in words; one wrong file must not hide the others."""
    from evalsuite.errors import EvalError
    from evalsuite.results.profile import load_profile

    try:
        one = load_profile(name)
    except EvalError as error:
        return name, f"cannot be used: {error.what}", ""
    return one.name, one.description, ", ".join(one.tags)


@app.command("show")
def show_metric(
    name: str = typer.Argument(..., help="Name of the metric."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Explain one metric: definition, source, range, direction, version, traps; or a profile: its formula.

    Example: evalsuite metrics show vmaf
    """
    from evalsuite.metrics.describe import sheet
    from evalsuite.metrics.registry import family_of, info_of
    from evalsuite.results.profile import PREFIX, load_profile

    if name.startswith(PREFIX):
        profile = load_profile(name.removeprefix(PREFIX))
        info = profile.info
        lines = {
            "formula": profile.formula,
            "for": profile.description,
            "tags": ", ".join(profile.tags) or "none",
            "range": "0 to 100, higher is better",
            "version": info.version,
            "traps": info.traps,
        }
    else:
        info = info_of(name)
        lines = {**sheet(info), "missing": family_of(name).check() or "nothing"}
    if json:
        said = {label.lower().replace(" ", "_").replace("-", "_"): text for label, text in lines.items()}
        facts = {"unit": info.unit, "higher_is_better": info.higher_is_better, "range": info.range}
        print_json({"schema": 1, "name": name, **said, **facts})
        return
    typer.echo(name)
    for label, text in lines.items():
        echo_folded(text, f"  {label + ':':<12}")
