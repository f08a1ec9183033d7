"""Progress of a run on stderr: a moving line in a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evalsuite.cli.output import console, say
from evalsuite.engine.lanes import Counts

PLAIN_INTERVAL_S = 10.0
"""Seconds between lines where nobody sees a moving one: a log should stay short."""


@contextmanager
def watching() -> Iterator[Callable[[str, Counts], None]]:
    """A function to call with what was just finished and the counts so far."""
    if sys.stderr.isatty():
        from rich.text import Text

        with console(stderr=True).status("preparing sequences") as status:
            yield lambda text, counts: status.update(Text(f"{counts}  {text.splitlines()[0]}"))
        return
    last = time.monotonic()

    def report(text: str, counts: Counts) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_INTERVAL_S:
            last = time.monotonic()
            say(f"{counts}  {text.splitlines()[0]}")

    yield report
