"""The `evalsuite` command: which subcommands there are, and how it ends."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

import evalsuite
from evalsuite.cli import bd, codecs, datasets, doctor, measure, metrics, report, run
from evalsuite.errors import EvalError

WRONG_REQUEST = 2
INTERRUPTED = 130


class _Guarded(TyperGroup):
    """Turns the suite's own errors into one message and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EvalError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(WRONG_REQUEST) from error
        except KeyboardInterrupt:
            typer.echo("interrupted; what was finished is kept, the same command goes on from there", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output (`head`, a pager) has seen enough.
            sys.stderr.close()
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Guarded,
    name="evalsuite",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compare video codecs at matched bitrates: encode, decode, measure, report.",
    epilog="Example: evalsuite run --codecs vvenc,x265",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(evalsuite.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    pass


app.command("run")(run.run)
app.command("measure")(measure.measure)
app.command("bd")(bd.bd)
app.command("report")(report.report)
app.add_typer(codecs.app, name="codecs")
app.add_typer(datasets.app, name="datasets")
app.add_typer(metrics.app, name="metrics")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the `evalsuite` script."""
    app()
