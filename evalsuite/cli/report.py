"""`evalsuite report`: one report from one or many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders that `evalsuite run --out` wrote.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; its files are replaced.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """One report from one or many runs: a folder whose index.html opens from disk, without a server or a network.

    Runs of the same codec, sequence and q become one point; what only shares a name is kept apart by the run's name.

    Example: evalsuite report results/monday results/tuesday --out report
    """
    from evalsuite.cli.output import print_json
    from evalsuite.report.build import build_report

    page = build_report(runs, out)
    if as_json:
        print_json({"schema": 1, "report": str(page)})
    else:
        typer.echo(page)
