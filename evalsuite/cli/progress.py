"""Progress of a run on stderr: in a terminal what is done and what is at work, elsewhere plain lines now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evalsuite.cli.output import console, printable, say
from evalsuite.engine.lanes import Counts, Job
from evalsuite.engine.progress import Event
from evalsuite.types import Failure

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import TaskID

PLAIN_INTERVAL_S = 10.0
"""Seconds between lines where nobody sees a moving one: a log should stay short."""
SILENT_S = 60.0
"""Seconds after which there is a line even where no task started or ended: silence looks like a run that hangs."""

MOST_TASKS = 8
"""Tasks that are shown by name; how many there are is said beside them."""


class Watch:
    """What a run is to call with its events: remembers how far it came, and shows it inside `watching`."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.points = 0
        """Rate points of the whole run, as far as they are known."""
        self.failures: list[Failure] = []
        self.show: Callable[[Event], None] | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self.counts, self.points = event.counts, event.forecast.points
        self.failures += event.failures
        if self.show is not None:
            self.show(event)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Show on stderr what `watch` is told, until the end of the block."""
    say("preparing sequences")
    if not console(stderr=True).is_interactive:
        with _PlainLines() as lines:
            watch.show = lines.show
            yield
        return
    with _Display() as display:
        watch.show = display.show
        yield


class _PlainLines:
    """Lines now and then, of what starts and ends, and of what is at work where nothing does for long."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        self._last: Event | None = None
        self._at_work: set[Job] = set()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def show(self, event: Event) -> None:
        """A line, where the last one is long enough ago."""
        self._last = event
        (self._at_work.discard if event.has_ended else self._at_work.add)(event.task)
        if time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._say(str(event))

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        say(line)

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._said >= SILENT_S:
                doing = f"{len(self._at_work)} at work" if self._at_work else "still at it"
                self._say(f"{self._last.progress}  {doing}" if self._last else doing)

    def __enter__(self) -> _PlainLines:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._clock.join()


class _Display:
    """Bars that move in the terminal, from the first event on; gone at the end of the block."""

    def __init__(self) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        screen = console(stderr=True)
        said = TextColumn(
            "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        )
        points = (TextColumn("rate points"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn())
        self._points = Progress(*points, console=screen, expand=True)
        self._tasks = Progress(SpinnerColumn(), said, TimeElapsedColumn(), console=screen, expand=True)
        self._bar = self._points.add_task("", total=None)
        self._rows: dict[Job, TaskID] = {}
        self._failed = self._given_up = 0
        self._last: tuple[float, Event] | None = None
        # A line that is written meanwhile goes above the bars; what goes to stdout stays there.
        self._live = Live(console=screen, transient=True, redirect_stdout=False, get_renderable=self._render)

    def show(self, event: Event) -> None:
        """Bring the bars up to date."""
        if self._last is None:
            self._live.start()
        self._last = time.monotonic(), event
        self._failed += len(event.failures)
        # A point that cannot be decoded or measured is done with.
        self._given_up += sum(bool(failure.cell_key) for failure in event.failures)
        done = event.counts.measured + event.counts.measured_cached + self._given_up
        self._points.update(self._bar, completed=done, total=event.forecast.points)
        if (row := self._rows.pop(event.task, None)) is not None:
            self._tasks.remove_task(row)
        if not event.has_ended:
            self._rows[event.task] = self._tasks.add_task(printable(event.work), total=None)
        for place, row in enumerate(self._rows.values()):
            self._tasks.update(row, visible=place < MOST_TASKS)

    def _render(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        if self._last is None:
            return Group()
        then, event = self._last
        counts, at_work = event.counts, len(self._rows)
        line = [
            f"encoded {counts.encodes + counts.encodes_cached}",
            *([f"{self._failed} failed"] if self._failed else []),
            f"{at_work} at work, {event.forecast.words(time.monotonic() - then)}" if at_work else "writing results",
        ]
        return Group(self._points, Text(", ".join(line)), self._tasks)

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
