"""What a run tells while it goes on: which task starts and ends, how much is done, and how long the rest may take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from evalsuite.engine.execute import Pool
from evalsuite.engine.lanes import Counts, Job, Lane
from evalsuite.engine.plan import MatchCodec, MatchRates, Plan
from evalsuite.types import Failure

_WORK = {"encode_part": "encode"}
"""What a kind of task takes time like, where that is another kind."""

_REFRESH_S = 0.5
"""Seconds for which a forecast holds: it looks at every lane, and tasks may end a thousand times a second."""
_REFRESH_SHARE = 0.02
"""Of the time, that forecasts may take where there are very many lanes."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How much a run has yet to do, as far as that is known."""

    points: int
    """Rate points of the whole run, those that are not known yet by what they are meant to match."""
    left_s: float | None = None
    """Seconds to the end, by what each kind of work has taken each codec so far; None where that tells nothing yet."""
    is_partial: bool = False
    """Whether there is also work of a kind that none has been seen of, so that this is not all."""

    def words(self, passed_s: float = 0.0) -> str:
        """The time left as text, `passed_s` seconds after it was forecast."""
        left = max(0.0, (self.left_s or 0.0) - passed_s)
        if self.left_s is None or (self.is_partial and left < 1):
            return "time left unknown yet"
        hours, minutes = divmod(round(left / 60), 60)
        spelled = f"{left:.0f} s" if left < 99.5 else f"{hours} h {minutes} min" if hours else f"{minutes} min"
        return f"about {spelled}{' or more' if self.is_partial else ''} left"


@dataclass(frozen=True, slots=True)
class Event:
    """A task has started or ended."""

    task: Job
    """Names the task: the same when it starts and when it ends."""
    codec: str
    sequence: str
    qs: tuple[float, ...]
    """The operating points that the task is of."""
    counts: Counts
    forecast: Forecast
    has_ended: bool
    outcome: str = ""
    """What the task came to, in words."""
    failures: tuple[Failure, ...] = ()
    """What the task failed at, and what cannot be done therefore."""

    @property
    def work(self) -> str:
        """What the task does, in words."""
        if self.task[0] == "describe":
            return f"describe {self.sequence}"
        points = f" q {' '.join(f'{q:g}' for q in self.qs)}" if self.qs else ""
        return f"{self.task[0].replace('_', ' ')} {self.codec} {self.sequence}{points}"

    @property
    def progress(self) -> str:
        """How far the run is."""
        counts = self.counts
        done = f"encodes {counts.encodes + counts.encodes_cached}, " + (
            f"rate points measured {counts.measured + counts.measured_cached} of {self.forecast.points}"
        )
        return f"{done}, {self.forecast.words()}"

    def __str__(self) -> str:
        """One line: how far the run is, and what was just started or finished."""
        return f"{self.progress}  {self.work}{': ' if self.outcome else ''}{self.outcome}"


