"""The subcommands of `evalsuite`."""

from __future__ import annotations

import os
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
from evalsuite.cli.exitcodes import WRONG_REQUEST
from evalsuite.cli.output import say, say_command
from evalsuite.errors import EvalError, ProcessError, RequestError


class _Guarded(TyperGroup):
    """Turns the suite's own errors into one message and the right exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EvalError as error:
            say(f"error: {error}")
            if isinstance(error, ProcessError):
                say_command(error.command, error.stderr_tail)
            raise typer.Exit(WRONG_REQUEST) from error


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
