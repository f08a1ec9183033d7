"""A run from plan to results: which task comes next, and what its outcome means.

Each codec on each sequence is a lane. A lane encodes its ladder, or searches the target rates; when it has its points,
only those are decoded and measured. The lanes that are matched to a codec wait for that codec's lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from evalsuite.codec.run import Encoded
from evalsuite.engine.cell import MeasuredCell
from evalsuite.engine.content import Content
from evalsuite.engine.costs import CostModel
from evalsuite.engine.encodes import Encodes, JoinError
from evalsuite.engine.execute import Outcome, Pool
from evalsuite.engine.lanes import Counts, Job, Lane, Point, RunOutcome
from evalsuite.engine.plan import MatchCodec, MatchRates, Plan
from evalsuite.engine.progress import Event, Narrator
from evalsuite.engine.scores import Scores
from evalsuite.engine.search import RateSearch
from evalsuite.engine.store import Store, StoredDecode, StoredEncode
from evalsuite.engine.tasks import Tasks
from evalsuite.engine.timekeeper import Timekeeper, first_line
from evalsuite.errors import EvalError, ProcessError
from evalsuite.metrics.complexity import COSTS, Costs, series_of
from evalsuite.types import Failure, Series

_GROUP_PIXELS = 5 * 640 * 360
"""Luma samples of decoded frames that one measuring task holds at a time: more share a source, fewer balance better.