class Narrator:
    """Makes events of what happens to tasks, and forecasts of what tasks have taken.

    Args:
        plan: the checked request.
        lanes: the run's lanes, as they are at any time.
        counts: likewise.
        pool: where tasks run; starts are told from now on.
        listen: called with each event.
    """

    def __init__(
        self, plan: Plan, lanes: Sequence[Lane], counts: Counts, pool: Pool[Job], listen: Callable[[Event], None]
    ) -> None:
        self._plan = plan
        self._lanes = lanes
        self._counts = counts
        self._pool = pool
        self._listen = listen
        self._matched = {
            lane.sequence.name: lane
            for lane in lanes
            if isinstance(plan.match, MatchCodec) and lane.recipe.name == plan.match.name
        }
        self._started: dict[Job, float] = {}
        self._spent: defaultdict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        """By kind of work and codec: the seconds that tasks took, and the luma samples of what they were done to."""
        self._forecast = Forecast(0)
        self._forecast_at = -_REFRESH_S
        self._refresh_s = _REFRESH_S
        pool.on_start = self._start

    def _start(self, task: Job) -> None:
        self._started[task] = time.monotonic()
        self._tell(task, has_ended=False)

    def end(self, task: Job, outcome: str, failures: Sequence[Failure]) -> None:
        """A task came to its end and the lanes know of it; `outcome` is in words."""
        # What no worker may do ends without having begun.
        started = self._started.pop(task, None)
        # What breaks off early says nothing about how long it takes.
        if started is not None and not failures:
            seconds, samples = self._spent[self._kind(task)]
            taken = time.monotonic() - started
            self._spent[self._kind(task)] = seconds + taken, samples + self._samples(task)
        self._tell(task, has_ended=True, outcome=outcome, failures=tuple(failures))

    def _tell(self, task: Job, *, has_ended: bool, outcome: str = "", failures: tuple[Failure, ...] = ()) -> None:
        lane = self._lanes[task[1]]
        now = time.monotonic()
        if now - self._forecast_at >= self._refresh_s or self._pool.is_idle:
            self._forecast, self._forecast_at = self._foresee(now), now
            self._refresh_s = max(_REFRESH_S, (time.monotonic() - now) / _REFRESH_SHARE)
        self._listen(
            Event(
                task=task,
                codec=lane.recipe.name,
                sequence=lane.sequence.name,
                qs=_points_of(task, lane),
                counts=replace(self._counts),
                forecast=self._forecast,
                has_ended=has_ended,
                outcome=outcome,
                failures=failures,
            )
        )

    def _kind(self, task: Job) -> tuple[str, str]:
        return _WORK.get(task[0], task[0]), self._lanes[task[1]].recipe.name

    def _samples(self, task: Job) -> float:
        return self._lanes[task[1]].sequence.pixels * self._size(task)

    def _size(self, task: Job) -> float:
        """How many rate points a task is of, a part of one as a fraction."""
        match task:
            case ("encode_part", index, (_, _, frames)):
                return frames / self._lanes[index].sequence.frames
            case ("measure", _, keys):
                return len(keys)
        return 1

    def _points(self, lane: Lane) -> int:
        """The rate points that a lane has, or is meant to have."""
        if lane.is_complete:
            return len(lane.points)
        if lane.targets:
            return len(lane.targets)
        if isinstance(self._plan.match, MatchRates):
            return len(set(self._plan.match.values))
        # A lane that waits for the one that it is matched to gets a target for each of its points.
        first = self._matched.get(lane.sequence.name, lane)
        return len(first.points) if first.is_complete else len(first.recipe.knob.ladder)

    def _foresee(self, now: float) -> Forecast:
        points = sum(map(self._points, self._lanes))
        total, is_partial, in_a_row = 0.0, False, [0.0] * len(self._lanes)
        is_measured = any(kind == "measure" for kind, _ in self._spent)
        for index, kind, size, passed in self._work(now):
            lane = self._lanes[index]
            seconds, samples = self._taken(kind, lane.recipe.name)
            if size is None or not samples:
                is_partial = True
                continue
            rest = max(0.0, size * lane.sequence.pixels * seconds / samples - passed)
            total += rest
            # The encodes of a search wait for each other.
            if kind == "encode" and not lane.ladder:
                in_a_row[index] += rest
        # Measuring takes most of the time: what is left without it is no forecast.
        if is_partial and not (total and is_measured):
            return Forecast(points)
        return Forecast(points, max(total / self._pool.jobs, *in_a_row), is_partial)

    def _taken(self, kind: str, codec: str) -> tuple[float, float]:
        """Seconds and luma samples of such work so far; measuring takes all codecs much the same time."""
        if kind != "measure" or (kind, codec) in self._spent:
            return self._spent.get((kind, codec), (0.0, 0.0))
        others = [spent for (known, _), spent in self._spent.items() if known == kind]
        return sum(seconds for seconds, _ in others), sum(samples for _, samples in others)

    def _work(self, now: float) -> Iterator[tuple[int, str, float | None, float]]:
        """What is left: the lane by index, the kind, how many points it is of, seconds already spent on it.

        None points stand for a number that nothing is known of yet.
        """
        for task in self._pool.tasks():
            # Done once, and soon: that they are ahead does not make the rest unknown.
            if task[0] not in ("warm_up", "describe"):
                yield task[1], _WORK.get(task[0], task[0]), self._size(task), now - self._started.get(task, now)
        encodes = self._encodes_per_target()
        for index, lane in enumerate(self._lanes):
            if lane.is_complete:
                continue
            points = self._points(lane)
            yield index, "measure", points, 0.0
            if self._plan.timing:
                yield index, "time_decode", points, 0.0
            if not lane.ladder and lane.recipe.channel is None:
                each = encodes.get(lane.recipe.name)
                open_targets = [target for target in lane.targets if not lane.search.is_settled(target)]
                unsettled = len(open_targets) if lane.targets else points
                yield index, "encode", None if each is None else max(0.0, each * unsettled - len(lane.waiting)), 0.0

    def _encodes_per_target(self) -> dict[str, float]:
        """By codec, the encodes that a target has taken; none of codecs of which no target is settled yet."""
        targets: defaultdict[str, int] = defaultdict(int)
        encodes: defaultdict[str, int] = defaultdict(int)
        for lane in self._lanes:
            settled = sum(lane.is_complete or lane.search.is_settled(target) for target in lane.targets)
            targets[lane.recipe.name] += settled
            encodes[lane.recipe.name] += len(lane.encodes) if lane.targets else 0
        return {name: encodes[name] / count for name, count in targets.items() if count}


def _points_of(task: Job, lane: Lane) -> tuple[float, ...]:
    match task:
        case ("encode", _, q):
            return (q,)
        case ("encode_part", _, (q, _, _)):
            return (q,)
        case ("measure", _, keys):
            return tuple(point.encode.q for point in lane.points if point.cell_key in keys)
        case (_, _, key):
            return tuple(point.encode.q for point in lane.points if point.cell_key == key)
