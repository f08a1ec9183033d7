"""The `evalsuite` command: how it begins, and how it ends.

What it can do is in `evalsuite.cli.commands`, which takes a moment to read: Ctrl-C may come before it has been.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

from evalsuite.cli.exitcodes import FAULT, INTERRUPTED, WRONG_REQUEST
from evalsuite.cli.streams import guard_streams
from evalsuite.errors import EvalError

_FORCE_COLOUR = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE")
"""Environment variables that make a terminal of a file, for typer or for rich."""


def main() -> None:
    """Entry point of the `evalsuite` script."""
    guard_streams()
    try:
        os.getcwd()  # noqa: PTH109 - a folder that was removed, which nothing here could say as well
    except FileNotFoundError:
        sys.stderr.write("error: the current folder is not there any more\n  to do: change to one that is\n")
        sys.exit(WRONG_REQUEST)
    try:
        _run()
    except KeyboardInterrupt:
        _end_interrupted()
    except SystemExit as ended:
        # Typer makes one of Ctrl-C.
        if ended.code == INTERRUPTED:
            _end_interrupted()
        raise
    except EvalError as error:
        # Of help and of wrong usage; what commands raise is said in `evalsuite.cli.commands`.
        sys.stderr.write(f"error: {error}\n")
        sys.exit(WRONG_REQUEST)
    except Exception as error:
        if _is_interrupt(error):
            _end_interrupted()
        # Exit code 1 means that a gate found a regression: a fault of ours must never look like one.
        import traceback

        traceback.print_exc()
        sys.stderr.write("this is a fault in evalsuite; nothing that was finished is lost\n")
        sys.exit(FAULT)


def _run() -> None:
    from evalsuite.cli.commands import app

    is_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    if not is_terminal and any(name in os.environ for name in _FORCE_COLOUR):
        # Imported here because it is costly, and needed for help and errors alone.
        from typer import rich_utils

        rich_utils.FORCE_TERMINAL = False
    try:
        app()
    finally:
        sys.stdout.flush()


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C made an error of a module that was being read: extensions make an ImportError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _end_interrupted() -> NoReturn:
    sys.stderr.write("interrupted; what was finished is kept, the same command goes on from there\n")
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Where Ctrl-C met a module that makes code of text, as dataclasses do, Python would end by SIGINT, caught or not.
    os._exit(INTERRUPTED)
