"""The `evalsuite` command: how it begins, and how it ends.

What it can do is in `evalsuite.cli.commands`, which takes a moment to read: Ctrl-C may come before it has been.
"""

from __future__ import annotations

import os
import sys

from evalsuite.cli.exitcodes import FAULT, INTERRUPTED, WRONG_REQUEST
from evalsuite.cli.streams import guard_streams
from evalsuite.errors import EvalError

_FORCE_COLOUR = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE")
"""Environment variables that make a terminal of a file, for typer or for rich."""


def main() -> None:
    """Entry point of the `evalsuite` script."""
    guard_streams()
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
    except Exception:
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


def _end_interrupted() -> None:
    sys.stderr.write("interrupted; what was finished is kept, the same command goes on from there\n")
    sys.exit(INTERRUPTED)
