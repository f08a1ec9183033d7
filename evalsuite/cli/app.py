"""The `evalsuite` command: which subcommands there are, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

import evalsuite
from evalsuite.cli import (
    bd,
    codecs,
    datasets,
    doctor,
    gate,
    import_,
    measure,
    metrics,
    plan,
    publish,
    report,
    run,
    store,
    study,
)
from evalsuite.cli.output import INTERRUPTED, say_command
from evalsuite.errors import EvalError, ProcessError, RequestError

WRONG_REQUEST = 2
FAULT = 70  # EX_SOFTWARE of sysexits.h


class _Guarded(TyperGroup):
    """Turns the suite's own errors into one message and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EvalError as error:
            typer.echo(f"error: {error}", err=True)
            if isinstance(error, ProcessError):
                say_command(error.command, error.stderr_tail)
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
    epilog="Example: evalsuite run --codecs tvc,x265",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(evalsuite.__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and stop."
    ),
    tool: list[str] = typer.Option(
        None,
        metavar="NAME=PATH",
        help="Where a codec's installation (hm=FOLDER) or a program (TAppEncoderStatic=FILE) is; may be repeated.",
    ),
) -> None:
    for given in tool or []:
        _use_tool(given)


def _use_tool(given: str) -> None:
    """Set the environment variable that the option stands for: workers and their programs inherit it."""
    # Imported here so that --help stays instant.
    from evalsuite.codec.binary import variable_of

    name, _, path = given.partition("=")
    if not name.strip() or not path.strip() or not os.path.exists(path):  # noqa: PTH110 - may not be a path at all
        raise RequestError(
            f"--tool {given!r} does not say where a tool is",
            expected="a name and the path of an existing file or folder, such as hm=/opt/HM",
            fix="check the path",
        )
    os.environ[variable_of(name.strip())] = os.path.abspath(path.strip())  # noqa: PTH100 - as above


app.command("run")(run.run)
app.command("measure")(measure.measure)
app.command("bd")(bd.bd)
app.command("gate")(gate.gate)
app.command("report")(report.report)
app.command("publish")(publish.publish)
app.command("import")(import_.import_)
app.add_typer(codecs.app, name="codecs")
app.add_typer(datasets.app, name="datasets")
app.add_typer(metrics.app, name="metrics")
app.add_typer(plan.app, name="plan")
app.add_typer(store.app, name="store")
app.add_typer(study.app, name="study")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the `evalsuite` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that lacks a sign shows a question mark for it; it does not end the command.
            stream.reconfigure(errors="replace")
    try:
        app()
    except Exception:
        # Exit code 1 means that a gate found a regression: a fault of ours must never look like one.
        traceback.print_exc()
        typer.echo("this is a fault in evalsuite; nothing that was finished is lost", err=True)
        sys.exit(FAULT)
