"""What `--timing` adds to a run: each codec's warm-up, and the encodes and decodes that are done only to be timed.

The pool then has one worker, so whatever is timed runs alone. Encodes of the rate search are timed as they are made.
Encodes from the store, and all decodes, are timed once more, after the cell was measured: a decoder that feeds metrics
waits for them.
"""

from __future__ import annotations

from dataclasses import replace

from evalsuite import provenance
from evalsuite.codec.run import Encoded
from evalsuite.engine.execute import Outcome, Pool
from evalsuite.engine.lanes import Job, Lane, Point
from evalsuite.engine.plan import Plan
from evalsuite.engine.store import Store, StoredDecode
from evalsuite.engine.tasks import AFTER_ALL, BEFORE_ALL, Tasks
from evalsuite.engine.timing import Loads
from evalsuite.types import Timing, Usage


class Timekeeper:
    """Asks for warm-ups and timings, and takes their outcomes; does nothing where the plan does not want timing.

    Args:
        plan: the checked request.
        store: where timings are kept.
        pool: where tasks run; of one worker where the plan wants timing.
        tasks: makes them.
    """

    def __init__(self, plan: Plan, store: Store, pool: Pool[Job], tasks: Tasks) -> None:
        self._plan = plan
        self._store = store
        self._pool = pool
        self._tasks = tasks
        self._machine = provenance.machine_name() if plan.timing else ""
        self._warm: set[str] = set()
        self.remarks: list[str] = []
        """What could not be timed, or was odd."""
        self.loads: dict[str, Loads] = {}
        """What loading took each codec: only the warm-up sees it of one that stays loaded."""

    def timing(self, outcome: Outcome[Job]) -> Timing:
        """Under which circumstances a task was done that was not held back by anything."""
        return Timing(outcome.alone, self._machine if outcome.alone else "")

    def warm_up(self, index: int, lane: Lane) -> None:
        """See to it that the lane's codec has run once before anything of it is timed."""
        if not self._plan.timing or lane.recipe.name in self._warm:
            return
        self._warm.add(lane.recipe.name)
        task = self._tasks.warm_up(lane, self._store.scratch / f"warm-up-{index}")
        self._pool.submit(("warm_up", index, ""), task, BEFORE_ALL)

    def request(self, index: int, lane: Lane, point: Point) -> None:
        """Time what this machine has not timed yet of a point that was measured."""
        if not self._plan.timing:
            return
        encode, decode = point.encode, self._store.decode(point.cell_key)
        if encode.timing.timed_on != self._machine:
            self.warm_up(index, lane)
            again = self._store.scratch / f"again-{index}-{encode.q!r}.{lane.recipe.extension}"
            task = self._tasks.time_encode(lane, encode.q, again)
            self._pool.submit(("time_encode", index, point.cell_key), task, AFTER_ALL)
        if decode is None or decode.timing.timed_on != self._machine:
            self.warm_up(index, lane)
            task = self._tasks.time_decode(lane, encode)
            self._pool.submit(("time_decode", index, point.cell_key), task, AFTER_ALL)

    def take(self, lane: Lane, outcome: Outcome[Job]) -> tuple[str, Usage | None]:
        """Keep what a task gave; says in words what was done, and what it cost where something was timed."""
        kind, _, cell_key = outcome.key
        place = next((place for place, point in enumerate(lane.points) if point.cell_key == cell_key), None)
        name = f"{lane.recipe.name} {lane.sequence.name}"
        if place is None:
            if outcome.error is not None:
                self.remarks.append(f"{name}: the warm-up failed: {first_line(outcome.error)}")
            else:
                self.loads[lane.recipe.name] = outcome.value
            return "warmed up", None
        point = lane.points[place]
        name, what = f"{name} q {point.encode.q:g}", kind.removeprefix("time_")
        if outcome.error is not None:
            self.remarks.append(f"{name}: the {what} could not be timed: {first_line(outcome.error)}")
            return "could not be timed", None
        timing = self.timing(outcome)
        if isinstance(outcome.value, StoredDecode):
            self._store.add_decode(point.cell_key, replace(outcome.value, timing=timing))
            return "timed", outcome.value.usage
        encoded: Encoded = outcome.value
        encoded.path.unlink(missing_ok=True)
        if encoded.sha256 != point.encode.sha256:
            self.remarks.append(
                f"{name}: the encoder wrote other bytes when it was timed; the stored bitstream stays, the time is new"
            )
        self._store.retime_encode(point.cell_key, encoded.usage, timing)
        lane.points[place] = replace(point, encode=replace(point.encode, usage=encoded.usage, timing=timing))
        return "timed", encoded.usage


def first_line(error: Exception) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]