A ladder of five points shares one pass over its source at the size of the demo.
"""


class Runner:
    """Drives one plan over a store and a pool.

    Args:
        plan: the checked request.
        store: where results are kept.
        pool: where tasks run.
        progress: called whenever a task starts or ends.
    """

    def __init__(self, plan: Plan, store: Store, pool: Pool[Job], progress: Callable[[Event], None]) -> None:
        self.plan = plan
        self.store = store
        self.pool = pool
        self.counts = Counts()
        self.scores = Scores(store)
        self.failures: list[Failure] = []
        self.cost_s: dict[str, float] = {}
        self.contents: dict[str, Content] = {}
        self.tasks = Tasks(plan, CostModel(store.encode_costs()))
        self.timekeeper = Timekeeper(plan, store, pool, self.tasks)
        self.lanes = [
            Lane(recipe, sequence, RateSearch(recipe.knob, ()))
            for sequence in plan.sequences
            for recipe in plan.recipes
        ]
        self.encodes = Encodes(plan, self.lanes, store, pool, self.tasks)
        self.narrator = Narrator(plan, self.lanes, self.counts, pool, progress)

    def run(self) -> RunOutcome:
        """Do all of it; failures are part of the outcome."""
        for index, lane in enumerate(self.lanes):
            if lane.recipe.channel is not None:
                continue  # begun when the lane that has its bitstreams is complete
            match self.plan.match:
                case MatchRates() as rates:
                    self._begin_search(index, rates.sizes(lane.sequence))
                case MatchCodec(name) if lane.recipe.name != name:
                    pass  # begun when the matched codec's lane has its rates
                case _:
                    self._begin_ladder(index)
        self._describe_sources()
        for outcome in self.pool.outcomes():
            self._take(outcome)
        self._add_complexity()
        return RunOutcome(
            self.lanes,
            self.scores,
            self.failures,
            self.counts,
            self.cost_s,
            self.timekeeper.remarks,
            self.timekeeper.loads,
            self.contents,
        )

    def _describe_sources(self) -> None:
        for index in range(0, len(self.lanes), len(self.plan.recipes)):
            task, urgency = self.tasks.describe(self.lanes[index].sequence)
            self.pool.submit(("describe", index, ""), task, urgency)

    def _begin_ladder(self, index: int) -> None:
        lane = self.lanes[index]
        lane.ladder = lane.recipe.knob.ladder
        lane.waiting = set(lane.ladder)
        for q in lane.ladder:
            if self._request_encode(index, q):
                self._advance(index, q)

    def _begin_search(self, index: int, targets: Iterable[float]) -> None:
        lane = self.lanes[index]
        lane.targets = tuple(sorted(set(targets), reverse=True))
        lane.search.targets = lane.targets
        self._continue_search(index)

    def _continue_search(self, index: int) -> None:
        lane = self.lanes[index]
        # A loop, since the store may have any number of them.
        while (q := lane.search.propose()) is not None:
            lane.waiting.add(q)
            if not self._request_encode(index, q):
                return
            lane.waiting.discard(q)
        chosen = {target: best for target in lane.targets if (best := lane.search.best(target)) is not None}
        closest: dict[float, float] = {}
        for target, q in chosen.items():
            size = lane.encodes[q].payload_bytes
            if q not in closest or abs(size / target - 1) < abs(size / closest[q] - 1):
                closest[q] = target
        self._complete(index, [(q, closest[q]) for q in sorted(closest)])

    def _request_encode(self, index: int, q: float) -> bool:
        """Have an encode made; whether it has come to its end already, since the store has it or it cannot be had."""
        stored = self.encodes.find(index, q)
        if stored is None:
            self.timekeeper.warm_up(index, self.lanes[index])
            try:
                stored = self.encodes.begin(index, q)
            except JoinError as error:
                self._note_failure(index, q, error)
                return True
        if stored is None:
            return False
        self.counts.encodes_cached += 1
        self._note_encode(index, q, stored)
        return True

    def _take(self, outcome: Outcome[Job]) -> None:
        before = len(self.failures)
        match outcome.key:
            case ("encode", index, q):
                said = self._take_encode(index, q, outcome)
            case ("encode_part", index, part):
                said = self._take_part(index, part, outcome)
            case ("measure", index, keys):
                said = self._take_measurement(index, keys, outcome)
            case ("describe", index, _):
                said = self._take_description(index, outcome)
            case (_, index, _):
                said = self._take_timing(index, outcome)
        failures = self.failures[before:]
        if failures:
            said = f"failed at {failures[0].stage}: {failures[0].message.splitlines()[0]}"
        self.narrator.end(outcome.key, said, failures)

    def _take_encode(self, index: int, q: float, outcome: Outcome[Job]) -> str:
        if outcome.error is not None:
            return self._encode_failed(index, q, outcome.error)
        self._count_encode(index, outcome.value)
        stored = self.encodes.take(index, q, outcome.value, self.timekeeper.timing(outcome))
        self.counts.encodes += 1
        self._encoded(index, q, stored)
        return f"{stored.payload_bytes} bytes"

    def _take_part(self, index: int, part: tuple[float, int, int], outcome: Outcome[Job]) -> str:
        q = part[0]
        error, stored = outcome.error, None
        if error is None:
            self._count_encode(index, outcome.value)
            try:
                stored = self.encodes.take_part(index, part, outcome.value)
            except JoinError as reason:
                error = reason
        if error is not None:
            # One failure of the whole is enough, whatever becomes of its other parts.
            return self._encode_failed(index, q, error) if self.encodes.give_up(index, q) else ""
        if stored is None:
            return "done"
        self.counts.encodes += 1
        self._encoded(index, q, stored)
        return f"{stored.payload_bytes} bytes in all"

    def _count_encode(self, index: int, encoded: Encoded) -> None:
        self._add_cost(f"encode {self.lanes[index].recipe.name}", encoded.usage.cpu_s)

    def _encode_failed(self, index: int, q: float, error: Exception) -> str:
        self._note_failure(index, q, error)
        self._advance(index, q)
        return ""

    def _note_failure(self, index: int, q: float, error: Exception) -> None:
        lane = self.lanes[index]
        self._fail(lane, q, "encode", error)
        lane.search.fail(q)

    def _encoded(self, index: int, q: float, stored: StoredEncode) -> None:
        self._note_encode(index, q, stored)
        self._advance(index, q)

    def _note_encode(self, index: int, q: float, stored: StoredEncode) -> None:
        lane = self.lanes[index]
        lane.encodes[q] = stored
        lane.search.learn(q, stored.payload_bytes)

    def _advance(self, index: int, q: float) -> None:
        lane = self.lanes[index]
        lane.waiting.discard(q)
        if lane.waiting:
            return
        if lane.targets:
            self._continue_search(index)
        else:
            self._complete(index, [(q, None) for q in lane.ladder if q in lane.encodes])

    def _complete(self, index: int, chosen: list[tuple[float, float | None]]) -> None:
        """A lane has its encodes: measure them, and let those begin that are matched to them."""
        lane = self.lanes[index]
        lane.points = [
            Point(self.plan.cell_key(lane.recipe, lane.sequence, q), lane.encodes[q], target) for q, target in chosen
        ]
        lane.is_complete = True
        self.counts.cells += len(lane.points)
        if isinstance(self.plan.match, MatchCodec) and lane.recipe.name == self.plan.match.name:
            self._begin_matched(lane)
        self._request_measurements(index)
        self._begin_channels(lane)

    def _begin_channels(self, sent: Lane) -> None:
        """Lanes of a codec behind a channel have the bitstreams that are sent, under cell keys of their own."""
        if sent.recipe.channel is not None:
            return
        for index, lane in enumerate(self.lanes):
            if lane.sequence is sent.sequence and lane.recipe.channel and lane.recipe.sent_name == sent.recipe.name:
                lane.encodes = {point.encode.q: self.encodes.share(index, point.encode) for point in sent.points}
                chosen = [(point.encode.q, point.target_bytes) for point in sent.points]
                lane.targets = sent.targets
                self._complete(index, chosen)

    def _begin_matched(self, anchor: Lane) -> None:
        sizes = [point.encode.payload_bytes for point in anchor.points]
        for index, lane in enumerate(self.lanes):
            if lane.sequence is anchor.sequence and lane is not anchor and lane.recipe.channel is None:
                if sizes:
                    self._begin_search(index, sizes)
                else:
                    reason = EvalError(
                        f"there is no rate to match: {anchor.recipe.name} has no encode of this sequence"
                    )
                    lane.is_complete = True
                    self._fail(lane, None, "encode", reason)
                    self._begin_channels(lane)

    def _request_measurements(self, index: int) -> None:
        lane = self.lanes[index]
        versions = self.plan.score_versions(lane.recipe, lane.sequence)
        missing: dict[str, StoredEncode] = {}
        known: dict[str, dict[str, Series]] = {}
        for point in lane.points:
            known[point.cell_key] = found = self.scores.begin(point.cell_key, versions)
            # What the decode cost is asked for with the scores, or alone: it is made again where it is not on record.
            if len(found) == len(versions) and self.store.decode(point.cell_key) is not None:
                self.counts.measured_cached += 1
                self.timekeeper.request(index, lane, point)
            else:
                missing[point.cell_key] = point.encode
        pixels = lane.sequence.format.width * lane.sequence.format.height
        size = max(1, _GROUP_PIXELS // pixels)
        keys = list(missing)
        for start in range(0, len(keys), size):
            group = {key: missing[key] for key in keys[start : start + size]}
            # A metric that only some cells of the group lack is measured for all: scores of one pass belong together.
            wanted = {name for key in group for name in versions if name not in known[key]}
            infos = tuple(info for info in self.plan.metrics if info.name in wanted)
            task, urgency = self.tasks.measure(lane, group, infos)
            self.pool.submit(("measure", index, tuple(group)), task, urgency)

    def _take_measurement(self, index: int, keys: tuple[str, ...], outcome: Outcome[Job]) -> str:
        lane = self.lanes[index]
        by_key = {point.cell_key: point for point in lane.points}
        if outcome.error is not None:
            for key in keys:
                self._fail(lane, by_key[key].encode.q, "measure", outcome.error, key)
            return ""
        results: list[MeasuredCell] = outcome.value
        for cell in results:
            q = by_key[cell.cell_key].encode.q
            if cell.measured is None:
                self._fail(lane, q, "decode", cell.error or EvalError("nothing was decoded"), cell.cell_key)
                continue
            self.store.add_scores(
                cell.cell_key,
                cell.measured.series,
                self.plan.score_versions(lane.recipe, lane.sequence),
                StoredDecode(cell.usage, cell.command),
            )
            self.scores.add(cell.cell_key, cell.measured.series)
            self.counts.measured += 1
            self._add_cost(f"decode {lane.recipe.name}", cell.usage.cpu_s)
            for family, seconds in cell.measured.cost_s.items():
                self._add_cost(f"metric {family}", seconds)
            # Only what decodes is worth timing.
            self.timekeeper.request(index, lane, by_key[cell.cell_key])
        return "measured"

    def _add_complexity(self) -> None:
        """Figures of cost, once the last of them was timed: they are on record, and never stored as scores."""
        names = tuple(info.name for info in self.plan.metrics if COSTS in info.needs)
        failed = {failure.cell_key for failure in self.failures}
        for lane in self.lanes if names else ():
            for point in lane.points:
                decode = self.store.decode(point.cell_key)
                # What failed has a row for the failure, whatever an earlier run has on record.
                if decode is None or point.cell_key in failed:
                    continue
                encode = point.encode
                costs = Costs(
                    *(lane.sequence.frames, encode.usage, encode.timing, decode.usage, decode.timing, decode.latency)
                )
                self.scores.add(point.cell_key, series_of(costs, names))

    def _take_description(self, index: int, outcome: Outcome[Job]) -> str:
        unknown = Content.unknown(first_line(outcome.error)) if outcome.error is not None else None
        self.contents[self.lanes[index].sequence.name] = unknown or outcome.value
        return "not described" if unknown else "described"

    def _take_timing(self, index: int, outcome: Outcome[Job]) -> str:
        lane = self.lanes[index]
        text, usage = self.timekeeper.take(lane, outcome)
        if usage is not None:
            self.counts.timed += 1
            self._add_cost(f"{outcome.key[0].removeprefix('time_')} {lane.recipe.name}", usage.cpu_s)
        return text

    def _fail(
        self,
        lane: Lane,
        q: float | None,
        stage: Literal["encode", "decode", "measure"],
        error: Exception,
        cell_key: str = "",
    ) -> None:
        command, tail = (error.command, error.stderr_tail) if isinstance(error, ProcessError) else ((), "")
        message = str(error) or type(error).__name__
        self.failures.append(Failure(lane.recipe.name, lane.sequence.name, q, stage, message, cell_key, command, tail))

    def _add_cost(self, kind: str, seconds: float) -> None:
        self.cost_s[kind] = self.cost_s.get(kind, 0.0) + seconds
